//! Losses on the CPU.

use super::Cpu;
use crate::backend::losses::check;
use crate::backend::{BackendError, Losses};

/// The largest of some numbers, the first of equal ones.
pub(super) fn largest(numbers: &[f32]) -> usize {
    (0..numbers.len()).fold(0, |best, i| if numbers[i] > numbers[best] { i } else { best })
}

/// What one row of logits costs, and which is the largest, the first of equal ones. `logits` become their own gradient.
pub(super) fn cross_entropy(logits: &mut [f32], target: usize) -> (f32, usize) {
    let best = largest(logits);
    let (most, at_target) = (logits[best], logits[target]);
    logits.iter_mut().for_each(|logit| *logit = (*logit - most).exp());
    let sum: f32 = logits.iter().sum();
    let share = 1.0 / sum;
    logits.iter_mut().for_each(|logit| *logit *= share);
    logits[target] -= 1.0;
    (sum.ln() + most - at_target, best)
}

impl Losses for Cpu {
    fn softmax_cross_entropy(
        &self,
        n: usize,
        classes: usize,
        logits: &Vec<f32>,
        targets: &Vec<u8>,
        costs: &mut Vec<f32>,
        right: &mut Vec<u32>,
        d_logits: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        check(n, classes, [logits.len(), d_logits.len(), targets.len(), costs.len(), right.len()])?;
        let rows = logits.chunks(classes).zip(targets).zip(d_logits.chunks_mut(classes)).zip(costs).zip(right);
        self.each_of(rows, |((((logits, target), d), cost), right), (): &mut ()| {
            d.copy_from_slice(logits);
            let target = usize::from(*target);
            let (nats, best) = cross_entropy(d, target);
            (*cost, *right) = (nats, u32::from(best == target));
        });
        Ok(())
    }
}
