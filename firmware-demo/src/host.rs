//! Files of the host, reached by semihosting.

use codec_core::Error;
use codec_core::storage::ReadAt;
use cortex_m_semihosting::{nr, syscall};

use crate::Failure;
use crate::count::Counter;

/// Longest file name, and longest command line, in bytes.
const NAME_BYTES: usize = 256;
/// What semihosting calls return when they fail.
const FAILED: usize = usize::MAX;

/// How a file is opened.
#[derive(Clone, Copy)]
pub enum Mode {
    /// For reading; it must exist.
    Read,
    /// For writing; made anew.
    Write,
}

/// An open file. It stays open: the demo ends with the machine.
pub struct HostFile {
    handle: usize,
    len: u32,
    counter: &'static Counter,
}

impl HostFile {
    pub fn open(name: &str, mode: Mode, counter: &'static Counter) -> Result<Self, Failure> {
        let mut c_name = [0; NAME_BYTES + 1];
        c_name.get_mut(..name.len()).ok_or(Failure::Host("take so long a file name"))?.copy_from_slice(name.as_bytes());
        let flags = match mode {
            Mode::Read => nr::open::R_BINARY,
            Mode::Write => nr::open::W_TRUNC_BINARY,
        };
        // SAFETY: the name is terminated by a zero and outlives the call.
        let handle = unsafe { syscall!(OPEN, c_name.as_ptr(), flags, name.len()) };
        if handle == FAILED {
            return Err(Failure::Host(match mode {
                Mode::Read => "open a file to read",
                Mode::Write => "make the new file",
            }));
        }
        // SAFETY: takes the handle only.
        let len = unsafe { syscall!(FLEN, handle) };
        let len = u32::try_from(len).map_err(|_| Failure::Host("tell a file's length"))?;
        Ok(Self { handle, len, counter })
    }

    /// Length in bytes when the file was opened.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Reads on, and returns how many bytes there were.
    pub fn read(&mut self, buf: &mut [u8]) -> Result<usize, Failure> {
        let handle = self.handle;
        // SAFETY: the host writes at most `buf.len()` bytes to `buf`, which is lent for the call.
        let left = self.counter.pause(|| unsafe { syscall!(READ, handle, buf.as_mut_ptr(), buf.len()) });
        buf.len().checked_sub(left).ok_or(Failure::Host("read a file"))
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let handle = self.handle;
        // SAFETY: the host reads `bytes.len()` bytes, which are lent for the call.
        let left = self.counter.pause(|| unsafe { syscall!(WRITE, handle, bytes.as_ptr(), bytes.len()) });
        if left == 0 { Ok(()) } else { Err(Failure::Host("write the new file")) }
    }
}

impl ReadAt for HostFile {
    fn len(&self) -> u32 {
        self.len
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), Error> {
        let failed = Error::Storage { offset, len: buf.len() as u32 };
        if u64::from(offset) + buf.len() as u64 > u64::from(self.len) {
            return Err(failed);
        }
        let handle = self.handle;
        let left = self.counter.pause(|| {
            // SAFETY: the first call takes numbers only; in the second the host writes at most
            // `buf.len()` bytes to `buf`, which is lent for the call.
            unsafe {
                if syscall!(SEEK, handle, offset) == 0 {
                    syscall!(READ, handle, buf.as_mut_ptr(), buf.len())
                } else {
                    FAILED
                }
            }
        });
        if left == 0 { Ok(()) } else { Err(failed) }
    }
}

/// The semihosting command line.
pub struct CommandLine {
    bytes: [u8; NAME_BYTES],
    len: usize,
}

impl CommandLine {
    pub fn read() -> Result<Self, Failure> {
        let mut bytes = [0; NAME_BYTES];
        let mut block = [bytes.as_mut_ptr() as usize, bytes.len()];
        // SAFETY: the host writes at most `bytes.len()` bytes to `bytes`, and their number to the block.
        let result = unsafe { cortex_m_semihosting::syscall1(nr::GET_CMDLINE, block.as_mut_ptr() as usize) };
        // SAFETY: the host has written the block behind the compiler's back.
        let len = unsafe { block.as_ptr().add(1).read_volatile() };
        if result == 0 && len <= bytes.len() { Ok(Self { bytes, len }) } else { Err(Failure::Usage) }
    }

    /// The three file names after the program's own.
    pub fn files(&self) -> Result<[&str; 3], Failure> {
        let line = core::str::from_utf8(&self.bytes[..self.len]).map_err(|_| Failure::Usage)?;
        let mut words = line.trim_end_matches('\0').split_ascii_whitespace().skip(1);
        let mut next = || words.next().ok_or(Failure::Usage);
        Ok([next()?, next()?, next()?])
    }
}
