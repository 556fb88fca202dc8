//! Floats to packed codes, and back: the same bits on every device, of finite numbers.

use super::{BackendError, Device};

/// Most numbers whose magnitudes are summed one after another, see [`Quantise::quantise`].
pub(crate) const PIECE: usize = 1024;

/// Bits of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// 1.
    One = 1,
    /// 2.
    Two = 2,
    /// 4.
    Four = 4,
    /// 8.
    Eight = 8,
}

impl Bits {
    /// How many.
    pub fn count(self) -> usize {
        self as usize
    }

    /// Words of `len` codes, packed the least significant first, the last filled with zeros.
    pub fn words(self, len: usize) -> usize {
        (len * self.count()).div_ceil(32)
    }

    /// The largest symmetric code: 2^(bits - 1) - 1.
    pub(crate) fn largest(self) -> f32 {
        ((1 << (self.count() - 1)) - 1) as f32
    }
}

/// Quantisation of f32. Codes are packed into words of 32 bits, the least significant first. Numbers are finite.
pub trait Quantise: Device {
    /// Codes of a matrix whose rows are cut into groups of `group` numbers with a scale each: `x [n]`, n a multiple of
    /// `group`, gives `codes` (packed) and `scales [n / group]`. `group` is a multiple of 32; a whole row, or a whole tensor,
    /// may be one group.
    ///
    /// With 8, 4 or 2 bits, `scale` = the largest magnitude / (2^(bits - 1) - 1) and `code` = `x / scale` to the nearest
    /// integer, ties to even, no larger than 2^(bits - 1) - 1; where the scale is 0 the codes are 0. With 1 bit (BitDelta, Liu
    /// and others, 2024), `scale` = the mean magnitude and `code` = 1 where `x >= 0`. All divisions are rounded to nearest.
    ///
    /// The sum of magnitudes has one order. A group is cut into pieces of 1024 numbers; of a piece, lane `l` of 32 adds the
    /// numbers `i` with `i / 4 % 32 = l` as they come, and lanes that are 16, 8, 4, 2, 1 apart are added. The sums of pieces
    /// are summed in the same way until one is left.
    ///
    /// # Errors
    /// [`BackendError::Shape`] when a buffer has another length than the sizes say, or `group` is no multiple of 32.
    fn quantise(
        &self,
        bits: Bits,
        group: usize,
        x: &Self::Buffer<f32>,
        codes: &mut Self::Buffer<u32>,
        scales: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// `out[i]` = code `i` times the scale of its group; of 1 bit the scale or minus it.
    ///
    /// # Errors
    /// As [`quantise`](Self::quantise).
    fn dequantise(
        &self,
        bits: Bits,
        group: usize,
        codes: &Self::Buffer<u32>,
        scales: &Self::Buffer<f32>,
        out: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// Codes of a position memory, between the steps: `floor(x[i] / step)`, at least -2^(bits - 1) and less than 2^(bits - 1);
    /// the division is rounded to nearest. Any length; bits beyond the last code are 0.
    ///
    /// # Errors
    /// [`BackendError::Shape`] when `codes` has another length than [`Bits::words`] says.
    fn position_codes(
        &self,
        bits: Bits,
        step: f32,
        x: &Self::Buffer<f32>,
        codes: &mut Self::Buffer<u32>,
    ) -> Result<(), BackendError>;

    /// `out[i]` = (code `i` + 1/2) `step`.
    ///
    /// # Errors
    /// As [`position_codes`](Self::position_codes).
    fn position_values(
        &self,
        bits: Bits,
        step: f32,
        codes: &Self::Buffer<u32>,
        out: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;
}

/// The code of a position memory's number, see [`Quantise::position_codes`].
pub(crate) fn position_code(bits: u32, step: f32, x: f32) -> i8 {
    let half = (1u32 << (bits - 1)) as f32;
    (x / step).floor().clamp(-half, half - 1.0) as i8
}

/// The number that a code stands for, see [`Quantise::position_values`].
pub(crate) fn position_value(step: f32, code: i8) -> f32 {
    (f32::from(code) + 0.5) * step
}

/// Refuses what does not fit together.
pub(crate) fn fits(bits: Bits, group: usize, x: usize, codes: usize, scales: usize) -> Result<(), BackendError> {
    super::expect("group modulo 32", group % 32, 0)?;
    super::expect("length of scales", scales * group, x)?;
    super::expect("words of codes", codes, bits.words(x))
}
