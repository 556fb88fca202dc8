//! The link:
//!
//! - `bytes`: frames and messages byte for byte, and what they may be at most;
//! - `device`: the device's end: anything any number of times, late, in any order;
//! - `restart`: a device that comes up with the seed of its last start, and hears that start's greeting;
//! - `weather`: a simulated radio that loses, doubles, reorders and damages;
//! - `streams`: TCP and a pair of serial ports, with connections that break;
//! - `air`: what the report says an update costs, against the simulated radio.

mod air;
mod bytes;
mod device;
mod restart;
mod streams;
mod weather;

use update_core::link::frame::{Frames, MAX_FRAME, seal};
use update_core::link::message::{Reply, Request};
use update_core::link::{Link, Target};
use update_core::manifest::MANIFEST_LEN;

/// A manifest whose words all differ.
const MANIFEST: [u8; MANIFEST_LEN] = {
    let mut manifest = [0; MANIFEST_LEN];
    let mut i = 0;
    while i < MANIFEST_LEN {
        manifest[i] = (i as u8).wrapping_mul(37).wrapping_add(11);
        i += 1;
    }
    manifest
};

/// Of the sessions, and in the pieces that belong to them.
const NONCE: u8 = 5;

/// `request` and `tail` as a frame.
fn frame(request: Request, tail: &[u8]) -> Vec<u8> {
    seal(&request, tail, &mut [0; MAX_FRAME]).expect("room enough").to_vec()
}

/// All replies of `link` to `bytes`.
fn feed<T: Target, const N: usize, const W: usize>(
    link: &mut Link<N, W>,
    target: &mut T,
    mut bytes: &[u8],
) -> Vec<Reply> {
    let mut replies = Vec::new();
    while !bytes.is_empty() {
        let step = link.feed(bytes, target);
        bytes = &bytes[step.consumed..];
        replies.extend(read(step.reply));
        if step.reboot {
            target.reboot();
        }
    }
    replies
}

/// The reply to one request.
fn ask<T: Target, const N: usize, const W: usize>(
    link: &mut Link<N, W>,
    target: &mut T,
    request: Request,
    tail: &[u8],
) -> Option<Reply> {
    let replies = feed(link, target, &frame(request, tail));
    assert!(replies.len() <= 1, "{replies:?}");
    replies.first().copied()
}

fn read(frame: &[u8]) -> Option<Reply> {
    let mut frames = Frames::<MAX_FRAME>::new();
    let len = frames.next(&mut { frame })?;
    let (reply, rest) = postcard::take_from_bytes::<Reply>(frames.message(len)).expect("a reply");
    assert!(rest.is_empty());
    Some(reply)
}

/// A session of `link`.
fn open<T: Target, const N: usize, const W: usize>(link: &mut Link<N, W>, target: &mut T, nonce: u32) -> u16 {
    match ask(link, target, Request::Hello { nonce }, &[]) {
        Some(Reply::Welcome { nonce: back, session, .. }) if back == nonce => session,
        other => panic!("not welcome: {other:?}"),
    }
}
