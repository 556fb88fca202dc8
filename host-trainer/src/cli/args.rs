//! What can be said on the command line.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::base::BaseArg;
#[cfg(feature = "fleet")]
use super::client_args::{CatArgs, FetchArgs, PublishArgs, RollbackArgs, SnapshotArgs, StatusArgs, SyncArgs};
use super::device_args::{FlashArgs, KeyArgs, ReleaseArgs};
use super::experiment_args::ExperimentArgs;
use super::fit_args::{FitArgs, WeightsArg};
#[cfg(cuda)]
use super::gpu_args::GpuCheckArgs;
#[cfg(feature = "fleet")]
use super::precompute_args::PrecomputeArgs;
#[cfg(feature = "fleet")]
use super::serve_args::{ServeArgs, TokenArgs};
use crate::bench::corpus::Classes;
use crate::codec::{Format, MAX_SIZE, Profile};
use crate::push::port::Address;
use crate::report::transfer::Names;
use crate::train::neural::SIZES;

const EXAMPLES: &str = "\
Examples:
  Show it on the bundled update, with other tools beside it:
    gmcf
  Make what has to go over the air, and do with it what the device does:
    gmcf compress fw-1.1.bin --old fw-1.0.bin -o up.gmcf
    gmcf apply up.gmcf --old fw-1.0.bin -o rebuilt.bin
  See what every byte is spent on:
    gmcf inspect up.gmcf --old fw-1.0.bin
  Apply two updates one after the other, or make one of them:
    gmcf apply a.gmcf b.gmcf --old fw-1.0.bin -o fw-1.2.bin
    gmcf squash a.gmcf b.gmcf --old fw-1.0.bin -o ab.gmcf
  Sign an update for a fleet, and lay down the flash of a new device:
    gmcf key new fleet
    gmcf release fw-1.1.bin --old fw-1.0.bin --for device.json --version 2 --key fleet.key.pem -o up.gmcu
    gmcf flash flash.bin --for device.json --image fw-1.0.bin --key fleet.pub.pem
  Send an update to a device and install it:
    gmcf push up.gmcu --device serial:/dev/ttyUSB0
  Serve versions and the deltas between them, and publish one:
    gmcf serve --store fleet --listen 0.0.0.0:8080 --key fleet.key.pem
    gmcf token new --store fleet --label ci
    curl -T fw-1.1.bin -H \"Authorization: Bearer $GMCF_TOKEN\" http://localhost:8080/names/fw/versions/1.1
  Publish a folder, and let another one follow it:
    gmcf snapshot www/ --server https://updates.example.com --name gateway --version 1.3.0 --key fleet.key.pem
    gmcf sync --server https://updates.example.com --name gateway --to /srv/gateway --key fleet.pub.pem
  Make a family of similar files shorter, for devices that hold a base model:
    gmcf fit configs/ -o family.gmcf
    gmcf compress configs/a.json --adapter family.gmcf -o a.gmcf
  Measure size, time and memory beside other delta tools:
    gmcf bench tests/data --peers
  See what it takes to hold a random file in an adapter:
    gmcf experiment eternity

Exit codes:
  0  done
  1  a bug in this program
  2  the command line is wrong
  3  a file cannot be read or written, or is not what it should be; the GPU that was asked for is not there
  4  a container or version is refused: damaged, unknown, over budget, no chain, not signed, older than what was seen
  5  the old file is missing or another one, or the rebuilt file has another digest
  6  the device refuses the update, or runs the old one after it
  7  the device or server cannot be reached, or does not answer
  8  the server refuses

An output file is written whole or not at all.";

const TRAINING: &str = "\
Examples:
  A model of your own files, and a file with it:
    gmcf train base configs scripts pages --size nano -o base.gmcf
    gmcf compress config.json --profile small --base base.gmcf -o config.gmcf
  A long run that can be looked at, and taken up again:
    gmcf train base firmware/ www/ --size micro --epochs 4 --threads 4 \\
      --checkpoint run.ckpt --curve run.svg -o base.gmcf

