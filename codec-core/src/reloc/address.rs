//! The address model: instruction set, and which addresses the parts of the files run at.

use super::IsaKind;
use crate::Error;
use crate::delta::map::{Map, Mapped};
use crate::entropy::Coder;
use crate::entropy::number::{NumberModel, unzigzag, zigzag};

/// Most regions that a container may declare.
pub const MAX_REGIONS: usize = 7;

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

/// Instruction set and regions of one update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressModel {
    /// How code is read.
    pub isa: IsaKind,
    regions: heapless::Vec<Region, MAX_REGIONS>,
}

impl Default for AddressModel {
    fn default() -> Self {
        Self::new(IsaKind::Plain)
    }
}

impl AddressModel {
    /// No regions: no data word is taken for a pointer.
    pub const fn new(isa: IsaKind) -> Self {
        Self { isa, regions: heapless::Vec::new() }
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
    pub fn relocate<const N: usize>(&self, address: u32, map: &Map<N>) -> Target {
        let Some(r) = self.region_of(address) else { return Target::External(address) };
        match map.map(address.wrapping_sub(r.old_base)) {
            Some(Mapped::Inside(new)) => Target::Inside(new.wrapping_add(r.new_base)),
            Some(Mapped::Near(new)) => Target::Near(new.wrapping_add(r.new_base)),
            None => Target::External(address),
        }
    }

    /// How an offset into the old image, the target of a PC-relative reference, reads in the new file.
    #[inline]
    pub fn relocate_offset<const N: usize>(offset: u32, old_len: u32, map: &Map<N>) -> Target {
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

    /// Bits that one region can take at most.
    pub const MAX_BITS: usize = 3 * crate::entropy::number::MAX_BITS + 5 + 32;

    /// Codes the instruction set and the number of regions. An encoder passes them, a decoder passes anything.
    ///
    /// # Errors
    /// [`Error::Unknown`] for an instruction set that this decoder does not know.
    pub fn code_head<C: Coder>(coder: &mut C, isa: IsaKind, regions: usize) -> Result<(IsaKind, usize), Error> {
        let isa = coded_bits(coder, u32::from(isa.id()), ISA_BITS);
        let regions = coded_bits(coder, regions as u32, REGION_BITS);
        let isa = IsaKind::from_id(isa).ok_or(Error::Unknown { field: "isa", found: u64::from(isa) })?;
        Ok((isa, regions as usize))
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

/// Bits that name the instruction set.
const ISA_BITS: u32 = 5;
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
