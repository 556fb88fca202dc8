//! What a device remembers of its updates: the progress record, and the journal that keeps it.

use core::cell::RefCell;

use codec_core::container::digest::{ID_LEN, Id};
use embedded_storage::nor_flash::NorFlash;

use crate::Error;
use crate::flash::log::{self, Entry};
use crate::flash::{Layout, Partition};
use crate::keys::{KEY_LEN, Keys};
use crate::word;

/// What the device is about. A step is done once, unless it is recorded as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// Nothing: the first image runs.
    Idle = 0,
    /// An update was accepted and arrives in the download region.
    Receiving = 1,
    /// The update is complete and authentic; it is being rebuilt: in the other slot, or in the scratch area.
    Decoding = 2,
    /// One slot only: blocks are being replaced in the planned order. The image cannot run before the last one.
    Moving = 3,
    /// All is written; the new image is being read back.
    Verifying = 4,
    /// The new image is whole and boots next.
    Ready = 5,
    /// The new image was booted and has not been confirmed.
    Trial = 6,
    /// The new image was confirmed: it is the one that boots.
    Confirmed = 7,
    /// The new image was not confirmed in its attempts: the one before boots again.
    RolledBack = 8,
}

impl State {
    /// All states, by number.
    pub const ALL: [Self; 9] = [
        Self::Idle,
        Self::Receiving,
        Self::Decoding,
        Self::Moving,
        Self::Verifying,
        Self::Ready,
        Self::Trial,
        Self::Confirmed,
        Self::RolledBack,
    ];

    /// The state of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Name in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Receiving => "receiving",
            Self::Decoding => "decoding",
            Self::Moving => "moving",
            Self::Verifying => "verifying",
            Self::Ready => "ready",
            Self::Trial => "trial boot",
            Self::Confirmed => "confirmed",
            Self::RolledBack => "rolled back",
        }
    }
}

/// An image in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// Length, bytes.
    pub len: u32,
    /// Version, as signed.
    pub version: u32,
    /// Identity.
    pub id: Id,
}

impl Image {
    const BYTES: usize = 8 + ID_LEN;

    /// No image.
    pub const NONE: Self = Self { len: 0, version: 0, id: Id([0; ID_LEN]) };
}

/// The progress record.
///
/// | offset | bytes | field | meaning | limit |
/// |---|---|---|---|---|
/// | 0 | 1 | `format` | 1 | 1 |
/// | 1 | 1 | `state` | number of the [`State`] | 8 |
/// | 2 | 1 | `active` | slot of the image that runs unless `state` says otherwise | 1 |
/// | 3 | 1 | `attempts` | boots that a trial has left | |
/// | 4 | 4 | `progress` | blocks of `state` that are done when the record is written; marks go on from there | |
/// | 8 | 1 | `step` | step of an update in place | |
/// | 9 | 1 | `failure` | [`Error::code`] of what ended the last update; 0: none | |
/// | 10 | 2 | | zero | 0 |
/// | 12 | 4 | `floor` | greatest version that was ever confirmed | |
/// | 16 | 4 | `session` | of the download: the first bytes of the payload's digest | |
/// | 20 | 4 | `key_sequence` | number of the last change of a key | |
/// | 24 | 64 | `keys` | two Ed25519 public keys; all zero: none | |
/// | 88 | 48 | `images` | of each slot: length, version, identity; length 0: none | |
///
/// Integers are little-endian. With one slot, both images describe it: the first what it holds, the second what it is
/// becoming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What the device is about.
    pub state: State,
    /// Slot that runs.
    pub active: u8,
    /// Boots that a trial has left.
    pub attempts: u8,
    /// Blocks that are done.
    pub progress: u32,
    /// Step of an update in place.
    pub step: u8,
    /// What ended the last update.
    pub failure: u8,
    /// Greatest version that was ever confirmed.
    pub floor: u32,
    /// Session of the download.
    pub session: u32,
    /// The two keys.
    pub keys: Keys,
    /// What the slots hold.
    pub images: [Image; 2],
}

/// Bytes of a [`Record`].
pub const RECORD_LEN: usize = 136;

mod field {
    use core::ops::Range;

    pub const FORMAT: usize = 0;
    pub const STATE: usize = 1;
    pub const ACTIVE: usize = 2;
    pub const ATTEMPTS: usize = 3;
    pub const PROGRESS: Range<usize> = 4..8;
    pub const STEP: usize = 8;
    pub const FAILURE: usize = 9;
    pub const ZERO: Range<usize> = 10..12;
    pub const FLOOR: Range<usize> = 12..16;
    pub const SESSION: Range<usize> = 16..20;
    pub const KEY_SEQUENCE: Range<usize> = 20..24;
    pub const KEYS: Range<usize> = 24..88;
    pub const IMAGES: Range<usize> = 88..super::RECORD_LEN;
}

const FORMAT: u8 = 1;

