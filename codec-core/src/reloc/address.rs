//! The address model: instruction sets, and which addresses the parts of the files run at.

use super::IsaKind;
use crate::Error;
use crate::delta::map::{Map, Mapped};
use crate::entropy::Coder;
use crate::entropy::number::{NumberModel, unzigzag, zigzag};

/// Most regions that a container may declare.
pub const MAX_REGIONS: usize = 7;
/// Most stretches that a container may declare.
pub const MAX_STRETCHES: usize = 8;

/// A part of the old image that is read with another instruction set than the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// First offset in the old image, bytes.
    pub start: u32,
    /// Length, bytes, at least 1.
    pub len: u32,
    /// How code is read there.
    pub isa: IsaKind,
}

impl Stretch {
    /// What a decoder passes where a stretch is coded.
    pub const ANY: Self = Self { start: 0, len: 1, isa: IsaKind::Plain };

    /// End in the old image.
    pub const fn end(&self) -> u32 {
        self.start + self.len
    }
}

/// A linked part: a stretch of the old image that absolute addresses point into.
///
/// PC-relative addresses need no region: code keeps its distances, so file offsets serve for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// First offset in the old image, bytes.
    pub start: u32,
    /// Length, bytes.
    pub len: u32,
    /// Address of the old image's offset 0 as this part counts, wrapping.
    pub old_base: u32,
    /// Address of the new file's offset 0 as this part counts, wrapping.
    pub new_base: u32,
}

/// How an address of the old image reads in the new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// It points into a segment of the map.
    Inside(u32),
    /// It points beside the segments; the nearest one decided.
    Near(u32),
    /// It points outside the files and stays.
    External(u32),
}

impl Target {
    /// The address in the new file's space.
    pub fn address(self) -> u32 {
        match self {
            Self::Inside(a) | Self::Near(a) | Self::External(a) => a,
        }
    }
}

/// Instruction sets and regions of one update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressModel {
    /// How code is read outside the stretches.
    pub isa: IsaKind,
    /// In the order of the old image; they do not overlap.
    stretches: heapless::Vec<Stretch, MAX_STRETCHES>,
    regions: heapless::Vec<Region, MAX_REGIONS>,
}

impl Default for AddressModel {
    fn default() -> Self {
        Self::new(IsaKind::Plain)
    }
}

impl AddressModel {
    /// One instruction set for all; no regions: no data word is taken for a pointer.
    pub const fn new(isa: IsaKind) -> Self {
        Self { isa, stretches: heapless::Vec::new(), regions: heapless::Vec::new() }
    }

    /// The stretches, in the order of the old image.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// Adds a stretch behind the last.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when it is empty, starts before the last one's end, or leaves the old image of `old_len`
    /// bytes; [`Error::OverBudget`] beyond [`MAX_STRETCHES`].
    pub fn push_stretch(&mut self, stretch: Stretch, old_len: u32) -> Result<(), Error> {
        let found = |field, value: u32, limit: u32| Error::OutOfRange {
            field,
            found: u64::from(value),
            limit: u64::from(limit),
        };
        if stretch.start < self.stretches.last().map_or(0, Stretch::end) || stretch.start >= old_len {
            return Err(found("stretch.start", stretch.start, old_len));
        }
        let room = old_len - stretch.start;
        if stretch.len == 0 || stretch.len > room {
            return Err(found("stretch.len", stretch.len, room));
        }
        let limit = MAX_STRETCHES as u64;
        self.stretches.push(stretch).map_err(|_| Error::OverBudget { field: "stretches", requested: limit + 1, limit })
    }

    /// How code is read at the old offset, and for how many bytes from there on it is.
    #[inline]
    pub fn isa_at(&self, at: u32) -> (IsaKind, u32) {
        for s in &self.stretches {
            if at < s.start {
                return (self.isa, s.start - at);
            }
            if at < s.end() {
                return (s.isa, s.end() - at);
            }
        }
        (self.isa, u32::MAX)
    }

    /// Whether no part of the old image is read as code.
    pub fn is_plain(&self) -> bool {
        self.isa == IsaKind::Plain && self.stretches.is_empty()
    }

