//! A log of small entries, each of which is there whole or not at all.
//!
//! What a write left behind when the power failed may hold anything. So every entry carries a CRC; what follows the
//! last thing on the flash that is not erased is left out by one entry after a restart, for it may be half written and
//! look erased; and what was written is read back, for a word may be worn.

use embedded_storage::nor_flash::NorFlash;

use super::{Partition, crc32};
use crate::{Error, word};

/// Bytes of an entry's head.
///
/// | offset | bytes | field | meaning |
/// |---|---|---|---|
/// | 0 | 4 | `crc` | CRC-32 (ISO-HDLC) of the rest of the head and of the payload |
/// | 4 | 4 | `session` | what the entry belongs to |
/// | 8 | 4 | `number` | its number or value there |
/// | 12 | 1 | `kind` | |
/// | 13 | 1 | `len` | bytes of payload |
/// | 14 | 2 | | zero |
///
/// Integers are little-endian. The payload follows; 0xff fills up to the next multiple of the unit, which is the least
/// multiple of the flash's write size that holds a head.
pub const HEAD: usize = 16;

mod field {
    use core::ops::Range;

    pub const CRC: Range<usize> = 0..4;
    pub const SESSION: Range<usize> = 4..8;
    pub const NUMBER: Range<usize> = 8..12;
    pub const KIND: usize = 12;
    pub const LEN: usize = 13;
    pub const ZERO: Range<usize> = 14..16;
}

/// Largest payload, bytes.
pub const MAX_PAYLOAD: usize = 240;

/// What an entry says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it belongs to.
    pub session: u32,
    /// Its number or value there.
    pub number: u32,
    /// What it is.
    pub kind: u8,
    /// Bytes of payload.
    pub len: u8,
}

/// An entry and where its payload lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The entry.
    pub entry: Entry,
    /// Offset of its payload in the partition.
    pub payload: u32,
}

/// Bytes that entries start at multiples of.
pub const fn unit<F: NorFlash>() -> u32 {
    unit_for(F::WRITE_SIZE as u32)
}

const fn unit_for(write_size: u32) -> u32 {
    (HEAD as u32).next_multiple_of(write_size)
}

/// Bytes that an entry of `payload` bytes takes.
pub const fn entry_len<F: NorFlash>(payload: usize) -> u32 {
    entry_len_for(F::WRITE_SIZE as u32, payload)
}

/// The same on a flash that writes `write_size` bytes at least.
pub const fn entry_len_for(write_size: u32, payload: usize) -> u32 {
    ((HEAD + payload) as u32).next_multiple_of(unit_for(write_size))
}

/// Reads the entry at `at`. `None` when there is none, or not all of it: then the next unit may start one.
fn entry_at<F: NorFlash>(sector: &Partition<'_, F>, at: u32) -> Option<Found> {
    let mut head = [0; HEAD];
    sector.read(at, &mut head).ok()?;
    let entry = Entry {
        session: word(&head[field::SESSION]),
        number: word(&head[field::NUMBER]),
        kind: head[field::KIND],
        len: head[field::LEN],
    };
    if head[field::ZERO] != [0, 0] || usize::from(entry.len) > MAX_PAYLOAD {
        return None;
    }
    let mut crc = crc32();
    crc.update(&head[field::CRC.end..]);
    let payload = at + HEAD as u32;
    sector.scan(payload, entry.len.into(), |bytes| crc.update(bytes)).ok()?;
    (crc.finalize() == word(&head[field::CRC])).then_some(Found { entry, payload })
}

/// Whether the unit at `at` reads as erased. What cannot be read is not.
fn is_erased<F: NorFlash>(sector: &Partition<'_, F>, at: u32) -> bool {
    let mut erased = true;
    let read = sector.scan(at, unit::<F>(), |bytes| erased &= bytes.iter().all(|&byte| byte == 0xff));
    erased && read.is_ok()
}

/// The next entry at or after `at`; bounded by the sector's length.
pub fn next<F: NorFlash>(sector: &Partition<'_, F>, mut at: u32) -> Option<Found> {
    let unit = unit::<F>();
    while at.checked_add(unit).is_some_and(|end| end <= sector.len()) {
        if let Some(found) = entry_at(sector, at) {
            return Some(found);
        }
        at += unit;
    }
    None
}

/// Where the search goes on after `found`.
pub fn after<F: NorFlash>(found: &Found) -> u32 {
    found.payload - HEAD as u32 + entry_len::<F>(found.entry.len.into())
}

/// Where the first entry after a restart may stand: behind everything that is not erased, and behind what may have been
/// written there last and not be seen. At the sector's end or beyond it there is no room.
pub fn end<F: NorFlash>(sector: &Partition<'_, F>) -> u32 {
    let unit = unit::<F>();
    let mut end = sector.len() - sector.len() % unit;
    while end > 0 && is_erased(sector, end - unit) {
        end -= unit;
    }
    end.saturating_add(entry_len::<F>(MAX_PAYLOAD))
}

/// Writes an entry at `*at` or, where the flash does not keep it, behind that; `*at` is where the next one goes.
/// `false` when the sector is full. `buffer` holds the entry meanwhile.
///
/// # Errors
/// [`Error::NoRoom`] when `buffer` is too small for the entry.
pub fn append<F: NorFlash>(
    sector: &Partition<'_, F>,
    at: &mut u32,
    entry: Entry,
    payload: &[&[u8]],
    buffer: &mut [u8],
) -> Result<bool, Error> {
    let len = entry_len::<F>(entry.len.into()) as usize;
    let limit = buffer.len() as u32;
    let no_room = Error::NoRoom { region: "buffer", requested: len as u32, limit };
    let image = buffer.get_mut(..len).ok_or(no_room)?;
    image.fill(0xff);
    image[field::SESSION].copy_from_slice(&entry.session.to_le_bytes());
    image[field::NUMBER].copy_from_slice(&entry.number.to_le_bytes());
    image[field::KIND] = entry.kind;
    image[field::LEN] = entry.len;
    image[field::ZERO].fill(0);
    let mut end = HEAD;
    for part in payload {
        image.get_mut(end..end + part.len()).ok_or(no_room)?.copy_from_slice(part);
        end += part.len();
    }
    debug_assert_eq!(end, HEAD + usize::from(entry.len));
    let mut crc = crc32();
    crc.update(&image[field::CRC.end..end]);
    image[field::CRC].copy_from_slice(&crc.finalize().to_le_bytes());
    while at.checked_add(len as u32).is_some_and(|end| end <= sector.len()) {
        let place = *at;
        *at += len as u32;
        if sector.write(place, image).is_ok() && entry_at(sector, place).is_some_and(|found| found.entry == entry) {
            return Ok(true);
        }
    }
    Ok(false)
}
