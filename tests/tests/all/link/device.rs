//! The device's end: anything any number of times, late, in any order.

use proptest::collection::vec;
use proptest::prelude::*;
use tests::link::{Recorder, state};
use update_core::Error;
use update_core::link::Link;
use update_core::link::message::{Kind, Part, Refusal, Reply, Request};

use super::{MANIFEST, NONCE, ask, feed, frame, open};

/// Bytes of a chunk.
const CHUNK: usize = 20;

fn payload() -> Vec<u8> {
    (0..=250).collect()
}

/// Every request of a session that does everything, in order.
fn script(session: u16) -> Vec<Vec<u8>> {
    let mut frames = vec![frame(Request::Query { session, token: 8 }, &[])];
    let ask = true;
    for (at, piece) in MANIFEST[..100].chunks(16).enumerate() {
        let part = Part { at: 4 * at as u8, ask, nonce: NONCE };
        frames.push(frame(Request::Rotate { session, len: 100, part }, piece));
    }
    for (at, piece) in MANIFEST.chunks(16).enumerate() {
        let part = Part { at: 4 * at as u8, ask, nonce: NONCE };
        frames.push(frame(Request::Offer { session, chunk: CHUNK as u16, part }, piece));
    }
    for (number, chunk) in (0..).zip(payload().chunks(CHUNK)) {
        frames.push(frame(Request::DataAsk { session, number }, chunk));
    }
    frames.push(frame(Request::Install { session }, &[]));
    frames
}

fn expecting() -> Recorder {
    Recorder { expected: Some((MANIFEST, payload())), ..Recorder::new() }
}

#[test]
fn everything_is_done_once_and_answered_again() {
    let (mut link, mut target) = (Link::<64, 4>::new(1), expecting());
    let session = open(&mut link, &mut target, NONCE.into());
    let script = script(session);
    let first: Vec<_> = script.iter().map(|frame| feed(&mut link, &mut target, frame)).collect();
    assert!(first.iter().all(|replies| replies.len() == 1));
    assert_eq!(*first.last().unwrap(), [Reply::Done { session, kind: Kind::Install }]);
    let after = target.clone();
    for frame in script.iter().chain(script.iter().rev()) {
        assert_eq!(feed(&mut link, &mut target, frame).len(), 1);
    }
    assert_eq!((target.counts, &target.statements), (after.counts, &vec![MANIFEST[..100].to_vec()]));
    assert_eq!((target.counts, target.received), ([1, 1, 0, 0], 251));

    for _ in 0..3 {
        let done = Some(Reply::Done { session, kind: Kind::Reboot });
        assert_eq!(ask(&mut link, &mut target, Request::Reboot { session }, &[]), done);
    }
    assert_eq!((target.counts[3], target.info.state), (1, state::TRIAL));
}

#[test]
fn nothing_from_before_a_restart_counts_whatever_the_seed() {
    let (mut link, mut target) = (Link::<64, 4>::new(0), expecting());
    let session = open(&mut link, &mut target, NONCE.into());
    let mut late: Vec<Vec<u8>> = vec![frame(Request::Hello { nonce: 5 }, &[])];
    late.extend(script(session));
    late.push(frame(Request::Reboot { session }, &[]));
    late.iter().for_each(|frame| drop(feed(&mut link, &mut target, frame)));
    assert_eq!((target.counts, target.info.state), ([1, 1, 0, 1], state::TRIAL));

    // The device comes up without memory or luck, and hears all of it again, the greeting first, and one thing more.
    late.push(frame(Request::Confirm { session }, &[]));
    let mut link = Link::<64, 4>::new(0);
    for frame in &late {
        for reply in feed(&mut link, &mut target, frame) {
            assert!(matches!(reply, Reply::Welcome { .. } | Reply::NoSession { .. }), "{reply:?}");
        }
    }
    assert_eq!((target.counts, target.info.state), ([1, 1, 0, 1], state::TRIAL));
}

#[test]
fn a_late_greeting_does_not_disturb_the_session() {
    let (mut link, mut target) = (Link::<64, 4>::new(3), expecting());
    let old = open(&mut link, &mut target, 1);
    ask(&mut link, &mut target, Request::Query { session: old, token: 0 }, &[]);
    let session = open(&mut link, &mut target, NONCE.into());
    let script = script(session);
    let late = frame(Request::Hello { nonce: 1 }, &[]);
    let late_install = frame(Request::Install { session: old }, &[]);
    for frame in &script {
        assert!(matches!(
            feed(&mut link, &mut target, frame)[..],
            [Reply::Info { .. } | Reply::Have { .. } | Reply::Accepted { .. } | Reply::Ack { .. } | Reply::Done { .. }]
        ));
        feed(&mut link, &mut target, &late);
        assert_eq!(
            feed(&mut link, &mut target, &late_install),
            [Reply::NoSession { session: old, kind: Kind::Install }]
        );
    }
    assert_eq!(target.counts, [1, 1, 0, 0]);
}

