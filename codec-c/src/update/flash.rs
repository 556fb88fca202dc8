//! The flash, reached through the caller's functions.

use core::ffi::{c_int, c_void};

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};

use crate::error::gmcf_status::{self, *};

/// Bytes that the flash writes at once: `GMCF_WRITE_SIZE` in the environment of the build, a power of two up to 256.
pub(crate) const WRITE_SIZE: usize = {
    let size = setting(option_env!("GMCF_WRITE_SIZE"), 4);
    assert!(size.is_power_of_two() && size <= 256, "GMCF_WRITE_SIZE must be a power of two, at most 256");
    size
};

/// Bytes that the flash erases at once: `GMCF_ERASE_SIZE`, a multiple of the write size up to 1 MiB.
pub(crate) const ERASE_SIZE: usize = {
    let size = setting(option_env!("GMCF_ERASE_SIZE"), 4096);
    assert!(
        size > 0 && size.is_multiple_of(WRITE_SIZE) && size <= 1 << 20,
        "GMCF_ERASE_SIZE must be a multiple of GMCF_WRITE_SIZE, at most 1048576"
    );
    size
};

/// A decimal number from the environment, below ten million.
const fn setting(text: Option<&str>, usual: usize) -> usize {
    let Some(text) = text else { return usual };
    let mut digits = text.as_bytes();
    assert!(
        !digits.is_empty() && digits.len() <= 7,
        "GMCF_WRITE_SIZE and GMCF_ERASE_SIZE must be numbers of one to seven digits"
    );
    let mut value = 0;
    while let [digit, rest @ ..] = digits {
        assert!(digit.is_ascii_digit(), "GMCF_WRITE_SIZE and GMCF_ERASE_SIZE must be decimal numbers");
        value = 10 * value + (*digit - b'0') as usize;
        digits = rest;
    }
    value
}

/// The flash, as the device's driver reaches it. The functions return 0; anything else when they could not.
///
/// They must not use the updater or the link that calls them: that is refused with GMCF_ERROR_BUSY.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmcf_flash {
    /// Bytes of the whole flash, from offset 0.
    pub capacity: u32,
    /// Bytes that can be written at once, and at multiples of which writes start: what gmcf_write_size says.
    pub write_size: u32,
    /// Bytes that are erased at once: what gmcf_erase_size says.
    pub erase_size: u32,
    /// Given to the functions as it is; may be NULL.
    pub context: *mut c_void,
    /// Copies `len` bytes from `offset` on to `buffer`. Both may be any number.
    pub read: Option<unsafe extern "C" fn(context: *mut c_void, offset: u32, buffer: *mut u8, len: u32) -> c_int>,
    /// Writes `len` bytes, whole write sizes, to erased flash, and returns when they are there. Nothing is written twice
    /// between two erases.
    pub write: Option<unsafe extern "C" fn(context: *mut c_void, offset: u32, bytes: *const u8, len: u32) -> c_int>,
    /// Sets `len` bytes, whole erase blocks, to 0xff, and returns when they are.
    pub erase: Option<unsafe extern "C" fn(context: *mut c_void, offset: u32, len: u32) -> c_int>,
}

/// Bytes that the flash writes at once, as the library was built: GMCF_WRITE_SIZE in the environment, or 4.
#[unsafe(no_mangle)]
pub extern "C" fn gmcf_write_size() -> u32 {
    WRITE_SIZE as u32
}

/// Bytes that the flash erases at once, as the library was built: GMCF_ERASE_SIZE in the environment, or 4096.
#[unsafe(no_mangle)]
pub extern "C" fn gmcf_erase_size() -> u32 {
    ERASE_SIZE as u32
}

type Read = unsafe extern "C" fn(*mut c_void, u32, *mut u8, u32) -> c_int;
type Write = unsafe extern "C" fn(*mut c_void, u32, *const u8, u32) -> c_int;
type Erase = unsafe extern "C" fn(*mut c_void, u32, u32) -> c_int;

/// The flash as the updater drives it.
pub(crate) struct Flash {
    capacity: u32,
    context: *mut c_void,
    read: Read,
    write: Write,
    erase: Erase,
}

impl Flash {
    /// # Safety
    /// `flash` is NULL, or points to a gmcf_flash whose functions do what is said of them there, for as long as what is
    /// returned is used.
    pub(crate) unsafe fn new(flash: *const gmcf_flash) -> Result<Self, gmcf_status> {
        if flash.is_null() {
            return Err(GMCF_ERROR_NULL);
        }
        // SAFETY: not NULL, then a flash, as the caller promised.
        let gmcf_flash { capacity, write_size, erase_size, context, read, write, erase } =
            unsafe { flash.read_unaligned() };
        let (Some(read), Some(write), Some(erase)) = (read, write, erase) else { return Err(GMCF_ERROR_NULL) };
        if (write_size, erase_size) != (gmcf_write_size(), gmcf_erase_size()) {
            return Err(GMCF_ERROR_SIZES);
        }
        Ok(Self { capacity, context, read, write, erase })
    }
}

/// Why the flash refused.
#[derive(Debug)]
pub(crate) struct Failed(NorFlashErrorKind);

impl NorFlashError for Failed {
    fn kind(&self) -> NorFlashErrorKind {
        self.0
    }
}

impl From<NorFlashErrorKind> for Failed {
    fn from(kind: NorFlashErrorKind) -> Self {
        Self(kind)
    }
}

/// What a function of the caller's returned.
fn answer(answer: c_int) -> Result<(), Failed> {
    if answer == 0 { Ok(()) } else { Err(Failed(NorFlashErrorKind::Other)) }
}

impl ErrorType for Flash {
    type Error = Failed;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Failed> {
        check_read(self, offset, bytes.len())?;
        // SAFETY: whoever made the flash promised a function that writes at most `len` bytes to `buffer`; `bytes` has as
        // many, and is lent for the call. They lie within the capacity, so their number fits.
        answer(unsafe { (self.read)(self.context, offset, bytes.as_mut_ptr(), bytes.len() as u32) })
    }

    fn capacity(&self) -> usize {
        self.capacity as usize
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = WRITE_SIZE;
    const ERASE_SIZE: usize = ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Failed> {
        check_erase(self, from, to)?;
        // SAFETY: a function as promised; `from` is not behind `to`.
        answer(unsafe { (self.erase)(self.context, from, to - from) })
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Failed> {
        check_write(self, offset, bytes.len())?;
        // SAFETY: a function that reads at most `len` bytes, as promised; `bytes` has as many, and they lie within the
        // capacity, so their number fits.
        answer(unsafe { (self.write)(self.context, offset, bytes.as_ptr(), bytes.len() as u32) })
    }
}
