//! Every bundled pair on every profile.

use codec_core::Error;
use codec_core::container::v2::{Header, Mode};
use host_trainer::codec::{Format, Profile, apply, compress, inspect};
use host_trainer::fit::encode::{Job, stored};
use tests::data::{options, pair_named, pairs};
use tests::device::decode;

fn round_trips(profile: Profile) {
    for pair in pairs() {
        let (name, container) = (&pair.name, pair.container(profile));
        let (header, _) = Header::parse(container).unwrap();
        assert!(header.profile <= profile, "{name} asks for more than {}", profile.name());
        assert_eq!(apply(&[container], pair.old.as_deref()).as_ref(), Ok(&pair.new), "{name}");
        // As a device does it: the slot is no longer than the file.
        let outcome = decode(header.profile, pair.old(), container, pair.new.len());
        assert_eq!(outcome.accepted(), Some(&pair.new[..]), "{name}: {:?}", outcome.end);

        let job = Job { new: &pair.new, old: pair.old.as_deref(), profile, prior: &[], base: None };
        let stored = stored(&job).unwrap().bytes.len();
        assert!(container.len() <= stored && stored <= pair.new.len() + 40, "{name}: {} bytes", container.len());

        let found = inspect(container, pair.old.as_deref(), None).unwrap();
        assert_eq!((found.total, found.new_len), (container.len() as u64, pair.new.len() as u64), "{name}");
        let bits: f64 = found.parts.iter().map(|part| part.bits).sum();
        assert!((bits - 8.0 * container.len() as f64).abs() < 1.0, "{name}: {bits} bits of {} bytes", container.len());
    }
}

#[test]
fn round_trips_on_tiny() {
    round_trips(Profile::Tiny);
}

#[test]
fn round_trips_on_small() {
    round_trips(Profile::Small);
}

#[test]
fn round_trips_on_medium() {
    round_trips(Profile::Medium);
}

#[test]
fn round_trips_on_host() {
    round_trips(Profile::Host);
}

/// A whole file without the old one, also in version 1.
#[test]
fn whole_files_and_version_1_round_trip() {
    for name in ["txt-cp-neopixel", "fw-nodepixel", "rand-512"] {
        let pair = pair_named(name);
        let whole = compress(&pair.new, None, &options(Profile::Small, Format::V2)).unwrap();
        assert!(!whole.breakdown.is_delta);
        assert_eq!(apply(&[&whole.bytes], None).as_ref(), Ok(&pair.new), "{name}");
        for old in [None, pair.old.as_deref()] {
            let layered = compress(&pair.new, old, &options(Profile::Small, Format::V1)).unwrap();
            assert_eq!(&layered.bytes[..8], b"GMCF\x01\0\0\0");
            assert_eq!(apply(&[&layered.bytes], old).as_ref(), Ok(&pair.new), "{name}");
        }
    }
}

/// The same file, decoded with the tables of every larger profile, gives the same bytes: a container means one thing.
#[test]
fn larger_decoders_agree() {
    for name in ["fw-espboot-c3 2.1.0", "fw-nodepixel", "txt-cp-neopixel"] {
        let pair = pair_named(name);
        for (i, declared) in Profile::ALL.into_iter().enumerate() {
            let container = pair.container(declared);
            assert_eq!(Header::parse(container).unwrap().0.profile, declared, "{name} was not coded");
            for larger in &Profile::ALL[i..] {
                let outcome = decode(*larger, pair.old(), container, pair.new.len());
                assert_eq!(outcome.accepted(), Some(&pair.new[..]), "{name}: {declared:?} on {larger:?}");
            }
        }
    }
}

/// A smaller decoder says which table is too small before it writes anything or looks at the old image.
#[test]
fn smaller_decoders_refuse_by_name() {
    let pair = pair_named("fw-nodepixel");
    for (i, declared) in Profile::ALL.into_iter().enumerate() {
        let container = pair.container(declared);
        assert_ne!(Header::parse(container).unwrap().0.mode, Mode::Stored);
        for smaller in &Profile::ALL[..i] {
            let requested = declared.parameters().words.into();
            let limit = smaller.parameters().words.into();
            let expected = Error::OverBudget { field: "words", requested, limit };
            for old in [pair.old(), &[]] {
                let outcome = decode(*smaller, old, container, pair.new.len());
                assert_eq!((outcome.refusal(), outcome.output.len()), (expected, 0), "{declared:?} on {smaller:?}");
            }
        }
    }
}

/// The tiny update of the set: what identities, lengths and seven changed bytes cost.
#[test]
fn a_tiny_update_stays_tiny() {
    let pair = pair_named("fw-built-rust v1");
    for profile in Profile::ALL {
        let bytes = pair.container(profile).len();
        assert!(bytes <= 64, "{bytes} bytes on {}", profile.name());
    }
}
