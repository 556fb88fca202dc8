//! Fits an adapter to a family of files: the one that makes the family shortest, its own bytes included.

mod emit;
mod float;
mod learn;

use super::encode::{Job, encode, stored, with_big_stack};
use super::search::smallest;
use crate::align::Alignment;
use crate::base::Resident;
use crate::train::neural::data::Example;
use crate::train::neural::net::Net;
use crate::train::neural::{mixing, quantise};
use codec_core::Error;
use codec_core::container::v2::Header;
use codec_core::limits::Profile;
use codec_core::predict::prior::PRIOR;
use emit::{LEVELS, MIX_SHIFTS, Network};
use learn::{Fitted, Spec};

/// Changes of the network that are tried; the best of them with one of the last stage too.
const SPECS: [(&str, Spec); 5] = [
    ("gain", Spec { gain: true, rank: 0 }),
    ("low rank 1", Spec { gain: false, rank: 1 }),
    ("low rank 2", Spec { gain: false, rank: 2 }),
    ("low rank 4", Spec { gain: false, rank: 4 }),
    ("low rank 8", Spec { gain: false, rank: 8 }),
];
/// How far the last stage's weights move towards those that a file ends with, by epoch.
const RATES: [f64; 3] = [0.2, 0.1, 0.05];
/// Most files that the last stage learns from.
const MIX_FILES: usize = 200;

/// What an adapter is fitted to, and with.
#[derive(Clone, Copy)]
pub struct Family<'a> {
    /// The files.
    pub files: &'a [Vec<u8>],
    /// Files that only show what the adapter does to others of the family.
    pub held_out: &'a [Vec<u8>],
    /// File of the base model.
    pub base: &'a [u8],
    /// Budget of the decoder.
    pub profile: Profile,
    /// Seed of the first weights and of the order of the files.
    pub seed: u64,
    /// Threads; the result does not depend on their number.
    pub threads: usize,
}

/// Bytes with one adapter, or without any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it changes.
    pub name: String,
    /// The adapter as it travels.
    pub adapter: u64,
    /// The files as they travel.
    pub files: u64,
    /// Files held out, likewise.
    pub held_out: u64,
}

impl Row {
    /// All that goes to a device for the family.
    pub fn total(&self) -> u64 {
        self.adapter + self.files
    }
}

/// What came of the fitting.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Without an adapter, then the best of each kind.
    pub rows: Vec<Row>,
    /// The row that is shortest in all; 0 where no adapter pays for itself.
    pub best: usize,
    /// Its adapter, as a GMCF file; none for row 0.
    pub file: Option<Vec<u8>>,
}

/// Told what is being done: the kind of adapter, steps done, steps in all.
pub type Watch<'a> = &'a dyn Fn(&str, u64, u64);

/// An adapter and what it costs.
struct Candidate {
    row: Row,
    file: Vec<u8>,
}

/// The family, and what does not depend on the adapter.
struct Bench<'a> {
    family: Family<'a>,
    /// Bytes of every file without any model, those held out behind the others.
    floor: Vec<u64>,
}

impl<'a> Bench<'a> {
    fn new(family: Family<'a>) -> Result<Self, Error> {
        let mut bench = Self { family, floor: Vec::new() };
        bench.floor = bench.spread(&|file| {
            let job = Job { new: file, old: None, profile: family.profile, prior: PRIOR, base: None };
            Ok(stored(&job)?.bytes.len().min(encode(&job, &Alignment::default(), false)?.bytes.len()) as u64)
        })?;
        Ok(bench)
    }

