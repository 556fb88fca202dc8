//! Masks of sparse matrices: the same bits on every device, of finite numbers.

use super::{BackendError, Device};

/// Which numbers stay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sparsity {
    /// Of every four neighbours the two of the largest magnitudes, of equal ones the first. Rows have a multiple of 4.
    TwoOfFour,
    /// Those of at least this magnitude.
    Magnitude(f32),
}

/// Masks of sparse matrices.
pub trait Sparse: Device {
    /// `values[i]` = `x[i]` where it stays, 0 elsewhere; bit `i % 32` of `mask[i / 32]` says whether it stays. Bits beyond the
    /// last are 0. `x` is a matrix, row after row.
    ///
    /// # Errors
    /// [`BackendError::Shape`] when the lengths differ, `mask` has not a bit for each number, rounded up to words, or the
    /// numbers are not fours for [`Sparsity::TwoOfFour`].
    fn sparse_mask(
        &self,
        sparsity: Sparsity,
        x: &Self::Buffer<f32>,
        values: &mut Self::Buffer<f32>,
        mask: &mut Self::Buffer<u32>,
    ) -> Result<(), BackendError>;
}

/// Refuses what does not fit together.
pub(crate) fn fits(sparsity: Sparsity, x: usize, values: usize, mask: usize) -> Result<(), BackendError> {
    super::expect("length of values", values, x)?;
    super::expect("words of the mask", mask, x.div_ceil(32))?;
    super::expect("length modulo 4", if sparsity == Sparsity::TwoOfFour { x % 4 } else { 0 }, 0)
}
