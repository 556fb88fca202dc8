//! The shortest way to send one file.

use serde::Serialize;

use crate::backend::{Backend, BackendError};
use crate::cli::CliError;
use crate::cli::backend::{self, Work};
use crate::cli::base::Loaded;
use crate::cli::compress::{read, summary, verify, write};
use crate::cli::fit_args::{FitArgs, WeightsArg};
use crate::cli::output::{Bar, print_json, shown};
use crate::codec::{CodecError, Format, Options};
use crate::fit::adapter::Family;
use crate::fit::file::{self, Candidate, MOST_FITTED, shortest};
use crate::fit::memory::{DIMS, fit_all};
use crate::fit::weights;
use crate::report::format::{Table, thousands};

/// The report as JSON. Field names are part of the interface.
#[derive(Serialize)]
struct Record<'a> {
    /// Bytes of the file.
    bytes: u64,
    /// What position memories were fitted on.
    backend: &'a str,
    /// Name of the candidate that was written.
    written: &'a str,
    candidates: Vec<CandidateRecord<'a>>,
}

#[derive(Serialize)]
struct CandidateRecord<'a> {
    name: &'a str,
    bytes: u64,
    /// Whether `bytes` is after a quick packing: the candidate is far too long to be packed with care.
    quick: bool,
    /// Bytes of its codes alone.
    codes: Option<u64>,
    bits_per_byte: f64,
    exact: bool,
    /// Whether it can be written as one GMCF file.
    can_be_written: bool,
}

pub(super) fn run(args: &FitArgs) -> Result<(), CliError> {
    let new = read(&args.what)?;
    let old = args.old.as_deref().map(read).transpose()?;
    let name = shown(&args.what);
    if let (Some(_), Some(old)) = (args.weights, &old) {
        WeightsArg::check(&new, old)?;
    }
    let profile = args.profile.into();
    let loaded = Loaded::new(&args.base, profile, None)?;
    let base = loaded.resident()?;
    let bar = Bar::new();
    let step = |stage: &str, done: u64, all: u64| bar.step(stage, done, all);

    let fit = || CliError::codec(format!("fit {name}"));
    let options = Options { profile, format: Format::V2, base, progress: Some(&step) };
    let mut candidates =
        vec![file::stored_memory(&new).map_err(fit())?, file::residual(&new, old.as_deref(), &options).map_err(fit())?];
    if let (Some(weights), Some(old)) = (args.weights, &old) {
        candidates.extend(weights::candidates(&new, old, weights.into(), &options).map_err(fit())?);
    }
    if args.adapters && !new.is_empty() {
        let Some(base) = loaded.file() else {
            let hint = "name one: --base nano; or a larger --profile; or leave --adapters out";
            return Err(CliError::Usage { what: "an adapter needs a base model to adapt".into(), hint: hint.into() });
        };
        let files = std::slice::from_ref(&new);
        let (seed, threads) = (args.seed, args.threads.into());
        let family = Family { files, held_out: &[], base, profile, seed, threads };
        candidates.extend(file::adapters(family, &step).map_err(CodecError::from).map_err(fit())?);
    }
    let dims = if new.is_empty() || new.len() > MOST_FITTED { &[][..] } else { &DIMS };
    let least = shortest(&candidates).map(|best| candidates[best].bytes);
    let work = Memories { new: &new, dims, shortest: least, step: &step };
    let place = format!("fit position memories to {name}");
    let (backend, memories) = backend::run(args.backend, args.threads.into(), &place, work)?.map_err(fit())?;
    candidates.extend(memories);
    drop(bar);
    candidates.sort_by_key(|candidate| candidate.bytes);
    let best = shortest(&candidates).map(|best| (best, candidates[best].container.as_deref()));
    let Some((best, Some(container))) = best else {
        return Err(CliError::Internal { what: "no candidate rebuilds the file; nothing was written".into() });
    };
    verify(container, old.as_deref(), &new, base)?;
    write(&args.output, container)?;
    if args.json {
        return print_json(&Record {
            bytes: new.len() as u64,
            backend: &backend,
            written: &candidates[best].name,
            candidates: candidates.iter().map(|candidate| record(candidate, new.len())).collect(),
        });
    }
    summary(&args.output, &table(&candidates, best, new.len(), &backend))
}

/// The position memories of a file.
struct Memories<'a> {
    new: &'a [u8],
    dims: &'a [u32],
    /// Bytes of the shortest file so far.
    shortest: Option<u64>,
    step: &'a (dyn Fn(&str, u64, u64) + Sync),
}

impl Work for Memories<'_> {
    type Output = Result<(String, Vec<Candidate>), CodecError>;

    fn on<B: Backend>(self, backend: &B) -> Result<Self::Output, BackendError> {
        let mut all = Ok((backend.name(), Vec::new()));
        for (done, dim) in (0..).zip(self.dims) {
            (self.step)("memories", done, self.dims.len() as u64);
            fit_all(backend, &[self.new], *dim, |_, rows| {
                if let Ok((_, candidates)) = &mut all {
                    match file::memories(self.new, *dim, rows, self.shortest) {
                        Ok(found) => candidates.extend(found),
                        Err(error) => all = Err(error),
                    }
                }
            })?;
        }
        Ok(all)
    }
}

fn bits_per_byte(bytes: u64, len: usize) -> f64 {
    8.0 * bytes as f64 / len.max(1) as f64
}

fn record(candidate: &Candidate, len: usize) -> CandidateRecord<'_> {
    let Candidate { name, bytes, quick, codes, exact, container } = candidate;
    CandidateRecord {
        name,
        bytes: *bytes,
        quick: *quick,
        codes: *codes,
        bits_per_byte: bits_per_byte(*bytes, len),
        exact: *exact,
        can_be_written: container.is_some(),
    }
}

fn table(candidates: &[Candidate], best: usize, len: usize, backend: &str) -> String {
    let mut table = Table::new(["", "bytes", "codes alone", "bits a byte", "exact", ""]);
    for (i, candidate) in candidates.iter().enumerate() {
        let mark = match &candidate.container {
            _ if i == best => "< written",
            _ if candidate.quick => "packed quickly",
            None => "not written",
            Some(_) => "",
        };
        table.row([
            candidate.name.clone(),
            thousands(candidate.bytes),
            candidate.codes.map_or(String::new(), thousands),
            format!("{:.2}", bits_per_byte(candidate.bytes, len)),
            if candidate.exact { "yes" } else { "no" }.into(),
            mark.into(),
        ]);
    }
    let fitted = match len {
        0 => "there is nothing to fit".into(),
        1..=MOST_FITTED => format!("position memories fitted on: {backend}"),
        _ => format!("position memories are not fitted to files above {} bytes", thousands(MOST_FITTED as u64)),
    };
    format!("{}{} bytes; {fitted}\n", table.render(), thousands(len as u64))
}
