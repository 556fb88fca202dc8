//! Position memories: how many numbers of how many bits hold a file.

use crate::backend::check::Random;
use crate::backend::quantise::position_value;
use crate::backend::{Backend, BackendError, MemoryShape};
use crate::fit::memory::{natural, natural_bytes, quantise, step_of};
use crate::train::neural::adam;
use serde::Serialize;
use std::time::Instant;

/// Dimensions that are tried.
pub const DIMS: [u32; 6] = [8, 16, 32, 64, 128, 256];
/// Bits of a number that are tried; 32 are the floats as they were fitted.
pub const BITS: [u32; 5] = [32, 8, 4, 2, 1];
/// Bits of a float.
pub const FLOAT: u32 = 32;
/// Length of a step of gradient descent.
const RATE: f32 = 1.0;

/// So that the projection is not made from the numbers that the file is made from.
const SALT: u64 = 0x6f75_7470_7574;

/// What turns a row into a byte. No file pays for it: it is the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Projection {
    /// 1 where a bit of the byte is set, else -1.
    Natural,
    /// Random numbers from -1 to 1.
    Random,
}

/// Both.
pub const PROJECTIONS: [Projection; 2] = [Projection::Natural, Projection::Random];

impl Projection {
    /// As a table names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Natural => "natural code",
            Self::Random => "random projection",
        }
    }

    /// `[256, dim]`.
    fn numbers(self, dim: u32, seed: u64) -> Vec<f32> {
        match self {
            Self::Natural => natural(dim),
            Self::Random => Random::new(seed ^ SALT).floats(256 * dim as usize),
        }
    }
}

/// A memory of one file with numbers of one width.
#[derive(Clone, Debug, Serialize)]
pub struct Held {
    /// Bits of a number.
    pub bits: u32,
    /// Share of the bytes that come out right.
    pub right: f64,
    /// Whether all do.
    pub exact: bool,
    /// Bytes of the numbers, packed, without any header.
    pub adapter_bytes: u64,
    /// The same for each byte of the file.
    pub bytes_per_byte: f64,
    /// Seconds to round the fitted numbers to this width and read them back.
    pub seconds: f64,
}

/// Memories of one file with rows of one length.
#[derive(Clone, Debug, Serialize)]
pub struct Memory {
    /// What turns a row into a byte.
    pub projection: Projection,
    /// Numbers for a byte.
    pub dim: u32,
    /// Share of the bytes that are right after one step, which is a closed form.
    pub right_after_one: f64,
    /// Steps of gradient descent until all bytes were right, or no more were allowed.
    pub iterations: u32,
    /// Seconds to fit it.
    pub seconds: f64,
    /// By the width of a number.
    pub held: Vec<Held>,
}

/// Fits a memory to `file`, which is not empty, by gradient descent from zero until all bytes are right, `most` steps at
/// most, and rounds it to each width.
///
/// # Errors
/// Those of the backend.
pub fn fit<B: Backend>(
    backend: &B,
    file: &[u8],
    dim: u32,
    projection: Projection,
    (seed, most): (u64, u32),
) -> Result<Memory, BackendError> {
    let out = backend.upload(&projection.numbers(dim, seed))?;
    let began = Instant::now();
    let shape = MemoryShape { files: 1, len: file.len(), dim: dim as usize };
    let targets = backend.upload(file)?;
    let mut rows = backend.zeros(file.len() * dim as usize)?;
    let (mut costs, mut right) = (backend.zeros(1)?, backend.zeros(1)?);
    let share = |hits: usize| hits as f64 / file.len() as f64;
    let (mut iterations, mut after_one) = (0, 0.0);
    while iterations < most {
        backend.memory_step(shape, RATE, &out, &targets, &mut rows, &mut costs, &mut right)?;
        backend.memory_cost(shape, &out, &targets, &rows, &mut costs, &mut right)?;
        iterations += 1;
        let hits = backend.download(&right)?[0] as usize;
        if iterations == 1 {
            after_one = share(hits);
        }
        if hits == file.len() {
            break;
        }
    }
    let rows = backend.download(&rows)?;
    let seconds = began.elapsed().as_secs_f64();

    let largest = rows.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    let held = BITS.map(|bits| {
        let began = Instant::now();
        let read = match (bits, projection) {
            (FLOAT, _) => read(backend, shape, &out, &rows)?,
            (_, Projection::Natural) => {
                // As a decoder does, in integers.
                natural_bytes(&quantise(&rows, bits, step_of(bits, largest)), dim, bits).unwrap_or_default()
            }
            (_, Projection::Random) => {
                let step = step_of(bits, largest);
                let codes = quantise(&rows, bits, step);
                let values: Vec<f32> = codes.iter().map(|code| position_value(step, *code)).collect();
                read(backend, shape, &out, &values)?
            }
        };
        let hits = read.iter().zip(file).filter(|(a, b)| a == b).count();
        let adapter_bytes = (rows.len() as u64 * u64::from(bits)).div_ceil(8);
        let bytes_per_byte = adapter_bytes as f64 / file.len() as f64;
        let seconds = began.elapsed().as_secs_f64();
        Ok(Held { bits, right: share(hits), exact: hits == file.len(), adapter_bytes, bytes_per_byte, seconds })
    });
    let held = held.into_iter().collect::<Result<_, _>>()?;
    Ok(Memory { projection, dim, right_after_one: after_one, iterations, seconds, held })
}

