//! The decoder in memory that C lends.

use core::ffi::c_void;
use core::mem::{align_of, offset_of, size_of};
use core::slice;

use codec_core::Error;
use codec_core::decoder::{Decoder, Rebuild, Status};
#[cfg(feature = "medium")]
use codec_core::limits::Medium;
#[cfg(feature = "small")]
use codec_core::limits::Small;
#[cfg(feature = "tiny")]
use codec_core::limits::Tiny;

use crate::error::gmcf_status::{self, *};
use crate::error::{code, gmcf_error};
use crate::storage::{Old, gmcf_storage};

/// 16 KiB of RAM in all: Cortex-M0 class.
pub const GMCF_PROFILE_TINY: u32 = 0;
/// 64 KiB of RAM in all: Cortex-M3 and M4 class.
pub const GMCF_PROFILE_SMALL: u32 = 1;
/// 256 KiB of RAM in all: Cortex-M7 class.
pub const GMCF_PROFILE_MEDIUM: u32 = 2;

/// Bytes of memory that a decoder of profile tiny takes, at most.
pub const GMCF_DECODER_TINY_BYTES: usize = 13_056;
/// Bytes of memory that a decoder of profile small takes, at most.
pub const GMCF_DECODER_SMALL_BYTES: usize = 61_568;
/// Bytes of memory that a decoder of profile medium takes, at most.
pub const GMCF_DECODER_MEDIUM_BYTES: usize = 249_984;
/// Alignment of that memory, bytes: an array of uint64_t has it.
pub const GMCF_DECODER_ALIGN: usize = 8;

/// A decoder, in memory that the caller lends to gmcf_decoder_init.
pub struct gmcf_decoder {
    _opaque: [u8; 0],
}

/// What stands before the decoder itself.
#[repr(C)]
struct Head {
    /// [`magic`] of the profile.
    magic: u32,
    /// Whether a call is going on.
    busy: bool,
    /// Bytes of the new file; none before the header was accepted.
    new_len: Option<u32>,
    /// Why the decoder refused.
    error: Option<Error>,
}

/// What lies in the caller's memory.
#[repr(C)]
struct Instance<D> {
    head: Head,
    decoder: D,
}

/// First word of a decoder of `profile`: `Gmc` and its number.
const fn magic(profile: u32) -> u32 {
    0x476d_6300 | profile
}

/// The decoders of all profiles, as far as this crate uses them.
pub(crate) trait Sans: Rebuild {
    /// As [`Decoder::storage`].
    fn storage(&mut self) -> &mut Old;
}

impl<const A: usize, const B: usize, const C: usize, const D: usize> Sans for Decoder<Old, A, B, C, D> {
    fn storage(&mut self) -> &mut Old {
        self.storage()
    }
}

/// Runs `$work` with `$decoder` standing for the decoder type of `$profile`; `$otherwise` when it is not compiled in.
macro_rules! with_profile {
    ($profile:expr, $decoder:ident => $work:expr, $otherwise:expr) => {
        match $profile {
            #[cfg(feature = "tiny")]
            $crate::decoder::GMCF_PROFILE_TINY => {
                type $decoder = codec_core::limits::Tiny<crate::storage::Old>;
                $work
            }
            #[cfg(feature = "small")]
            $crate::decoder::GMCF_PROFILE_SMALL => {
                type $decoder = codec_core::limits::Small<crate::storage::Old>;
                $work
            }
            #[cfg(feature = "medium")]
            $crate::decoder::GMCF_PROFILE_MEDIUM => {
                type $decoder = codec_core::limits::Medium<crate::storage::Old>;
                $work
            }
            _ => $otherwise,
        }
    };
}
#[cfg(feature = "update")]
pub(crate) use with_profile;

#[cfg(not(any(feature = "tiny", feature = "small", feature = "medium")))]
compile_error!("no profile: build with one of the features tiny, small, medium");

const fn fits<D>(bytes: usize) -> bool {
    size_of::<Instance<D>>() <= bytes && align_of::<Instance<D>>() <= GMCF_DECODER_ALIGN
}
#[cfg(feature = "tiny")]
const _: () = assert!(fits::<Tiny<Old>>(GMCF_DECODER_TINY_BYTES));
#[cfg(feature = "small")]
const _: () = assert!(fits::<Small<Old>>(GMCF_DECODER_SMALL_BYTES));
#[cfg(feature = "medium")]
const _: () = assert!(fits::<Medium<Old>>(GMCF_DECODER_MEDIUM_BYTES));

