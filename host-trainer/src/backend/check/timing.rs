//! How fast operations are, beside what the device can do at most.

use super::{Case, Random, Unit, Work};
use crate::backend::{Backend, BackendError};

/// Seconds that a measurement takes at least, so that the start of a kernel does not count.
const LEAST: f64 = 0.01;
/// Most runs of an operation in a measurement.
const MOST_RUNS: u32 = 200;
/// Measurements; their median counts.
const MEASUREMENTS: usize = 5;

/// What a device can do at most, as measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceilings {
    /// Bytes a second of a large copy on the device, read and written.
    pub bytes: f64,
    /// Operations a second of [`Unit::Fma`].
    pub fma: f64,
    /// Of [`Unit::Bf16`].
    pub bf16: f64,
    /// Of [`Unit::Int8`].
    pub int8: f64,
}

/// What binds an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The bytes that it moves.
    Bandwidth,
    /// What it computes.
    Arithmetic(Unit),
}

/// One operation as measured.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// What it took.
    pub work: Work,
    /// Seconds a run.
    pub seconds: f64,
}

impl Ceilings {
    /// Operations a second of `unit`.
    pub fn operations(&self, unit: Unit) -> f64 {
        match unit {
            Unit::Fma => self.fma,
            Unit::Bf16 => self.bf16,
            Unit::Int8 => self.int8,
        }
    }
}

impl Timing {
    /// What binds, and the share of its ceiling that was reached: the roofline's shorter time over the measured one.
    pub fn share(&self, ceilings: &Ceilings) -> (Bound, f64) {
        let bytes = self.work.bytes / ceilings.bytes;
        let arithmetic = self.work.operations / ceilings.operations(self.work.unit);
        let (bound, seconds) = if bytes >= arithmetic {
            (Bound::Bandwidth, bytes)
        } else {
            (Bound::Arithmetic(self.work.unit), arithmetic)
        };
        (bound, seconds / self.seconds)
    }
}

/// Measures an operation; nothing where its time means nothing.
///
/// # Errors
/// Those of the backend.
pub fn time<B: Backend>(backend: &B, case: &Case<B>) -> Result<Option<Timing>, BackendError> {
    let Some(prepare) = case.time else { return Ok(None) };
    let (work, mut run) = prepare(backend, &mut Random::new(2))?;
    let mut repeat = |runs: u32| backend.seconds(&mut || (0..runs).try_for_each(|_| run()));
    repeat(1)?;
    let once = repeat(1)?;
    let runs = ((LEAST / once.max(1e-9)).ceil() as u32).clamp(1, MOST_RUNS);
    let mut seconds = [0.0; MEASUREMENTS];
    for measured in &mut seconds {
        *measured = repeat(runs)? / f64::from(runs);
    }
    seconds.sort_by(f64::total_cmp);
    Ok(Some(Timing { work, seconds: seconds[MEASUREMENTS / 2] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CEILINGS: Ceilings = Ceilings { bytes: 3e12, fma: 6e13, bf16: 6e14, int8: 1.2e15 };

    #[test]
    fn the_ceiling_that_binds_is_the_one_that_takes_longer() {
        let copy = Work { bytes: 3e9, operations: 1e9, unit: Unit::Fma };
        let (bound, share) = Timing { work: copy, seconds: 2e-3 }.share(&CEILINGS);
        assert!(bound == Bound::Bandwidth && (share - 0.5).abs() < 1e-9, "{bound:?} {share}");
        let product = Work { bytes: 2e8, operations: 1.2e12, unit: Unit::Bf16 };
        let (bound, share) = Timing { work: product, seconds: 4e-3 }.share(&CEILINGS);
        assert!(bound == Bound::Arithmetic(Unit::Bf16) && (share - 0.5).abs() < 1e-9, "{bound:?} {share}");
    }
}