/// What a backend reads.
fn read<B: Backend>(
    backend: &B,
    shape: MemoryShape,
    out: &B::Buffer<f32>,
    rows: &[f32],
) -> Result<Vec<u8>, BackendError> {
    let rows = backend.upload(rows)?;
    let mut bytes = backend.zeros(shape.len)?;
    backend.memory_read(shape, out, &rows, &mut bytes)?;
    backend.download(&bytes)
}

/// A memory of [`ADAM_DIM`] floats a byte under a random projection, fitted by Adam from random rows.
#[derive(Clone, Debug, Serialize)]
pub struct ByAdam {
    /// Numbers for a byte.
    pub dim: u32,
    /// Share of the bytes that come out right.
    pub right: f64,
    /// Whether all do.
    pub exact: bool,
    /// Steps until all were right, or no more were allowed.
    pub iterations: u32,
    /// Seconds to fit it.
    pub seconds: f64,
}

/// Dimensions of the memory that Adam fits.
pub const ADAM_DIM: u32 = 64;
/// Learning rate of Adam.
pub const ADAM_RATE: f32 = 0.05;

/// Fits a memory by Adam, from rows between -1 and 1, until all bytes of `file` are right, `most` steps at most. The
/// projection is [`Projection::Random`] and stays as it is.
///
/// # Errors
/// Those of the backend.
pub fn by_adam<B: Backend>(backend: &B, file: &[u8], (seed, most): (u64, u32)) -> Result<ByAdam, BackendError> {
    let dim = ADAM_DIM;
    let out = backend.upload(&Projection::Random.numbers(dim, seed))?;
    let began = Instant::now();
    let shape = MemoryShape { files: 1, len: file.len(), dim: dim as usize };
    let numbers = file.len() * dim as usize;
    let targets = backend.upload(file)?;
    let (mut costs, mut right) = (backend.zeros(1)?, backend.zeros(1)?);
    let (mut d_rows, mut d_out) = (backend.zeros(numbers)?, backend.zeros(256 * dim as usize)?);
    let mut rows = backend.upload(&Random::new(!seed).floats(numbers))?;
    let (mut m, mut v) = (backend.zeros(numbers)?, backend.zeros(numbers)?);
    let mut iterations = 0;
    let hits = loop {
        backend.memory_cost(shape, &out, &targets, &rows, &mut costs, &mut right)?;
        let hits = backend.download(&right)?[0] as usize;
        if hits == file.len() || iterations == most {
            break hits;
        }
        backend.memory_gradients(shape, &out, &targets, &rows, &mut d_rows, &mut d_out)?;
        iterations += 1;
        backend.adam_step(adam::step(ADAM_RATE, 0.0, iterations as i32), &d_rows, &mut m, &mut v, &mut rows)?;
    };
    let right = hits as f64 / file.len() as f64;
    Ok(ByAdam { dim, right, exact: hits == file.len(), iterations, seconds: began.elapsed().as_secs_f64() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::Cpu;

    #[test]
    fn the_natural_code_is_right_after_one_step_at_every_width() {
        let file: Vec<u8> = (0..=255).collect();
        for dim in [8, 64, 256] {
            let memory = fit(&Cpu::new(1), &file, dim, Projection::Natural, (1, 11)).unwrap();
            assert_eq!((memory.iterations, memory.right_after_one), (1, 1.0));
            assert!(memory.held.iter().all(|held| held.exact));
            assert_eq!(memory.held[4].adapter_bytes, u64::from(dim) * 32);
        }
    }

    /// One bit for each of 8 random directions is not enough for 256 bytes, and the experiment says so.
    #[test]
    fn a_random_projection_needs_more() {
        let file: Vec<u8> = (0..=255).collect();
        let memory = |dim| fit(&Cpu::new(1), &file, dim, Projection::Random, (1, 11)).unwrap();
        assert!(memory(64).held.iter().all(|held| held.exact));
        let small = memory(8);
        assert!(!small.held[4].exact && small.held[4].right < 0.9, "{small:?}");
        let adam = by_adam(&Cpu::new(1), &file, (1, 100)).unwrap();
        assert!(adam.exact && adam.iterations > 1, "{adam:?}");
    }
}
