//! The manifest of a tree: what is signed, and what a client compares its folder with.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::digest::{Digest, Hasher};
use super::error::TreeError;
use super::path::{TreePath, check_link};

/// Entries of a tree, at most.
pub const MAX_ENTRIES: u64 = 1 << 18;
/// Bytes of a manifest, at most.
pub const MAX_MANIFEST: u64 = 64 << 20;
/// Bits of a file's mode that a tree keeps.
const MODE_MASK: u16 = 0o777;
/// What the root's digest begins with, so that no file's content can pass for a tree.
const DOMAIN: &[u8] = b"gmcf tree 1\n";

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Node {
    /// A file.
    File {
        /// Permission bits, 0 to 0o777.
        mode: u16,
        /// Bytes.
        len: u64,
        /// Digest of its content.
        digest: Digest,
    },
    /// A symbolic link that stays inside the tree.
    Link {
        /// What it leads to, relative to the folder that it stands in.
        target: String,
    },
    /// A folder with nothing in it; others follow from the paths.
    Folder,
}

/// A path and what stands there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where.
    pub path: TreePath,
    /// What.
    pub node: Node,
}

impl Entry {
    /// Mode, length and digest of a file.
    pub fn file(&self) -> Option<(u16, u64, Digest)> {
        match self.node {
            Node::File { mode, len, digest } => Some((mode, len, digest)),
            _ => None,
        }
    }
}

/// A tree: entries in the order of their paths' bytes, none twice, none below another that is no folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: Vec<Entry>,
}

impl Tree {
    /// Sorts and checks `entries`.
    ///
    /// # Errors
    /// [`TreeError`] for a path that stands twice, or below a file, link or empty folder; a link that leads out; modes above
    /// 0o777; too many entries.
    pub fn new(mut entries: Vec<Entry>) -> Result<Self, TreeError> {
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Self::sorted(entries)
    }

    fn sorted(entries: Vec<Entry>) -> Result<Self, TreeError> {
        TreeError::check("entries", entries.len() as u64, MAX_ENTRIES)?;
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].path >= pair[1].path) {
            let what = if pair[0].path == pair[1].path { "it stands there twice" } else { "it is out of order" };
            return Err(TreeError::path(pair[1].path.as_str(), what));
        }
        let paths: HashSet<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
        let mut total = 0_u64;
        for Entry { path, node } in &entries {
            if path.parents().any(|parent| paths.contains(parent)) {
                return Err(TreeError::path(path.as_str(), "what it stands in is no folder"));
            }
            match node {
                Node::File { mode, len, .. } => {
                    TreeError::check("mode", (*mode).into(), MODE_MASK.into())?;
                    total = total.checked_add(*len).ok_or(TreeError::Malformed { what: "its length overflows" })?;
                }
                Node::Link { target } => check_link(path, target)?,
                Node::Folder => {}
            }
        }
        Ok(Self { entries })
    }

    /// The entries, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What stands at `path`.
    pub fn get(&self, path: &TreePath) -> Option<&Entry> {
        self.entries.binary_search_by(|entry| entry.path.cmp(path)).ok().map(|at| &self.entries[at])
    }

    /// Bytes of all files.
    pub fn len(&self) -> u64 {
        self.entries.iter().filter_map(Entry::file).map(|(_, len, _)| len).sum()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of files.
    pub fn files(&self) -> usize {
        self.entries.iter().filter(|entry| entry.file().is_some()).count()
    }

    /// The different contents of its files, with their lengths.
    pub fn contents(&self) -> HashMap<Digest, u64> {
        self.entries.iter().filter_map(Entry::file).map(|(_, len, digest)| (digest, len)).collect()
    }

    /// The manifest: postcard, a list of entries.
    ///
    /// # Panics
    /// Never: there is nothing in it that postcard cannot say.
    pub fn emit(&self) -> Vec<u8> {
        postcard::to_allocvec(&self.entries).expect("entries are plain data")
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// [`TreeError`] for what is no manifest, and as [`Tree::new`]; entries that are out of order are refused, too.
    pub fn parse(bytes: &[u8]) -> Result<Self, TreeError> {
        TreeError::check("manifest", bytes.len() as u64, MAX_MANIFEST)?;
        let wrong = |_| TreeError::Malformed { what: "its entries cannot be read" };
        let (entries, rest) = postcard::take_from_bytes::<Vec<Entry>>(bytes).map_err(wrong)?;
        if !rest.is_empty() {
            return Err(TreeError::Malformed { what: "bytes follow its last entry" });
        }
        Self::sorted(entries)
    }

    /// The digest by which the tree is named and signed.
    pub fn root(&self) -> Digest {
        let mut hasher = Hasher::default();
        hasher.update(DOMAIN);
        hasher.update(&self.emit());
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &[u8]) -> Entry {
        let node = Node::File { mode: 0o644, len: content.len() as u64, digest: Digest::of(content) };
        Entry { path: TreePath::new(path).unwrap(), node }
    }

    fn link(path: &str, target: &str) -> Entry {
        Entry { path: TreePath::new(path).unwrap(), node: Node::Link { target: target.into() } }
    }

    #[test]
    fn a_manifest_comes_back_and_its_order_does_not_matter() {
        let entries = vec![file("b/c", b"2"), link("l", "b/c"), file("a", b"1")];
        let tree = Tree::new(entries.clone()).unwrap();
        assert_eq!(Tree::new(entries.into_iter().rev().collect()).unwrap().root(), tree.root());
        assert_eq!(Tree::parse(&tree.emit()).unwrap(), tree);
        assert_eq!((tree.len(), tree.files(), tree.entries()[0].path.as_str()), (2, 2, "a"));
        assert_ne!(Tree::default().root(), tree.root());
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let refuse = |entries: Vec<Entry>| assert!(Tree::new(entries).is_err());
        refuse(vec![file("a", b""), file("a", b"")]);
        refuse(vec![file("a", b""), file("a/b", b"")]);
        refuse(vec![link("a", "b"), file("a/b", b"")]);
        refuse(vec![file("a", b""), file("a.b", b""), file("a/b", b"")]);
        refuse(vec![link("a", "../b")]);
        let mut strange = file("a", b"");
        strange.node = Node::File { mode: 0o4755, len: 0, digest: Digest::of(b"") };
        refuse(vec![strange]);
        let tree = Tree::new(vec![file("a", b"1"), file("b", b"2")]).unwrap();
        let bytes = tree.emit();
        for cut in 0..bytes.len() {
            assert!(Tree::parse(&bytes[..cut]).is_err());
        }
        assert!(Tree::parse(&[&bytes[..], b"x"].concat()).is_err());
        let swapped: Vec<Entry> = tree.entries().iter().rev().cloned().collect();
        assert!(Tree::parse(&postcard::to_allocvec(&swapped).unwrap()).is_err());
        // A count that no memory is taken for.
        assert!(Tree::parse(&[0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
    }
}
