//! Takes an update from the offer to the confirmed image.

use core::cell::RefCell;

use codec_core::Error as E;
use codec_core::container::digest::Hasher;
use codec_core::decoder::{Rebuild, Status};
use codec_core::limits::Profile;
use embedded_storage::nor_flash::NorFlash;

use crate::Error;
use crate::download::Download;
use crate::flash::{Layout, Operation, Partition, Writer, log};
use crate::inplace::mover::{Mover, Scratch, ScriptWriter};
use crate::inplace::script::Scripter;
use crate::link::{Info, Target};
use crate::manifest::{MANIFEST_LEN, Manifest, Mode, PayloadDigest};
use crate::payload::{Feed, Step};
use crate::record::{Image, Journal, RECORD_LEN, Record, State};

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Product number: updates for others are refused.
    pub product: u32,
    /// Largest profile that the device's decoder takes.
    pub profile: Profile,
    /// Boots in which a new image must be confirmed, at least 1. With two slots only.
    pub attempts: u8,
}

/// Bytes of lent buffer that records, pieces of the update and their heads take.
const fn entry_buffer<F: NorFlash>() -> usize {
    let record = log::entry_len::<F>(RECORD_LEN);
    let piece = log::entry_len::<F>(crate::download::piece_len::<F>());
    if record > piece { record as usize } else { piece as usize }
}

/// Bytes that a buffer lent to an [`Updater`] must have at least. More makes flash accesses fewer.
pub const fn least_buffer<F: NorFlash>() -> usize {
    let half = if F::WRITE_SIZE > 64 { F::WRITE_SIZE } else { 64 };
    // A directory entry of the script stands before its writer's buffer.
    entry_buffer::<F>() + 2 * half + 16usize.next_multiple_of(F::WRITE_SIZE)
}

/// The lent buffer, cut up.
struct Buffers<'b> {
    /// For entries of the logs.
    entry: &'b mut [u8],
    /// Pieces of the update that the decoder takes.
    input: &'b mut [u8],
    /// What it yields.
    output: &'b mut [u8],
}

impl<'b> Buffers<'b> {
    fn new<F: NorFlash>(buffer: &'b mut [u8]) -> Result<Self, Error> {
        let (requested, limit) = (least_buffer::<F>(), buffer.len());
        if limit < requested {
            let (requested, limit) = (requested as u32, limit as u32);
            return Err(Error::NoRoom { region: "buffer", requested, limit });
        }
        let (entry, rest) = buffer.split_at_mut(entry_buffer::<F>());
        let (input, output) = rest.split_at_mut((rest.len() - 16usize.next_multiple_of(F::WRITE_SIZE)) / 2);
        Ok(Self { entry, input, output })
    }
}

/// The device's side of an update. The decoder is lent for [`Updater::install`] only, so that its memory can serve
/// other purposes before and after.
pub struct Updater<'a, 'b, F> {
    flash: &'a RefCell<F>,
    layout: Layout,
    config: Config,
    buffers: Buffers<'b>,
    journal: Journal<'a, F>,
    download: Download<'a, F>,
    /// Of the update that is being received, bytes.
    payload_len: u32,
}

impl<'a, 'b, F: NorFlash> Updater<'a, 'b, F> {
    /// Takes up what the progress record says. `buffer` must have [`least_buffer`] bytes.
    ///
    /// # Errors
    /// [`Error::Layout`], [`Error::NoRoom`]; [`Error::NothingToBoot`] when the flash holds no record at all.
    pub fn open(flash: &'a RefCell<F>, layout: Layout, config: Config, buffer: &'b mut [u8]) -> Result<Self, Error> {
        let buffers = Buffers::new::<F>(buffer)?;
        let journal = Journal::open(flash, &layout)?.ok_or(Error::NothingToBoot)?;
        let mut download = Download::new(flash, &layout);
        let record = journal.record();
        if (State::Receiving..=State::Moving).contains(&record.state) {
            download.resume(record.session);
        }
        let mut updater = Self { flash, layout, config, buffers, journal, download, payload_len: 0 };
        updater.payload_len = updater.manifest().map_or(0, |(_, manifest)| manifest.payload_len);
        Ok(updater)
    }

    /// The progress record.
    pub fn record(&self) -> &Record {
        self.journal.record()
    }

    /// What the slot that runs holds.
    pub fn image(&self) -> Image {
        let record = self.record();
        let running = match record.state {
            State::Trial => record.target(&self.layout),
            _ => record.active,
        };
        record.images[usize::from(running & 1)]
    }

