//! The decoder of an update that is installed, in memory that is lent for that time.

use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::mem::align_of;
use core::slice;

use codec_core::Error;
use codec_core::container::v2::Header;
use codec_core::decoder::{Rebuild, Step};
use update_core::flash::Partition;

use super::flash::Flash;
use crate::decoder::{GMCF_DECODER_ALIGN, Sans, settle};
use crate::storage::gmcf_storage;

/// What the decoder reads: a slot.
type Slot = Partition<'static, Flash>;

/// What lies in the lent memory while an update is rebuilt.
#[repr(C)]
pub(crate) struct Lodging<D> {
    old: Slot,
    decoder: D,
}

/// A decoder in lent memory. It reads its old image through the same function that one from C does, so a program that
/// uses both has one decoder in its flash.
pub(crate) struct Lodger<D> {
    place: *mut Lodging<D>,
    decoder: PhantomData<D>,
}

impl<D: Sans> Lodger<D> {
    /// A decoder for `old`.
    ///
    /// # Safety
    /// `memory` is aligned to [`GMCF_DECODER_ALIGN`] and has the bytes of a [`Lodging`]; nothing else uses it before what
    /// is returned has been dropped.
    pub(crate) unsafe fn new(memory: *mut c_void, old: Slot) -> Self {
        const { assert!(align_of::<Lodging<D>>() <= GMCF_DECODER_ALIGN) };
        let place = memory.cast::<Lodging<D>>();
        // SAFETY: as the caller promised. The storage points to the slot beside it, which stays as long as the decoder.
        unsafe {
            (&raw mut (*place).old).write(old);
            let context = (&raw mut (*place).old).cast();
            settle(&raw mut (*place).decoder, gmcf_storage { len: old.len(), context, read_at: Some(read_slot) });
        }
        Self { place, decoder: PhantomData }
    }

    fn decoder(&mut self) -> &mut D {
        // SAFETY: made by `new`, and nobody else has a reference to it; the slot beside it is not part of it.
        unsafe { &mut (*self.place).decoder }
    }
}

/// `gmcf_storage.read_at` for a slot.
unsafe extern "C" fn read_slot(context: *mut c_void, offset: u32, buffer: *mut u8, len: u32) -> c_int {
    // SAFETY: the context is the slot that `Lodger::new` wrote, which nobody changes; the buffer was a slice of so many
    // bytes when it was passed in.
    let (slot, buffer) = unsafe { (&*context.cast::<Slot>(), slice::from_raw_parts_mut(buffer, len as usize)) };
    match slot.read(offset, buffer) {
        Ok(()) => 0,
        Err(_) => -1,
    }
}

impl<D: Sans> Rebuild for Lodger<D> {
    fn update(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        self.decoder().update(input, output)
    }

    fn trace(&mut self, input: &[u8], output: &mut [u8]) -> Result<(Step, u32), Error> {
        self.decoder().trace(input, output)
    }

    fn finish(&self) -> Result<(), Error> {
        // SAFETY: as in `decoder`.
        unsafe { &(*self.place).decoder }.finish()
    }

    fn header(&self) -> Option<&Header> {
        // SAFETY: as in `decoder`.
        unsafe { &(*self.place).decoder }.header()
    }
}
