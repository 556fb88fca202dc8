//! Shares by exponentials on a GPU.

use super::{Cuda, CudaBuffer};
use crate::backend::softmax::check;
use crate::backend::{BackendError, Softmax};
use ptx::list::launch;

impl Softmax for Cuda {
    fn softmax_rows(&self, columns: usize, x: &CudaBuffer<f32>, y: &mut CudaBuffer<f32>) -> Result<(), BackendError> {
        let rows = check(columns, ("length of x", x.len()), [("length of y", y.len())])?;
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch::softmax_rows(rows as u32, columns as u32, x.address(), y.address())) }
    }

    fn softmax_rows_back(
        &self,
        columns: usize,
        y: &CudaBuffer<f32>,
        dy: &CudaBuffer<f32>,
        dx: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        let rows = check(columns, ("length of y", y.len()), [("length of dy", dy.len()), ("length of dx", dx.len())])?;
        let (y, dy, dx) = (y.address(), dy.address(), dx.address());
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch::softmax_rows_back(rows as u32, columns as u32, y, dy, dx)) }
    }
}
