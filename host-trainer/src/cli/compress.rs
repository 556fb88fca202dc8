//! `gmcf compress`.

use std::path::Path;
use std::time::Instant;

use super::args::{CodingArgs, CompressArgs};
use super::base::Loaded;
use super::fit_args::WeightsArg;
use super::output::{Bar, note, print, print_json, shown};
use super::{CliError, output};
use crate::base::Resident;
use crate::codec::{self, Breakdown, Compressed, Options};
use crate::files;
use crate::report::breakdown::profile_name;
use crate::report::format::{memory, seconds, thousands};
use crate::report::transfer::TransferRecord;

pub(super) fn run(args: &CompressArgs) -> Result<(), CliError> {
    one_stdout(&args.output, args.record.json)?;
    let new = read(&args.new)?;
    let old = args.old.as_deref().map(read).transpose()?;

    let start = Instant::now();
    let base = Loaded::new(&args.coding.base, args.coding.profile.into(), args.coding.adapter.as_deref())?;
    let base = base.resident()?;
    let made = match (args.weights, &old) {
        (Some(kind), Some(old)) => {
            WeightsArg::check(&new, old)?;
            with_options(&args.coding, base, |options| codec::compress_weights(&new, old, kind.into(), options))
                .map_err(CliError::codec(format!("compress {}", shown(&args.new))))?
        }
        _ => encode(&new, old.as_deref(), &args.coding, base, &shown(&args.new))?,
    };
    let took = start.elapsed();
    verify(&made.bytes, old.as_deref(), &new, base)?;
    write(&args.output, &made.bytes)?;

    warn_when_stored(&made, new.len(), &shown(&args.new));
    if let Some(old) = &args.old {
        note_when_whole(&made, &shown(old));
    }
    if args.record.json {
        let sides = args.old.as_deref().zip(old.as_deref());
        let sent = (made.bytes.len() as u64, made.breakdown.is_delta);
        let record = TransferRecord::new(&args.record.names(), sides, (&args.new, &new), sent, took);
        return print_json(&record);
    }
    let percent = 100.0 * made.bytes.len() as f64 / new.len().max(1) as f64;
    let text = format!(
        "{} bytes -> {} bytes ({percent:.2} %), profile {}, {}, {} of decoder RAM, {}, checked\n",
        thousands(new.len() as u64),
        thousands(made.bytes.len() as u64),
        profile_name(args.coding.profile.into()),
        base_name(&made.breakdown),
        memory(made.breakdown.decoder_ram),
        seconds(took.as_secs_f64()),
    );
    summary(&args.output, &text)
}

/// What the device must hold beside the decoder.
fn base_name(breakdown: &Breakdown) -> String {
    match (&breakdown.base_id, breakdown.base_name) {
        (None, _) => "no base model".into(),
        (_, Some(name)) => format!("base model {name}"),
        (Some(id), None) => format!("base model {id}"),
    }
}

/// Encodes with a progress bar.
pub(super) fn encode(
    new: &[u8],
    old: Option<&[u8]>,
    coding: &CodingArgs,
    base: Option<Resident<'_>>,
    name: &str,
) -> Result<Compressed, CliError> {
    with_options(coding, base, |options| codec::compress(new, old, options))
        .map_err(CliError::codec(format!("compress {name}")))
}

/// Calls `work` with the codec's options and a progress bar.
pub(super) fn with_options<T>(
    coding: &CodingArgs,
    base: Option<Resident<'_>>,
    work: impl FnOnce(&Options<'_>) -> T,
) -> T {
    let bar = Bar::new();
    let step = |stage: &str, done: u64, total: u64| bar.step(stage, done, total);
    work(&Options { profile: coding.profile.into(), format: coding.format.into(), base, progress: Some(&step) })
}

/// Rebuilds and compares: what does not come back is never written.
pub(super) fn verify(
    container: &[u8],
    old: Option<&[u8]>,
    new: &[u8],
    base: Option<Resident<'_>>,
) -> Result<(), CliError> {
    match codec::apply_within(&[container], old, new.len() as u32, base) {
        Ok(rebuilt) if rebuilt == new => Ok(()),
        Ok(_) => Err(CliError::Internal { what: "the container rebuilds another file; nothing was written".into() }),
        Err(error) => {
            Err(CliError::Internal { what: format!("the container does not decode ({error}); nothing was written") })
        }
    }
}

/// Says so on standard error when the input did not get smaller.
pub(super) fn warn_when_stored(made: &Compressed, new_len: usize, name: &str) {
    let size = made.bytes.len();
    if size >= new_len {
        note(&format!(
            "note: {name} did not compress: the container has {} bytes more than the file. Random, encrypted and \
             compressed data cannot shrink; compress first, then encrypt.",
            thousands((size - new_len) as u64)
        ));
    } else if made.breakdown.mode == "stored" {
        note(&format!("note: {name} did not compress: the container holds it as it is."));
    }
}

/// Says so on standard error when an old file was given and the container does without it.
pub(super) fn note_when_whole(made: &Compressed, old: &str) {
    if !made.breakdown.is_delta {
        note(&format!(
            "note: the container does not use the old image {old}: it is smaller without. It can come first in a chain, \
             not in its middle."
        ));
    }
}

/// Reads an input file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    files::read(path).map_err(CliError::io("read", path))
}

/// Writes an output file, whole or not at all.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    files::write_atomic(path, bytes).map_err(CliError::io("write", path))
}

/// Standard output cannot carry both a file and a report.
pub(super) fn one_stdout(path: &Path, json: bool) -> Result<(), CliError> {
    if json && files::is_stream(path) {
        return Err(CliError::Usage {
            what: "`-o -` and `--json` both want standard output".into(),
            hint: "write the file to a path: -o FILE".into(),
        });
    }
    Ok(())
}

/// The closing line: on standard output, unless the file itself went there.
pub(super) fn summary(path: &Path, text: &str) -> Result<(), CliError> {
    if files::is_stream(path) {
        output::note(text.trim_end());
        return Ok(());
    }
    print(text)
}
