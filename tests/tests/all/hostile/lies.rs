//! Headers whose fields are not true.

use codec_core::Error;
use codec_core::container::v2::{Header, Mode, Old};
use codec_core::container::{v1, v2};
use host_trainer::codec::{CodecError, Format, MAX_SIZE, Profile, apply, apply_within, compress, inspect};
use tests::data::{options, pair_named};
use tests::device::{End, Outcome, decode};

const PROFILE: Profile = Profile::Small;

/// A container taken apart.
struct Parts {
    header: Header,
    payload: Vec<u8>,
    old: &'static [u8],
    new: &'static [u8],
}

fn parts(name: &str) -> Parts {
    let pair = pair_named(name);
    let container = pair.container(PROFILE);
    let (header, header_len) = Header::parse(container).unwrap();
    Parts { header, payload: container[header_len..].to_vec(), old: pair.old(), new: &pair.new }
}

impl Parts {
    fn decode(&self) -> Outcome {
        let container = [&self.header.emit().unwrap()[..], &self.payload].concat();
        // The slot is longer than what the file should be, and not as long as a lie may be.
        decode(PROFILE, self.old, &container, self.new.len() + 4096)
    }
}

fn range(field: &'static str, found: u64) -> Error {
    Error::OutOfRange { field, found, limit: u32::MAX.into() }
}

fn unknown(field: &'static str, found: u64) -> Error {
    Error::Unknown { field, found }
}

/// The error for these first bytes of a container.
fn parse(bytes: &[u8]) -> Error {
    let padded = [bytes, &[0; 64]].concat();
    let error = Header::parse(&padded).unwrap_err();
    let outcome = decode(PROFILE, &[], &padded, 1 << 16);
    assert!(outcome.output.is_empty());
    assert_eq!(outcome.refusal(), error);
    error
}

#[test]
fn magic_and_flags() {
    let found = *b"\x7fELF";
    assert_eq!(apply(&[b"\x7fELF\x02\x01\x01\0"], None), Err(Error::BadMagic { found, seen: 4 }.into()));
    assert_eq!(apply(&[b"GMCF\x03\0\0\0"], None), Err(Error::UnknownVersion { found: 3 }.into()));
    // To a device, which reads version 2 alone, version 1 is no GMCF file, and its magic is one byte.
    let error = parse(b"GMCF\x01\0\0\0");
    assert_eq!(error, Error::BadMagic { found: [b'G', 0, 0, 0], seen: 1 });
    assert_eq!(error.to_string(), "not a GMCF file: it starts with [47]");
    for flags in [0x20, 0x40, 0x80, 0xff, 0x10, 0x14] {
        assert_eq!(parse(&[v2::MAGIC, flags]), unknown("flags", flags.into()), "flags {flags:#x}");
    }
}

#[test]
fn numbers_that_are_no_numbers() {
    let number = |bytes: &[u8]| parse(&[&[v2::MAGIC, 0], bytes].concat());
    assert_eq!(number(&[0xff, 0xff, 0xff, 0xff, 0x1f]), range("new_len", 0x1_ffff_ffff));
    assert_eq!(number(&[0xff; 10]), range("new_len", 0x7_ffff_ffff));
    // Padded with zeros: one number, one spelling.
    assert_eq!(number(&[0x80, 0x00]), range("new_len", 0));
    assert_eq!(number(&[0x85, 0x80, 0x00]), range("new_len", 5));
    // An old image shorter than nothing, or longer than the format can say.
    let old_len = |new_len: &[u8], difference: &[u8]| parse(&[&[v2::MAGIC, 4], new_len, difference].concat());
    assert!(matches!(old_len(&[5], &[11]), Error::OutOfRange { field: "old_len", .. }));
    let most = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(old_len(&most, &[2]), range("old_len", 1 << 32));
}

/// What a decoder says to a payload that is not what its encoder wrote.
fn is_damage(error: Error) -> bool {
    let of_copy = matches!(error, Error::OutOfRange { field: "copy.old" | "copy.len", .. });
    of_copy || matches!(error, Error::DigestMismatch { .. } | Error::Corrupt { field: "payload" })
}