/// Bytes of memory that a decoder of `profile` takes, exactly. 0 when the profile is not compiled into this library.
#[unsafe(no_mangle)]
pub extern "C" fn gmcf_decoder_size(profile: u32) -> usize {
    with_profile!(profile, D => size_of::<Instance<D>>(), 0)
}

/// Alignment in bytes that the memory of a decoder needs.
#[unsafe(no_mangle)]
pub extern "C" fn gmcf_decoder_align() -> usize {
    GMCF_DECODER_ALIGN
}

/// Makes a decoder of `profile` in the `len` bytes at `memory`, which is then used as a gmcf_decoder.
///
/// `old` is copied; what its `context` points to must stay as long as the decoder is used. NULL when there is no old
/// image. The decoder holds nothing but this memory: to give it up, forget it. To start again, call this again.
///
/// Returns GMCF_DONE, GMCF_ERROR_NULL, GMCF_ERROR_PROFILE or GMCF_ERROR_MEMORY.
///
/// # Safety
/// `memory` points to `len` bytes that can be read and written and that nothing else uses; `old` to a gmcf_storage
/// whose function does what is said of it there; or they are NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmcf_decoder_init(
    memory: *mut c_void,
    len: usize,
    profile: u32,
    old: *const gmcf_storage,
) -> gmcf_status {
    if memory.is_null() {
        return GMCF_ERROR_NULL;
    }
    // SAFETY: not NULL, then a storage, as the caller promised.
    let old = if old.is_null() { gmcf_storage::EMPTY } else { unsafe { old.read_unaligned() } };
    if old.len > 0 && old.read_at.is_none() {
        return GMCF_ERROR_NULL;
    }
    if !memory.addr().is_multiple_of(GMCF_DECODER_ALIGN) {
        return GMCF_ERROR_MEMORY;
    }
    with_profile!(
        profile,
        D => {
            if len < size_of::<Instance<D>>() {
                return GMCF_ERROR_MEMORY;
            }
            let place = memory.cast::<Instance<D>>();
            // SAFETY: the memory is long enough and aligned, and nothing else uses it.
            unsafe {
                (&raw mut (*place).head).write(Head { magic: magic(profile), busy: false, new_len: None, error: None });
                settle(&raw mut (*place).decoder, old);
            }
            GMCF_DONE
        },
        GMCF_ERROR_PROFILE
    )
}

/// Makes the decoder that `D::new(old)` gives at `place`, without a second one on the stack: a compiler builds it there
/// and copies it.
///
/// # Safety
/// `place` is aligned for a `D`, a [`Decoder`], can be read and written, and nothing else uses it.
pub(crate) unsafe fn settle<D: Sans>(place: *mut D, old: gmcf_storage) {
    // SAFETY: the memory is the caller's. `Decoder::new` promises that a decoder is all zero bits but for its storage,
    // and an `Old` of zeros is one, too.
    unsafe {
        place.write_bytes(0, 1);
        *(*place).storage() = Old(old);
    }
}

/// The head of the decoder at `decoder`, which is not busy. One copy of it for all callers, for their flash.
///
/// # Safety
/// `decoder` is NULL, or points to memory that was given to gmcf_decoder_init, or to four bytes that can be read.
#[inline(never)]
unsafe fn open(decoder: *const gmcf_decoder) -> Result<*mut Head, gmcf_status> {
    let head = decoder.cast::<Head>().cast_mut();
    if head.is_null() {
        return Err(GMCF_ERROR_NULL);
    }
    // SAFETY: not NULL, and four bytes can be read, as the caller promised; the rest only behind the magic.
    unsafe {
        if !head.addr().is_multiple_of(GMCF_DECODER_ALIGN) || gmcf_decoder_size(profile(head)) == 0 {
            return Err(GMCF_ERROR_NOT_A_DECODER);
        }
        if (&raw const (*head).busy).read() { Err(GMCF_ERROR_BUSY) } else { Ok(head) }
    }
}

