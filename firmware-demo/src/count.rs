//! Counts instructions with SysTick.
//!
//! Under QEMU's `-icount shift=0` virtual time is the instruction count, so SysTick advances once in
//! a fixed number of instructions. That number is measured with a loop of known length. On hardware
//! the same code counts cycles.

use core::arch::asm;
use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};
use cortex_m_rt::exception;

/// SysTick counts down from here: 24 bits, the most that it has.
const RELOAD: u32 = 0x00ff_ffff;
/// Ticks between two wraps.
const PERIOD: u32 = RELOAD + 1;
/// Turns of the calibration loop, two instructions each.
const TURNS: u32 = 2_000_000;
/// Empty pauses from which the cost of one is estimated.
const PAUSES: u32 = 4096;

/// Times that SysTick has wrapped.
static WRAPS: AtomicU32 = AtomicU32::new(0);

#[exception]
fn SysTick() {
    // Only this handler writes, so no compare-and-swap is needed (thumbv6m has none).
    WRAPS.store(WRAPS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// A stopwatch that can be paused.
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
    /// Starts SysTick for good and measures how many instructions a tick takes.
    pub fn calibrate(mut systick: SYST) -> Self {
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(RELOAD);
        systick.clear_current();
        systick.enable_interrupt();
        systick.enable_counter();

        let start = now();
        spin(TURNS);
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

/// Ticks since SysTick was started.
#[inline(never)]
fn now() -> u64 {
    loop {
        let wraps = WRAPS.load(Ordering::Relaxed);
        let current = SYST::get_current();
        // A wrap between the two reads, or one whose interrupt has not been taken yet: read again.
        if !SCB::is_pendst_pending() && WRAPS.load(Ordering::Relaxed) == wraps {
            // The interrupt comes when the counter reaches zero, one tick before it is reloaded.
            let in_turn = if current == 0 { 0 } else { PERIOD - current };
            return u64::from(wraps) * u64::from(PERIOD) + u64::from(in_turn);
        }
    }
}

/// Takes `2 * turns` instructions.
fn spin(turns: u32) {
    // SAFETY: touches one register and the flags, both of which are declared.
    unsafe {
        asm!("2: subs {turns}, {turns}, #1", "bne 2b", turns = inout(reg) turns => _, options(nomem, nostack));
    }
}
