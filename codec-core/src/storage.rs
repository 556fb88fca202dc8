//! How the decoder reads the old image.

use crate::Error;

/// Random access to the old image: a slice, memory-mapped flash, or a NOR flash driver.
pub trait ReadAt {
    /// Length in bytes of what can be read.
    fn len(&self) -> u32;

    /// Fills `buf` with the bytes from `offset` on.
    ///
    /// # Errors
    /// [`Error::Storage`] when `offset + buf.len()` lies beyond [`ReadAt::len`] or the medium fails.
    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), Error>;

    /// Whether there is nothing to read.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl ReadAt for &[u8] {
    fn len(&self) -> u32 {
        (**self).len().min(u32::MAX as usize) as u32
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), Error> {
        let start = offset as usize;
        let source = start
            .checked_add(buf.len())
            .and_then(|end| self.get(start..end))
            .ok_or(Error::Storage { offset, len: buf.len() as u32 })?;
        buf.copy_from_slice(source);
        Ok(())
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &mut T {
    fn len(&self) -> u32 {
        (**self).len()
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), Error> {
        (**self).read_at(offset, buf)
    }
}
