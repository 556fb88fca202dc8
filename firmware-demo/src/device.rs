//! What a device does all day: it boots an image from its flash, serves the link, and takes updates.

use core::cell::RefCell;
use core::convert::Infallible;
use core::fmt;

use codec_core::storage::ReadAt;
use embedded_storage::nor_flash::ReadNorFlash;
use semihosting::process::ExitCode;
use static_cell::{ConstStaticCell, StaticCell};
use update_core::Error;
use update_core::boot::{Boot, boot};
use update_core::flash::Partition;
use update_core::link::{Info, Target, serve};
use update_core::manifest::MANIFEST_LEN;
use update_core::updater::{Config, Updater, least_buffer};

use crate::board::{self, BUFFER, Decoder, LAYOUT};
use crate::flash::FileFlash;
use crate::host::{self, CommandLine, Failed};
use crate::old::{Old, Shelf, Shelved};
use crate::reset::reset;
use crate::stack::{self, Painted};
use crate::uart::Uart;

/// Prints a line, unless the image is only looked at.
macro_rules! say {
    ($($what:tt)*) => {
        if !cfg!(feature = "quiet") {
            semihosting::println!($($what)*);
        }
    };
}

/// What this device is.
pub const CONFIG: Config = Config { product: board::PRODUCT, profile: board::PROFILE, attempts: 3 };

/// Whether the board's layout has one slot.
const ONE_SLOT: bool = cfg!(feature = "one-slot");

const _: () = assert!(BUFFER >= least_buffer::<FileFlash>());

/// Why a device stops.
#[derive(Debug)]
pub enum Failure {
    /// The command line does not name the file that is the flash.
    Usage,
    /// The host could not do it.
    Host(Failed),
    /// The flash is smaller than the board's layout: bytes needed, bytes there are.
    SmallFlash(u32, u32),
    /// The update's side failed.
    Update(Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage => f.write_str("the command line must be: IMAGE FLASH"),
            Self::Host(Failed(what)) => write!(f, "the host could not {what}"),
            Self::SmallFlash(need, have) => write!(f, "the flash has {have} bytes, this board needs {need}"),
            Self::Update(error) => error.fmt(f),
        }
    }
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Self {
        Self::Host(failed)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Update(error)
    }
}

impl Failure {
    /// Says why, and ends the machine.
    #[inline(never)]
    pub fn exit(&self) -> ! {
        say!("error: {self}");
        ExitCode::FAILURE.exit_process()
    }
}

/// The flash that the command line names. Opened once.
///
/// # Errors
/// There is none, or it is too small for the board's layout.
#[inline(never)]
pub fn open_flash() -> Result<&'static RefCell<FileFlash>, Failure> {
    static FLASH: StaticCell<RefCell<FileFlash>> = StaticCell::new();
    let line = CommandLine::read()?;
    let flash = FileFlash::open(line.words().next().ok_or(Failure::Usage)?)?;
    let need = board::FLASH_BYTES;
    let have = flash.capacity() as u32;
    if have < need { Err(Failure::SmallFlash(need, have)) } else { Ok(FLASH.init(RefCell::new(flash))) }
}

/// Picks what runs, and says so: slot and length of the image, `None` where there is no image.
///
/// # Errors
/// The flash fails, or holds no record.
#[inline(never)]
pub fn pick(flash: &RefCell<FileFlash>) -> Result<Option<(u8, u32)>, Failure> {
    let mut buffer = [0; BUFFER];
    match boot(flash, &LAYOUT, CONFIG.attempts, &mut buffer)? {
        Boot::Run { slot, image, trial } => {
            let name = if slot == 0 { 'A' } else { 'B' };
            let state = if trial { "trial" } else { "settled" };
            say!("boot: slot {name}, version {}, {state}, {} bytes, id {}", image.version, image.len, image.id);
            Ok(Some((slot, image.len)))
        }
        // What runs this does so: see [`run`].
        Boot::Resume if ONE_SLOT => {
            say!("boot: blocks are being replaced");
            Ok(None)
        }
        Boot::Resume | Boot::Wait => {
            say!("boot: no slot holds a whole image");
            Ok(None)
        }
    }
}

/// Serves the link until the host asks for a restart, and restarts. With one slot, goes on with an update first that has
/// begun to replace blocks.
///
/// # Errors
/// The flash fails, or holds no record.
#[inline(always)]
pub fn run(flash: &'static RefCell<FileFlash>) -> Result<Infallible, Failure> {
    let stack = Painted::new();
    serve_until_restart(flash)?;
    restart(&stack)
}

