//! Training of base models.

pub mod adam;
pub mod checkpoint;
pub mod corpus;
pub mod curve;
pub mod data;
mod error;
pub mod evoformer;
#[cfg(test)]
mod gradients;
pub mod integer;
pub mod layers;
mod learn;
pub mod mixing;
pub mod net;
mod outputs;
pub mod quantise;
pub mod run;

pub use error::BaseError;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::align::Alignment;
use crate::base::Resident;
use crate::files::write_atomic;
use crate::fit::encode::{Job, encode, with_big_stack};
use codec_core::limits::Profile;
use codec_core::neural::coder::words;
use codec_core::neural::shape::{Evoformer, Shape};
use codec_core::predict::prior::PRIOR;
use data::Example;
use net::Net;
use run::{Progress, Settings};

/// Sizes by name: the network, and the profile whose memory it is made for. Those with `-evoformer` have about the flash
/// and the operations of their namesakes. `nano-gru` has a recurrent state in place of the hashed contexts, and as many
/// operations as `nano`; `nano-gru-wide` as much flash.
pub const SIZES: [(&str, Shape, Profile); 9] = [
    ("nano", NANO, Profile::Small),
    ("nano-evoformer", NANO_EVOFORMER, Profile::Small),
    ("nano-gru", NANO_GRU, Profile::Small),
    ("nano-gru-wide", NANO_GRU_WIDE, Profile::Small),
    ("micro", MICRO, Profile::Medium),
    ("micro-evoformer", MICRO_EVOFORMER, Profile::Medium),
    ("small", SMALL, Profile::Host),
    ("host", HOST, Profile::Host),
    ("48x256", LARGEST, Profile::Host),
];

/// No size is trained for hours that its profile then refuses.
const _: () = {
    let mut i = 0;
    while i < SIZES.len() {
        let (_, shape, profile) = &SIZES[i];
        assert!(words(shape) <= profile.parameters().words as usize / 2);
        i += 1;
    }
};

const NANO: Shape = Shape {
    gram_log2: 10,
    gram_dim: 10,
    hidden: 64,
    layers: 1,
    state: 0,
    state_dim: 0,
    evoformer: Evoformer::NONE,
    ring_log2: 13,
    index_log2: 10,
};
const MICRO: Shape = Shape { gram_log2: 12, gram_dim: 16, hidden: 160, ring_log2: 15, index_log2: 12, ..NANO };
const SMALL: Shape = Shape { state: 160, state_dim: 32, ..MICRO };
const NANO_EVOFORMER: Shape = Shape {
    hidden: 40,
    layers: 0,
    evoformer: Evoformer { blocks: 1, channels: 16, heads: 2, window_log2: 3, pair: 8, outer: 4, transition: 32 },
    ring_log2: 12,
    ..NANO
};
const MICRO_EVOFORMER: Shape = Shape {
    hidden: 112,
    layers: 0,
    evoformer: Evoformer { blocks: 1, channels: 24, heads: 2, window_log2: 4, pair: 8, outer: 4, transition: 48 },
    ..MICRO
};
const NANO_GRU: Shape =
    Shape { gram_log2: 1, gram_dim: 0, hidden: 48, layers: 0, state: 48, state_dim: 16, ring_log2: 12, ..NANO };
const NANO_GRU_WIDE: Shape = Shape { hidden: 64, state: 112, state_dim: 24, ..NANO_GRU };
const HOST: Shape = Shape {
    gram_log2: 14,
    evoformer: Evoformer { blocks: 4, channels: 64, heads: 4, window_log2: 4, pair: 16, outer: 8, transition: 128 },
    ..SMALL
};
/// The Evoformer of the original: 48 blocks of 256 channels.
const LARGEST: Shape = Shape {
    state: 0,
    state_dim: 0,
    evoformer: Evoformer { blocks: 48, channels: 256, heads: 8, window_log2: 4, pair: 32, outer: 8, transition: 508 },
    ..MICRO
};

/// Bytes that there must be for every stream that is read side by side.
const BYTES_A_LANE: u64 = 4 << 10;
/// Pieces of files that there must be for every stream.
const PIECES_A_LANE: usize = 4;
/// Streams, where there are pieces for them.
const LEAST_LANES: usize = 4;

/// What `gmcf train base` was asked for.
#[derive(Clone, Debug)]
pub struct BaseArgs {
    /// Folders, read with all that is in them.
    pub folders: Vec<PathBuf>,
    /// Corpus whose updates are learned from as well: its `PAIRS.tsv` names them.
    pub updates: Option<PathBuf>,
    /// File to write the model to.
    pub output: PathBuf,
    /// Name of a size.
    pub size: String,
    /// Times that every file is read.
    pub epochs: usize,
    /// Seed of weights and order.
    pub seed: u64,
    /// Threads; the result depends on their number.
    pub threads: usize,
    /// File to draw the learning curve to, as SVG.
    pub curve: Option<PathBuf>,
    /// Where the run is kept, so that it can go on after an interruption.
    pub checkpoint: Option<Keep>,
}

