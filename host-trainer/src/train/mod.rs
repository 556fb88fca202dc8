//! Training of what ships with the codec.

mod mix;
pub mod neural;
pub mod prior;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::bench::corpus::{self, Classes};
use crate::files::write_atomic;
use crate::fit::encode::with_big_stack;

/// What `gmcf train mix` was asked for.
#[derive(Clone, Debug)]
pub struct MixArgs {
    /// Folder with `PAIRS.tsv` and the files that it names.
    pub corpus: PathBuf,
    /// File to write the trained state to.
    pub output: PathBuf,
    /// Times that every update is coded.
    pub epochs: usize,
}

/// How far training has come.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// `align` or `train`.
    pub stage: &'static str,
    /// Steps done.
    pub done: usize,
    /// Steps in all.
    pub all: usize,
    /// Bytes that this epoch's updates took so far.
    pub bytes: usize,
}

/// An update to learn from, or a file without an old one.
pub(crate) struct Example {
    pub(crate) old: Option<Vec<u8>>,
    pub(crate) new: Vec<u8>,
}

/// Folder of a corpus whose files are learned from without an old version.
const WHOLE_FILES: &str = "train";
/// Bytes learned from the middle of each of them.
const WHOLE_BYTES: usize = 24 << 10;

/// The middles of the files that stand right in the folder, in the order of their names; none when there is no folder.
fn whole_files(folder: &Path) -> io::Result<Vec<Example>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| path.is_file());
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let file = fs::read(path)?;
            let start = file.len().saturating_sub(WHOLE_BYTES) / 2;
            Ok(Example { old: None, new: file[start..].iter().copied().take(WHOLE_BYTES).collect() })
        })
        .collect()
}

/// The updates of firmware and text (classes A, B and C) of a corpus: old and new file of each.
///
/// # Errors
/// When the corpus cannot be read or has no such updates.
fn updates(corpus: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let classes = Classes::Only(vec!["A".into(), "B".into(), "C".into()]);
    let pairs = corpus::load(corpus, &classes, None).map_err(|e| io::Error::other(e.to_string()))?;
    let mut updates = Vec::new();
    for pair in &pairs {
        if let Some(old) = &pair.old {
            updates.push((fs::read(old)?, fs::read(&pair.new)?));
        }
    }
    if updates.is_empty() {
        return Err(io::Error::other("the corpus has no updates of class A, B or C"));
    }
    Ok(updates)
}

/// Trains the prior on the updates of firmware and text (classes A, B and C) of a corpus, and on the files in its folder `train`.
///
/// # Errors
/// When the corpus cannot be read or has no updates, or the output cannot be written.
pub fn mix(args: &MixArgs, watch: &(dyn Fn(Step) + Sync)) -> io::Result<()> {
    let of_update = |(old, new)| Example { old: Some(old), new };
    let mut examples: Vec<Example> = updates(&args.corpus)?.into_iter().map(of_update).collect();
    examples.extend(whole_files(&args.corpus.join(WHOLE_FILES))?);
    let prior = with_big_stack(|| mix::train(&examples, args.epochs, &|step| watch(step)))?;
    write_atomic(&args.output, &prior)
}
