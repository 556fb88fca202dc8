//! Ticks of `minstret`, the processor's own count of instructions.

use riscv::register::minstret;

/// Starts the ticks: they run from the reset on.
pub fn start() {}

/// Ticks since they were started.
#[inline(never)]
pub fn now() -> u64 {
    minstret::read64()
}

/// Takes `2 * turns` instructions.
pub fn spin(turns: u32) {
    // SAFETY: touches one register, which is declared.
    unsafe {
        core::arch::asm!(
            "2: addi {turns}, {turns}, -1",
            "bnez {turns}, 2b",
            turns = inout(reg) turns => _,
            options(nomem, nostack)
        );
    }
}
