//! Containers that end too early or too late.

use codec_core::Error;
use codec_core::container::v2::Header;
use host_trainer::codec::{CodecError, Format, Profile, apply, compress};
use tests::data::{Pair, noise, options, pair_named};
use tests::device::{End, decode};

/// Every prefix ends inside the header or the payload, and the error says how much is missing.
fn cut_at_every_byte(pair: &Pair, profile: Profile) {
    let container = pair.container(profile);
    let (header, header_len) = Header::parse(container).unwrap();
    for len in 0..container.len() {
        let cut = &container[..len];
        let outcome = decode(profile, pair.old(), cut, pair.new.len());
        let expected = match len.checked_sub(header_len) {
            None => Error::Truncated { field: "header", need: len as u64 + 1, have: len as u64 },
            Some(have) => Error::Truncated { field: "payload", need: header.payload_len.into(), have: have as u64 },
        };
        assert_eq!(outcome.refusal(), expected, "cut at {len}");
        assert!(len >= header_len || outcome.output.is_empty());
        if len >= header_len + 8 && !len.is_multiple_of(16) {
            continue; // the host says the same as the device, which was asked
        }
        let refused = apply(&[cut], pair.old.as_deref());
        assert!(matches!(refused, Err(CodecError::Refused(Error::Truncated { .. }))), "cut at {len}: {refused:?}");
    }
}

#[test]
fn deltas_cut_at_every_byte() {
    cut_at_every_byte(pair_named("txt-cp-neopixel"), Profile::Small);
    cut_at_every_byte(pair_named("fw-espboot-c3 2.1.0"), Profile::Tiny);
}

#[test]
fn stored_files_cut_at_every_byte() {
    cut_at_every_byte(pair_named("rand-512"), Profile::Tiny);
}

#[test]
fn version_1_cut_at_every_byte() {
    let pair = pair_named("txt-cp-neopixel");
    let layered = compress(&pair.new, pair.old.as_deref(), &options(Profile::Small, Format::V1)).unwrap().bytes;
    for len in 0..layered.len() {
        let refused = apply(&[&layered[..len]], pair.old.as_deref());
        assert!(matches!(refused, Err(CodecError::Refused(Error::Truncated { .. }))), "cut at {len}: {refused:?}");
    }
}

/// What follows a container is left to the caller, who refuses it where a file is expected.
#[test]
fn bytes_after_the_end_are_not_taken() {
    for (pair, profile) in [("txt-cp-neopixel", Profile::Tiny), ("rand-512", Profile::Tiny)] {
        let pair = pair_named(pair);
        let longer = [pair.container(profile), &noise(300, 5)].concat();
        let outcome = decode(profile, pair.old(), &longer, pair.new.len());
        assert_eq!(outcome.end, End::Done { left: 300 });
        assert!(outcome.output == pair.new);
        let refused = apply(&[&longer], pair.old.as_deref());
        let expected = Error::OutOfRange { field: "payload", found: 300, limit: 0 };
        assert_eq!(refused, Err(CodecError::Refused(expected)));
    }
}
