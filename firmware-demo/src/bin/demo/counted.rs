//! Files of the host that the instruction counter does not see.

use codec_core::Error;
use codec_core::storage::ReadAt;
use firmware_demo::count::Counter;
use firmware_demo::host::{Failed, File, Mode};

use crate::Failure;

/// An open file. The counter stands still while the host works.
pub struct HostFile {
    file: File,
    counter: &'static Counter,
}

impl HostFile {
    pub fn open(name: &str, mode: Mode, counter: &'static Counter) -> Result<Self, Failure> {
        Ok(Self { file: File::open(name, mode)?, counter })
    }

    /// Length in bytes when the file was opened.
    pub fn len(&self) -> u32 {
        self.file.len()
    }

    /// Reads on, and returns how many bytes there were.
    pub fn read(&mut self, buf: &mut [u8]) -> Result<usize, Failure> {
        Ok(self.counter.pause(|| self.file.read(buf))?)
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.counter.pause(|| self.file.write(bytes))?)
    }
}

impl ReadAt for HostFile {
    fn len(&self) -> u32 {
        self.file.len()
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), Error> {
        let len = buf.len();
        let read = self.counter.pause(|| -> Result<usize, Failed> {
            self.file.seek(offset)?;
            self.file.read(buf)
        });
        if read == Ok(len) { Ok(()) } else { Err(Error::Storage { offset, len: len as u32 }) }
    }
}
