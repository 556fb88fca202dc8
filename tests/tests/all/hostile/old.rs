//! Old images that are not what the container was made against.

use std::cell::Cell;

use codec_core::Error;
use codec_core::container::digest::Id;
use codec_core::container::v2::Header;
use codec_core::limits;
use codec_core::predict::prior::PRIOR;
use codec_core::storage::ReadAt;
use host_trainer::align::Alignment;
use host_trainer::codec::{CodecError, Profile, apply};
use host_trainer::fit::encode::{Job, encode, with_big_stack};
use tests::data::{Pair, noise, pair_named};
use tests::device::{End, decode, feed};

const PROFILE: Profile = Profile::Tiny;

fn pair() -> &'static Pair {
    pair_named("fw-espboot-c3 2.1.0")
}

/// What the device and the host say to `old`. The device must not have written a byte.
fn refusals(old: &[u8]) -> (Error, Error) {
    let container = pair().container(PROFILE);
    let outcome = decode(PROFILE, old, container, pair().new.len());
    assert!(outcome.output.is_empty(), "{} bytes were written first", outcome.output.len());
    match apply(&[container], Some(old)) {
        Err(CodecError::Refused(error)) => (outcome.refusal(), error),
        other => panic!("{other:?}"),
    }
}

fn wrong(found: &[u8]) -> Error {
    let (header, _) = Header::parse(pair().container(PROFILE)).unwrap();
    Error::WrongOld { expected: header.old.unwrap().id.0, found: Id::of(found).old().0 }
}

#[test]
fn an_image_with_one_bit_changed() {
    let len = pair().old().len();
    for at in [0, 1, len / 2, len - 1] {
        let mut old = pair().old().to_vec();
        old[at] ^= 1;
        assert_eq!(refusals(&old), (wrong(&old), wrong(&old)), "changed at {at}");
    }
}

#[test]
fn other_images_of_the_same_length() {
    let len = pair().old().len();
    for old in [noise(len, 1), vec![0; len], vec![0xff; len]] {
        assert_eq!(refusals(&old), (wrong(&old), wrong(&old)));
    }
}

/// An image that ends too early cannot be read; to the host, which has a file and no flash, it is another one.
#[test]
fn an_image_that_is_too_short() {
    let whole = pair().old();
    for len in [1, whole.len() / 2, whole.len() - 1] {
        let (device, host) = refusals(&whole[..len]);
        assert!(matches!(device, Error::Storage { offset, len: n } if (offset + n) as usize > len), "{device}");
        assert_eq!(host, wrong(&whole[..len]));
    }
}

/// To a device, storage without a byte is no image; to the host, an empty file is another one.
#[test]
fn no_image_at_all() {
    let container = pair().container(PROFILE);
    assert_eq!(refusals(&[]), (Error::OldMissing, wrong(&[])));
    assert_eq!(apply(&[container], None), Err(CodecError::Refused(Error::OldMissing)));
}

/// An old image of no bytes is an image: a delta against it needs nothing to read.
#[test]
fn an_empty_image() {
    let new = &pair().new[..500];
    let job = Job { new, old: Some(&[]), profile: PROFILE, prior: PRIOR, base: None };
    let container = with_big_stack(|| encode(&job, &Alignment::default(), false)).unwrap().bytes;
    assert_eq!(decode(PROFILE, &[], &container, new.len()).accepted(), Some(new));
    assert_eq!(apply(&[&container], Some(&[])).as_deref(), Ok(new));
    assert_eq!(apply(&[&container], None), Err(CodecError::Refused(Error::OldMissing)));
}

/// A slot of flash is longer than the image in it: what lies behind must not matter.
#[test]
fn an_image_in_a_longer_slot() {
    let container = pair().container(PROFILE);
    for filling in [0xff, 0] {
        let mut slot = pair().old().to_vec();
        slot.resize(slot.len() + 5000, filling);
        let outcome = decode(PROFILE, &slot, container, pair().new.len());
        assert_eq!(outcome.accepted(), Some(&pair().new[..]), "{:?}", outcome.end);
    }
}

/// Storage whose read number `fails_at` fails.
struct Flaky<'a> {
    image: &'a [u8],
    reads: &'a Cell<u32>,
    fails_at: u32,
}

impl ReadAt for Flaky<'_> {
    fn len(&self) -> u32 {
        ReadAt::len(&self.image)
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), Error> {
        let number = self.reads.replace(self.reads.get() + 1);
        if number == self.fails_at {
            return Err(Error::Storage { offset, len: buf.len() as u32 });
        }
        self.image.read_at(offset, buf)
    }
}

/// Wherever the medium fails, the decoder says so, and what it has written is the start of the right file.
#[test]
fn storage_that_fails_at_each_read() {
    let reads = Cell::new(0);
    let container = pair().container(PROFILE);
    let run = |fails_at| {
        reads.set(0);
        let mut device = limits::Tiny::new(Flaky { image: pair().old(), reads: &reads, fails_at });
        feed(&mut device, container, pair().new.len(), || (usize::MAX, 4096), |_| true)
    };
    assert_eq!(run(u32::MAX).end, End::Done { left: 0 });
    let total = reads.get();
    assert!(total > 100, "only {total} reads");
    for fails_at in 0..total {
        let outcome = run(fails_at);
        assert!(matches!(outcome.refusal(), Error::Storage { .. }), "read {fails_at}: {:?}", outcome.end);
        assert!(pair().new.starts_with(&outcome.output));
        assert_eq!(reads.get(), fails_at + 1, "the decoder read on");
    }
}
