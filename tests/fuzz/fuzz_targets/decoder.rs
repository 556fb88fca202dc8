//! Any payload behind a true header: the decoder refuses it or rebuilds the promised file, never panics, and never
//! writes more than was promised.
//!
//! Input: profile and mode, length of the old image, length of the new file (of weights, that of the old one), the old image,
//! the payload.
#![no_main]

use codec_core::container::digest::Id;
use codec_core::container::v2::{Header, Mode};
use codec_core::limits::Profile;
use libfuzzer_sys::fuzz_target;
use tests::craft::{container, delta};
use tests::device::{End, decode, decode_weights};

fuzz_target!(|bytes: &[u8]| {
    let Some((&[choice, old_len, new_len], rest)) = bytes.split_first_chunk() else { return };
    // Tiny to medium: the tables of the host take too long to set up.
    let profile = Profile::ALL[usize::from(choice & 3).min(2)];
    let (old, payload) = rest.split_at(rest.len().min(4 * usize::from(old_len)));
    let new_len = 8 * u32::from(new_len);
    let header = Header { new_len, ..delta(profile, old, &[]) };
    let header = match choice >> 2 & 3 {
        0 => Header { mode: Mode::Primed, ..header },
        1 => Header { old: None, ..header },
        _ => header,
    };
    let outcome = if choice >> 4 == 1 {
        let (profile, new_len) = (Profile::Tiny, old.len() as u32);
        let header = Header { profile, new_len, mode: Mode::Weights, ..delta(profile, old, &[]) };
        decode_weights(old, &container(header, payload), old.len())
    } else {
        decode(profile, old, &container(header, payload), new_len as usize)
    };
    match outcome.end {
        End::Done { left } => assert_eq!((left, Id::of(&outcome.output)), (0, header.digest)),
        End::Refused(_) => {}
        end => panic!("{end:?}"),
    }
});
