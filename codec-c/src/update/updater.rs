//! The updater in memory that C lends.
//!
//! [`Updater`] borrows the flash and a buffer, and remembers between two calls what it has received and not stored yet.
//! So it cannot be made anew for each call; it lies in the caller's memory, with the flash and the buffer that it borrows
//! beside it. [`gmcf_updater_open`] alone ties them: the memory must not move and must not be used otherwise, so what
//! lies there outlives every use, and the two borrows are called `'static`. No reference to the whole [`Block`] is ever
//! made, only to its parts.

use core::cell::RefCell;
use core::ffi::c_void;
use core::mem::{MaybeUninit, align_of, size_of};
use core::slice;

use codec_core::container::digest::OLD_ID_LEN;
use update_core::Error;
use update_core::flash::Partition;
use update_core::link::{Info, Target};
use update_core::manifest::MANIFEST_LEN;
use update_core::updater::{Config, Updater, least_buffer};

use super::error::{code, status};
use super::flash::{Flash, WRITE_SIZE, gmcf_flash};
use super::layout::{attempts_of, gmcf_config, gmcf_layout, profile};
use super::lodger::{Lodger, Lodging};
use crate::decoder::{GMCF_DECODER_ALIGN, overlap, range, with_profile};
use crate::error::gmcf_error;
use crate::error::gmcf_status::{self, *};

/// Bytes of memory that an updater takes at most, and gmcf_boot; for flash with a write size above 16 bytes four write
/// sizes more. What is lent beyond gmcf_updater_size makes flash accesses fewer.
#[cfg(target_pointer_width = "64")]
pub const GMCF_UPDATER_BYTES: usize = 1280;
/// Bytes of memory that an updater takes at most, and gmcf_boot; for flash with a write size above 16 bytes four write
/// sizes more. What is lent beyond gmcf_updater_size makes flash accesses fewer.
#[cfg(not(target_pointer_width = "64"))]
pub const GMCF_UPDATER_BYTES: usize = 960;
/// Alignment of that memory, bytes: an array of uint64_t has it.
pub const GMCF_UPDATER_ALIGN: usize = 8;
/// Bytes of a manifest: what an update starts with.
pub const GMCF_MANIFEST_BYTES: usize = 132;
/// Bytes of an image's identity by which an update names it.
pub const GMCF_OLD_ID_BYTES: usize = 4;

const _: () = {
    let more = if WRITE_SIZE > 16 { 4 * WRITE_SIZE } else { 0 };
    assert!(SIZE <= GMCF_UPDATER_BYTES + more);
    assert!(align_of::<Block>() <= GMCF_UPDATER_ALIGN);
    assert!(GMCF_MANIFEST_BYTES == MANIFEST_LEN && GMCF_OLD_ID_BYTES == OLD_ID_LEN);
};

/// Bytes of the least memory.
const SIZE: usize = size_of::<Block>() + least_buffer::<Flash>();

/// An updater, in memory that the caller lends to gmcf_updater_open.
pub struct gmcf_updater {
    _opaque: [u8; 0],
}

/// The updater itself.
type Device = Updater<'static, 'static, Flash>;

/// What lies in the caller's memory; the buffer follows.
#[repr(C)]
struct Block {
    /// [`MAGIC`].
    magic: u32,
    /// Whether a call is going on.
    busy: bool,
    /// Bytes of all the memory.
    len: usize,
    lent: Lent,
    /// The last error.
    error: Option<Error>,
    /// Borrowed by the updater.
    flash: RefCell<Flash>,
    updater: MaybeUninit<Device>,
}

/// First word of an updater: `Gmcu`.
const MAGIC: u32 = 0x476d_6375;

/// What an installation needs.
#[derive(Clone, Copy)]
struct Lent {
    /// The decoder's memory, which was checked.
    memory: *mut c_void,
    /// Whether an image is replaced where it lies.
    one_slot: bool,
    /// GMCF_PROFILE_*, one that is compiled in.
    profile: u32,
}

