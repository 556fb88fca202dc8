//! What happens when the decoder finds itself in a state that cannot be: it is not meant to, whatever the input.

use core::panic::PanicInfo;

/// `gmcf_panic` is the program's own function where it has one. This one is weak, and stops at a trap.
macro_rules! weak_hook {
    ($trap:literal $(, $before:literal)*) => {
        core::arch::global_asm!(
            ".section .text.gmcf_panic,\"ax\",%progbits",
            ".weak gmcf_panic",
            ".type gmcf_panic, %function",
            $($before,)*
            "gmcf_panic:",
            $trap,
            ".size gmcf_panic, . - gmcf_panic",
            ".text",
        );

        fn hook() {
            unsafe extern "C" {
                fn gmcf_panic();
            }
            // SAFETY: a function without arguments, defined above if nowhere else.
            unsafe { gmcf_panic() };
        }
    };
}

#[cfg(target_arch = "arm")]
weak_hook!("udf #0", ".p2align 2", ".thumb_func");
#[cfg(target_arch = "aarch64")]
weak_hook!("brk #1", ".p2align 2");
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
weak_hook!("unimp", ".p2align 2");
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
weak_hook!("ud2");
/// The others (Xtensa) have no assembler in stable Rust.
#[cfg(not(any(
    target_arch = "arm",
    target_arch = "aarch64",
    target_arch = "riscv32",
    target_arch = "riscv64",
    target_arch = "x86",
    target_arch = "x86_64"
)))]
fn hook() {}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    hook();
    loop {
        core::hint::spin_loop();
    }
}
