//! Position memories: against their definition, there and back, and everything that can be wrong with one.

use codec_core::Error;
use codec_core::container::digest::{Id, sha512};
use codec_core::container::packed::{pack, packed_len};
use codec_core::container::v1::{LayerRepr, Repr};
use codec_core::neural::memory::Memory;
use host_trainer::codec::{CodecError, MAX_SIZE, apply, apply_within, inspect, is_delta};
use host_trainer::layered::position_memory;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tests::data::{noise, pair_named};
use tests::memory::{memorise, natural, projection};

const WIDTHS: [u32; 4] = [1, 2, 4, 8];

/// Codes of a memory, not packed.
#[derive(Clone, Debug)]
struct Codes {
    codes: Vec<i8>,
    out: Option<Vec<i8>>,
    dim: usize,
    bits: u32,
}

impl Codes {
    /// FORMAT.md, section 7, word for word.
    fn content(&self) -> Vec<u8> {
        let natural = |c: usize, k: usize| if c >> (k % 8) & 1 == 1 { 1 } else { -1 };
        let out = |c: usize, k: usize| match &self.out {
            Some(out) => i64::from(out[c * self.dim + k]),
            None => natural(c, k),
        };
        let byte = |row: &[i8]| {
            let score = |c: usize| (0..self.dim).map(|k| (2 * i64::from(row[k]) + 1) * out(c, k)).sum::<i64>();
            let scores: Vec<i64> = (0..256).map(score).collect();
            let largest = scores.iter().max().unwrap();
            scores.iter().position(|score| score == largest).unwrap() as u8
        };
        self.codes.chunks(self.dim).map(byte).collect()
    }

    fn packed(&self) -> Vec<u8> {
        let mut bytes = vec![0; packed_len(self.codes.len() as u32, self.bits) as usize];
        pack(&self.codes, self.bits, &mut bytes).unwrap();
        bytes
    }
}

/// Memories of random codes. The range of the projection's is small in some, so that several bytes score the same.
fn codes() -> impl Strategy<Value = Codes> {
    let shape = (select(&WIDTHS[..]), prop_oneof![4 => 1..40usize, 1 => 250..=256usize], 0..12usize, any::<bool>());
    shape.prop_flat_map(|(bits, dim, len, natural)| {
        let code = (i8::MIN..=i8::MAX).prop_map(move |code| code >> (8 - bits));
        let out = select(&[1i8, 2, i8::MAX][..]).prop_flat_map(move |most| vec(-most..=most, 256 * dim));
        let natural = natural && dim % 8 == 0;
        let out = if natural { Just(None).boxed() } else { out.prop_map(Some).boxed() };
        (vec(code, len * dim), out).prop_map(move |(codes, out)| Codes { codes, out, dim, bits })
    })
}

proptest! {
    /// All widths, odd dimensions, ties: read byte by byte, from any place on, and through a container.
    #[test]
    fn what_is_read_is_the_definition(codes in codes(), cut in any::<proptest::sample::Index>()) {
        let content = codes.content();
        let (packed, dim, len) = (codes.packed(), codes.dim as u32, content.len() as u32);
        let out: Option<Vec<u8>> = codes.out.as_ref().map(|out| out.iter().map(|code| code.cast_unsigned()).collect());
        let memory = Memory::new_checked(&packed, out.as_deref(), len, dim, codes.bits).unwrap();
        prop_assert_eq!((0..len).map(|i| memory.byte(i)).collect::<Vec<_>>(), &content[..]);
        let at = cut.index(content.len() + 1);
        let mut end = vec![0xa5; content.len() - at];
        prop_assert_eq!(memory.read(at as u32, &mut end), Ok(()));
        prop_assert_eq!(&end, &content[at..]);

        let file = position_memory(&codes.codes, codes.out.as_deref(), dim, codes.bits, 0.25, &content).unwrap();
        prop_assert_eq!(apply(&[&file], None), Ok(content));
    }
}

#[test]
fn a_memory_comes_back_and_is_accounted_for() {
    let content = noise(700, 1);
    for bits in WIDTHS {
        let out = projection(64, 2);
        let codes = memorise(&content, &out, 64, bits);
        let file = position_memory(&codes, Some(&out), 64, bits, 1.0, &content).unwrap();
        assert_eq!(apply_within(&[&file], None, 700, None).unwrap(), content);
        assert_eq!(is_delta(&file), Ok(false));
        let found = inspect(&file, None, None).unwrap();
        let names: Vec<_> = found.parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["memory", "memory.out", "version 1 layout"]);
        assert_eq!((found.version, found.total, found.new_len), (1, file.len() as u64, 700));
        assert_eq!(found.parts.iter().map(|part| part.bits).sum::<f64>(), 8.0 * file.len() as f64);
        assert_eq!(found.digest, Id::of(&content).to_string());
        // It costs what its rows cost. What one byte's rows have in common goes to zstd.
        let rate = found.parts[0].bits / 700.0;
        assert!((8.0..=64.0 * f64::from(bits)).contains(&rate), "{rate} bits a byte");
    }
    let file = position_memory(&natural(&content), None, 8, 1, 2.0, &content).unwrap();
    assert_eq!(apply(&[&file], None).unwrap(), content);
    let found = inspect(&file, None, None).unwrap();
    assert!(found.mode.contains("natural code"), "{}", found.mode);
    // The rate that random bytes have, and no saving.
    assert!((8.0..8.2).contains(&(found.parts[0].bits / 700.0)), "{:?}", found.parts);
}

