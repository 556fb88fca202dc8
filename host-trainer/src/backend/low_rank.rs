//! Linear layers with a low-rank adapter beside the weights, which stay as they are.

use super::{BackendError, Device, expect, expect_all};

/// Highest rank of an adapter.
pub const MOST_RANK: usize = 64;

/// A layer's sizes and its batch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowRankShape {
    /// Rows of the batch, any number from 1.
    pub rows: usize,
    /// Numbers of a row that go in, any number from 1.
    pub inputs: usize,
    /// Numbers of a row that come out, any number from 1.
    pub outputs: usize,
    /// Rank of the adapter, from 1 to [`MOST_RANK`].
    pub rank: usize,
}

impl LowRankShape {
    /// Refuses sizes out of range, and lengths that are not those of `x`, `w`, `down`, `up`, `inner` and `y`.
    pub(super) fn check(self, lengths: [usize; 6]) -> Result<(), BackendError> {
        let Self { rows, inputs, outputs, rank } = self;
        expect("rank", rank, rank.clamp(1, MOST_RANK))?;
        for (what, size) in [("number of rows", rows), ("number of inputs", inputs), ("number of outputs", outputs)] {
            expect(what, size, size.max(1))?;
        }
        let expected = [
            ("length of x", rows * inputs),
            ("length of the weights", outputs * inputs),
            ("length of down", rank * inputs),
            ("length of up", outputs * rank),
            ("length of inner", rows * rank),
            ("length of y", rows * outputs),
        ];
        lengths.into_iter().zip(expected).try_for_each(|(found, (what, expected))| expect(what, found, expected))
    }
}

/// Refuses gradients of down, up and x that are not as long as these, by pairs.
pub(super) fn check_gradients([down, up, x]: [[usize; 2]; 3]) -> Result<(), BackendError> {
    expect_all([
        ("length of the gradient of down", down[0], down[1]),
        ("length of the gradient of up", up[0], up[1]),
        ("length of the gradient of x", x[0], x[1]),
    ])
}

/// Layers with low-rank adapters (Hu et al., "LoRA", 2021). `x [rows, inputs]`, `w [outputs, inputs]`,
/// `down [rank, inputs]`, `up [outputs, rank]`.
pub trait LowRank: Device {
    /// `y [rows, outputs] = x w^T + scale inner up^T`, where `inner [rows, rank] = x down^T` is kept for the way back.
    ///
    /// # Errors
    /// [`BackendError::Shape`] when a buffer has another length than the shape says, or the rank is out of range.
    #[allow(clippy::too_many_arguments)]
    fn low_rank(
        &self,
        shape: LowRankShape,
        scale: f32,
        x: &Self::Buffer<f32>,
        w: &Self::Buffer<f32>,
        down: &Self::Buffer<f32>,
        up: &Self::Buffer<f32>,
        inner: &mut Self::Buffer<f32>,
        y: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// The gradients, from `d_y [rows, outputs]`: `d_down [rank, inputs] = scale (d_y up)^T x`,
    /// `d_up [outputs, rank] = scale d_y^T inner`, `d_x [rows, inputs] = d_y w + scale (d_y up) down`.
    ///
    /// # Errors
    /// As [`low_rank`](Self::low_rank).
    #[allow(clippy::too_many_arguments)]
    fn low_rank_gradients(
        &self,
        shape: LowRankShape,
        scale: f32,
        x: &Self::Buffer<f32>,
        w: &Self::Buffer<f32>,
        down: &Self::Buffer<f32>,
        up: &Self::Buffer<f32>,
        inner: &Self::Buffer<f32>,
        d_y: &Self::Buffer<f32>,
        d_down: &mut Self::Buffer<f32>,
        d_up: &mut Self::Buffer<f32>,
        d_x: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;
}
