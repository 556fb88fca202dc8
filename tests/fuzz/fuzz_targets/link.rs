//! The link: any bytes into the device's end; any requests, well framed; and any schedule of loss, doubles, delays,
//! damage and restarts on the way of an update, which must still arrive whole when the weather clears up.
//!
//! Input: which of the three; then the bytes; or requests of four bytes; or payload length (2), shape of the sender,
//! number of cuts, the cuts, and two bytes for the fate of each frame.
#![no_main]

use std::time::Duration;

use host_trainer::push::{PushError, Sender, Settings, Task, Update};
use libfuzzer_sys::fuzz_target;
use tests::data::noise;
use tests::link::{Radio, Recorder, state};
use update_core::link::frame::{Frames, MIN_FRAME, seal};
use update_core::link::message::{Kind, Part, Reply, Request};
use update_core::link::{Link, Target};

fuzz_target!(|bytes: &[u8]| {
    let Some((&which, rest)) = bytes.split_first() else { return };
    match which & 3 {
        0 => any_bytes(rest),
        1 => any_requests(rest),
        _ => drop(any_weather(rest)),
    }
});

/// One reply of bounded length for each delimiter at most, no step without progress, no panic.
fn any_bytes(bytes: &[u8]) {
    let (mut link, mut target) = (Link::<64, 4>::new(1), Recorder::new());
    let delimiters = bytes.iter().filter(|&&byte| byte == 0).count();
    let (mut rest, mut replies) = (bytes, 0);
    while !rest.is_empty() {
        let step = link.feed(rest, &mut target);
        assert!(step.consumed > 0 && step.reply.len() <= MIN_FRAME);
        replies += usize::from(!step.reply.is_empty());
        rest = &rest[step.consumed..];
    }
    assert!(replies <= delimiters);
}

/// Requests that are framed as they should be and ask for anything. The target checks that what it gets continues what
/// it has.
fn any_requests(bytes: &[u8]) {
    let (mut link, mut target) = (Link::<64, 4>::new(1), Recorder::new());
    let mut sessions = [(0u16, 0); 2];
    for &[kind, a, b, len] in bytes.as_chunks().0 {
        let (session, nonce) = sessions[usize::from(kind >> 7)];
        let part = Part { at: a, ask: kind & 0x40 != 0, nonce };
        let number = u32::from(a) << (b & 31);
        let request = match kind & 15 {
            0 => Request::Hello { nonce: a.into() },
            1 => Request::Query { session, token: a },
            2 | 9 => Request::Offer { session, chunk: b.into(), part },
            3 => Request::Data { session, number },
            4 | 10 => Request::DataAsk { session, number },
            5 => Request::Install { session },
            6 => Request::Confirm { session },
            7 => Request::Rotate { session, len: b, part },
            8 => Request::Reboot { session },
            // The whole manifest, in pieces of 44 bytes.
            _ => {
                for at in [0, 11, 22] {
                    let part = Part { at, ask: true, nonce };
                    let request = Request::Offer { session, chunk: u16::from(b & 31), part };
                    ask(&mut link, &mut target, request, &[a; 44]);
                }
                continue;
            }
        };
        let tail = vec![a ^ b; if request.has_tail() { usize::from(len & 63) } else { 0 }];
        if let Some(Reply::Welcome { session, nonce, .. }) = ask(&mut link, &mut target, request, &tail) {
            sessions = [(session, Part::nonce(nonce)), sessions[0]];
        }
    }
}

/// Sends one request; its answer.
fn ask(link: &mut Link<64, 4>, target: &mut Recorder, request: Request, tail: &[u8]) -> Option<Reply> {
    let mut buffer = [0; 128];
    let frame = seal(&request, tail, &mut buffer).expect("room enough");
    let step = link.feed(frame, target);
    assert!(step.consumed == frame.len() && step.reply.len() <= MIN_FRAME);
    assert!(request.asks() || step.reply.is_empty() || matches!(request.kind(), Kind::Offer | Kind::Rotate));
    if step.reboot {
        target.reboot();
    }
    let mut frames = Frames::<64>::new();
    let len = frames.next(&mut { step.reply })?;
    Some(postcard::from_bytes(frames.message(len)).expect("a reply"))
}

/// What is not in the input is clean.
fn any_weather(bytes: &[u8]) -> Option<()> {
    let (&[low, high, shape, cuts], rest) = bytes.split_first_chunk()?;
    let (cuts, fates) = rest.split_at_checked(usize::from(cuts & 3))?;
    let payload = noise(usize::from(u16::from_le_bytes([low, high]) & 0x0fff), 1);
    let manifest = std::array::from_fn(|i| i as u8);
    let update = Update { manifest: &manifest, payload: &payload };
    let settings = Settings {
        full_duplex: shape & 1 != 0,
        window: shape >> 1 & 7,
        frame: 32 + u16::from(shape >> 4) * 4,
        tries: fates.len() as u32 / 2 + 12,
        ..Settings::default()
    };
    let mut fates = fates.chunks_exact(2);
    let mut fate = |frame: &[u8]| {
        let Some(&[what, where_]) = fates.next() else { return vec![(Duration::ZERO, frame.to_vec())] };
        let mut damaged = frame.to_vec();
        let at = usize::from(where_) % damaged.len();
        let late = Duration::from_millis(u64::from(where_) * 8);
        match what & 7 {
            0 => Vec::new(),
            1 => vec![(late, damaged.clone()), (Duration::ZERO, damaged)],
            2 => vec![(late, damaged)],
            3 => {
                damaged[at] = what >> 3;
                vec![(Duration::ZERO, damaged)]
            }
            4 => {
                damaged.truncate(at);
                vec![(Duration::ZERO, damaged)]
            }
            _ => vec![(Duration::ZERO, damaged)],
        }
    };
    let mut radio = Radio::<51, 3>::new(Recorder::expecting(update), 5470);
    radio.half_duplex = !settings.full_duplex;
    radio.cuts = cuts.iter().map(|&cut| cut.into()).collect();
    radio.cuts.sort_unstable();
    let tasks = [Task::Query, Task::Store(update), Task::Install, Task::Query, Task::Reboot];
    let mut sender = Sender::new(settings, &tasks, 1);
    let ends = match radio.run(&mut sender, &mut fate) {
        Ok(()) => state::TRIAL,
        // Installed, cut off before the answer, and started anew; if the cut came before, it is still to be restarted.
        Err(PushError::Refused(refusal)) if refusal.kind == Kind::Install && radio.cut > 0 => {
            radio.target.info.state.max(state::INSTALLED)
        }
        Err(error) => panic!("{error}"),
    };
    assert!(radio.target.stored == payload);
    assert_eq!(radio.target.received, payload.len() as u64);
    assert_eq!((radio.target.counts[1], radio.target.info.state), (1, ends));
    Some(())
}