impl Record {
    /// A device as it leaves the factory: the first image in slot 0, the keys that it trusts.
    pub fn first(image: Image, keys: Keys) -> Self {
        Self {
            state: State::Idle,
            active: 0,
            attempts: 0,
            progress: 0,
            step: 0,
            failure: 0,
            floor: image.version,
            session: 0,
            keys,
            images: [image, Image::NONE],
        }
    }

    /// The bytes of the record.
    pub fn emit(&self) -> [u8; RECORD_LEN] {
        let mut out = [0; RECORD_LEN];
        out[field::FORMAT] = FORMAT;
        out[field::STATE] = self.state as u8;
        out[field::ACTIVE] = self.active;
        out[field::ATTEMPTS] = self.attempts;
        out[field::PROGRESS].copy_from_slice(&self.progress.to_le_bytes());
        out[field::STEP] = self.step;
        out[field::FAILURE] = self.failure;
        out[field::FLOOR].copy_from_slice(&self.floor.to_le_bytes());
        out[field::SESSION].copy_from_slice(&self.session.to_le_bytes());
        out[field::KEY_SEQUENCE].copy_from_slice(&self.keys.sequence.to_le_bytes());
        for (place, key) in out[field::KEYS].chunks_exact_mut(KEY_LEN).zip(&self.keys.slots) {
            place.copy_from_slice(key);
        }
        for (place, image) in out[field::IMAGES].chunks_exact_mut(Image::BYTES).zip(&self.images) {
            place[..4].copy_from_slice(&image.len.to_le_bytes());
            place[4..8].copy_from_slice(&image.version.to_le_bytes());
            place[8..].copy_from_slice(&image.id.0);
        }
        out
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`codec_core::Error::OutOfRange`] for a field outside its limit.
    pub fn parse(bytes: &[u8; RECORD_LEN]) -> Result<Self, Error> {
        let check = |field, found: u32, limit: u32| {
            if found <= limit {
                return Ok(());
            }
            Err(codec_core::Error::OutOfRange { field, found: found.into(), limit: limit.into() })
        };
        if bytes[field::FORMAT] != FORMAT {
            let found = bytes[field::FORMAT].into();
            return Err(codec_core::Error::OutOfRange { field: "format", found, limit: FORMAT.into() }.into());
        }
        check("state", bytes[field::STATE].into(), State::RolledBack as u32)?;
        check("active", bytes[field::ACTIVE].into(), 1)?;
        check("reserved", word(&bytes[field::ZERO]), 0)?;
        let mut keys = Keys::none();
        keys.sequence = word(&bytes[field::KEY_SEQUENCE]);
        for (key, place) in keys.slots.iter_mut().zip(bytes[field::KEYS].chunks_exact(KEY_LEN)) {
            key.copy_from_slice(place);
        }
        let mut images = [Image::NONE; 2];
        for (image, place) in images.iter_mut().zip(bytes[field::IMAGES].chunks_exact(Image::BYTES)) {
            image.len = word(&place[..4]);
            image.version = word(&place[4..8]);
            image.id.0.copy_from_slice(&place[8..]);
        }
        Ok(Self {
            state: State::from_number(bytes[field::STATE]).unwrap_or(State::Idle),
            active: bytes[field::ACTIVE],
            attempts: bytes[field::ATTEMPTS],
            progress: word(&bytes[field::PROGRESS]),
            step: bytes[field::STEP],
            failure: bytes[field::FAILURE],
            floor: word(&bytes[field::FLOOR]),
            session: word(&bytes[field::SESSION]),
            keys,
            images,
        })
    }

    /// Whether blocks of the one slot may have been replaced, so that the update must be gone on with before anything
    /// runs.
    pub fn must_resume(&self, layout: &Layout) -> bool {
        let begun = match self.state {
            State::Moving | State::Verifying => true,
            State::Decoding => self.step > 0,
            _ => false,
        };
        begun && layout.slots.is_one()
    }

    /// Slot that the new image of an update goes to.
    pub fn target(&self, layout: &Layout) -> u8 {
        layout.slots.target(self.active)
    }
}

/// Entries of the journal, by their `kind`.
mod kind {
    /// A record. `session` is its number, counted up for ever.
    pub const RECORD: u8 = 1;
    /// Progress after the record whose number is `session`: `number` blocks are done.
    pub const MARK: u8 = 2;
}

/// Keeps the latest record in the two halves of the state region.
///
/// Entries are appended to one half. When it is full, the other one is erased and starts with the record; so one half
/// always holds a whole record, whenever the power fails. Each record is written twice: one rotten bit costs nothing.
#[derive(Debug)]
pub struct Journal<'a, F> {
    halves: [Partition<'a, F>; 2],
    half: usize,
    at: u32,
    /// Number of `record`.
    number: u32,
    /// Greatest number that was used, whether its record came to be or not.
    used: u32,
    record: Record,
}

impl<'a, F: NorFlash> Journal<'a, F> {
    fn halves(flash: &'a RefCell<F>, layout: &Layout) -> [Partition<'a, F>; 2] {
        let state = Partition::new(flash, layout.state);
        let half = state.len() / 2;
        [state.part(0, half), state.part(half, half)]
    }

