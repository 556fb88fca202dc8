//! The mixing network: one layer of gated logistic mixing.

use super::logistic::{LOGIT_MAX, squash};

/// One, in the weights' Q16.
pub const WEIGHT_ONE: i32 = 1 << 16;

/// A bank of `GATES` weight vectors over `INPUTS` logits; the gate picks the vector used and taught.
#[derive(Clone, Debug)]
pub struct Mixer<const INPUTS: usize, const GATES: usize> {
    weights: [[i32; INPUTS]; GATES],
    gate: usize,
    p: u32,
}

impl<const INPUTS: usize, const GATES: usize> Mixer<INPUTS, GATES> {
    /// All weights equal to `weight` (Q16).
    pub const fn new(weight: i32) -> Self {
        Self { weights: [[weight; INPUTS]; GATES], gate: 0, p: 32768 }
    }

    /// The weights, `[gates, inputs]`, Q16.
    pub fn weights(&self) -> &[[i32; INPUTS]; GATES] {
        &self.weights
    }

    /// The weights, to be set before the first use.
    pub fn weights_mut(&mut self) -> &mut [[i32; INPUTS]; GATES] {
        &mut self.weights
    }

    /// The mixed logit (Q8) of `inputs` under `gate`.
    #[inline]
    pub fn mix(&mut self, inputs: &[i32; INPUTS], gate: usize) -> i32 {
        self.gate = gate;
        let weights = &self.weights[gate];
        let mut sum = 0i64;
        for (x, w) in inputs.iter().zip(weights) {
            sum += i64::from(*x) * i64::from(*w);
        }
        let logit = (sum >> 16).clamp(-i64::from(LOGIT_MAX), i64::from(LOGIT_MAX)) as i32;
        self.p = squash(logit);
        logit
    }

    /// The probability of the last [`Mixer::mix`].
    #[inline]
    pub fn p(&self) -> u32 {
        self.p
    }

    /// Teaches the vector last used: one step down the gradient of the coding cost, `rate` in Q14 per unit.
    #[inline]
    pub fn learn(&mut self, inputs: &[i32; INPUTS], bit: u32, rate: i32) {
        let error = ((bit as i32) << 16) - self.p as i32;
        let step = error * rate;
        for (x, w) in inputs.iter().zip(&mut self.weights[self.gate]) {
            let change = (i64::from(*x) * i64::from(step) + (1 << 17)) >> 18;
            *w = w.saturating_add(change as i32);
        }
    }
}