    fn change(&mut self, change: impl FnOnce(&mut Record)) -> Result<(), Error> {
        self.journal.change(self.buffers.entry, change)
    }

    fn wrong_state(&self) -> Error {
        Error::WrongState { state: self.record().state as u8 }
    }

    /// As [`Target::offer`].
    ///
    /// # Errors
    /// As [`Target::offer`].
    pub fn offer(&mut self, bytes: &[u8; MANIFEST_LEN]) -> Result<u32, Error> {
        let record = *self.record();
        let one_slot = self.layout.slots.is_one();
        // The state first: it costs nothing, and a busy device need not check signatures.
        let again = match record.state {
            State::Idle | State::Confirmed | State::RolledBack => false,
            State::Receiving | State::Decoding | State::Moving | State::Verifying | State::Ready => true,
            // There is nothing to go back to, so a better image may come before this one is confirmed.
            State::Trial if one_slot => false,
            State::Trial => return Err(self.wrong_state()),
        };
        let manifest = Manifest::authentic(bytes, &record.keys)?;
        if manifest.product != self.config.product {
            return Err(Error::WrongProduct { expected: self.config.product, found: manifest.product });
        }
        let floor = if record.state == State::Trial { self.image().version } else { record.floor };
        let least = floor.saturating_add(1);
        if manifest.version < least || floor == u32::MAX {
            return Err(Error::Downgrade { least, found: manifest.version });
        }
        if (manifest.mode == Mode::InPlace) != one_slot {
            let (found, limit) = (manifest.mode as u64, u64::from(one_slot));
            return Err(E::OutOfRange { field: "mode", found, limit }.into());
        }
        let slot = self.layout.slot(record.target(&self.layout));
        if manifest.image_len > slot.len || manifest.image_len == 0 {
            return Err(Error::NoRoom { region: "slot", requested: manifest.image_len, limit: slot.len });
        }
        let requested = manifest.payload_len.saturating_add(MANIFEST_LEN as u32);
        let limit = Download::<F>::capacity(self.layout.download.len);
        if requested > limit {
            return Err(Error::NoRoom { region: "download", requested, limit });
        }
        if again && record.session == manifest.session() {
            match record.state {
                State::Receiving if self.manifest().is_ok_and(|(stored, _)| stored == *bytes) => {
                    return Ok(self.download.received() - MANIFEST_LEN as u32);
                }
                State::Receiving => {}
                _ if record.images[usize::from(record.active ^ 1)] == manifest.describes() => {
                    return Ok(manifest.payload_len);
                }
                _ => {}
            }
        }
        // The one slot may be half replaced, or not have been tried.
        if again && one_slot && (record.state > State::Decoding || record.step > 0) {
            return Err(self.wrong_state());
        }
        let session = manifest.session();
        self.payload_len = manifest.payload_len;
        self.change(|record| {
            (record.state, record.session) = (State::Receiving, session);
            (record.progress, record.step, record.failure) = (0, 0, 0);
        })?;
        self.download.start(session);
        self.download.push(bytes, self.buffers.entry)?;
        self.download.flush(self.buffers.entry)?;
        Ok(0)
    }

    /// The manifest of the update that is being received, as stored.
    fn manifest(&self) -> Result<([u8; MANIFEST_LEN], Manifest), Error> {
        let mut bytes = [0; MANIFEST_LEN];
        let have = self.download.reader(0).read(&mut bytes)? as u64;
        if have < MANIFEST_LEN as u64 {
            return Err(E::Truncated { field: "manifest", need: MANIFEST_LEN as u64, have }.into());
        }
        let (manifest, _) = Manifest::parse(&bytes)?;
        Ok((bytes, manifest))
    }

