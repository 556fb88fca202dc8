//! What can be said to `gmcf fit`.

use std::path::PathBuf;

use clap::Args;

use super::args::ProfileArg;
use super::base::BaseArg;

/// Fit an adapter to a family of similar files, so that they become shorter.
///
/// An adapter is a small correction of the base model: it goes to the devices once, and every file of the family is
/// shorter from then on. Several kinds are tried: changes of the last stage's weights, a factor and a bias for every row
/// of the network, matrices of low rank. The one that makes the whole family shortest is written, if what it saves is
/// more than its own bytes; else nothing is written. The same files and settings give the same adapter.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  gmcf fit configs/ -o family.gmcf
  gmcf compress new.json --adapter family.gmcf -o new.gmcf
  gmcf apply new.gmcf --adapter family.gmcf -o new.json
  To see what it does to files that it was not fitted to:
    gmcf fit configs/ --hold-out 20 -o family.gmcf")]
pub(crate) struct FitArgs {
    /// Folder with the files of the family, read with all that is in it
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    /// Adapter to write, a GMCF file
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Largest decoder that the device can hold
    #[arg(long, value_enum, default_value = "small")]
    pub(crate) profile: ProfileArg,
    /// Base model that the device holds: nano, micro, small or a file; `auto` takes the largest that ships for the profile
    #[arg(long, value_name = "BASE", default_value = "auto", value_parser = BaseArg::parse)]
    pub(crate) base: BaseArg,
    /// Share of the files that is not fitted to and only shows what the adapter does to others, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=90))]
    pub(crate) hold_out: u8,
    /// Seed of the first weights and of the order of the files
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Threads that files are coded in
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) threads: u16,
    /// Print the table as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
