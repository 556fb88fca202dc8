//! What boots.

use core::cell::RefCell;
use core::ffi::c_void;
use core::slice;

use codec_core::container::digest::ID_LEN;
use update_core::boot::{Boot, boot};

use super::flash::{Flash, gmcf_flash};
use super::layout::{attempts_of, gmcf_layout};
use crate::decoder::range;
use crate::error::gmcf_error;
use crate::error::gmcf_status::{self, *};

/// Bytes of an image's identity.
pub const GMCF_ID_BYTES: usize = 16;

const _: () = assert!(GMCF_ID_BYTES == ID_LEN);

/// What a boot loader is to do.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum gmcf_boot_action {
    /// Run the image. It has been read and has the digest that was signed.
    GMCF_BOOT_RUN = 0,
    /// One slot only: open an updater, call gmcf_updater_install, then gmcf_boot again. Blocks are being replaced, and
    /// neither image is whole.
    GMCF_BOOT_RESUME = 1,
    /// No slot holds a whole image. Only an update that needs no old image helps.
    GMCF_BOOT_WAIT = 2,
}

use gmcf_boot_action::*;

/// What boots.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmcf_boot_result {
    /// One of `gmcf_boot_action`. What follows is 0 unless it is GMCF_BOOT_RUN.
    pub action: i32,
    /// Slot, 0 or 1.
    pub slot: u32,
    /// Bytes from the start of the flash to the image.
    pub offset: u32,
    /// Bytes of the image.
    pub len: u32,
    /// Its version.
    pub version: u32,
    /// 1 when it must be confirmed, or else is rolled back.
    pub trial: u32,
    /// Its identity.
    pub id: [u8; GMCF_ID_BYTES],
}

/// Picks what runs, and records a trial before it starts. A new image has `attempts` boots to be confirmed in, 1 to 255.
///
/// `memory` is used for the time of the call: gmcf_updater_size() bytes; it may be that of the updater that is opened
/// afterwards. `error` becomes why it failed; NULL when that does not matter.
///
/// Returns GMCF_DONE, or GMCF_ERROR_NULL, _SIZES, _LENGTH, _OUT_OF_RANGE, _LAYOUT, _NO_ROOM, _FLASH when the record
/// cannot be written, _NOTHING_TO_BOOT when there is none.
///
/// # Safety
/// `flash` points to a gmcf_flash whose functions do what is said of them there, `layout` to a gmcf_layout, `memory` to
/// `len` bytes that can be written and that nothing else uses, `result` to a gmcf_boot_result, `error` to a gmcf_error;
/// or they are NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmcf_boot(
    flash: *const gmcf_flash,
    layout: *const gmcf_layout,
    attempts: u32,
    memory: *mut c_void,
    len: usize,
    result: *mut gmcf_boot_result,
    error: *mut gmcf_error,
) -> gmcf_status {
    if layout.is_null() || memory.is_null() || result.is_null() {
        return GMCF_ERROR_NULL;
    }
    if let Err(status) = range(memory.cast(), len) {
        return status;
    }
    // SAFETY: as the caller promised.
    let (flash, layout) = match unsafe { (Flash::new(flash), layout.read_unaligned()) } {
        (Ok(flash), layout) => (RefCell::new(flash), layout),
        (Err(status), _) => return status,
    };
    // SAFETY: not NULL and no longer than memory can be; its bytes are set here, and nothing else uses them.
    let buffer = unsafe {
        memory.cast::<u8>().write_bytes(0, len);
        slice::from_raw_parts_mut(memory.cast::<u8>(), len)
    };
    let booted = layout.layout().and_then(|layout| {
        let found = boot(&flash, &layout, attempts_of(attempts)?, buffer)?;
        let mut booted = gmcf_boot_result {
            action: GMCF_BOOT_RUN as i32,
            slot: 0,
            offset: 0,
            len: 0,
            version: 0,
            trial: 0,
            id: [0; GMCF_ID_BYTES],
        };
        match found {
            Boot::Run { slot, image, trial } => {
                (booted.slot, booted.offset, booted.len) = (slot.into(), layout.slot(slot).offset, image.len);
                (booted.version, booted.trial, booted.id) = (image.version, trial.into(), image.id.0);
            }
            Boot::Resume => booted.action = GMCF_BOOT_RESUME as i32,
            Boot::Wait => booted.action = GMCF_BOOT_WAIT as i32,
        }
        Ok(booted)
    });
    match booted {
        Ok(booted) => {
            // SAFETY: not NULL, then a result, as the caller promised.
            unsafe { result.write_unaligned(booted) };
            GMCF_DONE
        }
        // SAFETY: as the caller promised.
        Err(why) => unsafe { gmcf_error::tell(&why, error) },
    }
}