    /// The regions; the first that holds an address decides.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Adds a region behind the last.
    ///
    /// # Errors
    /// [`Error::OverBudget`] beyond [`MAX_REGIONS`].
    pub fn push(&mut self, region: Region) -> Result<(), Error> {
        let limit = MAX_REGIONS as u64;
        self.regions.push(region).map_err(|_| Error::OverBudget { field: "regions", requested: limit + 1, limit })
    }

    /// The region that the absolute address points into.
    #[inline]
    pub fn region_of(&self, address: u32) -> Option<&Region> {
        self.regions.iter().find(|r| address.wrapping_sub(r.old_base).wrapping_sub(r.start) < r.len)
    }

    /// How an absolute address of the old image reads in the new file.
    #[inline]
    pub fn relocate<W: AsRef<[u16]>>(&self, address: u32, map: &Map<W>) -> Target {
        let Some(r) = self.region_of(address) else { return Target::External(address) };
        match map.map(address.wrapping_sub(r.old_base)) {
            Some(Mapped::Inside(new)) => Target::Inside(new.wrapping_add(r.new_base)),
            Some(Mapped::Near(new)) => Target::Near(new.wrapping_add(r.new_base)),
            None => Target::External(address),
        }
    }

    /// How an offset into the old image, the target of a PC-relative reference, reads in the new file.
    #[inline]
    pub fn relocate_offset<W: AsRef<[u16]>>(offset: u32, old_len: u32, map: &Map<W>) -> Target {
        if offset >= old_len {
            return Target::External(offset);
        }
        match map.map(offset) {
            Some(Mapped::Inside(new)) => Target::Inside(new),
            Some(Mapped::Near(new)) => Target::Near(new),
            None => Target::External(offset),
        }
    }
}

/// Adaptive state of the address model's code.
#[derive(Clone, Debug, Default)]
pub struct AddressCode {
    numbers: NumberModel,
}

impl AddressCode {
    /// A code that must be started before use: all bits are zero.
    pub const fn zero() -> Self {
        Self { numbers: NumberModel::zero() }
    }

    /// A code that has seen nothing.
    pub fn new() -> Self {
        let mut code = Self::zero();
        code.start();
        code
    }

    /// Forgets everything.
    pub fn start(&mut self) {
        self.numbers.start();
    }

    /// Bits that the head can take at most.
    pub const MAX_HEAD_BITS: usize = (2 + HEAD_BITS + REGION_BITS + STRETCH_BITS) as usize;
    /// Bits that one region, or one stretch, can take at most.
    pub const MAX_BITS: usize = 3 * crate::entropy::number::MAX_BITS + 5 + 32;

    /// Codes the instruction set and the numbers of stretches and regions. An encoder passes its model, a decoder any.
    ///
    /// # Errors
    /// [`Error::Unknown`] for an instruction set that this decoder does not know.
    pub fn code_head<C: Coder>(coder: &mut C, model: &AddressModel) -> Result<Head, Error> {
        let stretches = model.stretches.len() as u32;
        if coder.code(u32::from(model.is_plain() && model.regions.is_empty()), PLAIN) == 1 {
            return Ok(Head { isa: IsaKind::Plain, stretches: 0, regions: 0 });
        }
        let mixed = if stretches > 0 { MIXED } else { 0 };
        let head = coded_bits(coder, mixed | u32::from(model.isa.id()), HEAD_BITS);
        let regions = coded_bits(coder, model.regions.len() as u32, REGION_BITS);
        let unknown = Error::Unknown { field: "isa", found: u64::from(head) };
        let isa = IsaKind::from_id(head & !MIXED).ok_or(unknown)?;
        let stretches = match head & MIXED {
            0 => 0,
            _ => coded_bits(coder, stretches.wrapping_sub(1), STRETCH_BITS) + 1,
        };
        Ok(Head { isa, stretches: stretches as usize, regions: regions as usize })
    }

    /// Codes one stretch; `end` is the last one's. The result's place is not checked: [`AddressModel::push_stretch`]
    /// does.
    ///
    /// # Errors
    /// [`Error::Unknown`] for an instruction set that this decoder does not know.
    pub fn code_stretch<C: Coder>(&mut self, coder: &mut C, end: u32, s: Stretch) -> Result<Stretch, Error> {
        let start = end.wrapping_add(self.numbers.code(coder, s.start.wrapping_sub(end)));
        let len = self.numbers.code(coder, s.len.wrapping_sub(1)).wrapping_add(1);
        let id = coded_bits(coder, u32::from(s.isa.id()), ISA_BITS);
        let isa = IsaKind::from_id(id).ok_or(Error::Unknown { field: "stretch.isa", found: u64::from(id) })?;
        Ok(Stretch { start, len, isa })
    }

