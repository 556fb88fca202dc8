//! Replaces the blocks of the slot, one after the other.
//!
//! The scratch area holds, from its start on:
//!
//! | bytes | what |
//! |---|---|
//! | 2 `block` | two places where blocks are assembled, in turn |
//! | `n_blocks` entries, up to a multiple of the erase size | the directory |
//! | `script_len`, up to a multiple of the erase size | the script |
//!
//! An entry of the directory is 16 bytes, filled up to a multiple of the write size: `end`, `crc`, 1 for an unchanged
//! block, and a CRC-32 of these twelve bytes; u32 each.
//!
//! Two places in turn, whichever blocks are left as they are between: so the block before is still there when its mark is
//! lost to a rotten bit.

use crc::{Digest, NoTable};
use embedded_storage::nor_flash::NorFlash;

use super::Plan;
use super::script::{Block, Operation, Operations, Sink};
use crate::flash::{Partition, Writer, crc32};
use crate::{Error, word};

const ENTRY: usize = 16;

/// The scratch area, cut up as a plan needs it.
#[derive(Debug)]
pub struct Scratch<'a, F> {
    places: [Partition<'a, F>; 2],
    directory: Partition<'a, F>,
    script: Partition<'a, F>,
}

impl<F> Clone for Scratch<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Scratch<'_, F> {}

const fn entry_len<F: NorFlash>() -> u32 {
    ENTRY.next_multiple_of(F::WRITE_SIZE) as u32
}

/// Bytes of scratch that a plan takes on flash with these sizes; `None` when they are too many to count.
pub fn scratch_len(plan: &Plan, write_size: u32, erase_size: u32) -> Option<u32> {
    let entry = (ENTRY as u32).checked_next_multiple_of(write_size)?;
    let directory = plan.blocks().checked_mul(entry)?.checked_next_multiple_of(erase_size)?;
    let script = plan.script_len.checked_next_multiple_of(erase_size)?;
    plan.block.checked_mul(2)?.checked_add(directory)?.checked_add(script)
}

impl<'a, F: NorFlash> Scratch<'a, F> {
    /// Cuts `region` up.
    ///
    /// # Errors
    /// [`Error::NoRoom`] when it is too small, [`Error::Layout`] when blocks are no multiple of the erase size.
    pub fn new(region: Partition<'a, F>, plan: &Plan) -> Result<Self, Error> {
        let erase = F::ERASE_SIZE as u32;
        if !plan.block.is_multiple_of(erase) {
            return Err(Error::Layout { region: "block", found: plan.block, limit: erase });
        }
        let requested = scratch_len(plan, F::WRITE_SIZE as u32, erase).unwrap_or(u32::MAX);
        if requested > region.len() {
            return Err(Error::NoRoom { region: "scratch", requested, limit: region.len() });
        }
        let directory_len = (plan.blocks() * entry_len::<F>()).next_multiple_of(erase);
        let directory = 2 * plan.block;
        let script = directory + directory_len;
        Ok(Self {
            places: [region.part(0, plan.block), region.part(plan.block, plan.block)],
            directory: region.part(directory, directory_len),
            script: region.part(script, plan.script_len.next_multiple_of(erase)),
        })
    }

    /// The directory's entry of `block`, and where its operations start.
    fn entry(&self, block: u32) -> Result<(u32, Block), Error> {
        let read = |block: u32| {
            let mut bytes = [0; ENTRY];
            self.directory.read(block * entry_len::<F>(), &mut bytes)?;
            let (content, check) = bytes.split_at(ENTRY - 4);
            let mut crc = crc32();
            crc.update(content);
            if crc.finalize() != word(check) {
                return Err(Error::DigestMismatch { field: "block" });
            }
            Ok(Block { end: word(&content[..4]), crc: word(&content[4..8]), unchanged: content[8] == 1 })
        };
        let start = if block == 0 { 0 } else { read(block - 1)?.end };
        Ok((start, read(block)?))
    }
}

/// Writes a script into the scratch area.
pub struct ScriptWriter<'a, 'b, F> {
    scratch: Scratch<'a, F>,
    script: Writer<'a, 'b, F>,
    crc: Digest<'static, u32, NoTable>,
    blocks: u32,
    entry: &'b mut [u8],
}

