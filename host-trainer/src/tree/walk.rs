//! Reads a folder as a tree.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::digest::Digest;
use super::error::TreeError;
use super::manifest::{Entry, Node, Tree};
use super::path::{RESERVED, TreePath};

/// What is done with symbolic links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Symlinks {
    /// A folder that has one is refused.
    #[default]
    Refuse,
    /// They travel, as long as they stay inside the tree.
    Keep,
    /// They are left out.
    Skip,
}

/// A folder that was read.
#[derive(Clone, Debug)]
pub struct Walked {
    /// What was found.
    pub tree: Tree,
    /// Its root.
    pub root: PathBuf,
}

impl Walked {
    /// Where an entry's file lies.
    pub fn path_of(&self, entry: &Entry) -> PathBuf {
        entry.path.below(&self.root)
    }
}

/// Reads all that is below `root` but [`RESERVED`]. Folders' own modes, owners and times are not kept.
///
/// # Errors
/// [`TreeError`] for names that are no UTF-8 or that no tree may hold, for symbolic links if they are refused, for devices,
/// pipes and sockets, and for what cannot be read.
pub fn walk(root: &Path, symlinks: Symlinks) -> Result<Walked, TreeError> {
    let mut entries = Vec::new();
    let walk = WalkDir::new(root).min_depth(1).sort_by_file_name().into_iter();
    for found in walk.filter_entry(|found| found.depth() != 1 || found.file_name() != RESERVED) {
        let found = found.map_err(|error| {
            let path = error.path().unwrap_or(root).to_path_buf();
            TreeError::Io { path, source: error.into() }
        })?;
        TreeError::check("entries", entries.len() as u64, super::MAX_ENTRIES)?;
        let path = relative(root, found.path())?;
        let kind = found.file_type();
        let node = if kind.is_symlink() {
            match symlinks {
                Symlinks::Refuse => return Err(TreeError::path(path.as_str(), "it is a symbolic link")),
                Symlinks::Skip => continue,
                Symlinks::Keep => {
                    let target = fs::read_link(found.path()).map_err(TreeError::io(found.path()))?;
                    let target = target.into_os_string().into_string();
                    let target = target.map_err(|_| {
                        TreeError::path(path.as_str(), "it is a symbolic link to a name that is no UTF-8")
                    })?;
                    Node::Link { target }
                }
            }
        } else if kind.is_dir() {
            let mut inside = fs::read_dir(found.path()).map_err(TreeError::io(found.path()))?;
            if inside.next().is_some() {
                continue;
            }
            Node::Folder
        } else if kind.is_file() {
            let file = fs::File::open(found.path()).map_err(TreeError::io(found.path()))?;
            let meta = file.metadata().map_err(TreeError::io(found.path()))?;
            let (digest, len) = Digest::of_reader(file).map_err(TreeError::io(found.path()))?;
            Node::File { mode: mode_of(&meta), len, digest }
        } else {
            return Err(TreeError::path(path.as_str(), "it is neither file, folder nor symbolic link"));
        };
        entries.push(Entry { path, node });
    }
    Ok(Walked { tree: Tree::new(entries)?, root: root.to_path_buf() })
}

fn relative(root: &Path, path: &Path) -> Result<TreePath, TreeError> {
    let below = path.strip_prefix(root).unwrap_or(path);
    let mut text = String::new();
    for component in below.components() {
        let Some(component) = component.as_os_str().to_str() else {
            return Err(TreeError::path(below.to_string_lossy(), "it is no UTF-8"));
        };
        if !text.is_empty() {
            text.push('/');
        }
        text += component;
    }
    TreePath::new(text)
}

/// Who may read, write and run a file, as a tree holds it.
#[cfg(unix)]
pub(crate) fn mode_of(meta: &Metadata) -> u16 {
    use std::os::unix::fs::PermissionsExt;
    (meta.permissions().mode() & 0o777) as u16
}

/// Who may read, write and run a file, as a tree holds it.
#[cfg(not(unix))]
pub(crate) fn mode_of(_: &Metadata) -> u16 {
    0o644
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Scratch;

    #[test]
    fn the_programs_own_notes_are_left_out() {
        let folder = Scratch::new("walk").unwrap();
        for path in [".gmcf", "a/.gmcf", "empty"] {
            fs::create_dir_all(folder.join(path)).unwrap();
        }
        for path in [".gmcf/state", "a/.gmcf/file", "b"] {
            fs::write(folder.join(path), path).unwrap();
        }
        let walked = walk(&folder.join(""), Symlinks::Refuse).unwrap();
        let paths: Vec<&str> = walked.tree.entries().iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["a/.gmcf/file", "b", "empty"]);
    }
}
