//! Layers with low-rank adapters on a GPU: the wide products are [`Matmul`]'s, the narrow ones have kernels of their own.

use super::{Cuda, CudaBuffer};
use crate::backend::low_rank::check_gradients;
use crate::backend::{BackendError, LowRank, LowRankShape, Matmul, Product};
use ptx::kernels::low_rank::{GRADIENT_COLUMNS, GRADIENT_ROWS, NARROW};
use ptx::list::launch;

/// Blocks that fill a large GPU, and more of them than run at a time.
const BLOCKS: u32 = 1024;

impl Cuda {
    /// `[columns, rows]` of `[rows, columns]`.
    fn transposed(&self, [rows, columns]: [usize; 2], from: &CudaBuffer<f32>) -> Result<CudaBuffer<f32>, BackendError> {
        let to = self.allocate(rows * columns)?;
        // SAFETY: both are so long, as the callers have checked of `from`.
        unsafe {
            self.launch(&launch::narrow_transpose(rows as u32, columns as u32, from.address(), to.address()))?;
        }
        Ok(to)
    }

    /// `to = scale a^T x`, `a [m, rank]`, `x [m, n]`; `to(j, i)` at `j strides[0] + i strides[1]`.
    ///
    /// # Safety
    /// The buffers are so long.
    unsafe fn narrow_gradient(
        &self,
        [m, n, rank]: [usize; 3],
        scale: f32,
        a: &CudaBuffer<f32>,
        x: &CudaBuffer<f32>,
        to: &CudaBuffer<f32>,
        strides: [usize; 2],
    ) -> Result<(), BackendError> {
        let (m, n, rank) = (m as u32, n as u32, rank as u32);
        let most = BLOCKS.div_ceil(n.div_ceil(GRADIENT_COLUMNS) * rank.div_ceil(NARROW));
        // At least 4 tiles of rows, so that the parts are much less than what they are sums of.
        let share = m.div_ceil(most).next_multiple_of(GRADIENT_ROWS).max(4 * GRADIENT_ROWS);
        let count = m.div_ceil(share);
        let parts = self.allocate::<f32>(count as usize * (rank * n) as usize)?;
        let sum = launch::narrow_gradient(m, n, rank, share, a.address(), x.address(), parts.address());
        let [row, column] = strides.map(|stride| stride as u32);
        // SAFETY: the caller's, and a part for every share of the rows.
        unsafe {
            self.launch(&sum)?;
            self.launch(&launch::narrow_sum(rank, n, count, scale, parts.address(), to.address(), row, column))
        }
    }
}

impl LowRank for Cuda {
    fn low_rank(
        &self,
        shape: LowRankShape,
        scale: f32,
        x: &CudaBuffer<f32>,
        w: &CudaBuffer<f32>,
        down: &CudaBuffer<f32>,
        up: &CudaBuffer<f32>,
        inner: &mut CudaBuffer<f32>,
        y: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        shape.check([x.len(), w.len(), down.len(), up.len(), inner.len(), y.len()])?;
        let LowRankShape { rows, inputs, outputs, rank } = shape;
        self.matmul(Product::RightTransposed, [rows, outputs, inputs], x, w, y)?;
        let by_rank = self.transposed([outputs, rank], up)?;
        let (m, k, n, r) = (rows as u32, inputs as u32, outputs as u32, rank as u32);
        let (inner, by_rank, y) = (inner.address(), by_rank.address(), y.address());
        // SAFETY: the lengths have been checked.
        unsafe {
            self.launch(&launch::narrow_product(m, k, r, x.address(), down.address(), inner))?;
            self.launch(&launch::narrow_add(m, n, r, scale, inner, by_rank, y))
        }
    }

    fn low_rank_gradients(
        &self,
        shape: LowRankShape,
        scale: f32,
        x: &CudaBuffer<f32>,
        w: &CudaBuffer<f32>,
        down: &CudaBuffer<f32>,
        up: &CudaBuffer<f32>,
        inner: &CudaBuffer<f32>,
        d_y: &CudaBuffer<f32>,
        d_down: &mut CudaBuffer<f32>,
        d_up: &mut CudaBuffer<f32>,
        d_x: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        shape.check([x.len(), w.len(), down.len(), up.len(), inner.len(), d_y.len()])?;
        check_gradients([[d_down.len(), down.len()], [d_up.len(), up.len()], [d_x.len(), x.len()]])?;
        let LowRankShape { rows, inputs, outputs, rank } = shape;
        self.matmul(Product::Plain, [rows, inputs, outputs], d_y, w, d_x)?;
        let by_rank = self.transposed([outputs, rank], up)?;
        let d_inner = self.allocate::<f32>(rows * rank)?;
        let (m, k, n, r) = (rows as u32, inputs as u32, outputs as u32, rank as u32);
        // SAFETY: the lengths have been checked.
        unsafe {
            self.launch(&launch::narrow_product(m, n, r, d_y.address(), by_rank.address(), d_inner.address()))?;
            self.launch(&launch::narrow_add(m, k, r, scale, d_inner.address(), down.address(), d_x.address()))?;
            self.narrow_gradient([rows, inputs, rank], scale, &d_inner, x, d_down, [inputs, 1])?;
            self.narrow_gradient([rows, outputs, rank], scale, inner, d_y, d_up, [1, rank])
        }
    }
}
