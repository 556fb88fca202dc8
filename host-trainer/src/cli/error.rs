//! What can go wrong on the command line: what, where, what to do, and the exit code.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use codec_core::Error as Refusal;

use crate::backend::BackendError;
#[cfg(feature = "fleet")]
use crate::client::ClientError;
use crate::codec::CodecError;
#[cfg(feature = "fleet")]
use crate::deltas::DeltaError;
use crate::push::PushError;
#[cfg(feature = "fleet")]
use crate::store::StoreError;

/// Exit codes; `gmcf --help` lists them.
pub mod exit {
    /// Done.
    pub const OK: u8 = 0;
    /// A bug in this program: please report it.
    pub const INTERNAL: u8 = 1;
    /// The command line is wrong.
    pub const USAGE: u8 = 2;
    /// A file cannot be read or written, or is not what it should be; the GPU that was asked for is not there.
    pub const INPUT: u8 = 3;
    /// A container or version is refused: damaged, unknown, over budget, no chain, not signed, older than what was seen.
    pub const REFUSED: u8 = 4;
    /// The old image is missing or another one, or the rebuilt file has another digest.
    pub const IDENTITY: u8 = 5;
    /// The device refuses the update, or runs the old one after it.
    pub const DEVICE_REFUSED: u8 = 6;
    /// The device or server cannot be reached, or does not answer.
    pub const NO_ANSWER: u8 = 7;
    /// The server refuses.
    pub const SERVER_REFUSED: u8 = 8;
}