    /// As [`Target::receive`].
    ///
    /// # Errors
    /// As [`Target::receive`].
    pub fn receive(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Error> {
        if self.record().state != State::Receiving {
            return Err(self.wrong_state());
        }
        let expected = self.download.received().saturating_sub(MANIFEST_LEN as u32);
        if offset != expected {
            return Err(Error::Gap { found: offset, expected });
        }
        let end = u32::try_from(bytes.len()).ok().and_then(|len| offset.checked_add(len));
        if end.is_none_or(|end| end > self.payload_len) {
            let limit = self.payload_len;
            return Err(Error::NoRoom { region: "payload", requested: end.unwrap_or(u32::MAX), limit });
        }
        let is_last = end == Some(self.payload_len);
        // Restarts may have used up the region: then the update starts anew.
        self.or_give_up(|updater| {
            updater.download.push(bytes, updater.buffers.entry)?;
            if is_last { updater.download.flush(updater.buffers.entry) } else { Ok(()) }
        })
    }

    /// Bytes of the payload that would survive a power cut.
    pub fn stored(&self) -> u32 {
        self.download.stored().saturating_sub(MANIFEST_LEN as u32)
    }

    /// As [`Target::install`]; `decoder` makes a decoder for an old image. With two slots, the new image is then
    /// [`State::Ready`]. With one, it is too, if the device may replace its blocks at once; a device that runs from the
    /// slot restarts instead as soon as the state is [`State::Moving`], and calls this from its boot loader: see
    /// [`Updater::prepare`].
    ///
    /// # Errors
    /// Why not. Unless an update in place has started to replace blocks, the image that runs is then as it was, and
    /// the update is forgotten when it can never succeed.
    pub fn install<D: Rebuild>(&mut self, decoder: impl Fn(Partition<'a, F>) -> D) -> Result<(), Error> {
        // Each turn makes a step: a decoding, a moving, a verifying. There are at most 255 of the first two.
        for _ in 0..=2 * u32::from(u8::MAX) + 1 {
            match self.record().state {
                State::Ready => return Ok(()),
                State::Moving => self.or_give_up(Self::move_blocks)?,
                State::Verifying => self.or_give_up(Self::verify)?,
                _ => self.prepare(&decoder)?,
            }
        }
        Err(self.wrong_state())
    }

    /// Does what can be done while the old image runs: with one slot, up to [`State::Moving`]; with two, all but reading
    /// the new image back. Does nothing when that is done.
    ///
    /// # Errors
    /// As [`Updater::install`].
    pub fn prepare<D: Rebuild>(&mut self, decoder: impl Fn(Partition<'a, F>) -> D) -> Result<(), Error> {
        match self.record().state {
            State::Receiving => self.or_give_up(|updater| {
                updater.begin()?;
                updater.decode(&decoder)
            }),
            State::Decoding => self.or_give_up(|updater| updater.decode(&decoder)),
            State::Moving | State::Verifying | State::Ready => Ok(()),
            _ => Err(self.wrong_state()),
        }
    }

    /// Does `work`, and forgets an update that can never succeed. A flash that cannot be written to may be next time,
    /// and bytes that lack may still come while they are being received; what cannot be read has rotted.
    #[inline(never)]
    fn or_give_up(&mut self, work: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        match work(self) {
            Ok(()) => Ok(()),
            Err(error) => self.give_up(error),
        }
    }

    /// What follows a failure. Not inlined, as what goes before and after a decoder is not: while one lies on the stack,
    /// little else may.
    #[inline(never)]
    fn give_up(&mut self, error: Error) -> Result<(), Error> {
        let result = Err(error);
        let record = *self.record();
        let again = match error {
            Error::Flash { operation, .. } => operation != Operation::Read,
            Error::Malformed(E::Truncated { .. }) => record.state == State::Receiving,
            _ => false,
        };
        if again {
            return result;
        }
        // Blocks of the one slot may have been replaced: then there is nothing to go back to.
        let image = record.images[usize::from(record.active)];
        let lost = self.layout.slots.is_one() && !holds(&self.old(record.active, image.len), &image).unwrap_or(false);
        self.change(|record| {
            record.failure = error.code();
            if lost {
                (record.state, record.images[0]) = (State::Idle, Image::NONE);
            } else {
                record.state = if record.floor > 0 { State::Confirmed } else { State::Idle };
            }
        })?;
        result
    }

    /// All has been received: is it what was signed?
    #[inline(never)]
    fn begin(&mut self) -> Result<(), Error> {
        // Should the flash have failed at the last bytes.
        self.download.flush(self.buffers.entry)?;
        let (bytes, _) = self.manifest()?;
        let manifest = Manifest::authentic(&bytes, &self.record().keys)?;
        let have = self.download.stored().saturating_sub(MANIFEST_LEN as u32);
        if have < manifest.payload_len {
            let (need, have) = (manifest.payload_len.into(), have.into());
            return Err(E::Truncated { field: "payload", need, have }.into());
        }
        let mut digest = PayloadDigest::default();
        self.download.scan(MANIFEST_LEN as u32, |bytes| digest.update(bytes))?;
        if digest.finish() != manifest.payload {
            return Err(Error::DigestMismatch { field: "payload" });
        }
        let image = manifest.describes();
        self.change(|record| {
            (record.state, record.progress, record.step) = (State::Decoding, 0, 0);
            // The slot that does not run is about to be erased; with one, the second image is what comes.
            record.images[usize::from(record.active ^ 1)] = image;
        })
    }

    fn decode<D: Rebuild>(&mut self, decoder: &impl Fn(Partition<'a, F>) -> D) -> Result<(), Error> {
        match self.layout.slots.scratch() {
            None => self.decode_to_slot(decoder),
            Some(scratch) => {
                let slot = Partition::new(self.flash, self.layout.slot(0));
                self.decode_to_script(slot, Partition::new(self.flash, scratch), decoder)
            }
        }
    }

    /// Rebuilds the new image in the slot that does not run, from the first block that is not recorded as done.
    #[inline(never)]
    fn decode_to_slot<D: Rebuild>(&mut self, decoder: &impl Fn(Partition<'a, F>) -> D) -> Result<(), Error> {
        let record = *self.record();
        let image = record.images[usize::from(record.active ^ 1)];
        let old = self.old(record.active, record.images[usize::from(record.active)].len);
        let target = Partition::new(self.flash, self.layout.slot(record.active ^ 1));
        let mut feed = Feed::new(self.download.reader(MANIFEST_LEN as u32), self.buffers.input);
        let mut writer = Writer::new(target, record.progress, self.buffers.output)?;
        let mut decoder = decoder(old);
        loop {
            let step = decoder.update(feed.rest()?, writer.room())?;
            feed.took(step.consumed);
            let left = image.len.saturating_sub(writer.len());
            if step.written as u64 > u64::from(left) {
                return Err(Error::NoRoom {
                    region: "image",
                    requested: image.len.saturating_add(1),
                    limit: image.len,
                });
            }
            writer.advance(step.written)?;
            self.journal.mark(writer.blocks(), self.buffers.entry)?;
            match step.status {
                Status::Done => break,
                Status::NeedInput if feed.is_empty()? => decoder.finish()?,
                _ => {}
            }
        }
        feed.ended()?;
        writer.finish()?;
        self.change(|record| (record.state, record.progress) = (State::Verifying, 0))
    }

    /// One step of an update in place: makes the script.
    #[inline(never)]
    fn decode_to_script<D: Rebuild>(
        &mut self,
        slot: Partition<'a, F>,
        scratch: Partition<'a, F>,
        decoder: &impl Fn(Partition<'a, F>) -> D,
    ) -> Result<(), Error> {
        let Step { change, container } = self.step()?;
        let old_len = change.old_len.min(slot.len());
        if change.new_len > slot.len() {
            return Err(Error::NoRoom { region: "slot", requested: change.new_len, limit: slot.len() });
        }
        let scratch = Scratch::new(scratch, &change.plan)?;
        let mut scripter = Scripter::new(&change.plan, old_len, change.new_len);
        let mut sink = ScriptWriter::new(scratch, &change, self.buffers.output)?;
        let mut feed = Feed::new(self.download.reader(container), self.buffers.input);
        let mut source = slot.part(0, old_len);
        let mut decoder = decoder(source);
        loop {
            let mut unit = [0; codec_core::predict::MAX_STEP];
            let (step, shift) = decoder.trace(feed.rest()?, &mut unit)?;
            feed.took(step.consumed);
            scripter.take(&mut source, &unit[..step.written], shift, &mut sink)?;
            match step.status {
                Status::Done => break,
                Status::NeedInput if feed.is_empty()? => decoder.finish()?,
                _ => {}
            }
        }
        if change.is_last {
            feed.ended()?;
        }
        sink.finish()?;
        if scripter.len() != change.plan.script_len {
            let (found, limit) = (scripter.len().into(), change.plan.script_len.into());
            return Err(E::OutOfRange { field: "script_len", found, limit }.into());
        }
        self.change(|record| (record.state, record.progress) = (State::Moving, 0))
    }

    /// The old image, or nothing where there is none.
    fn old(&self, slot: u8, len: u32) -> Partition<'a, F> {
        Partition::new(self.flash, self.layout.slot(slot)).part(0, len)
    }

    /// The step of an update in place that comes next.
    fn step(&self) -> Result<Step, Error> {
        Step::find(&self.download, self.record().step)
    }

    /// Replaces the blocks that are not recorded as done, and goes on to the next step or to reading back.
    #[inline(never)]
    fn move_blocks(&mut self) -> Result<(), Error> {
        let Some(scratch) = self.layout.slots.scratch() else { return Err(self.wrong_state()) };
        let scratch = Partition::new(self.flash, scratch);
        // The download has the original, should the copy have rotted.
        let change = match Scratch::change(scratch) {
            Ok(change) => change,
            Err(_) => self.step()?.change,
        };
        let slot = Partition::new(self.flash, self.layout.slot(0));
        let scratch = Scratch::new(scratch, &change.plan)?;
        let done = self.record().progress;
        let (journal, entry) = (&mut self.journal, &mut *self.buffers.entry);
        Mover::new(slot, scratch, &change).run(done, self.buffers.output, |done| journal.mark(done, entry))?;
        self.change(|record| {
            if change.is_last {
                record.state = State::Verifying;
            } else {
                (record.state, record.step) = (State::Decoding, record.step + 1);
            }
            record.progress = 0;
        })
    }

    /// Reads the new image back.
    #[inline(never)]
    fn verify(&mut self) -> Result<(), Error> {
        let record = *self.record();
        let image = record.images[usize::from(record.active ^ 1)];
        let slot = Partition::new(self.flash, self.layout.slot(record.target(&self.layout)));
        if !holds(&slot, &image)? {
            return Err(Error::DigestMismatch { field: "image" });
        }
        let one_slot = self.layout.slots.is_one();
        self.change(|record| {
            record.state = State::Ready;
            if one_slot {
                record.images[0] = image;
            }
        })
    }

    /// As [`Target::confirm`].
    ///
    /// # Errors
    /// As [`Target::confirm`].
    pub fn confirm(&mut self) -> Result<(), Error> {
        match self.record().state {
            State::Confirmed => Ok(()),
            State::Trial => {
                let layout = self.layout;
                self.change(|record| {
                    record.state = State::Confirmed;
                    record.active = record.target(&layout);
                    record.floor = record.floor.max(record.images[usize::from(record.active)].version);
                })
            }
            _ => Err(self.wrong_state()),
        }
    }

    /// As [`Target::rotate`].
    ///
    /// # Errors
    /// As [`Target::rotate`].
    pub fn rotate(&mut self, statement: &[u8]) -> Result<(), Error> {
        let record = self.record();
        let rotation = crate::keys::Rotation::parse(statement)?;
        if rotation.sequence == record.keys.sequence && record.keys.slots[usize::from(rotation.slot)] == rotation.key {
            return Ok(());
        }
        let keys = record.keys.rotated(statement, self.config.product)?;
        self.change(|record| record.keys = keys)
    }

    /// What the device says of itself.
    pub fn info(&self) -> Info {
        let (record, image) = (self.record(), self.image());
        Info {
            product: self.config.product,
            version: image.version,
            state: record.state as u8,
            profile: self.config.profile as u8,
            image: image.id.old().0,
            received: match record.state {
                State::Receiving => self.download.received().saturating_sub(MANIFEST_LEN as u32),
                _ => 0,
            },
        }
    }
}

/// Whether `slot` holds `image`.
///
/// # Errors
/// [`Error::Flash`].
pub(crate) fn holds<F: NorFlash>(slot: &Partition<'_, F>, image: &Image) -> Result<bool, Error> {
    if image.len == 0 || image.len > slot.len() {
        return Ok(false);
    }
    let mut digest = Hasher::new();
    slot.scan(0, image.len, |bytes| digest.update(bytes))?;
    Ok(digest.finish() == image.id)
}

/// An [`Updater`] with what it needs to serve the link: a decoder when it installs, and a way to restart.
pub struct Agent<'a, 'b, F, I, R> {
    /// The updater.
    pub updater: Updater<'a, 'b, F>,
    /// Installs: [`Updater::install`] or [`Updater::prepare`] with the device's decoder.
    pub install: I,
    /// Restarts the device.
    pub reboot: R,
}

impl<'a, 'b, F, I, R> Target for Agent<'a, 'b, F, I, R>
where
    F: NorFlash,
    I: FnMut(&mut Updater<'a, 'b, F>) -> Result<(), Error>,
    R: FnMut(),
{
    fn info(&mut self) -> Info {
        self.updater.info()
    }

    fn offer(&mut self, manifest: &[u8; MANIFEST_LEN]) -> Result<u32, Error> {
        self.updater.offer(manifest)
    }

    fn receive(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Error> {
        self.updater.receive(offset, bytes)
    }

    fn install(&mut self) -> Result<(), Error> {
        (self.install)(&mut self.updater)
    }

    fn confirm(&mut self) -> Result<(), Error> {
        self.updater.confirm()
    }

    fn rotate(&mut self, statement: &[u8]) -> Result<(), Error> {
        self.updater.rotate(statement)
    }

    fn reboot(&mut self) {
        (self.reboot)();
    }
}
