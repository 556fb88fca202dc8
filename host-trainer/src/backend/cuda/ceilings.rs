//! What a GPU can do at best, measured.

use super::{Cuda, refused};
use crate::backend::check::timing::Ceilings;
use crate::backend::{BackendError, Device};
use cust::device::{Device as CudaDevice, DeviceAttribute};
use ptx::kernels::ceiling::{FMA_CHAINS, FMA_LENGTH, MMA_CHAINS, THREADS};
use ptx::list::{Launch, launch};

/// Seconds that one measurement takes at least.
const LONG: f64 = 0.02;
/// Measurements, of which the median counts.
const RUNS: usize = 5;
/// Bytes of the largest copy.
const LARGEST: usize = 1 << 30;

impl Cuda {
    /// Measures what this GPU can do at best, in well under a second: copies of up to 1 GiB, and chains of operations in
    /// registers.
    ///
    /// # Errors
    /// [`BackendError`] of the driver.
    pub fn ceilings(&self) -> Result<Ceilings, BackendError> {
        let device = CudaDevice::get_device(0).map_err(refused("open device 0"))?;
        let count = device.get_attribute(DeviceAttribute::MultiprocessorCount);
        let multiprocessors = count.map_err(refused("count the multiprocessors"))? as u32;

        // As many threads as a multiprocessor holds, and half of them: tensor cores need fewer.
        let (blocks, fewer) = (8 * multiprocessors, 4 * multiprocessors);
        let out = self.zeros::<f32>((blocks * THREADS) as usize)?;
        let sums = self.zeros::<i32>((fewer * THREADS) as usize)?;
        let fma = |rounds| launch::ceiling_fma(blocks, rounds, 0.999, 0.001, out.address());
        let bf16 = |rounds| launch::ceiling_bf16(fewer, rounds, out.address());
        let int8 = |rounds| launch::ceiling_i8(fewer, rounds, sums.address());
        // SAFETY: a number for every thread.
        let [fma, bf16, int8] = unsafe { [self.rounds(fma)?, self.rounds(bf16)?, self.rounds(int8)?] };
        let of_fma = f64::from(2 * FMA_CHAINS * FMA_LENGTH) * f64::from(blocks * THREADS);
        let of_mma = |terms: u32| f64::from(2 * 16 * 8 * terms * MMA_CHAINS) * f64::from(fewer * THREADS / 32);
        Ok(Ceilings { bytes: self.copies()?, fma: fma * of_fma, bf16: bf16 * of_mma(16), int8: int8 * of_mma(32) })
    }

    /// Rounds a second of a kernel that is told how many.
    ///
    /// # Safety
    /// As [`launch`](Self::launch).
    unsafe fn rounds(&self, kernel: impl Fn(u32) -> Launch) -> Result<f64, BackendError> {
        // SAFETY: the caller's.
        self.rate(16, &|rounds| unsafe { self.launch(&kernel(rounds)) })
    }

    /// Bytes a second of copies that are too large for caches.
    fn copies(&self) -> Result<f64, BackendError> {
        let mut bytes = 1 << 16;
        loop {
            let (from, to) = (self.zeros::<u32>(bytes / 4)?, self.zeros::<u32>(bytes / 4)?);
            // SAFETY: both buffers have as many bytes.
            let copy =
                || unsafe { self.launch(&launch::ceiling_copy((bytes / 16) as u32, from.address(), to.address())) };
            copy()?;
            if bytes == LARGEST || self.seconds(&mut || copy())? > LONG / 40.0 {
                let copies = self.rate(1, &|times| (0..times).try_for_each(|_| copy()))?;
                return Ok(copies * 2.0 * bytes as f64);
            }
            bytes = (8 * bytes).min(LARGEST);
        }
    }

    /// Rounds a second of `work`, which is told how many: so many that it takes long, at least `rounds`.
    fn rate(&self, mut rounds: u32, work: &dyn Fn(u32) -> Result<(), BackendError>) -> Result<f64, BackendError> {
        while self.seconds(&mut || work(rounds))? < LONG && rounds < 1 << 24 {
            rounds *= 2;
        }
        let mut seconds = Vec::new();
        for _ in 0..RUNS {
            seconds.push(self.seconds(&mut || work(rounds))?);
        }
        seconds.sort_by(f64::total_cmp);
        Ok(f64::from(rounds) / seconds[RUNS / 2])
    }
}
