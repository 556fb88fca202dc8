//! Version 1 from outside: the examples of FORMAT.md byte by byte, and hostile files.

use codec_core::Error;
use codec_core::container::digest::sha512;
use codec_core::container::packed::pack;
use codec_core::container::residue::{Residues, check_sum};
use codec_core::container::v1::{HEADER_LEN, LAYER_FIXED_LEN, LayerRepr, Repr, View};
use codec_core::delta::weights::Element;
use codec_core::neural::memory::{self, Memory};

const OLD: [i8; 4] = [1, -2, 3, 127];
const NEW: [i8; 4] = [1, -2, 4, -128];
/// zstd: magic, single segment of 4 bytes, last raw block of 4 bytes.
const FRAME_PREFIX: [u8; 9] = [0x28, 0xB5, 0x2F, 0xFD, 0x20, 0x04, 0x21, 0, 0];
/// Where `compressed_data` of the examples starts.
const PAYLOAD_AT: usize = HEADER_LEN + 8 + LAYER_FIXED_LEN + "w".len() + 2 * 4;

/// The bytes of the example that FORMAT.md fences as `tag`. Its offsets must be right.
fn example(tag: &str) -> Vec<u8> {
    let document = include_str!("../FORMAT.md");
    let block = document.split(&format!("```{tag}\n")).nth(1).unwrap().split("```").next().unwrap();
    let mut bytes = Vec::new();
    for line in block.lines() {
        let (offset, rest) = line.split_at(4);
        assert_eq!(usize::from_str_radix(offset, 16).unwrap(), bytes.len(), "{line}");
        let hex = rest.split(';').next().unwrap().split_whitespace();
        bytes.extend(hex.map(|byte| u8::from_str_radix(byte, 16).unwrap()));
    }
    bytes
}

fn bytes(codes: [i8; 4]) -> [u8; 4] {
    codes.map(|code| code as u8)
}

fn frame(content: [u8; 4]) -> Vec<u8> {
    [&FRAME_PREFIX[..], &content].concat()
}

fn layer(compressed: &[u8]) -> LayerRepr<'_> {
    let (tau, gamma) = (0.25f32.to_bits(), 0.5f32.to_bits());
    LayerRepr { name: "w", shape: &[2, 2], tau, gamma, dominant_scale: 8, compressed }
}

fn emit(repr: &Repr<'_>) -> Vec<u8> {
    let mut buffer = vec![0; repr.buffer_len().unwrap() as usize];
    assert_eq!(repr.emit(&mut buffer), Ok(buffer.len()));
    buffer
}

fn residue(codes: impl IntoIterator<Item = i64>) -> u64 {
    let mut residues = Residues::<1>::new();
    codes.into_iter().for_each(|code| residues.push(code));
    residues.values()[0]
}

fn true_differences() -> [i64; 4] {
    std::array::from_fn(|i| i64::from(NEW[i]) - i64::from(OLD[i]))
}

fn stored_differences() -> [u8; 4] {
    std::array::from_fn(|i| Element::I8.wrapping_difference(OLD[i] as u32, NEW[i] as u32) as u8)
}

#[test]
fn the_examples_are_what_is_written() {
    let (compressed, difference) = (frame(bytes(OLD)), frame(stored_differences()));
    let whole = Repr {
        is_delta: false,
        original_hash: &sha512(&bytes(OLD)),
        crt_residues: &[residue(OLD.map(i64::from))],
        layers: &[layer(&compressed)],
    };
    assert_eq!(emit(&whole), example("v1-example"));
    let delta = Repr {
        is_delta: true,
        original_hash: &sha512(&bytes(NEW)),
        crt_residues: &[residue(true_differences())],
        layers: &[layer(&difference)],
    };
    assert_eq!(emit(&delta), example("v1-delta"));
}

