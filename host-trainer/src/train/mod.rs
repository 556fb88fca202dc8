//! Training of the mixing network's initial state.

pub mod prior;

use std::io;
use std::path::PathBuf;

/// What `gmcf train mix` was asked for.
#[derive(Clone, Debug)]
pub struct MixArgs {
    /// Folder with the training corpus.
    pub corpus: PathBuf,
    /// File to write the trained state to.
    pub output: PathBuf,
}

/// Trains the initial weights and counter states of the mixing network.
///
/// # Errors
/// When the corpus cannot be read or the output cannot be written.
pub fn mix(_args: &MixArgs) -> io::Result<()> {
    unimplemented!()
}
