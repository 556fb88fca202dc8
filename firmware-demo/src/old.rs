//! The old image, as the decoder of an image reads it.

use core::cell::RefCell;
use core::marker::PhantomData;

use codec_core::Error;
use codec_core::storage::ReadAt;

/// Where an image keeps what its decoder reads. Empty at first.
#[derive(Debug)]
pub struct Shelf<T>(RefCell<Option<T>>);

// SAFETY: the images have one thread each, and their interrupt handlers (SysTick alone) touch no shelf.
unsafe impl<T> Sync for Shelf<T> {}

impl<T> Shelf<T> {
    /// A shelf with nothing on it.
    #[expect(clippy::new_without_default, reason = "only statics are of use")]
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }
}

/// Names a shelf.
pub trait Shelved {
    /// What lies on it.
    type File: ReadAt + 'static;
    /// The shelf.
    fn shelf() -> &'static Shelf<Self::File>;
}

/// Reads what was given to [`Old::set`].
///
/// It has no size and no state of its own, so that a decoder is all zero bits: a `static` one takes no flash, and one
/// on the stack is made in place. One made at run time from parts would pass over the stack, which is far smaller.
#[derive(Clone, Copy, Debug)]
pub struct Old<S>(PhantomData<S>);

impl<S: Shelved> Old<S> {
    /// The reader.
    pub const NEW: Self = Self(PhantomData);

    /// Says what the old image is, before anything is read.
    pub fn set(file: S::File) {
        S::shelf().0.replace(Some(file));
    }
}

impl<S: Shelved> ReadAt for Old<S> {
    fn len(&self) -> u32 {
        S::shelf().0.borrow().as_ref().map_or(0, ReadAt::len)
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), Error> {
        match S::shelf().0.borrow_mut().as_mut() {
            Some(file) => file.read_at(offset, buf),
            None => Err(Error::Storage { offset, len: buf.len() as u32 }),
        }
    }
}