    /// Finds the latest record; `None` when there is none at all.
    ///
    /// # Errors
    /// [`Error::Layout`] when the layout does not fit the flash.
    pub fn open(flash: &'a RefCell<F>, layout: &Layout) -> Result<Option<Self>, Error> {
        if let Ok(flash) = flash.try_borrow() {
            layout.check(&*flash)?;
        }
        let halves = Self::halves(flash, layout);
        let mut latest: Option<(usize, u32, Record)> = None;
        // A record may have rotted away and left its marks: they must not count for the next one.
        let mut used = 0;
        for (index, half) in halves.iter().enumerate() {
            let mut at = 0;
            while let Some(found) = log::next(half, at) {
                at = log::after::<F>(&found);
                let entry = found.entry;
                used = used.max(entry.session);
                match (entry.kind, &mut latest) {
                    (kind::RECORD, latest) if usize::from(entry.len) == RECORD_LEN => {
                        let mut bytes = [0; RECORD_LEN];
                        if half.read(found.payload, &mut bytes).is_err() {
                            continue;
                        }
                        let Ok(record) = Record::parse(&bytes) else { continue };
                        if latest.as_ref().is_none_or(|&(_, number, _)| entry.session > number) {
                            *latest = Some((index, entry.session, record));
                        }
                    }
                    (kind::MARK, Some((_, number, record))) if entry.session == *number => {
                        record.progress = record.progress.max(entry.number);
                    }
                    _ => {}
                }
            }
        }
        Ok(latest.map(|(half, number, record)| {
            let at = log::end(&halves[half]);
            Self { halves, half, at, number, used, record }
        }))
    }

    /// Writes the first record onto a flash, whatever it holds. For factories and tests.
    ///
    /// # Errors
    /// [`Error::Layout`], [`Error::Flash`].
    pub fn format(flash: &'a RefCell<F>, layout: &Layout, first: Record, buffer: &mut [u8]) -> Result<Self, Error> {
        if let Ok(flash) = flash.try_borrow() {
            layout.check(&*flash)?;
        }
        let halves = Self::halves(flash, layout);
        let mut journal = Self { halves, half: 0, at: u32::MAX, number: 0, used: 0, record: first };
        // Into both halves, under the same number; each is erased as it would be when the other one is full.
        for _ in 0..2 {
            (journal.at, journal.used) = (u32::MAX, 0);
            journal.set(first, buffer)?;
        }
        Ok(journal)
    }

    /// The latest record, with the marks after it.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Records that `change` has come about.
    ///
    /// # Errors
    /// [`Error::Flash`]; the record is then as it was.
    pub fn change(&mut self, buffer: &mut [u8], change: impl FnOnce(&mut Record)) -> Result<(), Error> {
        let mut record = self.record;
        change(&mut record);
        if record == self.record {
            return Ok(());
        }
        self.set(record, buffer)
    }

    fn set(&mut self, record: Record, buffer: &mut [u8]) -> Result<(), Error> {
        let number = self.used.checked_add(1).ok_or(Error::NoRoom { region: "state", requested: 1, limit: 0 })?;
        self.used = number;
        let bytes = record.emit();
        if !self.append_twice(number, &bytes, buffer)? {
            let other = self.half ^ 1;
            let half = self.halves[other];
            half.erase(0, half.len())?;
            (self.half, self.at) = (other, 0);
            if !self.append_twice(number, &bytes, buffer)? {
                return Err(Error::Flash { operation: crate::flash::Operation::Write, offset: 0, len: half.len() });
            }
        }
        (self.number, self.record) = (number, record);
        Ok(())
    }

    /// Whether at least one of the two copies has found room.
    fn append_twice(&mut self, number: u32, bytes: &[u8; RECORD_LEN], buffer: &mut [u8]) -> Result<bool, Error> {
        let entry = Entry { session: number, number: 0, kind: kind::RECORD, len: RECORD_LEN as u8 };
        let half = &self.halves[self.half];
        // Never the first copy alone: the second would have to be missed when the sector is full.
        if self.at.saturating_add(2 * log::entry_len::<F>(RECORD_LEN)) > half.len() {
            return Ok(false);
        }
        let first = log::append(half, &mut self.at, entry, &[bytes], buffer)?;
        let second = log::append(half, &mut self.at, entry, &[bytes], buffer)?;
        Ok(first || second)
    }

    /// Records that `progress` blocks of the state are done.
    ///
    /// # Errors
    /// [`Error::Flash`].
    pub fn mark(&mut self, progress: u32, buffer: &mut [u8]) -> Result<(), Error> {
        if progress <= self.record.progress {
            return Ok(());
        }
        let entry = Entry { session: self.number, number: progress, kind: kind::MARK, len: 0 };
        if log::append(&self.halves[self.half], &mut self.at, entry, &[], buffer)? {
            self.record.progress = progress;
            return Ok(());
        }
        self.change(buffer, |record| record.progress = progress)
    }
}