    /// Codes one region.
    pub fn code<C: Coder>(&mut self, coder: &mut C, r: Region) -> Region {
        let start = self.numbers.code(coder, r.start);
        let len = self.numbers.code(coder, r.len);
        let slide = unzigzag(self.numbers.code(coder, zigzag(r.new_base.wrapping_sub(r.old_base) as i32)));
        let old_base = coded_address(coder, r.old_base);
        Region { start, len, old_base, new_base: old_base.wrapping_add(slide as u32) }
    }
}

/// What stands before stretches and regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How code is read outside the stretches.
    pub isa: IsaKind,
    /// Number of stretches.
    pub stretches: usize,
    /// Number of regions.
    pub regions: usize,
}

/// Probability that there is nothing but plain bytes.
const PLAIN: u32 = 49152;
/// Bits that name an instruction set.
const ISA_BITS: u32 = 4;
/// Bits that name the instruction set outside the stretches and say whether there are any.
const HEAD_BITS: u32 = ISA_BITS + 1;
/// Set when there are stretches.
const MIXED: u32 = 1 << ISA_BITS;
/// Bits that count the stretches, less one.
const STRETCH_BITS: u32 = 3;
const _: () = assert!(MAX_STRETCHES == 1 << STRETCH_BITS);
/// Bits that count the regions.
const REGION_BITS: u32 = 3;
const _: () = assert!(MAX_REGIONS < 1 << REGION_BITS);

/// A number of `bits` bits, most significant first.
fn coded_bits<C: Coder>(coder: &mut C, value: u32, bits: u32) -> u32 {
    (0..bits).rev().fold(0, |so_far, i| so_far << 1 | coder.code(value >> i & 1, 1 << 15))
}

