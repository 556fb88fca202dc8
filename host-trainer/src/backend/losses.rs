//! Losses and their gradients.

use super::{BackendError, Device};

/// Most classes of a loss.
pub const MOST_CLASSES: usize = 1024;

/// Losses.
pub trait Losses: Device {
    /// Softmax cross-entropy of `n` rows, forward and backward. `logits [n, classes]`, `targets [n]`, each below `classes`
    /// (from 1 to [`MOST_CLASSES`]); `costs [n]`, nats; `right [n]`, 1 where the largest logit is the target's (of equal ones
    /// the first wins), else 0; `d_logits [n, classes]`, the gradient of the sum of the costs: softmax less one at the target.
    ///
    /// # Errors
    /// [`BackendError::Shape`] when a buffer has another length than the sizes say, or `classes` is out of range.
    #[allow(clippy::too_many_arguments)]
    fn softmax_cross_entropy(
        &self,
        n: usize,
        classes: usize,
        logits: &Self::Buffer<f32>,
        targets: &Self::Buffer<u8>,
        costs: &mut Self::Buffer<f32>,
        right: &mut Self::Buffer<u32>,
        d_logits: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;
}
