//! Builds the next tree: takes each file from wherever it is, and what a killed process has built already.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::download::Wanted;
use super::error::ClientError;
use super::place::remove;
use super::sync::{Source, Step, Watch};
use crate::tree::patch::{Contents, Sink};
use crate::tree::{Digest, Entry, Node, RESERVED};

/// Where contents can come from, in the order in which it is tried.
pub(super) struct Origins<'a> {
    /// Files by their digests: those that a patch brought or that were fetched.
    pub contents: PathBuf,
    /// What is being fetched.
    pub downloads: PathBuf,
    /// Files that are here, by the digests that they had when they were read; those that are tried first come first.
    pub here: Vec<HashMap<Digest, PathBuf>>,
    /// The server, for what is nowhere else.
    pub source: &'a dyn Source,
    /// Told about progress.
    pub watch: &'a dyn Watch,
    /// Bytes of a content that is fetched, at most.
    pub limit: u64,
    /// Contents that had to be fetched.
    pub fetched: RefCell<Vec<Digest>>,
}

impl Origins<'_> {
    /// The file of a content that a patch brought or that was fetched.
    fn kept(&self, digest: &Digest) -> PathBuf {
        self.contents.join(digest.to_string())
    }

    fn candidates(&self, digest: &Digest) -> impl Iterator<Item = PathBuf> {
        let here = self.here.iter().filter_map(|files| files.get(digest).cloned());
        std::iter::once(self.kept(digest)).chain(here)
    }

    /// Fetches a content, which is then among those that are kept.
    fn fetch(&self, digest: &Digest) -> Result<PathBuf, ClientError> {
        let progress = |done, all| self.watch.progress("fetching", done, all);
        let mut tried = 0;
        loop {
            let path = self.source.download(&Wanted::Content(*digest), self.limit, &self.downloads, &progress)?;
            let io = |error| ClientError::io("read", &path)(error);
            let (found, _) = Digest::of_reader(File::open(&path).map_err(io)?).map_err(io)?;
            if found == *digest {
                self.fetched.borrow_mut().push(*digest);
                let kept = self.kept(digest);
                fs::rename(&path, &kept).map_err(ClientError::io("write", &kept))?;
                self.watch.step(Step::Content)?;
                return Ok(kept);
            }
            // It may have been put together of parts of which one was damaged on this disk.
            remove(&path)?;
            tried += 1;
            if tried == 2 {
                return Err(ClientError::WrongDigest { what: "a content", expected: *digest, found });
            }
        }
    }

    /// Puts a file with this content at `to`, where nothing stands.
    fn put(&self, digest: &Digest, last: bool, to: &Path) -> Result<(), ClientError> {
        for from in self.candidates(digest) {
            if self.take(digest, &from, last, to)? {
                return Ok(());
            }
        }
        let from = self.fetch(digest)?;
        if self.take(digest, &from, last, to)? {
            return Ok(());
        }
        Err(ClientError::io("read", &from)(io::ErrorKind::InvalidData.into()))
    }

    /// Copies or moves `from`, if it is there and is still what it was when it was read. The copy shares nothing with its
    /// origin: a hard link would let a change of one change both.
    fn take(&self, digest: &Digest, from: &Path, last: bool, to: &Path) -> Result<bool, ClientError> {
        if !fs::symlink_metadata(from).is_ok_and(|meta| meta.is_file()) {
            return Ok(false);
        }
        let write = |error| ClientError::io("write", to)(error);
        if last && *from == self.kept(digest) {
            fs::rename(from, to).map_err(write)?;
        } else {
            let mut source = match File::open(from) {
                Ok(file) => file,
                Err(error) => return Err(ClientError::io("read", from)(error)),
            };
            let mut target = OpenOptions::new().write(true).create_new(true).open(to).map_err(write)?;
            io::copy(&mut source, &mut target).map_err(write)?;
        }
        let (found, _) = Digest::of_reader(File::open(to).map_err(write)?).map_err(write)?;
        if found != *digest {
            remove(to)?;
        }
        Ok(found == *digest)
    }
}

impl Contents for Origins<'_> {
    fn read(&self, digest: &Digest) -> io::Result<Vec<u8>> {
        for path in self.candidates(digest) {
            if let Ok(bytes) = fs::read(path)
                && Digest::of(&bytes) == *digest
            {
                return Ok(bytes);
            }
        }
        // The error comes back out of the patch's own.
        fs::read(self.fetch(digest).map_err(io::Error::other)?)
    }
}

/// Keeps what a patch rebuilds.
pub(super) struct Keeper<'a> {
    /// Files by their digests.
    pub contents: &'a Path,
    /// Told about progress.
    pub watch: &'a dyn Watch,
}

