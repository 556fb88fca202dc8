//! Steps of optimisers.

use super::{BackendError, Device, expect_all};

/// A step of AdamW: Adam (Kingma and Ba, 2015) with decoupled decay (Loshchilov and Hutter, 2019).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub rate: f32,
    /// How much of the first moment stays.
    pub beta1: f32,
    /// How much of the second moment stays.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Each parameter loses `rate * decay` of itself.
    pub decay: f32,
    /// Which step this is, from 1: moments begin at 0 and are scaled by `1 / (1 - beta^step)`.
    pub step: i32,
}

impl AdamStep {
    /// What corrects the two moments for their beginning.
    pub fn scales(&self) -> [f32; 2] {
        [self.beta1, self.beta2].map(|beta| 1.0 / (1.0 - beta.powi(self.step)))
    }

    /// The step on the CPU, of parameters that stand side by side with their gradient and moments; as many as the shortest.
    pub fn apply(&self, gradient: &[f32], m: &mut [f32], v: &mut [f32], parameters: &mut [f32]) {
        let Self { rate, beta1, beta2, epsilon, decay, .. } = *self;
        let [first_scale, second_scale] = self.scales();
        for ((p, g), (m, v)) in parameters.iter_mut().zip(gradient).zip(m.iter_mut().zip(v)) {
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            *p -= rate * ((*m * first_scale) / ((*v * second_scale).sqrt() + epsilon) + decay * *p);
        }
    }
}

/// Refuses a gradient and moments that are not as long as the parameters.
pub(super) fn check([gradient, m, v]: [usize; 3], parameters: usize) -> Result<(), BackendError> {
    expect_all([
        ("length of the gradient", gradient, parameters),
        ("length of m", m, parameters),
        ("length of v", v, parameters),
    ])
}

/// Steps of optimisers.
pub trait Optimisers: Device {
    /// One step: the moments take `gradient` in, the parameters go down. The same bits on every device.
    ///
    /// # Errors
    /// [`BackendError::Shape`] when the lengths differ.
    fn adam_step(
        &self,
        step: AdamStep,
        gradient: &Self::Buffer<f32>,
        m: &mut Self::Buffer<f32>,
        v: &mut Self::Buffer<f32>,
        parameters: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;
}