/// A delta may follow one, as it may follow any whole content.
#[test]
fn a_chain_starts_with_a_memory() {
    let pair = pair_named("txt-cp-neopixel");
    let memory = position_memory(&natural(pair.old()), None, 8, 1, 2.0, pair.old()).unwrap();
    let delta = pair.container(host_trainer::codec::Profile::Small);
    assert_eq!(apply(&[&memory, delta], None).as_ref(), Ok(&pair.new));
}

#[test]
fn codes_that_are_not_the_contents_are_not_written() {
    let content = b"a file".as_slice();
    let codes = natural(content);
    let write = |codes: &[i8], out: Option<&[i8]>, dim, bits| {
        position_memory(codes, out, dim, bits, 2.0, content).map(|file| file.len())
    };
    let range = |field, found, limit| Err(CodecError::Refused(Error::OutOfRange { field, found, limit }));
    let truncated = |field, need, have| Err(CodecError::Refused(Error::Truncated { field, need, have }));
    assert!(write(&codes, None, 8, 1).is_ok());
    let mut wrong = codes.clone();
    wrong[17] = -1 - wrong[17];
    assert!(matches!(write(&wrong, None, 8, 1), Err(CodecError::Refused(Error::DigestMismatch { .. }))));
    assert_eq!(write(&codes[1..], None, 8, 1), truncated("codes", 48, 47));
    assert_eq!(write(&codes, None, 7, 1), range("codes", 48, 42));
    assert_eq!(write(&[3; 48], None, 8, 2), range("codes", 3, 2));
    assert_eq!(write(&codes, None, 0, 1), range("memory.dim", 0, 1));
    assert_eq!(write(&[0; 6 * 257], None, 257, 1), range("memory.dim", 257, 256));
    assert_eq!(write(&codes[..42], None, 7, 1), truncated("memory.out", 7 * 256, 0));
    assert_eq!(write(&codes, Some(&[0; 9]), 8, 1), truncated("memory.out", 8 * 256, 9));
    assert_eq!(write(&codes, None, 8, 3), Err(Error::Unknown { field: "dominant_scale", found: 3 }.into()));
    // Nothing real repeats itself so.
    let repeated = position_memory(&vec![0; 1 << 24], None, 256, 8, 1.0, &vec![0xff; 1 << 16]);
    assert!(matches!(repeated, Err(CodecError::Refused(Error::OverBudget { field: "memory", .. }))), "{repeated:?}");
}

/// A layer of a container that no writer makes.
#[derive(Clone)]
struct Forged {
    name: &'static str,
    shape: Vec<u32>,
    bits: u32,
    payload: Vec<u8>,
}

/// One zstd frame of a single segment, its blocks raw.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend((payload.len() as u32).to_le_bytes());
    let blocks = payload.chunks(1 << 16).map(|block| (block, false));
    for (block, last) in blocks.chain([(&[][..], true)]) {
        frame.extend(&((block.len() as u32) << 3 | u32::from(last)).to_le_bytes()[..3]);
        frame.extend(block);
    }
    frame
}

fn forge(layers: &[Forged], is_delta: bool, content: &[u8]) -> Vec<u8> {
    let frames: Vec<_> = layers.iter().map(|layer| frame(&layer.payload)).collect();
    let layers: Vec<_> = layers
        .iter()
        .zip(&frames)
        .map(|(Forged { name, shape, bits, .. }, compressed)| LayerRepr {
            name,
            shape,
            tau: 0,
            gamma: 0,
            dominant_scale: *bits,
            compressed,
        })
        .collect();
    let repr = Repr { is_delta, original_hash: &sha512(content), crt_residues: &[], layers: &layers };
    let mut bytes = vec![0; repr.buffer_len().unwrap() as usize];
    repr.emit(&mut bytes).unwrap();
    bytes
}

/// Why a memory of ten bytes, with five dimensions of four bits, is refused after a change.
fn refused(change: impl FnOnce(&mut Vec<Forged>)) -> Error {
    let content = noise(10, 3);
    let out = projection(5, 1);
    let codes = Codes { codes: memorise(&content, &out, 5, 4), out: Some(out), dim: 5, bits: 4 };
    let content = codes.content();
    let out = codes.out.iter().flatten().map(|code| code.cast_unsigned()).collect();
    let mut layers = vec![
        Forged { name: "memory", shape: vec![10, 5], bits: 4, payload: codes.packed() },
        Forged { name: "memory.out", shape: vec![256, 5], bits: 8, payload: out },
    ];
    assert_eq!(apply(&[&forge(&layers, false, &content)], None).as_ref(), Ok(&content));
    change(&mut layers);
    let file = forge(&layers, false, &content);
    let error = refusal(&file, MAX_SIZE);
    assert_eq!(inspect(&file, None, None).map(|found| found.total), Err(error.into()));
    error
}

