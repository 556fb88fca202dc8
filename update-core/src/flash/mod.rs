//! Where everything lies on the flash, and how it is read and written.
//!
//! Any [`NorFlash`](embedded_storage::nor_flash::NorFlash) will do, whatever its read, write and erase sizes. Nothing
//! here writes a word twice between two erases, and nothing reaches outside its region.

mod layout;
pub mod log;
mod partition;
mod writer;

use core::fmt;

pub use layout::{Layout, Region, Slots};
pub use partition::{Partition, crc32};
pub use writer::Writer;

/// What was done to the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Erasing.
    Erase,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Erase => "erase",
        })
    }
}
