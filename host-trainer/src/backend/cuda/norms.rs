//! Norms of rows on a GPU.

use super::{Cuda, CudaBuffer};
use crate::backend::{BackendError, Norms, expect};
use ptx::kernels::norm::{NARROW, NARROW_PARTS, PARTS};
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
        let rows = x.len() / columns;
        expect("length of x", x.len(), rows * columns)?;
        expect("length of scale", scale.len(), columns)?;
        expect("length of shift", shift.len(), columns)?;
        expect("length of y", y.len(), x.len())?;
        expect("length of moments", moments.len(), 2 * rows)?;
        let (x, scale, shift) = (x.address(), scale.address(), shift.address());
        let (y, moments) = (y.address(), moments.address());
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch::layer_norm(rows as u32, columns as u32, epsilon, x, scale, shift, y, moments)) }
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
        let rows = x.len() / columns;
        expect("length of x", x.len(), rows * columns)?;
        expect("length of scale", scale.len(), columns)?;
        expect("length of moments", moments.len(), 2 * rows)?;
        expect("length of dy", dy.len(), x.len())?;
        expect("length of dx", dx.len(), x.len())?;
        expect("length of d_scale", d_scale.len(), columns)?;
        expect("length of d_shift", d_shift.len(), columns)?;
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
        let rows = factors.len();
        expect("length of x", x.len(), rows * columns)?;
        expect("length of y", y.len(), x.len())?;
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
        let rows = factors.len();
        expect("length of y", y.len(), rows * columns)?;
        expect("length of dy", dy.len(), y.len())?;
        expect("length of dx", dx.len(), y.len())?;
        let (y, factors, dy, dx) = (y.address(), factors.address(), dy.address(), dx.address());
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch::rms_norm_back(rows as u32, columns as u32, y, factors, dy, dx)) }
    }
}
