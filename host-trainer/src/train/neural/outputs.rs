//! What a training writes, looked at before it starts: it may take hours.

use super::error::BaseError;
use crate::files::{check_writable, is_stream};
use std::fs;
use std::path::{Path, PathBuf};

/// Sees to it that every file can be written when the time comes: `output`, and the `others`, which are written again and
/// again and so cannot be the standard output.
///
/// # Errors
/// [`BaseError::Io`] with what the system has against a file in that folder; [`BaseError::Input`] when two are the same.
pub(super) fn check(output: &Path, others: &[&Path]) -> Result<(), BaseError> {
    let refuse =
        |path: &Path, what: &str, hint| Err(BaseError::Input { path: path.to_path_buf(), what: what.to_owned(), hint });
    for (i, path) in others.iter().enumerate() {
        if is_stream(path) {
            return refuse(path, "the standard output cannot be replaced", "name a file");
        }
        if others[..i].iter().chain([&output]).any(|other| place(other) == place(path)) {
            return refuse(path, "is named for two things", "give model, curve and checkpoint a file each");
        }
        check_writable(path).map_err(BaseError::io("write", path))?;
    }
    check_writable(output).map_err(BaseError::io("write", output))
}

/// The file that a path names, however it is spelt.
fn place(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::canonicalize(path).ok().or_else(|| Some(fs::canonicalize(folder).ok()?.join(path.file_name()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Scratch;

    #[test]
    fn what_cannot_be_written_is_told_and_nothing_is_left() {
        let folder = Scratch::new("outputs").unwrap();
        let [model, curve] = ["model", "curve"].map(|name| folder.join(name));
        fs::write(&curve, b"old").unwrap();
        check(&model, &[&curve]).unwrap();
        check(Path::new("-"), &[]).unwrap();
        assert_eq!(fs::read(&curve).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.join("")).unwrap().count(), 1);

        let missing = check(&folder.join("no/model"), &[]);
        assert!(matches!(missing, Err(BaseError::Io { action: "write", .. })), "{missing:?}");
        let is_folder = check(&model, &[&folder.join("")]);
        assert!(matches!(is_folder, Err(BaseError::Io { .. })), "{is_folder:?}");
        for others in [&[&*model][..], &[&folder.join("./model")], &[Path::new("-")], &[&curve, &curve]] {
            let twice = check(&model, others);
            assert!(matches!(twice, Err(BaseError::Input { .. })), "{twice:?}");
        }
    }
}
