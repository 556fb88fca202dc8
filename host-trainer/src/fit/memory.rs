//! Fits position memories: FORMAT.md of `codec-core`, section 7.
//!
//! A memory is a softmax regression with an input of its own for every position, so each of its rows is fitted by itself:
//! gradient descent on the cross entropy of the byte that stands there. From rows of zeros all bytes are equally likely, and
//! the first step is the closed form `rate x (out[y] - mean(out))`.

use crate::backend::quantise::position_code;
use crate::backend::{Backend, BackendError, Bits, MemoryShape};
use codec_core::container::packed::pack;
use codec_core::neural::memory::{BYTES, Memory, codes_len};

/// Dimensions that are tried.
pub const DIMS: [u32; 4] = [8, 16, 32, 64];
/// Bits of a code that are tried.
pub const BITS: [u32; 4] = [8, 4, 2, 1];
/// Steps after which a memory that is not right yet is given up.
pub const MOST_STEPS: u32 = 11;
/// Length of a step.
const RATE: f32 = 1.0;
/// Most numbers in the rows of one batch.
const BATCH: usize = 1 << 26;

/// The natural code, `[256, dim]`: 1 where bit `k` mod 8 of the byte is set, else -1.
pub fn natural(dim: u32) -> Vec<f32> {
    let bit = |byte: u32, k: u32| if byte >> (k % 8) & 1 == 1 { 1.0 } else { -1.0 };
    (0..BYTES).flat_map(|byte| (0..dim).map(move |k| bit(byte, k))).collect()
}

/// Distance of two neighbouring levels of `bits` bits, where the outermost ones lie at `largest` and `-largest`.
pub fn step_of(bits: u32, largest: f32) -> f32 {
    2.0 * largest / ((1u32 << bits) - 1) as f32
}

/// The codes of `rows`: a code stands for `step` x (code + 1/2), and the outermost ones for all that lies beyond too.
pub fn quantise(rows: &[f32], bits: u32, step: f32) -> Vec<i8> {
    rows.iter().map(|value| position_code(bits, step, *value)).collect()
}

/// Memories of files under the natural code, as integers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes {
    /// Dimensions.
    pub dim: u32,
    /// Bits of a code.
    pub bits: u32,
    /// `[len, dim]`.
    pub codes: Vec<i8>,
}

impl Codes {
    /// Of the rows of one file, `[len, dim]`, that [`fit`] made.
    ///
    /// The step is made from `RATE`, not from the rows, so that every backend writes the same container: after one step
    /// each value is `RATE` or `-RATE` but for rounding, which is the middle of the outermost levels, and half a level away
    /// from the nearest threshold. More steps only move a value further out, since `out[y] - E[out]` has the sign of
    /// `out[y]` whatever the probabilities are, and it stays on its outermost level.
    pub fn new(rows: &[f32], dim: u32, bits: u32) -> Self {
        Self { dim, bits, codes: quantise(rows, bits, step_of(bits, RATE)) }
    }

    /// Distance of two levels.
    pub fn step(&self) -> f32 {
        step_of(self.bits, RATE)
    }

    /// Bytes of the codes, packed.
    pub fn packed_len(&self) -> u64 {
        (self.codes.len() as u64 * u64::from(self.bits)).div_ceil(8)
    }

    /// Whether a decoder reads `content`.
    pub fn says(&self, content: &[u8]) -> bool {
        natural_bytes(&self.codes, self.dim, self.bits).is_some_and(|bytes| bytes == content)
    }
}

/// What a decoder reads under the natural code; none for codes that the format does not have.
pub fn natural_bytes(codes: &[i8], dim: u32, bits: u32) -> Option<Vec<u8>> {
    let len = u32::try_from(codes.len() / dim.max(1) as usize).ok()?;
    let mut packed = vec![0; codes_len(len, dim, bits).ok()? as usize];
    pack(codes, bits, &mut packed).ok()?;
    let mut bytes = vec![0; len as usize];
    Memory::new_checked(&packed, None, len, dim, bits).ok()?.read(0, &mut bytes).ok()?;
    Some(bytes)
}

/// What has been fitted.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// Rows, `[files, len, dim]`.
    pub rows: Vec<f32>,
    /// Dimensions.
    pub dim: u32,
    /// Steps taken.
    pub steps: u32,
}