#[test]
fn the_examples_are_what_is_read() {
    let (whole, delta) = (example("v1-example"), example("v1-delta"));
    let (whole, delta) = (View::new_checked(&whole).unwrap(), View::new_checked(&delta).unwrap());
    assert!(!whole.is_delta());
    assert!(delta.is_delta());
    assert_eq!(*whole.original_hash(), sha512(&bytes(OLD)));
    assert_eq!(*delta.original_hash(), sha512(&bytes(NEW)));
    for view in [whole, delta] {
        assert_eq!((view.n_layers(), view.crt_residues().len(), view.layers().len()), (1, 1, 1));
        let layer = view.layer("w").unwrap();
        assert_eq!(view.layers().collect::<Vec<_>>(), [layer]);
        assert_eq!(layer.name(), "w");
        assert!(layer.shape().eq([2, 2]));
        assert_eq!((f32::from_bits(layer.tau()), f32::from_bits(layer.gamma())), (0.25, 0.5));
        assert_eq!(layer.dominant_scale(), 8);
        assert_eq!((layer.n_codes(), layer.content_len()), (Ok(4), Ok(4)));
        assert_eq!(view.layer("v"), None);
    }
    assert_eq!(whole.layer("w").unwrap().compressed(), frame(bytes(OLD)));
    assert_eq!(delta.layer("w").unwrap().compressed(), frame(stored_differences()));

    let residues = |view: View<'_>| view.crt_residues().collect::<Vec<_>>();
    let new = [residue(NEW.map(i64::from))];
    check_sum(&residues(whole), &residues(delta), &new).unwrap();
    assert!(include_str!("../FORMAT.md").contains(&format!(" = {}", new[0])));
}

/// FORMAT.md, section 7: written and read.
#[test]
fn the_position_memory_is_the_example() {
    let content = [0x24, 0x3f, 0x6a, 0x88u8];
    let codes: Vec<i8> = content.iter().flat_map(|byte| (0..8).map(move |k| (byte >> k & 1) as i8 - 1)).collect();
    let mut packed = [0; 4];
    pack(&codes, 1, &mut packed).unwrap();
    let container = example("v1-memory");
    let written = Repr {
        is_delta: false,
        original_hash: &sha512(&content),
        crt_residues: &[residue(codes.into_iter().map(i64::from))],
        layers: &[LayerRepr {
            name: memory::LAYER,
            shape: &[4, 8],
            tau: 0,
            gamma: 2.0f32.to_bits(),
            dominant_scale: 1,
            compressed: &frame(packed),
        }],
    };
    assert_eq!(emit(&written), container);

    let layer = View::new_checked(&container).unwrap().layer(memory::LAYER).unwrap();
    assert_eq!(layer.content_len(), Ok(packed.len() as u64));
    let memory = Memory::new_checked(&packed, None, 4, 8, layer.dominant_scale()).unwrap();
    let mut read = [0; 4];
    memory.read(0, &mut read).unwrap();
    assert_eq!(read, content);
}

#[cfg(feature = "zstd")]
#[test]
fn the_examples_decompress() {
    use codec_core::container::zstd::{Workspace, decompress};
    let mut workspace = Box::new(Workspace::new());
    for (tag, expected) in [("v1-example", bytes(OLD)), ("v1-delta", stored_differences())] {
        let container = example(tag);
        let layer = View::new_checked(&container).unwrap().layer("w").unwrap();
        let mut payload = [0; 4];
        assert_eq!(decompress(layer.compressed(), &mut workspace, &mut payload), Ok(4));
        assert_eq!(payload, expected);
    }
}

/// A container with everything in it: residues, several layers, empty and long names, no dimensions and many.
fn rich() -> Vec<u8> {
    let name = "ä".repeat(127);
    let layers = [
        layer(b"one"),
        LayerRepr { name: "", shape: &[], ..layer(b"") },
        LayerRepr { name: &name, shape: &[1, 2, 3, 4, 5, 6, 7, 0], tau: u32::MAX, gamma: 0, ..layer(&[7; 300]) },
    ];
    let hash = sha512(b"rich");
    emit(&Repr { is_delta: true, original_hash: &hash, crt_residues: &[1, u64::MAX, 3], layers: &layers })
}

