//! The C interface of the GMCF decoder and, with the feature `update`, of the device's side of updates: `libgmcf.a` and
//! `include/gmcf.h`.
//!
//! No operating system, no allocation, no floating point. The caller lends all memory; nothing is called back but
//! [`gmcf_storage::read_at`] and the functions of `gmcf_flash`. Only this crate has unsafe code: it turns what C passes into
//! slices and references, after it has checked whatever can be checked.
#![cfg_attr(not(test), no_std)]
#![expect(non_camel_case_types, reason = "the types are named as C programs spell them")]

mod decoder;
mod error;
#[cfg(not(test))]
mod panic;
mod storage;
#[cfg(feature = "update")]
mod update;

pub use decoder::*;
pub use error::*;
pub use storage::*;
#[cfg(feature = "update")]
pub use update::*;
