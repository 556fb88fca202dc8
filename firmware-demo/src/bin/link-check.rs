//! The decoder and nothing else: it must link without an operating system, an allocator or a
//! compare-and-swap. Its size is what the decoder takes of the flash. It is never run.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use codec_core::Error;
use codec_core::limits::Small;
use codec_core::storage::ReadAt;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// An old image of which nothing is known here.
struct Old;

impl ReadAt for Old {
    fn len(&self) -> u32 {
        black_box(0)
    }

    fn read_at(&mut self, _offset: u32, buf: &mut [u8]) -> Result<(), Error> {
        black_box(buf);
        Ok(())
    }
}

/// As a device holds it. It must be all zeros: whatever is not takes flash for its first value, and is counted.
static mut DECODER: Small<Old> = Small::new(Old);

/// Where the linker starts to look for what is used.
// SAFETY: nothing else in this image has the name.
#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    // An optimiser that knows the address looks through 60 KB of fields: minutes on some targets.
    let decoder = black_box(&raw mut DECODER);
    // SAFETY: the only reference to the decoder; nothing comes back here.
    let decoder = unsafe { &mut *decoder };
    let mut output = [0; 64];
    loop {
        let step = decoder.update(black_box(&[]), &mut output);
        black_box((step.is_ok(), decoder.finish().is_ok(), &output));
    }
}
