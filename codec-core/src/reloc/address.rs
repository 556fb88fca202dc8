//! The address model: instruction set, and which addresses the parts of the files run at.

use super::IsaKind;
use crate::Error;
use crate::delta::map::{Map, Mapped};
use crate::entropy::Coder;
use crate::entropy::number::{NumberModel, unzigzag, zigzag};

/// Most regions that a container may declare.
pub const MAX_REGIONS: usize = 8;

/// A linked part: a stretch of the files that runs at an address of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// Offset in the old image, bytes.
    pub old: u32,
    /// Offset in the new file, bytes.
    pub new: u32,
    /// Length of the addresses that count as pointers into the region, bytes.
    pub len: u32,
    /// Address of `old`.
    pub old_address: u32,
    /// Address of `new`.
    pub new_address: u32,
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
#[derive(Clone, Debug)]
pub struct AddressModel {
    /// How code is read.
    pub isa: IsaKind,
    /// Sorted by offset in the old image.
    regions: heapless::Vec<Region, MAX_REGIONS>,
}

impl Default for AddressModel {
    fn default() -> Self {
        Self::new(IsaKind::Plain)
    }
}

impl AddressModel {
    /// No regions: files run at address 0, and no data word is taken for a pointer.
    pub const fn new(isa: IsaKind) -> Self {
        Self { isa, regions: heapless::Vec::new() }
    }

    /// The regions, sorted by offset in the old image.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Adds a region behind the last.
    ///
    /// # Errors
    /// [`Error::OverBudget`] beyond [`MAX_REGIONS`], [`Error::OutOfRange`] when regions are not sorted.
    pub fn push(&mut self, region: Region) -> Result<(), Error> {
        if let Some(last) = self.regions.last()
            && (region.old < last.old || region.new < last.new)
        {
            let (found, limit) = (u64::from(region.old), u64::from(last.old));
            return Err(Error::OutOfRange { field: "region.old", found, limit });
        }
        let limit = MAX_REGIONS as u64;
        self.regions.push(region).map_err(|_| Error::OverBudget { field: "regions", requested: limit + 1, limit })
    }

    /// Address of an offset in the old image.
    #[inline]
    pub fn old_address(&self, offset: u32) -> u32 {
        match self.regions.iter().rev().find(|r| r.old <= offset) {
            Some(r) => (offset - r.old).wrapping_add(r.old_address),
            None => offset,
        }
    }

    /// Address of an offset in the new file.
    #[inline]
    pub fn new_address(&self, offset: u32) -> u32 {
        match self.regions.iter().rev().find(|r| r.new <= offset) {
            Some(r) => (offset - r.new).wrapping_add(r.new_address),
            None => offset,
        }
    }

    /// The region that `address` points into.
    #[inline]
    pub fn region_of(&self, address: u32) -> Option<&Region> {
        self.regions.iter().find(|r| address.wrapping_sub(r.old_address) < r.len)
    }

    /// Where the thing at `address` of the old image is in the new file.
    #[inline]
    pub fn relocate<const N: usize>(&self, address: u32, old_len: u32, map: &Map<N>) -> Target {
        let (offset, region) = match self.region_of(address) {
            Some(r) => (address.wrapping_sub(r.old_address).wrapping_add(r.old), Some(r)),
            None if self.regions.is_empty() && address < old_len => (address, None),
            None => return Target::External(address),
        };
        let back = |new: u32| match region {
            Some(r) => new.wrapping_sub(r.new).wrapping_add(r.new_address),
            None => new,
        };
        match map.map(offset) {
            Some(Mapped::Inside(new)) => Target::Inside(back(new)),
            Some(Mapped::Near(new)) => Target::Near(back(new)),
            None => Target::External(address),
        }
    }

    /// Codes instruction set and regions; an encoder passes the model, a decoder [`AddressModel::default`].
    ///
    /// # Errors
    /// [`Error::Unknown`] for an instruction set that this decoder does not know, and those of
    /// [`AddressModel::push`].
    pub fn code<C: Coder>(&self, coder: &mut C) -> Result<Self, Error> {
        let mut small = NumberModel::new();
        let mut large = NumberModel::new();
        let isa = small.code(coder, u32::from(self.isa.id()));
        let isa = IsaKind::from_id(isa).ok_or(Error::Unknown { field: "isa", found: u64::from(isa) })?;
        let count = small.code(coder, self.regions.len() as u32);
        if count > MAX_REGIONS as u32 {
            let (requested, limit) = (u64::from(count), MAX_REGIONS as u64);
            return Err(Error::OverBudget { field: "regions", requested, limit });
        }
        let mut model = Self::new(isa);
        for i in 0..count as usize {
            let r = self.regions.get(i).copied().unwrap_or_default();
            let mut signed = |value: u32| unzigzag(large.code(coder, zigzag(value as i32))) as u32;
            let old = signed(r.old);
            let new = signed(r.new.wrapping_sub(r.old)).wrapping_add(old);
            let len = signed(r.len);
            let new_address = signed(r.new_address.wrapping_sub(r.old_address));
            let old_address = coded_address(coder, r.old_address);
            model.push(Region { old, new, len, old_address, new_address: new_address.wrapping_add(old_address) })?;
        }
        Ok(model)
    }
}

/// An address: number of trailing zero bits in 5 bits, then the rest; link addresses are round.
fn coded_address<C: Coder>(coder: &mut C, address: u32) -> u32 {
    const EVEN: u32 = 1 << 15;
    let zeros = address.trailing_zeros().min(31);
    let mut shift = 0;
    for i in (0..5).rev() {
        shift = shift << 1 | coder.code(zeros >> i & 1, EVEN);
    }
    let mut value = 0;
    for i in (shift..32).rev() {
        value = value << 1 | coder.code(address >> i & 1, EVEN);
    }
    ((u64::from(value)) << shift) as u32
}

