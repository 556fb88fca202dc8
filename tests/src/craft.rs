//! Containers made by hand: payloads that no encoder writes under headers that lie.

use codec_core::container::digest::Id;
use codec_core::container::v2::{Header, Mode, Old};
use codec_core::delta::map::{MapModel, Segment};
use codec_core::entropy::{Coder, RangeEncoder};
use codec_core::limits::Profile;
use codec_core::predict::Files;
use codec_core::predict::prior::PRIOR;
use codec_core::reloc::address::{AddressCode, Region, Stretch};

/// The coder that payloads are written with.
pub type Writer<'a> = RangeEncoder<&'a mut dyn FnMut(u8)>;

/// The payload that `write` codes.
pub fn payload(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut sink = |byte| bytes.push(byte);
    let mut coder: Writer<'_> = RangeEncoder::new(&mut sink);
    write(&mut coder);
    let _ = coder.finish();
    bytes
}

/// `header` with the payload's length, then the payload.
///
/// # Panics
/// When the lengths cannot be expressed.
pub fn container(header: Header, payload: &[u8]) -> Vec<u8> {
    let header = Header { payload_len: payload.len() as u32, ..header };
    [&header.emit().expect("lengths that a header can say")[..], payload].concat()
}

/// A true header of a coded delta.
pub fn delta(profile: Profile, old: &[u8], new: &[u8]) -> Header {
    let from = Old { len: old.len() as u32, id: Id::of(old).old() };
    let (new_len, digest) = (new.len() as u32, Id::of(new));
    Header { profile, mode: Mode::Coded, new_len, old: Some(from), base: None, payload_len: 0, digest }
}

/// What the head's instruction set says beside its number when stretches are read with others.
pub const MIXED: u32 = 16;

/// Instruction set and number of regions, as numbers that need not be known ones.
pub fn head(coder: &mut impl Coder, isa: u32, regions: u32) {
    coder.code(0, 49152);
    even(coder, isa, 5);
    even(coder, regions, 3);
}

/// An address model; with stretches, the head says so. They may lie anywhere.
pub fn address(coder: &mut impl Coder, isa: u32, stretches: &[Stretch], regions: &[Region]) {
    head(coder, if stretches.is_empty() { isa } else { MIXED | isa }, regions.len() as u32);
    if !stretches.is_empty() {
        even(coder, stretches.len() as u32 - 1, 3);
    }
    let mut model = AddressCode::new();
    let mut end = 0u32;
    for &stretch in stretches {
        // The set is a known one, and nothing else is refused here.
        let _ = model.code_stretch(coder, end, stretch);
        end = stretch.start.wrapping_add(stretch.len);
    }
    for &region in regions {
        model.code(coder, region);
    }
}

/// The low `bits` bits of `value` at even odds, most significant first.
pub fn even(coder: &mut impl Coder, value: u32, bits: u32) {
    for i in (0..bits).rev() {
        coder.code(value >> i & 1, 1 << 15);
    }
}

/// Bits of `bytes`, each at even odds: where they stand, a decoder reads anything.
pub fn noise(coder: &mut impl Coder, bytes: &[u8]) {
    for &byte in bytes {
        even(coder, byte.into(), 8);
    }
}

/// A map that says that it has `count` segments, and has these, none of which is told by where the files end.
pub fn map(coder: &mut impl Coder, count: u32, segments: &[Segment]) {
    let mut model = MapModel::new(PRIOR);
    model.code_count(coder, count);
    for (i, &segment) in segments.iter().enumerate() {
        let last = i as u32 + 1 == count;
        model.code(coder, segment, last.then_some(Files { old_len: 0, new_len: 0 }));
    }
}
