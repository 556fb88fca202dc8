//! Where everything lies on the flash, and how it is read and written.

mod layout;

use core::fmt;

pub use layout::{Layout, Region, Slots};

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
