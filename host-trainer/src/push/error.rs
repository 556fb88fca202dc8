//! Why an update did not get through.

use std::fmt;
use std::io;
use std::time::Duration;

use codec_core::container::digest::OLD_ID_LEN;
use codec_core::limits::Profile;
use update_core::link::message::Refusal;

use crate::report::format::hex;

/// Why an update did not get through.
#[derive(Debug)]
#[non_exhaustive]
pub enum PushError {
    /// The device refused.
    Refused(Refusal),
    /// The device runs the old image after the restart, or none of the update.
    NotTaken {
        /// Version that runs.
        version: u32,
    },
    /// The device runs the new image already.
    There,
    /// The update takes a larger decoder than the device has.
    TooLarge {
        /// Number of the profile that it was made for.
        needed: u8,
        /// Number of the device's profile.
        limit: u8,
    },
    /// The update was made against another image than the device runs.
    OtherImage {
        /// Identity of that image.
        needed: [u8; OLD_ID_LEN],
        /// Identity of the image that runs.
        found: [u8; OLD_ID_LEN],
    },
    /// The device does not answer.
    Silent {
        /// What it was asked for.
        doing: &'static str,
        /// Times that it was asked since it was last heard.
        tries: u32,
        /// Since it was last heard.
        waited: Duration,
    },
    /// There is no connection, or it is lost again and again.
    NoConnection(io::Error),
    /// The device forgets the session again and again.
    Restarting {
        /// Times, without any progress.
        times: u32,
    },
    /// The device says what cannot be.
    Protocol {
        /// Which field.
        field: &'static str,
        /// Its value.
        found: u32,
        /// What it must be, or be at most.
        limit: u32,
    },
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "the device refuses to {}: {refusal}", verb(refusal)),
            Self::NotTaken { version } => {
                write!(f, "the device was restarted and runs version {version}, as before: the update was not taken")
            }
            Self::There => f.write_str("the device runs this image already"),
            Self::TooLarge { needed, limit } => write!(
                f,
                "the update needs a decoder of profile {}, the device has {}",
                profile(*needed),
                profile(*limit)
            ),
            Self::OtherImage { needed, found } => {
                write!(f, "the update was made against image {}, the device runs {}", hex(needed), hex(found))
            }
            Self::Silent { doing, tries, waited } => {
                write!(f, "the device does not answer: asked to {doing} {tries} times in {:.1} s", waited.as_secs_f64())
            }
            Self::NoConnection(source) => write!(f, "no connection to the device: {source}"),
            Self::Restarting { times } => {
                write!(f, "the device forgot the session {times} times without any progress")
            }
            Self::Protocol { field, found, limit } => {
                write!(f, "the device says that `{field}` is {found}, which {limit} does not allow")
            }
        }
    }
}

impl std::error::Error for PushError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoConnection(source) => Some(source),
            _ => None,
        }
    }
}

fn profile(number: u8) -> &'static str {
    Profile::from_id(number).map_or("unknown", Profile::name)
}

fn verb(refusal: &Refusal) -> &'static str {
    use update_core::link::message::Kind;
    match refusal.kind {
        Kind::Hello | Kind::Query => "answer",
        Kind::Offer => "take the update",
        Kind::Data | Kind::DataAsk => "store the update",
        Kind::Install => "install",
        Kind::Confirm => "confirm",
        Kind::Rotate => "replace a key",
        Kind::Reboot => "restart",
    }
}
