//! Chains base -> v1 -> v2, as `apply` and `squash` take them.

use codec_core::Error;
use codec_core::container::digest::Id;
use codec_core::container::v2::Header;
use host_trainer::codec::{CodecError, Format, Profile, apply, compress, squash};
use tests::data::{noise, options, read};

const LONGEST: usize = 64;

/// Content number `i` of a family: 200 bytes that do not compress, all but two the same.
fn content(i: usize) -> Vec<u8> {
    let mut content = noise(200, 7);
    content[20] = i as u8;
    content[150] = (i >> 8) as u8;
    content
}

fn id(i: usize) -> Id {
    Id::of(&content(i))
}

fn delta(from: usize, to: usize) -> Vec<u8> {
    let container = compress(&content(to), Some(&content(from)), &options(Profile::Tiny, Format::V2)).unwrap().bytes;
    assert!(Header::parse(&container).unwrap().0.old.is_some(), "{from} to {to} is no delta");
    container
}

fn whole(i: usize) -> Vec<u8> {
    compress(&content(i), None, &options(Profile::Tiny, Format::V2)).unwrap().bytes
}

fn apply_all(containers: &[Vec<u8>], old: Option<usize>) -> Result<Vec<u8>, CodecError> {
    let containers: Vec<&[u8]> = containers.iter().map(Vec::as_slice).collect();
    apply(&containers, old.map(content).as_deref())
}

