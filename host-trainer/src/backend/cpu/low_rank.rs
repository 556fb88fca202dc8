//! Layers with low-rank adapters on the CPU: products, one after another.

use super::Cpu;
use crate::backend::low_rank::check_gradients;
use crate::backend::{BackendError, LowRank, LowRankShape, Matmul, Product, Vectors};

impl LowRank for Cpu {
    fn low_rank(
        &self,
        shape: LowRankShape,
        scale: f32,
        x: &Vec<f32>,
        w: &Vec<f32>,
        down: &Vec<f32>,
        up: &Vec<f32>,
        inner: &mut Vec<f32>,
        y: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        shape.check([x.len(), w.len(), down.len(), up.len(), inner.len(), y.len()])?;
        let LowRankShape { rows, inputs, outputs, rank } = shape;
        self.matmul(Product::RightTransposed, [rows, rank, inputs], x, down, inner)?;
        self.matmul(Product::RightTransposed, [rows, outputs, inputs], x, w, y)?;
        let mut added = vec![0.0; y.len()];
        self.matmul(Product::RightTransposed, [rows, outputs, rank], inner, up, &mut added)?;
        self.scaled_add(scale, &added, y)
    }

    fn low_rank_gradients(
        &self,
        shape: LowRankShape,
        scale: f32,
        x: &Vec<f32>,
        w: &Vec<f32>,
        down: &Vec<f32>,
        up: &Vec<f32>,
        inner: &Vec<f32>,
        d_y: &Vec<f32>,
        d_down: &mut Vec<f32>,
        d_up: &mut Vec<f32>,
        d_x: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        shape.check([x.len(), w.len(), down.len(), up.len(), inner.len(), d_y.len()])?;
        check_gradients([[d_down.len(), down.len()], [d_up.len(), up.len()], [d_x.len(), x.len()]])?;
        let LowRankShape { rows, inputs, outputs, rank } = shape;
        let mut d_inner = vec![0.0; inner.len()];
        self.matmul(Product::Plain, [rows, rank, outputs], d_y, up, &mut d_inner)?;
        d_inner.iter_mut().for_each(|d| *d *= scale);
        self.matmul(Product::LeftTransposed, [rank, inputs, rows], &d_inner, x, d_down)?;
        self.matmul(Product::LeftTransposed, [outputs, rank, rows], d_y, inner, d_up)?;
        d_up.iter_mut().for_each(|d| *d *= scale);
        self.matmul(Product::Plain, [rows, inputs, outputs], d_y, w, d_x)?;
        let mut added = vec![0.0; x.len()];
        self.matmul(Product::Plain, [rows, inputs, rank], &d_inner, down, &mut added)?;
        self.scaled_add(1.0, &added, d_x)
    }
}
