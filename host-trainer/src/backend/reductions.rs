//! Sums and maxima.

use super::{BackendError, Device};

/// What becomes of the numbers of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// The sum of their squares: the square of the norm.
    Squares,
    /// The largest; minus infinity of none.
    Max,
}

/// Reductions of f32. Sums are taken in an order that only the device and the sizes decide.
pub trait Reductions: Device {
    /// `out[0]` = the reduction of `x`. What comes of NaN in a maximum is left open.
    ///
    /// # Errors
    /// [`BackendError::Shape`] when `out` has not 1 number.
    fn reduce(
        &self,
        reduction: Reduction,
        x: &Self::Buffer<f32>,
        out: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// `out [rows]` = the sums of the rows of `x [rows, columns]`.
    ///
    /// # Errors
    /// [`BackendError::Shape`] when a buffer has another length than the sizes say.
    fn row_sums(
        &self,
        sizes: [usize; 2],
        x: &Self::Buffer<f32>,
        out: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// `out [columns]` = the sums of the columns of `x [rows, columns]`.
    ///
    /// # Errors
    /// As [`row_sums`](Self::row_sums).
    fn column_sums(
        &self,
        sizes: [usize; 2],
        x: &Self::Buffer<f32>,
        out: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// The sum of all numbers.
    ///
    /// # Errors
    /// [`BackendError`] of the device.
    fn sum(&self, x: &Self::Buffer<f32>) -> Result<f32, BackendError> {
        let mut out = self.zeros(1)?;
        self.reduce(Reduction::Sum, x, &mut out)?;
        Ok(self.download(&out)?[0])
    }
}