/// What a device says of itself.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmcf_info {
    /// Product number.
    pub product: u32,
    /// Version of the image that runs.
    pub version: u32,
    /// One of `gmcf_state`.
    pub state: i32,
    /// GMCF_PROFILE_*.
    pub profile: u32,
    /// Bytes of the offered update's payload that are there; 0 when none is being received.
    pub received: u32,
    /// Why the last update was given up, one of `gmcf_status`; 0 when it was not.
    pub failure: i32,
    /// Identity of the image that runs.
    pub image: [u8; GMCF_OLD_ID_BYTES],
}

/// Bytes of memory that an updater needs at least.
#[unsafe(no_mangle)]
pub extern "C" fn gmcf_updater_size() -> usize {
    SIZE
}

/// Alignment in bytes that the memory of an updater needs.
#[unsafe(no_mangle)]
pub extern "C" fn gmcf_updater_align() -> usize {
    GMCF_UPDATER_ALIGN
}

/// Makes an updater in the `len` bytes at `memory`, which is then used as a gmcf_updater, and takes up what the progress
/// record says. The memory must not be moved or copied, and nothing else may use it. To give the updater up, forget it.
/// To start again, call this again.
///
/// `flash`, `layout` and `config` are copied; what they point to must stay as long as the updater is used. `error`
/// becomes why it failed; NULL when that does not matter.
///
/// Returns GMCF_DONE, or GMCF_ERROR_NULL, _SIZES, _MEMORY (also for the decoder's), _OVERLAP, _PROFILE, _OUT_OF_RANGE,
/// _LAYOUT, _FLASH; _NOTHING_TO_BOOT when the flash holds no record at all.
///
/// # Safety
/// `memory` points to `len` bytes that can be read and written and that nothing else uses; `flash` to a gmcf_flash whose
/// functions do what is said of them there; `layout`, `config` and `error` to a gmcf_layout, a gmcf_config, a gmcf_error;
/// the decoder's memory is as said in gmcf_config. Or they are NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmcf_updater_open(
    memory: *mut c_void,
    len: usize,
    flash: *const gmcf_flash,
    layout: *const gmcf_layout,
    config: *const gmcf_config,
    error: *mut gmcf_error,
) -> gmcf_status {
    if memory.is_null() || layout.is_null() || config.is_null() {
        return GMCF_ERROR_NULL;
    }
    // SAFETY: as the caller promised.
    let (flash, layout, config) = match unsafe { (Flash::new(flash), layout.read_unaligned(), config.read_unaligned()) }
    {
        (Ok(flash), layout, config) => (flash, layout, config),
        (Err(status), ..) => return status,
    };
    if !memory.addr().is_multiple_of(GMCF_UPDATER_ALIGN) || len < SIZE {
        return GMCF_ERROR_MEMORY;
    }
    let least = with_profile!(config.profile, D => size_of::<Lodging<D>>(), return GMCF_ERROR_PROFILE);
    let (own, decoder) = match (range(memory.cast(), len), range(config.decoder.cast(), config.decoder_len)) {
        (Ok(own), Ok(decoder)) => (own, decoder),
        (Err(status), _) | (_, Err(status)) => return status,
    };
    if !config.decoder.addr().is_multiple_of(GMCF_DECODER_ALIGN) || config.decoder_len < least {
        return GMCF_ERROR_MEMORY;
    }
    if overlap(own, decoder) {
        return GMCF_ERROR_OVERLAP;
    }
    let one_slot = layout.has_one_slot();
    let lent = Lent { memory: config.decoder, one_slot, profile: config.profile };
    let Some(profile) = profile(config.profile) else { return GMCF_ERROR_PROFILE };
    let block = memory.cast::<Block>();
    let updater = layout.layout().and_then(|layout| {
        let config = Config { product: config.product, profile, attempts: attempts_of(config.attempts)? };
        // SAFETY: the memory is long enough and aligned, and nothing else uses it. What is borrowed here stays where it
        // is and is used through these borrows only, as long as the updater is: see the head of this file. An updater
        // that was here before is forgotten.
        let (flash, buffer) = unsafe {
            (&raw mut (*block).magic).write(0);
            (&raw mut (*block).flash).write(RefCell::new(flash));
            let buffer = block.add(1).cast::<u8>();
            buffer.write_bytes(0, len - size_of::<Block>());
            (&(*block).flash, slice::from_raw_parts_mut(buffer, len - size_of::<Block>()))
        };
        Updater::open(flash, layout, config, buffer)
    });
    match updater {
        Ok(updater) => {
            // SAFETY: as above.
            unsafe {
                (&raw mut (*block).updater).write(MaybeUninit::new(updater));
                (&raw mut (*block).error).write(None);
                (&raw mut (*block).lent).write(lent);
                (&raw mut (*block).len).write(len);
                (&raw mut (*block).busy).write(false);
                (&raw mut (*block).magic).write(MAGIC);
            }
            GMCF_DONE
        }
        // SAFETY: as the caller promised.
        Err(why) => unsafe { gmcf_error::tell(&why, error) },
    }
}

