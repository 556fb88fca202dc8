//! Vectors on the CPU.

use super::Cpu;
use crate::backend::{BackendError, Vectors, expect};

impl Vectors for Cpu {
    fn scaled_add(&self, a: f32, x: &Vec<f32>, y: &mut Vec<f32>) -> Result<(), BackendError> {
        expect("length of x", x.len(), y.len())?;
        self.rows(y, 1, |first, y| y.iter_mut().zip(&x[first..]).for_each(|(y, x)| *y += a * x));
        Ok(())
    }
}
