//! Vectors on a GPU.

use super::{Cuda, CudaBuffer};
use crate::backend::{BackendError, Device, Vectors, expect};
use ptx::kernels::vector::SUM_BLOCKS;
use ptx::list::launch;

impl Vectors for Cuda {
    fn scaled_add(&self, a: f32, x: &CudaBuffer<f32>, y: &mut CudaBuffer<f32>) -> Result<(), BackendError> {
        expect("length of x", x.len(), y.len())?;
        // SAFETY: both buffers have as many numbers.
        unsafe { self.launch(&launch::scaled_add(x.len() as u32, a, x.address(), y.address())) }
    }

    fn sum(&self, x: &CudaBuffer<f32>) -> Result<f32, BackendError> {
        let partial = self.allocate::<f32>(SUM_BLOCKS as usize)?;
        // SAFETY: as many numbers as `x` has, and a partial sum for every block.
        unsafe { self.launch(&launch::sum(x.len() as u32, x.address(), partial.address()))? };
        Ok(self.download(&partial)?.iter().sum())
    }
}