/// The updater at `updater`, which is not busy.
///
/// # Safety
/// `updater` is NULL, or points to memory that was given to gmcf_updater_open, or to four bytes that can be read.
#[inline(never)]
unsafe fn enter(updater: *const gmcf_updater) -> Result<*mut Block, gmcf_status> {
    let block = updater.cast::<Block>().cast_mut();
    if block.is_null() {
        return Err(GMCF_ERROR_NULL);
    }
    // SAFETY: not NULL, and four bytes can be read, as the caller promised; the rest only behind the magic.
    unsafe {
        if !block.addr().is_multiple_of(GMCF_UPDATER_ALIGN) || (&raw const (*block).magic).read() != MAGIC {
            return Err(GMCF_ERROR_NOT_AN_UPDATER);
        }
        if (&raw const (*block).busy).read() { Err(GMCF_ERROR_BUSY) } else { Ok(block) }
    }
}

/// The updater's memory, from its first to behind its last byte.
///
/// # Safety
/// As for [`enter`].
pub(super) unsafe fn memory(updater: *const gmcf_updater) -> Result<(usize, usize), gmcf_status> {
    // SAFETY: as the caller promised; behind the magic all is there.
    unsafe { enter(updater).map(|block| (block.addr(), block.addr() + (&raw const (*block).len).read())) }
}

/// An updater in use.
pub(super) struct Session<'x> {
    device: &'x mut Device,
    lent: Lent,
    error: &'x mut Option<Error>,
}

/// Does `work` with the updater, which is busy meanwhile.
///
/// # Safety
/// As for [`enter`].
pub(super) unsafe fn with<T>(
    updater: *const gmcf_updater,
    work: impl FnOnce(&mut Session<'_>) -> T,
) -> Result<T, gmcf_status> {
    // SAFETY: as the caller promised. The magic says that the parts were made here; while it is busy nobody else is let
    // in, so these are the only references to them.
    unsafe {
        let block = enter(updater)?;
        (&raw mut (*block).busy).write(true);
        let device = (*block).updater.assume_init_mut();
        let lent = (&raw const (*block).lent).read();
        let result = work(&mut Session { device, lent, error: &mut (*block).error });
        (&raw mut (*block).busy).write(false);
        Ok(result)
    }
}

/// As [`with`], for work that has no other result than whether it was done.
///
/// # Safety
/// As for [`enter`].
unsafe fn run(updater: *mut gmcf_updater, work: impl FnOnce(&mut Session<'_>) -> Result<(), Error>) -> gmcf_status {
    // SAFETY: as the caller promised.
    match unsafe { with(updater, work) } {
        Ok(Ok(())) => GMCF_DONE,
        Ok(Err(error)) => code(&error),
        Err(status) => status,
    }
}

impl Session<'_> {
    /// Remembers why something was refused.
    fn note<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            *self.error = Some(*error);
        }
        result
    }

    /// Installs; all of it, or what can be done while the old image runs.
    fn rebuild(&mut self, all: bool) -> Result<(), Error> {
        let Lent { memory, profile, .. } = self.lent;
        let result = with_profile!(
            profile,
            D => {
                // SAFETY: the memory was checked when the updater was opened, and its owner leaves it alone while this
                // call goes on. The updater makes one decoder at a time.
                let decoder = |old: Partition<'static, Flash>| unsafe { Lodger::<D>::new(memory, old) };
                #[expect(clippy::needless_borrows_for_generic_args, reason = "so `install` calls it: they share their code")]
                if all { self.device.install(decoder) } else { self.device.prepare(&decoder) }
            },
            Err(codec_core::Error::Unknown { field: "profile", found: profile.into() }.into())
        );
        self.note(result)
    }
}

