//! Products of matrices on the CPU: `matrixmultiply`, by rows in threads.

use super::Cpu;
use crate::backend::{BackendError, Matmul, Product, expect};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

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
        expect("length of a", a.len(), m * k)?;
        expect("length of b", b.len(), k * n)?;
        expect("length of c", c.len(), m * n)?;
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
}
