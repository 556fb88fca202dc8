//! The learning of the network, measured as it goes on, drawn, and kept where it can be taken up again.

use super::checkpoint::{Checkpoint, Fingerprint};
use super::corpus::{Corpus, too_little};
use super::curve::{self, Curve};
use super::data::Example;
use super::error::BaseError;
use super::net::Net;
use super::run::{self, Event, Progress, Run, Settings};
use super::{BaseArgs, Keep, Watched};
use crate::files::write_atomic;
use std::time::{Duration, Instant};

/// Shortest time between two checkpoints that the end of an epoch calls for.
const SHORT: Duration = Duration::from_secs(10);

/// Learns from the files of a corpus, from the checkpoint on where there is one: parameters and curve.
///
/// # Errors
/// What [`Checkpoint`] refuses, [`BaseError::Input`] when the files do not make one step, and [`BaseError::Io`] when a
/// checkpoint or a curve cannot be written.
pub(super) fn learn(
    net: &Net,
    corpus: &Corpus,
    settings: &Settings,
    args: &BaseArgs,
    watch: &(dyn Fn(Watched) + Sync),
) -> Result<(Vec<f32>, Curve), BaseError> {
    let fingerprint = Fingerprint::new(&args.size, &net.shape, settings, corpus);
    let keep = args.checkpoint.as_ref();
    // Before the long walk through all files: a checkpoint that is of another run is told at once.
    let found = keep.map(|keep| Checkpoint::read(&keep.path, &fingerprint)).transpose()?.flatten();
    let pieces = corpus.learned.iter().map(|piece| Example::new(piece.clone(), &net.shape));
    let updates = corpus.updates.iter().map(|update| Example::of_update(update, &net.shape));
    let examples: Vec<Example> = pieces.chain(updates).collect();
    let (mut run, mut curve) = match (found, keep) {
        (Some(Checkpoint { state, curve }), Some(Keep { path, .. })) => {
            let run = Run::resume(net, &examples, settings, state);
            (run.map_err(|field| Checkpoint::misfit(path, field))?, curve)
        }
        _ => (Run::new(net, net.init(settings.seed), &examples, settings), Curve::default()),
    };
    let told = |run: &Run<'_>, curve: &Curve| Progress { held_back: curve.held_back(), ..run.progress() };
    if run.progress().seen > 0 {
        watch(Watched::Resumed(told(&run, &curve)));
    }
    let sample = sample(net, corpus, run.progress().all);
    let sample_bytes: usize = sample.iter().map(|example| example.bytes.len()).sum();
    let mut kept = Instant::now();
    loop {
        let event = run.step();
        if event == Event::Done {
            break;
        }
        let progress = run.progress();
        if progress.seen == 0 {
            let what = format!("too little to learn from ({} bytes)", corpus.bytes());
            return Err(too_little(&args.folders, what));
        }
        let measured = curve.wants_measure(&progress, event == Event::Epoch).then(|| {
            let bytes: f64 = run::measure(net, run.parameters(), &sample, settings.threads).iter().sum();
            bytes * 8.0 / sample_bytes as f64
        });
        if event == Event::Step || measured.is_some() {
            curve.note(&progress, measured);
        }
        if let Some(Keep { path, every }) = keep {
            let since = kept.elapsed();
            if since >= *every || run.is_done() || event == Event::Epoch && since >= SHORT {
                Checkpoint { state: run.state(), curve: curve.clone() }.write(path, &fingerprint)?;
                draw(&curve, args)?;
                kept = Instant::now();
            }
        }
        watch(Watched::Network(told(&run, &curve)));
    }
    Ok((run.parameters().to_vec(), curve))
}

/// A bounded part of the files held back.
fn sample(net: &Net, corpus: &Corpus, all: u64) -> Vec<Example> {
    let (every, bytes) = curve::sample(corpus.held.len(), all);
    let head = |file: &Vec<u8>| Example::new(file[..bytes.min(file.len())].to_vec(), &net.shape);
    corpus.held.iter().step_by(every).map(head).collect()
}

/// Writes the curve where it was asked for.
///
/// # Errors
/// [`BaseError::Curve`] and [`BaseError::Io`].
pub(super) fn draw(curve: &Curve, args: &BaseArgs) -> Result<(), BaseError> {
    let Some(path) = &args.curve else { return Ok(()) };
    let svg = curve.svg(&format!("gmcf train base --size {}", args.size)).map_err(BaseError::Curve)?;
    write_atomic(path, svg.as_bytes()).map_err(BaseError::io("write", path))
}
