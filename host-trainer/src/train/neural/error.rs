//! Why no base model came of a training.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why no base model came of a training.
#[derive(Debug)]
#[non_exhaustive]
pub enum BaseError {
    /// No size has this name.
    Size {
        /// The name.
        found: String,
    },
    /// A file or folder could not be read or written.
    Io {
        /// What was tried: `read`, `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file or folder can be read, but holds something else than it should.
    Input {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// What to do.
        hint: &'static str,
    },
    /// The codec refuses the model, or a file with it.
    Codec(codec_core::Error),
    /// The curve could not be drawn.
    Curve(String),
}

impl BaseError {
    /// An [`BaseError::Io`], for `map_err`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

impl fmt::Display for BaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { found } => {
                let names = super::SIZES.map(|(name, ..)| name).join(", ");
                write!(f, "no size is called `{found}`: there are {names}")
            }
            Self::Io { action, path, source } => write!(f, "cannot {action} `{}`: {source}", path.display()),
            Self::Input { path, what, .. } => write!(f, "`{}`: {what}", path.display()),
            Self::Codec(error) => write!(f, "{error}"),
            Self::Curve(what) => write!(f, "the curve cannot be drawn: {what}"),
        }
    }
}

impl std::error::Error for BaseError {}

impl From<codec_core::Error> for BaseError {
    fn from(error: codec_core::Error) -> Self {
        Self::Codec(error)
    }
}