impl Fitted {
    /// Rows of file by file, `[len, dim]` each, of `files` in all.
    pub fn by_file(&self, files: usize) -> impl Iterator<Item = &[f32]> {
        let each = self.rows.len() / files.max(1);
        (0..files).map(move |i| &self.rows[i * each..(i + 1) * each])
    }
}

/// Memories on a backend, from rows of zeros.
struct Fitting<'a, B: Backend> {
    backend: &'a B,
    shape: MemoryShape,
    out: B::Buffer<f32>,
    targets: B::Buffer<u8>,
    rows: B::Buffer<f32>,
    costs: B::Buffer<f32>,
    right: B::Buffer<u32>,
}

impl<'a, B: Backend> Fitting<'a, B> {
    /// For files of `len` bytes that stand one behind the other, under the natural code.
    fn new(backend: &'a B, contents: &[u8], len: usize, dim: u32) -> Result<Self, BackendError> {
        let files = contents.len() / len.max(1);
        let shape = MemoryShape { files, len, dim: dim as usize };
        let (out, targets) = (backend.upload(&natural(dim))?, backend.upload(contents)?);
        let rows = backend.zeros(contents.len() * dim as usize)?;
        let (costs, right) = (backend.zeros(files)?, backend.zeros(files)?);
        Ok(Self { backend, shape, out, targets, rows, costs, right })
    }

    /// One step of gradient descent.
    fn step(&mut self) -> Result<(), BackendError> {
        let Self { backend, shape, out, targets, rows, costs, right } = self;
        backend.memory_step(*shape, RATE, out, targets, rows, costs, right)
    }
}

/// Fits memories of `dim` dimensions to files of one length, until a decoder reads all of them from codes of any width, or
/// for [`MOST_STEPS`].
///
/// # Errors
/// Those of the backend; [`BackendError::Shape`] for files of different lengths.
pub fn fit<B: Backend>(backend: &B, files: &[&[u8]], dim: u32) -> Result<Fitted, BackendError> {
    let len = files.first().map_or(0, |file| file.len());
    if let Some(other) = files.iter().find(|file| file.len() != len) {
        return Err(BackendError::Shape { what: "length of a file", found: other.len(), expected: len });
    }
    let numbers = files.len() * len * dim as usize;
    let mut fitted = Fitted { rows: vec![0.0; numbers], dim, steps: 0 };
    if numbers == 0 {
        return Ok(fitted);
    }
    let mut fitting = Fitting::new(backend, &files.concat(), len, dim)?;
    while fitted.steps < MOST_STEPS {
        fitting.step()?;
        fitted.steps += 1;
        fitted.rows = backend.download(&fitting.rows)?;
        let is_right = |(rows, file): (&[f32], &&[u8])| BITS.iter().all(|bits| Codes::new(rows, dim, *bits).says(file));
        if fitted.by_file(files.len()).zip(files).all(is_right) {
            break;
        }
    }
    Ok(fitted)
}

/// Memories of many files as packed codes, and what is read from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Codes of all files, `[files, len, dim]`, packed the least significant first, as a GMCF file has them.
    pub words: Vec<u32>,
    /// The bytes that the quantised memories say, `[files, len]`.
    pub read: Vec<u8>,
}

/// Fits memories of `dim` dimensions to files of `len` bytes that stand one behind the other in `contents`, in one step, and
/// quantises and reads them on the backend: nothing but codes and bytes comes back.
///
/// # Errors
/// Those of the backend; [`BackendError::Shape`] where `contents` are no whole files.
pub fn fit_packed<B: Backend>(
    backend: &B,
    contents: &[u8],
    len: usize,
    dim: u32,
    bits: Bits,
) -> Result<Packed, BackendError> {
    let mut fitting = Fitting::new(backend, contents, len, dim)?;
    fitting.step()?;
    let Fitting { shape, out, mut rows, .. } = fitting;
    let step = step_of(bits.count() as u32, RATE);
    let words = bits.words(contents.len() * dim as usize);
    let (mut codes, mut read) = (backend.zeros(words)?, backend.zeros(contents.len())?);
    backend.position_codes(bits, step, &rows, &mut codes)?;
    backend.position_values(bits, step, &codes, &mut rows)?;
    backend.memory_read(shape, &out, &rows, &mut read)?;
    Ok(Packed { words: backend.download(&codes)?, read: backend.download(&read)? })
}

