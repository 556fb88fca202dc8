//! Products of matrices.

use super::{BackendError, Device};

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
}
