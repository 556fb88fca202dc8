//! Rebuilds a file from its old image and its GMCF update on a board, and says what that cost.
//!
//! The host's files are reached by semihosting; their names stand on the semihosting command line:
//! `demo OLD PATCH NEW` (`run.sh` gives them to QEMU). What is measured is the decoder alone: the
//! instruction counter stands still during host calls, and only the stack below the call of the
//! decoder's loop counts.
#![no_std]
#![no_main]

mod counted;
mod decode;
mod place;
mod slot;

use core::fmt;

use firmware_demo::board;
use firmware_demo::count::Counter;
use firmware_demo::host::{self, CommandLine, Mode};
use firmware_demo::start::entry;
use semihosting::println;
use semihosting::process::ExitCode;
use static_cell::StaticCell;

use crate::counted::HostFile;

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

impl From<host::Failed> for Failure {
    fn from(failed: host::Failed) -> Self {
        Self::Host(failed.0)
    }
}

impl From<codec_core::Error> for Failure {
    fn from(error: codec_core::Error) -> Self {
        Self::Codec(error)
    }
}

#[entry]
fn main() -> ! {
    let code = match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("error: {failure}");
            ExitCode::FAILURE
        }
    };
    code.exit_process()
}

fn run() -> Result<(), Failure> {
    static COUNTER: StaticCell<Counter> = StaticCell::new();
    let counter: &'static Counter = COUNTER.init(Counter::calibrate());

    let command_line = CommandLine::read()?;
    let mut words = command_line.words();
    let mut next = || words.next().ok_or(Failure::Usage);
    let [old, patch, new] = [next()?, next()?, next()?];
    println!("board: {}", board::name());
    let old = place::open_old(old, counter)?;
    let mut patch = HostFile::open(patch, Mode::Read, counter)?;
    println!("old: {} bytes", codec_core::storage::ReadAt::len(&old));
    println!("patch: {} bytes", patch.len());
    let mut slot = place::open_slot(new, counter)?;

    let cost = decode::rebuild(old, &mut patch, &mut slot, counter)?;
    let rebuilt = slot.finish()?;

    println!("new: {} bytes", rebuilt.len);
    println!("sha256: {}", rebuilt.digest);
    cost.print(rebuilt.len);
    Ok(())
}
