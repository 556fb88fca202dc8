//! Position memories on the CPU: files in threads, some positions at a time.

use super::Cpu;
use super::losses::{cross_entropy, largest};
use super::matmul::view;
use crate::backend::memories::BYTES;
use crate::backend::{BackendError, Memories, MemoryShape};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

/// Positions whose logits are held at a time.
const TILE: usize = 64;

/// `c = factor a b + keep c`.
fn product(a: &ArrayView2<'_, f32>, b: &ArrayView2<'_, f32>, factor: f32, keep: f32, c: &mut [f32], columns: usize) {
    let rows = c.len() / columns;
    let mut c = ArrayViewMut2::from_shape((rows, columns), c).expect("whole rows");
    general_mat_mul(factor, a, b, keep, &mut c);
}

/// The logits of some positions.
fn logits<'a>(out: &[f32], rows: &[f32], dim: usize, scratch: &'a mut Vec<f32>) -> &'a mut [f32] {
    let positions = rows.len() / dim;
    scratch.clear();
    scratch.resize(positions * BYTES, 0.0);
    product(&view(rows, positions, dim), &view(out, BYTES, dim).reversed_axes(), 1.0, 0.0, scratch, BYTES);
    scratch
}

/// Makes the logits of some positions their gradient; the cost of the positions, and how many are right.
fn costs(logits: &mut [f32], targets: &[u8]) -> (f32, u32) {
    let rows = logits.chunks_mut(BYTES).zip(targets);
    rows.fold((0.0, 0), |(cost, right), (logits, target)| {
        let (nats, best) = cross_entropy(logits, usize::from(*target));
        (cost + nats, right + u32::from(best == usize::from(*target)))
    })
}

impl Memories for Cpu {
    fn memory_step(
        &self,
        shape: MemoryShape,
        rate: f32,
        out: &Vec<f32>,
        targets: &Vec<u8>,
        rows: &mut Vec<f32>,
        file_costs: &mut Vec<f32>,
        right: &mut Vec<u32>,
    ) -> Result<(), BackendError> {
        shape.check(out.len(), rows.len(), targets.len())?;
        shape.check_counts(file_costs.len(), right.len())?;
        let MemoryShape { len, dim, .. } = shape;
        let files = rows.chunks_mut(len * dim).zip(targets.chunks(len)).zip(file_costs).zip(right);
        self.each_of(files, |(((rows, targets), cost), right), scratch| {
            (*cost, *right) = (0.0, 0);
            for (rows, targets) in rows.chunks_mut(TILE * dim).zip(targets.chunks(TILE)) {
                let logits = logits(out, rows, dim, scratch);
                let (nats, hits) = costs(logits, targets);
                (*cost, *right) = (*cost + nats, *right + hits);
                product(&view(logits, targets.len(), BYTES), &view(out, BYTES, dim), -rate, 1.0, rows, dim);
            }
        });
        Ok(())
    }

    fn memory_cost(
        &self,
        shape: MemoryShape,
        out: &Vec<f32>,
        targets: &Vec<u8>,
        rows: &Vec<f32>,
        file_costs: &mut Vec<f32>,
        right: &mut Vec<u32>,
    ) -> Result<(), BackendError> {
        shape.check(out.len(), rows.len(), targets.len())?;
        shape.check_counts(file_costs.len(), right.len())?;
        let MemoryShape { len, dim, .. } = shape;
        let files = rows.chunks(len * dim).zip(targets.chunks(len)).zip(file_costs).zip(right);
        self.each_of(files, |(((rows, targets), cost), right), scratch| {
            (*cost, *right) = (0.0, 0);
            for (rows, targets) in rows.chunks(TILE * dim).zip(targets.chunks(TILE)) {
                let (nats, hits) = costs(logits(out, rows, dim, scratch), targets);
                (*cost, *right) = (*cost + nats, *right + hits);
            }
        });
        Ok(())
    }

    fn memory_gradients(
        &self,
        shape: MemoryShape,
        out: &Vec<f32>,
        targets: &Vec<u8>,
        rows: &Vec<f32>,
        d_rows: &mut Vec<f32>,
        d_out: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        shape.check(out.len(), rows.len(), targets.len())?;
        shape.check_gradients(d_rows.len(), d_out.len())?;
        let MemoryShape { len, dim, .. } = shape;
        let files = rows.chunks(len * dim).zip(targets.chunks(len));
        let gradients = d_rows.chunks_mut(len * dim).zip(d_out.chunks_mut(BYTES * dim));
        self.each_of(files.zip(gradients), |((rows, targets), (d_rows, d_out)), scratch| {
            d_out.fill(0.0);
            // A NaN would outlive a factor of 0.
            d_rows.fill(0.0);
            let tiles = rows.chunks(TILE * dim).zip(targets.chunks(TILE));
            for ((rows, targets), d_rows) in tiles.zip(d_rows.chunks_mut(TILE * dim)) {
                let logits = logits(out, rows, dim, scratch);
                costs(logits, targets);
                let d = view(logits, targets.len(), BYTES);
                product(&d, &view(out, BYTES, dim), 1.0, 0.0, d_rows, dim);
                product(&d.reversed_axes(), &view(rows, targets.len(), dim), 1.0, 1.0, d_out, dim);
            }
        });
        Ok(())
    }

    fn memory_read(
        &self,
        shape: MemoryShape,
        out: &Vec<f32>,
        rows: &Vec<f32>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
        shape.check(out.len(), rows.len(), bytes.len())?;
        let dim = shape.dim;
        self.rows(bytes, 1, |first, bytes| {
            let mut scratch = Vec::new();
            let rows = &rows[first * dim..][..bytes.len() * dim];
            for (bytes, rows) in bytes.chunks_mut(TILE).zip(rows.chunks(TILE * dim)) {
                let logits = logits(out, rows, dim, &mut scratch);
                for (byte, logits) in bytes.iter_mut().zip(logits.chunks(BYTES)) {
                    *byte = largest(logits) as u8;
                }
            }
        });
        Ok(())
    }
}
