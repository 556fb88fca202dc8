//! Vectors on the CPU.

use super::Cpu;
use crate::backend::{BackendError, Vectors, expect};

impl Vectors for Cpu {
    fn scaled_add(&self, a: f32, x: &Vec<f32>, y: &mut Vec<f32>) -> Result<(), BackendError> {
        expect("length of x", x.len(), y.len())?;
        self.rows(y, 1, |first, y| y.iter_mut().zip(&x[first..]).for_each(|(y, x)| *y += a * x));
        Ok(())
    }

    fn sum(&self, x: &Vec<f32>) -> Result<f32, BackendError> {
        // Not in threads: the order of the partial sums does not depend on their number.
        Ok(x.chunks(4096).map(|part| part.iter().sum::<f32>()).sum())
    }
}
