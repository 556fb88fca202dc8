//! Sums and maxima on a GPU.

use super::{Cuda, CudaBuffer};
use crate::backend::{BackendError, Reduction, Reductions, expect};
use ptx::kernels::reduction::{BLOCKS, THREADS};
use ptx::list::{Address, Launch, launch};

impl Cuda {
    /// Room for the partial results of a vector. Kernels run one after another, so all reductions share it.
    fn partial(&self) -> Result<&CudaBuffer<f32>, BackendError> {
        if let Some(partial) = self.partial.get() {
            return Ok(partial);
        }
        let partial = self.allocate(BLOCKS as usize)?;
        Ok(self.partial.get_or_init(|| partial))
    }
}

impl Reductions for Cuda {
    fn reduce(&self, reduction: Reduction, x: &CudaBuffer<f32>, out: &mut CudaBuffer<f32>) -> Result<(), BackendError> {
        expect("length of out", out.len(), 1)?;
        type Kernel = fn(u32, u32, Address<f32>, Address<f32>) -> Launch;
        let (first, rest): (Kernel, Kernel) = match reduction {
            Reduction::Sum => (launch::reduce_sum, launch::reduce_sum),
            Reduction::Squares => (launch::reduce_squares, launch::reduce_sum),
            Reduction::Max => (launch::reduce_max, launch::reduce_max),
        };
        let n = x.len() as u32;
        let blocks = n.div_ceil(4 * THREADS).clamp(1, BLOCKS);
        let partial = self.partial()?.address();
        // SAFETY: `x` has as many numbers; there is room for a partial result of every block, and for one result.
        unsafe {
            self.launch(&first(n, blocks, x.address(), partial))?;
            self.launch(&rest(blocks, 1, partial, out.address()))
        }
    }

    fn row_sums(
        &self,
        [rows, columns]: [usize; 2],
        x: &CudaBuffer<f32>,
        out: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        expect("length of x", x.len(), rows * columns)?;
        expect("length of out", out.len(), rows)?;
        let (rows, columns) = (rows as u32, columns as u32);
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch::row_sums(rows, columns, x.address(), out.address())) }
    }

    fn column_sums(
        &self,
        [rows, columns]: [usize; 2],
        x: &CudaBuffer<f32>,
        out: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        expect("length of x", x.len(), rows * columns)?;
        expect("length of out", out.len(), columns)?;
        let (rows, columns) = (rows as u32, columns as u32);
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch::column_sums(rows, columns, x.address(), out.address())) }
    }
}