#[test]
fn a_new_length_that_is_not_true() {
    for name in ["txt-cp-neopixel", "fw-nodepixel"] {
        for delta in [-100, -1, 1, 100] {
            let mut lie = parts(name);
            lie.header.new_len = lie.header.new_len.wrapping_add_signed(delta);
            let error = lie.decode().refusal();
            let of_map = matches!(error, Error::OutOfRange { field: "map.new" | "map.len", .. });
            assert!(is_damage(error) || of_map, "{name} {delta}: {error}");
        }
        let mut lie = parts(name);
        lie.header.new_len = i32::MAX as u32;
        // What a device does with a file that does not end: its slot is full, or the nonsense names no place.
        let end = lie.decode().end;
        assert!(matches!(end, End::SlotFull) || matches!(end, End::Refused(e) if is_damage(e)), "{name}: {end:?}");
    }
}

/// What the caller does not want to hold is refused by the header alone: before anything is decoded, and before memory
/// is taken for it. That the rest is missing does not come up.
#[test]
fn a_length_above_the_callers_limit() {
    let over = |requested: u32, limit: u32| {
        let (requested, limit) = (requested.into(), limit.into());
        CodecError::Refused(Error::OverBudget { field: "new_len", requested, limit })
    };
    for name in ["txt-cp-neopixel", "rand-512"] {
        let true_parts = parts(name);
        let len = true_parts.new.len() as u32;
        let old = true_parts.header.old.map(|_| true_parts.old);
        let container = pair_named(name).container(PROFILE);
        assert_eq!(apply_within(&[container], old, len, None).as_deref(), Ok(true_parts.new), "{name}");
        assert_eq!(apply_within(&[container], old, len - 1, None), Err(over(len, len - 1)), "{name}");
        // A difference of lengths that still names the same old image.
        let new_len = MAX_SIZE + 1;
        let lie = Header { new_len, ..true_parts.header }.emit().unwrap();
        assert_eq!(apply(&[&lie], old), Err(over(new_len, MAX_SIZE)), "{name}");
        if old.is_some() {
            assert_eq!(inspect(&lie, old, None).map(|_| ()), Err(over(new_len, MAX_SIZE)));
        }
    }
}

/// A version 1 layer may not hold more than a file of the allowed length, stored.
#[test]
fn a_layer_above_the_callers_limit() {
    let pair = pair_named("txt-cp-neopixel");
    let layered = compress(&pair.new, None, &options(PROFILE, Format::V1)).unwrap().bytes;
    let most = pair.new.len() as u32;
    assert_eq!(apply_within(&[&layered], None, most, None).as_ref(), Ok(&pair.new));
    let refused = apply_within(&[&layered], None, 100, None);
    let limit = 100 + v2::MAX_HEADER_LEN as u64;
    let is_right = |error: &Error| matches!(error, Error::OverBudget { field: "memory", limit: l, .. } if *l == limit);
    assert!(matches!(&refused, Err(CodecError::Refused(error)) if is_right(error)), "{refused:?}");
}

#[test]
fn a_stored_length_that_is_not_true() {
    let mut lie = parts("rand-512");
    assert_eq!(lie.header.mode, Mode::Stored);
    let outcome = lie.decode();
    assert_eq!(outcome.accepted(), Some(lie.new));
    lie.header.new_len = 513;
    assert_eq!(lie.decode().refusal(), Error::Truncated { field: "payload", need: 513, have: 512 });
    lie.header.new_len = u32::MAX;
    assert_eq!(lie.decode().refusal(), Error::Truncated { field: "payload", need: u32::MAX.into(), have: 512 });
    for short in [0, 511] {
        lie.header.new_len = short;
        assert!(matches!(lie.decode().refusal(), Error::DigestMismatch { .. }), "{short}");
    }
}

#[test]
fn an_old_length_that_is_not_true() {
    for name in ["txt-cp-neopixel", "fw-nodepixel"] {
        let true_len = parts(name).header.old.unwrap().len;
        for (len, is_read) in [(0, true), (true_len - 1, true), (true_len + 1, false), (i32::MAX as u32, false)] {
            let mut lie = parts(name);
            lie.header.old = lie.header.old.map(|old| Old { len, ..old });
            let outcome = lie.decode();
            let is_right = match outcome.refusal() {
                Error::WrongOld { .. } => is_read,
                Error::Storage { .. } => !is_read,
                _ => false,
            };
            assert!(is_right && outcome.output.is_empty(), "{name} {len}: {:?}", outcome.end);
        }
    }
}

