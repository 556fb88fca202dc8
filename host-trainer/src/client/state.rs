//! What a folder that follows a server knows of itself.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use update_core::keys::KEY_LEN;

use super::error::ClientError;
use crate::files;
use crate::history::{Name, Signed};
use crate::tree::{DIGEST_LEN, Digest, Entry, Node, RESERVED, Symlinks, Tree, TreeError};

/// First bytes of a note: what it is, and the version of its layout.
const MAGIC: &[u8] = b"gmcf note 1\n";

/// A folder's own knowledge. It stands inside the folder, so that the two change in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Larger than that of any tree that stood here before.
    pub generation: u64,
    /// What the folder follows; none for one that was here before any server was followed.
    pub follows: Option<Follows>,
}

/// What a folder follows, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follows {
    /// Address of the server.
    pub server: String,
    /// Key that is trusted, if any is.
    pub key: Option<[u8; KEY_LEN]>,
    /// The statement about the version that the folder holds.
    pub signed: Signed,
    /// What is done with symbolic links.
    pub symlinks: Symlinks,
    /// Whether the folder holds a pack in place of the files.
    pub packed: bool,
    /// All that the version holds.
    pub tree: Tree,
}

impl Follows {
    /// The name that is followed.
    pub fn name(&self) -> &Name {
        &self.signed.statement.name
    }

    /// The entries that stand in the folder.
    pub fn visible(&self) -> Vec<&Entry> {
        if self.packed { Vec::new() } else { visible(&self.tree, self.symlinks) }
    }
}

/// The entries of a tree that stand in a folder.
pub(super) fn visible(tree: &Tree, symlinks: Symlinks) -> Vec<&Entry> {
    let link = |entry: &Entry| matches!(entry.node, Node::Link { .. });
    tree.entries().iter().filter(|entry| symlinks == Symlinks::Keep || !link(entry)).collect()
}

/// As it is written: postcard.
#[derive(Serialize, Deserialize)]
struct Written {
    generation: u64,
    follows: Option<WrittenFollows>,
}

#[derive(Serialize, Deserialize)]
struct WrittenFollows {
    server: String,
    key: Option<[u8; KEY_LEN]>,
    signed: Signed,
    /// 0: refused, 1: kept, 2: left out.
    symlinks: u8,
    packed: bool,
    entries: Vec<Entry>,
}

impl State {
    /// Where the state of the folder at `dir` stands.
    pub fn path(dir: &Path) -> std::path::PathBuf {
        dir.join(RESERVED).join("state")
    }

    /// Reads the state of the folder at `dir`; none if there is none, or none that is whole.
    ///
    /// # Errors
    /// [`ClientError::Io`].
    pub fn read(dir: &Path) -> Result<Option<Self>, ClientError> {
        let Some(Written { generation, follows }) = read_note(&Self::path(dir))? else { return Ok(None) };
        let follows = follows.map(|written: WrittenFollows| {
            let symlinks = match written.symlinks {
                1 => Symlinks::Keep,
                2 => Symlinks::Skip,
                _ => Symlinks::Refuse,
            };
            let WrittenFollows { server, key, signed, packed, entries, .. } = written;
            Ok::<_, TreeError>(Follows { server, key, signed, symlinks, packed, tree: Tree::new(entries)? })
        });
        Ok(Some(Self { generation, follows: follows.transpose()? }))
    }

    /// Writes the state of the folder at `dir`, whole or not at all.
    ///
    /// # Errors
    /// [`ClientError::Io`].
    pub fn write(&self, dir: &Path) -> Result<(), ClientError> {
        let folder = dir.join(RESERVED);
        match fs::symlink_metadata(&folder) {
            Ok(meta) if meta.is_dir() => {}
            // A link there would lead what is written out of the folder.
            Ok(_) => return Err(ClientError::io("use", &folder)(std::io::ErrorKind::NotADirectory.into())),
            Err(_) => fs::create_dir(&folder).map_err(ClientError::io("make", &folder))?,
        }
        let follows = self.follows.as_ref().map(|follows| WrittenFollows {
            server: follows.server.clone(),
            key: follows.key,
            signed: follows.signed.clone(),
            symlinks: match follows.symlinks {
                Symlinks::Refuse => 0,
                Symlinks::Keep => 1,
                Symlinks::Skip => 2,
            },
            packed: follows.packed,
            entries: follows.tree.entries().to_vec(),
        });
        write_note(&Self::path(dir), &Written { generation: self.generation, follows })
    }
}

/// Writes a note with a digest behind it, whole or not at all.
pub(super) fn write_note(path: &Path, note: &impl Serialize) -> Result<(), ClientError> {
    let io = |source| ClientError::io("write", path)(source);
    let mut bytes = postcard::to_extend(note, MAGIC.to_vec()).map_err(|error| io(std::io::Error::other(error)))?;
    let digest = Digest::of(&bytes);
    bytes.extend_from_slice(&digest.0);
    files::write_atomic(path, &bytes).map_err(io)
}

/// Reads a note; none if there is none, or none that is whole.
pub(super) fn read_note<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ClientError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(ClientError::io("read", path)(error)),
    };
    let whole = bytes.split_last_chunk::<DIGEST_LEN>().filter(|(note, digest)| Digest::of(note).0 == **digest);
    let note = whole.and_then(|(note, _)| note.strip_prefix(MAGIC));
    Ok(note.and_then(|note| postcard::from_bytes(note).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Scratch;
    use crate::history::{Kind, Statement};
    use crate::tree::TreePath;

    #[test]
    fn a_state_comes_back_and_a_damaged_one_does_not() {
        let folder = Scratch::new("state").unwrap();
        let dir = folder.join("");
        assert_eq!(State::read(&dir).unwrap(), None);
        let node = Node::Link { target: "b".into() };
        let tree = Tree::new(vec![Entry { path: TreePath::new("a").unwrap(), node }]).unwrap();
        let statement = Statement {
            name: "n".parse().unwrap(),
            sequence: 1,
            version: "1".parse().unwrap(),
            kind: Kind::Tree,
            digest: tree.root(),
            len: 0,
            rollback: false,
            published_at: 0,
        };
        let follows = Follows {
            server: "http://h:1".into(),
            key: Some([7; KEY_LEN]),
            signed: Signed::new(statement, None),
            symlinks: Symlinks::Skip,
            packed: false,
            tree,
        };
        assert!(follows.visible().is_empty());
        let state = State { generation: 3, follows: Some(follows) };
        state.write(&dir).unwrap();
        assert_eq!(State::read(&dir).unwrap(), Some(state));
        let path = State::path(&dir);
        let mut bytes = fs::read(&path).unwrap();
        bytes[20] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(State::read(&dir).unwrap(), None);
    }
}
