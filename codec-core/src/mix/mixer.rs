//! The mixing network: one layer of gated logistic mixing.

use super::logistic::{LOGIT_MAX, squash};

/// One, in the weights' Q13.
pub const WEIGHT_ONE: i16 = 1 << 13;

/// Largest learning rate: with it, no product in [`Mixer::learn`] leaves 32 bits.
pub const MAX_RATE: i32 = 11;

/// A weight after one step: `step` is the error times the rate, `input` its logit.
#[inline]
pub(crate) fn taught(weight: i16, input: i32, step: i32) -> i16 {
    let change = (input * step + (1 << 20)) >> 21;
    (i32::from(weight) + change).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

/// A bank of `GATES` weight vectors over `INPUTS` logits; the gate picks the vector used and taught.
#[derive(Clone, Debug)]
pub struct Mixer<const INPUTS: usize, const GATES: usize> {
    weights: [[i16; INPUTS]; GATES],
    gate: usize,
    p: u32,
}

impl<const INPUTS: usize, const GATES: usize> Mixer<INPUTS, GATES> {
    /// `|logit| <= 2839` and `|weight| <= 2^15`, so a sum of 23 products fits 32 bits.
    const SUM_FITS: () = assert!(INPUTS as i64 * LOGIT_MAX as i64 * (1 << 15) < 1 << 31);

    /// All weights equal to `weight` (Q13).
    pub const fn new(weight: i16) -> Self {
        let () = Self::SUM_FITS;
        Self { weights: [[weight; INPUTS]; GATES], gate: 0, p: 0 }
    }

    /// The weights, `[gates, inputs]`, Q13, to be set before the first use.
    pub fn weights_mut(&mut self) -> &mut [[i16; INPUTS]; GATES] {
        &mut self.weights
    }

    /// The mixed logit (Q8) of `inputs`, each within +-[`LOGIT_MAX`], under `gate`. Fewer than `INPUTS` may be given:
    /// the last ones then count as 0.
    #[inline]
    pub fn mix(&mut self, inputs: &[i32], gate: usize) -> i32 {
        self.gate = gate;
        let mut sum = 0i32;
        for (x, w) in inputs.iter().zip(&self.weights[gate]) {
            sum += x * i32::from(*w);
        }
        let logit = (sum >> 13).clamp(-LOGIT_MAX, LOGIT_MAX);
        self.p = squash(logit);
        logit
    }

    /// The probability of the last [`Mixer::mix`].
    #[inline]
    pub fn p(&self) -> u32 {
        self.p
    }

    /// Teaches the vector last used: one step down the gradient of the coding cost. `rate` (1..=[`MAX_RATE`]) is in
    /// 2^-14 of a weight per unit of logit and of error. Errors below `least` (16 bit) teach nothing: most decisions
    /// are sure, and their steps would round to little.
    #[inline]
    pub fn learn(&mut self, inputs: &[i32], bit: u32, rate: i32, least: u32) {
        let error = ((bit as i32) << 16) - self.p as i32;
        if error.unsigned_abs() < least {
            return;
        }
        let step = error * rate;
        for (x, w) in inputs.iter().zip(&mut self.weights[self.gate]) {
            *w = taught(*w, *x, step);
        }
    }
}
