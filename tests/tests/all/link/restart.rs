//! A device that comes up with the seed of its last start, and hears the greeting of that start once more: then the
//! session that its host goes on with is a new one by the same number.

use std::time::Duration;

use host_trainer::push::{Action, Sender, Settings, Task, Update};
use tests::data::noise;
use tests::link::{Recorder, state};
use update_core::link::Link;
use update_core::link::frame::{Frames, seal};
use update_core::link::message::{Kind, PROTOCOL, Part, Reply, Request};

use super::{MANIFEST, NONCE, ask, open};

/// Bytes of the longest frame.
const N: usize = 51;
/// Chunks that the device keeps.
const W: usize = 3;

/// Both ends, and the device's flash.
struct Ends<'a> {
    sender: Sender<'a>,
    link: Link<N, W>,
    target: Recorder,
    now: Duration,
    hello: Vec<u8>,
}

impl<'a> Ends<'a> {
    fn new(tasks: &'a [Task<'a>], target: Recorder) -> Self {
        let settings = Settings { window: 4, ..Settings::default() };
        let sender = Sender::new(settings, tasks, 1);
        Self { sender, link: Link::new(0), target, now: Duration::ZERO, hello: Vec::new() }
    }

    /// What the host says now, or else when it has waited long enough.
    fn host(&mut self) -> Vec<Vec<u8>> {
        let mut said = Vec::new();
        loop {
            match self.sender.poll(self.now).unwrap() {
                Action::Send(frame) => said.push(frame.to_vec()),
                Action::Wait(until) if said.is_empty() => self.now = until,
                Action::Wait(_) | Action::Done => return said,
            }
        }
    }

    /// The device hears `frame`, and the host the answer.
    fn deliver(&mut self, frame: &[u8]) {
        let step = self.link.feed(frame, &mut self.target);
        assert_eq!(step.consumed, frame.len());
        self.sender.receive(self.now, step.reply).unwrap();
    }

    /// The host hears `reply`.
    fn hear(&mut self, reply: Reply) {
        let mut buffer = [0; 64];
        self.sender.receive(self.now, seal(&reply, &[], &mut buffer).expect("room enough")).unwrap();
    }

    /// Welcomes the host; the pieces of what it has to say then.
    fn begin(&mut self) -> Vec<Vec<u8>> {
        let [hello] = &self.host()[..] else { panic!("more than a greeting") };
        self.hello.clone_from(hello);
        self.deliver(hello);
        self.host()
    }

    /// The device loses its power and, with the same seed, hears the greeting again.
    fn restart(&mut self) {
        self.link = Link::new(0);
        let hello = self.hello.clone();
        self.deliver(&hello);
    }

    /// Everything arrives from now on. What the host says first must be another greeting.
    fn finish(mut self) -> Recorder {
        let mut said = self.host();
        assert!(said[0] != self.hello && is_hello(&said[0]), "{:?}", request(&said[0]));
        while !said.is_empty() {
            said.iter().for_each(|frame| self.deliver(frame));
            said = self.host();
        }
        assert!(self.sender.is_done());
        assert_eq!(self.sender.traffic().sessions, 2);
        self.target
    }
}

fn request(sealed: &[u8]) -> Request {
    let mut frames = Frames::<N>::new();
    let len = frames.next(&mut { sealed }).expect("a frame");
    postcard::take_from_bytes(frames.message(len)).expect("a request").0
}

fn is_hello(sealed: &[u8]) -> bool {
    matches!(request(sealed), Request::Hello { .. })
}

/// What is to be sent, with a device that has got `received` bytes of it.
fn receiving(update: Update<'_>, received: usize) -> Recorder {
    let mut target = Recorder { manifest: Some(MANIFEST), ..Recorder::expecting(update) };
    target.stored = update.payload[..received].to_vec();
    target.info.state = state::RECEIVING;
    target
}

/// Offers an update in chunks of 41 bytes; the answer to each piece of its manifest.
fn offer(link: &mut Link<N, W>, target: &mut Recorder, session: u16, nonce: u8) -> Vec<Option<Reply>> {
    let pieces = (0..).step_by(9).zip(MANIFEST.chunks(36));
    let offered = pieces.map(|(at, piece)| {
        let part = Part { at, ask: true, nonce };
        ask(link, target, Request::Offer { session, chunk: 41, part }, piece)
    });
    offered.collect()
}

