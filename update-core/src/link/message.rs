//! Messages: what stands in a frame before its check.

use core::fmt;

use codec_core::Error as Malformed;
use postcard::fixint::le;
use serde::{Deserialize, Serialize};

use super::Info;
use crate::Error;

/// Version of the protocol, as [`Reply::Welcome`] names it. [`Request::Hello`] and the head of the answer stay as they
/// are in every version.
pub const PROTOCOL: u8 = 1;

/// What the host sends. postcard's encoding: the number of the variant, then the fields; `u16` and `u32` marked *fixed*
/// are little-endian, all others are varints (7 bits a byte, least first, the top bit says that more follow).
///
/// | number | message | fields (bytes) | tail | answered |
/// |---|---|---|---|---|
/// | 0 | `Hello` | nonce (4, fixed) | - | `Welcome` |
/// | 1 | `Query` | session (2, fixed), token (1) | - | `Info` |
/// | 2 | `Offer` | session (2, fixed), chunk (1 to 3), at (1), ask and nonce (1) | a piece of the manifest | `Have`, `Accepted` |
/// | 3 | `Data` | session (2, fixed), number (1 to 5) | a chunk of the payload | not |
/// | 4 | `DataAsk` | as `Data` | as `Data` | `Ack` |
/// | 5 | `Install` | session (2, fixed) | - | `Done` |
/// | 6 | `Confirm` | session (2, fixed) | - | `Done` |
/// | 7 | `Rotate` | session (2, fixed), len (1 to 2), at (1), ask and nonce (1) | a piece of the statement | `Have`, `Done` |
/// | 8 | `Reboot` | session (2, fixed) | - | `Done` |
///
/// Whatever is to be answered can be answered with `Refused`, and with `NoSession`. Tail bytes where there is to be no
/// tail make a message that is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Asks for a session. The nonce is the host's choice, never the same twice as far as it can; its lowest 7 bits
    /// differ from those of the greetings shortly before.
    Hello {
        /// Comes back in the answer.
        #[serde(with = "le")]
        nonce: u32,
    },
    /// Asks what the device says of itself.
    Query {
        /// Session.
        #[serde(with = "le")]
        session: u16,
        /// Comes back in the answer: what is late is not taken for what is new.
        token: u8,
    },
    /// A piece of the manifest of the update that is offered.
    Offer {
        /// Session.
        #[serde(with = "le")]
        session: u16,
        /// Bytes of every chunk of the payload but the last, which can be shorter. At most what a `Data` message of
        /// the device's frame limit holds with a number of one byte.
        chunk: u16,
        /// Which piece.
        part: Part,
    },
    /// A chunk of the payload, not answered.
    Data {
        /// Session.
        #[serde(with = "le")]
        session: u16,
        /// The chunk stands at `start + number * chunk` in the payload; `start` is the device's, from `Accepted`.
        number: u32,
    },
    /// The same, answered.
    DataAsk {
        /// Session.
        #[serde(with = "le")]
        session: u16,
        /// As in `Data`.
        number: u32,
    },
    /// Rebuild the new image and make it the one to boot.
    Install {
        /// Session.
        #[serde(with = "le")]
        session: u16,
    },
    /// The image that runs stays.
    Confirm {
        /// Session.
        #[serde(with = "le")]
        session: u16,
    },
    /// A piece of a statement that replaces a key.
    Rotate {
        /// Session.
        #[serde(with = "le")]
        session: u16,
        /// Bytes of the whole statement, 1 to 132.
        len: u8,
        /// Which piece.
        part: Part,
    },
    /// Restart the device.
    Reboot {
        /// Session.
        #[serde(with = "le")]
        session: u16,
    },
}

/// Where a piece of a manifest or a statement stands. Two bytes: `at`; and `ask` in the lowest bit, `nonce` above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u8, u8)", into = "(u8, u8)")]
pub struct Part {
    /// First byte of the piece, in words of 4 bytes. Every piece but the last is whole words.
    pub at: u8,
    /// Whether an answer is wanted even when the piece completes nothing.
    pub ask: bool,
    /// [`Part::nonce`] of the greeting for which the session was given its number, 0 to 127. Numbers of sessions can
    /// come again when a device was restarted; a piece with another nonce than the session's does nothing.
    pub nonce: u8,
}

impl Part {
    /// The lowest 7 bits of the nonce of a `Hello`: a host counts its greetings in them.
    #[must_use]
    pub const fn nonce(nonce: u32) -> u8 {
        (nonce & 0x7f) as u8
    }
}

impl From<(u8, u8)> for Part {
    fn from((at, rest): (u8, u8)) -> Self {
        Self { at, ask: rest & 1 != 0, nonce: rest >> 1 }
    }
}

impl From<Part> for (u8, u8) {
    fn from(part: Part) -> Self {
        (part.at, part.nonce << 1 | u8::from(part.ask))
    }
}

/// Kinds of requests, by the numbers of [`Request`]; how `Done` and `Refused` name what they answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// 0
    Hello,
    /// 1
    Query,
    /// 2
    Offer,
    /// 3
    Data,
    /// 4
    DataAsk,
    /// 5
    Install,
    /// 6
    Confirm,
    /// 7
    Rotate,
    /// 8
    Reboot,
}

