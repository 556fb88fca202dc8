//! A folder that follows a server, the hidden one beside it, and how the two change places.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::error::ClientError;
use super::local::{Differences, Local};
use super::state::{Follows, State, read_note, write_note};
use super::sync::{Step, Watch};
use crate::files::UNFINISHED;
use crate::history::{Name, Signed, Version};
use crate::report::format::hex;
use crate::tree::RESERVED;

/// A folder and the hidden one beside it. As long as it lives, no other process works on them.
#[derive(Debug)]
pub struct Place {
    dir: PathBuf,
    side: PathBuf,
    _lock: File,
}

/// Watches nothing.
struct Quiet;

impl Watch for Quiet {}

impl Place {
    /// Opens the folder at `dir`, which need not be there yet, and finishes what a killed process has left.
    ///
    /// # Errors
    /// [`ClientError::Busy`], [`ClientError::Io`].
    pub fn open(dir: &Path) -> Result<Self, ClientError> {
        let dir = resolve(dir)?;
        let side = side_of(&dir)?;
        let mut builder = DirBuilder::new();
        // What stood in the folder before is for those who could read it there, and for nobody else.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(&side) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(ClientError::io("make", &side)(error));
            }
            _ => {}
        }
        let path = side.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(ClientError::io("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ClientError::Busy { dir }),
            Err(TryLockError::Error(error)) => return Err(ClientError::io("lock", &path)(error)),
        }
        let place = Self { dir, side, _lock: lock };
        place.recover()?;
        Ok(place)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the next tree is built.
    pub fn next(&self) -> PathBuf {
        self.side.join("next")
    }

    /// The tree before.
    pub fn previous(&self) -> PathBuf {
        self.side.join("previous")
    }

    /// Where contents are kept by their digests.
    pub fn contents(&self) -> Result<PathBuf, ClientError> {
        self.folder("contents")
    }

    /// Where downloads go.
    pub fn downloads(&self) -> Result<PathBuf, ClientError> {
        self.folder("download")
    }

    /// Where the manifest of the next tree is.
    pub fn target(&self) -> PathBuf {
        self.side.join("target")
    }

    fn folder(&self, name: &str) -> Result<PathBuf, ClientError> {
        let path = self.side.join(name);
        fs::create_dir_all(&path).map_err(ClientError::io("make", &path))?;
        Ok(path)
    }

    /// What the client calls itself: made up once.
    ///
    /// # Errors
    /// [`ClientError::Io`].
    pub fn client(&self) -> Result<String, ClientError> {
        let path = self.side.join("client");
        if let Ok(known) = fs::read_to_string(&path)
            && known.len() == 16
            && known.bytes().all(|c| c.is_ascii_hexdigit())
        {
            return Ok(known);
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| ClientError::io("name", &path)(io::Error::other(error)))?;
        let name = hex(&random);
        crate::files::write_atomic(&path, name.as_bytes()).map_err(ClientError::io("write", &path))?;
        Ok(name)
    }

    /// The newest statement about a name that was believed.
    ///
    /// # Errors
    /// [`ClientError::Io`].
    pub fn seen(&self, name: &Name) -> Result<Option<Signed>, ClientError> {
        let noted: Option<Signed> = read_note(&self.side.join("seen"))?;
        let follows = self.state()?.and_then(|state| state.follows).map(|follows| follows.signed);
        let about = noted.into_iter().chain(follows).filter(|signed| signed.statement.name == *name);
        Ok(about.max_by_key(|signed| signed.statement.sequence))
    }

    /// Notes a statement that is believed, if it is the newest.
    ///
    /// # Errors
    /// [`ClientError::Io`].
    pub fn believe(&self, signed: &Signed) -> Result<(), ClientError> {
        let newest: Option<Signed> = read_note(&self.side.join("seen"))?;
        if newest.is_some_and(|seen| {
            seen.statement.name == signed.statement.name && seen.statement.sequence >= signed.statement.sequence
        }) {
            return Ok(());
        }
        write_note(&self.side.join("seen"), signed)?;
        sync_folder(&self.side)
    }

    /// The state of the folder.
    ///
    /// # Errors
    /// [`ClientError::Io`].
    pub fn state(&self) -> Result<Option<State>, ClientError> {
        State::read(&self.dir)
    }

    /// A generation larger than that of any tree that is here.
    pub(super) fn next_generation(&self) -> Result<u64, ClientError> {
        let of = |dir: &Path| Ok::<_, ClientError>(State::read(dir)?.map_or(0, |state| state.generation));
        Ok(of(&self.dir)?.max(of(&self.previous())?) + 1)
    }

    /// Whether the folder is there, and something is in it.
    pub(super) fn is_occupied(&self) -> Result<bool, ClientError> {
        match fs::read_dir(&self.dir) {
            Ok(mut inside) => Ok(inside.next().is_some()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(ClientError::io("read", &self.dir)(error)),
        }
    }

    /// Puts the next tree, which has its state, in the folder's place: in one step, after all of it is on the disk.
    ///
    /// # Errors
    /// [`ClientError::NoExchange`], [`ClientError::Io`]; then the folder is what it was.
    pub(super) fn exchange(&self, watch: &dyn Watch) -> Result<(), ClientError> {
        let next = self.next();
        if let Ok(meta) = fs::metadata(&self.dir) {
            fs::set_permissions(&next, meta.permissions()).map_err(ClientError::io("write", &next))?;
        }
        sync_all(&next)?;
        if self.is_occupied()? {
            if self.state()?.is_none() {
                // So that it can be told from a tree that is being built, once it stands there.
                State { generation: 0, follows: None }.write(&self.dir)?;
                watch.step(Step::Ready)?;
            }
            swap(&next, &self.dir)?;
        } else {
            // An empty folder is replaced.
            fs::rename(&next, &self.dir).map_err(ClientError::io("make", &self.dir))?;
        }
        self.sync()
    }

    /// What was in use until the exchange becomes the version before.
    pub(super) fn keep(&self, watch: &dyn Watch) -> Result<(), ClientError> {
        let (next, previous, trash) = (self.next(), self.previous(), self.side.join("trash"));
        if next.exists() {
            if previous.exists() {
                remove(&trash)?;
                fs::rename(&previous, &trash).map_err(ClientError::io("rename", &previous))?;
                watch.step(Step::Kept)?;
            }
            fs::rename(&next, &previous).map_err(ClientError::io("rename", &next))?;
            watch.step(Step::Kept)?;
            self.sync()?;
        }
        self.clear(watch)
    }

    /// Removes what only building a tree needs.
    pub(super) fn clear(&self, watch: &dyn Watch) -> Result<(), ClientError> {
        for done in ["next", "trash", "contents", "download", "target"] {
            remove(&self.side.join(done))?;
            watch.step(Step::Kept)?;
        }
        Ok(())
    }

    /// Finishes what a killed process has begun, as far as that needs no server.
    fn recover(&self) -> Result<(), ClientError> {
        for folder in [&self.side, &self.dir.join(RESERVED)] {
            // Notes that were being written.
            for found in fs::read_dir(folder).into_iter().flatten().flatten() {
                if found.file_name().to_string_lossy().ends_with(UNFINISHED) {
                    remove(&found.path())?;
                }
            }
        }
        let generation = |dir: &Path| Ok::<_, ClientError>(State::read(dir)?.map(|state| state.generation));
        if let (Some(next), Some(current)) = (generation(&self.next())?, generation(&self.dir)?)
            && next < current
        {
            self.keep(&Quiet)?;
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), ClientError> {
        sync_folder(&self.side)?;
        sync_folder(self.dir.parent().unwrap_or(&self.dir))
    }

    /// The version before, if one was kept.
    ///
    /// # Errors
    /// [`ClientError::Io`].
    pub fn version_before(&self) -> Result<Option<State>, ClientError> {
        State::read(&self.previous())
    }
}

/// Goes back to the version before; it and the one in use change places. Returns their versions, the new one first.
///
/// # Errors
/// [`ClientError::NoPrevious`], [`ClientError::NoExchange`], [`ClientError::Io`].
pub fn rollback(place: &Place) -> Result<(Option<Version>, Option<Version>), ClientError> {
    let version = |state: &State| state.follows.as_ref().map(|follows| follows.signed.statement.version.clone());
    let (Some(before), Some(now)) = (place.version_before()?, place.state()?) else {
        return Err(ClientError::NoPrevious { dir: place.dir.clone() });
    };
    // The statement that is in use now stays the newest that was seen.
    if let Some(follows) = &now.follows {
        place.believe(&follows.signed)?;
    }
    swap(&place.previous(), &place.dir)?;
    place.sync()?;
    Ok((version(&before), version(&now)))
}

/// What a folder holds.
#[derive(Debug)]
pub struct Looked {
    /// What it follows.
    pub follows: Follows,
    /// What the version before it followed.
    pub previous: Option<Follows>,
    /// How it differs from what it should be.
    pub differences: Differences,
}

/// Looks at a folder that follows a server; nothing is changed, and nobody is waited for.
///
/// # Errors
/// [`ClientError::NotFollowing`], [`ClientError::Io`].
pub fn look(dir: &Path) -> Result<Looked, ClientError> {
    let dir = resolve(dir)?;
    let side = side_of(&dir)?;
    let follows = State::read(&dir)?.and_then(|state| state.follows);
    let follows = follows.ok_or_else(|| ClientError::NotFollowing { dir: dir.clone() })?;
    let previous = State::read(&side.join("previous"))?.and_then(|state| state.follows);
    let differences = Local::read(&dir, &|_| {})?.against(&follows.visible());
    Ok(Looked { follows, previous, differences })
}

/// The folder without links in its path, so that what is beside it is on the same file system.
pub(super) fn resolve(dir: &Path) -> Result<PathBuf, ClientError> {
    match fs::canonicalize(dir) {
        Ok(found) if found.is_dir() => Ok(found),
        Ok(found) => Err(ClientError::io("use", &found)(io::ErrorKind::NotADirectory.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let none = || ClientError::io("use", dir)(io::ErrorKind::InvalidInput.into());
            let name = dir.file_name().ok_or_else(none)?;
            let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Ok(fs::canonicalize(parent).map_err(ClientError::io("use", parent))?.join(name))
        }
        Err(error) => Err(ClientError::io("use", dir)(error)),
    }
}

/// The hidden folder beside a folder.
pub(super) fn side_of(dir: &Path) -> Result<PathBuf, ClientError> {
    let name = dir.file_name().ok_or_else(|| ClientError::io("use", dir)(io::ErrorKind::InvalidInput.into()))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".gmcf");
    Ok(dir.with_file_name(hidden))
}

/// Exchanges two folders in one step.
fn swap(a: &Path, b: &Path) -> Result<(), ClientError> {
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)
        .map_err(|error| ClientError::NoExchange { dir: b.to_path_buf(), source: error.into() })
}

/// Removes a file or a folder with all in it, if it is there. What a link leads to stays.
pub(super) fn remove(path: &Path) -> Result<(), ClientError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ClientError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// All that was written to the file system of `dir` reaches the disk: one call, however many files there are.
fn sync_all(dir: &Path) -> Result<(), ClientError> {
    #[cfg(target_os = "linux")]
    {
        let folder = File::open(dir).map_err(ClientError::io("read", dir))?;
        rustix::fs::syncfs(&folder).map_err(|error| ClientError::io("write", dir)(error.into()))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = dir;
        rustix::fs::sync();
        Ok(())
    }
}

/// The names in a folder reach the disk.
fn sync_folder(dir: &Path) -> Result<(), ClientError> {
    File::open(dir).and_then(|folder| folder.sync_all()).map_err(ClientError::io("write", dir))
}
