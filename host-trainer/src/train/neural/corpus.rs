//! The files that are learned from, and those that are held back.

use super::error::BaseError;
use crate::align::Aligner;
use crate::align::path::Costs;
use crate::files::UNFINISHED;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Longest piece that a file is cut into, bytes.
const PIECE: usize = 16 << 10;
/// One file in so many is held back: the last stage is trained on those, and losses are told of them.
const HELD_BACK: usize = 12;
/// Most files that the last stage is trained on.
const MIX_FILES: usize = 300;
/// Most bytes of each.
const MIX_BYTES: usize = 16 << 10;

/// What there is to learn from.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// Pieces of files, learned from.
    pub learned: Vec<Vec<u8>>,
    /// Beginnings of files that are held back.
    pub held: Vec<Vec<u8>>,
    /// Updates, learned from.
    pub updates: Vec<Update>,
}

impl Corpus {
    /// Bytes that are learned from.
    pub fn bytes(&self) -> u64 {
        let inserted = self.updates.iter().flat_map(|update| &update.inserted).map(ExactSizeIterator::len);
        self.learned.iter().map(Vec::len).chain(inserted).sum::<usize>() as u64
    }

    /// Files, pieces of files and updates that are learned from.
    pub fn pieces(&self) -> usize {
        self.learned.len() + self.updates.len()
    }
}

/// An update, of which a network learns what is inserted.
#[derive(Clone, Debug)]
pub struct Update {
    /// The old file.
    pub old: Vec<u8>,
    /// The new file.
    pub new: Vec<u8>,
    /// Stretches of it that the old file does not have, in their order.
    pub inserted: Vec<Range<usize>>,
}

impl Update {
    /// The update between two files, aligned as plain bytes.
    pub fn new(old: Vec<u8>, new: Vec<u8>) -> Self {
        let mut inserted = Vec::new();
        let mut end = 0;
        for segment in Aligner::new(&old, &new, Costs::default()).plain() {
            inserted.push(end..segment.new as usize);
            end = segment.new_end() as usize;
        }
        inserted.push(end..new.len());
        inserted.retain(|stretch| !stretch.is_empty());
        Self { old, new, inserted }
    }
}

/// The updates of a corpus that insert anything.
///
/// # Errors
/// [`BaseError::Io`] when the corpus or a file cannot be read, or no update is in it.
pub fn updates(folder: &Path) -> Result<Vec<Update>, BaseError> {
    let pairs = crate::train::updates(folder).map_err(BaseError::io("read", folder))?;
    let updates = pairs.into_iter().map(|(old, new)| Update::new(old, new));
    Ok(updates.filter(|update| !update.inserted.is_empty()).collect())
}

/// Files of a folder and all folders in it, in the order of their paths.
fn files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), BaseError> {
    let read = || fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>();
    let mut entries = read().map_err(BaseError::io("read", folder))?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let kind = entry.file_type().map_err(BaseError::io("read", &entry.path()))?;
        if kind.is_dir() {
            files(&entry.path(), found)?;
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// A number by which names are put in an order that says nothing about the files.
fn hash(name: &Path) -> u64 {
    let bytes = name.as_os_str().as_encoded_bytes();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

/// Which files are held back: whole folders, since neighbours are alike, or single files where there is one folder.
/// `names` are the paths within the folder that was named, so that it does not matter where that lies.
fn held_back(names: &[PathBuf]) -> Vec<bool> {
    let folders: BTreeSet<&Path> = names.iter().filter_map(|name| name.parent()).collect();
    let key =
        |name: &'_ Path| if folders.len() > 1 { name.parent().unwrap_or(name).to_owned() } else { name.to_owned() };
    let keys: BTreeSet<PathBuf> = names.iter().map(|name| key(name)).collect();
    let mut keys: Vec<PathBuf> = keys.into_iter().collect();
    keys.sort_by_key(|key| hash(key));
    keys.truncate(keys.len().div_ceil(HELD_BACK).min(keys.len().saturating_sub(1)));
    names.iter().map(|name| keys.contains(&key(name))).collect()
}

/// Files of a folder and all folders in it, but those that are written to.
fn files_but(folder: &Path, written: &[&Path]) -> Result<Vec<PathBuf>, BaseError> {
    let written: Vec<PathBuf> = written.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
    let is_own = |path: &PathBuf| {
        path.as_os_str().as_encoded_bytes().ends_with(UNFINISHED.as_bytes())
            || fs::canonicalize(path).is_ok_and(|path| written.contains(&path))
    };
    let mut found = Vec::new();
    files(folder, &mut found)?;
    found.retain(|path| !is_own(path));
    if found.is_empty() {
        let hint = "name a folder with files like those that the devices are to get";
        return Err(BaseError::Input { path: folder.to_path_buf(), what: "there is no file in it".into(), hint });
    }
    Ok(found)
}

/// Reads the files of a family whole, all in the folder but `output` and those that are empty, and holds `percent` of
/// them back.
///
/// # Errors
/// As [`read`].
pub fn family(folder: &Path, output: &Path, percent: usize) -> Result<Corpus, BaseError> {
    let mut paths = files_but(folder, &[output])?;
    paths.sort_by_key(|path| hash(path.strip_prefix(folder).unwrap_or(path)));
    let read = |path: &PathBuf| fs::read(path).map_err(BaseError::io("read", path));
    let mut fitted = paths.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    fitted.retain(|file| !file.is_empty());
    if fitted.is_empty() {
        return Err(too_little(&[folder.to_path_buf()], format!("all its files ({}) are empty", paths.len())));
    }
    let held = fitted.split_off(fitted.len() - (fitted.len() * percent / 100).min(fitted.len() - 1));
    Ok(Corpus { learned: fitted, held, updates: Vec::new() })
}

/// Reads all files in the folders but those that the training itself writes, which may lie among them.
///
/// # Errors
/// [`BaseError::Io`] when something cannot be read, [`BaseError::Input`] when a folder has no files or all together have
/// too few.
pub fn read(folders: &[PathBuf], written: &[&Path]) -> Result<Corpus, BaseError> {
    let (mut paths, mut names) = (Vec::new(), Vec::new());
    for folder in folders {
        let mut found = files_but(folder, written)?;
        names.extend(found.iter().map(|path| path.strip_prefix(folder).unwrap_or(path).to_path_buf()));
        paths.append(&mut found);
    }
    let mut corpus = Corpus { learned: Vec::new(), held: Vec::new(), updates: Vec::new() };
    for (path, is_held_back) in paths.iter().zip(held_back(&names)) {
        let bytes = fs::read(path).map_err(BaseError::io("read", path))?;
        if is_held_back && corpus.held.len() < MIX_FILES {
            corpus.held.extend(bytes.chunks(MIX_BYTES).next().map(<[u8]>::to_vec));
        } else {
            corpus.learned.extend(bytes.chunks(PIECE).map(<[u8]>::to_vec));
        }
    }
    if corpus.held.is_empty() || corpus.learned.is_empty() {
        return Err(too_little(folders, format!("too few files ({}) that are not empty", paths.len())));
    }
    Ok(corpus)
}

/// The error for folders that hold too little to learn from.
pub(super) fn too_little(folders: &[PathBuf], what: String) -> BaseError {
    let hint = "add files: some are learned from, and some are held back to see what was learned";
    BaseError::Input { path: folders.first().cloned().unwrap_or_default(), what, hint }
}
