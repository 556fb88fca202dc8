//! What really stands in a folder, compared with what should.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::Serialize;
use walkdir::WalkDir;

use super::error::ClientError;
use crate::tree::{Digest, Entry, Node, RESERVED, Tree, TreePath, mode_of};

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    /// What a tree can hold.
    Node(Node),
    /// A device, a socket, a link to a name that is no UTF-8.
    Other,
}

/// All that stands in a folder. Unlike a tree it may hold anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Local {
    found: BTreeMap<String, Found>,
    root: PathBuf,
}

/// How a folder differs from what it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Differences {
    /// Paths with another content, mode or target.
    pub modified: Vec<String>,
    /// Paths where nothing stands.
    pub missing: Vec<String>,
    /// Paths where nothing should stand; empty folders are none.
    pub extra: Vec<String>,
}

impl Differences {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.modified.is_empty() && self.missing.is_empty() && self.extra.is_empty()
    }
}

impl Local {
    /// Reads all that is below `root` but the client's own notes; nothing if there is no such folder. Links are not
    /// followed.
    ///
    /// # Errors
    /// [`ClientError::Io`].
    pub fn read(root: &Path, progress: &dyn Fn(u64)) -> Result<Self, ClientError> {
        let mut local = Self { found: BTreeMap::new(), root: root.to_path_buf() };
        if !root.exists() {
            return Ok(local);
        }
        let (mut folders, mut parents) = (Vec::new(), std::collections::HashSet::new());
        let walk = WalkDir::new(root).min_depth(1).into_iter();
        for found in walk.filter_entry(|found| found.depth() != 1 || found.file_name() != RESERVED) {
            let found = found.map_err(|error| {
                let path = error.path().unwrap_or(root).to_path_buf();
                ClientError::Io { action: "read", path, source: error.into() }
            })?;
            let io = |error| ClientError::io("read", found.path())(error);
            let below = found.path().strip_prefix(root).unwrap_or(found.path());
            let path = below.to_string_lossy().into_owned();
            if let Some((parent, _)) = path.rsplit_once('/') {
                parents.insert(parent.to_owned());
            }
            let kind = found.file_type();
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let what = if kind.is_symlink() {
                let target = fs::read_link(found.path()).map_err(io)?.into_os_string().into_string();
                target.map_or(Found::Other, |target| Found::Node(Node::Link { target }))
            } else if kind.is_file() {
                let file = File::open(found.path()).map_err(io)?;
                let mode = mode_of(&file.metadata().map_err(io)?);
                let (digest, len) = Digest::of_reader(file).map_err(io)?;
                progress(len);
                Found::Node(Node::File { mode, len, digest })
            } else {
                Found::Other
            };
            local.found.insert(path, what);
        }
        let empty = folders.into_iter().filter(|folder| !parents.contains(folder));
        local.found.extend(empty.map(|folder| (folder, Found::Node(Node::Folder))));
        Ok(local)
    }

    /// Whether nothing stands there.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Compares with what should stand there.
    pub fn against(&self, entries: &[&Entry]) -> Differences {
        let mut differences = Differences::default();
        let mut wanted = std::collections::HashSet::new();
        for Entry { path, node } in entries.iter().copied() {
            wanted.insert(path.as_str());
            match self.found.get(path.as_str()) {
                Some(Found::Node(found)) if found == node => {}
                Some(_) => differences.modified.push(path.as_str().to_owned()),
                // Something stands in an empty folder: that is what is extra.
                None if *node == Node::Folder && self.root.join(path.as_str()).is_dir() => {}
                None => differences.missing.push(path.as_str().to_owned()),
            }
        }
        for (path, found) in &self.found {
            if !wanted.contains(path.as_str()) && *found != Found::Node(Node::Folder) {
                differences.extra.push(path.clone());
            }
        }
        differences
    }

    /// The folder as a tree, if it can be one.
    pub fn tree(&self) -> Option<Tree> {
        let entry = |(path, found): (&String, &Found)| match found {
            Found::Node(node) => Some(Entry { path: TreePath::new(path.as_str()).ok()?, node: node.clone() }),
            Found::Other => None,
        };
        Tree::new(self.found.iter().map(entry).collect::<Option<_>>()?).ok()
    }

    /// Where files with these contents lie.
    pub fn files(&self) -> HashMap<Digest, PathBuf> {
        let file = |(path, found): (&String, &Found)| match found {
            Found::Node(Node::File { digest, .. }) => Some((*digest, self.root.join(path))),
            _ => None,
        };
        self.found.iter().filter_map(file).collect()
    }
}
