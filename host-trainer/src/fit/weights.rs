//! Fine-tuned weights: predictions of the new file from the old one and a small adapter, and what makes each exact.
//!
//! Weights are counted by their order-preserving codes (`codec_core::delta::weights`), so that every prediction is integer
//! arithmetic: code of the new weight = code of the old one + what the adapter says, modulo the width. What is wrong with
//! the predicted file goes into an ordinary delta against it.

use super::file::Candidate;
use crate::codec::{self, CodecError, Options};
use codec_core::delta::weights::Element;

/// Weights that share a scale, where not the whole file does.
const BLOCK: usize = 4096;
/// Weights that share the step of a sparse adapter (Yao et al., "DeltaZip", 2023, groups alike).
const GROUP: usize = 128;
/// Weights of which a sparse adapter keeps the two that changed most.
const SPARSE: usize = 4;
/// Bits of the codes of a sparse adapter.
const WIDTHS: [u32; 2] = [4, 2];

/// What an adapter says, and what it takes.
struct Adapter {
    name: String,
    /// What is added to the code of each weight.
    added: Vec<i64>,
    bytes: Vec<u8>,
}

/// Bits in bytes, the first one lowest.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn push(&mut self, value: u32, bits: u32) {
        for i in 0..bits {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> i & 1) as u8) << (self.used % 8);
            }
            self.used += 1;
        }
    }
}

/// The codes of all whole weights of a file.
fn codes(element: Element, file: &[u8]) -> Vec<i64> {
    let bits = |weight: &[u8]| weight.iter().rev().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
    file.chunks_exact(element.bytes()).map(|weight| element.code(bits(weight)).into()).collect()
}

/// `old` with `added` to the codes of its weights; bytes behind the last whole weight stay.
fn predicted(element: Element, old: &[u8], added: &[i64]) -> Vec<u8> {
    let mut file = old.to_vec();
    for ((to, code), added) in file.chunks_exact_mut(element.bytes()).zip(codes(element, old)).zip(added) {
        let bits = element.element((code + added) as i32);
        to.copy_from_slice(&bits.to_le_bytes()[..element.bytes()]);
    }
    file
}

/// The sign of each difference, and the mean magnitude of `block` of them (Liu et al., "BitDelta", 2024).
fn bitdelta(name: &str, differences: &[i64], block: usize) -> Adapter {
    let (mut added, mut signs, mut scales) = (Vec::new(), Bits::default(), Vec::new());
    for block in differences.chunks(block.max(1)) {
        let sum: u64 = block.iter().map(|d| d.unsigned_abs()).sum();
        let mean = (sum / block.len() as u64).min(i32::MAX as u64) as i64;
        scales.extend((mean as u32).to_le_bytes());
        for difference in block {
            signs.push(u32::from(*difference > 0), 1);
            added.push(if *difference > 0 { mean } else { -mean });
        }
    }
    Adapter { name: name.into(), added, bytes: [scales, signs.bytes].concat() }
}

/// Two of four differences, the largest, in `bits` bits, with a step for each group.
fn sparse(differences: &[i64], bits: u32) -> Adapter {
    let half = 1i64 << (bits - 1);
    let (mut added, mut kept, mut steps) = (Vec::new(), Bits::default(), Vec::new());
    for group in differences.chunks(GROUP) {
        let largest = group.iter().map(|d| d.unsigned_abs()).max().unwrap_or(0).min(i32::MAX as u64) as i64;
        // Mid-rise, as the codes of position memories: twice a value is an odd number of steps.
        let step = (2 * largest / (2 * half - 1)).max(1);
        steps.extend((step as u32).to_le_bytes());
        for four in group.chunks(SPARSE) {
            let mut order: Vec<usize> = (0..four.len()).collect();
            order.sort_by_key(|&i| std::cmp::Reverse(four[i].unsigned_abs()));
            order.truncate(SPARSE / 2);
            order.sort_unstable();
            let mut values = vec![0; four.len()];
            for i in order {
                let code = four[i].div_euclid(step).clamp(-half, half - 1);
                kept.push(i as u32, 2);
                kept.push((code + half) as u32, bits);
                values[i] = (2 * code + 1) * step / 2;
            }
            added.extend(values);
        }
    }
    Adapter { name: format!("sparse 2:4, {bits} bits"), added, bytes: [steps, kept.bytes].concat() }
}

