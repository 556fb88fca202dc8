//! Shares by exponentials.

use super::{BackendError, Device, expect, rows};

/// Rows of a buffer, where it is of whole rows and `others`, by name, are as long.
pub(super) fn check<const N: usize>(
    columns: usize,
    buffer: (&'static str, usize),
    others: [(&'static str, usize); N],
) -> Result<usize, BackendError> {
    others.into_iter().try_for_each(|(what, found)| expect(what, found, buffer.1))?;
    rows(buffer.0, buffer.1, columns)
}

/// Softmax of rows of f32. A buffer is `[rows, columns]`, both from 1.
pub trait Softmax: Device {
    /// `y = exp(x) / (sum of exp(x))`, row by row.
    ///
    /// # Errors
    /// [`BackendError::Shape`] when a buffer has another length than `x`, or `x` is not of whole rows.
    fn softmax_rows(
        &self,
        columns: usize,
        x: &Self::Buffer<f32>,
        y: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// Gradient `dx` of [`softmax_rows`](Self::softmax_rows)' input by `dy`; `y` is what it gave.
    ///
    /// # Errors
    /// As [`softmax_rows`](Self::softmax_rows).
    fn softmax_rows_back(
        &self,
        columns: usize,
        y: &Self::Buffer<f32>,
        dy: &Self::Buffer<f32>,
        dx: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;
}
