//! Operations on vectors.

use super::{BackendError, Device};

/// Vectors of f32.
pub trait Vectors: Device {
    /// `y[i] += a x[i]`.
    ///
    /// # Errors
    /// [`BackendError::Shape`] when the lengths differ.
    fn scaled_add(&self, a: f32, x: &Self::Buffer<f32>, y: &mut Self::Buffer<f32>) -> Result<(), BackendError>;
}
