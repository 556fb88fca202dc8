//! Masks of sparse matrices on the CPU.

use super::Cpu;
use crate::backend::sparse::fits;
use crate::backend::{BackendError, Sparse, Sparsity};

/// Whether number `i` stays.
fn stays(sparsity: Sparsity, x: &[f32], i: usize) -> bool {
    match sparsity {
        Sparsity::Magnitude(least) => x[i].abs() >= least,
        Sparsity::TwoOfFour => {
            let (own, start) = (x[i].abs(), i / 4 * 4);
            let before = |j: usize| x[j].abs() > own || x[j].abs() == own && j < i;
            (start..start + 4).filter(|j| before(*j)).count() < 2
        }
    }
}

impl Sparse for Cpu {
    fn sparse_mask(
        &self,
        sparsity: Sparsity,
        x: &Vec<f32>,
        values: &mut Vec<f32>,
        mask: &mut Vec<u32>,
    ) -> Result<(), BackendError> {
        fits(sparsity, x.len(), values.len(), mask.len())?;
        self.rows(values, 1, |first, values| {
            for (i, value) in (first..).zip(values) {
                *value = if stays(sparsity, x, i) { x[i] } else { 0.0 };
            }
        });
        self.rows(mask, 1, |first, words| {
            for (at, word) in (first..).zip(words) {
                let numbers = 32 * at..x.len().min(32 * (at + 1));
                *word = numbers.fold(0, |word, i| word | u32::from(stays(sparsity, x, i)) << (i % 32));
            }
        });
        Ok(())
    }
}
