//! Payloads that no encoder writes: counts, segments, stretches, regions and instruction sets that cannot be.

use codec_core::Error;
use codec_core::container::v2::{Header, Mode};
use codec_core::delta::map::Segment;
use codec_core::entropy::number::NumberModel;
use codec_core::limits::Profile;
use codec_core::reloc::IsaKind;
use codec_core::reloc::address::{MAX_STRETCHES, Region, Stretch};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tests::craft::{self, MIXED, Writer, address, container, delta, head, map, payload};
use tests::data::{lines, noise};
use tests::device::{End, decode};

const OLD_LEN: u32 = 1000;
const NEW_LEN: u32 = 1200;

fn old() -> Vec<u8> {
    lines(OLD_LEN as usize)[..OLD_LEN as usize].to_vec()
}

fn new() -> Vec<u8> {
    lines(NEW_LEN as usize)[..NEW_LEN as usize].to_vec()
}

/// What a decoder of `on` says to this payload for `profile`. Nothing may be written.
fn refusal(profile: Profile, on: Profile, write: impl FnOnce(&mut Writer<'_>)) -> Error {
    let (old, new) = (old(), new());
    let lie = container(delta(profile, &old, &new), &payload(write));
    let outcome = decode(on, &old, &lie, new.len());
    assert!(outcome.output.is_empty(), "{} bytes were written first", outcome.output.len());
    outcome.refusal()
}

#[test]
fn instruction_sets_that_do_not_exist() {
    for isa in IsaKind::ALL.len() as u32..MIXED {
        for isa in [isa, MIXED | isa] {
            let error = refusal(Profile::Tiny, Profile::Tiny, |coder| head(coder, isa, 0));
            assert_eq!(error, Error::Unknown { field: "isa", found: isa.into() });
        }
        let error = refusal(Profile::Tiny, Profile::Tiny, |coder| {
            head(coder, MIXED | 1, 0);
            // One stretch, from 0 on, of one byte.
            craft::even(coder, 0, 3);
            let mut number = NumberModel::new();
            number.code(coder, 0);
            number.code(coder, 0);
            craft::even(coder, isa, 4);
        });
        assert_eq!(error, Error::Unknown { field: "stretch.isa", found: isa.into() });
    }
}

#[test]
fn stretches_that_leave_the_old_image() {
    let stretch = |start, len| Stretch { start, len, isa: IsaKind::Rv32 };
    let range = |field, found, limit| Error::OutOfRange { field, found, limit };
    let old = u64::from(OLD_LEN);
    let cases = [
        (vec![stretch(OLD_LEN, 1)], range("stretch.start", old, old)),
        (vec![stretch(u32::MAX - 1, 1)], range("stretch.start", u64::from(u32::MAX) - 1, old)),
        (vec![stretch(0, OLD_LEN + 1)], range("stretch.len", old + 1, old)),
        (vec![stretch(OLD_LEN - 5, 6)], range("stretch.len", 6, 5)),
        (vec![stretch(7, u32::MAX)], range("stretch.len", u32::MAX.into(), old - 7)),
        // Distances wrap: a stretch can say that it starts before the one before it ends.
        (vec![stretch(100, 200), stretch(50, 10)], range("stretch.start", 50, old)),
        (vec![stretch(100, 200), stretch(298, 10)], range("stretch.start", 298, old)),
    ];
    for (stretches, expected) in cases {
        let error = refusal(Profile::Small, Profile::Small, |coder| address(coder, 1, &stretches, &[]));
        assert_eq!(error, expected, "{stretches:?}");
    }
}

/// The budget is the one that the container declares, also where the decoder has more.
#[test]
fn more_segments_than_the_profile_has() {
    for (i, profile) in Profile::ALL.into_iter().enumerate() {
        let limit = profile.parameters().segments;
        for requested in [limit + 1, limit * 2, u32::MAX / 2, u32::MAX - 2] {
            for &on in &Profile::ALL[i..] {
                let error = refusal(profile, on, |coder| {
                    head(coder, 1, 0);
                    map(coder, requested, &[]);
                });
                let (requested, limit) = (requested.into(), limit.into());
                assert_eq!(error, Error::OverBudget { field: "segments", requested, limit }, "{profile:?} on {on:?}");
            }
        }
    }
}

#[test]
fn segments_that_leave_the_files() {
    let segment = |new, old, len| Segment { new, old, len };
    let first = segment(100, 0, 200);
    let range = |field, found, limit| Error::OutOfRange { field, found, limit };
    let (old, new) = (u64::from(OLD_LEN), u64::from(NEW_LEN));
    let cases = [
        (vec![segment(NEW_LEN, 0, 1)], range("map.new", new, new)),
        (vec![segment(u32::MAX - 7, 0, 1)], range("map.new", u64::from(u32::MAX) - 7, new)),
        (vec![segment(0, OLD_LEN, 1)], range("map.old", old, old)),
        (vec![segment(0, u32::MAX, 1)], range("map.old", u32::MAX.into(), old)),
        (vec![segment(0, 0, OLD_LEN + 1)], range("map.len", old + 1, old)),
        (vec![segment(NEW_LEN - 5, 0, 6)], range("map.len", 6, 5)),
        (vec![segment(0, OLD_LEN - 5, 6)], range("map.len", 6, 5)),
        (vec![segment(0, 0, u32::MAX)], range("map.len", u32::MAX.into(), old)),
        // Gaps wrap: a segment can say that it starts before the one before it ends.
        (vec![first, segment(50, 0, 10)], range("map.new", 50, new)),
        (vec![first, segment(298, 0, 10)], range("map.new", 298, new)),
        (vec![first, segment(100, 0, 200)], range("map.new", 100, new)),
    ];
    for (segments, expected) in cases {
        let error = refusal(Profile::Small, Profile::Small, |coder| {
            head(coder, 1, 0);
            map(coder, segments.len() as u32, &segments);
        });
        assert_eq!(error, expected, "{segments:?}");
    }
}

/// A payload that stops anywhere reads as zeros from there on, and is no file.
#[test]
fn no_payload_at_all() {
    let (old, new) = (old(), new());
    for mode in [Mode::Coded, Mode::Primed] {
        for profile in Profile::ALL {
            let lie = container(Header { mode, ..delta(profile, &old, &new) }, &[]);
            let end = decode(profile, &old, &lie, new.len()).end;
            assert!(matches!(end, End::Refused(error) if error != Error::Finished), "{end:?}");
        }
    }
}

fn region() -> impl Strategy<Value = Region> {
    let address = || prop_oneof![any::<u32>(), 0..2 * OLD_LEN, Just(0x0800_0000u32), Just(u32::MAX)];
    // The largest numbers that the code can say.
    let number = || prop_oneof![0..2 * OLD_LEN, 0..u32::MAX];
    (number(), number(), address(), 0..1u32 << 30).prop_map(|(start, len, old_base, slide)| {
        let new_base = old_base.wrapping_add(slide);
        Region { start, len, old_base, new_base }
    })
}

/// Stretches that a decoder must take: in order, inside the old image.
fn stretches() -> impl Strategy<Value = Vec<Stretch>> {
    vec((0..60u32, 1..300u32, select(&IsaKind::ALL[..])), 0..MAX_STRETCHES + 1).prop_map(|steps| {
        let mut stretches: Vec<Stretch> = Vec::new();
        for (gap, len, isa) in steps {
            let start = stretches.last().map_or(0, Stretch::end) + gap;
            if start < OLD_LEN {
                stretches.push(Stretch { start, len: len.min(OLD_LEN - start), isa });
            }
        }
        stretches
    })
}

/// Segments that a decoder must take: in order, inside both files.
fn segments() -> impl Strategy<Value = Vec<Segment>> {
    vec((0..40u32, 0..OLD_LEN, 1..60u32), 0..20).prop_map(|steps| {
        let mut at = 0;
        let mut segments = Vec::new();
        for (gap, old, len) in steps {
            let new = at + gap;
            if new >= NEW_LEN {
                break;
            }
            let len = len.min(NEW_LEN - new).min(OLD_LEN - old);
            segments.push(Segment { new, old, len });
            at = new + len;
        }
        segments
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// A legal map over wild regions and any mix of instruction sets, then noise: it decodes to something, and never to more
    /// than was promised, and the digest refuses it.
    #[test]
    fn wild_models_and_noise(
        isa in 0..IsaKind::ALL.len() as u32,
        (stretches, places) in (stretches(), vec(region(), 0..8)),
        segments in segments(),
        (tail, image) in (any::<u64>(), any::<u64>()),
        profile in select(&Profile::ALL[..3]),
        primed in any::<bool>(),
    ) {
        let (old, new) = (noise(OLD_LEN as usize, image), new());
        let written = payload(|coder| {
            address(coder, isa, &stretches, &places);
            map(coder, segments.len() as u32, &segments);
            craft::noise(coder, &noise(4000, tail));
        });
        let mode = if primed { Mode::Primed } else { Mode::Coded };
        let lie = container(Header { mode, ..delta(profile, &old, &new) }, &written);
        let outcome = decode(profile, &old, &lie, new.len());
        match outcome.refusal() {
            Error::Corrupt { field: "payload" } | Error::OutOfRange { field: "copy.old" | "copy.len", .. } => {}
            other => prop_assert!(false, "{}", other),
        }
    }

    /// Noise behind a true header.
    #[test]
    fn noise_behind_a_header(tail in vec(any::<u8>(), 0..3000), profile in select(&Profile::ALL[..3]), primed in any::<bool>()) {
        let (old, new) = (old(), new());
        let mode = if primed { Mode::Primed } else { Mode::Coded };
        let lie = container(Header { mode, ..delta(profile, &old, &new) }, &tail);
        let outcome = decode(profile, &old, &lie, new.len());
        prop_assert!(matches!(outcome.end, End::Refused(error) if error != Error::Finished), "{:?}", outcome.end);
    }
}