    /// A number for every file, in several threads.
    fn spread(&self, each: &(dyn Fn(&[u8]) -> Result<u64, Error> + Sync)) -> Result<Vec<u64>, Error> {
        let files: Vec<&Vec<u8>> = self.family.files.iter().chain(self.family.held_out).collect();
        let share = files.len().div_ceil(self.family.threads.max(1)).max(1);
        let numbers = std::thread::scope(|scope| {
            let work = |files: &'_ [&Vec<u8>]| files.iter().map(|file| each(file)).collect::<Result<Vec<_>, _>>();
            let start = |files| scope.spawn(move || with_big_stack(|| work(files)));
            let started: Vec<_> = files.chunks(share).map(start).collect();
            let ended = started.into_iter().map(|thread| match thread.join() {
                Ok(numbers) => numbers,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            ended.collect::<Result<Vec<_>, _>>()
        })?;
        Ok(numbers.concat())
    }

    /// What the family costs with this model; a file that is shorter without any is sent so.
    fn row(&self, name: &str, adapter: u64, base: Resident<'_>) -> Result<Row, Error> {
        let numbers = self.spread(&|file| {
            let job = Job { new: file, old: None, profile: self.family.profile, prior: PRIOR, base: Some(base) };
            Ok(encode(&job, &Alignment::default(), false)?.bytes.len() as u64)
        })?;
        let mut shorter = numbers.iter().zip(&self.floor).map(|(with, without)| *with.min(without));
        let files = shorter.by_ref().take(self.family.files.len()).sum();
        Ok(Row { name: name.into(), adapter, files, held_out: shorter.sum() })
    }

    fn candidate(&self, name: &str, content: Vec<u8>) -> Result<Candidate, Error> {
        let file = with_big_stack(|| sealed(&content, self.family.profile))?;
        let row = self.row(name, file.len() as u64, Resident::with_adapter(self.family.base, &content)?)?;
        Ok(Candidate { row, file })
    }
}

/// The GMCF file in which an adapter travels, without any model. To be called with a big stack.
fn sealed(content: &[u8], profile: Profile) -> Result<Vec<u8>, Error> {
    let job = Job { new: content, old: None, profile, prior: PRIOR, base: None };
    Ok(smallest(&job, &|_, _| {})?.bytes)
}

fn keep(best: &mut Option<Candidate>, new: Candidate) {
    if best.as_ref().is_none_or(|best| new.row.total() < best.row.total()) {
        *best = Some(new);
    }
}

/// Fits adapters to the family and keeps the one that makes it shortest, if any does.
///
/// # Errors
/// What the codec refuses: a base model that is too large for the profile, or no base model.
pub fn fit(family: Family<'_>, watch: Watch<'_>) -> Result<Outcome, Error> {
    let resident = Resident::open(family.base)?;
    let (header, start) = Header::parse(family.base)?;
    let model = &family.base[start..];
    let net = Net::new(*resident.model.shape());
    let (original, weights) = float::parameters(&net, model);
    let layers = &model[..model.len() - 2 * weights.len()];
    let bench = Bench::new(family)?;
    let stages = 2 + SPECS.len() as u64;
    let mut rows = vec![bench.row("no adapter", 0, resident)?];
    let mut best: Option<Candidate> = None;
    let base = header.digest.base();

    // The last stage is learned beside what the network has become.
    let mixes = |network: &Network, name: &str| -> Result<Option<Candidate>, Error> {
        let content = emit::content(base, None, network);
        let adapter = Resident::with_adapter(family.base, &content)?.adapter;
        let mut mix = weights.clone();
        let files = &family.files[..family.files.len().min(MIX_FILES)];
        with_big_stack(|| {
            let sealed = |mix: &[i16]| quantise::seal(layers, mix);
            mixing::train(files, family.profile, &mut mix, sealed, adapter, &RATES, |_, _| {})
        })?;
        let mut best = None;
        for shift in MIX_SHIFTS {
            let section = emit::mix(&weights, &mix, shift);
            keep(&mut best, bench.candidate(name, emit::content(base, Some(&section), network))?);
        }
        Ok(best)
    };

    watch("mix", 0, stages);
    let mut take = |candidate: Option<Candidate>, rows: &mut Vec<Row>| {
        if let Some(candidate) = candidate {
            rows.push(candidate.row.clone());
            keep(&mut best, candidate);
        }
    };
    take(mixes(&Network::default(), "mix")?, &mut rows);
    let examples: Vec<Example> = family.files.iter().map(|file| Example::new(file.clone(), &net.shape)).collect();
    let gradient = learn::gradient(&net, &original, &examples);
    let mut of_all: Option<(Network, u64, &str)> = None;
    for (i, (name, spec)) in SPECS.into_iter().enumerate() {
        let stage = 1 + i as u64;
        watch(name, stage, stages);
        let mut fitted = Fitted::new(&net, &original, spec, family.seed);
        fitted.learn(&examples, family.seed, |_, _| {});
        let mut found: Option<(Network, Candidate)> = None;
        for level in &LEVELS {
            let network = emit::network(&fitted, &gradient, level);
            let candidate = bench.candidate(name, emit::content(base, None, &network))?;
            if found.as_ref().is_none_or(|(_, found)| candidate.row.total() < found.row.total()) {
                found = Some((network, candidate));
            }
        }
        let Some((network, candidate)) = found else { continue };
        if of_all.as_ref().is_none_or(|(_, total, _)| candidate.row.total() < *total) {
            of_all = Some((network, candidate.row.total(), name));
        }
        take(Some(candidate), &mut rows);
    }
    watch("both", stages - 1, stages);
    if let Some((network, _, name)) = of_all {
        take(mixes(&network, &format!("{name}, mix"))?, &mut rows);
    }
    watch("done", stages, stages);
    let best = best.filter(|best| best.row.total() < rows[0].total());
    let at = best.as_ref().and_then(|best| rows.iter().position(|row| *row == best.row)).unwrap_or(0);
    Ok(Outcome { rows, best: at, file: best.map(|best| best.file) })
}
