//! How an image starts its board anew.

/// Resets the board.
#[cfg(target_arch = "arm")]
pub fn reset() -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}

/// Resets the board.
#[cfg(board = "virt")]
pub fn reset() -> ! {
    /// QEMU's device for ending the machine, and its value for a reset.
    const TEST_DEVICE: usize = 0x0010_0000;
    const RESET: u32 = 0x7777;
    // SAFETY: the board has a register of 32 bits there; nothing else in the image uses it.
    unsafe { crate::mmio::Register::<u32>::at(TEST_DEVICE) }.write(RESET);
    loop {
        riscv::asm::wfi();
    }
}
