//! Random files and edits.

use codec_core::container::v2::{Header, Mode};
use host_trainer::codec::{Compressed, Format, Profile, apply, compress};
use host_trainer::fit::encode::{Job, stored};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tests::data::{lines, noise, options};
use tests::device::decode;

/// Bytes that a container may have beyond its content.
const OVERHEAD: usize = 40;

/// Compresses, checks the promises about size, rebuilds on the device and on the host.
fn check(old: Option<&[u8]>, new: &[u8], profile: Profile, format: Format) -> Compressed {
    let compressed = compress(new, old, &options(profile, format)).unwrap();
    let container = &compressed.bytes;
    assert_eq!(compressed.breakdown.total, container.len() as u64);
    match apply(&[container], old) {
        Ok(content) => assert!(content == new, "other bytes came back"),
        Err(error) => panic!("what was compressed is refused: {error}"),
    }
    if format == Format::V2 {
        let (header, _) = Header::parse(container).unwrap();
        let outcome = decode(header.profile, old.unwrap_or(&[]), container, new.len());
        assert_eq!(outcome.accepted(), Some(new), "{:?}", outcome.end);
        let stored = stored(&Job { new, old, profile, prior: &[], base: None }).unwrap().bytes.len();
        assert!(container.len() <= stored, "{} bytes, stored {stored}", container.len());
        assert!(stored <= new.len() + OVERHEAD);
    }
    compressed
}

/// One change of a file.
#[derive(Clone, Debug)]
enum Edit {
    Replace(Index, Vec<u8>),
    Insert(Index, Vec<u8>),
    Delete(Index, usize),
    /// Adds a number to a little-endian word, as a linker does.
    Shift(Index, u32),
    Move(Index, Index, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let bytes = || vec(any::<u8>(), 1..40);
    prop_oneof![
        (any::<Index>(), bytes()).prop_map(|(at, bytes)| Edit::Replace(at, bytes)),
        (any::<Index>(), bytes()).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (any::<Index>(), 1..200usize).prop_map(|(at, len)| Edit::Delete(at, len)),
        (any::<Index>(), 1..5000u32).prop_map(|(at, by)| Edit::Shift(at, by)),
        (any::<Index>(), any::<Index>(), 1..300usize).prop_map(|(from, to, len)| Edit::Move(from, to, len)),
    ]
}

fn apply_edit(file: &mut Vec<u8>, edit: &Edit) {
    let place = |at: &Index, file: &[u8]| at.index(file.len() + 1);
    match edit {
        Edit::Replace(at, bytes) => {
            let at = place(at, file);
            let end = (at + bytes.len()).min(file.len());
            file.splice(at..end, bytes.iter().copied());
        }
        Edit::Insert(at, bytes) => {
            let at = place(at, file);
            file.splice(at..at, bytes.iter().copied());
        }
        Edit::Delete(at, len) => {
            let at = place(at, file);
            file.drain(at..(at + len).min(file.len()));
        }
        Edit::Shift(at, by) => {
            let at = place(at, file) & !3;
            if let Some(word) = file.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                *word = u32::from_le_bytes(*word).wrapping_add(*by).to_le_bytes();
            }
        }
        Edit::Move(from, to, len) => {
            let from = place(from, file);
            let part: Vec<_> = file.drain(from..(from + len).min(file.len())).collect();
            let to = place(to, file);
            file.splice(to..to, part);
        }
    }
}

/// Files of several kinds: noise, text, one byte over and over, words that look like Thumb code and pointers.
fn file() -> impl Strategy<Value = Vec<u8>> {
    let thumb = |i: u32| match i % 5 {
        0 => 0xf800_f000 | ((i * 37) & 0x7ff) << 16,
        1 => 0x0800_0000 + i * 12,
        2 => 0xbd10_b510,
        _ => i.wrapping_mul(0x9e37_79b9) & 0x4fff_4fff,
    };
    prop_oneof![
        vec(any::<u8>(), 0..600),
        (0..6000usize).prop_map(lines),
        (0..3000usize, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        (0..1500u32).prop_map(move |words| (0..words).flat_map(|i| thumb(i).to_le_bytes()).collect()),
    ]
}

fn profile() -> impl Strategy<Value = Profile> {
    select(&Profile::ALL[..])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn edited_files_come_back(old in file(), edits in vec(edit(), 0..12), profile in profile()) {
        let mut new = old.clone();
        edits.iter().for_each(|edit| apply_edit(&mut new, edit));
        check(Some(&old), &new, profile, Format::V2);
    }

    #[test]
    fn unrelated_files_come_back(old in file(), new in file(), profile in profile(), layered in any::<bool>()) {
        check(Some(&old), &new, profile, if layered { Format::V1 } else { Format::V2 });
    }

    #[test]
    fn whole_files_come_back(new in file(), profile in profile()) {
        check(None, &new, profile, Format::V2);
    }

    #[test]
    fn noise_costs_at_most_its_header(len in 0..5000usize, seed in any::<u64>(), profile in profile()) {
        let (old, new) = (noise(len, !seed), noise(len, seed));
        let container = check(Some(&old), &new, profile, Format::V2).bytes;
        prop_assert!(container.len() <= new.len() + OVERHEAD);
        if len > 100 {
            prop_assert_eq!(Header::parse(&container).unwrap().0.mode, Mode::Stored);
        }
    }
}

/// Lengths around everything that has a length: units, windows, caches, rings, chunks.
const LENGTHS: [usize; 30] = [
    0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 191, 192, 255, 256, 257, 1023, 1024,
    2048, 2049,
];

#[test]
fn lengths_around_boundaries() {
    let text = lines(2100);
    for len in LENGTHS {
        let new = &text[..len];
        check(None, new, Profile::Tiny, Format::V2);
        // Equal, shorter, longer, shifted, empty.
        for old in [new, &text[..len / 2], &text, &text[1..=len], &[]] {
            check(Some(old), new, Profile::Tiny, Format::V2);
        }
    }
}

/// A flag for each unit is nearly free, but not quite.
#[test]
fn equal_files_cost_little_more_than_a_header() {
    for (kind, old) in [("text", lines(20_000)), ("zeros", vec![0; 20_000]), ("noise", noise(20_000, 3))] {
        for profile in Profile::ALL {
            let container = check(Some(&old), &old, profile, Format::V2).bytes;
            assert!(container.len() <= 128, "{kind}: {} bytes on {}", container.len(), profile.name());
        }
    }
}

#[test]
fn one_byte_repeated_collapses() {
    for byte in [0, 0xff, b'x'] {
        for profile in Profile::ALL {
            let container = check(None, &vec![byte; 50_000], profile, Format::V2).bytes;
            assert!(container.len() <= 600, "{} bytes on {}", container.len(), profile.name());
        }
    }
}

/// Compressing is a function: the same in, the same out.
#[test]
fn compressing_is_deterministic() {
    let (old, mut new) = (lines(3000), lines(3000));
    new.rotate_left(700);
    let choice = options(Profile::Medium, Format::V2);
    let once = || compress(&new, Some(&old), &choice).unwrap().bytes;
    assert_eq!(once(), once());
}
