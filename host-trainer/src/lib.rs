//! The host side of GMCF: the codec's encoder, the `gmcf` command line, reports and benches.
//!
//! [`codec`] is the door for programs: bytes in, bytes out. [`cli`] is the same for people.

pub mod align;
pub mod backend;
pub mod base;
pub mod bench;
pub mod cli;
#[cfg(feature = "fleet")]
pub mod client;
pub mod codec;
#[cfg(feature = "fleet")]
pub mod deltas;
pub mod experiment;
pub mod files;
pub mod fit;
pub mod history;
pub mod layered;
pub mod push;
pub mod release;
pub mod report;
#[cfg(feature = "fleet")]
pub mod server;
#[cfg(feature = "fleet")]
pub mod store;
pub mod train;
pub mod tree;
#[cfg(feature = "fleet")]
pub mod wire;
