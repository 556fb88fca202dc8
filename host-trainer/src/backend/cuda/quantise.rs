//! Floats to packed codes, and back, on a GPU.

use super::{Cuda, CudaBuffer};
use crate::backend::quantise::{PIECE, fits};
use crate::backend::{BackendError, Bits, Quantise, expect};
use ptx::list::launch;

impl Cuda {
    /// The scales of groups that no warp has as a whole: pieces, pieces of pieces, until each group has one number left.
    fn scales(
        &self,
        bits: Bits,
        group: usize,
        x: &CudaBuffer<f32>,
        scales: &CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        let (groups, sum) = (scales.len() as u32, u32::from(bits == Bits::One));
        let (mut left, mut from, mut held) = (group, x.address(), Vec::new());
        while left > 1 {
            let pieces = left.div_ceil(PIECE);
            let next = self.allocate::<f32>(scales.len() * pieces)?;
            let launch = launch::magnitudes(groups, left as u32, pieces as u32, sum, from, next.address());
            // SAFETY: `from` has `left` numbers a group, `next` a number a piece.
            unsafe { self.launch(&launch)? };
            from = next.address();
            // Not freed before the end: to free memory, the driver waits for all kernels.
            held.push(next);
            left = pieces;
        }
        // SAFETY: a number for each group in both.
        unsafe { self.launch(&launch::group_scales(groups, group as u32, bits.count() as u32, from, scales.address())) }
    }
}

impl Quantise for Cuda {
    fn quantise(
        &self,
        bits: Bits,
        group: usize,
        x: &CudaBuffer<f32>,
        codes: &mut CudaBuffer<u32>,
        scales: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        fits(bits, group, x.len(), codes.len(), scales.len())?;
        let (n, each) = (x.len() as u32, group as u32);
        if group <= PIECE && group.is_power_of_two() {
            let quantise: fn(_, _, _, _, _) -> _ = match bits {
                Bits::One => launch::quantise_1,
                Bits::Two => launch::quantise_2,
                Bits::Four => launch::quantise_4,
                Bits::Eight => launch::quantise_8,
            };
            // SAFETY: the lengths have been checked.
            return unsafe { self.launch(&quantise(n, each, x.address(), codes.address(), scales.address())) };
        }
        self.scales(bits, group, x, scales)?;
        let count = bits.count() as u32;
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch::quantise_by(n, each, count, x.address(), scales.address(), codes.address())) }
    }

    fn dequantise(
        &self,
        bits: Bits,
        group: usize,
        codes: &CudaBuffer<u32>,
        scales: &CudaBuffer<f32>,
        out: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        fits(bits, group, out.len(), codes.len(), scales.len())?;
        let (n, group, bits) = (out.len() as u32, group as u32, bits.count() as u32);
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch::dequantise(n, group, bits, codes.address(), scales.address(), out.address())) }
    }

    fn position_codes(
        &self,
        bits: Bits,
        step: f32,
        x: &CudaBuffer<f32>,
        codes: &mut CudaBuffer<u32>,
    ) -> Result<(), BackendError> {
        expect("words of codes", codes.len(), bits.words(x.len()))?;
        let (n, bits) = (x.len() as u32, bits.count() as u32);
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch::position_codes(n, bits, step, x.address(), codes.address())) }
    }

    fn position_values(
        &self,
        bits: Bits,
        step: f32,
        codes: &CudaBuffer<u32>,
        out: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        expect("words of codes", codes.len(), bits.words(out.len()))?;
        let (n, bits) = (out.len() as u32, bits.count() as u32);
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&launch::position_values(n, bits, step, codes.address(), out.address())) }
    }
}
