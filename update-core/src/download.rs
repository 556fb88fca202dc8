//! The update as it arrives: a log of pieces in the download region.
//!
//! A piece counts when it is on the flash, so a device that lost power goes on from there. Sectors are erased when the
//! log reaches them.

use core::cell::RefCell;

use embedded_storage::nor_flash::NorFlash;

use crate::Error;
use crate::flash::log::{self, Entry, MAX_PAYLOAD};
use crate::flash::{Layout, Partition};
use crate::manifest::MANIFEST_LEN;

/// Bytes of a sector at least: several entries.
const LEAST_SECTOR: usize = 1024;
/// Bytes of an entry in the log, where the flash's write size allows.
const USUAL_ENTRY: usize = 128;

/// `kind` of the log's entries. `number` is the offset of the piece in the update, manifest included.
const PIECE: u8 = 3;

/// The download region. Offsets count from the start of the manifest.
#[derive(Debug)]
pub struct Download<'a, F> {
    region: Partition<'a, F>,
    session: u32,
    /// Sector that is written to.
    sector: u32,
    /// Place in it where the next entry goes.
    at: u32,
    /// Bytes on the flash.
    stored: u32,
    /// Bytes that follow them and do not fill an entry yet.
    pending: heapless::Vec<u8, MAX_PAYLOAD>,
}

const fn sector_len<F: NorFlash>() -> u32 {
    LEAST_SECTOR.next_multiple_of(F::ERASE_SIZE) as u32
}

/// Bytes of the update in a full entry.
pub(crate) const fn piece_len<F: NorFlash>() -> usize {
    let unit = log::unit::<F>() as usize;
    let payload = USUAL_ENTRY.next_multiple_of(unit) - log::HEAD;
    if payload < MAX_PAYLOAD { payload } else { MAX_PAYLOAD }
}

impl<'a, F: NorFlash> Download<'a, F> {
    /// Bytes of an update that a region of `len` bytes holds when the power never fails.
    pub const fn capacity(len: u32) -> u32 {
        let sector = sector_len::<F>();
        let piece = piece_len::<F>();
        let pieces = (len / sector).saturating_mul(sector / log::entry_len::<F>(piece));
        // The manifest is not followed by other bytes in its last piece.
        match pieces.checked_sub(MANIFEST_LEN.div_ceil(piece) as u32) {
            Some(pieces) => pieces.saturating_mul(piece as u32).saturating_add(MANIFEST_LEN as u32),
            None => 0,
        }
    }

    /// A log without anything.
    pub fn new(flash: &'a RefCell<F>, layout: &Layout) -> Self {
        let region = Partition::new(flash, layout.download);
        Self { region, session: 0, sector: 0, at: u32::MAX, stored: 0, pending: heapless::Vec::new() }
    }

    /// Starts the log of a new session; what the region held is forgotten.
    pub fn start(&mut self, session: u32) {
        (self.session, self.sector, self.at, self.stored) = (session, 0, u32::MAX, 0);
        self.pending.clear();
    }

    /// Finds what has been stored of `session`.
    pub fn resume(&mut self, session: u32) {
        self.start(session);
        let mut pieces = Pieces::new(self.region, session);
        while pieces.next().is_some() {
            (self.stored, self.sector) = (pieces.offset, pieces.sector);
        }
        if self.stored > 0
            && let Some(sector) = sector(&self.region, self.sector)
        {
            self.at = log::end(&sector);
        }
    }

    /// Bytes that have arrived, on the flash or not.
    pub fn received(&self) -> u32 {
        self.stored + self.pending.len() as u32
    }

    /// Bytes that survive a power cut.
    pub fn stored(&self) -> u32 {
        self.stored
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`Error::NoRoom`] when the region is full, [`Error::Flash`].
    pub fn push(&mut self, mut bytes: &[u8], buffer: &mut [u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let n = bytes.len().min(piece_len::<F>() - self.pending.len());
            let (head, rest) = bytes.split_at(n);
            self.pending.extend_from_slice(head).map_err(|_| self.no_room())?;
            bytes = rest;
            if self.pending.len() == piece_len::<F>() {
                self.flush(buffer)?;
            }
        }
        Ok(())
    }

    fn no_room(&self) -> Error {
        Error::NoRoom { region: "download", requested: self.received(), limit: Self::capacity(self.region.len()) }
    }

