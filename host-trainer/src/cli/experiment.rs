//! `gmcf experiment`.

use super::CliError;
use super::backend::{self, Work};
use super::compress::{read, write};
use super::experiment_args::{EternityArgs, ExperimentArgs, ExperimentCommand};
use super::output::{Bar, print, print_json, shown};
use crate::backend::{Backend, BackendError};
use crate::codec::CodecError;
use crate::experiment::eternity::low_rank::LowRank;
use crate::experiment::eternity::memory::Memory;
use crate::experiment::eternity::{Data, Failed, Report, Settings, Watch, picture, run as measure};
use crate::report::format::{Table, seconds, thousands};

/// Bytes that are taken of a file.
const HEAD: usize = 512;
/// What is being done, as errors say it.
const PLACE: &str = "measure eternity";

pub(super) fn run(args: &ExperimentArgs) -> Result<(), CliError> {
    match &args.what {
        ExperimentCommand::Eternity(args) => eternity(args),
    }
}

fn eternity(args: &EternityArgs) -> Result<(), CliError> {
    let mut files = Vec::new();
    for path in &args.files {
        let mut file = read(path)?;
        file.truncate(HEAD);
        if file.is_empty() {
            let hint = "leave it out, or name one with content".into();
            return Err(CliError::Input { path: path.clone(), what: "there is no byte in it".into(), hint });
        }
        files.push((path.display().to_string(), file));
    }
    let lengths = args.bytes.iter().map(|&len| len as usize).collect();
    let settings = Settings { lengths, files, seed: args.seed, most: args.iterations };
    let bar = Bar::new();
    let step = |stage: &str, done: u64, all: u64| bar.step(stage, done, all);
    let work = Eternity { settings: &settings, step: &step };
    let report = backend::run(args.backend, args.threads.into(), PLACE, work)?;
    drop(bar);
    let report = report.map_err(CliError::codec(PLACE))?;
    if let Some(path) = &args.svg {
        let drawn = picture::svg(&report.data, "What an adapter takes to hold a file of random bytes");
        let svg = drawn.map_err(|reason| CliError::Internal { what: format!("draw {}: {reason}", shown(path)) })?;
        write(path, svg.as_bytes())?;
    }
    if args.json { print_json(&report) } else { print(&text(&report)) }
}

struct Eternity<'a> {
    settings: &'a Settings,
    step: Watch<'a>,
}

impl Work for Eternity<'_> {
    type Output = Result<Report, CodecError>;

    fn on<B: Backend>(self, backend: &B) -> Result<Self::Output, BackendError> {
        match measure(backend, self.settings, self.step) {
            Ok(report) => Ok(Ok(report)),
            Err(Failed::Codec(error)) => Ok(Err(error)),
            Err(Failed::Backend(error)) => Err(error),
        }
    }
}

fn percent(share: f64) -> String {
    // What is not all does not read as if it were.
    if share == 1.0 { "100 %".into() } else { format!("{:.2} %", (100.0 * share).min(99.99)) }
}

fn text(report: &Report) -> String {
    let files: String = report.data.iter().map(of_file).collect();
    let claims: String = report
        .claims
        .iter()
        .map(|claim| {
            let holds = match claim.holds {
                Some(true) => "holds",
                Some(false) => "does not hold",
                None => "not measured",
            };
            format!("- {}: {holds}.\n  {}.\n", claim.claim, claim.measured)
        })
        .collect();
    format!("{files}Claims\n\n{claims}\nmeasured on: {}; {}\n", report.backend, report.times)
}

fn of_file(data: &Data) -> String {
    let mut low_rank = Table::new(["low rank", "rank", "right", "steps", "time", "bytes", "for a byte"]);
    for LowRank { rank, start, right, iterations, seconds: took, adapter_bytes, bytes_per_byte, .. } in &data.low_rank {
        low_rank.row([
            start.name().into(),
            rank.to_string(),
            percent(*right),
            iterations.to_string(),
            seconds(*took),
            thousands(*adapter_bytes),
            format!("{bytes_per_byte:.2}"),
        ]);
    }
    let mut memories = Table::new([
        "memory", "d", "steps", "time", "fp32", "x", "8 bits", "x", "4 bits", "x", "2 bits", "x", "1 bit", "x",
    ]);
    for Memory { projection, dim, iterations, seconds: took, held, .. } in &data.memories {
        let widths = held.iter().flat_map(|held| [percent(held.right), format!("{}", held.bytes_per_byte)]);
        let more: f64 = held.iter().map(|held| held.seconds).sum();
        let head = [projection.name().into(), dim.to_string(), iterations.to_string(), seconds(took + more)];
        memories.row(head.into_iter().chain(widths));
    }
    let (adam, residual) = (&data.adam, &data.residual);
    format!(
        "{}, {} bytes\n\n{}\n{}x: bytes of the memory for a byte of the file\n\nby Adam, random projection, {} x fp32: {} after {} steps, {}\n\
         residual, the memory of 8 x 1 bit as predicted: {} bytes, {:.4} for a byte, {}, {}\n\n\n",
        data.name,
        thousands(data.bytes),
        low_rank.render(),
        memories.render(),
        adam.dim,
        percent(adam.right),
        adam.iterations,
        seconds(adam.seconds),
        thousands(residual.bytes),
        residual.bytes_per_byte,
        if residual.exact { "exact" } else { "not exact" },
        seconds(residual.seconds),
    )
}
