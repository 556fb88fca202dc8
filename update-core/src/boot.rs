//! Picks the image that runs.

use core::cell::RefCell;

use embedded_storage::nor_flash::NorFlash;

use crate::Error;
use crate::flash::{Layout, Partition, Slots};
use crate::record::{Image, Journal, State};
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

/// Picks what runs, and records a trial before it starts. A new image has `attempts` boots to be confirmed in.
/// `buffer` must hold a record: [`crate::updater::least_buffer`] bytes do.
///
/// # Errors
/// [`Error::Layout`]; [`Error::Flash`] when the record cannot be written; [`Error::NothingToBoot`] when there is none.
pub fn boot<F: NorFlash>(flash: &RefCell<F>, layout: &Layout, attempts: u8, buffer: &mut [u8]) -> Result<Boot, Error> {
    let mut journal = Journal::open(flash, layout)?.ok_or(Error::NothingToBoot)?;
    let record = *journal.record();
    let two = matches!(layout.slots, Slots::Two(_));
    let whole = |slot: u8| {
        let image = record.images[usize::from(slot & 1)];
        // A slot that cannot be read is as good as a rotten one.
        holds(&Partition::new(flash, layout.slot(slot)), &image).unwrap_or(false)
    };
    match record.state {
        State::Moving | State::Verifying if !two => return Ok(Boot::Resume),
        State::Decoding if !two && record.step > 0 => return Ok(Boot::Resume),
        State::Ready | State::Trial if !two => {
            if whole(0) {
                journal.change(buffer, |record| record.state = State::Trial)?;
                return Ok(Boot::Run { slot: 0, image: record.images[0], trial: true });
            }
            journal.change(buffer, |record| (record.state, record.images[0]) = (State::Idle, Image::NONE))?;
            return Ok(Boot::Wait);
        }
        State::Ready | State::Trial => {
            let slot = record.active ^ 1;
            let left = if record.state == State::Ready { attempts.max(1) } else { record.attempts };
            if left > 0 && whole(slot) {
                journal.change(buffer, |record| (record.state, record.attempts) = (State::Trial, left - 1))?;
                return Ok(Boot::Run { slot, image: record.images[usize::from(slot)], trial: true });
            }
            journal.change(buffer, |record| (record.state, record.attempts) = (State::RolledBack, 0))?;
        }
        _ => {}
    }
    if whole(record.active) {
        return Ok(Boot::Run { slot: record.active, image: record.images[usize::from(record.active)], trial: false });
    }
    let other = record.active ^ 1;
    if two && whole(other) {
        journal.change(buffer, |record| (record.state, record.active) = (State::RolledBack, other))?;
        return Ok(Boot::Run { slot: other, image: record.images[usize::from(other)], trial: false });
    }
    Ok(Boot::Wait)
}