    /// Writes what does not fill an entry, too.
    ///
    /// # Errors
    /// As [`Download::push`].
    pub fn flush(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let len = self.pending.len();
        let entry = Entry { session: self.session, number: self.stored, kind: PIECE, len: len as u8 };
        loop {
            if self.at != u32::MAX {
                let sector = sector(&self.region, self.sector).ok_or(self.no_room())?;
                if log::append(&sector, &mut self.at, entry, &[&self.pending], buffer)? {
                    self.stored += len as u32;
                    self.pending.clear();
                    return Ok(());
                }
                self.sector += 1;
            }
            let sector = sector(&self.region, self.sector).ok_or(self.no_room())?;
            sector.erase(0, sector.len())?;
            self.at = 0;
        }
    }

    /// Shows `visit` the stored bytes from `offset` on, in pieces.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn scan(&self, offset: u32, mut visit: impl FnMut(&[u8])) -> Result<(), Error> {
        let mut reader = self.reader(offset);
        let mut piece = [0; 64];
        loop {
            match reader.read(&mut piece)? {
                0 => return Ok(()),
                n => visit(&piece[..n]),
            }
        }
    }

    /// A reader of the stored bytes from `offset` on.
    pub fn reader(&self, offset: u32) -> Reader<'a, F> {
        Reader { pieces: Pieces::new(self.region, self.session), place: 0, left: 0, skip: offset }
    }
}

/// The sector `index` of the download region.
fn sector<'a, F: NorFlash>(region: &Partition<'a, F>, index: u32) -> Option<Partition<'a, F>> {
    let len = sector_len::<F>();
    let offset = index.checked_mul(len).filter(|&at| at.checked_add(len).is_some_and(|end| end <= region.len()));
    offset.map(|offset| region.part(offset, len))
}

/// Walks through the pieces of a session, each of which continues those before.
#[derive(Debug)]
struct Pieces<'a, F> {
    region: Partition<'a, F>,
    session: u32,
    sector: u32,
    at: u32,
    /// Bytes of the update in the pieces seen.
    offset: u32,
    /// As `offset`, when the sector was entered.
    before: u32,
}

impl<'a, F: NorFlash> Pieces<'a, F> {
    fn new(region: Partition<'a, F>, session: u32) -> Self {
        Self { region, session, sector: 0, at: 0, offset: 0, before: 0 }
    }

    /// Place in the region and length of the next piece.
    fn next(&mut self) -> Option<(u32, u8)> {
        loop {
            let sector = sector(&self.region, self.sector)?;
            while let Some(found) = log::next(&sector, self.at) {
                self.at = log::after::<F>(&found);
                let Entry { session, number, kind, len } = found.entry;
                if (session, kind, number) == (self.session, PIECE, self.offset) && len > 0 {
                    self.offset = self.offset.checked_add(len.into())?;
                    return Some((self.sector * sector_len::<F>() + found.payload, len));
                }
            }
            // A sector without any piece of the session ends the log: it has not been erased for it yet.
            if self.offset == self.before {
                return None;
            }
            (self.sector, self.at, self.before) = (self.sector + 1, 0, self.offset);
        }
    }
}

/// Reads stored bytes in order.
#[derive(Debug)]
pub struct Reader<'a, F> {
    pieces: Pieces<'a, F>,
    /// Place of the rest of the current piece, and its length.
    place: u32,
    left: u32,
    /// Bytes to leave out.
    skip: u32,
}

impl<F: NorFlash> Reader<'_, F> {
    /// Fills `buf` from its start with what comes next, and says how many bytes; 0 at the end.
    ///
    /// # Errors
    /// [`Error::Flash`].
    pub fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let mut filled = 0;
        while filled < buf.len() {
            if self.left == 0 {
                let Some((place, len)) = self.pieces.next() else {
                    // Not to be searched for again: a decoder asks often at the end.
                    self.pieces.sector = u32::MAX;
                    break;
                };
                (self.place, self.left) = (place, len.into());
            }
            let skipped = self.skip.min(self.left);
            let n = (self.left - skipped).min((buf.len() - filled) as u32);
            self.pieces.region.read(self.place + skipped, &mut buf[filled..filled + n as usize])?;
            filled += n as usize;
            self.skip -= skipped;
            self.place += skipped + n;
            self.left -= skipped + n;
        }
        Ok(filled)
    }
}