#[test]
fn a_payload_length_that_is_not_true() {
    let longer = |by: u32, padding: usize| {
        let mut lie = parts("fw-nodepixel");
        let have = lie.payload.len() as u64;
        lie.header.payload_len += by;
        lie.payload.extend(vec![0xa7; padding]);
        (lie.decode(), have)
    };
    for more in [1, 1 << 30] {
        let (outcome, have) = longer(more, 0);
        assert_eq!(outcome.refusal(), Error::Truncated { field: "payload", need: have + u64::from(more), have });
    }
    // The coder reads a few bytes ahead, so these change no decision: they are refused all the same.
    for more in 1..8 {
        let error = longer(more, more as usize).0.refusal();
        assert!(is_damage(error), "{more} more: {error}");
    }
    for more in [64, 1000] {
        let error = longer(more, more as usize).0.refusal();
        assert!(is_damage(error), "{more} more: {error}");
    }
    for short in [1, 2, 100] {
        let mut lie = parts("fw-nodepixel");
        lie.header.payload_len -= short;
        let error = lie.decode().refusal();
        assert!(is_damage(error), "{short} less: {error}");
    }
    // Nothing reads as zeros: all is plain, and the number of segments the largest that there is.
    let mut lie = parts("fw-nodepixel");
    lie.header.payload_len = 0;
    let most = Error::OverBudget { field: "segments", requested: u64::from(u32::MAX - 1), limit: 640 };
    assert_eq!(lie.decode().refusal(), most);
}

/// Bytes past the payload's end read as zeros, so a writer drops them; one that stands there is no file of his.
#[test]
fn zeros_at_the_end_of_a_payload() {
    for name in ["txt-cp-neopixel", "fw-nodepixel", "fw-espboot-c3 2.1.0"] {
        for zeros in 1..8 {
            let mut lie = parts(name);
            assert_ne!(lie.payload.last(), Some(&0));
            lie.header.payload_len += zeros;
            lie.payload.extend(vec![0; zeros as usize]);
            let outcome = lie.decode();
            assert_eq!(outcome.refusal(), Error::Corrupt { field: "payload" }, "{name}, {zeros} zeros");
        }
    }
}

/// Whatever else the last byte could be, and the file the same: the writer's is the only one.
#[test]
fn another_last_byte_of_a_payload() {
    let mut lie = parts("txt-cp-neopixel");
    let last = lie.payload.len() - 1;
    let wanted = lie.payload[last];
    for byte in (0..=255).filter(|&byte| byte != wanted) {
        lie.payload[last] = byte;
        let error = lie.decode().refusal();
        assert!(is_damage(error), "{byte:#04x}: {error}");
    }
}

#[test]
fn a_promise_of_another_file() {
    for name in ["txt-cp-neopixel", "rand-512"] {
        let mut lie = parts(name);
        lie.header.digest.0[15] ^= 1;
        let outcome = lie.decode();
        assert!(matches!(outcome.refusal(), Error::DigestMismatch { .. }));
        // All was written but the judgement. (The last byte may be the filling's.)
        assert!(lie.new.starts_with(&outcome.output) && outcome.output.len() + 1 >= lie.new.len());
    }
}

/// Version 1 around a true version 2 file: each field that says something of it must be true.
#[test]
fn version_1_fields_that_are_not_true() {
    let pair = pair_named("txt-cp-neopixel");
    let layered = compress(&pair.new, pair.old.as_deref(), &options(PROFILE, Format::V1)).unwrap().bytes;
    let refused = |change: &dyn Fn(&mut [u8])| {
        let mut lie = layered.clone();
        change(&mut lie);
        match apply(&[&lie], pair.old.as_deref()) {
            Err(CodecError::Refused(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    // original_hash, crt_residues, name ("memory"), shape, dominant_scale: FORMAT.md, section 2.
    let residues = v1::HEADER_LEN;
    let layer = residues + 2 * 8;
    assert!(matches!(refused(&|b| b[13] ^= 1), Error::DigestMismatch { .. }));
    assert!(matches!(refused(&|b| b[residues] ^= 1), Error::ResidueMismatch { index: 0, .. }));
    assert!(matches!(refused(&|b| b[residues + 8] ^= 1), Error::ResidueMismatch { index: 1, .. }));
    assert_eq!(refused(&|b| b[layer + 4] ^= 1), unknown("layers", 1));
    assert!(matches!(refused(&|b| b[layer + 14] ^= 1), Error::OverBudget { .. } | Error::Truncated { .. }));
    assert!(matches!(refused(&|b| b[layer + 17] = 0x7f), Error::OverBudget { field: "memory", .. }));
    assert_eq!(refused(&|b| b[layer + 26] = 7), unknown("dominant_scale", 7));
}