/// A link address: the number of its trailing zero bits in 5 bits, then the rest. Link addresses are round.
fn coded_address<C: Coder>(coder: &mut C, address: u32) -> u32 {
    let zeros = coded_bits(coder, address.trailing_zeros().min(31), 5);
    coded_bits(coder, address >> zeros, 32 - zeros) << zeros
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{RangeDecoder, RangeEncoder};

    const OLD_LEN: u32 = 0x2_0000;

    fn stretch(start: u32, len: u32, isa: IsaKind) -> Stretch {
        Stretch { start, len, isa }
    }

    fn model(isa: IsaKind, stretches: &[Stretch], regions: &[Region]) -> AddressModel {
        let mut model = AddressModel::new(isa);
        stretches.iter().for_each(|&s| model.push_stretch(s, OLD_LEN).unwrap());
        regions.iter().for_each(|&r| model.push(r).unwrap());
        model
    }

    fn code(coder: &mut impl Coder, told: &AddressModel) -> Result<AddressModel, Error> {
        let head = AddressCode::code_head(coder, told)?;
        let mut coded = AddressModel::new(head.isa);
        let mut code = AddressCode::new();
        for i in 0..head.stretches {
            let end = coded.stretches().last().map_or(0, Stretch::end);
            let s = told.stretches().get(i).copied().unwrap_or(Stretch::ANY);
            coded.push_stretch(code.code_stretch(coder, end, s)?, OLD_LEN)?;
        }
        for i in 0..head.regions {
            coded.push(code.code(coder, told.regions().get(i).copied().unwrap_or_default()))?;
        }
        Ok(coded)
    }

    /// Counts decisions behind the first, which says whether all is plain, and wants even odds of them.
    struct Count(usize);

    impl Coder for Count {
        fn code(&mut self, bit: u32, p: u32) -> u32 {
            if p != PLAIN {
                assert_eq!(p, 1 << 15);
                self.0 += 1;
            }
            bit
        }
    }

    #[test]
    fn models_come_back() {
        let region = Region { start: 0, len: OLD_LEN, old_base: 0x0800_4000, new_base: 0x0800_5000 };
        let two =
            [stretch(0, 0x100, IsaKind::Rv32), stretch(0x100, 7, IsaKind::Plain), stretch(0x1_fffe, 2, IsaKind::Avr)];
        let most: Vec<_> = (0..MAX_STRETCHES as u32).map(|i| stretch(3 * i + 1, 2, IsaKind::A32)).collect();
        for stretches in [&[][..], &two[..1], &two, &[stretch(0, OLD_LEN, IsaKind::Xtensa)], &most] {
            for regions in [&[][..], &[region], &[region; MAX_REGIONS]] {
                let told = model(IsaKind::Thumb, stretches, regions);
                let mut bytes = Vec::new();
                let mut encoder = RangeEncoder::new(|byte| bytes.push(byte));
                assert_eq!(code(&mut encoder, &told), Ok(told.clone()));
                let _ = encoder.finish();
                let mut decoder: RangeDecoder<512> = RangeDecoder::new();
                assert_eq!(decoder.push(&bytes), bytes.len());
                assert_eq!(code(&mut decoder, &AddressModel::default()), Ok(told));
            }
        }
    }

    #[test]
    fn heads_cost_a_byte_and_three_bits_where_sets_mix_and_nothing_where_all_is_plain() {
        for isa in IsaKind::ALL {
            let alone = if isa == IsaKind::Plain { 0 } else { 8 };
            for (stretches, bits) in [(&[][..], alone), (&[stretch(5, 6, IsaKind::Avr)][..], 11)] {
                let mut count = Count(0);
                let head = AddressCode::code_head(&mut count, &model(isa, stretches, &[]));
                assert_eq!(head, Ok(Head { isa, stretches: stretches.len(), regions: 0 }));
                assert_eq!(count.0, bits);
            }
        }
    }

    #[test]
    fn stretches_must_lie_in_order_inside_the_old_image() {
        let range = |field, found: u32, limit: u32| {
            Err(Error::OutOfRange { field, found: u64::from(found), limit: u64::from(limit) })
        };
        let mut full = model(IsaKind::Thumb, &[stretch(0x100, 0x10, IsaKind::A32)], &[]);
        for (start, len, expected) in [
            (0x10f, 1, range("stretch.start", 0x10f, OLD_LEN)),
            (OLD_LEN, 1, range("stretch.start", OLD_LEN, OLD_LEN)),
            (u32::MAX, u32::MAX, range("stretch.start", u32::MAX, OLD_LEN)),
            (0x110, 0, range("stretch.len", 0, OLD_LEN - 0x110)),
            (OLD_LEN - 5, 6, range("stretch.len", 6, 5)),
            (0x110, u32::MAX, range("stretch.len", u32::MAX, OLD_LEN - 0x110)),
        ] {
            assert_eq!(full.push_stretch(stretch(start, len, IsaKind::Avr), OLD_LEN), expected, "{start:#x}, {len}");
        }
        for i in 1..MAX_STRETCHES as u32 {
            full.push_stretch(stretch(0x100 + 0x10 * i, 0x10, IsaKind::A32), OLD_LEN).unwrap();
        }
        let limit = MAX_STRETCHES as u64;
        let error = Err(Error::OverBudget { field: "stretches", requested: limit + 1, limit });
        assert_eq!(full.push_stretch(stretch(0x1000, 1, IsaKind::A32), OLD_LEN), error);
    }

    #[test]
    fn every_offset_is_read_as_its_stretch() {
        let stretches = [stretch(4, 4, IsaKind::Rv32), stretch(8, 2, IsaKind::Avr), stretch(20, 10, IsaKind::A32)];
        let told = model(IsaKind::Thumb, &stretches, &[]);
        for (at, isa, room) in [
            (0, IsaKind::Thumb, 4),
            (4, IsaKind::Rv32, 4),
            (7, IsaKind::Rv32, 1),
            (9, IsaKind::Avr, 1),
            (10, IsaKind::Thumb, 10),
            (29, IsaKind::A32, 1),
            (30, IsaKind::Thumb, u32::MAX),
        ] {
            assert_eq!(told.isa_at(at), (isa, room), "{at}");
        }
        assert_eq!(model(IsaKind::A32, &[], &[]).isa_at(u32::MAX), (IsaKind::A32, u32::MAX));
    }
}
