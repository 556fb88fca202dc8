//! Norms of rows.

use super::{BackendError, Device, expect, expect_all, rows};

/// Rows of a layer norm, where the lengths of `x`, `scale`, `shift`, `y` and `moments` are those of one.
pub(super) fn check_layer(columns: usize, [x, scale, shift, y, moments]: [usize; 5]) -> Result<usize, BackendError> {
    let rows = rows("length of x", x, columns)?;
    expect_all([
        ("length of scale", scale, columns),
        ("length of shift", shift, columns),
        ("length of y", y, x),
        ("length of moments", moments, 2 * rows),
    ])?;
    Ok(rows)
}

/// Likewise on the way back: `x`, `scale`, `moments`, `dy`, then the gradients of `x`, `scale` and `shift`.
pub(super) fn check_layer_back(
    columns: usize,
    [x, scale, moments, dy]: [usize; 4],
    [dx, d_scale, d_shift]: [usize; 3],
) -> Result<usize, BackendError> {
    let rows = rows("length of x", x, columns)?;
    expect_all([
        ("length of scale", scale, columns),
        ("length of moments", moments, 2 * rows),
        ("length of dy", dy, x),
        ("length of dx", dx, x),
        ("length of d_scale", d_scale, columns),
        ("length of d_shift", d_shift, columns),
    ])?;
    Ok(rows)
}

/// Rows of an RMS norm, where the length of what is normed and those of `others`, by name, are those of so many `factors`.
pub(super) fn check_rms<const N: usize>(
    columns: usize,
    factors: usize,
    normed: (&'static str, usize),
    others: [(&'static str, usize); N],
) -> Result<usize, BackendError> {
    expect("number of columns", columns, columns.max(1))?;
    expect(normed.0, normed.1, factors * columns)?;
    others.into_iter().try_for_each(|(what, found)| expect(what, found, normed.1))?;
    Ok(factors)
}

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
