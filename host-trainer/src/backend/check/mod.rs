//! Whether a backend computes what it should: every operation beside a reference in f64, with the error that it may have.
//!
//! [`cases`] is the one list; `tests` runs it on every backend, `gmcf gpu-check` on the GPU that is there.

mod attention;
mod differences;
mod gates;
mod losses;
mod low_rank;
mod matmul;
mod memories;
mod norms;
mod optimisers;
mod pairs;
mod quantise;
mod reductions;
mod softmax;
mod sparse;
mod tensor;
pub mod timing;
mod vectors;

use super::{Backend, BackendError};

/// How far a result may be from the reference: `norm(result - reference) / norm(reference)`. A NaN is beyond any.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Error {
    /// What was found.
    pub found: f64,
    /// What is allowed; 0 for results that must be exact.
    pub allowed: f64,
}

impl Error {
    /// The distance of `found` from `expected`.
    pub fn between(found: &[f32], expected: &[f64], allowed: f64) -> Self {
        assert_eq!(found.len(), expected.len(), "as many numbers as the reference has");
        let square = |x: f64| x * x;
        let error: f64 = found.iter().zip(expected).map(|(f, e)| square(f64::from(*f) - e)).sum();
        let all: f64 = expected.iter().map(|e| square(*e)).sum();
        Self { found: (error / all.max(f64::MIN_POSITIVE)).sqrt(), allowed }
    }

    /// No distance: whether integers are equal.
    pub fn exact<T: PartialEq>(found: &[T], expected: &[T]) -> Self {
        let differ = found.len().abs_diff(expected.len()) + found.iter().zip(expected).filter(|(f, e)| f != e).count();
        Self { found: differ as f64, allowed: 0.0 }
    }

    /// The worse of two.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        let beyond = |e: &Self| if e.within() { e.found } else { f64::INFINITY };
        if beyond(&other) > beyond(&self) { other } else { self }
    }

    /// Whether it is allowed.
    pub fn within(&self) -> bool {
        self.found <= self.allowed
    }
}

/// Random numbers that are the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Started with `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Any 32 bits.
    pub fn word(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    /// `len` numbers from -1 to 1.
    pub fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| (self.word() >> 8) as f32 / (1u32 << 23) as f32 - 1.0).collect()
    }

    /// `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.word() as u8).collect()
    }
}

/// What an operation takes at a size that fills a device.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Bytes that have to be read or written at least: each input once, each output once.
    pub bytes: f64,
    /// Multiplications and additions.
    pub operations: f64,
    /// What does them.
    pub unit: Unit,
}

/// A unit of a GPU with its own ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Fused multiply-add of f32.
    Fma,
    /// Matrix products of bfloat16, summed in f32.
    Bf16,
    /// Matrix products of signed bytes, summed in i32.
    Int8,
}

/// One timed operation: its work, and what starts it once.
pub type Timed<'a> = (Work, Box<dyn FnMut() -> Result<(), BackendError> + 'a>);

/// Prepares an operation that is to be timed.
pub type Prepare<B> = for<'a> fn(&'a B, &mut Random) -> Result<Timed<'a>, BackendError>;

/// One operation.
pub struct Case<B: Backend> {
    /// What it is, and at which size.
    pub name: &'static str,
    /// The kernels that it starts on a GPU.
    pub kernels: &'static [&'static str],
    /// Computes it at sizes that show its edges, and compares.
    pub check: fn(&B, &mut Random) -> Result<Error, BackendError>,
    /// Prepares it at a size that fills a GPU; none where the time means nothing.
    pub time: Option<Prepare<B>>,
}

/// All operations.
pub fn cases<B: Backend>() -> Vec<Case<B>> {
    let families = [
        vectors::cases(),
        matmul::cases(),
        tensor::cases(),
        reductions::cases(),
        optimisers::cases(),
        quantise::cases(),
        sparse::cases(),
        memories::cases(),
        losses::cases(),
        low_rank::cases(),
        gates::cases(),
        norms::cases(),
        softmax::cases(),
        attention::cases(),
        pairs::cases(),
    ];
    families.into_iter().flatten().collect()
}