#[test]
fn a_refusal_ends_the_session_and_is_said_again() {
    for (kind, error) in [
        (Kind::Offer, Error::BadSignature { key: 1 }),
        (Kind::DataAsk, Error::Flash { operation: update_core::flash::Operation::Write, offset: 1, len: 2 }),
        (Kind::Install, Error::DigestMismatch { field: "image" }),
    ] {
        let (mut link, mut target) = (Link::<64, 4>::new(1), expecting());
        let session = open(&mut link, &mut target, NONCE.into());
        let script = script(session);
        let from = script.iter().position(|frame| is_kind(frame, kind)).unwrap();
        for frame in &script[..from] {
            feed(&mut link, &mut target, frame);
        }
        target.trouble = Some(error);
        let refused = [Reply::Refused { session, refusal: Refusal::new(kind, &error) }];
        let mut replies = Vec::new();
        for frame in &script[from..] {
            replies.extend(feed(&mut link, &mut target, frame));
        }
        assert_eq!(replies.last(), refused.first());
        assert_eq!(feed(&mut link, &mut target, &script[from]), refused, "{kind:?}");
        assert!(matches!(
            ask(&mut link, &mut target, Request::Query { session, token: 8 }, &[]),
            Some(Reply::Info { .. })
        ));
        // A new session goes on where the last one stopped.
        let session = open(&mut link, &mut target, 0x80 | u32::from(NONCE));
        let stored = target.stored.len();
        for frame in self::script_from(session, stored) {
            feed(&mut link, &mut target, &frame);
        }
        assert_eq!(target.counts[1], 1, "{kind:?}");
    }
}

fn is_kind(sealed: &[u8], kind: Kind) -> bool {
    let mut frames = update_core::link::frame::Frames::<64>::new();
    let len = frames.next(&mut { sealed }).unwrap();
    postcard::take_from_bytes::<Request>(frames.message(len)).unwrap().0.kind() == kind
}

/// An offer, the payload from `start` on, and the install.
fn script_from(session: u16, start: usize) -> Vec<Vec<u8>> {
    let data = |frame: &Vec<u8>| is_kind(frame, Kind::DataAsk);
    let mut frames: Vec<_> = script(session).into_iter().filter(|frame| !data(frame)).collect();
    let install = frames.pop();
    for (number, chunk) in (0..).zip(payload()[start..].chunks(CHUNK)) {
        frames.push(frame(Request::Data { session, number }, chunk));
    }
    frames.extend(install);
    frames
}

#[test]
fn chunks_inside_the_window_are_kept_and_others_are_not() {
    let (mut link, mut target) = (Link::<64, 3>::new(1), expecting());
    let session = open(&mut link, &mut target, NONCE.into());
    for frame in script(session).iter().filter(|frame| is_kind(frame, Kind::Offer)) {
        feed(&mut link, &mut target, frame);
    }
    let payload = payload();
    let mut send = |number: u32| {
        let chunk = payload.chunks(CHUNK).nth(number as usize).unwrap();
        match ask(&mut link, &mut target, Request::DataAsk { session, number }, chunk) {
            Some(Reply::Ack { next, kept, .. }) => (next, kept),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(send(4), (0, 0)); // beyond
    assert_eq!(send(2), (0, 0b010));
    assert_eq!(send(3), (0, 0b110));
    assert_eq!(send(2), (0, 0b110));
    assert_eq!(send(0), (1, 0b011));
    assert_eq!(send(4), (1, 0b111));
    assert_eq!(send(1), (5, 0));
    assert_eq!(send(1), (5, 0));
    assert_eq!(target.stored, payload[..100]);
}

#[test]
fn a_chunk_size_that_does_not_fit_is_refused() {
    for chunk in [0, 28, u16::MAX] {
        let (mut link, mut target) = (Link::<32, 1>::new(1), Recorder::new());
        let session = open(&mut link, &mut target, NONCE.into());
        let mut last = None;
        for (at, piece) in MANIFEST.chunks(16).enumerate() {
            let part = Part { at: 4 * at as u8, ask: true, nonce: NONCE };
            last = ask(&mut link, &mut target, Request::Offer { session, chunk, part }, piece);
        }
        let refusal = Refusal { kind: Kind::Offer, code: 8, values: (chunk.into(), 22) };
        assert_eq!(last, Some(Reply::Refused { session, refusal }));
        assert_eq!(target.counts[0], 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn in_any_order_and_number_the_outcome_is_right(
        order in vec(any::<prop::sample::Index>(), 0..120),
        seed: u32,
    ) {
        let (mut link, mut target) = (Link::<64, 4>::new(seed), expecting());
        let session = open(&mut link, &mut target, NONCE.into());
        let script = script(session);
        // All but the install: the host sends that when all the rest has been answered.
        let (install, rest) = script.split_last().unwrap();
        for index in order {
            feed(&mut link, &mut target, &rest[index.index(rest.len())]);
        }
        // At last everything arrives once, in order.
        rest.iter().chain([install]).for_each(|frame| drop(feed(&mut link, &mut target, frame)));
        prop_assert_eq!(target.counts, [1, 1, 0, 0]);
        prop_assert_eq!(target.stored, payload());
    }

    #[test]
    fn bytes_that_mean_nothing_do_nothing(bytes in vec(any::<u8>(), 0..400)) {
        let (mut link, mut target) = (Link::<64, 4>::new(1), Recorder::new());
        prop_assert_eq!(feed(&mut link, &mut target, &bytes), []);
        prop_assert_eq!(target.counts, [0; 4]);
        feed(&mut link, &mut target, &[0]);
        open(&mut link, &mut target, 9);
    }
}
