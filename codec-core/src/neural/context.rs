//! What the network sees of the next byte: hashes of the bytes before it, those bytes, and what stood after their like.

use super::rows::{ROWS, Row, Rows};
use crate::predict::hash;

/// Hashed contexts, each with an embedding table of its own: the last 2, 3, 4, 5 and 6 bytes, the word, the word with
/// the one before it, and the column with the byte above.
pub const GRAMS: usize = 8;
/// Last bytes that are embedded by themselves.
pub const BYTES: usize = 4;

/// Everything that the network is told of the next byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Hashes of the contexts; a table of `2^n` entries is entered by the top `n` bits.
    pub grams: [u32; GRAMS],
    /// The last bytes, newest first.
    pub bytes: [u8; BYTES],
    /// Offset in the file, modulo 4.
    pub lane: u8,
    /// The byte above, in the line before; 0 when there is none.
    pub above: u8,
    /// What followed elsewhere.
    pub rows: [Row; ROWS],
}

impl Features {
    /// Which rows there are, a bit for each, the first lowest.
    pub fn found(&self) -> u16 {
        self.rows.iter().rev().fold(0, |found, row| found << 1 | u16::from(row.agree > 0))
    }
}

/// The text around the next byte, kept up to date byte by byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The last eight bytes, newest lowest.
    recent: u64,
    /// Hash of the word that the last byte is part of, 0 outside words; and of the word before it.
    word: u32,
    last_word: u32,
    /// Hash of the first bytes of the line, up to the first that is no blank.
    indent: u32,
    /// Bytes since the line began, and those of the line before it.
    column: u16,
    above: u16,
}

/// Whether `byte` belongs to a word: letters, digits, `_`, and all that is not ASCII.
fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 128
}

impl Context {
    /// Nothing seen yet.
    pub const NEW: Self = Self { recent: 0, word: 0, last_word: 0, indent: 0, column: 0, above: 0 };

    /// The last eight bytes, newest lowest.
    pub fn recent(&self) -> u64 {
        self.recent
    }

    /// Hash of the word so far, 0 outside words.
    pub fn word(&self) -> u32 {
        self.word
    }

    /// Hash of the word before.
    pub fn last_word(&self) -> u32 {
        self.last_word
    }

    /// Hash of how the line begins.
    pub fn indent(&self) -> u32 {
        self.indent
    }

    /// How far back the byte above the next one stands in the line before, 0 when that line is shorter.
    pub fn above(&self) -> u16 {
        if self.column < self.above { self.above } else { 0 }
    }

    /// Goes on by one byte.
    pub fn push(&mut self, byte: u8) {
        self.recent = self.recent << 8 | u64::from(byte);
        if in_word(byte) {
            self.word = hash(self.word.wrapping_add(u32::from(byte.to_ascii_lowercase())), 0x33) | 1;
        } else if self.word != 0 {
            (self.last_word, self.word) = (self.word, 0);
        }
        if byte == b'\n' {
            // A byte of this line stands as far back as the line before is long, its end included.
            self.above = self.column.saturating_add(1);
            (self.column, self.indent) = (0, 0);
        } else {
            // The indentation and the first byte after it.
            let blank = |b: u64| b == u64::from(b' ') || b == u64::from(b'\t') || b == u64::from(b'\n');
            if self.column == 0 || blank(self.recent >> 8 & 0xff) && self.indent & 1 == 0 {
                let inside = u32::from(!blank(u64::from(byte)));
                self.indent = hash(self.indent, u32::from(byte)) & !1 | inside;
            }
            self.column = self.column.saturating_add(1);
        }
    }

    /// The features of the next byte, `pos` bytes into the file.
    pub fn features(&self, pos: u32, rows: &Rows, memory: &[u16]) -> Features {
        let (r, w) = (self.recent, self.recent as u32);
        let (c1, high) = (w & 0xff, (r >> 32) as u32);
        let above = rows.back(memory, self.above());
        Features {
            grams: [
                hash(w & 0xffff, 2),
                hash(w & 0xff_ffff, 3),
                hash(w, 4),
                hash(w, 5 | (high & 0xff) << 8),
                hash(w, 6 | (high & 0xffff) << 8),
                hash(self.word, 7 | if self.word == 0 { c1 << 8 } else { 0 }),
                hash(self.word ^ self.last_word.rotate_left(9), 8 | if self.word == 0 { c1 << 8 } else { 0 }),
                hash(u32::from(above) | c1 << 8, 9 ^ self.indent << 8),
            ],
            bytes: [w as u8, (w >> 8) as u8, (w >> 16) as u8, (w >> 24) as u8],
            lane: (pos & 3) as u8,
            above,
            rows: rows.predict(memory, r),
        }
    }
}