#[test]
fn what_has_been_received_meanwhile_makes_another_number() {
    let payload = noise(400, 1);
    let update = Update { manifest: &MANIFEST, payload: &payload };
    let (mut link, mut target) = (Link::<N, W>::new(0), receiving(update, 82));
    let session = open(&mut link, &mut target, NONCE.into());
    link = Link::new(0);
    assert_eq!(open(&mut link, &mut target, NONCE.into()), session);
    let chunk = &payload[82..123];
    assert_eq!(ask(&mut link, &mut target, Request::Data { session, number: 0 }, chunk), None);
    let answer = ask(&mut link, &mut target, Request::DataAsk { session, number: 0 }, chunk);
    assert_eq!((answer, target.stored.len()), (Some(Reply::NoSession { session, kind: Kind::DataAsk }), 82));

    offer(&mut link, &mut target, session, NONCE);
    let answer = ask(&mut link, &mut target, Request::DataAsk { session, number: 0 }, chunk);
    assert_eq!((answer, target.stored.len()), (Some(Reply::Ack { session, next: 1, kept: 0 }), 123));
    link = Link::new(0);
    assert_ne!(open(&mut link, &mut target, NONCE.into()), session);
}

#[test]
fn pieces_that_the_device_has_lost_are_sent_again() {
    let payload = noise(400, 1);
    let update = Update { manifest: &MANIFEST, payload: &payload };
    let tasks = [Task::Store(update), Task::Install];
    let mut ends = Ends::new(&tasks, Recorder::expecting(update));
    let pieces = ends.begin();
    assert_eq!(pieces.len(), 4);
    // The third one is lost, and sent again.
    [0, 1, 3].iter().for_each(|&i| ends.deliver(&pieces[i]));
    let again = ends.host();
    assert!(matches!(request(&again[0]), Request::Offer { part: Part { at: 18, ask: true, .. }, .. }));
    ends.restart();
    // The host learns that this piece is there; of the others the device knows nothing any more.
    ends.deliver(&again[0]);
    let target = ends.finish();
    assert_eq!((target.counts, target.stored), ([1, 1, 0, 0], payload));
}

#[test]
fn statements_whose_pieces_the_device_has_lost_are_sent_again() {
    let key = noise(108, 1);
    let tasks = [Task::Rotate(&key)];
    let mut ends = Ends::new(&tasks, Recorder::new());
    let pieces = ends.begin();
    assert_eq!(pieces.len(), 3);
    [1, 2].iter().for_each(|&i| ends.deliver(&pieces[i]));
    let again = ends.host();
    ends.restart();
    again.iter().for_each(|frame| ends.deliver(frame));
    assert_eq!(ends.finish().statements, [key]);
}

#[test]
fn chunks_for_a_device_that_has_lost_the_offer_are_answered() {
    let payload = noise(1000, 1);
    let update = Update { manifest: &MANIFEST, payload: &payload };
    let tasks = [Task::Store(update), Task::Install];
    let mut ends = Ends::new(&tasks, receiving(update, 82));
    ends.begin().iter().for_each(|piece| ends.deliver(piece));
    let chunks = ends.host();
    assert_eq!(chunks.len(), 4);
    ends.restart();
    chunks.iter().for_each(|chunk| ends.deliver(chunk));
    let target = ends.finish();
    assert_eq!((target.counts, target.stored), ([2, 1, 0, 0], payload));
}

#[test]
fn chunks_that_were_kept_and_are_lost_are_sent_again() {
    let payload = noise(1000, 1);
    let update = Update { manifest: &MANIFEST, payload: &payload };
    let tasks = [Task::Store(update), Task::Install];
    let mut ends = Ends::new(&tasks, receiving(update, 82));
    let pieces = ends.begin();
    pieces.iter().for_each(|piece| ends.deliver(piece));
    let chunks = ends.host();
    // The first one is lost, the others are kept.
    chunks[1..].iter().for_each(|chunk| ends.deliver(chunk));
    let again = ends.host();
    assert_eq!(again.len(), 1);
    ends.restart();
    // The pieces of the offer come late, too.
    pieces.iter().for_each(|piece| ends.deliver(piece));
    ends.deliver(&again[0]);
    let target = ends.finish();
    assert_eq!((target.counts[1], target.stored), (1, payload));
}

