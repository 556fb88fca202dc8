//! `gmcf fit`.

mod family;
mod file;

use super::CliError;
use super::compress::one_stdout;
use super::fit_args::FitArgs;
use crate::files::{check_writable, is_stream};

pub(super) fn run(args: &FitArgs) -> Result<(), CliError> {
    one_stdout(&args.output, args.json)?;
    let is_folder = !is_stream(&args.what) && args.what.is_dir();
    let misplaced = match (is_folder, args.hold_out) {
        (true, _) if args.old.is_some() => Some("--old"),
        (true, _) if args.adapters => Some("--adapters"),
        (false, 1..) => Some("--hold-out"),
        _ => None,
    };
    if let Some(flag) = misplaced {
        let (is, wants) = if is_folder { ("a folder", "a file") } else { ("a file", "a folder") };
        let hint = format!("leave {flag} out, or name {wants}");
        return Err(CliError::Usage { what: format!("{flag} does not go with {is}"), hint });
    }
    if !is_stream(&args.output) {
        check_writable(&args.output).map_err(CliError::io("write", &args.output))?;
    }
    if is_folder { family::run(args) } else { file::run(args) }
}
