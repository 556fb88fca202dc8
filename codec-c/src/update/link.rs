//! The device's end of the link, in memory that C lends.

use core::ffi::c_void;
use core::mem::{align_of, size_of};

use update_core::link::Link;

use super::updater::{gmcf_updater, input, memory, with};
use crate::decoder::overlap;
use crate::error::gmcf_status::{self, *};

/// Bytes of the longest frame that the link takes, delimiter included. The host asks for it and cuts updates accordingly.
pub const GMCF_LINK_FRAME_BYTES: usize = 128;
/// Pieces of an update that the link takes in any order, counted from the first one that lacks.
pub const GMCF_LINK_WINDOW: usize = 2;
/// Bytes of memory that a link takes, at most.
pub const GMCF_LINK_BYTES: usize = 512;
/// Alignment of that memory, bytes: an array of uint64_t has it.
pub const GMCF_LINK_ALIGN: usize = 8;

const _: () = assert!(size_of::<Block>() <= GMCF_LINK_BYTES && align_of::<Block>() <= GMCF_LINK_ALIGN);

/// A link, in memory that the caller lends to gmcf_link_init.
pub struct gmcf_link {
    _opaque: [u8; 0],
}

/// What lies in the caller's memory.
#[repr(C)]
struct Block {
    /// [`MAGIC`].
    magic: u32,
    /// Whether a call is going on.
    busy: bool,
    /// All but one piece of the window is kept.
    link: Link<GMCF_LINK_FRAME_BYTES, { GMCF_LINK_WINDOW - 1 }>,
}

/// First word of a link: `Gmcl`.
const MAGIC: u32 = 0x476d_636c;

/// Bytes of memory that a link needs.
#[unsafe(no_mangle)]
pub extern "C" fn gmcf_link_size() -> usize {
    size_of::<Block>()
}

/// Makes the device's end of a link in the `len` bytes at `memory`, which is then used as a gmcf_link.
///
/// `seed`: a number that the last start of the device did not have, as far as it can tell (random, a boot counter, a
/// clock). It keeps out what is late from before the restart.
///
/// Returns GMCF_DONE, GMCF_ERROR_NULL or GMCF_ERROR_MEMORY.
///
/// # Safety
/// `memory` is NULL, or points to `len` bytes that can be read and written and that nothing else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmcf_link_init(memory: *mut c_void, len: usize, seed: u32) -> gmcf_status {
    if memory.is_null() {
        return GMCF_ERROR_NULL;
    }
    if !memory.addr().is_multiple_of(GMCF_LINK_ALIGN) || len < size_of::<Block>() {
        return GMCF_ERROR_MEMORY;
    }
    // SAFETY: the memory is long enough and aligned, and nothing else uses it.
    unsafe { memory.cast::<Block>().write(Block { magic: MAGIC, busy: false, link: Link::new(seed) }) };
    GMCF_DONE
}

/// Takes bytes from the host, up to the end of the first message that is to be answered, and does what they ask for. How
/// they are cut into pieces does not matter; bytes that make no message do nothing.
///
/// `*consumed` becomes the bytes of `in` that were taken, `*reply` and `*reply_len` what is to be sent; it stays there
/// until the next call. An update is installed in here, which takes its time.
///
/// Returns GMCF_NEED_INPUT when all was taken and nothing is to be sent; GMCF_SEND when the reply is to be sent and the
/// rest to be given to the next call; GMCF_RESTART when the device is to restart after it has sent the reply. Otherwise an
/// error: of the arguments only. What the host asked for and was refused is told to the host; gmcf_updater_error knows it.
///
/// # Safety
/// `link` was made by gmcf_link_init, `updater` by gmcf_updater_open; `in` points to `in_len` bytes; `consumed`, `reply`
/// and `reply_len` to two size_t and a pointer that are in none of these; or they are NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmcf_link_push(
    link: *mut gmcf_link,
    updater: *mut gmcf_updater,
    r#in: *const u8,
    in_len: usize,
    consumed: *mut usize,
    reply: *mut *const u8,
    reply_len: *mut usize,
) -> gmcf_status {
    if consumed.is_null() || reply.is_null() || reply_len.is_null() {
        return GMCF_ERROR_NULL;
    }
    // SAFETY: not NULL, then a size_t each and a pointer, as the caller promised.
    let tell = |taken: usize, answer: &[u8]| unsafe {
        consumed.write_unaligned(taken);
        reply.write_unaligned(answer.as_ptr());
        reply_len.write_unaligned(answer.len());
    };
    tell(0, &[]);
    // SAFETY: as the caller promised.
    let (block, input) = match unsafe { enter(link).and_then(|block| Ok((block, input(updater, r#in, in_len)?))) } {
        Ok(found) => found,
        Err(status) => return status,
    };
    let own = (block.addr(), block.addr() + size_of::<Block>());
    let taken = (input.as_ptr().addr(), input.as_ptr().addr() + input.len());
    // SAFETY: as the caller promised.
    let other = unsafe { memory(updater) };
    if overlap(own, taken) || other.is_ok_and(|other| overlap(own, other)) {
        return GMCF_ERROR_OVERLAP;
    }
    // SAFETY: the magic says that the link was made here; while it is busy nobody else is let in, so this is the only
    // reference to it.
    let (link, busy) = unsafe { (&mut (*block).link, &raw mut (*block).busy) };
    // SAFETY: a part of its own.
    unsafe { busy.write(true) };
    // SAFETY: as the caller promised.
    let step = unsafe { with(updater, |session| link.feed(input, session)) };
    // SAFETY: as above.
    unsafe { busy.write(false) };
    match step {
        Ok(step) => {
            tell(step.consumed, step.reply);
            match (step.reboot, step.reply) {
                (true, _) => GMCF_RESTART,
                (false, []) => GMCF_NEED_INPUT,
                _ => GMCF_SEND,
            }
        }
        Err(status) => status,
    }
}

/// The link at `link`, which is not busy.
///
/// # Safety
/// `link` is NULL, or points to memory that was given to gmcf_link_init, or to four bytes that can be read.
unsafe fn enter(link: *mut gmcf_link) -> Result<*mut Block, gmcf_status> {
    let block = link.cast::<Block>();
    if block.is_null() {
        return Err(GMCF_ERROR_NULL);
    }
    // SAFETY: not NULL, and four bytes can be read, as the caller promised; the rest only behind the magic.
    unsafe {
        if !block.addr().is_multiple_of(GMCF_LINK_ALIGN) || (&raw const (*block).magic).read() != MAGIC {
            return Err(GMCF_ERROR_NOT_A_LINK);
        }
        if (&raw const (*block).busy).read() { Err(GMCF_ERROR_BUSY) } else { Ok(block) }
    }
}
