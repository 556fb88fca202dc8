//! Training of base models.

pub mod adam;
pub mod data;
pub mod evoformer;
#[cfg(test)]
mod gradients;
pub mod layers;
pub mod mixing;
pub mod net;
pub mod quantise;
pub mod run;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::align::Alignment;
use crate::base::Resident;
use crate::files::write_atomic;
use crate::fit::encode::{Job, encode, with_big_stack};
use codec_core::limits::Profile;
use codec_core::neural::shape::{Evoformer, Shape};
use codec_core::predict::prior::PRIOR;
use data::Example;
use net::Net;
use run::{Progress, Settings};

/// Sizes that ship, by name: the network, and the profile whose memory it is made for.
pub const SIZES: [(&str, Shape, Profile); 3] =
    [("nano", NANO, Profile::Small), ("micro", MICRO, Profile::Medium), ("small", SMALL, Profile::Host)];

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

/// Longest piece that a file is cut into, bytes.
const PIECE: usize = 16 << 10;
/// One file in so many is held back: the last stage is trained on those, and losses are told of them.
const HELD_BACK: usize = 12;
/// Bytes that there must be for every stream that is read side by side.
const BYTES_A_LANE: u64 = 4 << 10;
/// Most files that the last stage is trained on.
const MIX_FILES: usize = 300;
/// Most bytes of each.
const MIX_BYTES: usize = 16 << 10;

/// What `gmcf train base` was asked for.
#[derive(Clone, Debug)]
pub struct BaseArgs {
    /// Folders, read with all that is in them.
    pub folders: Vec<PathBuf>,
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
}

/// What a stage of the training has to say.
#[derive(Clone, Copy, Debug)]
pub enum Watched {
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
    /// GMCF files of them, with the integer model.
    pub coded: u64,
    /// Bytes of the model.
    pub model: u64,
}

/// Files of a folder and all folders in it, in the order of their paths.
fn files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let kind = entry.file_type()?;
        if kind.is_dir() {
            files(&entry.path(), found)?;
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// Which files are held back: whole folders, since neighbours are alike, or single files where there is one folder.
/// `names` are the paths within the folder that was named, so that it does not matter where that lies.
fn held_back(names: &[PathBuf]) -> Vec<bool> {
    let folders: BTreeSet<&Path> = names.iter().filter_map(|name| name.parent()).collect();
    let key =
        |name: &'_ Path| if folders.len() > 1 { name.parent().unwrap_or(name).to_owned() } else { name.to_owned() };
    let hash = |key: &Path| {
        let bytes = key.as_os_str().as_encoded_bytes();
        bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
    };
    let keys: BTreeSet<PathBuf> = names.iter().map(|name| key(name)).collect();
    let mut keys: Vec<PathBuf> = keys.into_iter().collect();
    keys.sort_by_key(|key| hash(key));
    keys.truncate(keys.len().div_ceil(HELD_BACK).min(keys.len().saturating_sub(1)));
    names.iter().map(|name| keys.contains(&key(name))).collect()
}

/// Trains a base model on folders of files.
///
/// # Errors
/// When a folder cannot be read or has too little in it, or the model cannot be written.
pub fn base(args: &BaseArgs, watch: &(dyn Fn(Watched) + Sync)) -> io::Result<Outcome> {
    let (_, shape, profile) =
        SIZES.into_iter().find(|(name, ..)| *name == args.size).ok_or_else(|| io::Error::other("no such size"))?;
    let (mut paths, mut names) = (Vec::new(), Vec::new());
    for folder in &args.folders {
        let start = paths.len();
        files(folder, &mut paths)?;
        names.extend(paths[start..].iter().map(|path| path.strip_prefix(folder).unwrap_or(path).to_path_buf()));
    }
    let (mut learned, mut held) = (Vec::new(), Vec::new());
    for (path, is_held_back) in paths.iter().zip(held_back(&names)) {
        let bytes = fs::read(path)?;
        if is_held_back && held.len() < MIX_FILES {
            held.extend(bytes.chunks(MIX_BYTES).next().map(<[u8]>::to_vec));
        } else {
            learned.extend(bytes.chunks(PIECE).map(<[u8]>::to_vec));
        }
    }
    if held.is_empty() || learned.is_empty() {
        return Err(io::Error::other("too few files: some are held back to see what was learned"));
    }
    let total: u64 = learned.iter().map(|piece| piece.len() as u64).sum();
    let examples: Vec<Example> = learned.into_iter().map(|piece| Example::new(piece, &shape)).collect();
    let net = Net::new(shape);
    let mut parameters = net.init(args.seed);
    let (threads, defaults) = (args.threads.max(1), Settings::default());
    // Few files make few steps: they had better be small.
    let lanes = (total / BYTES_A_LANE).clamp(4, defaults.lanes as u64) as usize;
    let lanes = lanes.next_multiple_of(threads);
    let settings = Settings { seed: args.seed, epochs: args.epochs, threads, lanes, ..defaults };
    run::train(&net, &mut parameters, &examples, &settings, |progress| watch(Watched::Network(progress)));
    drop(examples);
    let held_examples: Vec<Example> = held.iter().map(|file| Example::new(file.clone(), &shape)).collect();
    let float = run::measure(&net, &parameters, &held_examples, threads).iter().sum();
    let refused = |error: codec_core::Error| io::Error::other(error.to_string());
    let mut mix = quantise::untrained_mix();
    let layers = quantise::layers(&net, &parameters);
    with_big_stack(|| {
        let model = |mix: &[i16]| quantise::seal(&layers, mix);
        mixing::train(&held, profile, &mut mix, model, |done, all| watch(Watched::Mix(done, all)))
    })
    .map_err(refused)?;
    let file = quantise::seal(&layers, &mix).map_err(refused)?;
    let resident = Resident::open(&file).map_err(refused)?;
    let coded = with_big_stack(|| {
        held.iter().try_fold(0, |sum, new| {
            let job = Job { new, old: None, profile, prior: PRIOR, base: Some(resident) };
            Ok(sum + encode(&job, &Alignment::default(), false)?.bytes.len() as u64)
        })
    })
    .map_err(refused)?;
    write_atomic(&args.output, &file)?;
    let held_bytes = held.iter().map(|file| file.len() as u64).sum();
    Ok(Outcome { learned: total, held_back: (held.len(), held_bytes), float, coded, model: file.len() as u64 })
}
