//! Products of matrices on a GPU.

use super::{Cuda, CudaBuffer};
use crate::backend::{BackendError, Matmul, Product, expect};
use ptx::list::launch;

impl Matmul for Cuda {
    fn matmul(
        &self,
        product: Product,
        [m, n, k]: [usize; 3],
        a: &CudaBuffer<f32>,
        b: &CudaBuffer<f32>,
        c: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        expect("length of a", a.len(), m * k)?;
        expect("length of b", b.len(), k * n)?;
        expect("length of c", c.len(), m * n)?;
        let (m, n, k) = (m as u32, n as u32, k as u32);
        let (a_row, a_column) = if product == Product::LeftTransposed { (1, m) } else { (k, 1) };
        let (b_row, b_column) = if product == Product::RightTransposed { (1, k) } else { (n, 1) };
        let (a, b, c) = (a.address(), b.address(), c.address());
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch::matmul_f32(m, n, k, a, a_row, a_column, b, b_row, b_column, c)) }
    }
}
