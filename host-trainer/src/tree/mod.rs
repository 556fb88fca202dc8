//! A folder as a value: paths, modes, lengths and digests, in an order that every machine finds again.

mod digest;
mod error;
mod manifest;
pub mod pack;
pub mod patch;
mod path;
mod walk;

pub use digest::{DIGEST_LEN, Digest, Hasher};
pub use error::TreeError;
pub use manifest::{Entry, MAX_ENTRIES, MAX_MANIFEST, Node, Tree};
pub use path::{MAX_PATH, RESERVED, TreePath, check_link};
#[cfg(feature = "fleet")]
pub(crate) use walk::mode_of;
pub use walk::{Symlinks, Walked, walk};
