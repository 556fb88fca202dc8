//! Replaces the blocks of the slot, one after the other.
//!
//! The scratch area holds, from its start on:
//!
//! | bytes | what |
//! |---|---|
//! | entries, up to a multiple of the erase size | the directory |
//! | 2 `block` | two places where blocks are assembled, in turn |
//! | `script_len`, up to a multiple of the erase size | the script |
//!
//! An entry of the directory is four u32, filled up to a multiple of the write size; the last one is a CRC-32 of the three
//! before. First comes what the step changes, so that the download is needed no more:
//!
//! | entries | values |
//! |---|---|
//! | 1 | `old_len`, `new_len`, 1 for the last step |
//! | 1 | `block`, `script_len`, `n_runs` |
//! | ceil(`n_runs` / 3) | three runs, each `first` and 2^16 `last`; zero for those that are not there |
//! | `n_blocks` | `end`, `crc`, 1 for an unchanged block |
//!
//! Two places in turn, whichever blocks are left as they are between: so the block before is still there when its mark is
//! lost to a rotten bit.

use codec_core::Error as E;
use crc::{Digest, NoTable};
use embedded_storage::nor_flash::NorFlash;

use super::script::{Block, Operation, Operations, Sink};
use super::{Change, MAX_RUNS, Plan, Run};
use crate::flash::{Partition, Writer, crc32};
use crate::{Error, word};

const ENTRY: usize = 16;
/// Entries before those of the runs.
const FIRST: u32 = 2;
/// Runs in an entry.
const RUNS: usize = 3;

/// The scratch area, cut up as a plan needs it.
#[derive(Debug)]
pub struct Scratch<'a, F> {
    places: [Partition<'a, F>; 2],
    directory: Partition<'a, F>,
    script: Partition<'a, F>,
    /// Entries of the directory before those of the blocks.
    head: u32,
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

/// Entries of the directory before those of the blocks.
fn head_entries(n_runs: usize) -> u32 {
    FIRST + n_runs.div_ceil(RUNS) as u32
}

/// Bytes of scratch that a plan takes on flash with these sizes; `None` when they are too many to count.
pub fn scratch_len(plan: &Plan, write_size: u32, erase_size: u32) -> Option<u32> {
    let entry = (ENTRY as u32).checked_next_multiple_of(write_size)?;
    let entries = plan.blocks().checked_add(head_entries(plan.runs().len()))?;
    let directory = entries.checked_mul(entry)?.checked_next_multiple_of(erase_size)?;
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
        let head = head_entries(plan.runs().len());
        let directory = ((head + plan.blocks()) * entry_len::<F>()).next_multiple_of(erase);
        let places = [directory, directory + plan.block].map(|at| region.part(at, plan.block));
        Ok(Self {
            places,
            directory: region.part(0, directory),
            script: region.part(directory + 2 * plan.block, plan.script_len.next_multiple_of(erase)),
            head,
        })
    }

    /// What the step changes whose script lies in `region`.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`], [`Error::Malformed`] when that is not what stands there; [`Error::Flash`].
    pub fn change(region: Partition<'a, F>) -> Result<Change, Error> {
        let [old_len, new_len, is_last] = read_entry(&region, 0)?;
        let [block, script_len, n_runs] = read_entry(&region, 1)?;
        let mut runs = heapless::Vec::<Run, MAX_RUNS>::new();
        for index in 0..n_runs {
            let run = read_entry(&region, FIRST + index / RUNS as u32)?[index as usize % RUNS];
            let too_many = E::OutOfRange { field: "n_runs", found: n_runs.into(), limit: MAX_RUNS as u64 };
            runs.push(Run { first: run as u16, last: (run >> 16) as u16 }).map_err(|_| too_many)?;
        }
        Ok(Change { plan: Plan::new(block, script_len, &runs, new_len)?, old_len, new_len, is_last: is_last == 1 })
    }

    /// The directory's entry of `block`, and where its operations start.
    fn entry(&self, block: u32) -> Result<(u32, Block), Error> {
        let read = |block: u32| {
            let [end, crc, unchanged] = read_entry(&self.directory, self.head + block)?;
            Ok::<_, Error>(Block { end, crc, unchanged: unchanged == 1 })
        };
        let start = if block == 0 { 0 } else { read(block - 1)?.end };
        Ok((start, read(block)?))
    }
}

/// The three values of an entry of the directory.
fn read_entry<F: NorFlash>(directory: &Partition<'_, F>, index: u32) -> Result<[u32; 3], Error> {
    let mut bytes = [0; ENTRY];
    directory.read(index * entry_len::<F>(), &mut bytes)?;
    let (content, check) = bytes.split_at(ENTRY - 4);
    let mut crc = crc32();
    crc.update(content);
    if crc.finalize() != word(check) {
        return Err(Error::DigestMismatch { field: "block" });
    }
    Ok([0, 4, 8].map(|at| word(&content[at..at + 4])))
}

