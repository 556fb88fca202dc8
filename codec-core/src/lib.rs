//! The GMCF container and its decoder: `no_std`, no allocator, integers only.
//!
//! A device holds the file it runs today (the *old image*). A GMCF file carries what is
//! missing to rebuild the next one bit for bit; [`decoder::Decoder`] rebuilds it in memory
//! that is fixed at compile time. `FORMAT.md` beside this crate is normative.
#![cfg_attr(not(test), no_std)]

pub mod container;
pub mod decoder;
pub mod delta;
pub mod entropy;
pub mod error;
mod intake;
pub mod limits;
pub mod mix;
pub mod neural;
pub mod predict;
pub mod reloc;
pub mod storage;
pub mod varint;
pub mod weights_decoder;

pub use error::Error;
