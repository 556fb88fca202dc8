//! What can keep a client from its goal.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::codec::CodecError;
use crate::history::{Kind, Name, NameError, StatementError, Version};
use crate::tree::pack::PackError;
use crate::tree::patch::PatchError;
use crate::tree::{Digest, TreeError};

/// A request that a server did not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Method and path.
    pub request: String,
    /// Status of the response.
    pub status: u16,
    /// Kind of the problem, such as `/problems/sequence-taken`; `about:blank` where the server names none.
    pub kind: String,
    /// What the server says, in one line.
    pub detail: String,
}

/// Why a client gave up.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// What was given as the server's address is none, or its certificate's file is none.
    Address {
        /// What was given.
        found: String,
        /// What is wrong with it.
        what: String,
    },
    /// The server does not answer, or the connection is lost again and again.
    Unreachable {
        /// Method and path of the request.
        request: String,
        /// How often it was tried.
        tries: u32,
        /// What happened last.
        what: String,
    },
    /// The server refuses.
    Refused(Box<Refusal>),
    /// The server's answer makes no sense.
    Answer {
        /// Method and path of the request.
        request: String,
        /// What is wrong.
        what: String,
    },
    /// The statement about the version is not believed.
    Statement(StatementError),
    /// There are two statements of the same number.
    Contradiction {
        /// The number.
        sequence: u64,
    },
    /// The server speaks of another version than the one that was asked for.
    OtherVersion {
        /// The one that was asked for.
        wanted: Version,
        /// The one that it speaks of.
        found: Version,
    },
    /// The name stands for the other kind of thing.
    OtherKind {
        /// The name.
        name: Name,
        /// What it stands for.
        found: Kind,
    },
    /// The version that was asked for is older than the one in use.
    Downgrade {
        /// The one in use.
        current: Version,
        /// The one that was asked for.
        wanted: Version,
    },
    /// The version is larger than allowed.
    TooLarge {
        /// What is.
        what: &'static str,
        /// Its bytes.
        found: u64,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// A patch is refused.
    Patch(PatchError),
    /// A pack is refused.
    Pack(PackError),
    /// What was rebuilt is not what was signed.
    WrongDigest {
        /// What was rebuilt or fetched.
        what: &'static str,
        /// What was signed.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The codec refuses.
    Codec(CodecError),
    /// A folder or a manifest is refused.
    Tree(TreeError),
    /// The version holds a symbolic link, and those are refused.
    Link {
        /// Where.
        path: String,
    },
    /// Files that no version holds would be lost.
    Extra {
        /// Their paths.
        paths: Vec<String>,
    },
    /// The folder follows another name.
    Follows {
        /// The folder.
        dir: PathBuf,
        /// The name that it follows.
        name: Name,
    },
    /// The folder follows nothing.
    NotFollowing {
        /// The folder.
        dir: PathBuf,
    },
    /// There is no version to go back to.
    NoPrevious {
        /// The folder.
        dir: PathBuf,
    },
    /// The version holds nothing at a path.
    NoFile {
        /// The path.
        path: String,
    },
    /// Another process works on the folder.
    Busy {
        /// The folder.
        dir: PathBuf,
    },
    /// The file system cannot exchange two folders in one step.
    NoExchange {
        /// The folder.
        dir: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A name or a version is none.
    Name(NameError),
    /// Something on this machine could not be read or written.
    Io {
        /// What was tried: `read`, `write`, ...
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl ClientError {
    /// A [`ClientError::Io`], for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the server refused with `status`.
    pub(crate) fn has_status(&self, status: u16) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.status == status)
    }

    /// Whether the server refused with this kind of problem.
    pub(crate) fn has_kind(&self, kind: &str) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.kind == kind)
    }

    /// Refuses `found` above `limit`.
    pub(crate) fn check(what: &'static str, found: u64, limit: u64) -> Result<(), Self> {
        if found > limit { Err(Self::TooLarge { what, found, limit }) } else { Ok(()) }
    }
}

/// What a name stands for, in words.
pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "a file",
        Kind::Tree => "a folder",
    }
}

/// The first of `paths`, and how many there are beside them.
pub(crate) fn listed(paths: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = paths.iter().take(SHOWN).map(|path| format!("`{}`", path.escape_debug())).collect();
    let rest = paths.len().saturating_sub(SHOWN);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    shown.join(", ") + &more
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { found, what } => write!(f, "`{}`: {what}", found.escape_debug()),
            Self::Unreachable { request, tries, what } => {
                let times = if *tries == 1 { "once".into() } else { format!("{tries} times") };
                write!(f, "{request}: {what} (tried {times})")
            }
            Self::Refused(refusal) => {
                write!(f, "{}: the server answers {}", refusal.request, refusal.status)?;
                if refusal.detail.is_empty() { Ok(()) } else { write!(f, ": {}", refusal.detail) }
            }
            Self::Answer { request, what } => write!(f, "{request}: the answer makes no sense: {what}"),
            Self::Statement(error) => write!(f, "{error}"),
            Self::Contradiction { sequence } => {
                write!(f, "the server shows another statement {sequence} than the one that was seen before")
            }
            Self::OtherVersion { wanted, found } => {
                write!(f, "version `{wanted}` was asked for, the server speaks of `{found}`")
            }
            Self::OtherKind { name, found } => write!(f, "`{name}` is {}", kind_name(*found)),
            Self::Downgrade { current, wanted } => {
                write!(f, "version `{wanted}` is older than `{current}`, which is in use")
            }
            Self::TooLarge { what, found, limit } => write!(f, "{what}: {found} bytes, at most {limit} are allowed"),
            Self::Patch(error) => write!(f, "the patch is refused: {error}"),
            Self::Pack(error) => write!(f, "the pack is refused: {error}"),
            Self::WrongDigest { what, expected, found } => {
                write!(f, "{what} has the digest {found}, and {expected} was promised")
            }
            Self::Codec(error) => write!(f, "{error}"),
            Self::Tree(error) => write!(f, "{error}"),
            Self::Link { path } => write!(f, "the version holds a symbolic link at `{}`", path.escape_debug()),
            Self::Extra { paths } => write!(f, "the folder holds what no version does: {}", listed(paths)),
            Self::Follows { dir, name } => write!(f, "`{}` follows `{name}`", dir.display()),
            Self::NotFollowing { dir } => write!(f, "`{}` follows no server yet", dir.display()),
            Self::NoPrevious { dir } => write!(f, "`{}` has no version before this one", dir.display()),
            Self::NoFile { path } => write!(f, "the version has no file `{}`", path.escape_debug()),
            Self::Busy { dir } => write!(f, "another gmcf works on `{}`", dir.display()),
            Self::NoExchange { dir, source } => {
                write!(f, "`{}` cannot be replaced in one step: {source}", dir.display())
            }
            Self::Name(error) => write!(f, "{error}"),
            Self::Io { action, path, source } => write!(f, "cannot {action} `{}`: {source}", path.display()),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Statement(source) => Some(source),
            Self::Patch(source) => Some(source),
            Self::Pack(source) => Some(source),
            Self::Codec(source) => Some(source),
            Self::Tree(source) => Some(source),
            Self::Name(source) => Some(source),
            Self::NoExchange { source, .. } | Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

macro_rules! from {
    ($($error:ty => $variant:ident),*) => {
        $(impl From<$error> for ClientError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

from!(StatementError => Statement, PatchError => Patch, PackError => Pack, CodecError => Codec, TreeError => Tree, NameError => Name);
