//! Files of weights: the example of FORMAT.md, there and back, cut, damaged, and in the wrong hands.

use codec_core::Error;
use codec_core::container::digest::Id;
use codec_core::container::v2::{Header, MAGIC, Mode, Old};
use codec_core::decoder::Rebuild;
use codec_core::delta::tuning::{Adapter, Head, MOST_BITS, MOST_LOG2};
use codec_core::delta::weights::Element;
use codec_core::weights_decoder::WeightsDecoder;
use host_trainer::codec::{CodecError, Format, Profile, apply, compress_weights, inspect, is_delta, links};
use host_trainer::fit::weights::{encode, shortest};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tests::data::{noise, options};
use tests::device::{Cut, End, SLACK, decode, decode_weights, feed};

/// Two versions of weights: every third differs by little, a few by much.
fn versions(len: usize, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let (old, mut new) = (noise(len, seed), noise(len, seed));
    for (i, by) in noise(len, !seed).into_iter().enumerate() {
        match i % 24 {
            0 => new[i] = by,
            3 | 12 | 18 => new[i] = new[i].wrapping_add(by & 3),
            _ => {}
        }
    }
    (old, new)
}

fn adapter() -> impl Strategy<Value = Adapter> {
    prop_oneof![
        Just(Adapter::None),
        (0..=MOST_LOG2).prop_map(|block_log2| Adapter::Bitdelta { block_log2 }),
        (1..=MOST_BITS).prop_map(|bits| Adapter::Sparse { bits }),
    ]
}

fn head() -> impl Strategy<Value = Head> {
    (select(&Element::ALL[..]), adapter()).prop_map(|(element, adapter)| Head { element, adapter })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Weights of any kind under any adapter, in pieces of any size, and on the host.
    #[test]
    fn every_bit_comes_back(
        head in head(), old in vec(any::<u8>(), 0..700), edits in vec(any::<(u16, u8)>(), 0..200),
        cuts in vec((0..40usize, 0..40usize), 0..60),
    ) {
        let mut new = old.clone();
        for (at, by) in edits {
            let len = new.len().max(1);
            new.iter_mut().skip(usize::from(at) % len).take(1).for_each(|byte| *byte = byte.wrapping_add(by));
        }
        let container = encode(&new, &old, head).unwrap().bytes;
        let mut cuts = cuts.into_iter();
        let everything: Cut = (usize::MAX, usize::MAX);
        let mut device = WeightsDecoder::new(&old[..]);
        let outcome = feed(&mut device, &container, new.len(), || cuts.next().unwrap_or(everything), |_| true);
        prop_assert_eq!(outcome.accepted(), Some(&new[..]), "{:?}", outcome.end);
        prop_assert_eq!(apply(&[&container], Some(&old)), Ok(new));
    }

    /// A true header before any payload: refused, or the promised file.
    #[test]
    fn any_payload_is_refused_or_right(
        old in vec(any::<u8>(), 0..300), payload in vec(any::<u8>(), 0..300), end in 1..=255u8,
    ) {
        let payload = [payload, vec![end]].concat();
        let container = [&header(&old, &old, payload.len())[..], &payload].concat();
        match decode_weights(&old, &container, old.len() + SLACK).end {
            End::Refused(error) => prop_assert_ne!(error, Error::Finished),
            End::Done { left } => prop_assert_eq!(left, 0, "the digest was right"),
            end => prop_assert!(false, "{end:?}"),
        }
    }
}

fn header(old: &[u8], new: &[u8], payload_len: usize) -> Vec<u8> {
    let header = Header {
        profile: Profile::Tiny,
        mode: Mode::Weights,
        new_len: new.len() as u32,
        old: Some(Old { len: old.len() as u32, id: Id::of(old).old() }),
        base: None,
        payload_len: payload_len as u32,
        digest: Id::of(new),
    };
    header.emit().unwrap().to_vec()
}

