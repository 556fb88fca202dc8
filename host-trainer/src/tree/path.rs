//! Paths inside a tree: relative, of plain components, the same on every system.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::TreeError;

/// Bytes of a path, at most.
pub const MAX_PATH: usize = 1024;
/// Bytes of one of its components, at most.
const MAX_COMPONENT: usize = 255;
/// First component that no path has: in a folder that follows a server, this program keeps its own notes there.
pub const RESERVED: &str = ".gmcf";

/// A path inside a tree: UTF-8 components between single slashes. It cannot lead out of the tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TreePath(String);

impl TreePath {
    /// Checks `path`.
    ///
    /// # Errors
    /// [`TreeError::Path`] for an empty or overlong path, one that starts or ends with a slash, one with `.`, `..`, empty or
    /// overlong components, control characters or backslashes, one that starts in [`RESERVED`].
    pub fn new(path: impl Into<String>) -> Result<Self, TreeError> {
        let path = path.into();
        let refuse = |what| Err(TreeError::path(path.chars().take(80).collect::<String>(), what));
        if path.is_empty() || path.len() > MAX_PATH {
            return refuse("it must have 1 to 1024 bytes");
        }
        // Where upper and lower case are the same to the file system, too.
        if path.split('/').next().is_some_and(|first| first.eq_ignore_ascii_case(RESERVED)) {
            return refuse("`.gmcf` is kept free for this program's own notes");
        }
        for component in path.split('/') {
            match component {
                "" => return refuse("it has an empty component"),
                "." | ".." => return refuse("`.` and `..` are not allowed"),
                _ if component.len() > MAX_COMPONENT => return refuse("a component has more than 255 bytes"),
                _ => {}
            }
        }
        if path.contains(|c: char| c == '\\' || c.is_control()) {
            return refuse("backslashes and control characters are not allowed");
        }
        Ok(Self(path))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where it lies below `root`.
    pub fn below(&self, root: &Path) -> PathBuf {
        self.0.split('/').fold(root.to_path_buf(), |path, component| path.join(component))
    }

    /// The folders that lead to it, outermost first.
    pub fn parents(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| &self.0[..at])
    }

    /// Its last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl TryFrom<String> for TreePath {
    type Error = TreeError;

    fn try_from(path: String) -> Result<Self, Self::Error> {
        Self::new(path)
    }
}

impl From<TreePath> for String {
    fn from(path: TreePath) -> Self {
        path.0
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks that a symbolic link at `path` to `target` stays inside the tree, whatever else is in it.
///
/// # Errors
/// [`TreeError::Path`] for an absolute target, and for one that climbs above the tree's root.
pub fn check_link(path: &TreePath, target: &str) -> Result<(), TreeError> {
    let refuse = |what| Err(TreeError::path(path.as_str(), what));
    if target.is_empty() || target.len() > MAX_PATH || target.contains(|c: char| c == '\\' || c.is_control()) {
        return refuse("its target must be a path of 1 to 1024 bytes");
    }
    if target.starts_with('/') {
        return refuse("it is a symbolic link to an absolute path");
    }
    // A component that is a link itself could lead elsewhere, so `..` may only stand in front.
    let mut depth = path.parents().count();
    let mut down = false;
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." if down => return refuse("it is a symbolic link with `..` behind a name"),
            ".." if depth == 0 => return refuse("it is a symbolic link that leads out of the tree"),
            ".." => depth -= 1,
            _ => down = true,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_are_taken() {
        for good in ["a", "a/b.c", "...", "a/..b", "über/ß", ".hidden", ".gmcf2", "a/.gmcf/b"] {
            assert_eq!(TreePath::new(good).unwrap().as_str(), good);
        }
        let long = "x".repeat(256);
        let deep = "ab/".repeat(400) + "c";
        for bad in
            ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\\b", "a\0b", "a\nb", &long, &deep]
        {
            assert!(TreePath::new(bad).is_err(), "{bad}");
        }
        let path = TreePath::new("a/b/c").unwrap();
        assert_eq!(path.parents().collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(path.below(Path::new("/r")), Path::new("/r/a/b/c"));
        assert_eq!(path.file_name(), "c");
        for reserved in [".gmcf", ".gmcf/state", ".GMCF/x"] {
            assert!(TreePath::new(reserved).is_err(), "{reserved}");
        }
    }

    #[test]
    fn links_stay_inside() {
        let at = TreePath::new("lib/so/x").unwrap();
        for good in ["y", "./y", "../so2/y", "../../bin/y", "..", "../.."] {
            assert!(check_link(&at, good).is_ok(), "{good}");
        }
        for bad in ["", "/etc/passwd", "../../..", "../../../x", "y/../../z", "a\0"] {
            assert!(check_link(&at, bad).is_err(), "{bad}");
        }
    }
}
