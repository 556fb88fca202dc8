//! The decoder and nothing else: it must link without an operating system, an allocator or a
//! compare-and-swap. Its size is what the decoder takes of the flash. It is never run.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use codec_core::limits::Small;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Where the linker starts to look for what is used.
// SAFETY: nothing else in this image has the name.
#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    let mut output = [0; 64];
    let mut decoder = Small::new(black_box::<&[u8]>(&[]));
    loop {
        let step = decoder.update(black_box(&[]), &mut output);
        black_box((step.is_ok(), &output));
    }
}
