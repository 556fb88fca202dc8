//! `gmcf key`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use update_core::keys::KEY_LEN;

use super::CliError;
use super::compress::{read, summary, write};
use super::device_args::{KeyArgs, KeyCommand, NewKeyArgs, RotateArgs};
use super::output::print;
use crate::files;
use crate::release::keys::{SecretKey, public_from_pem};

pub(super) fn run(args: &KeyArgs) -> Result<(), CliError> {
    match &args.what {
        KeyCommand::New(args) => new(args),
        KeyCommand::Rotate(args) => rotate(args),
    }
}

fn new(args: &NewKeyArgs) -> Result<(), CliError> {
    let with = |ending: &str| {
        let mut name = OsString::from(&args.name);
        name.push(ending);
        PathBuf::from(name)
    };
    let (secret, public) = (with(".key.pem"), with(".pub.pem"));
    for path in [&secret, &public] {
        if path.exists() {
            return Err(CliError::Input {
                path: path.clone(),
                what: "the file exists, and a key is never replaced".into(),
                hint: "choose another name".into(),
            });
        }
    }
    let key = SecretKey::generate();
    files::write_private(&secret, key.to_pem().as_bytes()).map_err(CliError::io("write", &secret))?;
    write(&public, key.public_pem().as_bytes())?;
    print(&format!(
        "{} signs; keep it secret and keep a copy\n{} goes to the devices: gmcf flash --key\n",
        secret.display(),
        public.display()
    ))
}

fn rotate(args: &RotateArgs) -> Result<(), CliError> {
    let rotation = secret(&args.sign)?.rotate(args.product, args.sequence, args.slot, public(&args.new)?);
    write(&args.output, &rotation.emit())?;
    summary(
        &args.output,
        &format!("statement {} for product {}: a new key for slot {}\n", args.sequence, args.product, args.slot),
    )
}

/// Reads a secret key.
pub(super) fn secret(path: &Path) -> Result<SecretKey, CliError> {
    SecretKey::from_pem(&text(path)?).map_err(|what| no_key(path, what))
}

/// Reads a public key.
pub(super) fn public(path: &Path) -> Result<[u8; KEY_LEN], CliError> {
    public_from_pem(&text(path)?).map_err(|what| no_key(path, what))
}

fn text(path: &Path) -> Result<String, CliError> {
    String::from_utf8(read(path)?).map_err(|_| no_key(path, "no text, so no PEM".into()))
}

fn no_key(path: &Path, what: String) -> CliError {
    let hint = "make a pair with `gmcf key new NAME`, or with openssl genpkey -algorithm ed25519".into();
    CliError::Input { path: path.to_path_buf(), what, hint }
}
