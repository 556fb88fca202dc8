//! Packs: a tree whose files can be read in parts, so that a client keeps pointers instead of files. FORMAT.md is normative.
//!
//! A pack is a header, an index and containers. Each different content is cut in blocks, and each block is a container of
//! its own, coded with the base model. A content that is nearly another one may be coded against that one as a whole; the
//! other is then coded alone, so a read takes two contents at most. Small files that are alike may share an adapter of the
//! base model. Each of these is done only where it makes the pack smaller.
//!
//! ```
//! use std::collections::HashMap;
//! use host_trainer::tree::pack::{self, Options, Pack};
//! use host_trainer::tree::{Digest, Entry, Node, Tree, TreePath};
//!
//! let content = "interval = 10\nlevel = 2\n".repeat(9).into_bytes();
//! let digest = Digest::of(&content);
//! let node = Node::File { mode: 0o644, len: content.len() as u64, digest };
//! let tree = Tree::new(vec![Entry { path: TreePath::new("a.conf")?, node }])?;
//! let bytes = pack::make(&tree, &HashMap::from([(digest, content.clone())]), &Options::default())?;
//!
//! let pack = Pack::open(&bytes[..])?;
//! assert_eq!(pack.read(&TreePath::new("a.conf")?, 14..19)?, content[14..19]);
//! assert_eq!(pack.tree().root(), tree.root());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod make;
mod read;
#[cfg(test)]
mod tests;

use std::io;

use codec_core::container::digest::Id;
use serde::{Deserialize, Serialize};

use super::{Digest, Entry, Tree, TreePath};
use crate::base::Shipped;
use crate::codec::Profile;

pub use error::PackError;
pub use make::make;
pub use read::Pack;

/// First bytes of a pack.
const MAGIC: [u8; 4] = *b"GMPK";
const VERSION: u8 = 1;
/// Bytes of the header: magic, version, length of the index' container.
const HEADER_LEN: u64 = 9;
/// Bytes of the index, at most.
const MAX_INDEX: u64 = 64 << 20;
/// Bytes of a block, base-2 logarithm, at least and at most.
const BLOCK_LOG2: std::ops::RangeInclusive<u8> = 12..=20;
/// Bytes of a content that others may be coded against, at most: it is rebuilt as a whole.
const MAX_WHOLE: u64 = 4 << 20;

/// Reads parts of something that does not change: a file, an object in a store, a page behind range requests.
pub trait ReadRange {
    /// The bytes `offset..offset + len`.
    ///
    /// # Errors
    /// What keeps them from being read; [`io::ErrorKind::UnexpectedEof`] where there are fewer.
    fn read(&self, offset: u64, len: u64) -> io::Result<Vec<u8>>;
}

impl ReadRange for [u8] {
    fn read(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let range = usize::try_from(offset).ok().zip(offset.checked_add(len).and_then(|end| usize::try_from(end).ok()));
        let part = range.and_then(|(start, end)| self.get(start..end));
        part.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl<R: ReadRange + ?Sized> ReadRange for &R {
    fn read(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        (**self).read(offset, len)
    }
}

impl ReadRange for std::fs::File {
    fn read(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = self;
        if file.metadata()?.len() < offset.saturating_add(len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// How a pack is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Base model that readers hold: one of those that ship, or none.
    pub base: Option<&'static Shipped>,
    /// Bytes of a block, base-2 logarithm: 12 to 20. What is read takes the decoding of whole blocks.
    pub block_log2: u8,
    /// Whether an adapter is tried for small files that are alike. It takes minutes of computing.
    pub adapter: bool,
}

impl Default for Options {
    /// The largest base model that ships, blocks of 64 KiB, no adapter.
    fn default() -> Self {
        Self { base: Shipped::of(Profile::Host), block_log2: 16, adapter: false }
    }
}

/// Names a file on a device: all that a folder needs in order to rebuild it on demand. Postcard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilkPointer {
    /// Where it stands.
    pub path: TreePath,
    /// Identity of the base model that it is coded with; zeros where it takes none.
    pub base: [u8; 16],
    /// 0 where it takes no adapter; else that of the pack, which is 1.
    pub adapter: u32,
    /// Bytes.
    pub len: u64,
    /// Of its content.
    pub digest: Digest,
}

/// How a content is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    /// The content that it is coded against, by its number.
    like: Option<u32>,
    /// Whether its blocks take the adapter.
    adapted: bool,
    /// Bytes of the container of each block.
    blocks: Vec<u32>,
}

/// What stands behind the header. Postcard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Index {
    /// The tree.
    entries: Vec<Entry>,
    /// The different contents, in the order in which they first stand in the tree.
    contents: Vec<Stored>,
    /// Identity of the base model; zeros for none.
    base: [u8; 16],
    /// Bytes of the adapter's container, which comes before those of the contents; 0 for none.
    adapter: u32,
    /// Bytes of a block, base-2 logarithm.
    block_log2: u8,
}

/// The different contents of a tree, in the order in which they first stand in it, with their lengths.
fn distinct(tree: &Tree) -> Vec<(Digest, u64)> {
    let mut seen = std::collections::HashSet::new();
    let files = tree.entries().iter().filter_map(Entry::file);
    files.filter(|(_, _, digest)| seen.insert(*digest)).map(|(_, len, digest)| (digest, len)).collect()
}

/// The shipped model of this identity.
fn shipped(id: &[u8; 16]) -> Option<&'static Shipped> {
    crate::base::SHIPPED.iter().find(|shipped| base_id(shipped) == Some(*id))
}

/// The identity of a model that ships.
fn base_id(shipped: &Shipped) -> Option<[u8; 16]> {
    let (header, _) = codec_core::container::v2::Header::parse(shipped.file).ok()?;
    let Id(id) = header.digest;
    Some(id)
}