impl Request {
    /// Kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Hello { .. } => Kind::Hello,
            Self::Query { .. } => Kind::Query,
            Self::Offer { .. } => Kind::Offer,
            Self::Data { .. } => Kind::Data,
            Self::DataAsk { .. } => Kind::DataAsk,
            Self::Install { .. } => Kind::Install,
            Self::Confirm { .. } => Kind::Confirm,
            Self::Rotate { .. } => Kind::Rotate,
            Self::Reboot { .. } => Kind::Reboot,
        }
    }

    /// Whether an answer is wanted.
    #[must_use]
    pub const fn asks(&self) -> bool {
        match self {
            Self::Data { .. } => false,
            Self::Offer { part, .. } | Self::Rotate { part, .. } => part.ask,
            _ => true,
        }
    }

    /// Whether bytes follow the head.
    #[must_use]
    pub const fn has_tail(&self) -> bool {
        matches!(self, Self::Offer { .. } | Self::Data { .. } | Self::DataAsk { .. } | Self::Rotate { .. })
    }
}

/// What the device sends: never by itself, and at most one for each request. Encoded as [`Request`]; no tails. None
/// makes a frame of more than 32 bytes.
///
/// | number | message | fields (bytes) |
/// |---|---|---|
/// | 0 | `Welcome` | nonce (4, fixed), session (2, fixed), protocol (1), frame (1 to 2), window (1) |
/// | 1 | `Info` | session (2, fixed), token (1), [`Info`] (22) |
/// | 2 | `Have` | session (2, fixed), kind (1), words (1 to 5) |
/// | 3 | `Accepted` | session (2, fixed), start (1 to 5) |
/// | 4 | `Ack` | session (2, fixed), next (1 to 5), kept (1 to 5) |
/// | 5 | `Done` | session (2, fixed), kind (1) |
/// | 6 | `Refused` | session (2, fixed), kind (1), code (1), first value (1 to 5), second value (1 to 5) |
/// | 7 | `NoSession` | session (2, fixed), kind (1) |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Answers `Hello`. The session starts with the first request that names it.
    Welcome {
        /// Of the `Hello`.
        #[serde(with = "le")]
        nonce: u32,
        /// Number of the session; never 0.
        #[serde(with = "le")]
        session: u16,
        /// [`PROTOCOL`] of the device.
        protocol: u8,
        /// Bytes of the longest frame that the device takes, delimiter included: 32 to 1024.
        frame: u16,
        /// Chunks, counted from the first that the device lacks, that it can take in any order: 1 to 33.
        window: u8,
    },
    /// Answers `Query`.
    Info {
        /// Session.
        #[serde(with = "le")]
        session: u16,
        /// Of the `Query`.
        token: u8,
        /// What the device says of itself.
        info: Info,
    },
    /// Some pieces are there.
    Have {
        /// Session.
        #[serde(with = "le")]
        session: u16,
        /// Of what: `Offer` or `Rotate`.
        kind: Kind,
        /// Bit `i` is set when word `i` (4 bytes) is there.
        words: u64,
    },
    /// The update is wanted.
    Accepted {
        /// Session.
        #[serde(with = "le")]
        session: u16,
        /// Byte of the payload with which chunk 0 starts.
        start: u32,
    },
    /// What of the payload is there.
    Ack {
        /// Session.
        #[serde(with = "le")]
        session: u16,
        /// First chunk that lacks.
        next: u32,
        /// Bit `i` is set when chunk `next + 1 + i` is kept.
        kept: u32,
    },
    /// It has been done, now or before in this session.
    Done {
        /// Session.
        #[serde(with = "le")]
        session: u16,
        /// What.
        kind: Kind,
    },
    /// Something was refused, now or before in this session: a session in which something was refused does nothing
    /// more but answer `Query`.
    Refused {
        /// Session.
        #[serde(with = "le")]
        session: u16,
        /// What and why.
        refusal: Refusal,
    },
    /// The device knows no such session, or it is asked to take a chunk and has accepted no offer in it: it was
    /// restarted, or another host has come.
    NoSession {
        /// Session that the request named.
        #[serde(with = "le")]
        session: u16,
        /// What it asked for: that answer may be late, and the session known again.
        kind: Kind,
    },
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What was refused.
    pub kind: Kind,
    /// [`Error::code`].
    pub code: u8,
    /// [`Error::values`].
    pub values: (u32, u32),
}

impl Refusal {
    /// `error` as it travels, in answer to a request of `kind`.
    #[must_use]
    pub fn new(kind: Kind, error: &Error) -> Self {
        Self { kind, code: error.code(), values: error.values() }
    }

    /// The error, as far as it travelled: names of regions and fields are lost. `None` for codes of newer devices.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        let (first, second) = self.values;
        let key = u8::try_from(first).unwrap_or(u8::MAX);
        Some(match self.code {
            3 => Error::Malformed(Malformed::Corrupt { field: "update" }),
            4 => Error::BadSignature { key },
            5 => Error::NoKey { key },
            6 => Error::WrongProduct { expected: second, found: first },
            7 => Error::Downgrade { least: second, found: first },
            8 => Error::NoRoom { region: "device", requested: first, limit: second },
            9 => Error::WrongState { state: key },
            10 => Error::Gap { found: first, expected: second },
            11 => Error::DigestMismatch { field: "update" },
            12 => Error::NothingToBoot,
            _ => return None,
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.values;
        match (self.error(), self.code) {
            (Some(error), _) => error.fmt(f),
            (None, 1) => write!(f, "the flash failed at {first}, {second} bytes"),
            (None, 2) => write!(f, "the device's layout: a region is {first}, which {second} does not allow"),
            (None, code) => write!(f, "reason {code}, values {first} and {second}"),
        }
    }
}