/// Where a run is kept.
#[derive(Clone, Debug)]
pub struct Keep {
    /// The file. The run goes on from it where there is one.
    pub path: PathBuf,
    /// Time between two checkpoints; the end of an epoch makes one too.
    pub every: Duration,
}

/// What a stage of the training has to say.
#[derive(Clone, Copy, Debug)]
pub enum Watched {
    /// The run goes on from its checkpoint, which stands here.
    Resumed(Progress),
    /// The network learns.
    Network(Progress),
    /// The last stage learns: files done, and in all.
    Mix(usize, usize),
}

/// What came of it: bytes of the files held back.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Bytes that were learned from.
    pub learned: u64,
    /// Files held back and their bytes.
    pub held_back: (usize, u64),
    /// What the network alone makes of them, in floating point.
    pub float: f64,
    /// What the network alone makes of them, in the integers of the model.
    pub integer: f64,
    /// Time that the network takes for a byte of them in integers, on one core.
    pub per_byte: Duration,
    /// GMCF files of them, with the integer model.
    pub coded: u64,
    /// Bytes of the model.
    pub model: u64,
}

/// How to train on so many bytes in so many pieces.
fn settings(args: &BaseArgs, bytes: u64, pieces: usize) -> Settings {
    let defaults = Settings::default();
    // Few files make few steps: they had better be small. And a stream without a piece would end the epoch.
    let lanes = (bytes / BYTES_A_LANE).min((pieces / PIECES_A_LANE) as u64) as usize;
    let lanes = lanes.clamp(LEAST_LANES, defaults.lanes).min(pieces).max(1);
    let threads = args.threads.clamp(1, lanes);
    Settings { seed: args.seed, epochs: args.epochs, threads, lanes: lanes / threads * threads, ..defaults }
}

/// Trains a base model on folders of files.
///
/// # Errors
/// [`BaseError`]: before anything is learned when the size is unknown, a folder cannot be read or has too little in it,
/// a file could not be written, or the checkpoint is of another run; later when one can no longer be written.
pub fn base(args: &BaseArgs, watch: &(dyn Fn(Watched) + Sync)) -> Result<Outcome, BaseError> {
    let size = SIZES.into_iter().find(|(name, ..)| *name == args.size);
    let (_, shape, profile) = size.ok_or_else(|| BaseError::Size { found: args.size.clone() })?;
    let kept = args.checkpoint.as_ref().map(|keep| &*keep.path);
    let others: Vec<&Path> = args.curve.as_deref().into_iter().chain(kept).collect();
    outputs::check(&args.output, &others)?;
    let mut corpus = corpus::read(&args.folders, &[&[&*args.output], &others[..]].concat())?;
    if let Some(updates) = &args.updates {
        corpus.updates = corpus::updates(updates)?;
    }
    let learned = corpus.bytes();
    let settings = settings(args, learned, corpus.pieces());
    let net = Net::new(shape);
    let (parameters, curve) = learn::learn(&net, &corpus, &settings, args, watch)?;
    let held = corpus.held;
    let examples: Vec<Example> = held.iter().map(|file| Example::new(file.clone(), &shape)).collect();
    let float = run::measure(&net, &parameters, &examples, settings.threads).iter().sum();
    drop(examples);
    let mut mix = quantise::untrained_mix();
    let layers = quantise::layers(&net, &parameters);
    with_big_stack(|| {
        let model = |mix: &[i16]| quantise::seal(&layers, mix);
        mixing::train(&held, profile, &mut mix, model, None, &mixing::RATES, |done, all| watch(Watched::Mix(done, all)))
    })?;
    let file = quantise::seal(&layers, &mix)?;
    let resident = Resident::open(&file)?;
    let bytes = held.iter().map(|file| file.len() as u64).sum();
    let start = Instant::now();
    let integer = integer::measure(resident.model, &held, settings.threads).iter().sum();
    let per_byte = start.elapsed().mul_f64(settings.threads as f64 / bytes as f64);
    let coded = with_big_stack(|| {
        held.iter().try_fold(0, |sum, new| {
            let job = Job { new, old: None, profile, prior: PRIOR, base: Some(resident) };
            Ok::<_, codec_core::Error>(sum + encode(&job, &Alignment::default(), false)?.bytes.len() as u64)
        })
    })?;
    write_atomic(&args.output, &file).map_err(BaseError::io("write", &args.output))?;
    learn::draw(&curve, args)?;
    Ok(Outcome { learned, held_back: (held.len(), bytes), float, integer, per_byte, coded, model: file.len() as u64 })
}
