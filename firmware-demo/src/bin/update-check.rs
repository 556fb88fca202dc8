//! The device and nothing that prints: `stack-bound.sh` bounds its stack by its call graph, which goes through no
//! pointer then. It is never run.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use firmware_demo::device::{open_flash, pick, serve_until_restart};
use firmware_demo::start::entry;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

#[entry]
fn main() -> ! {
    update_check()
}

/// Where the call graph starts.
// SAFETY: nothing else in this image has the name.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn update_check() -> ! {
    loop {
        if let Ok(flash) = open_flash() {
            black_box(pick(flash).is_ok());
            black_box(serve_until_restart(flash).is_ok());
        }
    }
}
