//! Any two files: what compresses comes back, and costs at most a header more than the file; of one length, as weights of any
//! kind too.
//!
//! Input: profile and format, length of the old file, the old file, edits of it or another file.
#![no_main]

use codec_core::container::v2::Header;
use codec_core::delta::tuning::{Adapter, Head};
use codec_core::delta::weights::Element;
use host_trainer::codec::{Format, Profile, apply, compress};
use host_trainer::fit::weights::encode;
use libfuzzer_sys::fuzz_target;
use tests::data::options;
use tests::device::decode;

const ADAPTERS: [Adapter; 3] = [Adapter::None, Adapter::Bitdelta { block_log2: 3 }, Adapter::Sparse { bits: 4 }];

fuzz_target!(|bytes: &[u8]| {
    let Some((&[choice, old_len], rest)) = bytes.split_first_chunk() else { return };
    let profile = Profile::ALL[usize::from(choice & 3)];
    let format = if choice >> 2 & 7 == 0 { Format::V1 } else { Format::V2 };
    let (old, rest) = rest.split_at(rest.len().min(16 * usize::from(old_len)));
    let new = if choice >> 5 & 3 == 0 { rest.to_vec() } else { edited(old, rest) };
    let old = (choice >> 7 == 0).then_some(old);

    if let Some(old) = old.filter(|old| old.len() == new.len()) {
        let element = Element::ALL[usize::from(choice >> 2) % Element::ALL.len()];
        for adapter in ADAPTERS {
            let container = encode(&new, old, Head { element, adapter }).expect("files of one length").bytes;
            assert!(apply(&[&container], Some(old)).expect("what was written is accepted") == new);
        }
    }
    let container = compress(&new, old, &options(profile, format)).expect("short files compress").bytes;
    let rebuilt = apply(&[&container], old).expect("what was compressed is accepted");
    assert!(rebuilt == new);
    if format == Format::V2 {
        assert!(container.len() <= new.len() + 40);
        let (header, _) = Header::parse(&container).expect("a header of our own");
        let outcome = decode(header.profile, old.unwrap_or(&[]), &container, new.len());
        assert_eq!(outcome.accepted(), Some(&new[..]));
    }
});

/// The old file with edits: each takes four bytes, place (2), kind and amount.
fn edited(old: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut new = old.to_vec();
    for &[low, high, kind, amount] in edits.as_chunks().0 {
        let at = usize::from(u16::from_le_bytes([low, high])) % (new.len() + 1);
        let end = (at + usize::from(amount)).min(new.len());
        match kind & 3 {
            0 => drop(new.drain(at..end)),
            1 => drop(new.splice(at..at, std::iter::repeat_n(kind, usize::from(amount)))),
            2 => new[at..end].iter_mut().for_each(|byte| *byte = byte.wrapping_add(kind)),
            _ => {
                let part: Vec<_> = new.drain(at..end).collect();
                new.extend(part);
            }
        }
    }
    new
}
