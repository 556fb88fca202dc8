//! The script: how each new block is assembled from the old image and from bytes that stand nowhere in it.
//!
//! For each block, in the order of the new image, a list of operations that yield its bytes:
//!
//! | operation | code | followed by |
//! |---|---|---|
//! | literal | `len << 2` | `len` bytes |
//! | copy | `len << 2 \| 1` | |
//! | copy from elsewhere | `len << 2 \| 2` | the change of the shift, zigzag |
//!
//! Codes and changes are numbers as [`codec_core::varint`] has them. A copy takes `len` bytes of the old image from the
//! offset of the block's next byte plus the shift on (wrapping), which starts at 0 in each block. A block of which
//! nothing changes has no operations.

use codec_core::Error as E;
use codec_core::entropy::number::{unzigzag, zigzag};
use codec_core::storage::ReadAt;
use codec_core::varint;
use crc::{Digest, NoTable};

use super::Plan;
use crate::Error;
use crate::flash::crc32;

/// Copies shorter than this are cheaper as literals, bytes.
const LEAST_COPY: u32 = 4;
/// Most bytes of one literal operation.
const MAX_LITERAL: usize = 64;
/// Bytes of the old image that are read at once.
const LINE: usize = 32;

/// How one new block is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where its operations end in the script; they start where those of the block before end.
    pub end: u32,
    /// CRC-32 of its bytes.
    pub crc: u32,
    /// Whether it is as the old one at its place.
    pub unchanged: bool,
}

/// Takes a script.
pub trait Sink {
    /// The next bytes.
    ///
    /// # Errors
    /// The sink's.
    fn push(&mut self, bytes: &[u8]) -> Result<(), Error>;

    /// The operations of a block are complete.
    ///
    /// # Errors
    /// The sink's.
    fn end_block(&mut self, block: Block) -> Result<(), Error>;
}

/// Makes a script of the bytes of a new image as they are rebuilt.
pub struct Scripter<'p> {
    plan: &'p Plan,
    old_len: u32,
    new_len: u32,
    /// Bytes taken.
    at: u32,
    /// Bytes of script made.
    len: u32,
    /// Shift after the last copy of the block.
    shift: u32,
    copy_len: u32,
    copy_shift: u32,
    /// The first bytes of the copy, should it stay short.
    held: heapless::Vec<u8, { LEAST_COPY as usize }>,
    literals: heapless::Vec<u8, MAX_LITERAL>,
    crc: Digest<'static, u32, NoTable>,
    line: (u32, heapless::Vec<u8, LINE>),
    /// Whether the old block (first) is still there for the new one (second).
    keeps: (u32, u32, bool),
}

impl<'p> Scripter<'p> {
    /// A script by `plan` from an old image of `old_len` bytes to a new one of `new_len`.
    pub fn new(plan: &'p Plan, old_len: u32, new_len: u32) -> Self {
        Self {
            plan,
            old_len,
            new_len,
            at: 0,
            len: 0,
            shift: 0,
            copy_len: 0,
            copy_shift: 0,
            held: heapless::Vec::new(),
            literals: heapless::Vec::new(),
            crc: crc32(),
            line: (0, heapless::Vec::new()),
            keeps: (0, 0, true),
        }
    }

    /// Bytes of script made so far.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether nothing has been made.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes the next bytes of the new image, which may be like those of `old` at their place plus `shift` (wrapping).
    ///
    /// # Errors
    /// When the old image cannot be read; those of the sink.
    pub fn take(&mut self, old: &mut impl ReadAt, bytes: &[u8], shift: u32, sink: &mut impl Sink) -> Result<(), Error> {
        for &byte in bytes {
            if self.at >= self.new_len {
                return Err(
                    E::OutOfRange { field: "new_len", found: self.at.into(), limit: self.new_len.into() }.into()
                );
            }
            self.crc.update(&[byte]);
            if self.old_byte(old, self.at.wrapping_add(shift))? == Some(byte) {
                if self.copy_shift != shift {
                    self.end_copy(sink)?;
                    self.copy_shift = shift;
                }
                self.copy_len += 1;
                // Full when the copy is long enough.
                let _ = self.held.push(byte);
            } else {
                self.end_copy(sink)?;
                self.literal(byte, sink)?;
            }
            self.at += 1;
            if self.at.is_multiple_of(self.plan.block) || self.at == self.new_len {
                self.end_block(sink)?;
            }
        }
        Ok(())
    }

