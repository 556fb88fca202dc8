//! What can be said to `gmcf fit`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use codec_core::delta::weights::Element;

use super::CliError;
use super::args::ProfileArg;
use super::backend::BackendArg;
use super::base::BaseArg;
use crate::report::format::thousands;

/// Numbers that a file of weights has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightsArg {
    /// IEEE 754 binary32
    F32,
    /// IEEE 754 binary16
    F16,
    /// bfloat16
    Bf16,
    /// Signed integers of 8 bits
    I8,
    /// Signed integers of 16 bits
    I16,
    /// Signed integers of 32 bits
    I32,
}

impl WeightsArg {
    /// Checks that two files can be weights, one from the other.
    pub(crate) fn check(new: &[u8], old: &[u8]) -> Result<(), CliError> {
        if old.len() == new.len() {
            return Ok(());
        }
        let (new, old) = (thousands(new.len() as u64), thousands(old.len() as u64));
        Err(CliError::Usage {
            what: format!("--weights takes files of one length, and these have {new} and {old} bytes"),
            hint: "leave --weights out".into(),
        })
    }
}

impl From<WeightsArg> for Element {
    fn from(from: WeightsArg) -> Self {
        match from {
            WeightsArg::F32 => Self::F32,
            WeightsArg::F16 => Self::F16,
            WeightsArg::Bf16 => Self::Bf16,
            WeightsArg::I8 => Self::I8,
            WeightsArg::I16 => Self::I16,
            WeightsArg::I32 => Self::I32,
        }
    }
}

/// Fit what makes a family of similar files shorter, or one file.
///
/// For a FOLDER, an adapter: a small correction of the base model that goes to the devices once, and every file of the
/// family is shorter from then on. Several kinds are tried: changes of the last stage's weights, a factor and a bias for
/// every row of the network, matrices of low rank. The one that makes the whole family shortest is written, if what it
/// saves is more than its own bytes; else nothing is written.
///
/// For a FILE, every way to send it that applies: position memories of 8 to 64 dimensions of 8 to 1 bits, fitted by
/// gradient descent, and the residual, which `gmcf compress` makes. The shortest one that rebuilds the file is written, for
/// `gmcf apply`. A position memory holds any file, and none is shorter than the residual but by chance: d dimensions of b
/// bits take d b bits a byte, and the residual is the memory of 8 x 1 bit, coded under what the device already has. Memories
/// that are hopelessly long are packed quickly, and the table says so: with care they would mostly be shorter.
///
/// The same files and settings give the same result, on every backend.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  gmcf fit configs/ -o family.gmcf
  gmcf compress new.json --adapter family.gmcf -o new.gmcf
  gmcf apply new.gmcf --adapter family.gmcf -o new.json
  To see what it does to files that it was not fitted to:
    gmcf fit configs/ --hold-out 20 -o family.gmcf
  One file, every way beside the others:
    gmcf fit page.html --base none -o page.gmcf
  Against the file that the device has:
    gmcf fit fw-1.1.bin --old fw-1.0.bin -o up.gmcf
  Weights after a fine-tune:
    gmcf fit tuned.bin --old base.bin --weights f16 -o up.gmcf

Position memories of files above 64 KiB are not fitted. Of a folder, the row `position memories` is what its files take as
memories of 8 x 1 bit, the shortest kind, without an adapter or a model; it is there to be compared with.
Position memories are fitted on the backend, adapters always on the CPU.")]
pub(crate) struct FitArgs {
    /// Folder with the files of the family, read with all that is in it; or one file (`-`: standard input)
    #[arg(value_name = "FOLDER|FILE")]
    pub(crate) what: PathBuf,
    /// File that the device has now, for a FILE
    #[arg(long, value_name = "OLD")]
    pub(crate) old: Option<PathBuf>,
    /// FILE and OLD are weights of this kind and have the same length: files of weights too. Each says the differences of
    /// all weights, alone or from what an adapter makes of OLD: the sign of each with a scale (bitdelta), or two of four in 4
    /// or 2 bits (sparse). Every bit comes back
    #[arg(long, value_name = "KIND", value_enum, requires = "old")]
    pub(crate) weights: Option<WeightsArg>,
    /// File to write: an adapter, or the FILE as a GMCF file
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Largest decoder that the device can hold
    #[arg(long, value_enum, default_value = "small")]
    pub(crate) profile: ProfileArg,
    /// Base model that the device holds: nano, micro, small or a file; `auto` takes the largest that ships for the
    /// profile. For a FILE also `none`
    #[arg(long, value_name = "BASE", default_value = "auto", value_parser = BaseArg::parse)]
    pub(crate) base: BaseArg,
    /// For a FILE: adapters of the base model for it alone, too. That takes seconds for a kilobyte. They are shown and not
    /// written, since they are two files
    #[arg(long, conflicts_with = "old")]
    pub(crate) adapters: bool,
    /// Where position memories are fitted
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) backend: BackendArg,
    /// Share of the files that is not fitted to and only shows what the adapter does to others, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=90))]
    pub(crate) hold_out: u8,
    /// Seed of the first weights and of the order of the files
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Threads that files are coded in, and position memories fitted on the CPU
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) threads: u16,
    /// Print the table as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
