//! What a device does with an update: `no_std`, no allocator, fixed memory, no unsafe code.
//!
//! - [`manifest`] and [`keys`]: what is signed, and who may sign;
//! - [`flash`]: where everything lies on the flash, and how it is read and written;
//! - [`record`]: the progress record, which survives a power cut at every flash operation;
//! - [`updater`]: takes an update from the offer to the confirmed image;
//! - [`boot`]: picks the image that runs;
//! - [`inplace`]: updates for devices with one slot;
//! - [`link`]: how an update travels over a byte stream that loses, doubles and reorders.
#![cfg_attr(not(test), no_std)]

pub mod boot;
pub mod download;
pub mod error;
pub mod flash;

pub mod inplace;
pub mod keys;
pub mod link;
pub mod manifest;
mod payload;
pub mod record;
pub mod updater;

pub use error::Error;

/// A little-endian integer of up to four bytes.
pub(crate) fn word(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}
