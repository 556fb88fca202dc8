//! What can be said to the commands that talk to a content server.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::codec::MAX_SIZE;
use crate::history::{Name, Version};
use crate::tree::Symlinks;

/// Bytes of a folder's files where nothing else is allowed: 4 GiB.
const MAX_TREE: u64 = 4 << 30;

/// How a server is reached.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConnectArgs {
    /// Certificates in PEM that are trusted in place of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Longest silence of the server, in seconds; it may have to work out a patch first
    #[arg(long, value_name = "S", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) timeout: u32,
    /// Times that a request is tried while nothing comes
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) tries: u32,
}

/// What is done with symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SymlinksArg {
    /// A folder that has one is refused
    Refuse,
    /// They travel, as long as they stay inside the folder
    Keep,
    /// They are left out
    Skip,
}

impl From<SymlinksArg> for Symlinks {
    fn from(from: SymlinksArg) -> Self {
        match from {
            SymlinksArg::Refuse => Self::Refuse,
            SymlinksArg::Keep => Self::Keep,
            SymlinksArg::Skip => Self::Skip,
        }
    }
}

/// Publish a folder, or its next version.
///
/// Only contents that the server does not have are sent. The token comes from the variable GMCF_TOKEN; `gmcf token new`
/// makes one. With --key the statement "this is the version that counts" is signed here, and the secret key never leaves
/// this machine; without it the server signs, if it has a key.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  gmcf snapshot www/ --server https://updates.example.com --name gateway --version 1.3.0
  Signed here:
    gmcf snapshot www/ --server https://updates.example.com --name gateway --version 1.3.0 --key fleet.key.pem

Paths, contents, permission bits, empty folders and (with --symlinks keep) symbolic links travel. Owners, times and the
modes of folders do not. What is in `.gmcf` at the folder's top stays at home.")]
pub(crate) struct SnapshotArgs {
    /// Folder to publish
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) publish: PublishingArgs,
    /// What is done with symbolic links
    #[arg(long, value_enum, default_value = "refuse")]
    pub(crate) symlinks: SymlinksArg,
}

/// Publish a file, or its next version.
///
/// The token comes from the variable GMCF_TOKEN; `gmcf token new` makes one. With --key the statement "this is the
/// version that counts" is signed here; without it the server signs, if it has a key.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  gmcf publish fw-1.1.bin --server https://updates.example.com --name sensor-fw --version 1.1
  Signed here:
    gmcf publish fw-1.1.bin --server https://updates.example.com --name sensor-fw --version 1.1 --key fleet.key.pem")]
pub(crate) struct PublishArgs {
    /// File to publish
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) publish: PublishingArgs,
}

