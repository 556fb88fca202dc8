//! Training of the prior: the state that mixing network and hit flags start from.
//!
//! Reptile (Nichol, Achiam and Schulman, 2018): code one update from the current prior, then move the prior a little
//! towards the state in which the coder ended. What is found is not an average state but one from which every update's
//! own state is quickly reached. Floats stay here: [`Mean::pack`] is the door back to integers.

use std::io;

use super::prior::{Save, Untrained};
use super::{Example, Step};
use crate::align::Alignment;
use crate::fit::encode::{AnyRebuilder, Job, encode, encode_with};
use crate::fit::search::{LEAST_MAPPED, alignments};
use codec_core::limits::Profile;
use codec_core::mix::{FineCounter, Slot};
use codec_core::neural::Place;
use codec_core::predict::Rebuilder;
use codec_core::predict::prior::Visitor;

/// How far the prior moves towards a state, by epoch.
const RATES: [f64; 6] = [0.25, 0.18, 0.12, 0.08, 0.05, 0.03];
/// Largest confidence that counters of the prior start with.
const COUNTER_CAP: u32 = 30;
/// Largest confidence that slots of the prior start with.
const SLOT_CAP: u32 = 6;
/// Odds are kept this far from certainty, as a share.
const MARGIN: f64 = 1.0 / 65536.0;

/// What one number of the prior is.
#[derive(Clone, Copy)]
enum Entry {
    /// A skewed counter: logit of its probability, and its count.
    Counter(f64, u32),
    /// A slot: likewise.
    Slot(f64, u32),
    /// A weight.
    Weight(f64),
}

fn logit(share: f64) -> f64 {
    (share / (1.0 - share)).ln()
}

fn share(logit: f64) -> f64 {
    (1.0 / (1.0 + (-logit).exp())).clamp(MARGIN, 1.0 - MARGIN)
}

/// Reads a state as numbers that can be averaged.
#[derive(Default)]
struct Read(Vec<Entry>);

impl Visitor for Read {
    fn counters(&mut self, _: &'static str, counters: &mut [FineCounter]) {
        self.0.extend(counters.iter().map(|c| {
            let p = f64::from(c.to_bits() >> 10) + 0.5;
            Entry::Counter(logit(p / f64::from(1 << 22)), c.to_bits() & 1023)
        }));
    }

    fn slots(&mut self, _: &'static str, slots: &mut [Slot]) {
        self.0.extend(slots.iter().map(|s| {
            let p = f64::from(s.to_bits() >> 4) + 0.5;
            Entry::Slot(logit(p / 4096.0), u32::from(s.to_bits() & 15))
        }));
    }

    fn weights(&mut self, _: &'static str, weights: &mut [i16]) {
        self.0.extend(weights.iter().map(|&w| Entry::Weight(f64::from(w))));
    }
}

/// The prior being trained, and how often each of its numbers was used.
struct Mean {
    entries: Vec<Entry>,
    seen: Vec<u32>,
}

impl Mean {
    /// Moves towards `state` by `rate`.
    fn approach(&mut self, state: &[Entry], rate: f64) {
        for ((mine, theirs), seen) in self.entries.iter_mut().zip(state).zip(&mut self.seen) {
            let (value, goal) = match (mine, theirs) {
                (Entry::Counter(a, n), Entry::Counter(b, m)) => {
                    *seen += m.saturating_sub(*n);
                    *n = (*seen / 4).min(COUNTER_CAP);
                    (a, b)
                }
                (Entry::Slot(a, n), Entry::Slot(b, m)) => {
                    *seen += m.saturating_sub(*n);
                    *n = (*seen / 4).min(SLOT_CAP);
                    (a, b)
                }
                (Entry::Weight(a), Entry::Weight(b)) => (a, b),
                _ => unreachable!("both were read from the same tables"),
            };
            *value += rate * (goal - *value);
        }
    }

