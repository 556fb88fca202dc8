//! The regions of a device's flash.

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

/// All regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The progress record.
    pub state: Region,
    /// The update as it arrives.
    pub download: Region,
    /// The images.
    pub slots: Slots,
}
