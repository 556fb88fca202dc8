//! Products of matrices on the CPU: `matrixmultiply`, by rows in threads.

use super::Cpu;
use crate::backend::matmul::check;
use crate::backend::{BackendError, Matmul, Product, expect};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};
use ptx::gpu::bf16;

/// A matrix in memory.
pub(super) fn view(data: &[f32], rows: usize, columns: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, columns), data).expect("lengths have been checked")
}

impl Matmul for Cpu {
    fn matmul(
        &self,
        product: Product,
        [m, n, k]: [usize; 3],
        a: &Vec<f32>,
        b: &Vec<f32>,
        c: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        check([m, n, k], [a.len(), b.len(), c.len()])?;
        let right = match product {
            Product::RightTransposed => view(b, n, k).reversed_axes(),
            Product::Plain | Product::LeftTransposed => view(b, k, n),
        };
        self.rows(c, n, |first, c| {
            let rows = c.len() / n;
            let left = match product {
                Product::LeftTransposed => view(a, k, m).reversed_axes(),
                Product::Plain | Product::RightTransposed => view(a, m, k),
            };
            let left = left.slice_move(ndarray::s![first..first + rows, ..]);
            let mut c = ArrayViewMut2::from_shape((rows, n), c).expect("whole rows");
            general_mat_mul(1.0, &left, &right, 0.0, &mut c);
        });
        Ok(())
    }

    fn to_bf16(&self, x: &Vec<f32>, out: &mut Vec<u16>) -> Result<(), BackendError> {
        expect("length of out", out.len(), x.len())?;
        self.rows(out, 1, |first, out| out.iter_mut().zip(&x[first..]).for_each(|(out, x)| *out = bf16(*x) as u16));
        Ok(())
    }

    fn matmul_bf16(
        &self,
        product: Product,
        sizes: [usize; 3],
        a: &Vec<u16>,
        b: &Vec<u16>,
        c: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        let wide = |x: &[u16]| x.iter().map(|x| f32::from_bits(u32::from(*x) << 16)).collect();
        self.matmul(product, sizes, &wide(a), &wide(b), c)
    }

    fn matmul_i8(&self, [m, n, k]: [usize; 3], a: &Vec<i8>, b: &Vec<i8>, c: &mut Vec<i32>) -> Result<(), BackendError> {
        check([m, n, k], [a.len(), b.len(), c.len()])?;
        self.rows(c, n, |first, c| {
            for (i, c) in (first..).zip(c.chunks_mut(n)) {
                for (j, c) in c.iter_mut().enumerate() {
                    let terms = a[i * k..][..k].iter().zip(&b[j * k..][..k]);
                    *c = terms.fold(0, |sum: i32, (a, b)| sum.wrapping_add(i32::from(*a) * i32::from(*b)));
                }
            }
        });
        Ok(())
    }
}