/// No method is inlined: while an update is installed, little else may lie on the stack.
impl Target for Session<'_> {
    #[inline(never)]
    fn info(&mut self) -> Info {
        self.device.info()
    }

    #[inline(never)]
    fn offer(&mut self, manifest: &[u8; MANIFEST_LEN]) -> Result<u32, Error> {
        let result = self.device.offer(manifest);
        self.note(result)
    }

    #[inline(never)]
    fn receive(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Error> {
        let result = self.device.receive(offset, bytes);
        self.note(result)
    }

    /// With one slot, the program that runs lies there: blocks are replaced after the restart.
    #[inline(never)]
    fn install(&mut self) -> Result<(), Error> {
        self.rebuild(!self.lent.one_slot)
    }

    #[inline(never)]
    fn confirm(&mut self) -> Result<(), Error> {
        let result = self.device.confirm();
        self.note(result)
    }

    #[inline(never)]
    fn rotate(&mut self, statement: &[u8]) -> Result<(), Error> {
        let result = self.device.rotate(statement);
        self.note(result)
    }

    /// The caller of gmcf_link_push restarts.
    fn reboot(&mut self) {}
}

/// Takes the offer of an update: checks its signature, product, version and room before anything is erased.
///
/// `manifest` is the first GMCF_MANIFEST_BYTES bytes of the update. `*offset` becomes the byte of the rest, the payload,
/// from which on it is wanted: above 0 when a part was received before.
///
/// Returns GMCF_DONE, or why the update is refused.
///
/// # Safety
/// `updater` was made by gmcf_updater_open, `manifest` points to GMCF_MANIFEST_BYTES bytes, `offset` to a uint32_t; or
/// they are NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmcf_updater_offer(
    updater: *mut gmcf_updater,
    manifest: *const u8,
    offset: *mut u32,
) -> gmcf_status {
    if manifest.is_null() || offset.is_null() {
        return GMCF_ERROR_NULL;
    }
    // SAFETY: not NULL, then so many bytes and a number, as the caller promised; and an updater.
    unsafe {
        let manifest = manifest.cast::<[u8; MANIFEST_LEN]>().read();
        run(updater, |session| session.offer(&manifest).map(|from| offset.write_unaligned(from)))
    }
}

/// Stores the payload's bytes from `offset` on, which continue what is there. Pieces may be of any length.
///
/// Returns GMCF_DONE, or GMCF_ERROR_GAP, _NO_ROOM, _WRONG_STATE, _FLASH.
///
/// # Safety
/// `updater` was made by gmcf_updater_open, `bytes` points to `len` bytes; or they are NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmcf_updater_receive(
    updater: *mut gmcf_updater,
    offset: u32,
    bytes: *const u8,
    len: usize,
) -> gmcf_status {
    // SAFETY: as the caller promised.
    match unsafe { input(updater, bytes, len) } {
        // SAFETY: as the caller promised.
        Ok(bytes) => unsafe { run(updater, |session| session.receive(offset, bytes)) },
        Err(status) => status,
    }
}

/// The `len` bytes at `bytes`, which must not be the updater's own.
///
/// # Safety
/// As for [`enter`]; `bytes` points to `len` bytes that nobody changes while they are used, or is NULL.
pub(super) unsafe fn input<'x>(
    updater: *const gmcf_updater,
    bytes: *const u8,
    len: usize,
) -> Result<&'x [u8], gmcf_status> {
    // SAFETY: as the caller promised.
    let own = unsafe { memory(updater) }?;
    if overlap(own, range(bytes, len)?) {
        return Err(GMCF_ERROR_OVERLAP);
    }
    // SAFETY: as the caller promised, and as checked: not NULL, no longer than a slice can be.
    Ok(if len == 0 { &[] } else { unsafe { slice::from_raw_parts(bytes, len) } })
}