/// What adapters for `new`, weights of this kind, cost beside `old` of the same length: the adapter as a GMCF file, and the
/// delta of `new` against the prediction. No container says both: these candidates cannot be written.
///
/// # Errors
/// Those of [`codec::compress`].
pub fn candidates(
    new: &[u8],
    old: &[u8],
    element: Element,
    options: &Options<'_>,
) -> Result<Vec<Candidate>, CodecError> {
    let differences: Vec<i64> = codes(element, new).iter().zip(codes(element, old)).map(|(n, o)| n - o).collect();
    let whole = bitdelta("bitdelta, one scale", &differences, differences.len());
    let blocks = bitdelta("bitdelta, a scale for 4,096", &differences, BLOCK);
    let sparse = WIDTHS.map(|bits| sparse(&differences, bits));
    let cost = |adapter: Adapter| {
        let image = predicted(element, old, &adapter.added);
        let sent = codec::compress(&adapter.bytes, None, options)?.bytes.len();
        let rest = codec::compress(new, Some(&image), options)?.bytes;
        let exact = codec::apply_within(&[&rest], Some(&image), new.len() as u32, options.base)? == new;
        let bytes = (sent + rest.len()) as u64;
        Ok(Candidate { name: adapter.name, bytes, codes: Some(sent as u64), exact, container: None })
    };
    [whole, blocks].into_iter().chain(sparse).map(cost).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_are_integers_and_sign_and_scale_are_found() {
        let bytes = |weights: &[f32]| -> Vec<u8> { weights.iter().flat_map(|w| w.to_le_bytes()).collect() };
        let old = [bytes(&[1.0, -1.0, f32::NAN, -0.0]), vec![7, 8]].concat();
        let mut new = bytes(&[1.0, -1.0, f32::NAN, -0.0]);
        for (weight, up) in new.chunks_exact_mut(4).zip([true, false, true, false]) {
            let bits = u32::from_le_bytes([weight[0], weight[1], weight[2], weight[3]]);
            let code = Element::F32.code(bits).wrapping_add(if up { 5 } else { -5 });
            weight.copy_from_slice(&Element::F32.element(code).to_le_bytes());
        }
        let differences: Vec<i64> =
            codes(Element::F32, &new).iter().zip(codes(Element::F32, &old)).map(|(n, o)| n - o).collect();
        assert_eq!(differences, [5, -5, 5, -5]);
        let adapter = bitdelta("", &differences, 4);
        assert_eq!((&adapter.added, &adapter.bytes), (&differences, &vec![5, 0, 0, 0, 0b0101]));
        let image = predicted(Element::F32, &old, &adapter.added);
        assert_eq!((&image[..16], &image[16..]), (&new[..], &[7, 8][..]));
        // Differences of the whole width wrap.
        assert_eq!(predicted(Element::I8, &[0x7f], &[1]), [0x80]);
    }

    #[test]
    fn two_of_four_are_kept() {
        let adapter = sparse(&[100, 0, -3, -100, 7], 4);
        assert_eq!(adapter.added.iter().filter(|added| **added != 0).count(), 3);
        assert!((adapter.added[0] - 100).abs() <= 7 && (adapter.added[3] + 100).abs() <= 7, "{:?}", adapter.added);
        // A step, and three times a place and a code.
        assert_eq!(adapter.bytes.len(), 4 + (3 * 6usize).div_ceil(8));
    }
}
