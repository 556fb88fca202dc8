//! Writes a region from its start on, block after block.

use embedded_storage::nor_flash::NorFlash;

use super::Partition;
use crate::Error;

/// Collects bytes into whole writes, and erases each block when it is reached.
///
/// A writer that goes on after a power cut is told how many blocks are done: it takes the same bytes from the start
/// again, and leaves those blocks alone.
#[derive(Debug)]
pub struct Writer<'a, 'b, F> {
    region: Partition<'a, F>,
    buffer: &'b mut [u8],
    filled: usize,
    /// Bytes that are on the flash, or were left out because they were there.
    at: u32,
    /// Place from which on bytes are written.
    from: u32,
}

impl<'a, 'b, F: NorFlash> Writer<'a, 'b, F> {
    /// A writer into `region` of which `done` blocks are written. `buffer` must hold one write at least.
    ///
    /// # Errors
    /// [`Error::NoRoom`] when it does not.
    pub fn new(region: Partition<'a, F>, done: u32, buffer: &'b mut [u8]) -> Result<Self, Error> {
        let len = buffer.len() - buffer.len() % F::WRITE_SIZE;
        if len == 0 {
            let (requested, limit) = (F::WRITE_SIZE as u32, buffer.len() as u32);
            return Err(Error::NoRoom { region: "buffer", requested, limit });
        }
        let from = done.saturating_mul(F::ERASE_SIZE as u32);
        Ok(Self { region, buffer: &mut buffer[..len], filled: 0, at: 0, from })
    }

    /// Bytes taken.
    pub fn len(&self) -> u32 {
        self.at + self.filled as u32
    }

    /// Whether nothing has been taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Erase blocks whose bytes are all on the flash.
    pub fn blocks(&self) -> u32 {
        self.at / F::ERASE_SIZE as u32
    }

    /// Room to write the next bytes to; [`Writer::advance`] takes them. Never empty.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[self.filled..]
    }

    /// Takes the first `n` bytes of [`Writer::room`].
    ///
    /// # Errors
    /// [`Error::Flash`], also when the region is full.
    pub fn advance(&mut self, n: usize) -> Result<(), Error> {
        self.filled = (self.filled + n).min(self.buffer.len());
        if self.filled == self.buffer.len() {
            self.put()?;
        }
        Ok(())
    }

    /// Takes `bytes`.
    ///
    /// # Errors
    /// As [`Writer::advance`].
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let room = self.room();
            let n = bytes.len().min(room.len());
            room[..n].copy_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            self.advance(n)?;
        }
        Ok(())
    }

    /// Writes what is left, filled up with 0xff.
    ///
    /// # Errors
    /// As [`Writer::advance`].
    pub fn finish(mut self) -> Result<(), Error> {
        let end = self.filled.next_multiple_of(F::WRITE_SIZE);
        self.buffer[self.filled..end].fill(0xff);
        self.filled = end;
        self.put()
    }

    /// Writes the buffer, which holds whole writes.
    fn put(&mut self) -> Result<(), Error> {
        let block = F::ERASE_SIZE as u32;
        let mut bytes = &self.buffer[..self.filled];
        while !bytes.is_empty() {
            let inside = self.at % block;
            let n = bytes.len().min((block - inside) as usize);
            if self.at >= self.from {
                if inside == 0 {
                    self.region.erase(self.at, block)?;
                }
                self.region.write(self.at, &bytes[..n])?;
            }
            self.at += n as u32;
            bytes = &bytes[n..];
        }
        self.filled = 0;
        Ok(())
    }
}
