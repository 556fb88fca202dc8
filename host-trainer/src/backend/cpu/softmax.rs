//! Shares by exponentials on the CPU.

use super::Cpu;
use crate::backend::softmax::check;
use crate::backend::{BackendError, Softmax};
use crate::train::neural::layers;

impl Softmax for Cpu {
    fn softmax_rows(&self, columns: usize, x: &Vec<f32>, y: &mut Vec<f32>) -> Result<(), BackendError> {
        check(columns, ("length of x", x.len()), [("length of y", y.len())])?;
        self.rows(y, columns, |first, y| {
            y.copy_from_slice(&x[first * columns..][..y.len()]);
            y.chunks_exact_mut(columns).for_each(layers::softmax);
        });
        Ok(())
    }

    fn softmax_rows_back(
        &self,
        columns: usize,
        y: &Vec<f32>,
        dy: &Vec<f32>,
        dx: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        check(columns, ("length of y", y.len()), [("length of dy", dy.len()), ("length of dx", dx.len())])?;
        self.rows(dx, columns, |first, dx| {
            dx.copy_from_slice(&dy[first * columns..][..dx.len()]);
            for (y, dx) in y[first * columns..].chunks_exact(columns).zip(dx.chunks_exact_mut(columns)) {
                layers::softmax_back(y, dx);
            }
        });
        Ok(())
    }
}