After an interruption, give the same command again: it goes on from the checkpoint, and the model is bit for bit that of
a run without one. A checkpoint of other files or settings is refused. When the model is made, delete the checkpoint.

Sizes:
  size   flash of the model  decoder               one core, for each MB and epoch
  nano         99,324 bytes  small, 64 KiB of RAM  3 s
  micro       394,620 bytes  medium, 256 KiB       8 s
  small       524,415 bytes  host, 16 MiB          36 s
nano-gru and nano-gru-wide remember by a recurrent state in place of hashed contexts; they are there to be compared with.
With -evoformer, nano and micro have an Evoformer, which aligns what stood before with where the same stood earlier, in
about as much flash. host has a larger one beside all that small has; 48x256 has the original's 48 blocks of 256
channels, takes minutes for a kilobyte, and is there to be looked at.
Seconds are of a server's core, measured on scripts, pages and settings; the last stage, on the files held back, comes
on top. The bar shows the time that is left.

Files that are packed or encrypted teach nothing: leave them out.";

/// Sends what changed in a file, and nothing else.
///
/// A device keeps the file it runs today. `compress` finds what is missing to rebuild the next one
/// bit for bit and writes it as a GMCF file; `apply` rebuilds the file as the device does, in memory
/// that the chosen profile fixes. Without a subcommand gmcf shows this on a bundled firmware update.
#[derive(Debug, Parser)]
#[command(name = "gmcf", version, after_help = "`gmcf --help` shows examples and exit codes.", after_long_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a GMCF file of NEW, against the OLD file that the device has
    Compress(CompressArgs),
    /// Rebuild a file from a GMCF file, or from a chain of them
    Apply(ApplyArgs),
    /// Make one delta of two that follow each other
    Squash(SquashArgs),
    /// Show what every byte of a GMCF file is spent on
    Inspect(InspectArgs),
    /// Make a signed update for devices
    Release(ReleaseArgs),
    /// Make keys, and statements that replace a device's key
    Key(KeyArgs),
    /// Lay down the flash of a new device, or show what one remembers
    Flash(FlashArgs),
    /// Send an update to a device, install it, and see what the device runs then
    Push(PushArgs),
    /// Make deltas ahead, before devices ask a server for them
    #[cfg(feature = "fleet")]
    Precompute(PrecomputeArgs),
    /// Serve versions of files and folders, and the deltas between them, over HTTP
    #[cfg(feature = "fleet")]
    Serve(ServeArgs),
    /// Make or revoke tokens for those who publish to a server or read from it
    #[cfg(feature = "fleet")]
    Token(TokenArgs),
    /// Publish a folder as the next version
    #[cfg(feature = "fleet")]
    Snapshot(SnapshotArgs),
    /// Publish a file as the next version
    #[cfg(feature = "fleet")]
    Publish(PublishArgs),
    /// Make a folder hold the version that counts
    #[cfg(feature = "fleet")]
    Sync(SyncArgs),
    /// Fetch a version of a file
    #[cfg(feature = "fleet")]
    Fetch(FetchArgs),
    /// Go back to the version before
    #[cfg(feature = "fleet")]
    Rollback(RollbackArgs),
    /// Show what a server has, or what a folder holds
    #[cfg(feature = "fleet")]
    Status(StatusArgs),
    /// Write a file of a version to standard output, or a part of it
    #[cfg(feature = "fleet")]
    Cat(CatArgs),
    /// Measure size, time and memory on a corpus, beside other delta tools
    Bench(BenchArgs),
    /// Fit what makes a family of similar files shorter, or one file
    Fit(FitArgs),
    /// Check and time every kernel on the GPU that is here
    #[cfg(cuda)]
    GpuCheck(GpuCheckArgs),
    /// Train what ships with the program
    Train(TrainArgs),
    /// Measure what is claimed of adapters that hold files
    Experiment(ExperimentArgs),
    /// Compress and apply the bundled update (the default)
    Demo(DemoArgs),
}

