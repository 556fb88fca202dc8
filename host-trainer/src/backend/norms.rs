//! Norms of rows.

use super::{BackendError, Device};

/// Norms of rows of f32. A buffer of rows is `[rows, columns]`, both from 1.
pub trait Norms: Device {
    /// `y = (x - mean) factor scale + shift`, row by row: mean and variance of the row, factor
    /// `1 / sqrt(variance + epsilon)`; `scale` and `shift` `[columns]` (Ba et al., 2016). `moments [rows, 2]` gets mean and
    /// factor, for [`layer_norm_back`](Self::layer_norm_back).
    ///
    /// # Errors
    /// [`BackendError::Shape`] when a buffer has another length than the columns and `x` say.
    #[expect(clippy::too_many_arguments, reason = "three inputs, two results and two numbers")]
    fn layer_norm(
        &self,
        columns: usize,
        epsilon: f32,
        x: &Self::Buffer<f32>,
        scale: &Self::Buffer<f32>,
        shift: &Self::Buffer<f32>,
        y: &mut Self::Buffer<f32>,
        moments: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// Gradients of [`layer_norm`](Self::layer_norm) by `dy`: `dx`, `d_scale` and `d_shift`, all written.
    ///
    /// # Errors
    /// As [`layer_norm`](Self::layer_norm).
    #[expect(clippy::too_many_arguments, reason = "four inputs and three gradients")]
    fn layer_norm_back(
        &self,
        columns: usize,
        x: &Self::Buffer<f32>,
        scale: &Self::Buffer<f32>,
        moments: &Self::Buffer<f32>,
        dy: &Self::Buffer<f32>,
        dx: &mut Self::Buffer<f32>,
        d_scale: &mut Self::Buffer<f32>,
        d_shift: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// `y = x factor`, row by row: factor `1 / sqrt(mean of x x + epsilon)`, which `factors [rows]` gets (Zhang and Sennrich,
    /// 2019). This is the norm of the Evoformer here.
    ///
    /// # Errors
    /// As [`layer_norm`](Self::layer_norm).
    fn rms_norm(
        &self,
        columns: usize,
        epsilon: f32,
        x: &Self::Buffer<f32>,
        y: &mut Self::Buffer<f32>,
        factors: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// Adds the gradient of [`rms_norm`](Self::rms_norm)'s input by `dy` to `dx`; `y` and `factors` are what it gave.
    ///
    /// # Errors
    /// As [`layer_norm`](Self::layer_norm).
    fn rms_norm_back(
        &self,
        columns: usize,
        y: &Self::Buffer<f32>,
        factors: &Self::Buffer<f32>,
        dy: &Self::Buffer<f32>,
        dx: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;
}
