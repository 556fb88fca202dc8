//! The GMCF container: digests, residues, and its two encodings.

pub mod digest;
pub mod residue;
pub mod v1;
pub mod v2;
#[cfg(feature = "zstd")]
pub mod zstd;