/// How much RAM the device has for the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileArg {
    /// 16 KiB of RAM in all: Cortex-M0
    Tiny,
    /// 64 KiB: Cortex-M3, M4
    Small,
    /// 256 KiB: Cortex-M7
    Medium,
    /// 16 MiB: Linux
    Host,
}

impl From<ProfileArg> for Profile {
    fn from(from: ProfileArg) -> Self {
        match from {
            ProfileArg::Tiny => Self::Tiny,
            ProfileArg::Small => Self::Small,
            ProfileArg::Medium => Self::Medium,
            ProfileArg::Host => Self::Host,
        }
    }
}

/// Encoding of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// The fixed layout, with zstd layers
    #[value(name = "1")]
    V1,
    /// The air format: as few bytes as possible
    #[value(name = "2")]
    V2,
}

impl From<FormatArg> for Format {
    fn from(from: FormatArg) -> Self {
        match from {
            FormatArg::V1 => Self::V1,
            FormatArg::V2 => Self::V2,
        }
    }
}

/// Options of everything that encodes.
#[derive(Clone, Debug, Args)]
pub(crate) struct CodingArgs {
    /// Largest decoder that the device can hold
    #[arg(long, value_enum, default_value = "small")]
    pub(crate) profile: ProfileArg,
    /// Encoding of the container
    #[arg(long, value_enum, default_value = "2")]
    pub(crate) format: FormatArg,
    /// Base model that the device holds: none, nano, micro, small or a file; `auto` takes the largest that ships for the
    /// profile (tiny: none, small: nano, medium: micro, host: small). It is used where it makes the result smaller
    #[arg(long, value_name = "BASE", default_value = "auto", value_parser = BaseArg::parse)]
    pub(crate) base: BaseArg,
    /// Adapter that the device holds beside the base model that it was fitted to by `gmcf fit`
    #[arg(long, value_name = "FILE")]
    pub(crate) adapter: Option<PathBuf>,
}

/// What the record of `--json` calls things.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RecordArgs {
    /// Print the transfer record as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Name of the content in the record [default: the folder's name]
    #[arg(long, value_name = "NAME", requires = "json")]
    name: Option<String>,
    /// Version before, in the record [default: OLD's name without its ending]
    #[arg(long, value_name = "VERSION", requires = "json")]
    from_version: Option<String>,
    /// Version after, in the record [default: NEW's name without its ending]
    #[arg(long, value_name = "VERSION", requires = "json")]
    to_version: Option<String>,
}

impl RecordArgs {
    pub(crate) fn names(&self) -> Names {
        Names { content: self.name.clone(), from: self.from_version.clone(), to: self.to_version.clone() }
    }
}

/// Make a GMCF file of NEW, against the OLD file that the device has.
///
/// The result is decoded and compared with NEW before it is written. Random, encrypted or compressed
/// input cannot shrink: the file is then stored, and gmcf says so. Encrypt after compressing.
/// Where OLD does not help, the result does not use it, and gmcf says so: such a file can only start a chain.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  gmcf compress fw-1.1.bin --old fw-1.0.bin -o up.gmcf
  For a device with 16 KiB of RAM:
    gmcf compress fw-1.1.bin --old fw-1.0.bin --profile tiny -o up.gmcf
  For a device without an old version:
    gmcf compress page.html -o page.gmcf
  For a device that holds no base model:
    gmcf compress fw-1.1.bin --old fw-1.0.bin --base none -o up.gmcf
  Weights after a fine-tune:
    gmcf compress tuned.bin --old base.bin --weights f16 -o up.gmcf
  With the transfer record:
    gmcf compress fw-1.1.bin --old fw-1.0.bin -o up.gmcf --json")]
pub(crate) struct CompressArgs {
    /// File that the device shall have (`-`: standard input)
    pub(crate) new: PathBuf,
    /// File that the device has now
    #[arg(long, value_name = "OLD")]
    pub(crate) old: Option<PathBuf>,
    /// NEW and OLD are weights of this kind and have the same length: a file of weights is made where that is shorter. `gmcf`
    /// reads it, and a device with the decoder for weights; the boot loader does not
    #[arg(long, value_name = "KIND", value_enum, requires = "old")]
    pub(crate) weights: Option<WeightsArg>,
    #[command(flatten)]
    pub(crate) coding: CodingArgs,
    /// GMCF file to write (`-`: standard output)
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) record: RecordArgs,
}

