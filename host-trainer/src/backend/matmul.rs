//! Products of matrices.

use super::{BackendError, Device, expect_all};

/// Which of the operands of `C = A B` stand transposed in memory. All matrices are row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// `A [m, k]`, `B [k, n]`.
    Plain,
    /// `A [m, k]`, `B [n, k]`: rows with rows, as activations with weights.
    RightTransposed,
    /// `A [k, m]`, `B [k, n]`: columns with columns, as the gradient of weights.
    LeftTransposed,
}

/// Refuses lengths of a, b and c that are not those of the sizes m, n, k.
pub(super) fn check([m, n, k]: [usize; 3], [a, b, c]: [usize; 3]) -> Result<(), BackendError> {
    expect_all([("length of a", a, m * k), ("length of b", b, k * n), ("length of c", c, m * n)])
}

/// Products of matrices.
pub trait Matmul: Device {
    /// `c [m, n] = A B`, of f32, summed in f32. `sizes` are m, n, k, any from 1.
    ///
    /// # Errors
    /// [`BackendError::Shape`] when a buffer has another length than the sizes say.
    fn matmul(
        &self,
        product: Product,
        sizes: [usize; 3],
        a: &Self::Buffer<f32>,
        b: &Self::Buffer<f32>,
        c: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// `out[i]` = the bits of `x[i]` as bfloat16, rounded to nearest, ties to even.
    ///
    /// # Errors
    /// [`BackendError::Shape`] when the lengths differ.
    fn to_bf16(&self, x: &Self::Buffer<f32>, out: &mut Self::Buffer<u16>) -> Result<(), BackendError>;

    /// As [`matmul`](Self::matmul), of bfloat16, summed in f32. On a GPU, rows of a multiple of 8 numbers are faster by far.
    ///
    /// # Errors
    /// As [`matmul`](Self::matmul).
    fn matmul_bf16(
        &self,
        product: Product,
        sizes: [usize; 3],
        a: &Self::Buffer<u16>,
        b: &Self::Buffer<u16>,
        c: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// `c [m, n]` = `a [m, k]` times `b [n, k]` transposed, of signed bytes, summed in i32, wrapping: exact for k up to 2^17.
    /// `sizes` are m, n, k. On a GPU, rows of a multiple of 16 bytes are faster by far.
    ///
    /// # Errors
    /// As [`matmul`](Self::matmul).
    fn matmul_i8(
        &self,
        sizes: [usize; 3],
        a: &Self::Buffer<i8>,
        b: &Self::Buffer<i8>,
        c: &mut Self::Buffer<i32>,
    ) -> Result<(), BackendError>;
}
