use std::collections::HashSet;
use std::string::String;
use std::vec::Vec;

use update_core::flash::Operation;

use super::*;

/// Every error of the updater, its number, and what C says of it.
fn errors() -> [(Error, i32, &'static str); 12] {
    let region = "slot a";
    [
        (
            Error::Flash { operation: Operation::Erase, offset: 4096, len: 8192 },
            -33,
            "flash failed: `erase`, offset 4096, bytes 8192",
        ),
        (Error::Layout { region, found: 100, limit: 4096 }, -34, "wrong layout: `slot a`, found 100, limit 4096"),
        (Error::Malformed(codec_core::Error::Corrupt { field: "words" }), -15, "damaged: `words`"),
        (Error::BadSignature { key: 1 }, -36, "bad signature, index 1"),
        (Error::NoKey { key: 1 }, -37, "no such key, index 1"),
        (Error::WrongProduct { expected: 7, found: 8 }, -38, "for another product, found 8, expected 7"),
        (Error::Downgrade { least: 3, found: 2 }, -39, "not newer, found 2, needed 3"),
        (Error::NoRoom { region, requested: 5, limit: 4 }, -40, "no room: `slot a`, found 5, limit 4"),
        (Error::WrongState { state: 6 }, -41, "not in this state, found 6"),
        (Error::Gap { found: 5, expected: 4 }, -42, "gap in the payload, found 5, expected 4"),
        (Error::DigestMismatch { field: "image" }, -43, "other digest than signed: `image`"),
        (Error::NothingToBoot, -44, "no whole image"),
    ]
}

#[test]
fn every_error_of_the_updater_has_its_number_and_words() {
    let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../update-core/src/error.rs")).unwrap();
    let expected = error::variants(&source, "Error");
    let errors = errors();
    let name = |error: &Error| String::from(std::format!("{error:?}").split([' ', '(']).next().unwrap());
    assert_eq!(
        errors.iter().map(|(error, ..)| name(error)).collect::<HashSet<_>>(),
        expected,
        "update_core::Error has other variants than this table"
    );
    for (error, number, words) in &errors {
        let seen = gmcf_error::of_update(error);
        assert_eq!((code(error) as i32, seen.code), (*number, *number), "{error:?}");
        let (len, bytes) = error::formatted(&seen, 160);
        assert_eq!(std::str::from_utf8(&bytes[..len]).unwrap(), *words, "{error:?}");
        // What the link and the progress record call it.
        assert_eq!(status(error.code()) as i32, -32 - i32::from(error.code()));
    }
    let codes: Vec<_> = (0..=u8::MAX).filter(|&code| status(code) != GMCF_ERROR_OTHER).collect();
    assert_eq!(codes, (0..=12).collect::<Vec<_>>());
    assert_eq!(status(0), GMCF_DONE);
}
