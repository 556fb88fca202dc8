//! The decoder of weights: sans-IO, fixed memory, verified result.

use crate::Error;
use crate::container::v2::{Header, Mode};
use crate::decoder::{Rebuild, Status, Step, bytes, check_old};
use crate::delta::tuning::{Head, MAX_BITS, MAX_HEAD_BITS, Said, WeightCode};
use crate::delta::weights::MAX_ELEMENT_BYTES;
use crate::entropy::RangeDecoder;
use crate::intake::Intake;
use crate::storage::ReadAt;

const BUFFER: usize = 192;
const _: () = assert!(bytes(MAX_HEAD_BITS) <= BUFFER && bytes(MAX_BITS) <= BUFFER);
/// Bytes of the old file that are read at a time.
const WINDOW: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Header,
    Head,
    Body,
    Done,
    Failed,
}

/// Rebuilds weights from one GMCF version 2 file of [`Mode::Weights`]: as [`crate::decoder::Decoder`] does from the other
/// modes, in some 6 KB.
///
/// Nothing is written before the header and the old file's identity have been checked. After an error, and after
/// [`Status::Done`], every call returns [`Error::Finished`].
#[derive(Debug)]
pub struct WeightsDecoder<O> {
    old: O,
    phase: Phase,
    intake: Intake,
    coder: RangeDecoder<BUFFER>,
    code: WeightCode,
    /// Bytes rebuilt so far.
    at: u32,
    /// Bytes of the old file from `window_at` on.
    window: heapless::Vec<u8, WINDOW>,
    window_at: u32,
    /// Rebuilt, and not written yet.
    pending: heapless::Vec<u8, MAX_ELEMENT_BYTES>,
}

impl<O> WeightsDecoder<O> {
    /// A decoder that reads the old file through `old`.
    ///
    /// All its bits are zero, but for the storage's: a `static` decoder takes no flash.
    pub const fn new(old: O) -> Self {
        Self {
            old,
            phase: Phase::Header,
            intake: Intake::new(),
            coder: RangeDecoder::new(),
            code: WeightCode::new(),
            at: 0,
            window: heapless::Vec::new(),
            window_at: 0,
            pending: heapless::Vec::new(),
        }
    }
}

impl<O: ReadAt> WeightsDecoder<O> {
    fn advance(&mut self, mut input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        let (input_len, mut written) = (input.len(), 0);
        let status = loop {
            match self.phase {
                Phase::Header => {
                    let Some((&byte, rest)) = input.split_first() else { break Status::NeedInput };
                    input = rest;
                    self.read_header(byte)?;
                }
                Phase::Head => {
                    if !self.intake.fill(&mut self.coder, &mut input, bytes(MAX_HEAD_BITS)) {
                        break Status::NeedInput;
                    }
                    self.code.start();
                    self.code.code_head(&mut self.coder, Head::default())?;
                    self.phase = Phase::Body;
                }
                Phase::Body => {
                    let free = &mut output[written..];
                    let n = self.pending.len().min(free.len());
                    free[..n].copy_from_slice(&self.pending[..n]);
                    self.pending.rotate_left(n);
                    self.pending.truncate(self.pending.len() - n);
                    written += n;
                    if !self.pending.is_empty() {
                        break Status::NeedOutput;
                    }
                    let left = self.new_len() - self.at;
                    if left == 0 {
                        self.intake.complete(self.coder.ends_as_written())?;
                        self.phase = Phase::Done;
                        break Status::Done;
                    }
                    if written == output.len() {
                        break Status::NeedOutput;
                    }
                    if !self.intake.fill(&mut self.coder, &mut input, bytes(MAX_BITS)) {
                        break Status::NeedInput;
                    }
                    self.next(left)?;
                }
                Phase::Done | Phase::Failed => return Err(Error::Finished),
            }
        };
        Ok(Step { consumed: input_len - input.len(), written, status })
    }

    fn read_header(&mut self, byte: u8) -> Result<(), Error> {
        let Some(header) = self.intake.read(byte)? else { return Ok(()) };
        let (Mode::Weights, Some(old)) = (header.mode, &header.old) else {
            return Err(Error::Unknown { field: "mode", found: header.mode as u64 });
        };
        check_old(&mut self.old, old)?;
        self.intake.accept(header)?;
        self.phase = Phase::Head;
        Ok(())
    }

    fn new_len(&self) -> u32 {
        self.intake.header().map_or(0, |header| header.new_len)
    }

    /// Rebuilds the next weight of the `left` bytes that are missing, or the next byte where they are no whole weight.
    fn next(&mut self, left: u32) -> Result<(), Error> {
        let width = self.code.element().bytes();
        let full = |_| Error::Corrupt { field: "payload" };
        if (left as usize) < width {
            let byte = self.code.code_byte(&mut self.coder, 0);
            self.pending.push(byte).map_err(full)?;
        } else {
            let mut old = [0; MAX_ELEMENT_BYTES];
            for (i, byte) in (self.at..).zip(&mut old[..width]) {
                *byte = self.old_byte(i)?;
            }
            let new = self.code.code(&mut self.coder, u32::from_le_bytes(old), &Said::default());
            self.pending.extend(new.to_le_bytes().into_iter().take(width));
        }
        self.at += self.pending.len() as u32;
        self.intake.rebuilt(&self.pending);
        Ok(())
    }

    fn old_byte(&mut self, at: u32) -> Result<u8, Error> {
        if let Some(byte) = at.checked_sub(self.window_at).and_then(|i| self.window.get(i as usize)) {
            return Ok(*byte);
        }
        // As far as the header says; that much has been read before, to identify it.
        let len = self.new_len().saturating_sub(at).min(WINDOW as u32);
        self.window.clear();
        self.window.extend(core::iter::repeat_n(0, len as usize));
        self.old.read_at(at, &mut self.window)?;
        self.window_at = at;
        self.window.first().copied().ok_or(Error::Storage { offset: at, len: 1 })
    }
}

impl<O: ReadAt> Rebuild for WeightsDecoder<O> {
    fn update(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        let result = self.advance(input, output);
        if result.is_err() {
            self.phase = Phase::Failed;
        }
        result
    }

    /// A weight is like the old one at its place: the shift is 0.
    fn trace(&mut self, input: &[u8], output: &mut [u8]) -> Result<(Step, u32), Error> {
        Ok((self.update(input, output)?, 0))
    }

    fn finish(&self) -> Result<(), Error> {
        match self.phase {
            Phase::Done => Ok(()),
            Phase::Failed => Err(Error::Finished),
            _ => Err(self.intake.missing()),
        }
    }

    fn header(&self) -> Option<&Header> {
        self.intake.header()
    }
}