#[test]
fn chunks_that_were_stored_and_are_lost_are_sent_again() {
    let payload = noise(1000, 1);
    let update = Update { manifest: &MANIFEST, payload: &payload };
    let tasks = [Task::Store(update), Task::Install];
    let mut ends = Ends::new(&tasks, receiving(update, 82));
    let pieces = ends.begin();
    pieces.iter().for_each(|piece| ends.deliver(piece));
    let chunks = ends.host();
    chunks.iter().for_each(|chunk| ends.deliver(chunk));
    assert_eq!(ends.target.stored.len(), 82 + 4 * 41);
    ends.host();
    // They were not on the flash yet.
    ends.target.stored.truncate(82);
    ends.restart();
    pieces.iter().for_each(|piece| ends.deliver(piece));
    // The last chunk of the next window is too far ahead for the device: all that the answers tell is that nothing is
    // there, as a late one would.
    for _ in 0..3 {
        let [chunk] = &ends.host()[..] else { panic!("more than a question") };
        assert!(matches!(request(chunk), Request::DataAsk { number: 7, .. }));
        ends.deliver(chunk);
    }
    let target = ends.finish();
    assert_eq!((target.counts[1], target.stored), (1, payload));
}

/// That a device does not know the session, said before a session of the same number, is no answer to what is asked for
/// now: a host must not take it for the restart that it waits for.
#[test]
fn a_late_word_of_no_session_is_no_restart() {
    let tasks = [Task::Reboot];
    let mut ends = Ends::new(&tasks, Recorder::new());
    let said = ends.begin();
    let [asked] = &said[..] else { panic!("more than one request: {said:?}") };
    let Request::Reboot { session } = request(asked) else { panic!("{:?}", request(asked)) };
    let told = |ends: &mut Ends<'_>, kind| {
        ends.hear(Reply::NoSession { session, kind });
        ends.sender.poll(ends.now).unwrap();
        ends.sender.is_done()
    };
    assert!(!told(&mut ends, Kind::Data) && !told(&mut ends, Kind::DataAsk) && !told(&mut ends, Kind::Install));
    assert_eq!(ends.target.counts[3], 0);
    assert!(told(&mut ends, Kind::Reboot));
}

/// Numbers have 16 bits: a restarted device can give another greeting a number of before. What is late from that
/// session would count, and its chunks belong elsewhere.
#[test]
fn a_number_that_an_earlier_session_had_is_not_used() {
    let payload = noise(400, 1);
    let update = Update { manifest: &MANIFEST, payload: &payload };
    let tasks = [Task::Store(update), Task::Install];
    let mut ends = Ends::new(&tasks, Recorder::expecting(update));
    let tell = |ends: &mut Ends<'_>, reply| {
        ends.hear(reply);
        ends.host()
    };
    let welcome = |said: &[Vec<u8>], session| {
        let [hello] = said else { panic!("more than a greeting: {said:?}") };
        let Request::Hello { nonce } = request(hello) else { panic!("{:?}", request(hello)) };
        Reply::Welcome { nonce, session, protocol: PROTOCOL, frame: N as u16, window: 4 }
    };
    let said = ends.host();
    let said = tell(&mut ends, welcome(&said, 7));
    assert!(matches!(request(&said[0]), Request::Offer { session: 7, .. }));
    let first = tell(&mut ends, Reply::NoSession { session: 7, kind: Kind::Offer });
    let again = tell(&mut ends, welcome(&first, 7));
    assert!(is_hello(&again[0]) && again != first);
    let said = tell(&mut ends, welcome(&again, 8));
    assert!(matches!(request(&said[0]), Request::Offer { session: 8, .. }));
}

/// A number comes again, and all of the session before that had it comes late: it starts no transfer.
#[test]
fn pieces_of_another_session_by_the_same_number_do_nothing() {
    let payload = noise(400, 1);
    let update = Update { manifest: &MANIFEST, payload: &payload };
    let (mut link, mut target) = (Link::<N, W>::new(0), Recorder::expecting(update));
    let session = open(&mut link, &mut target, NONCE.into());
    for (nonce, begun) in [(NONCE + 1, false), (NONCE, true)] {
        let answers = offer(&mut link, &mut target, session, nonce);
        assert!(answers.iter().all(|answer| answer.is_some() == begun), "{answers:?}");
        let answer = ask(&mut link, &mut target, Request::DataAsk { session, number: 0 }, &payload[..41]);
        assert_eq!(answer == Some(Reply::Ack { session, next: 1, kept: 0 }), begun, "{answer:?}");
        assert_eq!(target.stored.len(), if begun { 41 } else { 0 });
    }
}