#[inline(never)]
fn restart(stack: &Painted) -> ! {
    match stack.peak() {
        Some(peak) => say!("ram in all: {} bytes", stack::statics() + stack.above() + peak),
        None => say!("error: the stack reached its end"),
    }
    reset()
}

/// All that is measured. What lives as long as the device is made in functions that end, so that nothing of the making
/// stays on the stack.
#[inline(never)]
pub fn serve_until_restart(flash: &'static RefCell<FileFlash>) -> Result<(), Failure> {
    let device = open_device(flash)?;
    if ONE_SLOT && device.updater.record().must_resume(&LAYOUT) {
        match device.install() {
            Ok(()) => return Ok(()),
            // The rest cannot be: the device waits for a whole image.
            Err(error) => say!("error: {error}"),
        }
    }
    let link = open_link();
    // SAFETY: the only place in an image that opens the port, and it is passed once before the restart.
    let mut uart = unsafe { Uart::open() };
    let Ok(_) = serve(&mut uart, link, device);
    Ok(())
}

#[inline(never)]
fn open_device(flash: &'static RefCell<FileFlash>) -> Result<&'static mut Device, Failure> {
    static BYTES: ConstStaticCell<[u8; BUFFER]> = ConstStaticCell::new([0; BUFFER]);
    static DEVICE: StaticCell<Device> = StaticCell::new();
    let updater = Updater::open(flash, LAYOUT, CONFIG, BYTES.take())?;
    let info = updater.info();
    say!("state: {}, {} bytes received", updater.record().state.name(), info.received);
    Ok(DEVICE.init(Device { updater, flash }))
}

#[inline(never)]
fn open_link() -> &'static mut board::Link {
    static LINK: StaticCell<board::Link> = StaticCell::new();
    LINK.init(board::Link::new(host::seed()))
}

/// What the link drives. No method is inlined: while an update is installed, little else may lie on the stack.
struct Device {
    updater: Updater<'static, 'static, FileFlash>,
    flash: &'static RefCell<FileFlash>,
}

impl Target for Device {
    #[inline(never)]
    fn info(&mut self) -> Info {
        self.updater.info()
    }

    #[inline(never)]
    fn offer(&mut self, manifest: &[u8; MANIFEST_LEN]) -> Result<u32, Error> {
        self.updater.offer(manifest)
    }

    #[inline(never)]
    fn receive(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Error> {
        self.updater.receive(offset, bytes)
    }

    #[inline(never)]
    fn install(&mut self) -> Result<(), Error> {
        let (flash, offset) = (self.flash, LAYOUT.slot(self.updater.record().active).offset);
        self.updater.install(|old: Partition<'_, _>| decoder(Running { flash, offset, len: old.len() }))
    }

    #[inline(never)]
    fn confirm(&mut self) -> Result<(), Error> {
        self.updater.confirm()
    }

    #[inline(never)]
    fn rotate(&mut self, statement: &[u8]) -> Result<(), Error> {
        self.updater.rotate(statement)
    }

    /// The caller of [`serve`] restarts.
    fn reboot(&mut self) {}
}

/// What the updater has to rebuild from: the slot that runs. A [`Partition`] reads the same, with more on the stack.
struct Running {
    flash: &'static RefCell<FileFlash>,
    offset: u32,
    len: u32,
}

impl ReadAt for Running {
    fn len(&self) -> u32 {
        self.len
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), codec_core::Error> {
        let failed = codec_core::Error::Storage { offset, len: buf.len() as u32 };
        if u64::from(offset) + buf.len() as u64 > u64::from(self.len) {
            return Err(failed);
        }
        let mut flash = self.flash.try_borrow_mut().map_err(|_| failed)?;
        flash.fetch(self.offset + offset, buf).map_err(|_| failed)
    }
}

impl Shelved for Running {
    type File = Self;

    fn shelf() -> &'static Shelf<Self> {
        static SHELF: Shelf<Running> = Shelf::new();
        &SHELF
    }
}

/// A decoder, which lies on the stack while an update is installed: signatures are checked in the same memory.
#[inline(always)]
fn decoder(old: Running) -> Decoder<Old<Running>> {
    Old::<Running>::set(old);
    // A constant of zeros is written to its place. What a function returns would be copied there.
    const { Decoder::new(Old::NEW) }
}
