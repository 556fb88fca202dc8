//! What the layers of the network are made of: numbers of 16 bit in Q11, sums of 64.

use super::shape::LEAST_SQUARE;

/// Largest number of weights that [`softmax`] gives.
pub(crate) const MOST_WEIGHTS: usize = 16;
/// `log2(e)` in Q14.
const LOG2_E: i64 = 23637;

/// `2^(15 - i / 64)`, rounded.
static EXP2: [u16; 65] = [
    32768, 32415, 32066, 31720, 31379, 31041, 30706, 30376, 30048, 29725, 29405, 29088, 28774, 28464, 28158, 27855,
    27554, 27258, 26964, 26674, 26386, 26102, 25821, 25543, 25268, 24995, 24726, 24460, 24196, 23936, 23678, 23423,
    23170, 22921, 22674, 22430, 22188, 21949, 21713, 21479, 21247, 21019, 20792, 20568, 20347, 20127, 19911, 19696,
    19484, 19274, 19066, 18861, 18658, 18457, 18258, 18061, 17867, 17674, 17484, 17296, 17109, 16925, 16743, 16562,
    16384,
];

/// The nearest number of 16 bit.
#[inline]
pub(crate) fn narrow(x: i32) -> u16 {
    x.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16 as u16
}

/// A number of 16 bit with a sign.
#[inline]
pub(crate) fn signed(x: u16) -> i32 {
    i32::from(x.cast_signed())
}

/// Adds `y` to the number at `x`, saturating.
#[inline]
pub(crate) fn add(x: &mut u16, y: i32) {
    *x = narrow(signed(*x).saturating_add(y));
}

/// Sum of products of at most 2^16 numbers, Q22.
#[inline]
pub(crate) fn products(a: &[u16], b: &[u16]) -> i64 {
    a.iter().zip(b).map(|(a, b)| i64::from(signed(*a) * signed(*b))).sum()
}

/// Writes `x` divided by the root of its mean square to `to`. At most 2^8 numbers.
pub(crate) fn normalise(x: &[u16], to: &mut [u16]) {
    // Squares in Q15, at most 2^23: 256 of them fit 32 bits.
    let square = |x: &u16| (signed(*x) * signed(*x)) as u32 >> 7;
    let mean = x.iter().map(square).sum::<u32>() / x.len().max(1) as u32 + LEAST_SQUARE;
    // Q22, so its root is in Q11: at least 64, at most 2^15.
    let root = (mean << 7).isqrt();
    let inverse = (1u32 << 26) / root;
    for (x, to) in x.iter().zip(to) {
        let scaled = (i64::from(signed(*x)) * i64::from(inverse) + (1 << 14)) >> 15;
        *to = narrow(scaled as i32);
    }
}

/// Replaces scores in Q11 by weights in Q15 that add up to at most 1: their exponentials, divided by the sum of these.
fn softmax(scores: &mut [i32]) {
    let highest = scores.iter().copied().max().unwrap_or(0);
    let mut sum = 0;
    for score in scores.iter_mut() {
        // How many halvings the score lies below the highest, Q11.
        let below = ((i64::from(highest) - i64::from(*score)) * LOG2_E) >> 14;
        *score = match below >> 11 {
            halvings @ 0..=15 => {
                let (i, fraction) = (below as usize >> 5 & 63, below as i32 & 31);
                let (high, low) = (i32::from(EXP2[i]), i32::from(EXP2[i + 1]));
                (high - (((high - low) * fraction) >> 5)) >> halvings
            }
            _ => 0,
        };
        sum += *score;
    }
    // At least 2^15, since the highest is that.
    let inverse = (1i32 << 30) / sum.max(1);
    scores.iter_mut().for_each(|score| *score = (*score * inverse) >> 15);
}

/// The sum of values, each times its weight in Q15.
#[inline]
fn weighted<'a>(weights: &[i32], values: impl Iterator<Item = &'a u16>) -> u16 {
    let sum: i32 = weights.iter().zip(values).map(|(weight, value)| weight * signed(*value)).sum();
    narrow(sum >> 15)
}

/// What attention with these scores (Q11) draws from the `values` at these places, as many from each as `to` has room
/// for.
pub(crate) fn draw(scores: &mut [i32], places: &[usize], values: &[u16], to: &mut [u16]) {
    softmax(scores);
    for (i, to) in to.iter_mut().enumerate() {
        *to = weighted(scores, places.iter().map(|place| &values[place + i]));
    }
}

/// Cuts pieces off the memory.
pub(crate) struct Carve<'m>(pub(crate) &'m mut [u16]);

impl<'m> Carve<'m> {
    /// The next `words`.
    pub(crate) fn next(&mut self, words: usize) -> &'m mut [u16] {
        let (piece, rest) = core::mem::take(&mut self.0).split_at_mut(words);
        self.0 = rest;
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_powers() {
        for (i, entry) in EXP2.iter().enumerate() {
            assert_eq!(f64::from(*entry), (15.0 - i as f64 / 64.0).exp2().round());
        }
    }

    fn normalised(x: &[i16]) -> Vec<i16> {
        let x: Vec<u16> = x.iter().map(|x| x.cast_unsigned()).collect();
        let mut to = vec![0; x.len()];
        normalise(&x, &mut to);
        to.iter().map(|x| x.cast_signed()).collect()
    }

    #[test]
    fn golden_vectors_of_the_norm() {
        assert_eq!(normalised(&[2048, -2048, 2048, -2048]), [2047, -2047, 2047, -2047]);
        assert_eq!(normalised(&[4096, 0, 0, 0]), [4094, 0, 0, 0]);
        assert_eq!(normalised(&[0, 0]), [0, 0]);
        assert_eq!(normalised(&[10, -7, 3]), [320, -224, 96]);
        assert_eq!(normalised(&[i16::MIN; 3]), [-2048; 3]);
        // All that is allowed, as large as it can be.
        assert_eq!(normalised(&[i16::MIN; 256])[0], -2048);
    }

    fn shares(scores: &[i32]) -> Vec<i32> {
        let mut scores = scores.to_vec();
        softmax(&mut scores);
        scores
    }

    #[test]
    fn golden_vectors_of_softmax() {
        assert_eq!(shares(&[77]), [32768]);
        assert_eq!(shares(&[0, 0, 0, 0]), [8192; 4]);
        assert_eq!(shares(&[2048, 0, -2048]), [21797, 8020, 2950]);
        assert_eq!(shares(&[i32::MAX, i32::MIN]), [32768, 0]);
        assert_eq!(shares(&[]), []);
    }

    /// Sixteen weights on the largest values stay within 32 bits, and within the values.
    #[test]
    fn weighted_sums_stay_within_the_values() {
        for value in [i16::MIN, i16::MAX] {
            let mut weights = [5; MOST_WEIGHTS];
            softmax(&mut weights);
            let sum = weighted(&weights, [value.cast_unsigned(); MOST_WEIGHTS].iter());
            assert!((i32::from(value) - signed(sum)).abs() < 32, "{value}");
        }
    }
}
