//! Vectors on a GPU.

use super::{Cuda, CudaBuffer};
use crate::backend::{BackendError, Vectors, expect};
use ptx::list::launch;

impl Vectors for Cuda {
    fn scaled_add(&self, a: f32, x: &CudaBuffer<f32>, y: &mut CudaBuffer<f32>) -> Result<(), BackendError> {
        expect("length of x", x.len(), y.len())?;
        // SAFETY: both buffers have as many numbers.
        unsafe { self.launch(&launch::scaled_add(x.len() as u32, a, x.address(), y.address())) }
    }
}