impl Sink for Keeper<'_> {
    fn content(&mut self, digest: Digest, bytes: Vec<u8>) -> io::Result<()> {
        let path = self.contents.join(digest.to_string());
        if !fs::metadata(&path).is_ok_and(|meta| meta.len() == bytes.len() as u64) {
            let unfinished = self.contents.join(format!("{digest}{}", crate::files::UNFINISHED));
            File::create(&unfinished)?.write_all(&bytes)?;
            fs::rename(&unfinished, &path)?;
        }
        self.watch.step(Step::Content).map_err(io::Error::other)
    }
}

/// Makes `next` hold exactly `entries`; what of them it holds already stays.
pub(super) fn stage(next: &Path, entries: &[&Entry], origins: &Origins<'_>) -> Result<(), ClientError> {
    fs::create_dir_all(next).map_err(ClientError::io("make", next))?;
    let done = prune(next, entries)?;
    let mut uses: HashMap<Digest, usize> = HashMap::new();
    for (_, _, digest) in pending(entries, &done) {
        *uses.entry(digest).or_default() += 1;
    }
    let total: u64 = pending(entries, &done).map(|(_, len, _)| len).sum();
    let mut bytes = 0;
    // Links last: nothing is written through one.
    let (links, others): (Vec<&Entry>, Vec<&Entry>) =
        entries.iter().partition(|entry| matches!(entry.node, Node::Link { .. }));
    for entry in others.into_iter().chain(links) {
        let path = entry.path.below(next);
        if !done.contains(entry.path.as_str()) {
            let folder = path.parent().unwrap_or(next);
            fs::create_dir_all(folder).map_err(ClientError::io("make", folder))?;
            match &entry.node {
                Node::File { len, digest, .. } => {
                    let left = uses.entry(*digest).or_insert(1);
                    *left -= 1;
                    origins.put(digest, *left == 0, &path)?;
                    bytes += len;
                    origins.watch.progress("building", bytes, total);
                }
                Node::Folder => fs::create_dir_all(&path).map_err(ClientError::io("make", &path))?,
                Node::Link { target } => symlink(target, &path).map_err(ClientError::io("make", &path))?,
            }
        }
        if let Node::File { mode, .. } = entry.node {
            fs::set_permissions(&path, permissions(mode)).map_err(ClientError::io("write", &path))?;
        }
        origins.watch.step(Step::Placed)?;
    }
    Ok(())
}

fn pending<'a>(entries: &'a [&Entry], done: &'a HashSet<String>) -> impl Iterator<Item = (u16, u64, Digest)> + 'a {
    entries.iter().filter(|entry| !done.contains(entry.path.as_str())).filter_map(|entry| entry.file())
}

/// Removes all from `next` that is not wanted there, and tells which paths are right.
fn prune(next: &Path, entries: &[&Entry]) -> Result<HashSet<String>, ClientError> {
    let wanted: HashMap<&str, &Node> = entries.iter().map(|entry| (entry.path.as_str(), &entry.node)).collect();
    let folders: HashSet<&str> = entries.iter().flat_map(|entry| entry.path.parents()).collect();
    let mut done = HashSet::new();
    let mut walk = WalkDir::new(next).min_depth(1).into_iter();
    while let Some(found) = walk.next() {
        let found = found.map_err(|error| {
            let path = error.path().unwrap_or(next).to_path_buf();
            ClientError::Io { action: "read", path, source: error.into() }
        })?;
        let is_folder = found.file_type().is_dir();
        if found.depth() == 1 && found.file_name() == RESERVED && is_folder {
            walk.skip_current_dir();
            continue;
        }
        let below = found.path().strip_prefix(next).unwrap_or(found.path()).to_string_lossy().into_owned();
        let read = |error| ClientError::io("read", found.path())(error);
        let right = match wanted.get(below.as_str()) {
            Some(Node::File { len, digest, .. }) if found.file_type().is_file() => {
                let file = File::open(found.path()).map_err(read)?;
                let right = file.metadata().map_err(read)?.len() == *len;
                right && Digest::of_reader(file).map_err(read)?.0 == *digest
            }
            Some(Node::Link { target }) if found.file_type().is_symlink() => {
                fs::read_link(found.path()).map_err(read)? == Path::new(target)
            }
            Some(Node::Folder) => is_folder,
            _ => false,
        };
        if right {
            done.insert(below);
        } else if !(is_folder && folders.contains(below.as_str())) {
            remove(found.path())?;
            if is_folder {
                walk.skip_current_dir();
            }
        }
    }
    Ok(done)
}

#[cfg(unix)]
fn permissions(mode: u16) -> Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode.into())
}

#[cfg(unix)]
fn symlink(target: &str, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}
