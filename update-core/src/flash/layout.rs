//! The regions of a device's flash.

use embedded_storage::nor_flash::NorFlash;

use super::log;
use crate::Error;
use crate::record::RECORD_LEN;

/// A part of the flash, bytes. It starts and ends where an erase block does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// From the start of the flash.
    pub offset: u32,
    /// Length.
    pub len: u32,
}

/// Where images lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slots {
    /// Two slots: an update is rebuilt in the one that does not run.
    Two([Region; 2]),
    /// One slot: an update is rebuilt in place, through a scratch area.
    One {
        /// The image.
        slot: Region,
        /// What the change needs while it goes on.
        scratch: Region,
    },
}

impl Slots {
    /// Whether there is one slot only, in which an update is rebuilt in place.
    pub const fn is_one(&self) -> bool {
        matches!(self, Self::One { .. })
    }

    /// The scratch area of a device with one slot.
    pub const fn scratch(&self) -> Option<Region> {
        match *self {
            Self::Two(_) => None,
            Self::One { scratch, .. } => Some(scratch),
        }
    }

    /// The slot `index`, 0 or 1; with one slot it is always that.
    pub const fn slot(&self, index: u8) -> Region {
        match *self {
            Self::Two([a, _]) if index == 0 => a,
            Self::Two([_, b]) => b,
            Self::One { slot, .. } => slot,
        }
    }

    /// Index of the slot that an update goes to while `active` runs.
    pub const fn target(&self, active: u8) -> u8 {
        if self.is_one() { 0 } else { active ^ 1 }
    }

    /// Both regions by name.
    const fn regions(&self) -> [(&'static str, Region); 2] {
        match *self {
            Self::Two([a, b]) => [("slot a", a), ("slot b", b)],
            Self::One { slot, scratch } => [("slot", slot), ("scratch", scratch)],
        }
    }
}

/// All regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The progress record, see [`crate::record::Record`]. Two halves of at least [`Layout::HALF`] bytes each; more
    /// where two records, each with its head in whole writes, need it.
    pub state: Region,
    /// The update as it arrives.
    pub download: Region,
    /// The images.
    pub slots: Slots,
}

impl Layout {
    /// Least bytes of each half of the progress record: a record, its copy, and room for steps.
    pub const HALF: u32 = 1024;

    /// A layout with two slots, region after region from the start of the flash.
    pub const fn two(state: u32, download: u32, slot: u32) -> Self {
        let a = state + download;
        Self {
            state: Region { offset: 0, len: state },
            download: Region { offset: state, len: download },
            slots: Slots::Two([Region { offset: a, len: slot }, Region { offset: a + slot, len: slot }]),
        }
    }

    /// A layout with one slot, region after region from the start of the flash.
    pub const fn one(state: u32, download: u32, scratch: u32, slot: u32) -> Self {
        let at = state + download;
        Self {
            state: Region { offset: 0, len: state },
            download: Region { offset: state, len: download },
            slots: Slots::One {
                scratch: Region { offset: at, len: scratch },
                slot: Region { offset: at + scratch, len: slot },
            },
        }
    }

    /// All regions by name.
    pub fn regions(&self) -> [(&'static str, Region); 4] {
        let [third, fourth] = self.slots.regions();
        [("state", self.state), ("download", self.download), third, fourth]
    }

    /// The slot `index`, 0 or 1; with one slot it is always that.
    pub fn slot(&self, index: u8) -> Region {
        self.slots.slot(index)
    }

    /// Checks that every region lies on erase blocks of `flash`, inside it, and apart from the others.
    ///
    /// # Errors
    /// [`Error::Layout`] that names the region.
    pub fn check<F: NorFlash>(&self, flash: &F) -> Result<(), Error> {
        self.check_sizes(
            u32::try_from(flash.capacity()).unwrap_or(u32::MAX),
            F::ERASE_SIZE as u32,
            F::WRITE_SIZE as u32,
        )
    }

    /// As [`Layout::check`] for a flash of `capacity` bytes that erases `block` bytes at once and writes `write`.
    ///
    /// # Errors
    /// As [`Layout::check`].
    pub fn check_sizes(&self, capacity: u32, block: u32, write: u32) -> Result<(), Error> {
        let regions = self.regions();
        for (i, &(name, region)) in regions.iter().enumerate() {
            for found in [region.offset, region.len] {
                if !found.is_multiple_of(block) {
                    return Err(Error::Layout { region: name, found, limit: block });
                }
            }
            let end = region.offset.checked_add(region.len).filter(|&end| end <= capacity);
            let end = end.ok_or(Error::Layout { region: name, found: region.len, limit: capacity })?;
            if region.len == 0 {
                return Err(Error::Layout { region: name, found: 0, limit: block });
            }
            for &(_, other) in &regions[..i] {
                // The other one has passed, so its end is no overflow.
                if region.offset < other.offset + other.len && other.offset < end {
                    return Err(Error::Layout { region: name, found: region.offset, limit: other.offset + other.len });
                }
            }
        }
        let half = self.state.len / 2;
        let least = Self::HALF.max(2 * log::entry_len_for(write, RECORD_LEN));
        if half < least || !half.is_multiple_of(block) {
            return Err(Error::Layout { region: "state", found: self.state.len, limit: 2 * least.max(block) });
        }
        Ok(())
    }
}
