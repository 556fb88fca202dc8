//! Rebuilds a file from its old image and its GMCF update on a Cortex-M, and says what that cost.
//!
//! The host's files are reached by semihosting; their names stand on the semihosting command line:
//! `demo OLD PATCH NEW` (`run.sh` gives them to QEMU). What is measured is the decoder alone: the
//! instruction counter stands still during host calls, and only the stack below the call of the
//! decoder's loop counts.
#![no_std]
#![no_main]

#[cfg(not(any(board = "mps2-an500", board = "lm3s6965evb", board = "microbit")))]
compile_error!("no board for this target: see build.rs");

mod board;
mod count;
mod decode;
mod host;
mod old;
mod slot;
mod stack;

use core::fmt;

use cortex_m_rt::{ExceptionFrame, entry, exception};
use cortex_m_semihosting::{debug, hprintln};
use panic_semihosting as _;
use static_cell::StaticCell;

use crate::count::Counter;
use crate::decode::Cost;
use crate::host::{CommandLine, HostFile};

/// Why the demo stopped.
enum Failure {
    /// The command line does not name three files.
    Usage,
    /// A host file could not be opened, read or written.
    Host(&'static str),
    /// The file is larger than the board's memory for it: bytes found, bytes there are.
    #[cfg_attr(not(board = "mps2-an500"), expect(dead_code, reason = "the other boards stream"))]
    TooLarge(&'static str, u32, u32),
    /// The decoder refused the update.
    Codec(codec_core::Error),
    /// The update ends before the file is complete.
    Truncated,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage => f.write_str("the command line must be: demo OLD PATCH NEW"),
            Self::Host(what) => write!(f, "the host could not {what}"),
            Self::TooLarge(what, found, limit) => write!(f, "{what} has {found} bytes, this board holds {limit}"),
            Self::Codec(error) => write!(f, "{error}"),
            Self::Truncated => f.write_str("the update ends early"),
        }
    }
}

impl From<codec_core::Error> for Failure {
    fn from(error: codec_core::Error) -> Self {
        Self::Codec(error)
    }
}

/// A stack that outgrew the memory left for it ends here, if not worse.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    hprintln!("error: hard fault at {:#010x}", frame.pc());
    loop {
        debug::exit(debug::EXIT_FAILURE);
    }
}

#[entry]
fn main() -> ! {
    match run() {
        Ok(()) => debug::exit(debug::EXIT_SUCCESS),
        Err(failure) => {
            hprintln!("error: {}", failure);
            debug::exit(debug::EXIT_FAILURE);
        }
    }
    loop {
        cortex_m::asm::wfi();
    }
}

fn run() -> Result<(), Failure> {
    static COUNTER: StaticCell<Counter> = StaticCell::new();
    let peripherals = cortex_m::Peripherals::take().expect("main runs once");
    let counter: &'static Counter = COUNTER.init(Counter::calibrate(peripherals.SYST));

    let command_line = CommandLine::read()?;
    let [old, patch, new] = command_line.files()?;
    hprintln!("board: {}", board::NAME);
    let old = board::open_old(old, counter)?;
    let mut patch = HostFile::open(patch, host::Mode::Read, counter)?;
    hprintln!("old: {} bytes", codec_core::storage::ReadAt::len(&old));
    hprintln!("patch: {} bytes", patch.len());
    let mut slot = board::open_slot(new, counter)?;

    let cost = decode::rebuild(old, &mut patch, &mut slot, counter)?;
    let rebuilt = slot.finish()?;

    hprintln!("new: {} bytes", rebuilt.len);
    hprintln!("sha256: {}", rebuilt.digest);
    report(&cost, rebuilt.len);
    Ok(())
}

fn report(cost: &Cost, output: u32) {
    let per_byte_x100 = cost.instructions * 100 / u64::from(output.max(1));
    hprintln!("decoder ram: {} bytes", cost.decoder_bytes);
    hprintln!("buffers: {} bytes", cost.buffer_bytes);
    hprintln!("peak stack: {} bytes", cost.stack_bytes);
    hprintln!("ram in all: {} bytes", cost.decoder_bytes + cost.buffer_bytes + cost.stack_bytes);
    hprintln!("host calls: {}", cost.host_calls);
    hprintln!("instructions: {}", cost.instructions);
    hprintln!("instructions per byte: {}.{:02}", per_byte_x100 / 100, per_byte_x100 % 100);
}