    /// The byte at `place` of the old image, if there is one that the block may use.
    fn old_byte(&mut self, old: &mut impl ReadAt, place: u32) -> Result<Option<u8>, Error> {
        if place >= self.old_len {
            return Ok(None);
        }
        let (from, to) = (place / self.plan.block, self.at / self.plan.block);
        if (self.keeps.0, self.keeps.1) != (from, to) {
            self.keeps = (from, to, self.plan.keeps(from, to));
        }
        if !self.keeps.2 {
            return Ok(None);
        }
        let (start, line) = &mut self.line;
        if let Some(&byte) = place.checked_sub(*start).and_then(|inside| line.get(inside as usize)) {
            return Ok(Some(byte));
        }
        *start = place - place % LINE as u32;
        let len = (self.old_len - *start).min(LINE as u32) as usize;
        line.clear();
        let mut bytes = [0; LINE];
        old.read_at(*start, &mut bytes[..len])?;
        let _ = line.extend_from_slice(&bytes[..len]);
        Ok(line.get((place - *start) as usize).copied())
    }

    fn literal(&mut self, byte: u8, sink: &mut impl Sink) -> Result<(), Error> {
        if self.literals.is_full() {
            self.end_literals(sink)?;
        }
        let _ = self.literals.push(byte);
        Ok(())
    }

    fn end_literals(&mut self, sink: &mut impl Sink) -> Result<(), Error> {
        if self.literals.is_empty() {
            return Ok(());
        }
        self.number((self.literals.len() as u32) << 2, sink)?;
        self.len += self.literals.len() as u32;
        sink.push(&self.literals)?;
        self.literals.clear();
        Ok(())
    }

    fn end_copy(&mut self, sink: &mut impl Sink) -> Result<(), Error> {
        let len = core::mem::take(&mut self.copy_len);
        let held = core::mem::take(&mut self.held);
        if len < LEAST_COPY {
            return held.iter().try_for_each(|&byte| self.literal(byte, sink));
        }
        self.end_literals(sink)?;
        if self.copy_shift == self.shift {
            return self.number(len << 2 | 1, sink);
        }
        self.number(len << 2 | 2, sink)?;
        self.number(zigzag(self.copy_shift.wrapping_sub(self.shift) as i32), sink)?;
        self.shift = self.copy_shift;
        Ok(())
    }

    fn end_block(&mut self, sink: &mut impl Sink) -> Result<(), Error> {
        let in_block = (self.at - 1) % self.plan.block + 1;
        let unchanged = self.copy_len == in_block && self.copy_shift == 0;
        if unchanged {
            self.copy_len = 0;
            self.held.clear();
        } else {
            self.end_copy(sink)?;
            self.end_literals(sink)?;
        }
        self.shift = 0;
        let crc = core::mem::replace(&mut self.crc, crc32()).finalize();
        sink.end_block(Block { end: self.len, crc, unchanged })
    }

    fn number(&mut self, value: u32, sink: &mut impl Sink) -> Result<(), Error> {
        let bytes = varint::emit(value);
        self.len += bytes.len() as u32;
        sink.push(&bytes)
    }
}

/// One operation of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// So many bytes follow in the script.
    Literal(u32),
    /// So many bytes of the old image, at the shift.
    Copy(u32, u32),
}

/// Reads operations of one block.
#[derive(Debug)]
pub struct Operations {
    shift: u32,
}

impl Operations {
    /// At the start of a block.
    pub fn new() -> Self {
        Self { shift: 0 }
    }

    /// The next operation; `byte` yields the script's bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] for what a scripter does not write; those of `byte`.
    pub fn next(&mut self, mut byte: impl FnMut() -> Result<u8, Error>) -> Result<Operation, Error> {
        let mut number = || varint::read(&mut byte, |_| E::Corrupt { field: "script" }.into());
        let code = number()?;
        Ok(match code & 3 {
            0 => Operation::Literal(code >> 2),
            1 => Operation::Copy(code >> 2, self.shift),
            2 => {
                self.shift = self.shift.wrapping_add(unzigzag(number()?) as u32);
                Operation::Copy(code >> 2, self.shift)
            }
            _ => return Err(E::Corrupt { field: "script" }.into()),
        })
    }
}

impl Default for Operations {
    fn default() -> Self {
        Self::new()
    }
}