/// Rebuild a file from a GMCF file, or from a chain of them.
///
/// All identities and budgets are checked before anything is rebuilt, and the digest of the rebuilt
/// file before anything is written.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  gmcf apply up.gmcf --old fw-1.0.bin -o fw-1.1.bin
  A chain, oldest first:
    gmcf apply a.gmcf b.gmcf --old fw-1.0.bin -o fw-1.2.bin
  From a sender who is not trusted with more than 16 MiB:
    gmcf apply up.gmcf --old fw-1.0.bin --max-size 16777216 -o fw-1.1.bin")]
pub(crate) struct ApplyArgs {
    /// GMCF files; several are a chain, oldest first. A file may hold a chain itself
    #[arg(required = true)]
    pub(crate) containers: Vec<PathBuf>,
    /// File that the device has now; needed for deltas
    #[arg(long, value_name = "OLD")]
    pub(crate) old: Option<PathBuf>,
    /// File to write (`-`: standard output)
    #[arg(short, long, value_name = "NEW")]
    pub(crate) output: PathBuf,
    /// Longest file that may be rebuilt, each link of a chain included; refused before memory is taken for it
    #[arg(long, value_name = "BYTES", default_value_t = MAX_SIZE)]
    pub(crate) max_size: u32,
    /// Base model of your own; those that ship are always there
    #[arg(long, value_name = "FILE")]
    pub(crate) base: Option<PathBuf>,
    /// Adapter of `gmcf fit` that it was made with
    #[arg(long, value_name = "FILE")]
    pub(crate) adapter: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) record: RecordArgs,
}

/// Make one delta of two that follow each other.
///
/// With --old the result is coded afresh from OLD to the end of B, and is usually much smaller than the two.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  gmcf squash 1.0-1.1.gmcf 1.1-1.2.gmcf --old fw-1.0.bin -o 1.0-1.2.gmcf")]
pub(crate) struct SquashArgs {
    /// First delta
    pub(crate) first: PathBuf,
    /// Delta that starts where the first ends
    pub(crate) second: PathBuf,
    /// File that the first delta starts from
    #[arg(long, value_name = "OLD")]
    pub(crate) old: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) coding: CodingArgs,
    /// GMCF file to write (`-`: standard output)
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
}

/// Show what every byte of a GMCF file is spent on.
///
/// Sizes of header and layers are always known. What single kinds of symbols cost shows only when the
/// file is decoded, which needs the old file.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  gmcf inspect up.gmcf --old fw-1.0.bin
  With what it costs on the air:
    gmcf inspect up.gmcf --link")]
