//! What can go wrong with a store.

use std::fmt;
use std::io;

use object_store::path::Path;

use crate::history::NotNext;
use crate::tree::TreeError;

/// Why something cannot be kept or found.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be opened.
    Open {
        /// What was to be opened.
        place: String,
        /// Why not.
        what: String,
    },
    /// An object cannot be read, written or deleted.
    Object {
        /// What was tried.
        action: &'static str,
        /// Which object.
        object: String,
        /// The reason.
        source: object_store::Error,
    },
    /// An object is not what it should be.
    Damaged {
        /// Which object.
        object: String,
        /// What is wrong with it.
        what: String,
    },
    /// A file that was to be stored cannot be read.
    Spool(io::Error),
    /// An object is larger than what may be read at once.
    TooLarge {
        /// Which object.
        object: String,
        /// Its bytes.
        found: u64,
        /// Bytes that may be read.
        limit: u64,
    },
    /// No tree.
    Tree(TreeError),
    /// The statement cannot be the next one.
    NotNext(NotNext),
    /// Others publish so often that no number could be had.
    Busy,
}

impl StoreError {
    pub(super) fn object(action: &'static str, path: &Path) -> impl FnOnce(object_store::Error) -> Self {
        let object = path.to_string();
        move |source| Self::Object { action, object, source }
    }

    pub(super) fn damaged(path: &Path, what: impl fmt::Display) -> Self {
        Self::Damaged { object: path.to_string(), what: what.to_string() }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { place, what } => write!(f, "cannot open the store `{place}`: {what}"),
            Self::Object { action, object, source } => write!(f, "cannot {action} `{object}` of the store: {source}"),
            Self::Damaged { object, what } => write!(f, "`{object}` of the store is damaged: {what}"),
            Self::Spool(error) => write!(f, "cannot read what is to be stored: {error}"),
            Self::TooLarge { object, found, limit } => {
                write!(f, "`{object}` of the store has {found} bytes, at most {limit} are read at once")
            }
            Self::Tree(error) => write!(f, "{error}"),
            Self::NotNext(error) => write!(f, "{error}"),
            Self::Busy => f.write_str("too many others publish versions of this name at the same time"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Object { source, .. } => Some(source),
            Self::Spool(error) => Some(error),
            Self::Tree(error) => Some(error),
            Self::NotNext(error) => Some(error),
            _ => None,
        }
    }
}

impl From<NotNext> for StoreError {
    fn from(error: NotNext) -> Self {
        Self::NotNext(error)
    }
}

impl From<TreeError> for StoreError {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}
