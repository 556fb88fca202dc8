//! What a pack can have wrong.

use std::fmt;
use std::io;

use crate::codec::CodecError;
use crate::tree::{Digest, TreeError, TreePath};

/// Why a pack cannot be made or read.
///
/// `field` is the name that FORMAT.md gives to the offending field.
#[derive(Debug)]
#[non_exhaustive]
pub enum PackError {
    /// `field` holds a value outside its range.
    OutOfRange {
        /// Field that holds the value.
        field: &'static str,
        /// Value found.
        found: u64,
        /// Largest (or only) value allowed.
        limit: u64,
    },
    /// `field` names something that this program does not know.
    Unknown {
        /// Field that holds the name.
        field: &'static str,
    },
    /// `field` cannot be read.
    Corrupt {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// There is no such file in the tree.
    NoFile(TreePath),
    /// A content does not have its digest or length.
    WrongContent(Digest),
    /// Bytes of the pack could not be read.
    Read {
        /// First of them.
        offset: u64,
        /// How many.
        len: u64,
        /// The system's error.
        source: io::Error,
    },
    /// A content of the tree could not be read.
    Content {
        /// Which.
        digest: Digest,
        /// The system's error.
        source: io::Error,
    },
    /// The codec refuses.
    Codec(CodecError),
    /// What the index holds is no tree.
    Tree(TreeError),
}

impl PackError {
    /// Refuses `found` above `limit`.
    pub(super) fn check(field: &'static str, found: u64, limit: u64) -> Result<(), Self> {
        if found > limit { Err(Self::OutOfRange { field, found, limit }) } else { Ok(()) }
    }
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { field, found, limit } => write!(f, "{field} is {found}, at most {limit} is allowed"),
            Self::Unknown { field } => write!(f, "{field} is unknown to this program"),
            Self::Corrupt { field, what } => write!(f, "{field} is damaged: {what}"),
            Self::NoFile(path) => write!(f, "there is no file `{path}` in the pack"),
            Self::WrongContent(digest) => write!(f, "what was read is not the content {digest}"),
            Self::Read { offset, len, source } => {
                write!(f, "cannot read {len} bytes of the pack at {offset}: {source}")
            }
            Self::Content { digest, source } => write!(f, "cannot read content {digest}: {source}"),
            Self::Codec(error) => write!(f, "{error}"),
            Self::Tree(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for PackError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } | Self::Content { source, .. } => Some(source),
            Self::Codec(error) => Some(error),
            Self::Tree(error) => Some(error),
            _ => None,
        }
    }
}

impl From<CodecError> for PackError {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

impl From<codec_core::Error> for PackError {
    fn from(error: codec_core::Error) -> Self {
        Self::Codec(error.into())
    }
}

impl From<TreeError> for PackError {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}
