//! Losses and their gradients.

use super::{BackendError, Device, expect, expect_all};

/// Most classes of a loss.
pub const MOST_CLASSES: usize = 1024;

/// Refuses a number of classes out of range, and lengths that are not those of the logits, their gradient, the targets, the
/// costs and what is right.
pub(super) fn check(
    n: usize,
    classes: usize,
    [logits, d_logits, targets, costs, right]: [usize; 5],
) -> Result<(), BackendError> {
    expect("number of classes", classes, classes.clamp(1, MOST_CLASSES))?;
    expect_all([
        ("length of the logits", logits, n * classes),
        ("length of their gradient", d_logits, n * classes),
        ("targets", targets, n),
        ("costs", costs, n),
        ("right", right, n),
    ])
}

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
