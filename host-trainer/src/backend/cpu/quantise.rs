//! Floats to packed codes, and back, on the CPU.

use super::Cpu;
use crate::backend::quantise::{PIECE, fits, position_code, position_value};
use crate::backend::{BackendError, Bits, Quantise, expect};

/// The sum of the magnitudes of a piece, in the order that [`Quantise::quantise`] gives.
fn piece(x: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 32];
    for (i, x) in x.iter().enumerate() {
        lanes[i / 4 % 32] += x.abs();
    }
    for half in [16, 8, 4, 2, 1] {
        for l in 0..half {
            lanes[l] += lanes[l + half];
        }
    }
    lanes[0]
}

fn magnitudes(x: &[f32]) -> f32 {
    let mut sums: Vec<f32> = x.chunks(PIECE).map(piece).collect();
    while sums.len() > 1 {
        sums = sums.chunks(PIECE).map(piece).collect();
    }
    sums[0]
}

fn scale(bits: Bits, group: &[f32]) -> f32 {
    match bits {
        Bits::One => magnitudes(group) / group.len() as f32,
        _ => group.iter().fold(0.0f32, |most, x| most.max(x.abs())) / bits.largest(),
    }
}

fn code(bits: Bits, scale: f32, x: f32) -> i32 {
    match bits {
        Bits::One => i32::from(x >= 0.0),
        _ if scale == 0.0 => 0,
        _ => (x / scale).round_ties_even().clamp(-bits.largest(), bits.largest()) as i32,
    }
}

/// Code `i` of packed ones, with its sign.
fn unpacked(bits: Bits, codes: &[u32], i: usize) -> i32 {
    let (count, at) = (bits.count(), i * bits.count());
    (codes[at / 32] << (32 - count - at % 32)) as i32 >> (32 - count)
}

impl Cpu {
    /// Packs the codes of the numbers `0..len`.
    fn pack(&self, bits: Bits, len: usize, codes: &mut [u32], code: impl Fn(usize) -> i32 + Sync) {
        let (count, a_word) = (bits.count(), 32 / bits.count());
        self.rows(codes, 1, |first, words| {
            for (at, word) in (first..).zip(words) {
                let numbers = at * a_word..len.min((at + 1) * a_word);
                let bits = |i: usize| code(i) as u32 & ((1 << count) - 1);
                *word = numbers.fold(0, |word, i| word | bits(i) << (i % a_word * count));
            }
        });
    }
}

impl Quantise for Cpu {
    fn quantise(
        &self,
        bits: Bits,
        group: usize,
        x: &Vec<f32>,
        codes: &mut Vec<u32>,
        scales: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        fits(bits, group, x.len(), codes.len(), scales.len())?;
        self.fill(scales, |i| scale(bits, &x[i * group..][..group]));
        self.pack(bits, x.len(), codes, |i| code(bits, scales[i / group], x[i]));
        Ok(())
    }

    fn dequantise(
        &self,
        bits: Bits,
        group: usize,
        codes: &Vec<u32>,
        scales: &Vec<f32>,
        out: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        fits(bits, group, out.len(), codes.len(), scales.len())?;
        self.fill(out, |i| match (bits, unpacked(bits, codes, i)) {
            (Bits::One, 0) => -scales[i / group],
            (Bits::One, _) => scales[i / group],
            (_, code) => code as f32 * scales[i / group],
        });
        Ok(())
    }

    fn position_codes(&self, bits: Bits, step: f32, x: &Vec<f32>, codes: &mut Vec<u32>) -> Result<(), BackendError> {
        expect("words of codes", codes.len(), bits.words(x.len()))?;
        self.pack(bits, x.len(), codes, |i| position_code(bits.count() as u32, step, x[i]).into());
        Ok(())
    }

    fn position_values(&self, bits: Bits, step: f32, codes: &Vec<u32>, out: &mut Vec<f32>) -> Result<(), BackendError> {
        expect("words of codes", codes.len(), bits.words(out.len()))?;
        self.fill(out, |i| position_value(step, unpacked(bits, codes, i) as i8));
        Ok(())
    }
}
