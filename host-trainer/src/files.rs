//! Reading inputs whole, and writing outputs whole or not at all.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// End of the names of files that are being written.
pub const UNFINISHED: &str = ".gmcf.tmp";

/// Reads all of `path`; `-` is the standard input.
///
/// # Errors
/// The system's error, as it is.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    if is_stream(path) {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    fs::read(path)
}

/// Whether `path` is `-`: standard input where it is read, standard output where it is written.
#[must_use]
pub fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Writes `bytes` to `path` so that after a crash either the old content or all of the new one is there.
///
/// The bytes go to a file beside the target, reach the disk, and take the target's name in one step.
/// What is no regular file (a pipe, `/dev/null`, `-`) is written to directly.
///
/// # Errors
/// The system's error; the target is then untouched and the file beside it is gone.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if is_stream(path) {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        return out.flush();
    }
    match Target::of(path)? {
        Target::Direct => OpenOptions::new().write(true).open(path)?.write_all(bytes),
        Target::Replaced { path, permissions } => {
            let temporary = Temporary::create(&path)?;
            temporary.fill(bytes, permissions)?;
            temporary.rename_to(&path)
        }
    }
}

/// Whether [`write_atomic`] has what it needs to write to `path`: nothing is written, and nothing left.
///
/// # Errors
/// The system's error.
pub fn check_writable(path: &Path) -> io::Result<()> {
    if is_stream(path) {
        return Ok(());
    }
    if let Target::Replaced { path, .. } = Target::of(path)? {
        Temporary::create(&path)?;
    }
    Ok(())
}

/// How a path is written to.
enum Target {
    /// As it is: it is no regular file.
    Direct,
    /// By a file that takes its name, with the permissions of the one that has it now.
    Replaced { path: PathBuf, permissions: Option<fs::Permissions> },
}

impl Target {
    fn of(path: &Path) -> io::Result<Self> {
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(meta) if !meta.is_file() => Ok(Self::Direct),
            // A link keeps pointing at what it points at: its target is replaced, not the link.
            Ok(meta) => Ok(Self::Replaced { path: fs::canonicalize(path)?, permissions: Some(meta.permissions()) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self::Replaced { path: path.to_path_buf(), permissions: None })
            }
            Err(error) => Err(error),
        }
    }
}

/// Writes `bytes` to a new file that only its owner may read; an existing one is never replaced.
///
/// # Errors
/// The system's error; [`io::ErrorKind::AlreadyExists`] among them.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A file beside the target; gone when dropped before it was renamed.
struct Temporary {
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    fn create(target: &Path) -> io::Result<Self> {
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        for attempt in 0..100_u32 {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(format!(".{}-{attempt}{UNFINISHED}", std::process::id()));
            let path = target.with_file_name(hidden);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(_) => return Ok(Self { path, renamed: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn fill(&self, bytes: &[u8], permissions: Option<fs::Permissions>) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(&self.path)?;
        file.write_all(bytes)?;
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)?;
        }
        // Before the file takes its name: after a power cut, the name stands for the old content or for all of the new.
        file.sync_data()
    }

    fn rename_to(mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // Nothing better can be done with a second error while the first is on its way up.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A folder of its own under the system's temporary folder; gone, with all in it, when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes the folder; `label` is part of its name.
    ///
    /// # Errors
    /// The system's error.
    pub fn new(label: &str) -> io::Result<Self> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        for _ in 0..1000 {
            let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("gmcf-{label}-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                // Somebody else's, perhaps of a process of the same number that was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Path of `name` in the folder.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder left behind in the temporary folder is no reason to fail what has succeeded.
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_replaces_and_leaves_nothing_else() {
        let folder = Scratch::new("files").unwrap();
        let target = folder.join("out.gmcf");
        write_atomic(&target, b"one").unwrap();
        write_atomic(&target, b"two").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"two");
        assert_eq!(fs::read_dir(&folder.path).unwrap().count(), 1);
    }

    #[test]
    fn a_target_that_cannot_be_written_stays_untouched() {
        let folder = Scratch::new("files").unwrap();
        assert!(write_atomic(&folder.join("no/such/folder/x"), b"x").is_err());
        assert!(write_atomic(&folder.path, b"x").is_err());
        assert_eq!(fs::read_dir(&folder.path).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let folder = Scratch::new("files").unwrap();
        fs::write(folder.join("real"), b"old").unwrap();
        std::os::unix::fs::symlink(folder.join("real"), folder.join("link")).unwrap();
        write_atomic(&folder.join("link"), b"new").unwrap();
        assert!(fs::symlink_metadata(folder.join("link")).unwrap().is_symlink());
        assert_eq!(fs::read(folder.join("real")).unwrap(), b"new");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_written_to_directly() {
        write_atomic(Path::new("/dev/null"), b"x").unwrap();
    }
}
