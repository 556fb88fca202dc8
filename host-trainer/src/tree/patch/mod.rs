//! Tree patches: what travels when a folder goes from one version to the next. FORMAT.md is normative.
//!
//! A patch is a *plan* and a *stream*. The plan says how the new entries follow from the old ones, without any digest: the
//! receiver computes them, and the root of the tree that comes out is compared with a signed one. The stream is the paths
//! and contents that are new, each once, one after the other, coded as a whole against the old contents. It is cut in
//! groups of [`GROUP`] bytes, each coded against [`REFERENCE`] bytes of old contents at most. So memory is bounded on both
//! sides: besides the tree and the largest content, a receiver takes the two of them and the codec's 16 MiB; a sender
//! takes about 40 bytes for each byte of the two.
//!
//! ```
//! use std::collections::HashMap;
//! use host_trainer::tree::patch::{self, Limits, Options};
//! use host_trainer::tree::{Digest, Entry, Node, Tree, TreePath};
//!
//! let file = |path, content: &str| {
//!     let node = Node::File { mode: 0o644, len: content.len() as u64, digest: Digest::of(content.as_bytes()) };
//!     Entry { path: TreePath::new(path).unwrap(), node }
//! };
//! let contents = |all: &[&str]| -> HashMap<Digest, Vec<u8>> {
//!     all.iter().map(|content| (Digest::of(content.as_bytes()), content.as_bytes().to_vec())).collect()
//! };
//! let (v1, v2) = ("interval = 10\nlevel = 2\n", "interval = 20\nlevel = 2\n");
//! let (old, new) = (Tree::new(vec![file("a.conf", v1)])?, Tree::new(vec![file("a.conf", v2)])?);
//! let (before, after) = (contents(&[v1]), contents(&[v2]));
//!
//! let bytes = patch::make(Some((&old, &before)), &new, &after, &Options::default())?;
//! let mut rebuilt = HashMap::new();
//! let tree = patch::apply(&bytes, Some((&old, &before)), &mut rebuilt, &Limits::default())?;
//! assert_eq!(tree.root(), new.root());
//! assert_eq!(rebuilt, after);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod apply;
mod error;
pub(super) mod group;
mod make;
mod plan;
mod record;
mod reference;
pub(super) mod search;
mod solid;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;

use super::{Digest, MAX_ENTRIES, Tree};
use crate::base::Shipped;
use crate::codec::{MAX_SIZE, Profile};

pub use apply::apply;
pub use error::PatchError;
pub use make::make;

/// Bytes of the stream that are coded together, at most.
pub const GROUP: u64 = 16 << 20;
/// Bytes of old contents that a group is coded against, at most.
pub const REFERENCE: u64 = 16 << 20;
/// Bytes of one content that travels, at most.
pub const MAX_CONTENT: u64 = MAX_SIZE as u64;

/// Bytes of roots and base models' identities that a patch names.
const ID_LEN: usize = 2;
/// First byte of a patch: `T` with its high bit set.
const MAGIC: u8 = 0xd4;

/// Bits of the second byte.
mod flag {
    pub const VERSION: u8 = 0x0f;
    pub const VERSION_1: u8 = 1;
    pub const OLD: u8 = 0x10;
    pub const BASE: u8 = 0x20;
}

/// Where contents are read from.
pub trait Contents {
    /// The bytes of the content with this digest. They are checked.
    ///
    /// # Errors
    /// What keeps it from being read; [`io::ErrorKind::NotFound`] where there is none.
    fn read(&self, digest: &Digest) -> io::Result<Vec<u8>>;
}

impl Contents for HashMap<Digest, Vec<u8>> {
    fn read(&self, digest: &Digest) -> io::Result<Vec<u8>> {
        self.get(digest).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

/// No contents at all.
struct NoContents;

impl Contents for NoContents {
    fn read(&self, _: &Digest) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Takes what a patch rebuilds.
pub trait Sink {
    /// Takes a content that the old tree does not have. `digest` was computed from `bytes`. No content comes twice.
    ///
    /// What comes is only known to be wanted when the tree's root has been compared.
    ///
    /// # Errors
    /// What keeps it from being stored; [`apply()`] then stops.
    fn content(&mut self, digest: Digest, bytes: Vec<u8>) -> io::Result<()>;
}

impl Sink for HashMap<Digest, Vec<u8>> {
    fn content(&mut self, digest: Digest, bytes: Vec<u8>) -> io::Result<()> {
        self.insert(digest, bytes);
        Ok(())
    }
}

/// An old tree and where its contents are.
pub type Old<'a> = (&'a Tree, &'a dyn Contents);

/// How a patch is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Base model that receivers hold: one of those that ship, or none.
    pub base: Option<&'static Shipped>,
}

impl Default for Options {
    /// With the largest base model that ships.
    fn default() -> Self {
        Self { base: Shipped::of(Profile::Host) }
    }
}

/// What a patch may ask of its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of new paths and contents.
    pub new_len: u64,
    /// Entries of the new tree.
    pub entries: u64,
}

impl Limits {
    /// As much as there may be.
    const MOST: Self = Self { new_len: u64::MAX >> 1, entries: MAX_ENTRIES };
}

impl Default for Limits {
    /// 1 GiB of new contents, and as many entries as a tree may have.
    fn default() -> Self {
        Self { new_len: MAX_CONTENT, entries: MAX_ENTRIES }
    }
}

/// Reads a content and checks that it is the one.
fn read(contents: &dyn Contents, digest: &Digest, len: u64) -> Result<Vec<u8>, PatchError> {
    let bytes = contents.read(digest).map_err(|source| PatchError::Read { digest: *digest, source })?;
    let found = bytes.len() as u64;
    if found != len || Digest::of(&bytes) != *digest {
        return Err(PatchError::WrongContent { digest: *digest, expected: len, found });
    }
    Ok(bytes)
}