pub(crate) struct InspectArgs {
    /// GMCF file, or an update file: a manifest with a GMCF file behind it
    pub(crate) container: PathBuf,
    /// File that the delta was made against
    #[arg(long, value_name = "OLD")]
    pub(crate) old: Option<PathBuf>,
    /// Base model of your own; those that ship are always there
    #[arg(long, value_name = "FILE")]
    pub(crate) base: Option<PathBuf>,
    /// Adapter of `gmcf fit` that it was made with
    #[arg(long, value_name = "FILE")]
    pub(crate) adapter: Option<PathBuf>,
    /// Show what it costs on the air too: bytes and time on slow links, with and without loss
    #[arg(long)]
    pub(crate) link: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Send an update to a device, install it, and see what the device runs then.
///
/// The device says what it runs, how long frames may be and how many it takes at a time. It checks the update's
/// signature before it stores anything, and goes on where an earlier run, or a lost connection, has stopped.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  gmcf push up.gmcu --device tcp://192.168.1.20:4000 --confirm
  Through a radio modem that takes 51 bytes at a time:
    gmcf push up.gmcu --device serial:/dev/ttyUSB0@9600 --frame 51 --timeout 120")]
pub(crate) struct PushArgs {
    /// Signed update of `gmcf release`, or key statement of `gmcf key rotate`
    pub(crate) update: PathBuf,
    /// Where the device is: tcp://HOST:PORT or serial:PATH[@BAUD]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) device: Address,
    /// Longest frame, delimiter included; the device may want shorter ones
    #[arg(long, value_name = "BYTES", default_value_t = 250, value_parser = clap::value_parser!(u16).range(32..=1024))]
    pub(crate) frame: u16,
    /// Most frames on their way without an answer; the device may want fewer
    #[arg(long, value_name = "N", default_value_t = 33, value_parser = clap::value_parser!(u8).range(1..=33))]
    pub(crate) window: u8,
    /// Do not restart the device: the update runs after its next restart
    #[arg(long, conflicts_with = "confirm")]
    pub(crate) no_reboot: bool,
    /// Confirm the new image once it runs, so that it stays
    #[arg(long)]
    pub(crate) confirm: bool,
    /// Seconds without an answer, and at least 12 tries, after which the device counts as gone
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) timeout: u32,
    /// The same while the device installs and restarts
    #[arg(long, value_name = "S", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) busy: u32,
}

/// Measure size, time and memory on a corpus, beside other delta tools.
///
/// CORPUS holds PAIRS.tsv (class, split, family, old, new, old_bytes, new_bytes) and the files it names,
/// and may hold peers.tsv with patch sizes of other tools. Every file is rebuilt and compared. An update is
/// `tiny` when the smallest patch of any peer has less than 100 bytes, `near` when it has less than 8 % of
/// the new file, else `far`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  The bundled pairs, with the peers run here and now:
    gmcf bench tests/data --peers
  All profiles, four pairs at a time:
    gmcf bench corpus --profiles tiny,small,medium,host --jobs 4
  Whole images beside xz with its branch filters:
    gmcf bench corpus --whole --peers --profiles medium")]
pub(crate) struct BenchArgs {
    /// Folder with PAIRS.tsv
    pub(crate) corpus: PathBuf,
    /// Run every installed peer too, and time its patching beside ours
    #[arg(long)]
    pub(crate) peers: bool,
    /// Leave the old files out: whole files, beside xz with each of its branch filters and brotli
    #[arg(long)]
    pub(crate) whole: bool,
    /// For devices without a base model
    #[arg(long)]
    pub(crate) no_base: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Profiles to measure
    #[arg(long, alias = "profile", value_enum, value_delimiter = ',', default_value = "small")]
    pub(crate) profiles: Vec<ProfileArg>,
    /// Classes of pairs: A and B are firmware, C text, D weights, E incompressible; `all`
    #[arg(long, default_value = "A,B", value_parser = Classes::parse)]
    pub(crate) classes: Classes,
    /// Only families whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub(crate) family: Option<String>,
    /// Pairs measured at the same time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: u16,
    /// Runs of each patcher; the median counts
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=999))]
    pub(crate) runs: u16,
}

/// Train what ships with the program.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    #[command(subcommand)]
    pub(crate) what: TrainCommand,
}

/// What can be trained.
#[derive(Debug, Subcommand)]
pub(crate) enum TrainCommand {
    /// The initial weights and counter states of the mixing network
    Mix(MixArgs),
    /// A base model: what makes small files small on devices that hold it
    Base(BaseModelArgs),
}