/// Profile of the decoder behind `head`; no profile when there is none.
///
/// # Safety
/// Its first four bytes can be read.
unsafe fn profile(head: *const Head) -> u32 {
    // SAFETY: as the caller promised.
    unsafe { (&raw const (*head).magic).read() ^ magic(0) }
}

/// A range of addresses.
pub(crate) type Range = (usize, usize);

/// The addresses of `len` bytes at `start`; those of no bytes are nowhere.
pub(crate) fn range(start: *const u8, len: usize) -> Result<Range, gmcf_status> {
    if len == 0 {
        return Ok((0, 0));
    }
    if start.is_null() {
        return Err(GMCF_ERROR_NULL);
    }
    match start.addr().checked_add(len) {
        Some(end) if len <= isize::MAX as usize => Ok((start.addr(), end)),
        _ => Err(GMCF_ERROR_LENGTH),
    }
}

pub(crate) fn overlap(a: Range, b: Range) -> bool {
    a.0 < b.1 && b.0 < a.1
}

/// Takes input, yields output. How the two are cut into pieces never changes the result.
///
/// `*consumed` becomes the bytes of `in` that were taken (call again with the rest), `*written` the bytes of `out` that
/// are new; after an error both are 0. Nothing is written before header, memory budget and the identity of the old
/// image have been checked. After an error, discard what was written before.
///
/// Returns GMCF_DONE when the new file is complete and its digest is right, GMCF_NEED_INPUT when all of `in` was taken,
/// GMCF_NEED_OUTPUT when `out` is full, or an error; gmcf_decoder_error tells more. `in` may be NULL when `in_len` is 0,
/// `out` likewise.
///
/// # Safety
/// `decoder` was made by gmcf_decoder_init; `in` points to `in_len` bytes, `out` to `out_len` bytes that can be
/// written; `consumed` and `written` to two size_t that are in none of these. Where one is NULL, that is an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmcf_decoder_update(
    decoder: *mut gmcf_decoder,
    r#in: *const u8,
    in_len: usize,
    consumed: *mut usize,
    out: *mut u8,
    out_len: usize,
    written: *mut usize,
) -> gmcf_status {
    if consumed.is_null() || written.is_null() {
        return GMCF_ERROR_NULL;
    }
    // SAFETY: not NULL, then a size_t each, as the caller promised.
    unsafe {
        consumed.write_unaligned(0);
        written.write_unaligned(0);
    }
    // SAFETY: as the caller promised.
    let result = unsafe { update(decoder, (r#in, in_len), (out, out_len)) };
    match result {
        Ok(step) => {
            // SAFETY: as above.
            unsafe {
                consumed.write_unaligned(step.consumed);
                written.write_unaligned(step.written);
            }
            match step.status {
                Status::Done => GMCF_DONE,
                Status::NeedInput => GMCF_NEED_INPUT,
                Status::NeedOutput => GMCF_NEED_OUTPUT,
            }
        }
        Err(status) => status,
    }
}

/// The checks and the call of [`gmcf_decoder_update`].
///
/// # Safety
/// As there.
unsafe fn update(
    decoder: *mut gmcf_decoder,
    (input, input_len): (*const u8, usize),
    (output, output_len): (*mut u8, usize),
) -> Result<codec_core::decoder::Step, gmcf_status> {
    // SAFETY: as the caller promised.
    let head = unsafe { open(decoder) }?;
    // SAFETY: a head that was opened.
    let profile = unsafe { profile(head) };
    let own = (head.addr(), head.addr() + gmcf_decoder_size(profile));
    let (from, to) = (range(input, input_len)?, range(output, output_len)?);
    if overlap(from, to) || overlap(own, from) || overlap(own, to) {
        return Err(GMCF_ERROR_OVERLAP);
    }
    let input: &[u8] = match input_len {
        0 => &[],
        // SAFETY: as the caller promised, and as checked: not NULL, no longer than a slice can be, and apart.
        len => unsafe { slice::from_raw_parts(input, len) },
    };
    let output: &mut [u8] = match output_len {
        0 => &mut [],
        // SAFETY: likewise.
        len => unsafe { slice::from_raw_parts_mut(output, len) },
    };
    let result = with_profile!(
        profile,
        D => {
            // SAFETY: the magic says that this instance was made here. While it is busy nobody else is let in, so this
            // is the only reference to it; the head, which may be looked at meanwhile, is only used through its pointer.
            let decoder = unsafe {
                (&raw mut (*head).busy).write(true);
                &mut (*head.byte_add(offset_of!(Instance<D>, decoder)).cast::<D>())
            };
            let result = Rebuild::update(decoder, input, output);
            // SAFETY: as above.
            unsafe {
                (&raw mut (*head).new_len).write(decoder.header().map(|header| header.new_len));
                (&raw mut (*head).busy).write(false);
            }
            result
        },
        return Err(GMCF_ERROR_NOT_A_DECODER)
    );
    // SAFETY: no call is going on any more.
    result.map_err(|error| unsafe { remember(head, &error) })
}

/// Keeps `error` for gmcf_decoder_error: the first one that is not about a decoder which has stopped.
///
/// # Safety
/// `head` is that of a decoder which is not busy.
#[inline(never)]
unsafe fn remember(head: *mut Head, error: &Error) -> gmcf_status {
    // SAFETY: as the caller promised.
    let kept = unsafe { &mut (*head).error };
    if kept.is_none() || *error != Error::Finished {
        *kept = Some(*error);
    }
    code(error)
}

/// To be called when there is no more input: says what is missing, if anything.
///
/// Returns GMCF_DONE when the new file is complete, otherwise GMCF_ERROR_TRUNCATED; GMCF_ERROR_FINISHED after an error.
///
/// # Safety
/// `decoder` is NULL, or was made by gmcf_decoder_init.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmcf_decoder_finish(decoder: *mut gmcf_decoder) -> gmcf_status {
    // SAFETY: as the caller promised.
    let head = match unsafe { open(decoder) } {
        Ok(head) => head,
        Err(status) => return status,
    };
    // SAFETY: a head that was opened.
    let profile = unsafe { profile(head) };
    let result = with_profile!(
        profile,
        // SAFETY: the magic says that this instance was made here; it is not busy.
        D => Rebuild::finish(unsafe { &*head.byte_add(offset_of!(Instance<D>, decoder)).cast::<D>() }),
        return GMCF_ERROR_NOT_A_DECODER
    );
    match result {
        Ok(()) => GMCF_DONE,
        // SAFETY: it is not busy.
        Err(error) => unsafe { remember(head, &error) },
    }
}

/// Writes to `*len` how many bytes the new file has, so that room can be made before its first byte comes.
///
/// Returns GMCF_DONE, or GMCF_NEED_INPUT while that is not known: until the header of the update was accepted. An
/// update with an empty output goes so far.
///
/// # Safety
/// `decoder` is NULL, or was made by gmcf_decoder_init; `len` is NULL, or points to a uint32_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmcf_decoder_new_len(decoder: *const gmcf_decoder, len: *mut u32) -> gmcf_status {
    if len.is_null() {
        return GMCF_ERROR_NULL;
    }
    // SAFETY: as the caller promised.
    match unsafe { open(decoder).map(|head| (*head).new_len) } {
        Ok(Some(found)) => {
            // SAFETY: not NULL, then a uint32_t, as the caller promised.
            unsafe { len.write_unaligned(found) };
            GMCF_DONE
        }
        Ok(None) => GMCF_NEED_INPUT,
        Err(status) => status,
    }
}

/// Writes to `*error` why the decoder refused: its first error. The code there is 0 when it did not refuse.
///
/// What was wrong with the arguments of a call is not kept: its code says all.
///
/// # Safety
/// `decoder` is NULL, or was made by gmcf_decoder_init; `error` is NULL, or points to a gmcf_error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmcf_decoder_error(decoder: *const gmcf_decoder, error: *mut gmcf_error) -> gmcf_status {
    if error.is_null() {
        return GMCF_ERROR_NULL;
    }
    // SAFETY: as the caller promised.
    let head = match unsafe { open(decoder) } {
        Ok(head) => head,
        Err(status) => return status,
    };
    // SAFETY: a head that was opened; `error` is not NULL, then a gmcf_error, as the caller promised.
    unsafe { error.write_unaligned((*head).error.as_ref().map_or_else(gmcf_error::none, gmcf_error::new)) };
    GMCF_DONE
}
