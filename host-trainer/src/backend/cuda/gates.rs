//! Non-linear functions on a GPU.

use super::{Cuda, CudaBuffer};
use crate::backend::{BackendError, Gates, expect};
use ptx::list::{Launch, launch};

impl Cuda {
    /// Starts what `start` makes of the length of `out`, if that is also the length of all of `others`, and not 0.
    fn each<const N: usize>(
        &self,
        out: &CudaBuffer<f32>,
        others: [(&'static str, &CudaBuffer<f32>); N],
        start: impl FnOnce(u32) -> Launch,
    ) -> Result<(), BackendError> {
        others.into_iter().try_for_each(|(what, other)| expect(what, other.len(), out.len()))?;
        if out.len() == 0 {
            return Ok(());
        }
        // SAFETY: all buffers have as many numbers.
        unsafe { self.launch(&start(out.len() as u32)) }
    }
}

impl Gates for Cuda {
    fn gelu(&self, x: &CudaBuffer<f32>, y: &mut CudaBuffer<f32>) -> Result<(), BackendError> {
        self.each(y, [("length of x", x)], |n| launch::gelu(n, x.address(), y.address()))
    }

    fn gelu_gradient(
        &self,
        x: &CudaBuffer<f32>,
        d_y: &CudaBuffer<f32>,
        d_x: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        self.each(d_x, [("length of x", x), ("length of d_y", d_y)], |n| {
            launch::gelu_gradient(n, x.address(), d_y.address(), d_x.address())
        })
    }

    fn sigmoid_gate(
        &self,
        x: &CudaBuffer<f32>,
        gate: &CudaBuffer<f32>,
        y: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        self.each(y, [("length of x", x), ("length of the gate", gate)], |n| {
            launch::sigmoid_gate(n, x.address(), gate.address(), y.address())
        })
    }

    fn sigmoid_gate_gradients(
        &self,
        x: &CudaBuffer<f32>,
        gate: &CudaBuffer<f32>,
        d_y: &CudaBuffer<f32>,
        d_x: &mut CudaBuffer<f32>,
        d_gate: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        let others =
            [("length of x", x), ("length of the gate", gate), ("length of d_y", d_y), ("length of d_gate", &*d_gate)];
        self.each(d_x, others, |n| {
            launch::sigmoid_gate_gradients(
                n,
                x.address(),
                gate.address(),
                d_y.address(),
                d_x.address(),
                d_gate.address(),
            )
        })
    }

    fn clipped_relu(&self, largest: f32, x: &CudaBuffer<f32>, y: &mut CudaBuffer<f32>) -> Result<(), BackendError> {
        self.each(y, [("length of x", x)], |n| launch::clipped_relu(n, largest, x.address(), y.address()))
    }

    fn clipped_relu_gradient(
        &self,
        largest: f32,
        x: &CudaBuffer<f32>,
        d_y: &CudaBuffer<f32>,
        d_x: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        self.each(d_x, [("length of x", x), ("length of d_y", d_y)], |n| {
            launch::clipped_relu_gradient(n, largest, x.address(), d_y.address(), d_x.address())
        })
    }
}
