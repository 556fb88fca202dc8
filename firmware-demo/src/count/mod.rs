//! Counts instructions.
//!
//! Under QEMU's `-icount shift=0` virtual time is the instruction count, so a timer advances once in a fixed number of
//! instructions. That number is measured with a loop of known length. On hardware the same code counts cycles where the
//! timer does.

use core::cell::Cell;

#[cfg(target_arch = "riscv32")]
mod minstret;
#[cfg(target_arch = "arm")]
mod systick;

#[cfg(target_arch = "riscv32")]
use minstret as ticks;
#[cfg(target_arch = "arm")]
use systick as ticks;
use ticks::now;

/// Turns of the calibration loop, two instructions each.
const TURNS: u32 = 2_000_000;
/// Empty pauses from which the cost of one is estimated.
const PAUSES: u32 = 4096;

/// A stopwatch that can be paused.
#[derive(Debug)]
pub struct Counter {
    /// Ticks that [`TURNS`] turns take.
    calibration: u64,
    /// Ticks that [`PAUSES`] empty pauses add to what is counted.
    pause_cost: u64,
    started: Cell<u64>,
    paused: Cell<u64>,
    pauses: Cell<u32>,
}

impl Counter {
    /// Starts the timer for good and measures how many instructions a tick takes. Called once.
    pub fn calibrate() -> Self {
        ticks::start();
        let start = now();
        ticks::spin(TURNS);
        let calibration = now() - start;
        let mut counter =
            Self { calibration, pause_cost: 0, started: Cell::new(0), paused: Cell::new(0), pauses: Cell::new(0) };
        counter.start();
        for _ in 0..PAUSES {
            counter.pause(|| ());
        }
        counter.pause_cost = now() - counter.started.get() - counter.paused.get();
        counter
    }

    /// Starts from zero.
    pub fn start(&self) {
        self.paused.set(0);
        self.pauses.set(0);
        self.started.set(now());
    }

    /// Runs `work` without counting it.
    pub fn pause<R>(&self, work: impl FnOnce() -> R) -> R {
        let start = now();
        let result = work();
        self.pauses.set(self.pauses.get() + 1);
        self.paused.set(self.paused.get() + (now() - start));
        result
    }

    /// Instructions since [`Counter::start`] outside of pauses.
    pub fn instructions(&self) -> u64 {
        let counted = now() - self.started.get() - self.paused.get();
        let pausing = self.pause_cost * u64::from(self.pauses.get()) / u64::from(PAUSES);
        counted.saturating_sub(pausing) * u64::from(2 * TURNS) / self.calibration
    }

    /// Pauses since [`Counter::start`].
    pub fn pauses(&self) -> u32 {
        self.pauses.get()
    }
}
