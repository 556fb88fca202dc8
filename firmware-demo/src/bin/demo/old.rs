//! The old image, as the decoder of this image reads it.

use core::cell::RefCell;

use codec_core::Error;
use codec_core::storage::ReadAt;

use crate::place::OldFile;

/// Reads the image that was given to [`Old::set`].
///
/// It has no size and no state of its own, so that a `static` decoder can be built at compile time, in place and all
/// zeros: built at run time it would pass over the stack, which is far smaller.
pub struct Old;

struct Shelf(RefCell<Option<OldFile>>);

// SAFETY: this program has one thread, and its only interrupt handler (SysTick) does not touch the shelf.
unsafe impl Sync for Shelf {}

static SHELF: Shelf = Shelf(RefCell::new(None));

impl Old {
    /// Says what the old image is, before anything is read.
    pub fn set(file: OldFile) {
        SHELF.0.replace(Some(file));
    }
}

impl ReadAt for Old {
    fn len(&self) -> u32 {
        SHELF.0.borrow().as_ref().map_or(0, ReadAt::len)
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), Error> {
        match SHELF.0.borrow_mut().as_mut() {
            Some(file) => file.read_at(offset, buf),
            None => Err(Error::Storage { offset, len: buf.len() as u32 }),
        }
    }
}
