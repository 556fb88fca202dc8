//! Boot loader of the Cortex-M7: picks a slot, copies its image to where that is linked for, and runs it.
//!
//! The flash is a file of the host, named on the semihosting command line: `boot FLASH`.
#![no_std]
#![no_main]

#[cfg(not(board = "mps2-an500"))]
compile_error!("only the mps2-an500 has the memory for an image that is copied");

use core::cell::RefCell;

use cortex_m::peripheral::SCB;
use firmware_demo::board::{LAYOUT, SLOT_BYTES};
use firmware_demo::device::{Failure, open_flash, pick, run};
use firmware_demo::flash::FileFlash;
use firmware_demo::start::entry;
use update_core::flash::Partition;

/// Start of the PSRAM, 16 MiB, which `boards/mps2-an500.app.x` links images for.
const PLACE: usize = 0x6000_0000;

#[entry]
fn main() -> ! {
    let Err(failure) = start();
    failure.exit()
}

fn start() -> Result<core::convert::Infallible, Failure> {
    let flash = open_flash()?;
    let Some((slot, len)) = pick(flash)? else {
        // Nothing runs, but an update that needs no old image can still be sent.
        return run(flash);
    };
    load(flash, slot, len)?;
    // SAFETY: the memory at `PLACE` was filled with an image whose digest was signed, and which is linked for that
    // place: it starts with its vector table. Nothing of this program is used any more.
    unsafe {
        (*SCB::PTR).vtor.write(PLACE as u32);
        cortex_m::asm::dsb();
        cortex_m::asm::isb();
        cortex_m::asm::bootload(PLACE as *const u32)
    }
}

/// Copies the image of `len` bytes in `slot` to its place.
fn load(flash: &RefCell<FileFlash>, slot: u8, len: u32) -> Result<(), Failure> {
    let len = len.min(SLOT_BYTES) as usize;
    // SAFETY: the PSRAM is larger than a slot, and no other part of this program uses it.
    let place = unsafe { core::slice::from_raw_parts_mut(PLACE as *mut u8, len) };
    Ok(Partition::new(flash, LAYOUT.slot(slot)).read(0, place)?)
}
