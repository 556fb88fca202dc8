//! Fine-tuned weights as files of mode `weights`: FORMAT.md, section 6.8.
//!
//! Every weight is coded as its difference from the old one, or from what a small adapter makes of the old one. Weights are
//! counted by their order-preserving codes (`codec_core::delta::weights`), so that all of it is integer arithmetic and every
//! bit comes back.

use super::encode::{Encoded, Job, Ledger, Payload, header};
use super::file::Candidate;
use crate::align::Alignment;
use crate::codec::{self, CodecError, Options, Profile};
use codec_core::Error;
use codec_core::container::v2::{Header, Mode};
use codec_core::delta::tuning::{Adapter, FOUR, GROUP, Head, KEPT, MOST_LOG2, Said, WeightCode};
use codec_core::delta::weights::{Element, MAX_ELEMENT_BYTES};
use codec_core::entropy::{Coder, RangeEncoder};

/// Base-2 logarithm of the weights that share a step of bitdelta, where not the whole file does.
const BLOCK_LOG2: u32 = 12;

/// What is tried, with its name in tables.
const ADAPTERS: [(&str, Adapter); 5] = [
    ("differences alone", Adapter::None),
    ("bitdelta, one scale", Adapter::Bitdelta { block_log2: MOST_LOG2 }),
    ("bitdelta, a scale for 4,096", Adapter::Bitdelta { block_log2: BLOCK_LOG2 }),
    ("sparse 2:4, 4 bits", Adapter::Sparse { bits: 4 }),
    ("sparse 2:4, 2 bits", Adapter::Sparse { bits: 2 }),
];

/// The bits of a weight.
fn bits(weight: &[u8]) -> u32 {
    weight.iter().rev().fold(0, |bits, byte| bits << 8 | u32::from(*byte))
}

/// What is said of each whole weight of two files of one length.
fn said(head: Head, old: &[u8], new: &[u8]) -> Vec<Said> {
    let Head { element, adapter } = head;
    let width = element.bytes();
    let code = |weight: &[u8]| i64::from(element.code(bits(weight)));
    let differences: Vec<i64> =
        new.chunks_exact(width).zip(old.chunks_exact(width)).map(|(n, o)| code(n) - code(o)).collect();
    let mut said: Vec<Said> =
        new.chunks_exact(width).map(|weight| Said { new: bits(weight), ..Said::default() }).collect();
    match adapter {
        Adapter::None => {}
        Adapter::Bitdelta { block_log2 } => bitdelta(&mut said, &differences, 1 << block_log2),
        Adapter::Sparse { bits } => sparse(&mut said, &differences, bits),
    }
    said
}

/// The sign of each difference, and the mean magnitude of a block of them.
fn bitdelta(said: &mut [Said], differences: &[i64], block: usize) {
    for (said, block) in said.chunks_mut(block).zip(differences.chunks(block)) {
        let sum: u64 = block.iter().map(|d| d.unsigned_abs()).sum();
        said[0].step = (sum / block.len() as u64).min(i32::MAX as u64) as u32;
        for (said, difference) in said.iter_mut().zip(block) {
            said.code = if *difference < 0 { -1 } else { 0 };
        }
    }
}

/// Two of four differences, the largest, with a step for each group.
fn sparse(said: &mut [Said], differences: &[i64], bits: u32) {
    let half = 1i64 << (bits - 1);
    for (said, group) in said.chunks_mut(GROUP as usize).zip(differences.chunks(GROUP as usize)) {
        let largest = group.iter().map(|d| d.unsigned_abs()).max().unwrap_or(0).min(i32::MAX as u64) as i64;
        // Mid-rise, as the codes of position memories: twice a value is an odd number of steps.
        let step = (2 * largest / (2 * half - 1)).max(1);
        said[0].step = step as u32;
        for (said, four) in said.chunks_mut(FOUR as usize).zip(group.chunks(FOUR as usize)) {
            let mut order: Vec<usize> = (0..four.len()).collect();
            order.sort_by_key(|&i| std::cmp::Reverse(four[i].unsigned_abs()));
            order.iter().take(KEPT as usize).for_each(|&i| said[i].kept = true);
            for (said, difference) in said.iter_mut().zip(four) {
                said.code = difference.div_euclid(step).clamp(-half, half - 1) as i32;
            }
        }
    }
}

/// Codes all of a payload. An encoder passes what it says of each weight, and the bytes behind the last whole one; a decoder
/// may pass less.
fn drive<C: Coder>(coder: &mut C, head: Head, old: &[u8], said: &[Said], rest: &[u8]) -> Result<(), Error> {
    let mut code = WeightCode::new();
    code.start();
    let width = code.code_head(coder, head)?.element.bytes();
    let mut said = said.iter().copied();
    let weights = old.chunks_exact(width);
    let behind = weights.remainder().len();
    for weight in weights {
        let mut bytes = [0; MAX_ELEMENT_BYTES];
        bytes[..width].copy_from_slice(weight);
        code.code(coder, u32::from_le_bytes(bytes), &said.next().unwrap_or_default());
    }
    for i in 0..behind {
        code.code_byte(coder, rest.get(i).copied().unwrap_or(0));
    }
    Ok(())
}

