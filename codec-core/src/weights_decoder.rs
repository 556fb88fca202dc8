//! The decoder of weights: sans-IO, fixed memory, verified result.

use crate::Error;
use crate::container::digest::Hasher;
use crate::container::v2::{Header, MAX_HEADER_LEN, Mode};
use crate::decoder::{Rebuild, Status, Step, bytes, check_old};
use crate::delta::tuning::{Head, MAX_BITS, MAX_HEAD_BITS, Said, WeightCode};
use crate::delta::weights::MAX_ELEMENT_BYTES;
use crate::entropy::RangeDecoder;
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
    header: heapless::Vec<u8, MAX_HEADER_LEN>,
    /// At most one; not an `Option`, whose `None` need not be zero bits.
    parsed: heapless::Vec<Header, 1>,
    /// Bytes of the payload taken so far.
    taken: u32,
    coder: RangeDecoder<BUFFER>,
    code: WeightCode,
    /// Bytes rebuilt so far.
    at: u32,
    /// Bytes of the old file from `window_at` on.
    window: heapless::Vec<u8, WINDOW>,
    window_at: u32,
    /// Likewise. Of all that was rebuilt.
    digest: heapless::Vec<Hasher, 1>,
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
            header: heapless::Vec::new(),
            parsed: heapless::Vec::new(),
            taken: 0,
            coder: RangeDecoder::new(),
            code: WeightCode::new(),
            at: 0,
            window: heapless::Vec::new(),
            window_at: 0,
            digest: heapless::Vec::new(),
            pending: heapless::Vec::new(),
        }
    }
}

impl<O: ReadAt> WeightsDecoder<O> {
    fn advance(&mut self, mut input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        let (input_len, mut written) = (input.len(), 0);
        let status = loop {
            match (self.phase, self.parsed.first().copied()) {
                (Phase::Header, _) => {
                    let Some((&byte, rest)) = input.split_first() else { break Status::NeedInput };
                    input = rest;
                    self.read_header(byte)?;
                }
                (Phase::Head, Some(header)) => {
                    if !self.ready(&mut input, &header, bytes(MAX_HEAD_BITS)) {
                        break Status::NeedInput;
                    }
                    self.code.start();
                    self.code.code_head(&mut self.coder, Head::default())?;
                    self.phase = Phase::Body;
                }
                (Phase::Body, Some(header)) => {
                    let free = &mut output[written..];
                    let n = self.pending.len().min(free.len());
                    free[..n].copy_from_slice(&self.pending[..n]);
                    self.pending.rotate_left(n);
                    self.pending.truncate(self.pending.len() - n);
                    written += n;
                    if !self.pending.is_empty() {
                        break Status::NeedOutput;
                    }
                    if self.at == header.new_len {
                        self.complete(&header)?;
                        break Status::Done;
                    }
                    if written == output.len() {
                        break Status::NeedOutput;
                    }
                    if !self.ready(&mut input, &header, bytes(MAX_BITS)) {
                        break Status::NeedInput;
                    }
                    self.next(header.new_len - self.at)?;
                }
                (Phase::Head | Phase::Body, None) | (Phase::Done | Phase::Failed, _) => return Err(Error::Finished),
            }
        };
        Ok(Step { consumed: input_len - input.len(), written, status })
    }

    fn read_header(&mut self, byte: u8) -> Result<(), Error> {
        self.header.push(byte).map_err(|_| Error::Corrupt { field: "header" })?;
        let header = match Header::parse(&self.header) {
            Ok((header, _)) => header,
            Err(Error::Truncated { .. }) => return Ok(()),
            Err(other) => return Err(other),
        };
        let (Mode::Weights, Some(old)) = (header.mode, &header.old) else {
            return Err(Error::Unknown { field: "mode", found: header.mode as u64 });
        };
        check_old(&mut self.old, old)?;
        let full = Error::Corrupt { field: "header" };
        self.parsed.push(header).map_err(|_| full)?;
        self.digest.push(Hasher::new()).map_err(|_| full)?;
        self.phase = Phase::Head;
        Ok(())
    }

    /// Moves input into the coder's buffer; says whether the next `piece` bytes, or all that is left, are there.
    fn ready(&mut self, input: &mut &[u8], header: &Header, piece: usize) -> bool {
        if self.coder.buffered() >= piece {
            return true;
        }
        let left = header.payload_len - self.taken;
        let available: &[u8] = input;
        let n = self.coder.push(&available[..available.len().min(left as usize)]);
        *input = &available[n..];
        self.taken += n as u32;
        n as u32 == left || self.coder.buffered() >= piece
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
        if let Some(digest) = self.digest.first_mut() {
            digest.update(&self.pending);
        }
        Ok(())
    }

    fn old_byte(&mut self, at: u32) -> Result<u8, Error> {
        if let Some(byte) = at.checked_sub(self.window_at).and_then(|i| self.window.get(i as usize)) {
            return Ok(*byte);
        }
        // As far as the header says; that much has been read before, to identify it.
        let len = self.header().map_or(0, |header| header.new_len).saturating_sub(at).min(WINDOW as u32);
        self.window.clear();
        self.window.extend(core::iter::repeat_n(0, len as usize));
        self.old.read_at(at, &mut self.window)?;
        self.window_at = at;
        self.window.first().copied().ok_or(Error::Storage { offset: at, len: 1 })
    }

    /// All is rebuilt: the payload must be what its writer leaves behind, no byte more, and the digest right.
    fn complete(&mut self, header: &Header) -> Result<(), Error> {
        if self.taken != header.payload_len || !self.coder.ends_as_written() {
            return Err(Error::Corrupt { field: "payload" });
        }
        let found = self.digest.pop().ok_or(Error::Finished)?.finish();
        if found != header.digest {
            return Err(Error::DigestMismatch { expected: header.digest.old().0, found: found.old().0 });
        }
        self.phase = Phase::Done;
        Ok(())
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
        match (self.phase, self.parsed.first()) {
            (Phase::Done, _) => Ok(()),
            (Phase::Failed, _) => Err(Error::Finished),
            (_, Some(header)) => {
                let (need, have) = (u64::from(header.payload_len), u64::from(self.taken));
                Err(Error::Truncated { field: "payload", need, have })
            }
            (_, None) => {
                let (need, have) = (self.header.len() as u64 + 1, self.header.len() as u64);
                Err(Error::Truncated { field: "header", need, have })
            }
        }
    }

    fn header(&self) -> Option<&Header> {
        self.parsed.first()
    }
}