/// Why a command failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum CliError {
    /// The command line does not parse.
    Arguments(clap::Error),
    /// The command line parses, but asks for something that cannot be.
    Usage {
        /// What is wrong.
        what: String,
        /// What to do.
        hint: String,
    },
    /// A file could not be read or written.
    Io {
        /// What was tried: `read`, `write`, ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file can be read, but holds something else than it should.
    Input {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line where there are lines.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The codec gave up.
    Codec {
        /// What was being done, and to which file.
        place: String,
        /// The codec's reason.
        source: CodecError,
    },
    /// An update did not get to a device, or not into use there.
    Push {
        /// What was being done, with which file and which device.
        place: String,
        /// Why.
        source: PushError,
    },
    /// A store cannot be used.
    #[cfg(feature = "fleet")]
    Store {
        /// Why not.
        source: StoreError,
    },
    /// A delta of what is in a store cannot be made.
    #[cfg(feature = "fleet")]
    Delta {
        /// Which store.
        store: String,
        /// Why not.
        source: Box<DeltaError>,
    },
    /// A server did not do what was asked for, or a folder could not follow it.
    #[cfg(feature = "fleet")]
    Client {
        /// What was being done.
        place: String,
        /// Why it was not.
        source: ClientError,
    },
    /// The backend that was asked for is not there, or did not do its work.
    Backend {
        /// What was being done; empty where the device itself was asked for.
        place: String,
        /// Why it was not.
        source: BackendError,
    },
    /// A promise of this program was broken.
    Internal {
        /// What was found.
        what: String,
    },
}

impl CliError {
    /// An [`CliError::Io`], for `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// A [`CliError::Codec`], for `map_err`.
    pub fn codec(place: impl Into<String>) -> impl FnOnce(CodecError) -> Self {
        let place = place.into();
        move |source| Self::Codec { place, source }
    }

    /// A [`CliError::Delta`], or [`CliError::Store`], for `map_err`.
    #[cfg(feature = "fleet")]
    pub fn delta(store: &str) -> impl FnOnce(DeltaError) -> Self + use<> {
        let store = store.to_string();
        move |source| match source {
            DeltaError::Store(source) => Self::Store { source },
            source => Self::Delta { store, source: source.into() },
        }
    }

    /// A [`CliError::Store`], for `map_err`.
    #[cfg(feature = "fleet")]
    pub fn store(source: StoreError) -> Self {
        Self::Store { source }
    }

    /// A [`CliError::Backend`], for `map_err`.
    pub fn backend(place: impl Into<String>) -> impl FnOnce(BackendError) -> Self {
        let place = place.into();
        move |source| Self::Backend { place, source }
    }

    /// The process's exit code, one of [`exit`].
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Arguments(_) | Self::Usage { .. } => exit::USAGE,
            Self::Io { .. } | Self::Input { .. } => exit::INPUT,
            Self::Backend { source, .. } => match source {
                BackendError::Shape { .. } => exit::INTERNAL,
                _ => exit::INPUT,
            },
            #[cfg(feature = "fleet")]
            Self::Store { .. } => exit::INPUT,
            Self::Internal { .. } => exit::INTERNAL,
            #[cfg(feature = "fleet")]
            Self::Delta { source, .. } => match **source {
                DeltaError::Internal(_) | DeltaError::Codec(_) | DeltaError::Patch(_) | DeltaError::Pack(_) => {
                    exit::INTERNAL
                }
                _ => exit::INPUT,
            },
            #[cfg(feature = "fleet")]
            Self::Client { source, .. } => super::client_error::exit_code(source),
            Self::Push { source, .. } => match source {
                PushError::Silent { .. }
                | PushError::NoConnection(_)
                | PushError::Restarting { .. }
                | PushError::Protocol { .. } => exit::NO_ANSWER,
                _ => exit::DEVICE_REFUSED,
            },
            Self::Codec { source, .. } => match source {
                CodecError::Refused(refusal) if is_identity(refusal) => exit::IDENTITY,
                CodecError::Refused(_) | CodecError::Release(_) => exit::REFUSED,
                CodecError::TooLarge { .. } => exit::INPUT,
                _ => exit::INTERNAL,
            },
        }
    }

    /// What the user can do about it; empty when there is nothing sensible to say.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Arguments(_) => String::new(),
            Self::Usage { hint, .. } | Self::Input { hint, .. } => hint.clone(),
            Self::Io { action, source, .. } => hint_for_io(action, source.kind()).into(),
            // Where the device itself was asked for, one line says it all.
            Self::Backend { source: BackendError::Unavailable { .. }, place } if place.is_empty() => String::new(),
            Self::Backend { source: BackendError::Unavailable { .. }, .. } => {
                "compute on the CPU: --backend cpu".into()
            }
            Self::Backend { source: BackendError::Memory { .. }, .. } => {
                "free memory of the GPU, or --backend cpu".into()
            }
            Self::Internal { .. } | Self::Backend { source: BackendError::Shape { .. }, .. } => BUG.into(),
            Self::Backend { .. } => "see whether `gmcf gpu-check` passes, or --backend cpu".into(),
            #[cfg(feature = "fleet")]
            Self::Store { source } => hint_for_store(source).into(),
            #[cfg(feature = "fleet")]
            Self::Delta { source, .. } => hint_for_delta(source).into(),
            #[cfg(feature = "fleet")]
            Self::Client { source: ClientError::Io { action, source, .. }, .. } => {
                hint_for_io(action, source.kind()).into()
            }
            #[cfg(feature = "fleet")]
            Self::Client { source, .. } => super::client_error::hint(source).into(),
            Self::Push { source, .. } => hint_for_push(source).into(),
            Self::Codec { source, .. } => match source {
                CodecError::Refused(refusal) => hint_for_refusal(refusal).into(),
                CodecError::Release(refusal) => hint_for_release(refusal).into(),
                CodecError::TooLarge { .. } => "split the file, or send it another way".into(),
                _ => BUG.into(),
            },
        }
    }

    /// The message as it goes to standard error: what, where, what to do.
    #[must_use]
    pub fn message(&self) -> String {
        let mut text = match self {
            Self::Arguments(error) => return error.to_string(),
            Self::Usage { what, .. } => format!("error: {what}"),
            Self::Io { action, path, source } => {
                format!("error: cannot {action} `{}`: {source}", path.display())
            }
            Self::Input { path, what, .. } => format!("error: `{}`: {what}", path.display()),
            Self::Codec { place, source } => format!("error: {place}: {source}"),
            Self::Push { place, source } => format!("error: {place}: {source}"),
            #[cfg(feature = "fleet")]
            Self::Store { source } => format!("error: {source}"),
            #[cfg(feature = "fleet")]
            Self::Delta { store, source } => format!("error: make deltas of `{store}`: {source}"),
            #[cfg(feature = "fleet")]
            Self::Client { place, source } => format!("error: {place}: {source}"),
            Self::Backend { source: source @ BackendError::Unavailable { .. }, .. } => format!("error: {source}"),
            Self::Backend { place, source } => format!("error: {place}: {source}"),
            Self::Internal { what } => format!("error: {what}"),
        };
        let hint = self.hint();
        if !hint.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n  try: {hint}");
        }
        text.push('\n');
        text
    }

    /// Prints the message to standard error, coloured by clap where it is clap's own.
    pub fn print(&self) {
        let printed = match self {
            Self::Arguments(error) => error.print(),
            _ => io::Write::write_all(&mut io::stderr().lock(), self.message().as_bytes()),
        };
        // Standard error is closed: there is nobody left to tell; the exit code still tells.
        drop(printed);
    }
}

