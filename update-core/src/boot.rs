//! Picks the image that runs.

use core::cell::RefCell;

use embedded_storage::nor_flash::NorFlash;

use crate::Error;
use crate::flash::{Layout, Partition};
use crate::record::{Image, Journal, Record, State};
use crate::updater::holds;

/// What a boot loader is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// Run the image in this slot. It has been read and has the digest that was signed.
    Run {
        /// Slot, 0 or 1.
        slot: u8,
        /// The image.
        image: Image,
        /// Whether it must be confirmed, or else is rolled back.
        trial: bool,
    },
    /// One slot only: call [`Updater::install`](crate::updater::Updater::install), then boot again. Blocks are being
    /// replaced, and neither image is whole.
    Resume,
    /// No slot holds a whole image. Only an update that needs no old image helps.
    Wait,
}

/// Picks what runs, and records a trial before it starts. A new image has `attempts` boots to be confirmed in; where the
/// record cannot be written, it is not tried while there is another one. `buffer` must hold a record:
/// [`crate::updater::least_buffer`] bytes do.
///
/// # Errors
/// [`Error::Layout`]; [`Error::NoRoom`] when `buffer` is too small; [`Error::NothingToBoot`] when there is no record.
pub fn boot<F: NorFlash>(flash: &RefCell<F>, layout: &Layout, attempts: u8, buffer: &mut [u8]) -> Result<Boot, Error> {
    let mut journal = Journal::open(flash, layout)?.ok_or(Error::NothingToBoot)?;
    let record = *journal.record();
    // Whether the change is on the flash: one that takes no more writes must not keep a whole image from running.
    let mut record_change = |change: &dyn Fn(&mut Record)| match journal.change(buffer, change) {
        Err(Error::Flash { .. }) => Ok(false),
        other => other.map(|()| true),
    };
    let one_slot = layout.slots.is_one();
    let whole = |slot: u8| {
        let image = record.images[usize::from(slot & 1)];
        // A slot that cannot be read is as good as a rotten one.
        holds(&Partition::new(flash, layout.slot(slot)), &image).unwrap_or(false)
    };
    match record.state {
        _ if record.must_resume(layout) => return Ok(Boot::Resume),
        State::Ready | State::Trial if one_slot => {
            if whole(0) {
                record_change(&|record| record.state = State::Trial)?;
                return Ok(Boot::Run { slot: 0, image: record.images[0], trial: true });
            }
            record_change(&|record| (record.state, record.images[0]) = (State::Idle, Image::NONE))?;
            return Ok(Boot::Wait);
        }
        State::Ready | State::Trial => {
            let slot = record.active ^ 1;
            let left = if record.state == State::Ready { attempts.max(1) } else { record.attempts };
            let tried = |record: &mut Record| (record.state, record.attempts) = (State::Trial, left - 1);
            if left > 0 && whole(slot) && record_change(&tried)? {
                return Ok(Boot::Run { slot, image: record.images[usize::from(slot)], trial: true });
            }
            record_change(&|record| (record.state, record.attempts) = (State::RolledBack, 0))?;
        }
        _ => {}
    }
    if whole(record.active) {
        return Ok(Boot::Run { slot: record.active, image: record.images[usize::from(record.active)], trial: false });
    }
    let other = record.active ^ 1;
    if !one_slot && whole(other) {
        record_change(&|record| (record.state, record.active) = (State::RolledBack, other))?;
        return Ok(Boot::Run { slot: other, image: record.images[usize::from(other)], trial: false });
    }
    Ok(Boot::Wait)
}