/// The hex in the fenced block of FORMAT.md, comments left out.
fn example() -> Vec<u8> {
    let document = include_str!("../../../codec-core/FORMAT.md");
    let block = document.split("```weights-file\n").nth(1).unwrap().split("```").next().unwrap();
    let hex = block.lines().flat_map(|line| line.split(';').next().unwrap_or_default().split_whitespace().skip(1));
    hex.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[test]
fn the_example_of_the_format() {
    let (old, new) = ([1, 0xfe, 3, 0x7f, 0x10, 0x20], [1, 0xfe, 4, 0x80, 0x10, 0x1f]);
    let container = encode(&new, &old, Head { element: Element::I8, adapter: Adapter::None }).unwrap().bytes;
    let hex: Vec<String> = container.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(example(), container, "{}", hex.join(" "));
    assert_eq!(decode_weights(&old, &example(), new.len()).accepted(), Some(&new[..]));
}

/// Every cut of input and output of a small file, one after the other.
#[test]
fn every_split_of_input_and_output() {
    let (old, new) = versions(50, 1);
    let container =
        encode(&new, &old, Head { element: Element::I16, adapter: Adapter::Sparse { bits: 2 } }).unwrap().bytes;
    for shown in 0..=container.len() {
        for lent in [0, 1, 2, 3, 5, 49, 50] {
            let mut first = Some((shown, lent));
            let cut = || first.take().unwrap_or((usize::MAX, usize::MAX));
            let outcome = feed(&mut WeightsDecoder::new(&old[..]), &container, new.len(), cut, |_| true);
            assert_eq!(outcome.accepted(), Some(&new[..]), "{shown} and {lent}: {:?}", outcome.end);
        }
    }
    for len in 0..container.len() {
        let error = decode_weights(&old, &container[..len], new.len()).refusal();
        assert!(matches!(error, Error::Truncated { .. }), "{len} bytes: {error}");
    }
}

#[test]
fn no_flipped_bit_is_accepted() {
    let (old, new) = versions(200, 2);
    for adapter in [Adapter::None, Adapter::Bitdelta { block_log2: 4 }, Adapter::Sparse { bits: 4 }] {
        let container = encode(&new, &old, Head { element: Element::F16, adapter }).unwrap().bytes;
        for bit in 0..8 * container.len() {
            let mut flipped = container.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            match decode_weights(&old, &flipped, new.len() + SLACK).end {
                End::Refused(error) => assert_ne!(error, Error::Finished, "bit {bit}"),
                end => panic!("bit {bit}: {end:?}"),
            }
        }
        let longer = [&container[..], &[1]].concat();
        assert_eq!(decode_weights(&old, &longer, new.len()).end, End::Done { left: 1 });
        assert!(apply(&[&longer], Some(&old)).is_err());
    }
}

#[test]
fn old_files_and_decoders_that_are_others_are_refused() {
    let (old, new) = versions(99, 3);
    let container = shortest(&new, &old, Element::I8).unwrap().bytes;
    assert_eq!(decode_weights(&[], &container, 99).refusal(), Error::OldMissing);
    assert!(matches!(decode_weights(&new, &container, 99).refusal(), Error::WrongOld { .. }));
    assert!(matches!(decode_weights(&old[..50], &container, 99).refusal(), Error::Storage { .. }));
    assert_eq!(apply(&[&container], None), Err(CodecError::Refused(Error::OldMissing)));
    let weights = Error::Unknown { field: "mode", found: Mode::Weights as u64 };
    for profile in Profile::ALL {
        assert_eq!(decode(profile, &old, &container, 99).refusal(), weights);
    }
    let plain = host_trainer::codec::compress(&new, Some(&old), &options(Profile::Tiny, Format::V2)).unwrap().bytes;
    assert!(matches!(decode_weights(&old, &plain, 99).refusal(), Error::Unknown { field: "mode", .. }));
}

/// Weights are a coded delta of equal lengths, for every profile, and nothing else.
#[test]
fn flags_that_go_with_weights() {
    let good = header(b"abc", b"abd", 3);
    assert_eq!((good[1], Header::parse(&good).unwrap().0.mode), (0xcc, Mode::Weights));
    for flags in (0x80..=0xff).filter(|flags| *flags != 0xcc) {
        let refused = Err(Error::Unknown { field: "flags", found: u64::from(flags) });
        assert_eq!(Header::parse(&[MAGIC, flags]), refused, "{flags:#x}");
    }
    let (header, _) = Header::parse(&good).unwrap();
    let lies =
        [Header { profile: Profile::Small, ..header }, Header { new_len: 4, ..header }, Header { old: None, ..header }];
    for lie in lies {
        assert!(matches!(lie.emit(), Err(Error::Unknown { field: "flags", .. })), "{lie:?}");
    }
    let uneven = encode(b"abcd", b"abc", Head::default());
    assert!(matches!(uneven, Err(Error::Unknown { field: "flags", .. })));
}

/// In version 1, in chains, and looked into.
#[test]
fn weights_are_containers_as_others_are() {
    let (a, b) = versions(3000, 4);
    let c: Vec<u8> = b.iter().enumerate().map(|(i, byte)| byte.wrapping_add(u8::from(i % 7 == 0))).collect();
    let made = |new: &[u8], old: &[u8], format| {
        compress_weights(new, old, Element::I8, &options(Profile::Small, format)).unwrap()
    };
    let (ab, bc) = (made(&b, &a, Format::V2), made(&c, &b, Format::V2));
    assert_eq!((Header::parse(&ab.bytes).unwrap().0.mode, ab.breakdown.mode.as_str()), (Mode::Weights, "weights"));
    assert_eq!(is_delta(&ab.bytes), Ok(true));
    let chain = [&ab.bytes[..], &bc.bytes].concat();
    assert_eq!(apply(&links(&chain).unwrap(), Some(&a)).as_ref(), Ok(&c));
    let layered = made(&b, &a, Format::V1);
    assert_eq!((layered.breakdown.version, apply(&[&layered.bytes], Some(&a))), (1, Ok(b.clone())));
    let found = inspect(&ab.bytes, Some(&a), None).unwrap();
    let parts: Vec<&str> = found.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(parts, ["header", "adapter", "differences", "rounding"]);
    let bytes = found.parts.iter().map(|part| part.bits).sum::<f64>() / 8.0;
    assert!((bytes - ab.bytes.len() as f64).abs() < 1e-6 && found.decoder_ram < 8 << 10, "{bytes}, {found:?}");
    assert_eq!(inspect(&ab.bytes, None, None).unwrap().mode, "weights");
}

/// As FORMAT.md says: a byte of a wrong digest is found only at the end, and nothing is done twice.
#[test]
fn a_decoder_that_failed_stays_failed() {
    let (old, new) = versions(64, 5);
    let mut container = shortest(&new, &old, Element::I8).unwrap().bytes;
    let payload = Header::parse(&container).unwrap().1;
    container[payload - 1] ^= 1;
    let mut device = WeightsDecoder::new(&old[..]);
    let mut output = [0; 64];
    assert!(matches!(device.update(&container, &mut output), Err(Error::DigestMismatch { .. })));
    assert_eq!((device.finish(), device.update(&[], &mut [])), (Err(Error::Finished), Err(Error::Finished)));
    assert_eq!(output[..], new);
}
