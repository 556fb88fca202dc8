//! Non-linear functions on the CPU.

use super::Cpu;
use crate::backend::{BackendError, Gates, expect};
use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// `sqrt(2 / pi)` and the cubic term's factor.
const GELU: [f32; 2] = [FRAC_2_SQRT_PI * FRAC_1_SQRT_2, 0.044_715];

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

impl Cpu {
    /// `y[i] = function(i)`.
    pub(super) fn fill(&self, y: &mut [f32], function: impl Fn(usize) -> f32 + Sync) {
        self.rows(y, 1, |first, y| (first..).zip(y).for_each(|(i, y)| *y = function(i)));
    }
}

impl Gates for Cpu {
    fn gelu(&self, x: &Vec<f32>, y: &mut Vec<f32>) -> Result<(), BackendError> {
        expect("length of x", x.len(), y.len())?;
        self.fill(y, |i| {
            let x = x[i];
            0.5 * x * (1.0 + (GELU[0] * (x + GELU[1] * x * x * x)).tanh())
        });
        Ok(())
    }

    fn gelu_gradient(&self, x: &Vec<f32>, d_y: &Vec<f32>, d_x: &mut Vec<f32>) -> Result<(), BackendError> {
        expect("length of x", x.len(), d_x.len())?;
        expect("length of d_y", d_y.len(), d_x.len())?;
        self.fill(d_x, |i| {
            let x = x[i];
            let tanh = (GELU[0] * (x + GELU[1] * x * x * x)).tanh();
            let inner = GELU[0] * (1.0 + 3.0 * GELU[1] * x * x);
            d_y[i] * 0.5 * (1.0 + tanh + x * (1.0 - tanh * tanh) * inner)
        });
        Ok(())
    }

    fn sigmoid_gate(&self, x: &Vec<f32>, gate: &Vec<f32>, y: &mut Vec<f32>) -> Result<(), BackendError> {
        expect("length of x", x.len(), y.len())?;
        expect("length of the gate", gate.len(), y.len())?;
        self.fill(y, |i| x[i] * sigmoid(gate[i]));
        Ok(())
    }

    fn sigmoid_gate_gradients(
        &self,
        x: &Vec<f32>,
        gate: &Vec<f32>,
        d_y: &Vec<f32>,
        d_x: &mut Vec<f32>,
        d_gate: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        for (what, found) in
            [("length of x", x.len()), ("length of the gate", gate.len()), ("length of d_y", d_y.len())]
        {
            expect(what, found, d_x.len())?;
        }
        expect("length of d_gate", d_gate.len(), d_x.len())?;
        self.fill(d_x, |i| d_y[i] * sigmoid(gate[i]));
        self.fill(d_gate, |i| {
            let s = sigmoid(gate[i]);
            d_y[i] * x[i] * s * (1.0 - s)
        });
        Ok(())
    }

    fn clipped_relu(&self, largest: f32, x: &Vec<f32>, y: &mut Vec<f32>) -> Result<(), BackendError> {
        expect("length of x", x.len(), y.len())?;
        self.fill(y, |i| x[i].max(0.0).min(largest));
        Ok(())
    }

    fn clipped_relu_gradient(
        &self,
        largest: f32,
        x: &Vec<f32>,
        d_y: &Vec<f32>,
        d_x: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        expect("length of x", x.len(), d_x.len())?;
        expect("length of d_y", d_y.len(), d_x.len())?;
        self.fill(d_x, |i| if x[i] > 0.0 && x[i] < largest { d_y[i] } else { 0.0 });
        Ok(())
    }
}
