//! Losses on the CPU.

use super::Cpu;
use crate::backend::losses::MOST_CLASSES;
use crate::backend::{BackendError, Losses, expect};

/// What one row of logits costs, and which is the largest, the first of equal ones. `logits` become their own gradient.
pub(super) fn cross_entropy(logits: &mut [f32], target: usize) -> (f32, usize) {
    let mut best = 0;
    for (class, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = class;
        }
    }
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
        expect("number of classes", classes, classes.clamp(1, MOST_CLASSES))?;
        expect("length of the logits", logits.len(), n * classes)?;
        expect("length of their gradient", d_logits.len(), n * classes)?;
        for (what, found) in [("targets", targets.len()), ("costs", costs.len()), ("right", right.len())] {
            expect(what, found, n)?;
        }
        let row = |i: usize, d: &mut [f32]| {
            d.copy_from_slice(&logits[i * classes..][..classes]);
            cross_entropy(d, usize::from(targets[i]))
        };
        let share = n.div_ceil(self.threads).max(1);
        std::thread::scope(|scope| {
            let parts = d_logits.chunks_mut(share * classes).zip(costs.chunks_mut(share)).zip(right.chunks_mut(share));
            for (part, ((d, costs), right)) in parts.enumerate() {
                let row = &row;
                scope.spawn(move || {
                    let rows = d.chunks_mut(classes).zip(costs).zip(right);
                    for (i, ((d, cost), right)) in rows.enumerate() {
                        let i = part * share + i;
                        let (nats, best) = row(i, d);
                        (*cost, *right) = (nats, u32::from(best == usize::from(targets[i])));
                    }
                });
            }
        });
        Ok(())
    }
}
