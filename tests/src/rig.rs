//! A device with a flash that fails: everything of an update but the link.

use std::cell::RefCell;
use std::fmt;

use codec_core::limits::{Profile, Small};
use embedded_storage::nor_flash::NorFlash;
use host_trainer::release::in_place::Room;
use host_trainer::release::keys::SecretKey;
use host_trainer::release::{Release, Settings, release};
use update_core::Error;
use update_core::boot::{Boot, boot};
use update_core::flash::{Layout, Operation};
use update_core::keys::Keys;
use update_core::manifest::{MANIFEST_LEN, Manifest, PayloadDigest};
use update_core::record::{Image, Journal, Record, State};
use update_core::updater::{Config, Updater};

use crate::flash::SimFlash;

/// Product of all devices here.
pub const PRODUCT: u32 = 0x1d_c0de;
/// Bytes lent to an updater.
pub const BUFFER: usize = 2048;
/// Boots of a trial.
pub const ATTEMPTS: u8 = 3;
/// Bytes in a message of the link.
const CHUNK: usize = 200;

/// The key in slot 0 of all devices, and in slot 1.
pub fn key(slot: u8) -> SecretKey {
    SecretKey::from_seed([0x51 + slot; 32])
}

/// What a device is.
pub fn config() -> Config {
    Config { product: PRODUCT, profile: Profile::Small, attempts: ATTEMPTS }
}

/// A device as it leaves the factory with version 1 of `image`.
pub fn factory<const W: usize, const E: usize, const R: usize>(layout: Layout, image: &[u8]) -> SimFlash<W, E, R> {
    let len = layout.regions().iter().map(|(_, region)| region.offset + region.len).max().unwrap_or(0);
    let mut flash = SimFlash::new(len as usize);
    flash.lay_down(layout.slot(0).offset as usize, image);
    let first = Image { len: image.len() as u32, version: 1, id: codec_core::container::digest::Id::of(image) };
    let keys = Keys { sequence: 0, slots: [key(0).public(), key(1).public()] };
    let flash = RefCell::new(flash);
    Journal::format(&flash, &layout, Record::first(first, keys), &mut [0; BUFFER]).expect("a new flash takes a record");
    let mut flash = flash.into_inner();
    (flash.operations, flash.wear) = (0, (0, 0));
    flash
}

/// The update to version `version`, signed with key 0.
///
/// # Panics
/// When it cannot be made.
pub fn update(new: &[u8], old: Option<&[u8]>, version: u32, in_place: Option<Room>) -> Release {
    let key = key(0);
    let profile = Profile::Small;
    let settings = Settings { product: PRODUCT, version, profile, key: (&key, 0), in_place, progress: None };
    release(new, old, &settings).expect("an update can be made")
}

/// `payload` as an update with what else `manifest` says, signed with the key of its slot.
pub fn signed(manifest: Manifest, payload: &[u8]) -> Release {
    let mut digest = PayloadDigest::default();
    digest.update(payload);
    let manifest = Manifest { payload_len: payload.len() as u32, payload: digest.finish(), ..manifest };
    let head = manifest.emit(&key(manifest.key).sign(&manifest.message()));
    Release { bytes: [&head[..], payload].concat(), manifest, steps: Vec::new() }
}

/// An update's manifest, as sent, and its payload.
///
/// # Panics
/// When it has none.
pub fn cut_up(update: &Release) -> (&[u8; MANIFEST_LEN], &[u8]) {
    update.bytes.split_first_chunk().expect("an update has a manifest")
}

/// What a boot loader found.
#[derive(Clone, PartialEq, Eq)]
pub struct Booted {
    /// Version and content of the image that runs; `None` when none does.
    pub image: Option<(u32, Vec<u8>)>,
    /// Whether it is on trial.
    pub trial: bool,
}

impl fmt::Debug for Booted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.image {
            Some((version, image)) => write!(f, "version {version}, {} bytes, trial: {}", image.len(), self.trial),
            None => f.write_str("nothing"),
        }
    }
}

/// Starts the device, and goes on with replacing blocks where that was interrupted.
///
/// # Errors
/// Those of the flash.
pub fn start<const W: usize, const E: usize, const R: usize>(
    flash: &RefCell<SimFlash<W, E, R>>,
    layout: &Layout,
) -> Result<Booted, Error> {
    let mut buffer = [0; BUFFER];
    for _ in 0..2 {
        match boot(flash, layout, ATTEMPTS, &mut buffer)? {
            Boot::Run { slot, image, trial } => {
                let content = flash.borrow().content(layout.slot(slot).offset, image.len as usize).to_vec();
                return Ok(Booted { image: Some((image.version, content)), trial });
            }
            Boot::Wait => break,
            Boot::Resume => {
                let mut updater = Updater::open(flash, *layout, config(), &mut buffer)?;
                // What cannot be finished, or read, leaves a device that waits: the next turn tells.
                if let Err(error) = updater.install(Small::new)
                    && matches!(error, Error::Flash { operation: Operation::Write | Operation::Erase, .. })
                {
                    return Err(error);
                }
            }
        }
    }
    Ok(Booted { image: None, trial: false })
}

/// Offers `update` and sends what the device wants of it.
///
/// # Errors
/// Those of the updater.
pub fn send<F: NorFlash>(updater: &mut Updater<'_, '_, F>, update: &Release) -> Result<(), Error> {
    let (manifest, payload) = cut_up(update);
    let mut at = updater.offer(manifest)? as usize;
    while at < payload.len() {
        let piece = &payload[at..payload.len().min(at + CHUNK)];
        updater.receive(at as u32, piece)?;
        at += piece.len();
    }
    Ok(())
}

/// Brings the device to the image of `update`, from whatever it is at: offer, pieces, installation, boot, confirmation.
///
/// # Errors
/// Those of the updater.
pub fn drive<const W: usize, const E: usize, const R: usize>(
    flash: &RefCell<SimFlash<W, E, R>>,
    layout: &Layout,
    update: &Release,
) -> Result<Booted, Error> {
    let mut buffer = [0; BUFFER];
    let booted = start(flash, layout)?;
    let there = booted.image.as_ref().is_some_and(|(version, _)| *version == update.manifest.version);
    let mut updater = Updater::open(flash, *layout, config(), &mut buffer)?;
    if there {
        if updater.record().state == State::Trial {
            updater.confirm()?;
        }
        return Ok(booted);
    }
    send(&mut updater, update)?;
    if layout.slots.is_one() {
        // As a device that runs from its slot: the blocks are replaced after the restart.
        updater.prepare(Small::new)?;
    } else {
        updater.install(Small::new)?;
    }
    let booted = start(flash, layout)?;
    Updater::open(flash, *layout, config(), &mut buffer)?.confirm()?;
    Ok(booted)
}