/// Reads everything that a view offers.
fn walk(view: View<'_>) -> u64 {
    let residues = view.crt_residues().fold(0, u64::wrapping_add);
    let mut sum = residues.wrapping_add(u64::from(view.original_hash()[63]) + u64::from(view.is_delta()));
    assert_eq!(view.layers().count(), view.n_layers() as usize);
    for layer in view.layers() {
        let codes = layer.n_codes().unwrap_or(1) ^ layer.content_len().unwrap_or(2);
        let bits = layer.tau() ^ layer.gamma() ^ layer.dominant_scale();
        sum = sum.wrapping_mul(31).wrapping_add(codes ^ u64::from(bits));
        let bytes = layer.name().bytes().chain(layer.compressed().iter().copied());
        sum = bytes.fold(sum, |sum, byte| sum.wrapping_mul(257) ^ u64::from(byte));
    }
    sum
}

#[test]
fn what_is_written_is_read() {
    let container = rich();
    let view = View::new_checked(&container).unwrap();
    assert!(view.crt_residues().eq([1, u64::MAX, 3]));
    let layers: Vec<_> = view.layers().collect();
    assert_eq!(layers[0].compressed(), b"one");
    assert_eq!((layers[1].name(), layers[1].n_codes(), layers[1].compressed()), ("", Ok(1), &[][..]));
    assert_eq!((layers[2].name().len(), layers[2].n_codes()), (254, Ok(0)));
    assert_eq!((layers[2].tau(), layers[2].compressed()), (u32::MAX, &[7; 300][..]));
    walk(view);
}

#[test]
fn cut_at_every_byte() {
    for container in [example("v1-example"), rich()] {
        for end in 0..container.len() {
            let error = View::new_checked(&container[..end]).unwrap_err();
            let Error::Truncated { need, have, .. } = error else { panic!("cut at {end}: {error}") };
            assert!(have < need, "cut at {end}: {error}");
        }
    }
}

#[test]
fn every_bit_flipped() {
    for container in [example("v1-example"), rich()] {
        for bit in 0..container.len() * 8 {
            let mut flipped = container.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(view) = View::new_checked(&flipped) {
                walk(view);
            }
        }
    }
}

#[test]
fn every_word_replaced_by_extremes() {
    let container = rich();
    for at in 0..container.len() - 4 {
        for lie in [0, 1, 255, 256, 0x7FFF_FFFF, 0x8000_0000, u32::MAX - 3, u32::MAX] {
            let mut changed = container.clone();
            changed[at..at + 4].copy_from_slice(&lie.to_le_bytes());
            if let Ok(view) = View::new_checked(&changed) {
                walk(view);
            }
        }
    }
}

/// The error of the whole-content example with the `u32` at `at` replaced.
fn lie(at: usize, value: u32) -> Error {
    let mut container = example("v1-example");
    container[at..at + 4].copy_from_slice(&value.to_le_bytes());
    View::new_checked(&container).unwrap_err()
}

#[test]
fn lying_lengths_are_named() {
    let out_of_range = |field, found, limit| Error::OutOfRange { field, found, limit };
    let truncated = |field, need, have| Error::Truncated { field, need, have };
    assert_eq!(lie(0, 0x464C_457F), Error::BadMagic { found: *b"\x7FELF", seen: 4 });
    assert_eq!(lie(4, 3), Error::UnknownVersion { found: 3 });
    assert_eq!(lie(8, 4097), out_of_range("n_layers", 4097, 4096));
    assert_eq!(lie(8, 2), truncated("name_len", 4, 0));
    assert_eq!(lie(8, 0), out_of_range("trailing_bytes", 46, 0));
    assert_eq!(lie(77, 65), out_of_range("n_crt", 65, 64));
    assert_eq!(lie(77, 64), truncated("crt_residues", 512, 54));
    assert_eq!(lie(89, 256), out_of_range("name_len", 256, 255));
    assert_eq!(lie(89, 255), truncated("name", 255, 42));
    assert_eq!(lie(94, 9), out_of_range("n_dims", 9, 8));
    assert_eq!(lie(94, 8), truncated("gamma", 4, 1));
    assert_eq!(lie(PAYLOAD_AT - 4, 14), truncated("compressed_data", 14, 13));
    assert_eq!(lie(PAYLOAD_AT - 4, u32::MAX), truncated("compressed_data", u32::MAX.into(), 13));
    assert_eq!(lie(PAYLOAD_AT - 4, 12), out_of_range("trailing_bytes", 1, 0));
    let mut container = example("v1-example");
    container[12] = 2;
    assert_eq!(View::new_checked(&container).unwrap_err(), out_of_range("is_delta", 2, 1));
    container[12] = 0;
    container[93] = 0xFF;
    assert_eq!(View::new_checked(&container).unwrap_err(), Error::Corrupt { field: "name" });
}

