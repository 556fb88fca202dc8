//! Norms of rows on a GPU.

use super::{Cuda, CudaBuffer};
use crate::backend::norms::{check_layer, check_layer_back, check_rms};
use crate::backend::{BackendError, Norms};
use ptx::kernels::norm::{HALF, NARROW, NARROW_PARTS, PARTS};
use ptx::list::launch;

impl Norms for Cuda {
    fn layer_norm(
        &self,
        columns: usize,
        epsilon: f32,
        x: &CudaBuffer<f32>,
        scale: &CudaBuffer<f32>,
        shift: &CudaBuffer<f32>,
        y: &mut CudaBuffer<f32>,
        moments: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        let rows = check_layer(columns, [x.len(), scale.len(), shift.len(), y.len(), moments.len()])?;
        let (x, scale, shift) = (x.address(), scale.address(), shift.address());
        let (y, moments) = (y.address(), moments.address());
        let narrow = columns <= HALF as usize && columns.is_multiple_of(4);
        let norm: fn(_, _, _, _, _, _, _, _) -> _ = if narrow { launch::layer_norm_narrow } else { launch::layer_norm };
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&norm(rows as u32, columns as u32, epsilon, x, scale, shift, y, moments)) }
    }

    fn layer_norm_back(
        &self,
        columns: usize,
        x: &CudaBuffer<f32>,
        scale: &CudaBuffer<f32>,
        moments: &CudaBuffer<f32>,
        dy: &CudaBuffer<f32>,
        dx: &mut CudaBuffer<f32>,
        d_scale: &mut CudaBuffer<f32>,
        d_shift: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        let inputs = [x.len(), scale.len(), moments.len(), dy.len()];
        let rows = check_layer_back(columns, inputs, [dx.len(), d_scale.len(), d_shift.len()])?;
        let narrow = columns <= NARROW as usize;
        let (back, parts): (fn(_, _, _, _, _, _, _, _) -> _, _) =
            if narrow { (launch::layer_norm_back_narrow, NARROW_PARTS) } else { (launch::layer_norm_back, PARTS) };
        let partial = self.allocate::<f32>(parts as usize * 2 * columns)?;
        let (rows, columns) = (rows as u32, columns as u32);
        let (x, scale, moments, dy, dx) = (x.address(), scale.address(), moments.address(), dy.address(), dx.address());
        // SAFETY: the lengths have been checked, and there is room for every block's part.
        unsafe {
            self.launch(&back(rows, columns, x, scale, moments, dy, dx, partial.address()))?;
            let (d_scale, d_shift) = (d_scale.address(), d_shift.address());
            self.launch(&launch::norm_sums(parts, columns, partial.address(), d_scale, d_shift))
        }
    }

    fn rms_norm(
        &self,
        columns: usize,
        epsilon: f32,
        x: &CudaBuffer<f32>,
        y: &mut CudaBuffer<f32>,
        factors: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        let rows = check_rms(columns, factors.len(), ("length of x", x.len()), [("length of y", y.len())])?;
        let (x, y, factors) = (x.address(), y.address(), factors.address());
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch::rms_norm(rows as u32, columns as u32, epsilon, x, y, factors)) }
    }

    fn rms_norm_back(
        &self,
        columns: usize,
        y: &CudaBuffer<f32>,
        factors: &CudaBuffer<f32>,
        dy: &CudaBuffer<f32>,
        dx: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        let others = [("length of dy", dy.len()), ("length of dx", dx.len())];
        let rows = check_rms(columns, factors.len(), ("length of y", y.len()), others)?;
        let (y, factors, dy, dx) = (y.address(), factors.address(), dy.address(), dx.address());
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch::rms_norm_back(rows as u32, columns as u32, y, factors, dy, dx)) }
    }
}
