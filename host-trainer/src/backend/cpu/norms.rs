//! Norms of rows on the CPU.

use super::Cpu;
use crate::backend::norms::{check_layer, check_layer_back, check_rms};
use crate::backend::{BackendError, Norms};
use crate::train::neural::layers;

impl Norms for Cpu {
    fn layer_norm(
        &self,
        columns: usize,
        epsilon: f32,
        x: &Vec<f32>,
        scale: &Vec<f32>,
        shift: &Vec<f32>,
        y: &mut Vec<f32>,
        moments: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        check_layer(columns, [x.len(), scale.len(), shift.len(), y.len(), moments.len()])?;
        self.rows(moments, 2, |first, moments| {
            for (moments, x) in moments.chunks_exact_mut(2).zip(x[first * columns..].chunks_exact(columns)) {
                let mean = x.iter().sum::<f32>() / columns as f32;
                let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / columns as f32;
                moments.copy_from_slice(&[mean, (variance + epsilon).sqrt().recip()]);
            }
        });
        self.rows(y, columns, |first, y| {
            let rows = x[first * columns..].chunks_exact(columns).zip(moments[2 * first..].chunks_exact(2));
            for (y, (x, moments)) in y.chunks_exact_mut(columns).zip(rows) {
                for (i, (y, x)) in y.iter_mut().zip(x).enumerate() {
                    *y = (x - moments[0]) * moments[1] * scale[i] + shift[i];
                }
            }
        });
        Ok(())
    }

    fn layer_norm_back(
        &self,
        columns: usize,
        x: &Vec<f32>,
        scale: &Vec<f32>,
        moments: &Vec<f32>,
        dy: &Vec<f32>,
        dx: &mut Vec<f32>,
        d_scale: &mut Vec<f32>,
        d_shift: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        let inputs = [x.len(), scale.len(), moments.len(), dy.len()];
        let rows = check_layer_back(columns, inputs, [dx.len(), d_scale.len(), d_shift.len()])?;
        self.rows(dx, columns, |first, dx| {
            for (row, dx) in (first..).zip(dx.chunks_exact_mut(columns)) {
                let (x, dy) = (&x[row * columns..][..columns], &dy[row * columns..][..columns]);
                let (mean, factor) = (moments[2 * row], moments[2 * row + 1]);
                let normal = |i: usize| (x[i] - mean) * factor;
                let sum: f32 = (0..columns).map(|i| dy[i] * scale[i]).sum();
                let products: f32 = (0..columns).map(|i| dy[i] * scale[i] * normal(i)).sum();
                for (i, dx) in dx.iter_mut().enumerate() {
                    *dx = factor * (dy[i] * scale[i] - (sum + normal(i) * products) / columns as f32);
                }
            }
        });
        // Rows in their order, whatever the threads.
        self.rows(d_scale, 1, |first, d_scale| {
            d_scale.fill(0.0);
            for row in 0..rows {
                for (at, d) in (row * columns + first..).zip(&mut *d_scale) {
                    *d += dy[at] * (x[at] - moments[2 * row]) * moments[2 * row + 1];
                }
            }
        });
        self.rows(d_shift, 1, |first, d_shift| {
            d_shift.fill(0.0);
            for dy in dy.chunks_exact(columns) {
                d_shift.iter_mut().zip(&dy[first..]).for_each(|(d, dy)| *d += dy);
            }
        });
        Ok(())
    }

    fn rms_norm(
        &self,
        columns: usize,
        epsilon: f32,
        x: &Vec<f32>,
        y: &mut Vec<f32>,
        factors: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        check_rms(columns, factors.len(), ("length of x", x.len()), [("length of y", y.len())])?;
        self.rows(factors, 1, |first, factors| {
            for (factor, x) in factors.iter_mut().zip(x[first * columns..].chunks_exact(columns)) {
                *factor = layers::rms_factor(x, epsilon);
            }
        });
        self.rows(y, columns, |first, y| {
            let rows = x[first * columns..].chunks_exact(columns).zip(&factors[first..]);
            for (y, (x, factor)) in y.chunks_exact_mut(columns).zip(rows) {
                y.iter_mut().zip(x).for_each(|(y, x)| *y = x * factor);
            }
        });
        Ok(())
    }

    fn rms_norm_back(
        &self,
        columns: usize,
        y: &Vec<f32>,
        factors: &Vec<f32>,
        dy: &Vec<f32>,
        dx: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        let others = [("length of dy", dy.len()), ("length of dx", dx.len())];
        check_rms(columns, factors.len(), ("length of y", y.len()), others)?;
        self.rows(dx, columns, |first, dx| {
            for (row, dx) in (first..).zip(dx.chunks_exact_mut(columns)) {
                let at = row * columns..(row + 1) * columns;
                layers::rms_norm_back(factors[row], &y[at.clone()], &dy[at], dx);
            }
        });
        Ok(())
    }
}
