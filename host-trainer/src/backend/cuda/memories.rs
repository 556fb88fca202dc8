//! Position memories on a GPU.

use super::{Cuda, CudaBuffer};
use crate::backend::{BackendError, Memories, MemoryShape};
use ptx::kernels::memory::{BLOCKS, TILE};
use ptx::list::{Address, launch};

/// Into how many parts each file is cut, so that few files fill the GPU as well as many.
fn parts(shape: MemoryShape) -> u32 {
    let (tiles, blocks) = (shape.len.div_ceil(TILE as usize), (BLOCKS as usize).div_ceil(shape.files));
    // None of them empty.
    tiles.div_ceil(tiles.div_ceil(blocks)) as u32
}

/// An address that says that something is not wanted.
fn none<T>() -> Address<T> {
    Address::new(0)
}

impl Cuda {
    /// Calls `start` with the number of parts and with where their costs and counts go, and adds these up by file.
    fn counted(
        &self,
        shape: MemoryShape,
        costs: &mut CudaBuffer<f32>,
        right: &mut CudaBuffer<u32>,
        start: impl Fn(u32, Address<f32>, Address<u32>) -> Result<(), BackendError>,
    ) -> Result<(), BackendError> {
        shape.check_counts(costs.len(), right.len())?;
        let parts = parts(shape);
        if parts == 1 {
            return start(1, costs.address(), right.address());
        }
        let of_parts = self.allocate::<f32>(shape.files * parts as usize)?;
        let right_of_parts = self.allocate::<u32>(shape.files * parts as usize)?;
        start(parts, of_parts.address(), right_of_parts.address())?;
        let (from, to) = ((of_parts.address(), right_of_parts.address()), (costs.address(), right.address()));
        // SAFETY: a number for every part, and one for every file.
        unsafe { self.launch(&launch::memory_counts(shape.files as u32, parts, from.0, from.1, to.0, to.1)) }
    }
}

impl Memories for Cuda {
    fn memory_step(
        &self,
        shape: MemoryShape,
        rate: f32,
        out: &CudaBuffer<f32>,
        targets: &CudaBuffer<u8>,
        rows: &mut CudaBuffer<f32>,
        costs: &mut CudaBuffer<f32>,
        right: &mut CudaBuffer<u32>,
    ) -> Result<(), BackendError> {
        shape.check(out.len(), rows.len(), targets.len())?;
        let (files, len, dim) = (shape.files as u32, shape.len as u32, shape.dim as u32);
        let (out, targets, rows) = (out.address(), targets.address(), rows.address());
        self.counted(shape, costs, right, |parts, costs, right| {
            let step = launch::memory_step(files, len, dim, parts, 1.0, -rate, out, targets, rows, rows, costs, right);
            // SAFETY: the lengths have been checked.
            unsafe { self.launch(&step) }
        })
    }

    fn memory_cost(
        &self,
        shape: MemoryShape,
        out: &CudaBuffer<f32>,
        targets: &CudaBuffer<u8>,
        rows: &CudaBuffer<f32>,
        costs: &mut CudaBuffer<f32>,
        right: &mut CudaBuffer<u32>,
    ) -> Result<(), BackendError> {
        shape.check(out.len(), rows.len(), targets.len())?;
        let (files, len, dim) = (shape.files as u32, shape.len as u32, shape.dim as u32);
        let (out, targets, rows) = (out.address(), targets.address(), rows.address());
        self.counted(shape, costs, right, |parts, costs, right| {
            let cost = launch::memory_forward(files, len, dim, parts, out, targets, rows, costs, right, none());
            // SAFETY: the lengths have been checked.
            unsafe { self.launch(&cost) }
        })
    }

    fn memory_gradients(
        &self,
        shape: MemoryShape,
        out: &CudaBuffer<f32>,
        targets: &CudaBuffer<u8>,
        rows: &CudaBuffer<f32>,
        d_rows: &mut CudaBuffer<f32>,
        d_out: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        shape.check(out.len(), rows.len(), targets.len())?;
        shape.check_gradients(d_rows.len(), d_out.len())?;
        let (files, len, dim, parts) = (shape.files as u32, shape.len as u32, shape.dim as u32, parts(shape));
        let (out, targets, rows) = (out.address(), targets.address(), rows.address());
        let (d_rows, d_out) = (d_rows.address(), d_out.address());
        let of_rows = launch::memory_step(files, len, dim, parts, 0.0, 1.0, out, targets, rows, d_rows, none(), none());
        // SAFETY: the lengths have been checked.
        unsafe {
            self.launch(&of_rows)?;
            self.launch(&launch::memory_out_gradient(files, len, dim, out, targets, rows, d_out))
        }
    }

    fn memory_read(
        &self,
        shape: MemoryShape,
        out: &CudaBuffer<f32>,
        rows: &CudaBuffer<f32>,
        bytes: &mut CudaBuffer<u8>,
    ) -> Result<(), BackendError> {
        shape.check(out.len(), rows.len(), bytes.len())?;
        let (files, len, dim, parts) = (shape.files as u32, shape.len as u32, shape.dim as u32, parts(shape));
        let (out, rows, bytes) = (out.address(), rows.address(), bytes.address());
        let read = launch::memory_forward(files, len, dim, parts, out, none(), rows, none(), none(), bytes);
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&read) }
    }
}
