//! What stands before an update's payload and is signed.

/// Bytes of a manifest.
pub const MANIFEST_LEN: usize = 132;
