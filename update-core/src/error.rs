//! One error type: every variant names the field, the value and the limit.

use core::fmt;

use crate::flash::Operation;

/// Why a device refuses an update, or cannot go on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The flash driver failed.
    Flash {
        /// What was tried.
        operation: Operation,
        /// Where, bytes from the start of the flash.
        offset: u32,
        /// Bytes asked for.
        len: u32,
    },
    /// A region of the layout cannot be: it is too small, not aligned, or lies over another one.
    Layout {
        /// Name of the region.
        region: &'static str,
        /// Its value that is wrong, bytes.
        found: u32,
        /// What it must be at least, or a multiple of, bytes.
        limit: u32,
    },
    /// The update, or a message, is not what it should be.
    Malformed(codec_core::Error),
    /// The signature is not the one of the key in this slot.
    BadSignature {
        /// Key slot, 0 or 1.
        key: u8,
    },
    /// There is no key in this slot.
    NoKey {
        /// Key slot, 0 or 1.
        key: u8,
    },
    /// The update is for another product.
    WrongProduct {
        /// Product of the device.
        expected: u32,
        /// Product of the update.
        found: u32,
    },
    /// The update, or a new key, is not newer than what the device has accepted before.
    Downgrade {
        /// Least number that would be accepted.
        least: u32,
        /// Number of the update.
        found: u32,
    },
    /// The update needs more room than a region has.
    NoRoom {
        /// Name of the region.
        region: &'static str,
        /// Bytes needed.
        requested: u32,
        /// Bytes there are.
        limit: u32,
    },
    /// This cannot be done in the state the device is in.
    WrongState {
        /// Number of the state, see `record::State`.
        state: u8,
    },
    /// Received bytes do not continue what is there.
    Gap {
        /// Offset of the received bytes.
        found: u32,
        /// Offset that comes next.
        expected: u32,
    },
    /// What was received, or written to a slot or the scratch area, has another digest than was signed or written.
    DigestMismatch {
        /// `payload`, `image`, `script` or `block`.
        field: &'static str,
    },
    /// No slot holds a whole image.
    NothingToBoot,
}

impl Error {
    /// Number by which the link and the C interface name the error. 0 is no error; numbers are never reused.
    pub fn code(&self) -> u8 {
        match self {
            Self::Flash { .. } => 1,
            Self::Layout { .. } => 2,
            Self::Malformed(_) => 3,
            Self::BadSignature { .. } => 4,
            Self::NoKey { .. } => 5,
            Self::WrongProduct { .. } => 6,
            Self::Downgrade { .. } => 7,
            Self::NoRoom { .. } => 8,
            Self::WrongState { .. } => 9,
            Self::Gap { .. } => 10,
            Self::DigestMismatch { .. } => 11,
            Self::NothingToBoot => 12,
        }
    }

    /// What was found and what the limit is, for a message that has no room for text.
    pub fn values(&self) -> (u32, u32) {
        match *self {
            Self::Flash { offset, len, .. } => (offset, len),
            Self::Layout { found, limit, .. } => (found, limit),
            Self::BadSignature { key } | Self::NoKey { key } => (key.into(), 1),
            Self::WrongProduct { expected, found } => (found, expected),
            Self::Downgrade { least, found } => (found, least),
            Self::NoRoom { requested, limit, .. } => (requested, limit),
            Self::WrongState { state } => (state.into(), 0),
            Self::Gap { found, expected } => (found, expected),
            Self::Malformed(_) | Self::DigestMismatch { .. } | Self::NothingToBoot => (0, 0),
        }
    }
}

impl From<codec_core::Error> for Error {
    fn from(error: codec_core::Error) -> Self {
        Self::Malformed(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Flash { operation, offset, len } => {
                write!(f, "the flash failed to {operation} {len} bytes at {offset}")
            }
            Self::Layout { region, found, limit } => {
                write!(f, "layout: `{region}` is {found}, which {limit} does not allow")
            }
            Self::Malformed(error) => error.fmt(f),
            Self::BadSignature { key } => write!(f, "the signature is not that of key {key}"),
            Self::NoKey { key } => write!(f, "the device has no key {key}"),
            Self::WrongProduct { expected, found } => {
                write!(f, "the update is for product {found}, this is product {expected}")
            }
            Self::Downgrade { least, found } => {
                write!(f, "number {found} is not new: {least} is the least that is accepted")
            }
            Self::NoRoom { region, requested, limit } => {
                write!(f, "no room: {requested} bytes are needed in `{region}`, which has {limit}")
            }
            Self::WrongState { state } => write!(f, "this cannot be done in state {state}"),
            Self::Gap { found, expected } => write!(f, "bytes at {found} do not continue those up to {expected}"),
            Self::DigestMismatch { field } => write!(f, "`{field}` has another digest than was signed"),
            Self::NothingToBoot => f.write_str("no slot holds a whole image"),
        }
    }
}

impl core::error::Error for Error {}