/// Writes a script into the scratch area.
pub struct ScriptWriter<'a, 'b, F> {
    scratch: Scratch<'a, F>,
    script: Writer<'a, 'b, F>,
    crc: Digest<'static, u32, NoTable>,
    /// Of the directory, written.
    entries: u32,
    entry: &'b mut [u8],
}

impl<'a, 'b, F: NorFlash> ScriptWriter<'a, 'b, F> {
    /// Starts the directory with `change`, whose plan `scratch` was cut up by, and the script. `buffer` must hold a
    /// directory entry and one write.
    ///
    /// # Errors
    /// [`Error::NoRoom`], [`Error::Flash`].
    pub fn new(scratch: Scratch<'a, F>, change: &Change, buffer: &'b mut [u8]) -> Result<Self, Error> {
        let entry = entry_len::<F>() as usize;
        let (requested, limit) = (entry as u32, buffer.len() as u32);
        let (entry, rest) =
            buffer.split_at_mut_checked(entry).ok_or(Error::NoRoom { region: "buffer", requested, limit })?;
        let erase = F::ERASE_SIZE as u32;
        for at in (0..scratch.directory.len()).step_by(F::ERASE_SIZE) {
            scratch.directory.erase(at, erase)?;
        }
        let script = Writer::new(scratch.script, 0, rest)?;
        let mut writer = Self { scratch, script, crc: crc32(), entries: 0, entry };
        let Change { plan, old_len, new_len, is_last } = change;
        writer.add([*old_len, *new_len, u32::from(*is_last)])?;
        writer.add([plan.block, plan.script_len, plan.runs().len() as u32])?;
        for three in plan.runs().chunks(RUNS) {
            let mut values = [0; RUNS];
            for (value, run) in values.iter_mut().zip(three) {
                *value = u32::from(run.first) | u32::from(run.last) << 16;
            }
            writer.add(values)?;
        }
        Ok(writer)
    }

    /// Adds an entry to the directory.
    fn add(&mut self, values: [u32; 3]) -> Result<(), Error> {
        self.entry.fill(0xff);
        for (place, value) in self.entry.chunks_exact_mut(4).zip(values) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        let mut crc = crc32();
        crc.update(&self.entry[..ENTRY - 4]);
        self.entry[ENTRY - 4..ENTRY].copy_from_slice(&crc.finalize().to_le_bytes());
        self.scratch.directory.write(self.entries * entry_len::<F>(), self.entry)?;
        self.entries += 1;
        Ok(())
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
        (0..self.entries).try_for_each(|index| read_entry(&self.scratch.directory, index).map(|_| ()))
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
        self.add([block.end, block.crc, u32::from(block.unchanged)])
    }
}

/// Replaces blocks.
pub struct Mover<'a, 'p, F> {
    slot: Partition<'a, F>,
    scratch: Scratch<'a, F>,
    change: &'p Change,
}

impl<'a, 'p, F: NorFlash> Mover<'a, 'p, F> {
    /// A mover that makes the new image of the old one in `slot`; `scratch` was cut up by the plan of `change`.
    pub fn new(slot: Partition<'a, F>, scratch: Scratch<'a, F>, change: &'p Change) -> Self {
        Self { slot, scratch, change }
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
        for number in done..self.change.plan.blocks() {
            let Some(block) = self.change.plan.block_at(number) else { break };
            let block = u32::from(block);
            let (start, entry) = self.scratch.entry(block)?;
            if entry.unchanged {
                continue;
            }
            let place = &self.scratch.places[turn];
            turn ^= 1;
            let offset = block * self.change.plan.block;
            let len = (self.change.new_len - offset).min(self.change.plan.block);
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
            let mut writer = Writer::new(self.slot.part(offset, self.change.plan.block), 0, buffer)?;
            copy(place, 0, len, &mut writer)?;
            writer.finish()?;
            mark(number + 1)?;
        }
        Ok(())
    }

    /// How many of the first `done` blocks were replaced, not left as they are.
    fn replaced(&self, done: u32) -> usize {
        let is_replaced = |number: &u32| {
            let block = self.change.plan.block_at(*number);
            block.is_some_and(|block| self.scratch.entry(block.into()).map_or(true, |(_, entry)| !entry.unchanged))
        };
        (0..done.min(self.change.plan.blocks())).filter(is_replaced).count()
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
        let corrupt = || Error::from(E::Corrupt { field: "script" });
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
                    if from.checked_add(n).is_none_or(|end| end > self.change.old_len) {
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