impl<'a, 'b, F: NorFlash> ScriptWriter<'a, 'b, F> {
    /// Erases the directory and starts the script. `buffer` must hold a directory entry and one write.
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::Flash`].
    pub fn new(scratch: Scratch<'a, F>, buffer: &'b mut [u8]) -> Result<Self, Error> {
        let entry = entry_len::<F>() as usize;
        let (requested, limit) = (entry as u32, buffer.len() as u32);
        let (entry, rest) =
            buffer.split_at_mut_checked(entry).ok_or(Error::NoRoom { region: "buffer", requested, limit })?;
        let erase = F::ERASE_SIZE as u32;
        for at in (0..scratch.directory.len()).step_by(F::ERASE_SIZE) {
            scratch.directory.erase(at, erase)?;
        }
        Ok(Self { scratch, script: Writer::new(scratch.script, 0, rest)?, crc: crc32(), blocks: 0, entry })
    }

    /// Writes what is left, and reads all back: what has rotted must show while the old image is whole.
    ///
    /// # Errors
    /// [`Error::Flash`], [`Error::DigestMismatch`].
    pub fn finish(self) -> Result<(), Error> {
        let len = self.script.len();
        self.script.finish()?;
        if self.scratch.script.crc(0, len)? != self.crc.finalize() {
            return Err(Error::DigestMismatch { field: "script" });
        }
        (0..self.blocks).try_for_each(|block| self.scratch.entry(block).map(|_| ()))
    }
}

impl<F: NorFlash> Sink for ScriptWriter<'_, '_, F> {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let (requested, limit) = (self.script.len().saturating_add(bytes.len() as u32), self.scratch.script.len());
        if requested > limit {
            return Err(Error::NoRoom { region: "script", requested, limit });
        }
        self.crc.update(bytes);
        self.script.push(bytes)
    }

    fn end_block(&mut self, block: Block) -> Result<(), Error> {
        self.entry.fill(0xff);
        self.entry[..4].copy_from_slice(&block.end.to_le_bytes());
        self.entry[4..8].copy_from_slice(&block.crc.to_le_bytes());
        self.entry[8..12].copy_from_slice(&u32::from(block.unchanged).to_le_bytes());
        let mut crc = crc32();
        crc.update(&self.entry[..ENTRY - 4]);
        self.entry[ENTRY - 4..ENTRY].copy_from_slice(&crc.finalize().to_le_bytes());
        self.scratch.directory.write(self.blocks * entry_len::<F>(), self.entry)?;
        self.blocks += 1;
        Ok(())
    }
}

/// Replaces blocks.
pub struct Mover<'a, 'p, F> {
    slot: Partition<'a, F>,
    scratch: Scratch<'a, F>,
    plan: &'p Plan,
    old_len: u32,
    new_len: u32,
}

impl<'a, 'p, F: NorFlash> Mover<'a, 'p, F> {
    /// A mover of `plan` that makes of the first `old_len` bytes of `slot` the new `new_len` ones.
    pub fn new(slot: Partition<'a, F>, scratch: Scratch<'a, F>, plan: &'p Plan, old_len: u32, new_len: u32) -> Self {
        Self { slot, scratch, plan, old_len, new_len }
    }

    /// Replaces the blocks from number `done` of the plan on; `mark` is told how many are done after each.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`] when the script or the old image has rotted: nothing was written over the block then;
    /// [`Error::Flash`]; those of `mark`.
    pub fn run(
        &self,
        done: u32,
        buffer: &mut [u8],
        mut mark: impl FnMut(u32) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut turn = self.replaced(done) % 2;
        let mut replaced = 0;
        for number in done..self.plan.blocks() {
            let Some(block) = self.plan.block_at(number) else { break };
            let block = u32::from(block);
            let (start, entry) = self.scratch.entry(block)?;
            if entry.unchanged {
                continue;
            }
            let place = &self.scratch.places[turn];
            turn ^= 1;
            let offset = block * self.plan.block;
            let len = (self.new_len - offset).min(self.plan.block);
            // Two blocks may have been assembled before, when the power failed in a mark and the one before it rotted;
            // their old bytes may be gone.
            let assembled = replaced < 2 && place.crc(0, len).is_ok_and(|crc| crc == entry.crc);
            replaced += 1;
            if !assembled {
                self.assemble(place, offset, len, start, entry.end, buffer)?;
                if place.crc(0, len)? != entry.crc {
                    return Err(Error::DigestMismatch { field: "block" });
                }
            }
            let mut writer = Writer::new(self.slot.part(offset, self.plan.block), 0, buffer)?;
            copy(place, 0, len, &mut writer)?;
            writer.finish()?;
            mark(number + 1)?;
        }
        Ok(())
    }

    /// How many of the first `done` blocks were replaced, not left as they are.
    fn replaced(&self, done: u32) -> usize {
        let is_replaced = |number: &u32| {
            let block = self.plan.block_at(*number);
            block.is_some_and(|block| self.scratch.entry(block.into()).map_or(true, |(_, entry)| !entry.unchanged))
        };
        (0..done.min(self.plan.blocks())).filter(is_replaced).count()
    }

    /// Makes a new block at `place`.
    fn assemble(
        &self,
        place: &Partition<'a, F>,
        offset: u32,
        len: u32,
        start: u32,
        end: u32,
        buffer: &mut [u8],
    ) -> Result<(), Error> {
        let corrupt = || Error::from(codec_core::Error::Corrupt { field: "script" });
        let mut writer = Writer::new(*place, 0, buffer)?;
        let mut operations = Operations::new();
        let mut at = start;
        while writer.len() < len {
            let operation = operations.next(|| {
                let mut byte = [0];
                if at >= end {
                    return Err(corrupt());
                }
                self.scratch.script.read(at, &mut byte)?;
                at += 1;
                Ok(byte[0])
            })?;
            let left = len - writer.len();
            match operation {
                Operation::Literal(n) if n > 0 && n <= left && n <= end - at => {
                    copy(&self.scratch.script, at, n, &mut writer)?;
                    at += n;
                }
                Operation::Copy(n, shift) if n > 0 && n <= left => {
                    let from = (offset + writer.len()).wrapping_add(shift);
                    if from.checked_add(n).is_none_or(|end| end > self.old_len) {
                        return Err(corrupt());
                    }
                    copy(&self.slot, from, n, &mut writer)?;
                }
                _ => return Err(corrupt()),
            }
        }
        if at != end {
            return Err(corrupt());
        }
        writer.finish()
    }
}

/// Copies `len` bytes of `from` from `at` on.
fn copy<F: NorFlash>(from: &Partition<'_, F>, at: u32, len: u32, to: &mut Writer<'_, '_, F>) -> Result<(), Error> {
    let mut done = 0;
    while done < len {
        let room = to.room();
        let n = (len - done).min(room.len() as u32);
        from.read(at + done, &mut room[..n as usize])?;
        to.advance(n as usize)?;
        done += n;
    }
    Ok(())
}
