//! Can an adapter hold a file for less than the file? Each claim of that kind beside what is measured.
//!
//! Random bytes have 8 bits each, and nothing that rebuilds them takes less. What an adapter of few numbers cannot hold it
//! gives wrong; what a memory of enough numbers holds it takes, and more. The residual is what remains to be sent.

pub mod claims;
pub mod low_rank;
pub mod memory;
pub mod picture;

use crate::backend::check::Random;
use crate::backend::{Backend, BackendError};
use crate::codec::{self, CodecError, Format, Options, Profile};
use claims::Claim;
use low_rank::{LowRank, RANKS, STARTS};
use memory::{DIMS, Memory, PROJECTIONS};
use serde::Serialize;
use std::time::Instant;

/// Bytes of the large random file.
pub const MEGABYTE: usize = 1 << 20;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Lengths of the random files, each from 1.
    pub lengths: Vec<usize>,
    /// Files beside them, by name; none of them empty.
    pub files: Vec<(String, Vec<u8>)>,
    /// Seed of the random files, and of the random matrices.
    pub seed: u64,
    /// Most iterations of one fit.
    pub most: u32,
}

/// Told what is being done: stage, steps done, steps in all.
pub type Watch<'a> = &'a dyn Fn(&str, u64, u64);

/// All that was measured. Field names are part of the interface of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What computed.
    pub backend: String,
    /// What to know of the seconds.
    pub times: &'static str,
    /// Seed.
    pub seed: u64,
    /// Most iterations of one fit.
    pub most_iterations: u32,
    /// File by file.
    pub data: Vec<Data>,
    /// A random mebibyte.
    pub mebibyte: Residual,
    /// The claims, and what was found.
    pub claims: Vec<Claim>,
}

/// One file.
#[derive(Clone, Debug, Serialize)]
pub struct Data {
    /// Its name.
    pub name: String,
    /// Whether it is random by making.
    pub is_random: bool,
    /// Bytes.
    pub bytes: u64,
    /// Low-rank adapters.
    pub low_rank: Vec<LowRank>,
    /// Position memories, fitted by gradient descent from zero.
    pub memories: Vec<Memory>,
    /// A position memory fitted by Adam from random numbers.
    pub adam: memory::ByAdam,
    /// The position memory of 8 x 1 bit, range coded: the GMCF file.
    pub residual: Residual,
}

/// A file as GMCF of version 2, without base model and old file.
#[derive(Clone, Debug, Serialize)]
pub struct Residual {
    /// Bytes of the file.
    pub original_bytes: u64,
    /// Bytes of the GMCF file, header and digest too.
    pub bytes: u64,
    /// The same for each byte of the file.
    pub bytes_per_byte: f64,
    /// Whether it rebuilds the file.
    pub exact: bool,
    /// Seconds to make it.
    pub seconds: f64,
}

/// Why an experiment ended early.
#[derive(Clone, Debug)]
pub enum Failed {
    /// The backend's reason.
    Backend(BackendError),
    /// The codec's.
    Codec(CodecError),
}

impl From<BackendError> for Failed {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}

impl From<CodecError> for Failed {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

/// Measures everything.
///
/// # Errors
/// [`Failed`], with the backend's reason or the codec's.
pub fn run<B: Backend>(backend: &B, settings: &Settings, watch: Watch<'_>) -> Result<Report, Failed> {
    let mut random = Random::new(settings.seed);
    let made = settings.lengths.iter().map(|&len| (format!("random {len}"), random.bytes(len), true));
    let given = settings.files.iter().map(|(name, file)| (name.clone(), file.clone(), false));
    let files: Vec<_> = made.chain(given).collect();
    let each = (RANKS.len() * STARTS.len() + DIMS.len() * PROJECTIONS.len() + 2) as u64;
    let all = files.len() as u64 * each + 1;
    let how = (settings.seed, settings.most);
    let mut done = 0;
    let mut data = Vec::new();
    for (name, file, is_random) in files {
        let mut step = |stage: &str| {
            watch(stage, done, all);
            done += 1;
        };
        let mut adapters = Vec::new();
        for start in STARTS {
            for rank in RANKS {
                step("low rank");
                adapters.push(low_rank::fit(backend, &file, rank, start, how)?);
            }
        }
        let mut memories = Vec::new();
        for projection in PROJECTIONS {
            for dim in DIMS {
                step("memories");
                memories.push(memory::fit(backend, &file, dim, projection, how)?);
            }
        }
        step("memories");
        let adam = memory::by_adam(backend, &file, how)?;
        step("residual");
        let residual = residual(&file)?;
        let bytes = file.len() as u64;
        data.push(Data { name, is_random, bytes, low_rank: adapters, memories, adam, residual });
    }
    watch("residual", done, all);
    let mebibyte = residual(&random.bytes(MEGABYTE))?;
    watch("done", all, all);
    let claims = claims::answer(&data, &mebibyte);
    Ok(Report {
        backend: backend.name(),
        times: "seconds are of this machine, one file at a time; on another one they are others",
        seed: settings.seed,
        most_iterations: settings.most,
        data,
        mebibyte,
        claims,
    })
}

fn residual(file: &[u8]) -> Result<Residual, CodecError> {
    let began = Instant::now();
    let options = Options { profile: Profile::Small, format: Format::V2, base: None, progress: None };
    let made = codec::compress(file, None, &options)?.bytes;
    let seconds = began.elapsed().as_secs_f64();
    let exact = codec::apply_within(&[&made], None, file.len() as u32, None)? == file;
    let (original_bytes, bytes) = (file.len() as u64, made.len() as u64);
    Ok(Residual { original_bytes, bytes, bytes_per_byte: bytes as f64 / original_bytes as f64, exact, seconds })
}