/// Where and as what something is published.
#[derive(Debug, Args)]
pub(crate) struct PublishingArgs {
    /// Address of the server
    #[arg(long, value_name = "URL")]
    pub(crate) server: String,
    /// Name that it is followed by
    #[arg(long)]
    pub(crate) name: Name,
    /// Name of this version [default: the number of its statement]
    #[arg(long)]
    pub(crate) version: Option<Version>,
    /// Secret key that signs
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// Print the record as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Make a folder hold the version that counts.
///
/// Only what changed travels, coded against what the folder holds. The folder changes as a whole, in one step: whoever
/// looks sees the old version or the new one, also when this is killed or the power fails. Give the same command again
/// and it goes on where it stopped. The version before is kept for `gmcf rollback`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  gmcf sync --server https://updates.example.com --name gateway --to /srv/gateway --key fleet.pub.pem
  From then on, in a timer:
    gmcf sync --to /srv/gateway
  A certain version, also if it is older than the one in use:
    gmcf sync --to /srv/gateway --version 1.2.0 --allow-downgrade

Server, name and key are remembered. A statement that is older than one seen before is refused: it is replayed. When the
publisher goes back to an earlier version, that is a new statement, and is followed.

Files that were changed here are put right, and named; their changed form stays with the version before. Files that
no version holds would be lost: they are named, and nothing is done without --force.

Beside the folder stands a hidden one, `.NAME.gmcf`, on the same file system: what is being fetched and built, and the
version before. Together they take up to three times the folder's size. With --pointers, the folder holds no files, but
what `gmcf cat` needs to read them.")]
pub(crate) struct SyncArgs {
    /// Folder that follows the server
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Address of the server [default: the one that the folder follows]
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Name to follow [default: the one that the folder follows]
    #[arg(long)]
    pub(crate) name: Option<Name>,
    /// Version to hold [default: the one that counts]
    #[arg(long)]
    pub(crate) version: Option<Version>,
    /// Public key that must have signed [default: the one that was trusted last]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Take a version that is older than the one in use
    #[arg(long, requires = "version")]
    pub(crate) allow_downgrade: bool,
    /// Let files go that no version holds, or follow another name than so far; what goes stays with the version before
    #[arg(long)]
    pub(crate) force: bool,
    /// Hold pointers in place of files; `gmcf cat` follows them
    #[arg(long)]
    pub(crate) pointers: bool,
    /// What is done with symbolic links [default: as last time; refuse]
    #[arg(long, value_enum)]
    pub(crate) symlinks: Option<SymlinksArg>,
    /// Bytes of all files, at most
    #[arg(long, value_name = "BYTES", default_value_t = MAX_TREE)]
    pub(crate) max_size: u64,
    /// Go back to the version before; asks no server
    #[arg(long, conflicts_with_all = ["server", "name", "version", "key", "force", "pointers", "symlinks"])]
    pub(crate) rollback: bool,
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// Print the transfer record as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Go back to the version before: in a folder here, or for all who follow a name.
///
/// In a folder, the version before and the one in use change places; no server is asked, and doing it again undoes it.
/// The next `gmcf sync` goes forward to the version that counts. On a server, an earlier version counts from now on, by a
/// new statement that all follow.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  gmcf rollback --to /srv/gateway
  For the fleet:
    gmcf rollback --server https://updates.example.com --name gateway --version 1.2.0 --key fleet.key.pem")]
pub(crate) struct RollbackArgs {
    /// Folder that goes back
    #[arg(long, value_name = "DIR", required_unless_present = "server", conflicts_with_all = ["server", "name", "version", "key"])]
    pub(crate) to: Option<PathBuf>,
    /// Address of the server
    #[arg(long, value_name = "URL", requires = "name", requires = "version")]
    pub(crate) server: Option<String>,
    /// Name whose earlier version shall count
    #[arg(long)]
    pub(crate) name: Option<Name>,
    /// That version
    #[arg(long)]
    pub(crate) version: Option<Version>,
    /// Secret key that signs
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// Print what was done as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show what a server has, or what a folder holds.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  gmcf status --server https://updates.example.com
  All versions of a name:
    gmcf status --server https://updates.example.com --name gateway
  A folder: which version, what was changed here, what can be gone back to:
    gmcf status --dir /srv/gateway")]
pub(crate) struct StatusArgs {
    /// Folder that follows a server
    #[arg(long, value_name = "DIR", required_unless_present = "server", conflicts_with_all = ["server", "name"])]
    pub(crate) dir: Option<PathBuf>,
    /// Address of the server
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Show all versions of this name
    #[arg(long, requires = "server")]
    pub(crate) name: Option<Name>,
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write a file of a version to standard output, or a part of it.
///
/// From a folder that follows a server, with or without --pointers, or straight from a server. From a pack only the blocks
/// that the part lies in are read or fetched. From a server with --key, all of the file is fetched, and compared with what
/// was signed.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  gmcf cat --dir /srv/gateway etc/gateway.toml
  The first 4 KiB of a file on a server:
    gmcf cat --server https://updates.example.com --name gateway --range 0..4096 var/map.bin")]
pub(crate) struct CatArgs {
    /// Path of the file in the version
    pub(crate) path: String,
    /// Folder that follows a server
    #[arg(long, value_name = "DIR", required_unless_present = "server", conflicts_with_all = ["server", "name", "version", "key"])]
    pub(crate) dir: Option<PathBuf>,
    /// Address of the server
    #[arg(long, value_name = "URL", requires = "name")]
    pub(crate) server: Option<String>,
    /// Name of the version's folder
    #[arg(long)]
    pub(crate) name: Option<Name>,
    /// Version [default: the one that counts]
    #[arg(long)]
    pub(crate) version: Option<Version>,
    /// Public key that must have signed
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// First byte and the one behind the last, as in 100..200; either may be left out
    #[arg(long, value_name = "A..B", value_parser = range)]
    pub(crate) range: Option<(u64, u64)>,
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
}

/// Fetch a version of a file.
///
/// With the old file at hand only what is missing travels, as `gmcf compress` makes it. What is written has the digest
/// that was published, and with --key signed.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  gmcf fetch --server https://updates.example.com --name sensor-fw -o fw.bin
  The next version, in place of the one that is here:
    gmcf fetch --server https://updates.example.com --name sensor-fw --old fw.bin -o fw.bin --key fleet.pub.pem")]
pub(crate) struct FetchArgs {
    /// Address of the server
    #[arg(long, value_name = "URL")]
    pub(crate) server: String,
    /// Name of the file
    #[arg(long)]
    pub(crate) name: Name,
    /// Version [default: the one that counts]
    #[arg(long)]
    pub(crate) version: Option<Version>,
    /// File that is here already
    #[arg(long, value_name = "OLD")]
    pub(crate) old: Option<PathBuf>,
    /// File to write (`-`: standard output)
    #[arg(short, long, value_name = "NEW")]
    pub(crate) output: PathBuf,
    /// Public key that must have signed
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Longest file that may be rebuilt
    #[arg(long, value_name = "BYTES", default_value_t = MAX_SIZE)]
    pub(crate) max_size: u32,
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// Print the transfer record as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Reads `A..B`.
fn range(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text.split_once("..").ok_or("a range is A..B, such as 0..4096")?;
    let number = |text: &str, default| if text.is_empty() { Ok(default) } else { text.parse::<u64>() };
    let wrong = |error: std::num::ParseIntError| error.to_string();
    let (from, to) = (number(from, 0).map_err(wrong)?, number(to, u64::MAX).map_err(wrong)?);
    if from > to { Err("it ends before it begins".into()) } else { Ok((from, to)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_half_open_and_may_be_open() {
        assert_eq!(range("3..7"), Ok((3, 7)));
        assert_eq!(range(".."), Ok((0, u64::MAX)));
        assert_eq!(range("5.."), Ok((5, u64::MAX)));
        for wrong in ["", "3", "7..3", "a..b", "-1..2"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
