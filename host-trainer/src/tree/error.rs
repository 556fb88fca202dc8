//! What a tree, or a folder that shall become one, can have wrong.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a folder or a manifest is refused.
#[derive(Debug)]
#[non_exhaustive]
pub enum TreeError {
    /// A path that no tree may hold.
    Path {
        /// The path, as far as it can be shown.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A field is larger than it may be.
    TooLarge {
        /// Which.
        field: &'static str,
        /// What was found.
        found: u64,
        /// The largest allowed value.
        limit: u64,
    },
    /// The manifest's bytes are not those of a tree.
    Malformed {
        /// What is wrong.
        what: &'static str,
    },
    /// A file or folder could not be read.
    Io {
        /// Which.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl TreeError {
    pub(crate) fn path(path: impl Into<String>, what: &'static str) -> Self {
        Self::Path { path: path.into(), what }
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// Refuses `found` above `limit`.
    pub(crate) fn check(field: &'static str, found: u64, limit: u64) -> Result<(), Self> {
        if found > limit { Err(Self::TooLarge { field, found, limit }) } else { Ok(()) }
    }
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path { path, what } => write!(f, "path `{}`: {what}", path.escape_debug()),
            Self::TooLarge { field, found, limit } => write!(f, "{field} is {found}, at most {limit} is allowed"),
            Self::Malformed { what } => write!(f, "no manifest of a tree: {what}"),
            Self::Io { path, source } => write!(f, "cannot read `{}`: {source}", path.display()),
        }
    }
}

impl std::error::Error for TreeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
