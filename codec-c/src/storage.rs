//! The old image, read through the caller's function.

use core::ffi::{c_int, c_void};

use codec_core::Error;
use codec_core::storage::ReadAt;

/// The old image: what the device runs today.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmcf_storage {
    /// Bytes that can be read. 0 when there is no old image; then `read_at` may be NULL.
    pub len: u32,
    /// Given to `read_at` as it is; may be NULL.
    pub context: *mut c_void,
    /// Copies the `len` bytes from `offset` on to `buffer`, and returns 0; anything else when they cannot be read.
    ///
    /// `offset + len` is never more than the storage's `len`. It must not use the decoder that calls it: that is
    /// refused with GMCF_ERROR_BUSY.
    pub read_at: Option<unsafe extern "C" fn(context: *mut c_void, offset: u32, buffer: *mut u8, len: u32) -> c_int>,
}

impl gmcf_storage {
    /// No old image.
    pub(crate) const EMPTY: Self = Self { len: 0, context: core::ptr::null_mut(), read_at: None };
}

/// The storage as a decoder holds it.
#[repr(transparent)]
pub(crate) struct Old(pub gmcf_storage);

impl ReadAt for Old {
    fn len(&self) -> u32 {
        self.0.len
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), Error> {
        let gmcf_storage { len: limit, context, read_at } = self.0;
        let len = u32::try_from(buf.len()).unwrap_or(u32::MAX);
        let failed = Error::Storage { offset, len };
        let Some(read_at) = read_at else { return Err(failed) };
        if offset.checked_add(len).is_none_or(|end| end > limit) {
            return Err(failed);
        }
        // SAFETY: whoever made the storage promised a function that writes at most `len` bytes to `buffer`; `buf` has
        // as many, and is lent for the call.
        match unsafe { read_at(context, offset, buf.as_mut_ptr(), len) } {
            0 => Ok(()),
            _ => Err(failed),
        }
    }
}
