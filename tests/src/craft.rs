//! Containers made by hand: payloads that no encoder writes under headers that lie.

use codec_core::container::digest::Id;
use codec_core::container::v2::{Header, Mode, Old};
use codec_core::delta::map::{MapModel, Segment};
use codec_core::entropy::{Coder, RangeEncoder};
use codec_core::limits::Profile;
use codec_core::reloc::address::{AddressCode, Region};

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
    Header { profile, mode: Mode::Coded, new_len, old: Some(from), payload_len: 0, digest }
}

/// Instruction set and number of regions, as numbers that need not be known ones.
pub fn head(coder: &mut impl Coder, isa: u32, regions: u32) {
    for (value, bits) in [(isa, 5), (regions, 3)] {
        for i in (0..bits).rev() {
            coder.code(value >> i & 1, 1 << 15);
        }
    }
}

/// Regions.
pub fn regions(coder: &mut impl Coder, regions: &[Region]) {
    let mut model = AddressCode::new();
    for &region in regions {
        model.code(coder, region);
    }
}

/// Bits of `bytes`, each at even odds: where they stand, a decoder reads anything.
pub fn noise(coder: &mut impl Coder, bytes: &[u8]) {
    for byte in bytes {
        for i in 0..8 {
            coder.code(u32::from(byte >> i & 1), 1 << 15);
        }
    }
}

/// A map that says that it has `count` segments, and has these.
pub fn map(coder: &mut impl Coder, count: u32, segments: &[Segment]) {
    let mut model = MapModel::new();
    model.code_count(coder, count);
    for &segment in segments {
        model.code(coder, segment);
    }
}
