//! Adam (Kingma and Ba, 2015), and the learning rate over a run.

use crate::backend::AdamStep;
use serde::{Deserialize, Serialize};

const BETAS: (f32, f32) = (0.9, 0.98);
const EPSILON: f32 = 1e-8;
/// Share of a run in which the learning rate rises.
const WARM: f32 = 0.02;
/// Last learning rate, as a share of the largest.
const LEAST: f32 = 0.02;

/// The step of number `step`, from 1, with the moments' shares that are used here.
pub fn step(rate: f32, decay: f32, step: i32) -> AdamStep {
    let (beta1, beta2) = BETAS;
    AdamStep { rate, beta1, beta2, epsilon: EPSILON, decay, step }
}

/// Moments of every parameter.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Adam {
    first: Vec<f32>,
    second: Vec<f32>,
    steps: i32,
}

impl Adam {
    /// For `len` parameters.
    pub fn new(len: usize) -> Self {
        Self { first: vec![0.0; len], second: vec![0.0; len], steps: 0 }
    }

    /// Whether these are the moments of `len` parameters after so many steps.
    pub fn fits(&self, len: usize, steps: u64) -> bool {
        self.first.len() == len && self.second.len() == len && u64::try_from(self.steps) == Ok(steps)
    }

    /// One step down the gradient, after every parameter has lost `rate * decay` of itself (Loshchilov and Hutter, 2019).
    pub fn step(&mut self, parameters: &mut [f32], gradient: &[f32], rate: f32, decay: f32) {
        self.steps += 1;
        step(rate, decay, self.steps).apply(gradient, &mut self.first, &mut self.second, parameters);
    }
}

/// Learning rate at `done` (0 to 1) of a run: up to `largest`, then down along a cosine.
pub fn rate(done: f32, largest: f32) -> f32 {
    if done < WARM {
        return largest * done.max(WARM / 100.0) / WARM;
    }
    let cosine = (std::f32::consts::PI * ((done - WARM) / (1.0 - WARM)).min(1.0)).cos();
    largest * (LEAST + (1.0 - LEAST) * 0.5 * (1.0 + cosine))
}
