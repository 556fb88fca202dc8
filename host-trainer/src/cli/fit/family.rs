//! An adapter for a folder.

use serde::Serialize;

use crate::backend::{Backend, BackendError};
use crate::cli::CliError;
use crate::cli::backend::{self, Work};
use crate::cli::base::Loaded;
use crate::cli::compress::{summary, write};
use crate::cli::fit_args::FitArgs;
use crate::cli::output::{Bar, print_json, shown};
use crate::cli::train::refuse;
use crate::codec::CodecError;
use crate::fit::adapter::{Family, Outcome, Row, fit};
use crate::fit::file;
use crate::fit::memory::{Codes, fit_all};
use crate::report::format::thousands;
use crate::train::neural::corpus::{self, Corpus};

/// The report as JSON. Field names are part of the interface.
#[derive(Serialize)]
struct Record<'a> {
    files: usize,
    held_out_files: usize,
    /// Name of the kind that was written; none where none pays for itself.
    written: Option<&'a str>,
    rows: Vec<RowRecord<'a>>,
}

#[derive(Serialize)]
struct RowRecord<'a> {
    name: &'a str,
    adapter: u64,
    files: u64,
    total: u64,
    held_out: u64,
}

pub(super) fn run(args: &FitArgs) -> Result<(), CliError> {
    let profile = args.profile.into();
    let loaded = Loaded::new(&args.base, profile, None)?;
    // Opened for its errors, which name the file.
    loaded.resident()?;
    let Some(base) = loaded.file() else {
        let hint = "name one: --base nano; or a larger --profile";
        return Err(CliError::Usage { what: "an adapter needs a base model to adapt".into(), hint: hint.into() });
    };
    let Corpus { learned: files, held: held_out, .. } =
        corpus::family(&args.what, &args.output, args.hold_out.into()).map_err(refuse("fit an adapter"))?;
    let place = format!("fit position memories to {}", shown(&args.what));
    let work = Memories { files: &files, held_out: &held_out };
    let memories = backend::run(args.backend, args.threads.into(), &place, work)?.map_err(CliError::codec(place))?;
    let bar = Bar::new();
    let (seed, threads) = (args.seed, args.threads.into());
    let family = Family { files: &files, held_out: &held_out, base, profile, seed, threads };
    let outcome = fit(family, &|stage, done, all| bar.step(stage, done, all));
    drop(bar);
    let outcome = outcome
        .map_err(CodecError::from)
        .map_err(CliError::codec(format!("fit an adapter to {}", shown(&args.what))))?;
    if let Some(file) = &outcome.file {
        write(&args.output, file)?;
    }
    if args.json {
        return print_json(&Record {
            files: files.len(),
            held_out_files: held_out.len(),
            written: outcome.file.as_ref().map(|_| outcome.rows[outcome.best].name.as_str()),
            rows: outcome.rows.iter().chain([&memories]).map(record).collect(),
        });
    }
    summary(&args.output, &table(&outcome, &memories, files.len(), held_out.len(), &shown(&args.output)))
}

/// All files as position memories of 8 x 1 bit.
struct Memories<'a> {
    files: &'a [Vec<u8>],
    held_out: &'a [Vec<u8>],
}

impl Work for Memories<'_> {
    type Output = Result<Row, CodecError>;

    fn on<B: Backend>(self, backend: &B) -> Result<Self::Output, BackendError> {
        let bytes = |files: &[Vec<u8>]| -> Result<Result<u64, CodecError>, BackendError> {
            let mut sum = Ok(0);
            fit_all(backend, files, 8, |i, rows| {
                let memory = file::memory(&files[i], &Codes::new(rows, 8, 1), None);
                sum = sum.clone().and_then(|sum| Ok(sum + memory?.bytes));
            })?;
            Ok(sum)
        };
        let (files, held_out) = (bytes(self.files)?, bytes(self.held_out)?);
        let row = |files, held_out| Row { name: "position memories".into(), adapter: 0, files, held_out };
        Ok(files.and_then(|files| Ok(row(files, held_out?))))
    }
}

fn record(row: &Row) -> RowRecord<'_> {
    let Row { name, adapter, files, held_out } = row;
    RowRecord { name, adapter: *adapter, files: *files, total: row.total(), held_out: *held_out }
}

fn table(outcome: &Outcome, memories: &Row, files: usize, held_out: usize, output: &str) -> String {
    let none = &outcome.rows[0];
    let percent = |now: u64, before: u64| 100.0 * (now as f64 / before.max(1) as f64 - 1.0);
    let mut text = format!("{:<18}{:>9}{:>12}{:>12}{:>10}", "bytes", "adapter", format!("{files} files"), "total", "");
    if held_out > 0 {
        text += &format!("{:>14}", format!("{held_out} held out"));
    }
    text.push('\n');
    for (i, row) in outcome.rows.iter().chain([memories]).enumerate() {
        let saved = format!("{:+.2} %", percent(row.total(), none.total()));
        text += &format!(
            "{:<18}{:>9}{:>12}{:>12}{:>10}",
            row.name,
            thousands(row.adapter),
            thousands(row.files),
            thousands(row.total()),
            if i == 0 { "" } else { &saved },
        );
        if held_out > 0 {
            text += &format!("{:>14}", thousands(row.held_out));
        }
        if i > 0 && i == outcome.best {
            text += "  <";
        }
        text.push('\n');
    }
    let best = &outcome.rows[outcome.best];
    if outcome.file.is_none() {
        return text + "no adapter pays for its own bytes: nothing was written\n";
    }
    let output = if output == "standard input" { "standard output" } else { output };
    text + &format!(
        "{}: {} bytes in {output}; {} bytes saved in all, {} in every such family after it\n",
        best.name,
        thousands(best.adapter),
        thousands(none.total() - best.total()),
        thousands(none.files - best.files),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, adapter: u64, files: u64) -> Row {
        Row { name: name.into(), adapter, files, held_out: files / 10 }
    }

    #[test]
    fn the_table_says_what_is_saved_and_where_nothing_is() {
        let rows = vec![row("no adapter", 0, 2000), row("mix", 300, 1500), row("gain", 900, 1400)];
        let memories = row("position memories", 0, 2600);
        let saving = Outcome { rows: rows.clone(), best: 1, file: Some(vec![1]) };
        let text = table(&saving, &memories, 7, 2, "`family.gmcf`");
        assert!(text.contains("7 files") && text.contains("2 held out") && text.contains("-10.00 %"), "{text}");
        assert!(text.contains("mix: 300 bytes in `family.gmcf`; 200 bytes saved in all, 500 in"), "{text}");
        assert_eq!(text.matches('<').count(), 1);
        assert!(text.contains("position memories") && text.contains("+30.00 %"), "{text}");
        let text = table(&Outcome { rows, best: 0, file: None }, &memories, 7, 0, "`family.gmcf`");
        assert!(text.contains("nothing was written") && !text.contains("held out"), "{text}");
    }
}
