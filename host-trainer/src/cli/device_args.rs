//! What can be said on the command line about devices: `release`, `key`, `flash`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

const DEVICE_FILE: &str = "\
The device file says what the devices are like, as JSON (sizes in bytes):
  {
    \"product\": 7, \"profile\": \"small\",
    \"write_size\": 4, \"erase_size\": 4096,
    \"state\": 8192, \"download\": 65536, \"slot\": 262144
  }
The regions follow each other from the start of the flash: state, download, slot A, slot B. With
\"scratch\": 131072 the device has one slot: state, download, scratch, slot. \"block\" is what is replaced
at once there; it is the erase size unless said otherwise.";

/// Make a signed update, which `gmcf push` sends and a device installs.
///
/// The update is a manifest (132 bytes: product, version, digests, signature) and what `gmcf compress` makes.
/// For devices with one slot it is planned in place: which block is replaced after which, so that what
/// others still need goes last.
#[derive(Debug, Args)]
#[command(after_long_help = format!("\
Examples:
  gmcf key new fleet
  gmcf release fw-1.1.bin --old fw-1.0.bin --for device.json --version 2 --key fleet.key.pem -o up.gmcu

{DEVICE_FILE}"))]
pub(crate) struct ReleaseArgs {
    /// Image that the devices shall run
    pub(crate) new: PathBuf,
    /// Image that they run now; without it the update is a whole image
    #[arg(long, value_name = "OLD")]
    pub(crate) old: Option<PathBuf>,
    /// Device file
    #[arg(long = "for", value_name = "DEVICE.json")]
    pub(crate) device: PathBuf,
    /// Version of the new image, a number; devices accept only greater ones than they have confirmed
    #[arg(long)]
    pub(crate) version: u32,
    /// Secret key that signs
    #[arg(long, value_name = "KEY.pem")]
    pub(crate) key: PathBuf,
    /// Slot in which the devices hold that key
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub(crate) key_slot: u8,
    /// Signed update to write (`-`: standard output)
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
}

/// Make keys, and statements that replace a device's key.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    pub(crate) what: KeyCommand,
}

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make an Ed25519 key pair: NAME.key.pem (secret) and NAME.pub.pem
    New(NewKeyArgs),
    /// Sign a statement that puts a new key into one of a device's two key slots
    Rotate(RotateArgs),
}

/// Arguments of `gmcf key new`.
#[derive(Debug, Args)]
pub(crate) struct NewKeyArgs {
    /// Path of the two files, without `.key.pem` and `.pub.pem`; existing files are never replaced
    pub(crate) name: PathBuf,
}

/// Sign a statement that puts a new key into one of a device's two key slots.
///
/// The key in the OTHER slot signs, so a lost or stolen key can be replaced, and cannot replace itself.
/// `gmcf push` sends the statement like an update.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example: the key in slot 0 was stolen, the one in slot 1 signs its successor:
  gmcf key new fleet-2
  gmcf key rotate --slot 0 --new fleet-2.pub.pem --sign spare.key.pem --product 7 --sequence 1 -o rotate.gmck
  gmcf push rotate.gmck --device tcp://gateway:4000")]
pub(crate) struct RotateArgs {
    /// Slot whose key is replaced
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub(crate) slot: u8,
    /// The new public key
    #[arg(long, value_name = "PUB.pem")]
    pub(crate) new: PathBuf,
    /// Secret key of the other slot
    #[arg(long, value_name = "KEY.pem")]
    pub(crate) sign: PathBuf,
    /// Product number of the devices
    #[arg(long)]
    pub(crate) product: u32,
    /// Number of the statement: greater than that of every one before
    #[arg(long)]
    pub(crate) sequence: u32,
    /// Statement to write (`-`: standard output)
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
}

/// Lay down the flash of a new device, or show what one remembers.
///
/// Writes the content of the whole flash: the first image in its slot, the keys that the device trusts,
/// and the first progress record. (The base model is part of the decoder's own code.) What a device
/// remembers is read from a copy of its flash with --show.
#[derive(Debug, Args)]
#[command(after_long_help = format!("\
Examples:
  gmcf flash flash.bin --for device.json --image fw-1.0.bin --version 1 --key fleet.pub.pem
  gmcf flash flash.bin --for device.json --show

{DEVICE_FILE}"))]
pub(crate) struct FlashArgs {
    /// Content of the flash: written, or read with --show
    pub(crate) flash: PathBuf,
    /// Device file
    #[arg(long = "for", value_name = "DEVICE.json")]
    pub(crate) device: PathBuf,
    /// First image
    #[arg(long, required_unless_present = "show")]
    pub(crate) image: Option<PathBuf>,
    /// Version of the first image
    #[arg(long, default_value_t = 1)]
    pub(crate) version: u32,
    /// Public keys that the device trusts, for slot 0 and slot 1
    #[arg(long, value_name = "PUB.pem", num_args = 1, required_unless_present = "show")]
    pub(crate) key: Vec<PathBuf>,
    /// Show the progress record of FLASH
    #[arg(long, conflicts_with_all = ["image", "key", "version"])]
    pub(crate) show: bool,
}
