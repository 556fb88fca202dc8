//! One error type for the whole crate: every variant names the field, the value and the limit.

use core::fmt;

/// Why a container, an old image or a chain was refused.
///
/// `field` is always the name that FORMAT.md gives to the offending field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The input ends inside `field`.
    Truncated {
        /// Field that was being read.
        field: &'static str,
        /// Bytes that the field needs.
        need: u64,
        /// Bytes that were left.
        have: u64,
    },
    /// The first bytes are no GMCF magic.
    BadMagic {
        /// The bytes that stood there; zero after the first `seen`.
        found: [u8; 4],
        /// Bytes that were looked at: as many as the magic of the expected version has, 1 to 4.
        seen: u8,
    },
    /// A GMCF file of a version that this decoder does not know.
    UnknownVersion {
        /// Version found.
        found: u32,
    },
    /// `field` names something (a codec, a layer, an instruction set, a feature bit, a base model) unknown to this decoder.
    Unknown {
        /// Field that holds the name.
        field: &'static str,
        /// Value found.
        found: u64,
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
    /// The container declares more of `field` than this decoder has memory for.
    OverBudget {
        /// Budget that is exceeded.
        field: &'static str,
        /// Amount that the container declares.
        requested: u64,
        /// Amount that this decoder was compiled for.
        limit: u64,
    },
    /// The caller lent a buffer that is too small for `field`.
    BufferTooSmall {
        /// What the buffer is for.
        field: &'static str,
        /// Bytes needed.
        need: u64,
        /// Bytes lent.
        have: u64,
    },
    /// The container is a delta, and no old image was given.
    OldMissing,
    /// The container was made against another old image.
    WrongOld {
        /// Identity that the container names.
        expected: [u8; 4],
        /// Identity of the image at hand, likewise short.
        found: [u8; 4],
    },
    /// The rebuilt content does not have the digest that the container promises. Discard it.
    DigestMismatch {
        /// First 4 bytes of the promised digest.
        expected: [u8; 4],
        /// First 4 bytes of the digest of what was rebuilt.
        found: [u8; 4],
    },
    /// The CRT residues of `index` do not add up.
    ResidueMismatch {
        /// Which residue, from 0.
        index: u32,
        /// Residue promised.
        expected: u64,
        /// Residue computed.
        found: u64,
    },
    /// Link `index` of a chain does not start where the link before it ends.
    ChainGap {
        /// Link, from 0.
        index: u32,
    },
    /// Link `index` of a chain leads back to an identity that the chain has already passed.
    ChainLoop {
        /// Link, from 0.
        index: u32,
    },
    /// Link `index` of a chain belongs at another place of it.
    ChainOrder {
        /// Link, from 0.
        index: u32,
    },
    /// The payload of `field` is not what its codec writes.
    Corrupt {
        /// Field or layer.
        field: &'static str,
    },
    /// The old image could not be read.
    Storage {
        /// Offset in bytes.
        offset: u32,
        /// Bytes asked for.
        len: u32,
    },
    /// The decoder already failed or finished; start a new one.
    Finished,
    /// This build lacks the cargo feature that `field` needs.
    FeatureMissing {
        /// Field or layer.
        field: &'static str,
        /// Name of the cargo feature.
        feature: &'static str,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { field, need, have } => {
                write!(f, "input ends inside `{field}`: {need} bytes needed, {have} left")
            }
            Self::BadMagic { found, seen } => {
                let found = &found[..found.len().min(seen.into())];
                write!(f, "not a GMCF file: it starts with {found:02x?}")
            }
            Self::UnknownVersion { found } => write!(f, "GMCF version {found} is not known (1 and 2 are)"),
            Self::Unknown { field: "base_id", found } => {
                write!(f, "the container needs the base model {found:04x}, which is not here")
            }
            Self::Unknown { field: "adapter.base_id", found } => {
                write!(f, "the adapter belongs to the base model {found:04x}, not to this one")
            }
            Self::Unknown { field: "mode", .. } => {
                f.write_str("a file of weights, or none: weights have a decoder of their own")
            }
            Self::Unknown { field, found } => write!(f, "`{field}` is {found}, which this decoder does not know"),
            Self::OutOfRange { field, found, limit } => {
                write!(f, "`{field}` is {found}, outside its range (limit {limit})")
            }
            Self::OverBudget { field, requested, limit } => {
                write!(f, "over budget: `{field}` needs {requested}, this decoder has {limit}")
            }
            Self::BufferTooSmall { field, need, have } => {
                write!(f, "buffer for `{field}` has {have} bytes, {need} are needed")
            }
            Self::OldMissing => f.write_str("this is a delta: the old image is needed"),
            Self::WrongOld { expected, found } => {
                write!(f, "wrong old image: the delta was made against {expected:02x?}, this one is {found:02x?}")
            }
            Self::DigestMismatch { expected, found } => {
                write!(f, "digest mismatch: expected {expected:02x?}, rebuilt content has {found:02x?}; discard it")
            }
            Self::ResidueMismatch { index, expected, found } => {
                write!(f, "`crt_residues[{index}]` is {expected}, the layers give {found}")
            }
            Self::ChainGap { index } => {
                write!(f, "chain: link {index} does not start where the link before it ends")
            }
            Self::ChainLoop { index } => write!(f, "chain: link {index} leads back to an earlier content"),
            Self::ChainOrder { index } => write!(f, "chain: link {index} belongs at another place, order the links"),
            Self::Corrupt { field } => write!(f, "`{field}` is damaged"),
            Self::Storage { offset, len } => {
                write!(f, "the old image could not be read at {offset} ({len} bytes)")
            }
            Self::Finished => f.write_str("the decoder has already finished or failed; start a new one"),
            Self::FeatureMissing { field, feature } => {
                write!(f, "`{field}` needs a build with the cargo feature `{feature}`")
            }
        }
    }
}

impl core::error::Error for Error {}