/// Calls `each` with every file's index and its rows, `[len, dim]`. Files of equal length are fitted together, as many as
/// fit a batch.
///
/// # Errors
/// Those of [`fit`].
pub fn fit_all<B: Backend, F: AsRef<[u8]>>(
    backend: &B,
    files: &[F],
    dim: u32,
    mut each: impl FnMut(usize, &[f32]),
) -> Result<(), BackendError> {
    let mut order: Vec<usize> = (0..files.len()).collect();
    let len = |i: usize| files[i].as_ref().len();
    order.sort_by_key(|&i| len(i));
    for same in order.chunk_by(|&a, &b| len(a) == len(b)) {
        let numbers = len(same[0]) * dim as usize;
        for batch in same.chunks((BATCH / numbers.max(1)).max(1)) {
            let contents: Vec<&[u8]> = batch.iter().map(|&i| files[i].as_ref()).collect();
            let fitted = fit(backend, &contents, dim)?;
            for (&i, rows) in batch.iter().zip(fitted.by_file(batch.len())) {
                each(i, rows);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::Cpu;

    /// The step is the closed form, values stand in the middle of the outermost levels, and every width reads every byte.
    #[test]
    fn one_step_is_enough_and_far_from_every_threshold() {
        let file: Vec<u8> = (0..=255).collect();
        for dim in DIMS {
            let fitted = fit(&Cpu::new(1), &[&file], dim).unwrap();
            assert_eq!((fitted.steps, fitted.rows.len()), (1, 256 * dim as usize));
            let out = natural(dim);
            assert!(fitted.rows.iter().zip(&out).all(|(value, out)| (value - RATE * out).abs() < 1e-5));
            for bits in BITS {
                let codes = Codes::new(&fitted.rows, dim, bits);
                assert!(codes.says(&file));
                // What another rounding could have made of the values: the same codes.
                for factor in [0.997, 1.003, 20.0] {
                    let other: Vec<f32> = fitted.rows.iter().map(|value| value * factor).collect();
                    assert_eq!(Codes::new(&other, dim, bits), codes, "{dim} x {bits}, {factor}");
                }
            }
        }
    }

    /// What a backend packs is what the format has, and what it reads is the files.
    #[test]
    fn packed_codes_are_those_of_the_format() {
        let files: Vec<u8> = (0..3 * 100u32).map(|i| (i * 89 + i * i / 7) as u8).collect();
        for (bits, width) in [(Bits::One, 1), (Bits::Two, 2), (Bits::Four, 4), (Bits::Eight, 8)] {
            let packed = fit_packed(&Cpu::new(1), &files, 100, 16, bits).unwrap();
            assert_eq!(packed.read, files);
            let fitted = fit(&Cpu::new(1), &[&files], 16).unwrap();
            let mut expected = vec![0; packed.words.len() * 4];
            pack(&Codes::new(&fitted.rows, 16, width).codes, width, &mut expected).unwrap();
            let found: Vec<u8> = packed.words.iter().flat_map(|word| word.to_le_bytes()).collect();
            assert_eq!(found, expected, "{width} bits");
        }
    }

    #[test]
    fn another_content_is_not_said() {
        let codes = Codes::new(&fit(&Cpu::new(1), &[b"abc"], 8).unwrap().rows, 8, 1);
        assert!(codes.says(b"abc") && !codes.says(b"abd") && !codes.says(b"ab"));
        assert_eq!(codes.packed_len(), 3);
    }

    #[test]
    fn files_come_back_to_their_places() {
        let files: Vec<Vec<u8>> = [&b"abc"[..], b"", b"z", b"def", b"y", b"longest"].map(<[u8]>::to_vec).into();
        let mut seen = vec![0; files.len()];
        fit_all(&Cpu::new(2), &files, 16, |i, rows| {
            seen[i] += 1;
            assert!(Codes::new(rows, 16, 2).says(&files[i]), "{i}");
        })
        .unwrap();
        assert_eq!(seen, [1; 6]);
        assert!(matches!(fit(&Cpu::new(1), &[b"a", b"bc"], 8), Err(BackendError::Shape { .. })));
    }
}