#[test]
fn shapes_and_widths_are_checked_where_they_are_used() {
    let hash = [0; 64];
    let read = |shape: &[u32], dominant_scale| {
        let layers = [LayerRepr { shape, dominant_scale, ..layer(b"") }];
        let container = emit(&Repr { is_delta: false, original_hash: &hash, crt_residues: &[], layers: &layers });
        let layer = View::new_checked(&container).unwrap().layer("w").unwrap();
        (layer.n_codes(), layer.content_len())
    };
    let too_large = |found| Error::OutOfRange { field: "shape", found, limit: u32::MAX.into() };
    assert_eq!(read(&[u32::MAX], 32), (Ok(u32::MAX.into()), Ok(4 * u64::from(u32::MAX))));
    assert_eq!(read(&[1 << 16, 1 << 16], 8), (Err(too_large(1 << 32)), Err(too_large(1 << 32))));
    assert_eq!(read(&[u32::MAX; 8], 16).0, Err(too_large(u64::MAX)));
    let with_zero = [u32::MAX, u32::MAX, u32::MAX, 0];
    assert_eq!(read(&with_zero, 16), (Ok(0), Ok(0)));
    for (bits, bytes) in [(1, 2), (2, 3), (4, 5), (8, 9), (16, 18)] {
        assert_eq!(read(&[3, 3], bits), (Ok(9), Ok(bytes)));
    }
    assert_eq!(read(&[u32::MAX], 1), (Ok(u32::MAX.into()), Ok(1 << 29)));
    assert_eq!(read(&[3], 3), (Ok(3), Err(Error::Unknown { field: "dominant_scale", found: 3 })));
}

#[test]
fn writers_are_held_to_the_limits() {
    let hash = [0; 64];
    let repr = |residues: &[u64], layers: &[LayerRepr<'_>]| {
        Repr { is_delta: false, original_hash: &hash, crt_residues: residues, layers }.buffer_len()
    };
    let refused = |field, found, limit| Err(Error::OutOfRange { field, found, limit });
    assert_eq!(repr(&[], &[]), Ok(81));
    assert_eq!(repr(&[0; 64], &[]), Ok(81 + 64 * 8));
    assert_eq!(repr(&[0; 65], &[]), refused("n_crt", 65, 64));
    assert_eq!(repr(&[], &vec![layer(b""); 4097]), refused("n_layers", 4097, 4096));
    let name = "n".repeat(256);
    assert_eq!(repr(&[], &[LayerRepr { name: &name, ..layer(b"") }]), refused("name_len", 256, 255));
    assert_eq!(repr(&[], &[LayerRepr { shape: &[0; 9], ..layer(b"") }]), refused("n_dims", 9, 8));

    let container = Repr { is_delta: false, original_hash: &hash, crt_residues: &[], layers: &[layer(b"abc")] };
    let mut buffer = vec![0xA5; 200];
    let len = container.emit(&mut buffer).unwrap();
    assert!(buffer[len..].iter().all(|&byte| byte == 0xA5));
    let mut small = vec![0xA5; len - 1];
    let error = Error::BufferTooSmall { field: "container", need: len as u64, have: len as u64 - 1 };
    assert_eq!(container.emit(&mut small), Err(error));
    assert!(small.iter().all(|&byte| byte == 0xA5));
}