/// Arguments of `gmcf train base`.
///
/// Learns a base model from every file in the folders: the files that a fleet gets, or files like them. Devices that hold
/// the model take files of that kind in few bytes, without an old version. Some folders are held back, or some files
/// where there is one folder: what the model makes of them is said at the end, and is what to expect of new files. The
/// same files, settings and number of threads give the same model, also after an interruption.
#[derive(Debug, Args)]
#[command(after_long_help = TRAINING)]
pub(crate) struct BaseModelArgs {
    /// Folders to learn from, with all that is in them
    #[arg(required = true, value_name = "FOLDER")]
    pub(crate) folders: Vec<PathBuf>,
    /// Corpus whose updates are learned from as well, what they insert and where it is like the old file: a folder with a
    /// `PAIRS.tsv` that names them (columns class, family, old, new), such as `gmcf bench` takes
    #[arg(long, value_name = "CORPUS")]
    pub(crate) updates: Option<PathBuf>,
    /// File to write the base model to
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Size of the model; `gmcf train base --help` shows what each needs
    #[arg(long, default_value = "nano", value_parser = PossibleValuesParser::new(SIZES.map(|(name, ..)| name)))]
    pub(crate) size: String,
    /// Times that every file is read
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) epochs: u16,
    /// Seed of the first weights and of the order of the files
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Threads; fewer are used where there are few files
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) threads: u16,
    /// Draw the learning curve to this file: bits per byte over the bytes seen, of the files learned from and of those
    /// held back
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) curve: Option<PathBuf>,
    /// Keep the run in this file, and go on from it where it is there
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Minutes between two checkpoints; the end of an epoch makes one too
    #[arg(long, value_name = "N", default_value_t = 10, requires = "checkpoint",
          value_parser = clap::value_parser!(u16).range(1..=1440))]
    pub(crate) checkpoint_minutes: u16,
}

/// Arguments of `gmcf train mix`.
#[derive(Debug, Args)]
pub(crate) struct MixArgs {
    /// Folder with the training corpus: `PAIRS.tsv` names its updates, the files in its folder `train` have no old version
    pub(crate) corpus: PathBuf,
    /// File to write the trained state to
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Times that every update of the corpus is coded
    #[arg(long, default_value_t = 4)]
    pub(crate) epochs: usize,
}

/// Compress and apply the bundled update (the default).
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Largest decoder that the device can hold
    #[arg(long, value_enum, default_value = "small")]
    pub(crate) profile: ProfileArg,
}

impl Default for DemoArgs {
    fn default() -> Self {
        Self { profile: ProfileArg::Small }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let cli = Cli::try_parse_from(["gmcf", "compress", "new", "--old", "old", "-o", "out"]).unwrap();
        let Some(Command::Compress(args)) = cli.command else { panic!("not compress") };
        assert_eq!((args.coding.profile, args.coding.format), (ProfileArg::Small, FormatArg::V2));
        assert!(!args.record.json);
        let cli = Cli::try_parse_from(["gmcf", "apply", "up.gmcf", "-o", "out"]).unwrap();
        let Some(Command::Apply(args)) = cli.command else { panic!("not apply") };
        assert_eq!(args.max_size, 1 << 30);
    }

    #[test]
    fn profiles_are_a_list() {
        let cli = Cli::try_parse_from(["gmcf", "bench", "c", "--profiles", "tiny,host"]).unwrap();
        let Some(Command::Bench(args)) = cli.command else { panic!("not bench") };
        assert_eq!(args.profiles, [ProfileArg::Tiny, ProfileArg::Host]);
        assert_eq!(args.runs, 9);
    }

    #[test]
    fn a_push_needs_an_address_and_knows_its_limits() {
        let push = |more: &[&str]| {
            let args = ["gmcf", "push", "u", "--device"].iter().chain(more);
            Cli::try_parse_from(args)
        };
        let Some(Command::Push(args)) = push(&["tcp://h:1"]).unwrap().command else { panic!("not push") };
        assert_eq!((args.frame, args.window, args.timeout, args.busy), (250, 33, 30, 300));
        for wrong in [
            &["h:1"][..],
            &["tcp://h:1", "--frame", "31"],
            &["tcp://h:1", "--window", "34"],
            &["tcp://h:1", "--timeout", "0"],
            &["tcp://h:1", "--no-reboot", "--confirm"],
        ] {
            assert!(push(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn names_without_json_and_apply_without_files_are_refused() {
        assert!(Cli::try_parse_from(["gmcf", "compress", "n", "-o", "o", "--name", "x"]).is_err());
        assert!(Cli::try_parse_from(["gmcf", "apply", "-o", "o"]).is_err());
    }
}
