//! What a patch, or what it is applied to, can have wrong.

use std::fmt;
use std::io;

use crate::codec::CodecError;
use crate::tree::{Digest, TreeError};

/// Why a patch cannot be made or applied.
///
/// `field` is the name that FORMAT.md gives to the offending field.
#[derive(Debug)]
#[non_exhaustive]
pub enum PatchError {
    /// The bytes end inside `field`.
    Truncated {
        /// Field that was being read.
        field: &'static str,
    },
    /// `field` holds a value outside its range.
    OutOfRange {
        /// Field that holds the value.
        field: &'static str,
        /// Value found.
        found: u64,
        /// Largest (or only) value allowed.
        limit: u64,
    },
    /// `field` names something that this program does not know: a format, its version, a base model.
    Unknown {
        /// Field that holds the name.
        field: &'static str,
        /// Value found.
        found: u64,
    },
    /// `field` cannot be read.
    Corrupt {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The patch starts from an old tree, and none was given.
    OldMissing,
    /// The patch starts from another old tree.
    WrongOld {
        /// First bytes of the root that the patch names.
        expected: [u8; 2],
        /// Those of the root at hand.
        found: [u8; 2],
    },
    /// A content is not what its digest and its tree say.
    WrongContent {
        /// What the tree calls it.
        digest: Digest,
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that it has; as many as expected where only the digest differs.
        found: u64,
    },
    /// A content could not be read.
    Read {
        /// Which.
        digest: Digest,
        /// The system's error.
        source: io::Error,
    },
    /// A rebuilt content could not be handed on.
    Write {
        /// Which.
        digest: Digest,
        /// The system's error.
        source: io::Error,
    },
    /// The codec refuses.
    Codec(CodecError),
    /// What was rebuilt is no tree.
    Tree(TreeError),
}

impl PatchError {
    /// Refuses `found` above `limit`.
    pub(super) fn check(field: &'static str, found: u64, limit: u64) -> Result<(), Self> {
        if found > limit { Err(Self::OutOfRange { field, found, limit }) } else { Ok(()) }
    }
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { field } => write!(f, "the patch ends inside {field}"),
            Self::OutOfRange { field, found, limit } => write!(f, "{field} is {found}, at most {limit} is allowed"),
            Self::Unknown { field, found } => write!(f, "{field} is {found:#x}, which is unknown to this program"),
            Self::Corrupt { field, what } => write!(f, "{field} is damaged: {what}"),
            Self::OldMissing => f.write_str("the patch starts from an old tree, and none was given"),
            Self::WrongOld { expected: [a, b], found: [c, d] } => {
                write!(f, "the patch starts from a tree {a:02x}{b:02x}..., the one at hand is {c:02x}{d:02x}...")
            }
            Self::WrongContent { digest, expected, found } if expected == found => {
                write!(f, "content {digest} has another digest")
            }
            Self::WrongContent { digest, expected, found } => {
                write!(f, "content {digest} has {found} bytes instead of {expected}")
            }
            Self::Read { digest, source } => write!(f, "cannot read content {digest}: {source}"),
            Self::Write { digest, source } => write!(f, "cannot keep content {digest}: {source}"),
            Self::Codec(error) => write!(f, "{error}"),
            Self::Tree(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for PatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. } => Some(source),
            Self::Codec(error) => Some(error),
            Self::Tree(error) => Some(error),
            _ => None,
        }
    }
}

impl From<CodecError> for PatchError {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

impl From<codec_core::Error> for PatchError {
    fn from(error: codec_core::Error) -> Self {
        Self::Codec(error.into())
    }
}

impl From<TreeError> for PatchError {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}
