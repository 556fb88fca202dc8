//! One region of a flash that several hold at once.

use core::cell::RefCell;

use codec_core::storage::ReadAt;
use crc::{CRC_32_ISO_HDLC, Crc, Digest, NoTable};
use embedded_storage::nor_flash::NorFlash;

use super::{Operation, Region};
use crate::Error;

/// CRC-32 as Ethernet has it, without a table: the flash is slower.
static CRC32: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// A CRC-32 to feed.
pub fn crc32() -> Digest<'static, u32, NoTable> {
    CRC32.digest()
}

/// Bytes read at once where the flash cannot read at every place. Larger read sizes are not supported.
const LINE: usize = 64;

/// A region of the flash. Offsets count from the region's start; nothing outside is ever touched.
///
/// The old image is read while the new one is written, so the flash is shared through a [`RefCell`], which is borrowed
/// for single operations only.
#[derive(Debug)]
pub struct Partition<'a, F> {
    flash: &'a RefCell<F>,
    region: Region,
}

impl<F> Clone for Partition<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Partition<'_, F> {}

impl<'a, F: NorFlash> Partition<'a, F> {
    /// The part `region` of `flash`.
    pub fn new(flash: &'a RefCell<F>, region: Region) -> Self {
        const {
            assert!(F::READ_SIZE <= LINE, "reads of more than 64 bytes at least are not supported");
            assert!(F::ERASE_SIZE.is_multiple_of(F::WRITE_SIZE), "an erase block holds whole writes");
        }
        Self { flash, region }
    }

    /// Length, bytes.
    pub fn len(&self) -> u32 {
        self.region.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.region.len == 0
    }

    /// The `len` bytes from `offset` on, as a partition of their own; what lies outside is cut off.
    pub fn part(&self, offset: u32, len: u32) -> Self {
        let offset = offset.min(self.region.len);
        let len = len.min(self.region.len - offset);
        Self { flash: self.flash, region: Region { offset: self.region.offset + offset, len } }
    }

    /// Place on the flash, if `len` bytes from `offset` on lie inside.
    fn place(&self, operation: Operation, offset: u32, len: u32) -> Result<u32, Error> {
        match offset.checked_add(len) {
            Some(end) if end <= self.region.len => Ok(self.region.offset + offset),
            _ => Err(Error::Flash { operation, offset: self.region.offset.saturating_add(offset), len }),
        }
    }

    fn with<R, E>(
        &self,
        operation: Operation,
        offset: u32,
        len: u32,
        work: impl FnOnce(&mut F, u32) -> Result<R, E>,
    ) -> Result<R, Error> {
        let place = self.place(operation, offset, len)?;
        let failed = Error::Flash { operation, offset: place, len };
        let mut flash = self.flash.try_borrow_mut().map_err(|_| failed)?;
        work(&mut flash, place).map_err(|_| failed)
    }

    /// Fills `buf` with the bytes from `offset` on, whatever the flash's read size.
    ///
    /// # Errors
    /// [`Error::Flash`] outside of the region, or when the flash fails.
    pub fn read(&self, offset: u32, buf: &mut [u8]) -> Result<(), Error> {
        let size = F::READ_SIZE as u32;
        self.with(Operation::Read, offset, buf.len() as u32, |flash, place| {
            if place.is_multiple_of(size) && (buf.len() as u32).is_multiple_of(size) {
                return flash.read(place, buf);
            }
            let mut line = [0; LINE];
            let whole = LINE - LINE % F::READ_SIZE;
            let (mut at, mut rest) = (place, buf);
            while !rest.is_empty() {
                let inside = (at % size) as usize;
                let n = rest.len().min(whole - inside);
                let read = (inside + n).next_multiple_of(F::READ_SIZE);
                flash.read(at - inside as u32, &mut line[..read])?;
                let (head, tail) = rest.split_at_mut(n);
                head.copy_from_slice(&line[inside..inside + n]);
                rest = tail;
                at += n as u32;
            }
            Ok(())
        })
    }

    /// Writes `bytes`, a multiple of the write size, at `offset`, another one, which have been erased.
    ///
    /// # Errors
    /// [`Error::Flash`] outside of the region, or when the flash fails.
    pub fn write(&self, offset: u32, bytes: &[u8]) -> Result<(), Error> {
        self.with(Operation::Write, offset, bytes.len() as u32, |flash, place| flash.write(place, bytes))
    }

    /// Erases `len` bytes, a multiple of the erase size, from `offset` on, another one.
    ///
    /// # Errors
    /// [`Error::Flash`] outside of the region, or when the flash fails.
    pub fn erase(&self, offset: u32, len: u32) -> Result<(), Error> {
        self.with(Operation::Erase, offset, len, |flash, place| flash.erase(place, place + len))
    }

    /// CRC-32 of the `len` bytes from `offset` on.
    ///
    /// # Errors
    /// As [`Partition::read`].
    pub fn crc(&self, offset: u32, len: u32) -> Result<u32, Error> {
        let mut crc = crc32();
        self.scan(offset, len, |bytes| crc.update(bytes))?;
        Ok(crc.finalize())
    }

    /// Shows `visit` the `len` bytes from `offset` on, piece by piece.
    ///
    /// # Errors
    /// As [`Partition::read`].
    pub fn scan(&self, offset: u32, len: u32, mut visit: impl FnMut(&[u8])) -> Result<(), Error> {
        self.place(Operation::Read, offset, len)?;
        let mut piece = [0; LINE];
        let mut at = 0;
        while at < len {
            let n = (len - at).min(LINE as u32) as usize;
            self.read(offset + at, &mut piece[..n])?;
            visit(&piece[..n]);
            at += n as u32;
        }
        Ok(())
    }
}

impl<F: NorFlash> ReadAt for Partition<'_, F> {
    fn len(&self) -> u32 {
        self.region.len
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), codec_core::Error> {
        self.read(offset, buf).map_err(|_| codec_core::Error::Storage { offset, len: buf.len() as u32 })
    }
}
