//! What can be said to `gmcf experiment`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::backend::BackendArg;

/// Measure what is claimed.
#[derive(Debug, Args)]
pub(crate) struct ExperimentArgs {
    #[command(subcommand)]
    pub(crate) what: ExperimentCommand,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum ExperimentCommand {
    /// Can an adapter hold a file for less than the file? Random bytes and files, every claim answered
    Eternity(EternityArgs),
}

/// Arguments of `gmcf experiment eternity`.
///
/// Fits adapters to random bytes, and to files, and says of each whether it gives every byte back, in how many steps and
/// seconds, and what it takes; then what there is to each claim.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  gmcf experiment eternity
  With encrypted files, and a picture:
    gmcf experiment eternity fw.bin.aes --svg eternity.svg
  For programs:
    gmcf experiment eternity --bytes 128 --json

Low rank: byte i of a file is the c of the largest ((W + up down) x_i)[c]. W [256, 64] is random and stays as it is, x_i [64]
are random features of position i; both follow from the seed and are not sent. down [r, 64] and up [256, r] are fitted by
Adam (rate 0.01) on the cross entropy and are the adapter, as f32. A fit ends when all bytes are right, when the cost has
not fallen by a ten-thousandth in 50 steps, or after --iterations; the best step counts. They start in three ways: up zero
and down random, both zero (each is a factor of the other's gradient, so nothing can move), both random.

Position memory: byte i is the c of the largest out[c] . row_i. The rows [bytes, d] are the adapter, fitted by gradient
descent (rate 1) on the cross entropy, from zero, where the first step is the closed form out[y] - mean(out), until all
bytes are right; then rounded to 8, 4, 2 and 1 bits, one step for all, and read again, under the natural code in integers
as the device does. `out` [256, d] is the natural code (1 or -1 for each bit of c, repeated) or random numbers from -1 to 1
from the seed, and is not counted. One more memory of 64 floats a byte is fitted by Adam (rate 0.05) from random rows.

Residual: the memory of 8 x 1 bit, each bit range coded as predicted: the GMCF file of `gmcf compress --base none`, header
and digest too.

Seconds are of one file at a time on this machine.")]
pub(crate) struct EternityArgs {
    /// Files beside the random ones; the first 512 bytes of each
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Lengths of the random files
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "128,512,4096",
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) bytes: Vec<u32>,
    /// Most steps of one fit
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) iterations: u32,
    /// Where it is computed
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) backend: BackendArg,
    /// Threads on the CPU
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) threads: u16,
    /// Seed of the random files and matrices
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Draw what was measured of the random files
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) svg: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
