//! Deltas between what is in a store: how they are made, made ahead, and removed when nobody asks for them.

mod ahead;
mod evict;
mod make;

use std::fmt;

use crate::codec::CodecError;
use crate::store::StoreError;
use crate::tree::Digest;
use crate::tree::pack::PackError;
use crate::tree::patch::PatchError;

pub use ahead::{Ahead, Done, Plan, Shard, precompute};
pub use evict::{Evicted, evict};
pub use make::{Means, compress, make};

/// Why there is no delta.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeltaError {
    /// The store does not have what it leads from or to.
    Missing {
        /// What is missing.
        digest: Digest,
    },
    /// A content is longer than what is compressed here.
    TooLarge {
        /// Its bytes.
        found: u64,
        /// Bytes that are compressed.
        limit: u64,
    },
    /// The store.
    Store(StoreError),
    /// The codec.
    Codec(CodecError),
    /// The patch of a tree.
    Patch(PatchError),
    /// The pack of a tree.
    Pack(PackError),
    /// A promise of this program was broken.
    Internal(String),
}

impl fmt::Display for DeltaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { digest } => write!(f, "{digest} is not in the store"),
            Self::TooLarge { found, limit } => write!(f, "content is {found} bytes, at most {limit} are compressed"),
            Self::Store(error) => write!(f, "{error}"),
            Self::Codec(error) => write!(f, "{error}"),
            Self::Patch(error) => write!(f, "{error}"),
            Self::Pack(error) => write!(f, "{error}"),
            Self::Internal(what) => write!(f, "internal error: {what}"),
        }
    }
}

impl std::error::Error for DeltaError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::Codec(error) => Some(error),
            Self::Patch(error) => Some(error),
            Self::Pack(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for DeltaError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TooLarge { found, limit, .. } => Self::TooLarge { found, limit },
            error => Self::Store(error),
        }
    }
}

impl From<CodecError> for DeltaError {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

impl From<PackError> for DeltaError {
    fn from(error: PackError) -> Self {
        Self::Pack(error)
    }
}

impl From<PatchError> for DeltaError {
    fn from(error: PatchError) -> Self {
        Self::Patch(error)
    }
}
