//! Non-linear functions of single numbers.

use super::{BackendError, Device};

/// Non-linear functions, number by number, forward and backward. All buffers of a call are of the same length.
///
/// All methods: [`BackendError::Shape`] when they are not.
pub trait Gates: Device {
    /// `y = x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))` (Hendrycks and Gimpel, 2016, the form with tanh).
    ///
    /// # Errors
    /// [`BackendError::Shape`], see above.
    fn gelu(&self, x: &Self::Buffer<f32>, y: &mut Self::Buffer<f32>) -> Result<(), BackendError>;

    /// `d_x = d_y dy/dx` of [`gelu`](Self::gelu).
    ///
    /// # Errors
    /// [`BackendError::Shape`], see above.
    fn gelu_gradient(
        &self,
        x: &Self::Buffer<f32>,
        d_y: &Self::Buffer<f32>,
        d_x: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// `y = x / (1 + exp(-gate))`.
    ///
    /// # Errors
    /// [`BackendError::Shape`], see above.
    fn sigmoid_gate(
        &self,
        x: &Self::Buffer<f32>,
        gate: &Self::Buffer<f32>,
        y: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// The gradients of [`sigmoid_gate`](Self::sigmoid_gate): with `s = 1 / (1 + exp(-gate))`, `d_x = d_y s` and
    /// `d_gate = d_y x s (1 - s)`.
    ///
    /// # Errors
    /// [`BackendError::Shape`], see above.
    fn sigmoid_gate_gradients(
        &self,
        x: &Self::Buffer<f32>,
        gate: &Self::Buffer<f32>,
        d_y: &Self::Buffer<f32>,
        d_x: &mut Self::Buffer<f32>,
        d_gate: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// `y = x`, but at least 0 and at most `largest`: the largest activation that integers hold.
    ///
    /// # Errors
    /// [`BackendError::Shape`], see above.
    fn clipped_relu(&self, largest: f32, x: &Self::Buffer<f32>, y: &mut Self::Buffer<f32>) -> Result<(), BackendError>;

    /// `d_x = d_y` where `0 < x < largest`, else 0.
    ///
    /// # Errors
    /// [`BackendError::Shape`], see above.
    fn clipped_relu_gradient(
        &self,
        largest: f32,
        x: &Self::Buffer<f32>,
        d_y: &Self::Buffer<f32>,
        d_x: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;
}