fn refusal(file: &[u8], max_size: u32) -> Error {
    match apply_within(&[file], None, max_size, None) {
        Err(CodecError::Refused(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn hostile_memories_are_refused_by_name() {
    let range = |field, found, limit| Error::OutOfRange { field, found, limit };
    let truncated = |field, need, have| Error::Truncated { field, need, have };
    let unknown = |field, found| Error::Unknown { field, found };
    // Dimensions.
    assert_eq!(refused(|l| l[0].shape = vec![10, 0]), range("memory.dim", 0, 1));
    assert_eq!(refused(|l| l[0].shape = vec![10, 257]), range("memory.dim", 257, 256));
    assert_eq!(refused(|l| l[0].shape = vec![10, 5, 1]), range("n_dims", 3, 2));
    assert_eq!(refused(|l| l[0].shape = vec![]), range("n_dims", 0, 2));
    assert_eq!(refused(|l| l[0].shape = vec![u32::MAX, 5]), range("shape", 5 * 0xffff_ffff, 0xffff_ffff));
    // Payloads.
    assert_eq!(refused(|l| l[0].payload.truncate(24)), truncated("memory", 25, 24));
    let longer = Error::OverBudget { field: "content_size", requested: 26, limit: 25 };
    assert_eq!(refused(|l| l[0].payload.push(0)), longer);
    let padded = |l: &mut Vec<Forged>| {
        l[0].shape = vec![9, 5];
        l[0].payload.truncate(23);
        l[0].payload[22] |= 0x10;
    };
    assert!(matches!(refused(padded), Error::OutOfRange { field: "padding", limit: 0, .. }));
    assert_eq!(refused(|l| l[1].payload.truncate(1000)), truncated("memory.out", 1280, 1000));
    let other_file = refused(|l| l[0].payload.iter_mut().for_each(|codes| *codes = !*codes));
    assert!(matches!(other_file, Error::DigestMismatch { .. }), "{other_file}");
    // Widths.
    for bits in [0, 3, 16, 32] {
        assert_eq!(refused(|l| l[0].bits = bits), unknown("dominant_scale", bits.into()));
        assert_eq!(refused(|l| l[1].bits = bits), unknown("dominant_scale", bits.into()));
    }
    assert_eq!(refused(|l| l[1].bits = 4), unknown("dominant_scale", 4));
    // The projection.
    assert_eq!(refused(|l| l.truncate(1)), truncated("memory.out", 1280, 0));
    assert_eq!(refused(|l| l[1].shape = vec![255, 5]), range("memory.out", 255, 256));
    assert_eq!(refused(|l| l[1].shape = vec![5, 256]), range("memory.out", 5, 256));
    assert_eq!(refused(|l| l[1].shape = vec![256, 6]), range("memory.out", 6, 5));
    assert_eq!(refused(|l| l[1].shape = vec![1280]), range("memory.out", 1, 2));
    // Other layers, and another order.
    assert_eq!(refused(|l| l[1].name = "memory.in"), unknown("layers", 2));
    assert_eq!(refused(|l| l.push(l[1].clone())), unknown("layers", 3));
    assert_eq!(refused(|l| l.swap(0, 1)), unknown("layers", 2));
    assert_eq!(refused(|l| drop(l.remove(0))), unknown("layers", 1));
}

#[test]
fn a_memory_is_no_delta_and_keeps_to_the_limit() {
    let content = noise(10, 3);
    let payload = content.iter().map(|byte| !byte).collect();
    let layers = [Forged { name: "memory", shape: vec![10, 8], bits: 1, payload }];
    let refused = Error::OutOfRange { field: "is_delta", found: 1, limit: 0 };
    assert_eq!(refusal(&forge(&layers, true, &content), MAX_SIZE), refused);
    let right = forge(&layers, false, &content);
    assert_eq!(apply_within(&[&right], None, 10, None), Ok(content.clone()));
    let refused = Error::OverBudget { field: "new_len", requested: 10, limit: 9 };
    assert_eq!(refusal(&right, 9), refused);
    // The length is looked at before anything is taken for it, or decompressed.
    let lie = [Forged { name: "memory", shape: vec![1 << 28, 8], bits: 1, payload: vec![] }];
    let refused = Error::OverBudget { field: "new_len", requested: 1 << 28, limit: 1000 };
    assert_eq!(refusal(&forge(&lie, false, &content), 1000), refused);
    let lie = forge(&lie, false, &content);
    let refused = Error::OverBudget { field: "memory", requested: 1 << 28, limit: 4096 * lie.len() as u64 };
    assert_eq!(refusal(&lie, MAX_SIZE), refused);
}

/// Narrow codes are no version 2 file.
#[test]
fn a_version_2_file_has_codes_of_eight_bits() {
    let layers = [Forged { name: "memory", shape: vec![4], bits: 4, payload: vec![0; 2] }];
    let refused = Error::Unknown { field: "dominant_scale", found: 4 };
    assert_eq!(refusal(&forge(&layers, false, b""), MAX_SIZE), refused);
}