const BUG: &str = "this is a bug; please report it with the two input files";

fn is_identity(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::OldMissing | Refusal::WrongOld { .. } | Refusal::DigestMismatch { .. })
}

fn hint_for_io(action: &str, kind: io::ErrorKind) -> &'static str {
    match (action, kind) {
        ("read", io::ErrorKind::NotFound) => "check the path; relative paths start at the current folder",
        ("write", io::ErrorKind::NotFound) => "create the folder first",
        (_, io::ErrorKind::PermissionDenied) => "check the owner and the mode of the file and of its folder",
        ("read", io::ErrorKind::IsADirectory) => "name a file, not a folder",
        ("write", io::ErrorKind::IsADirectory) => "name a file in that folder",
        (_, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => "free some space; nothing was changed",
        _ => "",
    }
}

fn hint_for_refusal(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::OldMissing => "give the file that the delta was made against: --old OLD",
        Refusal::WrongOld { .. } => {
            "give the very file that the delta was made against; `gmcf inspect` shows its identity"
        }
        Refusal::DigestMismatch { .. } => "nothing was written; fetch the container again",
        Refusal::Truncated { .. } | Refusal::Corrupt { .. } | Refusal::ResidueMismatch { .. } => {
            "the container is damaged: fetch it again"
        }
        Refusal::BadMagic { .. } => "check that this is a .gmcf file; for a chain, the containers come first to last",
        Refusal::Unknown { field: "base_id", .. } => {
            "give the base model that it was made with, and the adapter if it was one: --base FILE, --adapter FILE"
        }
        Refusal::Unknown { field: "adapter.base_id", .. } => "name the base model that it was fitted to: --base BASE",
        Refusal::UnknownVersion { .. } | Refusal::Unknown { .. } => "a newer gmcf made this: update gmcf",
        Refusal::OverBudget { field: "new_len" | "memory", .. } => {
            "if its sender is right, allow more: --max-size BYTES"
        }
        Refusal::OverBudget { .. } => "compress again with a smaller --profile",
        Refusal::ChainGap { .. } => "a delta of the chain is missing, or the order is wrong: oldest first",
        Refusal::ChainLoop { .. } => "a delta is given twice, or leads back: leave it out",
        Refusal::FeatureMissing { .. } => "build gmcf with that cargo feature",
        _ => "",
    }
}

