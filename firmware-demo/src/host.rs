//! Files of the host, reached by semihosting.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use semihosting::fd::{AsFd, OwnedFd};
use semihosting::sys::arm_compat::{
    OpenMode, sys_clock, sys_flen, sys_get_cmdline_uninit, sys_open, sys_read_orig, sys_seek, sys_time, sys_write_orig,
};

/// Longest file name, and longest command line, in bytes.
const NAME_BYTES: usize = 256;

/// What the host could not do, for a message that starts with "the host could not".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed(pub &'static str);

/// How a file is opened.
#[derive(Clone, Copy, Debug)]
pub enum Mode {
    /// For reading; it must exist.
    Read,
    /// For writing; made anew.
    Write,
    /// For reading and writing in place; it must exist.
    Update,
}

/// An open file.
#[derive(Debug)]
pub struct File {
    handle: OwnedFd,
    len: u32,
}

impl File {
    /// Opens the file of that name, which is the host's.
    ///
    /// # Errors
    /// The name is too long or the host refuses.
    pub fn open(name: &str, mode: Mode) -> Result<Self, Failed> {
        let mut buffer = [0; NAME_BYTES + 1];
        buffer.get_mut(..name.len()).ok_or(Failed("take so long a file name"))?.copy_from_slice(name.as_bytes());
        let c_name = CStr::from_bytes_until_nul(&buffer).map_err(|_| Failed("take so long a file name"))?;
        let (mode, failed) = match mode {
            Mode::Read => (OpenMode::RDONLY_BINARY, Failed("open a file to read")),
            Mode::Write => (OpenMode::WRONLY_TRUNC_BINARY, Failed("make the new file")),
            Mode::Update => (OpenMode::RDWR_BINARY, Failed("open a file to change it")),
        };
        let handle = sys_open(c_name, mode).map_err(|_| failed)?;
        let len = sys_flen(handle.as_fd()).ok().and_then(|len| u32::try_from(len).ok());
        Ok(Self { handle, len: len.ok_or(Failed("tell a file's length"))? })
    }

    /// Length in bytes when the file was opened.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether the file was empty when it was opened.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads on, and returns how many bytes there were.
    ///
    /// # Errors
    /// The host refuses.
    pub fn read(&mut self, buf: &mut [u8]) -> Result<usize, Failed> {
        let failed = Failed("read a file");
        let left = sys_read_orig(self.handle.as_fd(), buf).map_err(|_| failed)?;
        buf.len().checked_sub(left).ok_or(failed)
    }

    /// Writes on.
    ///
    /// # Errors
    /// The host refuses, or takes part of it only.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        match sys_write_orig(self.handle.as_fd(), bytes) {
            Ok(0) => Ok(()),
            _ => Err(Failed("write a file")),
        }
    }

    /// Reads or writes from here on: bytes from the start, at most [`File::len`].
    ///
    /// # Errors
    /// The host refuses, or the place is beyond the file.
    pub fn seek(&mut self, offset: u32) -> Result<(), Failed> {
        let failed = Failed("find the place in a file");
        if offset > self.len {
            return Err(failed);
        }
        // SAFETY: the place was checked to be within the file; beyond it, what happens is undefined.
        unsafe { sys_seek(self.handle.as_fd(), offset as usize) }.map_err(|_| failed)
    }
}

/// The semihosting command line.
#[derive(Debug)]
pub struct CommandLine {
    bytes: [u8; NAME_BYTES],
    len: usize,
}

impl CommandLine {
    /// Asks the host for it.
    ///
    /// # Errors
    /// There is none, or it is longer than 256 bytes.
    pub fn read() -> Result<Self, Failed> {
        let mut buffer = [MaybeUninit::uninit(); NAME_BYTES];
        let line = sys_get_cmdline_uninit(&mut buffer).map_err(|_| Failed("tell the command line"))?;
        let mut bytes = [0; NAME_BYTES];
        let len = line.len();
        bytes.get_mut(..len).ok_or(Failed("tell so long a command line"))?.copy_from_slice(line);
        Ok(Self { bytes, len })
    }

    /// The words after the program's own name. What is not UTF-8 has none.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        let line = self.bytes.get(..self.len).and_then(|line| core::str::from_utf8(line).ok()).unwrap_or("");
        line.trim_end_matches('\0').split_ascii_whitespace().skip(1)
    }
}

/// A number that no start before had: from the host's clocks.
pub fn seed() -> u32 {
    let seconds = sys_time().unwrap_or(0) as u32;
    let centiseconds = sys_clock().unwrap_or(0) as u32;
    seconds.wrapping_mul(100).wrapping_add(centiseconds)
}
