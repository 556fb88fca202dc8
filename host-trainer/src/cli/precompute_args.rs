//! Arguments of `gmcf precompute`.

use clap::Args;

use super::args::ProfileArg;
use crate::deltas::Shard;
use crate::history::Name;

/// Make deltas ahead, before devices ask for them.
///
/// For every name in the store, deltas to the version that counts are made: from the versions that devices were seen with,
/// from the last versions, and from nothing. What is there is left as it is, so the same command can be stopped and run
/// again at any time. Several processes share the work, on as many machines as one likes: each does one part of it, and they
/// meet in the store only.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  Everything, on this machine:
    gmcf precompute --store releases
  The third of eight parts, on one machine of eight:
    gmcf precompute --store s3://releases/fleet --part 2/8
  As a Kubernetes indexed Job or a Slurm array: see deploy/precompute")]
pub(crate) struct PrecomputeArgs {
    /// The store: a folder, or s3://BUCKET[/PREFIX]
    #[arg(long, value_name = "STORE")]
    pub(crate) store: String,
    /// Part I of N of the work, I from 0 to N - 1
    #[arg(long, alias = "shard", value_name = "I/N", default_value_t = Shard::WHOLE)]
    pub(crate) part: Shard,
    /// Only this name; may be given several times [default: all names]
    #[arg(long = "name", value_name = "NAME")]
    pub(crate) names: Vec<Name>,
    /// Earlier versions from which deltas are made, whether a device was seen with them or not
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) last: usize,
    /// Profiles of the devices; those that devices asked for come on top
    #[arg(long, value_enum, value_delimiter = ',', default_value = "small")]
    pub(crate) profiles: Vec<ProfileArg>,
    /// The devices hold the base model that ships for their profile
    #[arg(long)]
    pub(crate) base: bool,
    /// Make packs of folders too, from which single files are read
    #[arg(long)]
    pub(crate) packs: bool,
    /// Fit an adapter of the base model to a pack's small files that are alike, where it pays for itself; takes minutes for each
    /// pack. A pack that is there stays as it is
    #[arg(long, requires = "packs")]
    pub(crate) adapters: bool,
    /// Longest content that is compressed; a delta of it takes some ten times that in memory
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20)]
    pub(crate) max_content: u64,
    /// Print what was done as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
