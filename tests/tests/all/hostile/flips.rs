//! Single bits flipped.

use codec_core::Error;
use codec_core::container::digest::{ID_LEN, OLD_ID_LEN};
use codec_core::container::v2::{Header, Mode};
use codec_core::predict::prior::PRIOR;
use host_trainer::align::Alignment;
use host_trainer::codec::{CodecError, Format, Profile, apply, compress};
use host_trainer::fit::encode::{Job, encode, stored, with_big_stack};
use tests::data::{noise, options, pair_named};
use tests::device::{End, SLACK, decode, decode_until_wrong};

/// Bits from the start of a container that are flipped, one after the other.
const FIRST: usize = 8 * 4096;
/// Of so many flips one is decoded to its end; the others until the first wrong byte, which the digest must refuse.
const THOROUGH: usize = 32;
/// The byte of the flags. Another profile, or a network that is primed where it is not asked, can mean the same file.
const FLAGS: usize = 1;

/// Flips each of the first bits. Nothing but the right file may be accepted, and that only where a flip can mean it:
/// in the flags.
fn flip_every_bit(old: &[u8], new: &[u8], container: &[u8]) {
    let (header, header_len) = Header::parse(container).unwrap();
    let digest = header_len - ID_LEN..header_len;
    let mut flipped = container.to_vec();
    for bit in 0..FIRST.min(8 * container.len()) {
        let (at, mask) = (bit / 8, 1 << (bit % 8));
        flipped[at] ^= mask;
        let thorough = bit % THOROUGH == at % THOROUGH || at < header_len;
        let outcome = if thorough {
            decode(header.profile, old, &flipped, new.len() + SLACK)
        } else {
            decode_until_wrong(header.profile, old, &flipped, new)
        };
        match outcome.end {
            End::Refused(error) => {
                let is_right = match at {
                    0 => matches!(error, Error::BadMagic { .. }),
                    _ if digest.contains(&at) => matches!(error, Error::DigestMismatch { .. }),
                    _ if header.old.is_some() && old_id(container).contains(&at) => {
                        matches!(error, Error::WrongOld { .. })
                    }
                    _ => error != Error::Finished,
                };
                assert!(is_right, "bit {bit}: {error}");
            }
            End::Done { .. } => {
                assert!(outcome.output == new, "bit {bit}: a wrong file was accepted");
                assert!(at == FLAGS, "bit {bit} means nothing");
            }
            // A lie about the length, cut off by the slot.
            End::SlotFull => assert!(at < header_len || outcome.output[..new.len()] != *new, "bit {bit}"),
            End::Stopped => assert!(!thorough),
        }
        flipped[at] ^= mask;
    }
    assert!(flipped == container);
}

/// Where a delta's `old_id` stands: before the payload's length and the digest.
fn old_id(container: &[u8]) -> std::ops::Range<usize> {
    let (header, header_len) = Header::parse(container).unwrap();
    let varint = (32 - (header.payload_len | 1).leading_zeros()).div_ceil(7) as usize;
    let end = header_len - ID_LEN - if header.mode == Mode::Stored { 0 } else { varint };
    end - OLD_ID_LEN..end
}

#[test]
fn deltas_of_text_and_firmware() {
    for (name, profile) in [("txt-cp-neopixel", Profile::Small), ("fw-espboot-c3 2.1.0", Profile::Tiny)] {
        let pair = pair_named(name);
        let container = pair.container(profile);
        assert_eq!(container[old_id(container)], Header::parse(container).unwrap().0.old.unwrap().id.0);
        flip_every_bit(pair.old(), &pair.new, container);
    }
}

/// A payload longer than the bits that are flipped.
#[test]
fn a_coded_file_of_noise() {
    let new = noise(4200, 11);
    let job = Job { new: &new, old: None, profile: Profile::Tiny, prior: PRIOR, base: None };
    let container = with_big_stack(|| encode(&job, &Alignment::default(), false)).unwrap().bytes;
    assert!(8 * container.len() > FIRST);
    flip_every_bit(&[], &new, &container);
}

#[test]
fn a_stored_file() {
    let new = noise(5000, 12);
    let container =
        stored(&Job { new: &new, old: None, profile: Profile::Tiny, prior: &[], base: None }).unwrap().bytes;
    flip_every_bit(&[], &new, &container);
}

/// Version 1 has fields that only describe (dead zone, step): with those flipped, the file is still the right one.
#[test]
fn version_1() {
    let pair = pair_named("txt-cp-neopixel");
    let layered = compress(&pair.new, pair.old.as_deref(), &options(Profile::Tiny, Format::V1)).unwrap().bytes;
    let mut flipped = layered.clone();
    let mut accepted = 0;
    for bit in 0..FIRST.min(8 * layered.len()) {
        flipped[bit / 8] ^= 1 << (bit % 8);
        match apply(&[&flipped], pair.old.as_deref()) {
            Ok(content) => {
                assert!(content == pair.new, "bit {bit}: a wrong file was accepted");
                accepted += 1;
            }
            Err(CodecError::Refused(error)) => assert_ne!(error, Error::Finished, "bit {bit}"),
            Err(other) => panic!("bit {bit}: {other}"),
        }
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
    // `tau` and `gamma`, `is_delta`, and a bit or two of the frame.
    assert!(accepted <= 80, "{accepted} flips were accepted");
}
