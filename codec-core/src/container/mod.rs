//! The GMCF container: digests, residues, packed codes, and its two encodings.

pub mod digest;
pub mod packed;
pub mod residue;
pub mod v1;
pub mod v2;
#[cfg(feature = "zstd")]
pub mod zstd;
