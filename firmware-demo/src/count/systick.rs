//! Ticks of SysTick: 24 bits, counting down, with the wraps counted by interrupt.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};
use cortex_m_rt::exception;

/// SysTick counts down from here: the most that it has.
const RELOAD: u32 = 0x00ff_ffff;
/// Ticks between two wraps.
const PERIOD: u32 = RELOAD + 1;

/// Times that SysTick has wrapped.
static WRAPS: AtomicU32 = AtomicU32::new(0);

#[exception]
fn SysTick() {
    // Only this handler writes, so no compare-and-swap is needed (thumbv6m has none).
    WRAPS.store(WRAPS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Starts the ticks, for good.
pub fn start() {
    let mut systick = cortex_m::Peripherals::take().expect("the counter is started once").SYST;
    systick.set_clock_source(SystClkSource::Core);
    systick.set_reload(RELOAD);
    systick.clear_current();
    systick.enable_interrupt();
    systick.enable_counter();
}

/// Ticks since they were started.
#[inline(never)]
pub fn now() -> u64 {
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
pub fn spin(turns: u32) {
    // SAFETY: touches one register and the flags, both of which are declared.
    unsafe {
        core::arch::asm!(
            "2: subs {turns}, {turns}, #1",
            "bne 2b",
            turns = inout(reg) turns => _,
            options(nomem, nostack)
        );
    }
}
