//! A NOR flash that is a file of the host: what it holds outlives the power.
//!
//! It is as unforgiving as the real thing. Erasing sets all bits of a block, writing only clears bits, and both refuse
//! what is not aligned.

use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read,
    check_write,
};

use crate::board;
use crate::host::{Failed, File, Mode};

/// Bytes that pass over the stack at a time.
const PIECE: usize = 128;

/// Why the flash refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The place is not aligned, or not within the flash.
    Place(NorFlashErrorKind),
    /// The host's file could not be read or written.
    Host(Failed),
}

impl NorFlashError for Error {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Place(kind) => *kind,
            Self::Host(_) => NorFlashErrorKind::Other,
        }
    }
}

impl From<NorFlashErrorKind> for Error {
    fn from(kind: NorFlashErrorKind) -> Self {
        Self::Place(kind)
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        Self::Host(failed)
    }
}

/// The flash.
#[derive(Debug)]
pub struct FileFlash(File);

impl FileFlash {
    /// A flash as large as the file of that name. Bytes after its last whole erase block are out of reach.
    ///
    /// # Errors
    /// The host cannot open the file for reading and writing.
    pub fn open(name: &str) -> Result<Self, Failed> {
        File::open(name, Mode::Update).map(Self)
    }

    /// Fills `buf` from a place within the file, aligned or not.
    ///
    /// # Errors
    /// [`Error::Host`], also beyond the file.
    pub fn fetch(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), Error> {
        self.0.seek(offset)?;
        let short = self.0.read(buf)? < buf.len();
        if short { Err(Failed("read all of the flash").into()) } else { Ok(()) }
    }

    fn put(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Error> {
        self.0.seek(offset)?;
        Ok(self.0.write(bytes)?)
    }
}

impl ErrorType for FileFlash {
    type Error = Error;
}

impl ReadNorFlash for FileFlash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Error> {
        check_read(self, offset, bytes.len())?;
        self.fetch(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.len() as usize / Self::ERASE_SIZE * Self::ERASE_SIZE
    }
}

impl NorFlash for FileFlash {
    const WRITE_SIZE: usize = board::WRITE_BYTES as usize;
    const ERASE_SIZE: usize = board::ERASE_BYTES as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Error> {
        check_erase(self, from, to)?;
        self.0.seek(from)?;
        for _ in (from..to).step_by(PIECE) {
            self.0.write(&[0xff; PIECE])?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Error> {
        check_write(self, offset, bytes.len())?;
        for (place, piece) in (offset..).step_by(PIECE).zip(bytes.chunks(PIECE)) {
            let mut buffer = [0; PIECE];
            let cells = &mut buffer[..piece.len()];
            self.fetch(place, cells)?;
            for (cell, byte) in cells.iter_mut().zip(piece) {
                *cell &= byte;
            }
            self.put(place, cells)?;
        }
        Ok(())
    }
}

/// Writing twice clears the bits that either write clears.
impl MultiwriteNorFlash for FileFlash {}

const _: () =
    assert!(board::ERASE_BYTES.is_multiple_of(PIECE as u32) && (PIECE as u32).is_multiple_of(board::WRITE_BYTES));
