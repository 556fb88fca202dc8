//! What a device is, and where everything lies on its flash.

use core::ffi::c_void;

use codec_core::limits::Profile;
use update_core::Error;
use update_core::flash::{Layout, Region, Slots};
use update_core::record::State;

use crate::decoder::{GMCF_PROFILE_MEDIUM, GMCF_PROFILE_SMALL, GMCF_PROFILE_TINY};

/// A part of the flash. It starts and ends where an erase block does.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmcf_region {
    /// Bytes from the start of the flash.
    pub offset: u32,
    /// Bytes; 0 where there is no such region.
    pub len: u32,
}

/// Where everything lies. With two slots, an update is rebuilt in the one that does not run: set `slots`, leave
/// `scratch` empty. With one, it is rebuilt in place: set `slots[0]` and `scratch`, leave `slots[1]` empty.
///
/// `gmcf flash` lays the regions one behind the other from offset 0: state, download, then slot A and slot B, or scratch
/// and slot.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmcf_layout {
    /// The progress record: two halves, each whole erase blocks and at least 1024 bytes.
    pub state: gmcf_region,
    /// The update as it arrives.
    pub download: gmcf_region,
    /// The images.
    pub slots: [gmcf_region; 2],
    /// What a change in place needs while it goes on.
    pub scratch: gmcf_region,
}

impl From<gmcf_region> for Region {
    fn from(region: gmcf_region) -> Self {
        Self { offset: region.offset, len: region.len }
    }
}

impl gmcf_layout {
    /// Whether there is no second slot.
    pub(crate) fn has_one_slot(&self) -> bool {
        self.slots[1].len == 0
    }

    /// The same, as far as can be told without the flash.
    pub(crate) fn layout(&self) -> Result<Layout, Error> {
        let [first, second] = self.slots.map(Region::from);
        let slots = match self.scratch.len {
            _ if self.has_one_slot() => Slots::One { slot: first, scratch: self.scratch.into() },
            0 => Slots::Two([first, second]),
            found => return Err(Error::Layout { region: "scratch", found, limit: 0 }),
        };
        Ok(Layout { state: self.state.into(), download: self.download.into(), slots })
    }
}

/// What a device is, and the memory that its decoder uses.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmcf_config {
    /// Product number: updates for others are refused.
    pub product: u32,
    /// GMCF_PROFILE_*: the largest whose updates are taken.
    pub profile: u32,
    /// Boots in which a new image must be confirmed, 1 to 255. With two slots only.
    pub attempts: u32,
    /// Memory of the decoder: GMCF_DECODER_*_BYTES of the profile, or exactly gmcf_decoder_size; aligned to
    /// GMCF_DECODER_ALIGN.
    ///
    /// It is used only while gmcf_updater_install, gmcf_updater_prepare or gmcf_link_push go on, and what it holds between
    /// these calls does not matter: it is yours then. It is not used either while signatures are checked, so the stack
    /// may reach into it then, where a device has no other memory.
    pub decoder: *mut c_void,
    /// Bytes there.
    pub decoder_len: usize,
}

/// The profile of a GMCF_PROFILE_*.
pub(crate) fn profile(number: u32) -> Option<Profile> {
    match number {
        GMCF_PROFILE_TINY => Some(Profile::Tiny),
        GMCF_PROFILE_SMALL => Some(Profile::Small),
        GMCF_PROFILE_MEDIUM => Some(Profile::Medium),
        _ => None,
    }
}

/// Boots of a trial.
pub(super) fn attempts_of(attempts: u32) -> Result<u8, Error> {
    match u8::try_from(attempts) {
        Ok(attempts @ 1..) => Ok(attempts),
        _ => {
            Err(codec_core::Error::OutOfRange { field: "attempts", found: attempts.into(), limit: u8::MAX.into() }
                .into())
        }
    }
}

/// What a device is about.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum gmcf_state {
    /// Nothing: the first image runs.
    GMCF_STATE_IDLE = 0,
    /// An update was accepted and arrives.
    GMCF_STATE_RECEIVING = 1,
    /// It is complete and authentic, and is being rebuilt.
    GMCF_STATE_DECODING = 2,
    /// One slot only: blocks are being replaced. The image cannot run before the last one.
    GMCF_STATE_MOVING = 3,
    /// All is written; the new image is being read back.
    GMCF_STATE_VERIFYING = 4,
    /// The new image is whole and boots next.
    GMCF_STATE_READY = 5,
    /// The new image was booted and has not been confirmed.
    GMCF_STATE_TRIAL = 6,
    /// The new image was confirmed: it is the one that boots.
    GMCF_STATE_CONFIRMED = 7,
    /// The new image was not confirmed in its attempts: the one before boots again.
    GMCF_STATE_ROLLED_BACK = 8,
}

const _: () = {
    use gmcf_state::*;
    assert!(State::ALL.len() == 9);
    assert!(State::Idle as i32 == GMCF_STATE_IDLE as i32 && State::Receiving as i32 == GMCF_STATE_RECEIVING as i32);
    assert!(State::Decoding as i32 == GMCF_STATE_DECODING as i32 && State::Moving as i32 == GMCF_STATE_MOVING as i32);
    assert!(State::Verifying as i32 == GMCF_STATE_VERIFYING as i32 && State::Ready as i32 == GMCF_STATE_READY as i32);
    assert!(State::Trial as i32 == GMCF_STATE_TRIAL as i32 && State::Confirmed as i32 == GMCF_STATE_CONFIRMED as i32);
    assert!(State::RolledBack as i32 == GMCF_STATE_ROLLED_BACK as i32);
};