fn refusal(containers: &[Vec<u8>], old: Option<usize>) -> Error {
    match apply_all(containers, old) {
        Err(CodecError::Refused(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(content) => panic!("accepted, {} bytes", content.len()),
    }
}

#[test]
fn good_chains_lead_to_their_end() {
    assert_eq!(apply_all(&[], Some(3)), Ok(content(3)));
    assert_eq!(apply_all(&[delta(0, 1), delta(1, 2), delta(2, 3)], Some(0)), Ok(content(3)));
    assert_eq!(apply_all(&[whole(1), delta(1, 2)], None), Ok(content(2)));
    // What is at hand does not matter to a whole file.
    assert_eq!(apply_all(&[whole(1), delta(1, 2)], Some(9)), Ok(content(2)));
}

#[test]
fn broken_chains_are_named() {
    assert_eq!(refusal(&[], None), Error::OldMissing);
    assert_eq!(refusal(&[delta(0, 1)], None), Error::OldMissing);
    let wrong = Error::WrongOld { expected: id(0).old().0, found: id(5).old().0 };
    assert_eq!(refusal(&[delta(0, 1), delta(1, 2)], Some(5)), wrong);
    assert_eq!(refusal(&[delta(0, 1), delta(2, 3)], Some(0)), Error::ChainGap { index: 1 });
    assert_eq!(refusal(&[delta(0, 1), delta(1, 2), delta(3, 4)], Some(0)), Error::ChainGap { index: 2 });
    assert_eq!(refusal(&[delta(1, 2), delta(0, 1)], Some(0)), Error::ChainOrder { index: 0 });
    assert_eq!(refusal(&[delta(0, 1), delta(2, 3), delta(1, 2)], Some(0)), Error::ChainOrder { index: 1 });
    assert_eq!(refusal(&[delta(0, 1), whole(2)], Some(0)), Error::ChainOrder { index: 1 });
    assert_eq!(refusal(&[delta(0, 1), delta(1, 0)], Some(0)), Error::ChainLoop { index: 1 });
    assert_eq!(refusal(&[whole(1), delta(1, 2), delta(2, 1)], None), Error::ChainLoop { index: 2 });
}

/// The old image of a lone delta is identified once, by the decoder; what is said of a wrong one is the same.
#[test]
fn a_lone_delta_knows_its_old_image() {
    let wrong = |found: &[u8]| Error::WrongOld { expected: id(0).old().0, found: Id::of(found).old().0 };
    assert_eq!(apply_all(&[delta(0, 1)], Some(0)), Ok(content(1)));
    assert_eq!(refusal(&[delta(0, 1)], Some(5)), wrong(&content(5)));
    // A file, other than a slot of flash, has no bytes behind the image.
    let longer = [&content(0)[..], b"x"].concat();
    for old in [&longer[..], &longer[..150]] {
        assert_eq!(apply(&[&delta(0, 1)], Some(old)), Err(CodecError::Refused(wrong(old))));
    }
    // Standing still is no loop.
    assert_eq!(apply_all(&[delta(0, 0)], Some(0)), Ok(content(0)));
}

/// The chain is judged before any link is decoded: the first payload is damaged, and the gap behind it is named.
#[test]
fn the_whole_chain_is_checked_first() {
    let mut first = delta(0, 1);
    *first.last_mut().unwrap() ^= 0x40;
    assert_eq!(refusal(&[first.clone(), delta(2, 3)], Some(0)), Error::ChainGap { index: 1 });
    let error = refusal(&[first, delta(1, 2)], Some(0));
    assert!(matches!(error, Error::DigestMismatch { .. } | Error::Corrupt { .. }), "{error}");
}

#[test]
fn over_long_chains_are_refused() {
    let mut links: Vec<_> = (0..LONGEST).map(|i| delta(i, i + 1)).collect();
    assert_eq!(apply_all(&links, Some(0)), Ok(content(LONGEST)));
    links.push(delta(LONGEST, LONGEST + 1));
    let (requested, limit) = (LONGEST as u64 + 1, LONGEST as u64);
    assert_eq!(refusal(&links, Some(0)), Error::OverBudget { field: "chain", requested, limit });
}

#[test]
fn both_formats_mix_in_a_chain() {
    let layered = compress(&content(1), Some(&content(0)), &options(Profile::Tiny, Format::V1)).unwrap().bytes;
    assert_eq!(apply_all(&[layered.clone(), delta(1, 2)], Some(0)), Ok(content(2)));
    assert_eq!(refusal(&[layered, delta(2, 3)], Some(0)), Error::ChainGap { index: 1 });
}

#[test]
fn squashing_leads_to_the_same_content() {
    let version = |i: u32| read(format!("dev/fw-built-rust/v{i}.bin"));
    let (v1, v2, v3) = (version(1), version(2), version(3));
    let choice = options(Profile::Small, Format::V2);
    let ours = |new: &[u8], old: &[u8]| compress(new, Some(old), &choice).unwrap().bytes;
    let (a, b) = (ours(&v2, &v1), ours(&v3, &v2));
    let squashed = squash(&a, &b, Some(&v1), &choice).unwrap().bytes;
    let header = |container: &[u8]| Header::parse(container).unwrap().0;
    assert_eq!((header(&squashed).digest, header(&squashed).old), (header(&b).digest, header(&a).old));
    assert_eq!(apply(&[&squashed], Some(&v1)).as_ref(), Ok(&v3));
    assert!(squashed.len() < a.len() + b.len(), "{} is not less than {} + {}", squashed.len(), a.len(), b.len());
}

#[test]
fn a_squashed_whole_file_is_whole() {
    let choice = options(Profile::Tiny, Format::V2);
    let squashed = squash(&whole(1), &delta(1, 2), None, &choice).unwrap().bytes;
    assert_eq!(apply_all(&[squashed], None), Ok(content(2)));
}

#[test]
fn what_is_no_chain_is_not_squashed() {
    let choice = options(Profile::Tiny, Format::V2);
    let refused = |a: &[u8], b: &[u8], old: Option<usize>| match squash(a, b, old.map(content).as_deref(), &choice) {
        Err(CodecError::Refused(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(container) => panic!("squashed to {} bytes", container.bytes.len()),
    };
    assert_eq!(refused(&delta(0, 1), &delta(2, 3), Some(0)), Error::ChainGap { index: 1 });
    assert_eq!(refused(&delta(1, 2), &delta(0, 1), Some(0)), Error::ChainOrder { index: 0 });
    assert_eq!(refused(&delta(0, 1), &delta(1, 0), Some(0)), Error::ChainLoop { index: 1 });
    assert_eq!(refused(&delta(0, 1), &delta(1, 2), None), Error::OldMissing);
}