    /// The prior as bytes: the one place where floats become the codec's integers. Rounds to nearest.
    fn pack(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in &self.entries {
            match *entry {
                Entry::Counter(a, n) => {
                    let p = (share(a) * f64::from(1 << 22)).round() as u32;
                    bytes.extend((p << 10 | n).to_le_bytes());
                }
                Entry::Slot(a, n) => {
                    let p = ((share(a) * 4096.0).round() as u16).clamp(1, 4095);
                    bytes.extend((p << 4 | n as u16).to_le_bytes());
                }
                Entry::Weight(w) => {
                    let w = w.round().clamp(f64::from(i16::MIN), f64::from(i16::MAX));
                    bytes.extend((w as i16).to_le_bytes());
                }
            }
        }
        bytes
    }
}

/// The prior before training.
pub(super) fn untrained() -> Vec<u8> {
    let mut rebuilder: Box<AnyRebuilder<'_>> = Box::new(Rebuilder::new(&[], Place::EMPTY));
    rebuilder.visit(&mut Untrained);
    let mut save = Save(Vec::new());
    rebuilder.visit(&mut save);
    save.0
}

/// The alignment of `example` that codes shortest with `prior`.
fn best<'a>(example: &Example, choices: &'a [Alignment], prior: &[u8]) -> Result<&'a Alignment, codec_core::Error> {
    let job = job(example, prior);
    let mut best = (usize::MAX, &choices[0]);
    for choice in choices {
        let len = encode(&job, choice, false)?.bytes.len();
        if len < best.0 {
            best = (len, choice);
        }
    }
    Ok(best.1)
}

fn job<'a>(example: &'a Example, prior: &'a [u8]) -> Job<'a> {
    Job { new: &example.new, old: example.old.as_deref(), profile: Profile::Small, prior, base: None }
}

/// Trains a prior on `examples`; `watch` is told of every update coded.
pub(super) fn train(examples: &[Example], epochs: usize, watch: &dyn Fn(Step)) -> io::Result<Vec<u8>> {
    let refused = |error: codec_core::Error| io::Error::other(error.to_string());
    let segments = Profile::Small.parameters().segments as usize;
    let mut choices = Vec::new();
    for (done, example) in examples.iter().enumerate() {
        watch(Step { stage: "align", done, all: examples.len(), bytes: 0 });
        let Some(old) = &example.old else {
            choices.push(vec![Alignment::default()]);
            continue;
        };
        let found = alignments(old, &example.new, Profile::Small);
        choices.push(found.iter().map(|a| a.split(segments, LEAST_MAPPED)).collect::<Vec<_>>());
    }
    let start = untrained();
    let mut first = Read::default();
    let mut rebuilder: Box<AnyRebuilder<'_>> = Box::new(Rebuilder::new(&[], Place::EMPTY));
    rebuilder.visit(&mut Untrained);
    rebuilder.visit(&mut first);
    let mut mean = Mean { seen: vec![0; first.0.len()], entries: first.0 };
    let mut prior = start;
    for epoch in 0..epochs {
        let rate = RATES[epoch.min(RATES.len() - 1)];
        let mut bytes = 0;
        // A fixed order that no family dominates: steps of a golden section.
        let stride = (1..examples.len()).rev().find(|s| gcd(*s, examples.len()) == 1 && s * 8 < examples.len() * 5);
        for i in 0..examples.len() {
            let k = (i * stride.unwrap_or(1) + epoch) % examples.len();
            let alignment = best(&examples[k], &choices[k], &prior).map_err(refused)?;
            let mut state = Read::default();
            let coded = encode_with(&job(&examples[k], &prior), alignment, false, |r| r.visit(&mut state));
            bytes += coded.map_err(refused)?.bytes.len();
            mean.approach(&state.0, rate);
            prior = mean.pack();
            watch(Step { stage: "train", done: epoch * examples.len() + i + 1, all: epochs * examples.len(), bytes });
        }
    }
    Ok(prior)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