/// Rebuilds the new image from the update that was received, and makes it the one to boot. Takes the decoder's memory,
/// and as long as that takes: seconds or minutes. After a power cut, call it again: it goes on.
///
/// With one slot, blocks are replaced: whoever runs from that slot calls gmcf_updater_prepare instead, and this from a
/// boot loader, when gmcf_boot says GMCF_BOOT_RESUME.
///
/// Returns GMCF_DONE, or why not. Unless an update in place has started to replace blocks, the image that runs is then as
/// it was, and the update is forgotten when it can never succeed.
///
/// # Safety
/// `updater` is NULL, or was made by gmcf_updater_open. Nothing uses the decoder's memory meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmcf_updater_install(updater: *mut gmcf_updater) -> gmcf_status {
    // SAFETY: as the caller promised.
    unsafe { run(updater, |session| session.rebuild(true)) }
}

/// Does of gmcf_updater_install what can be done while the old image runs: with one slot, all but replacing blocks. Then
/// restart. Does nothing when that is done.
///
/// Returns as gmcf_updater_install.
///
/// # Safety
/// As for gmcf_updater_install.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmcf_updater_prepare(updater: *mut gmcf_updater) -> gmcf_status {
    // SAFETY: as the caller promised.
    unsafe { run(updater, |session| session.rebuild(false)) }
}

/// The image that runs is good: it stays. To be called in the first boots of a new image, once it is known to work.
///
/// Returns GMCF_DONE, also when it was confirmed before; GMCF_ERROR_WRONG_STATE when nothing is on trial; _FLASH.
///
/// # Safety
/// `updater` is NULL, or was made by gmcf_updater_open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmcf_updater_confirm(updater: *mut gmcf_updater) -> gmcf_status {
    // SAFETY: as the caller promised.
    unsafe { run(updater, |session| session.confirm()) }
}

/// Takes a statement that replaces one of the device's two keys, as `gmcf key rotate` makes it.
///
/// Returns GMCF_DONE, or why it is refused.
///
/// # Safety
/// `updater` was made by gmcf_updater_open, `statement` points to `len` bytes; or they are NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmcf_updater_rotate(
    updater: *mut gmcf_updater,
    statement: *const u8,
    len: usize,
) -> gmcf_status {
    // SAFETY: as the caller promised.
    match unsafe { input(updater, statement, len) } {
        // SAFETY: as the caller promised.
        Ok(statement) => unsafe { run(updater, |session| session.rotate(statement)) },
        Err(status) => status,
    }
}

/// Writes to `*info` what the device says of itself.
///
/// # Safety
/// `updater` is NULL, or was made by gmcf_updater_open; `info` is NULL, or points to a gmcf_info.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmcf_updater_info(updater: *mut gmcf_updater, info: *mut gmcf_info) -> gmcf_status {
    if info.is_null() {
        return GMCF_ERROR_NULL;
    }
    // SAFETY: as the caller promised; `info` is not NULL.
    unsafe {
        run(updater, |session| {
            let Info { product, version, state, profile, image, received } = session.info();
            let failure = status(session.device.record().failure) as i32;
            let (state, profile) = (state.into(), profile.into());
            info.write_unaligned(gmcf_info { product, version, state, profile, received, failure, image });
            Ok(())
        })
    }
}

/// Writes to `*error` what was refused last since the updater was opened, over the link or not, and why. The code there
/// is 0 when nothing was. What was wrong with the arguments of a call is not kept: its code says all.
///
/// # Safety
/// `updater` is NULL, or was made by gmcf_updater_open; `error` is NULL, or points to a gmcf_error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmcf_updater_error(updater: *mut gmcf_updater, error: *mut gmcf_error) -> gmcf_status {
    if error.is_null() {
        return GMCF_ERROR_NULL;
    }
    // SAFETY: as the caller promised; `error` is not NULL.
    unsafe {
        run(updater, |session| {
            error.write_unaligned(session.error.as_ref().map_or_else(gmcf_error::none, gmcf_error::of_update));
            Ok(())
        })
    }
}
