//! Images that hold code for more than one instruction set, as those of a chip with two kinds of core do.

use codec_core::predict::prior::PRIOR;
use host_trainer::codec::{Format, Profile, apply, compress, inspect};
use host_trainer::fit::encode::{Job, encode, with_big_stack};
use host_trainer::fit::search::{LEAST_MAPPED, alignments};
use tests::data::{Pair, options, pair_named};
use tests::device::decode;

/// Where the second image starts at the earliest: a page of flash, bytes.
const PAGE: usize = 4096;

/// One image, then the other on a page of its own, erased flash between them.
fn joined(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut image = first.to_vec();
    image.resize(image.len().next_multiple_of(PAGE), 0xff);
    image.extend_from_slice(second);
    image
}

/// The update of both images at once names both instruction sets, comes back on a small device, and costs less than
/// any one set for all of it, and no more than the two updates alone.
fn mixes(pairs: [&Pair; 2], names: [&str; 2]) {
    let [a, b] = pairs;
    let (old, new) = (joined(a.old(), b.old()), joined(&a.new, &b.new));
    let mixed = compress(&new, Some(&old), &options(Profile::Small, Format::V2)).unwrap();
    assert_eq!(apply(&[&mixed.bytes], Some(&old)).as_ref(), Ok(&new));
    let outcome = decode(Profile::Small, &old, &mixed.bytes, new.len());
    assert_eq!(outcome.accepted(), Some(&new[..]), "{:?}", outcome.end);

    let isa = inspect(&mixed.bytes, Some(&old), None).unwrap().isa.unwrap();
    assert!(names.iter().all(|name| isa.contains(name)) && isa.contains(" at 0x"), "{isa}");

    let size = mixed.bytes.len();
    let single = best_single(&old, &new);
    assert!(size < single, "{size} bytes, {single} with one set");
    let alone: usize = pairs.iter().map(|pair| pair.container(Profile::Small).len()).sum();
    assert!(size <= alone + alone / 20, "{size} bytes, {alone} alone");
    println!("{isa}: {size} bytes, {single} with one set, {alone} alone");
}

/// Bytes of the smallest update that reads all of the image with one instruction set.
fn best_single(old: &[u8], new: &[u8]) -> usize {
    let job = Job { new, old: Some(old), profile: Profile::Small, prior: PRIOR, base: None };
    let sizes = alignments(old, new, Profile::Small)
        .into_iter()
        .filter(|found| found.address.stretches().is_empty())
        .map(|found| found.split(Profile::Small.parameters().segments as usize, LEAST_MAPPED))
        .map(|found| with_big_stack(|| encode(&job, &found, false)).unwrap().bytes.len());
    sizes.min().unwrap()
}

#[test]
fn thumb_then_risc_v() {
    mixes([pair_named("fw-greatfet-stub"), pair_named("fw-espboot-c3 3.3.0")], ["thumb", "rv"]);
}

#[test]
fn risc_v_then_thumb() {
    mixes([pair_named("fw-espboot-c3 3.3.0"), pair_named("fw-greatfet-stub")], ["thumb", "rv"]);
}

#[test]
fn xtensa_then_risc_v() {
    mixes([pair_named("fw-espboot-xtensa"), pair_named("fw-espboot-c3 3.3.0")], ["xtensa", "rv"]);
}
