//! Training of what ships with the codec.

mod mix;
pub mod prior;

use std::fs;
use std::io;
use std::path::PathBuf;

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

/// An update to learn from.
pub(crate) struct Example {
    pub(crate) old: Vec<u8>,
    pub(crate) new: Vec<u8>,
}

/// Trains the prior on the firmware updates (classes A and B) of a corpus.
///
/// # Errors
/// When the corpus cannot be read or has no updates, or the output cannot be written.
pub fn mix(args: &MixArgs, watch: &(dyn Fn(Step) + Sync)) -> io::Result<()> {
    let classes = Classes::Only(vec!["A".into(), "B".into()]);
    let pairs = corpus::load(&args.corpus, &classes, None).map_err(|e| io::Error::other(e.to_string()))?;
    let mut examples = Vec::new();
    for pair in &pairs {
        if let Some(old) = &pair.old {
            examples.push(Example { old: fs::read(old)?, new: fs::read(&pair.new)? });
        }
    }
    if examples.is_empty() {
        return Err(io::Error::other("the corpus has no updates of class A or B"));
    }
    let prior = with_big_stack(|| mix::train(&examples, args.epochs, &|step| watch(step)))?;
    write_atomic(&args.output, &prior)
}