fn hint_for_release(refusal: &update_core::Error) -> &'static str {
    use update_core::Error as E;
    match refusal {
        E::NoRoom { region: "scratch", .. } => "give the devices a larger scratch region, or two slots",
        E::NoRoom { .. } | E::Layout { .. } => "check the sizes in the device file; `gmcf flash --help` explains them",
        _ => "",
    }
}

#[cfg(feature = "fleet")]
fn hint_for_delta(error: &DeltaError) -> &'static str {
    match error {
        DeltaError::Missing { .. } => "publish it again; what was published is never removed by gmcf",
        DeltaError::TooLarge { .. } => "allow more, where the machine has the memory: --max-content BYTES",
        DeltaError::Internal(_) | DeltaError::Codec(_) | DeltaError::Patch(_) | DeltaError::Pack(_) => BUG,
        _ => "",
    }
}

#[cfg(feature = "fleet")]
fn hint_for_store(error: &StoreError) -> &'static str {
    match error {
        StoreError::Open { .. } => "name a folder that can be written to, or s3://BUCKET; `gmcf serve --help` has more",
        StoreError::Object { .. } => {
            "check that the store is there and may be written to; for S3: AWS_REGION, AWS_ENDPOINT_URL and credentials"
        }
        StoreError::Damaged { .. } => "restore that object from a copy",
        _ => "",
    }
}

fn hint_for_push(error: &PushError) -> &'static str {
    match error {
        PushError::Refused(_) => "the device keeps what it has; send it an update that was made and signed for it",
        PushError::There => "nothing is to be done",
        PushError::TooLarge { .. } => "make the update for that profile: `profile` in the device file",
        PushError::OtherImage { .. } => "make the update against the image that the device runs: --old OLD",
        PushError::NotTaken { .. } => "see what the device reports of its start; it keeps the image that runs",
        PushError::Silent { .. } | PushError::Restarting { .. } => {
            "check power, wiring and baud rate, or allow more: --timeout S; the next run goes on where this one stopped"
        }
        PushError::NoConnection(_) => "check the address; the next run goes on where this one stopped",
        PushError::Protocol { .. } => "a newer device, or none that speaks this protocol: update gmcf",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(refusal: Refusal) -> CliError {
        CliError::Codec { place: "apply `a.gmcf`".into(), source: CodecError::Refused(refusal) }
    }

    #[test]
    fn exit_codes_tell_classes_apart() {
        assert_eq!(refused(Refusal::OldMissing).exit_code(), exit::IDENTITY);
        assert_eq!(refused(Refusal::WrongOld { expected: [0; 4], found: [1; 4] }).exit_code(), exit::IDENTITY);
        assert_eq!(refused(Refusal::BadMagic { found: *b"PK\x03\x04", seen: 4 }).exit_code(), exit::REFUSED);
        assert_eq!(refused(Refusal::ChainGap { index: 1 }).exit_code(), exit::REFUSED);
        let missing = CliError::io("read", Path::new("x"))(io::ErrorKind::NotFound.into());
        assert_eq!(missing.exit_code(), exit::INPUT);
        assert_eq!(CliError::Internal { what: "x".into() }.exit_code(), exit::INTERNAL);
        let push = |source| CliError::Push { place: "push `u` to tcp://h:1".into(), source }.exit_code();
        assert_eq!(push(PushError::NotTaken { version: 1 }), exit::DEVICE_REFUSED);
        assert_eq!(push(PushError::NoConnection(io::ErrorKind::ConnectionRefused.into())), exit::NO_ANSWER);
    }

    #[test]
    fn messages_say_what_where_and_what_to_do() {
        let text = refused(Refusal::OldMissing).message();
        assert!(text.contains("a.gmcf") && text.contains("old image") && text.contains("--old"), "{text}");
        let text = CliError::io("read", Path::new("no/such"))(io::ErrorKind::NotFound.into()).message();
        assert!(text.contains("no/such") && text.contains("try:"), "{text}");
    }
}
