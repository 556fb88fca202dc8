//! What a device does with an update: `no_std`, no allocator, fixed memory, no unsafe code.
//!
//! - [`flash`]: where everything lies on the flash, and how it is read and written;
//! - [`link`]: how an update travels over a byte stream that loses, doubles and reorders.
#![cfg_attr(not(test), no_std)]

pub mod error;
pub mod flash;
pub mod link;
pub mod manifest;

pub use error::Error;