/// Codes weights against old ones under an adapter.
///
/// # Errors
/// [`Error::Unknown`] (`flags`) for files of two lengths; those of [`WeightCode::code_head`].
pub fn encode(new: &[u8], old: &[u8], head: Head) -> Result<Encoded, Error> {
    let job = Job { new, old: Some(old), profile: Profile::Tiny, prior: &[], base: None };
    let said = said(head, old, new);
    let rest = new.chunks_exact(head.element.bytes()).remainder();
    let mut payload = Vec::new();
    let mut ledger = Ledger::new(RangeEncoder::new(|byte| payload.push(byte)));
    drive(&mut ledger, head, old, &said, rest)?;
    let bits = ledger.bits;
    let _ = ledger.into_inner().finish();
    let header = header(&job, Mode::Weights, payload.len() as u32).emit()?;
    let bytes = [&header[..], &payload].concat();
    let alignment = Alignment::default();
    Ok(Encoded { bytes, header_len: header.len(), bits, alignment, mode: Mode::Weights, is_delta: true })
}

/// Reads a file of weights again and keeps accounts.
///
/// # Errors
/// What is wrong with it. Digests are not checked: the decoder does that.
pub(crate) fn account(container: &[u8], old: &[u8]) -> Result<Encoded, Error> {
    let (header, header_len) = Header::parse(container)?;
    let mut ledger = Ledger::new(Payload::new(&container[header_len..]));
    drive(&mut ledger, Head::default(), old, &[], &[])?;
    let (bytes, alignment) = (container.to_vec(), Alignment::default());
    Ok(Encoded { bytes, header_len, bits: ledger.bits, alignment, mode: header.mode, is_delta: true })
}

/// The shortest file that says `new`, weights of this kind, under one of the adapters, against `old` of the same length.
///
/// # Errors
/// Those of [`encode`].
pub fn shortest(new: &[u8], old: &[u8], element: Element) -> Result<Encoded, Error> {
    let files = ADAPTERS.map(|(_, adapter)| encode(new, old, Head { element, adapter }));
    let files = files.into_iter().collect::<Result<Vec<_>, _>>()?;
    files.into_iter().min_by_key(|file| file.bytes.len()).ok_or(Error::Finished)
}

/// What each adapter of `new`, weights of this kind, costs against `old` of the same length, with the differences that make
/// it exact.
///
/// # Errors
/// Those of [`encode`].
pub fn candidates(
    new: &[u8],
    old: &[u8],
    element: Element,
    options: &Options<'_>,
) -> Result<Vec<Candidate>, CodecError> {
    let cost = |(name, adapter): (&str, Adapter)| {
        let file = encode(new, old, Head { element, adapter })?.bytes;
        let exact = codec::apply_within(&[&file], Some(old), new.len() as u32, options.base)? == new;
        let (name, bytes) = (format!("weights, {name}"), file.len() as u64);
        Ok(Candidate { name, bytes, quick: false, codes: None, exact, container: Some(file) })
    };
    ADAPTERS.into_iter().map(cost).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(weights: &[f32]) -> Vec<u8> {
        weights.iter().flat_map(|weight| weight.to_le_bytes()).collect()
    }

    #[test]
    fn sign_and_scale_are_found() {
        let (mut said, differences) = ([Said::default(); 5], [5, -7, 6, -6, 1]);
        bitdelta(&mut said, &differences, 4);
        assert_eq!(said.map(|said| said.step), [6, 0, 0, 0, 1]);
        assert_eq!(said.map(|said| said.code), [0, -1, 0, -1, 0]);
    }

    #[test]
    fn two_of_four_are_kept() {
        let mut said = [Said::default(); 5];
        sparse(&mut said, &[100, 0, -3, -100, 7], 4);
        assert_eq!(said.map(|said| said.kept), [true, false, false, true, true]);
        let value = |said: &Said| (2 * said.code + 1) * 13 / 2;
        assert_eq!(said[0].step, 13);
        assert!((value(&said[0]) - 100).abs() <= 7 && (value(&said[3]) + 100).abs() <= 7, "{said:?}");
    }

    /// What an adapter says is worth its bits where the differences are made of it, and costs bits where they are not.
    #[test]
    fn the_shortest_is_taken() {
        let old: Vec<u8> = floats(&(0..1000).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<_>>());
        let mut new = old.clone();
        for (i, weight) in new.chunks_exact_mut(4).enumerate() {
            let code = Element::F32.code(bits(weight)) + if i * i % 7 < 3 { 12_345 } else { -12_345 };
            weight.copy_from_slice(&Element::F32.element(code).to_le_bytes());
        }
        let length = |adapter| encode(&new, &old, Head { element: Element::F32, adapter }).unwrap().bytes.len();
        let lengths = ADAPTERS.map(|(_, adapter)| length(adapter));
        assert_eq!(lengths.iter().min(), Some(&lengths[1]), "{lengths:?}");
        assert_eq!(shortest(&new, &old, Element::F32).unwrap().bytes.len(), lengths[1]);
    }
}
