//! Retrieval: the places of what has been rebuilt where the same bytes stood before, and what followed there. These
//! are the rows of the alignment that the network reads.

use crate::predict::hash;

/// Bytes that must agree for the rows.
const ORDERS: [u32; 4] = [7, 5, 4, 3];
/// Rows.
pub const ROWS: usize = ORDERS.len();
/// Bytes that are compared at most, so a row's class is less than this.
pub const LONGEST: u32 = 16;

/// A past occurrence of the context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The byte that followed there.
    pub byte: u8,
    /// Bytes before it that agree, less than [`LONGEST`]; 0 when there is no such place.
    pub agree: u8,
}

/// A ring of the last bytes, and for every row an index into it. Both lie in memory that the caller lends: the ring
/// first, two bytes a word, then the indices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    ring_log2: u32,
    index_log2: u32,
    written: u32,
}

impl Rows {
    /// No rows: to be started.
    pub const NEW: Self = Self { ring_log2: 0, index_log2: 0, written: 0 };

    /// Words that the memory must have at least.
    pub const fn words(ring_log2: u32, index_log2: u32) -> usize {
        (1 << (ring_log2 - 1)) + ROWS * (1 << index_log2)
    }

    /// Starts over with a ring of `2^ring_log2` bytes (5 to 15) and indices of `2^index_log2` entries (1 to 15).
    pub fn start(&mut self, memory: &mut [u16], ring_log2: u32, index_log2: u32) {
        *self = Self { ring_log2, index_log2, written: 0 };
        memory[..Self::words(ring_log2, index_log2)].fill(0);
    }

    /// The byte `back` bytes back: 1 is the last one; 0 for `back` 0 and what the ring no longer holds.
    pub fn back(&self, memory: &[u16], back: u16) -> u8 {
        let back = u32::from(back);
        if back == 0 || back > self.written.min(1 << self.ring_log2) {
            return 0;
        }
        self.at(memory, self.written - back)
    }

    fn at(&self, memory: &[u16], place: u32) -> u8 {
        let at = place & ((1 << self.ring_log2) - 1);
        (memory[(at >> 1) as usize] >> ((at & 1) * 8)) as u8
    }

    fn slot(&self, row: usize, recent: u64) -> usize {
        let masked = recent & ((1 << (8 * ORDERS[row])) - 1);
        let h = hash(masked as u32, (masked >> 32) as u32);
        (1 << (self.ring_log2 - 1)) + (row << self.index_log2) + (h >> (32 - self.index_log2)) as usize
    }

    /// What followed `recent`, the last eight bytes, before.
    pub fn predict(&self, memory: &[u16], recent: u64) -> [Row; ROWS] {
        let mut rows = [Row::default(); ROWS];
        let held = self.written.min(1 << self.ring_log2);
        for (number, row) in rows.iter_mut().enumerate() {
            let place = memory[self.slot(number, recent)];
            // Places are kept modulo 2^16; whatever else stands there is refuted by the bytes.
            let age = u32::from((self.written as u16).wrapping_sub(place));
            if age == 0 || age >= held {
                continue;
            }
            let place = self.written - age;
            let most = (held - age).min(LONGEST - 1);
            let mut agree = 0;
            while agree < most && self.at(memory, place - 1 - agree) == self.at(memory, self.written - 1 - agree) {
                agree += 1;
            }
            if agree >= 2 {
                *row = Row { byte: self.at(memory, place), agree: agree as u8 };
            }
        }
        rows
    }

    /// Appends `byte`; `recent` are the last eight bytes before it.
    pub fn push(&mut self, memory: &mut [u16], recent: u64, byte: u8) {
        for row in 0..ROWS {
            memory[self.slot(row, recent)] = self.written as u16;
        }
        let at = self.written & ((1 << self.ring_log2) - 1);
        let word = &mut memory[(at >> 1) as usize];
        let shift = (at & 1) * 8;
        *word = *word & !(0xff << shift) | u16::from(byte) << shift;
        self.written = self.written.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(text: &[u8], ring_log2: u32, index_log2: u32) -> (Rows, Vec<u16>, u64) {
        let mut memory = vec![0; Rows::words(ring_log2, index_log2)];
        let (mut rows, mut recent) = (Rows::NEW, 0);
        rows.start(&mut memory, ring_log2, index_log2);
        for &byte in text {
            rows.push(&mut memory, recent, byte);
            recent = recent << 8 | u64::from(byte);
        }
        (rows, memory, recent)
    }

    #[test]
    fn rows_find_what_followed() {
        let (rows, memory, recent) = fed(b"set rate 12; get rate", 8, 12);
        let found = rows.predict(&memory, recent);
        // "et rate": seven bytes agree, and the one before them does not.
        assert!(found.iter().all(|row| *row == Row { byte: b' ', agree: 7 }), "{found:?}");
    }

    /// The ring forgets, and nothing is found in what it has forgotten, however often it went round.
    #[test]
    fn forgotten_bytes_are_not_found() {
        let noise = |i: u32| (hash(i, 3) >> 9) as u8;
        let text: Vec<u8> = b"abcdefgh".iter().copied().chain((0..70_000).map(noise)).chain(*b"abcdefg").collect();
        let (rows, memory, recent) = fed(&text, 8, 12);
        assert!(rows.predict(&memory, recent).iter().all(|row| row.agree < 4));
        assert_eq!(rows.back(&memory, 256), text[text.len() - 256]);
        assert_eq!([rows.back(&memory, 257), rows.back(&memory, 0)], [0, 0]);
    }
}
