//! Products of matrices on a GPU.

use super::{Cuda, CudaBuffer};
use crate::backend::matmul::check;
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
        check([m, n, k], [a.len(), b.len(), c.len()])?;
        let (m, n, k) = (m as u32, n as u32, k as u32);
        let (a_row, a_column) = if product == Product::LeftTransposed { (1, m) } else { (k, 1) };
        let (b_row, b_column) = if product == Product::RightTransposed { (1, k) } else { (n, 1) };
        let (a, b, c) = (a.address(), b.address(), c.address());
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch::matmul_f32(m, n, k, a, a_row, a_column, b, b_row, b_column, c)) }
    }

    fn to_bf16(&self, x: &CudaBuffer<f32>, out: &mut CudaBuffer<u16>) -> Result<(), BackendError> {
        expect("length of out", out.len(), x.len())?;
        let n = x.len() as u32;
        // SAFETY: both buffers have as many numbers.
        unsafe { self.launch(&launch::to_bf16(n, x.address(), out.address())) }
    }

    fn matmul_bf16(
        &self,
        product: Product,
        [m, n, k]: [usize; 3],
        a: &CudaBuffer<u16>,
        b: &CudaBuffer<u16>,
        c: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        check([m, n, k], [a.len(), b.len(), c.len()])?;
        let launch = match product {
            Product::Plain => launch::matmul_bf16_plain,
            Product::RightTransposed => launch::matmul_bf16,
            Product::LeftTransposed => launch::matmul_bf16_left,
        };
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch(m as u32, n as u32, k as u32, a.address(), b.address(), c.address())) }
    }

    fn matmul_i8(
        &self,
        [m, n, k]: [usize; 3],
        a: &CudaBuffer<i8>,
        b: &CudaBuffer<i8>,
        c: &mut CudaBuffer<i32>,
    ) -> Result<(), BackendError> {
        check([m, n, k], [a.len(), b.len(), c.len()])?;
        let (m, n, k) = (m as u32, n as u32, k as u32);
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch::matmul_i8(m, n, k, a.address(), b.address(), c.address())) }
    }
}
