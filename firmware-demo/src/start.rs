//! Where an image starts, and where it ends when the processor cannot go on.

use semihosting::process::ExitCode;

#[cfg(target_arch = "arm")]
mod processor {
    use cortex_m_rt::{ExceptionFrame, exception};

    pub use cortex_m_rt::entry;

    /// A stack that outgrew the memory left for it ends here, if not worse.
    #[exception]
    unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
        super::fault(frame.pc())
    }
}

#[cfg(target_arch = "riscv32")]
mod processor {
    use riscv::register::mepc;
    use riscv_rt::TrapFrame;

    pub use riscv_rt::entry;

    /// No exception is expected: each is a fault.
    // SAFETY: nothing else in the image has the name; riscv-rt calls it as it is declared here.
    #[unsafe(export_name = "ExceptionHandler")]
    extern "C" fn exception(_: &TrapFrame) -> ! {
        super::fault(mepc::read() as u32)
    }
}

/// Marks the function that runs first.
pub use processor::entry;

fn fault(pc: u32) -> ! {
    semihosting::println!("error: hard fault at {pc:#010x}");
    ExitCode::FAILURE.exit_process()
}
