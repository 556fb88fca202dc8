use core::ffi::CStr;
use core::mem::MaybeUninit;
use std::collections::HashSet;
use std::string::String;
use std::vec::Vec;

use super::*;

/// Every error of the decoder, its number, and what C says of it.
fn errors() -> [(Error, i32, &'static str); 18] {
    const ID: [u8; 4] = [0, 0x1a, 2, 0xf7];
    const OTHER: [u8; 4] = [0xff, 0, 0, 1];
    let field = "payload";
    [
        (Error::Truncated { field, need: 20, have: 0 }, -1, "the update ends early: `payload`, found 0, needed 20"),
        (Error::BadMagic { found: *b"PK\x03\0", seen: 3 }, -2, "not a GMCF file, found 504b03"),
        (Error::UnknownVersion { found: 7 }, -3, "unknown version, found 7"),
        (Error::Unknown { field, found: 31 }, -4, "unknown value: `payload`, found 31"),
        (
            Error::OutOfRange { field, found: u64::MAX, limit: 10 },
            -5,
            "out of range: `payload`, found 18446744073709551615, limit 10",
        ),
        (
            Error::OverBudget { field: "words", requested: 96_256, limit: 23_552 },
            -6,
            "over budget: `words`, found 96256, limit 23552",
        ),
        (
            Error::BufferTooSmall { field, need: 1 << 32, have: 99 },
            -7,
            "buffer too small: `payload`, found 99, needed 4294967296",
        ),
        (Error::OldMissing, -8, "the old image is needed"),
        (Error::WrongOld { expected: OTHER, found: ID }, -9, "wrong old image, found 001a02f7, expected ff000001"),
        (
            Error::DigestMismatch { expected: ID, found: OTHER },
            -10,
            "digest mismatch, found ff000001, expected 001a02f7",
        ),
        (
            Error::ResidueMismatch { index: 3, expected: 5, found: 6 },
            -11,
            "residue mismatch, index 3, found 6, expected 5",
        ),
        (Error::ChainGap { index: 0 }, -12, "gap in the chain, index 0"),
        (Error::ChainLoop { index: 1 }, -13, "loop in the chain, index 1"),
        (Error::ChainOrder { index: 4_000_000_000 }, -14, "chain out of order, index 4000000000"),
        (Error::Corrupt { field }, -15, "damaged: `payload`"),
        (Error::Storage { offset: 1000, len: 128 }, -16, "old image unreadable, offset 1000, bytes 128"),
        (Error::Finished, -17, "decoder has ended"),
        (Error::FeatureMissing { field, feature: "zstd" }, -18, "not in this build: `payload`"),
    ]
}

/// Names of the variants of an enum in Rust source.
pub(crate) fn variants(source: &str, name: &str) -> HashSet<String> {
    let body = source.split(&std::format!("pub enum {name} {{\n")).nth(1).unwrap().split("\n}\n").next().unwrap();
    let names =
        body.lines().filter_map(|line| line.strip_prefix("    ")).filter(|line| !line.starts_with([' ', '/', '}']));
    names
        .map(|line| line.split([' ', '{', ',', '(']).next().unwrap().into())
        .filter(|name: &String| !name.is_empty())
        .collect()
}

pub(crate) fn formatted(error: &gmcf_error, room: usize) -> (usize, Vec<u8>) {
    let mut place = std::vec![MaybeUninit::new(0xa5u8); room + 4];
    // SAFETY: the place has `room` bytes, and more.
    let len = unsafe { gmcf_error_format(error, place.as_mut_ptr().cast(), room) };
    // SAFETY: all were set when the place was made.
    let bytes: Vec<u8> = place.iter().map(|byte| unsafe { byte.assume_init() }).collect();
    assert_eq!(bytes[room..], [0xa5; 4], "written beyond the end");
    (len, bytes[..room].to_vec())
}

#[test]
fn every_error_of_the_decoder_has_its_number_and_words() {
    let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../codec-core/src/error.rs")).unwrap();
    let expected = variants(&source, "Error");
    let errors = errors();
    let name = |error: &Error| String::from(std::format!("{error:?}").split(' ').next().unwrap());
    let found: HashSet<_> = errors.iter().map(|(error, ..)| name(error)).collect();
    assert!(expected.len() >= 18, "{expected:?}");
    assert_eq!(found, expected, "codec_core::Error has other variants than this table");
    for (error, number, words) in &errors {
        assert_eq!(code(error) as i32, *number, "{error:?}");
        let seen = gmcf_error::new(error);
        assert_eq!(seen.code, *number);
        let (len, bytes) = formatted(&seen, 160);
        assert_eq!(CStr::from_bytes_until_nul(&bytes).unwrap().to_str().unwrap(), *words, "{error:?}");
        assert_eq!(len, words.len());
    }
}

#[test]
fn every_number_has_words_of_its_own() {
    let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/error.rs")).unwrap();
    let numbers: HashSet<_> = TABLE.iter().map(|entry| entry.0 as i32).collect();
    assert_eq!(numbers.len(), TABLE.len());
    if cfg!(feature = "update") {
        assert_eq!(numbers.len(), variants(&source, "gmcf_status").len());
    }
    // SAFETY: texts end with a 0 and lie in the flash.
    let text = |number| unsafe { CStr::from_ptr(gmcf_error_text(number)) }.to_str().unwrap();
    let words: HashSet<_> = TABLE.iter().map(|entry| text(entry.0 as i32)).collect();
    assert_eq!(words.len(), TABLE.len());
    for &(number, expected, _) in TABLE {
        assert_eq!(text(number as i32), expected);
    }
    for unknown in [5, 100, -19, -32, -45, -62, -74, -256, -1 - 256, i32::MAX, i32::MIN] {
        assert_eq!(text(unknown), "unknown error", "{unknown}");
    }
}

#[test]
fn text_is_cut_where_the_buffer_ends() {
    for (error, _, words) in errors() {
        let error = gmcf_error::new(&error);
        for room in 1..=words.len() + 2 {
            let (len, bytes) = formatted(&error, room);
            let kept = words.len().min(room - 1);
            assert_eq!((len, &bytes[..kept], bytes[kept]), (words.len(), &words.as_bytes()[..kept], 0));
        }
        assert_eq!(formatted(&error, 0).0, words.len());
    }
}

/// What C writes into the struct may be anything.
#[test]
fn any_error_can_be_formatted() {
    let error =
        gmcf_error { code: -6, index: u32::MAX, found: u64::MAX, limit: 0, field: [b'x' as c_char; GMCF_FIELD_BYTES] };
    for number in [-10, -6, -2, 2, 0, -64, i32::MIN] {
        let (len, _) = formatted(&gmcf_error { code: number, ..error }, 160);
        assert!(len < 160);
    }
    // SAFETY: where a pointer is not NULL it is right.
    unsafe {
        assert_eq!(gmcf_error_format(core::ptr::null(), [0; 4].as_mut_ptr(), 4), 0);
        assert_eq!(gmcf_error_format(&error, core::ptr::null_mut(), 4), 0);
    }
}
