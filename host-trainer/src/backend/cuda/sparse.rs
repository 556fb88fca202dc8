//! Masks of sparse matrices on a GPU.

use super::{Cuda, CudaBuffer};
use crate::backend::sparse::fits;
use crate::backend::{BackendError, Sparse, Sparsity};
use ptx::list::launch;

impl Sparse for Cuda {
    fn sparse_mask(
        &self,
        sparsity: Sparsity,
        x: &CudaBuffer<f32>,
        values: &mut CudaBuffer<f32>,
        mask: &mut CudaBuffer<u32>,
    ) -> Result<(), BackendError> {
        fits(sparsity, x.len(), values.len(), mask.len())?;
        let (n, x, values, mask) = (x.len() as u32, x.address(), values.address(), mask.address());
        let launch = match sparsity {
            Sparsity::TwoOfFour => launch::sparse_two_of_four(n, x, values, mask),
            Sparsity::Magnitude(least) => launch::sparse_threshold(n, least, x, values, mask),
        };
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch) }
    }
}
