//! The decoder: sans-IO, fixed memory, verified result.

use crate::Error;
use crate::container::digest::{Hasher, Id};
use crate::container::v2::{Header, Mode, Old};
use crate::delta::map::{MapModel, Segment};
use crate::entropy::RangeDecoder;
use crate::intake::Intake;
use crate::neural::{NoBase, Resident};
use crate::predict::prior::PRIOR;
use crate::predict::{Files, MAX_STEP, MAX_STEP_BITS, Rebuilder};
use crate::reloc::IsaKind;
use crate::reloc::address::{AddressCode, AddressModel, MAX_REGIONS, Region, Stretch};
use crate::storage::ReadAt;

/// What one call of [`Decoder::update`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input that were taken; call again with the rest.
    pub consumed: usize,
    /// Bytes of the output that are new.
    pub written: usize,
    /// What is needed to go on.
    pub status: Status,
}

/// What the decoder waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All input was taken; more is needed.
    NeedInput,
    /// The output is full.
    NeedOutput,
    /// The new file is complete, and its digest is right.
    Done,
}

/// What stands before the first byte of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Header,
    Stored,
    Address,
    Stretches { left: usize, regions: usize },
    Regions { left: usize },
    Map,
    Segments { left: u32 },
    Prime,
    Body,
    Done,
    Failed,
}

/// Bytes that one piece of the payload can take at most, given its bits: the coder reads four bytes ahead.
pub(crate) const fn bytes(bits: usize) -> usize {
    bits.div_ceil(8) + 8
}

const HEAD_BYTES: usize = bytes(AddressCode::MAX_HEAD_BITS);
/// Of a stretch or a region.
const ADDRESS_BYTES: usize = bytes(AddressCode::MAX_BITS);
const COUNT_BYTES: usize = bytes(crate::entropy::number::MAX_BITS);
const SEGMENT_BYTES: usize = bytes(MapModel::MAX_BITS);
const UNIT_BYTES: usize = bytes(MAX_STEP_BITS);
const BUFFER: usize = 192;
const _: () = assert!(ADDRESS_BYTES <= BUFFER && SEGMENT_BYTES <= BUFFER && UNIT_BYTES <= BUFFER);

/// Rebuilds one new file from one GMCF version 2 file, of all modes but [`Mode::Weights`], which
/// [`WeightsDecoder`](crate::weights_decoder::WeightsDecoder) is for. See [`crate::limits`] for ready-made sizes.
///
/// Nothing is written before header, budgets and the old image's identity have been checked. After an error, and
/// after [`Status::Done`], every call returns [`Error::Finished`].
#[derive(Debug)]
pub struct Decoder<O, const WORDS: usize, const REWRITES: usize, const HISTORY: usize, const INDEX: usize, B = NoBase> {
    phase: Phase,
    intake: Intake,
    coder: RangeDecoder<BUFFER>,
    addresses: AddressCode,
    address: AddressModel,
    rebuilder: Rebuilder<O, WORDS, REWRITES, HISTORY, INDEX, B>,
    pending: heapless::Vec<u8, MAX_STEP>,
}

impl<O, const WORDS: usize, const REWRITES: usize, const HISTORY: usize, const INDEX: usize>
    Decoder<O, WORDS, REWRITES, HISTORY, INDEX>
{
    /// A decoder that reads the old image through `old`; an empty source when there is none. It has no base model.
    ///
    /// All its bits are zero, but for the storage's: a `static` decoder takes no flash.
    pub const fn new(old: O) -> Self {
        Self::with_base(old, NoBase)
    }
}

impl<O, const WORDS: usize, const REWRITES: usize, const HISTORY: usize, const INDEX: usize, B>
    Decoder<O, WORDS, REWRITES, HISTORY, INDEX, B>
{
    /// As [`Decoder::new`], with a base model.
    pub const fn with_base(old: O, base: B) -> Self {
        Self {
            phase: Phase::Header,
            intake: Intake::new(),
            coder: RangeDecoder::new(),
            addresses: AddressCode::zero(),
            address: AddressModel::new(IsaKind::Plain),
            rebuilder: Rebuilder::new(old, base),
            pending: heapless::Vec::new(),
        }
    }
}

impl<O: ReadAt, const WORDS: usize, const REWRITES: usize, const HISTORY: usize, const INDEX: usize, B: Resident>
    Decoder<O, WORDS, REWRITES, HISTORY, INDEX, B>
{
    /// What the old image is read through.
    pub fn storage(&mut self) -> &mut O {
        self.rebuilder.storage()
    }

    /// The base model, or the place for one, to be filled before the first [`Decoder::update`].
    pub fn base(&mut self) -> &mut B {
        self.rebuilder.base()
    }

    /// The header, once it has been read and accepted.
    pub fn header(&self) -> Option<&Header> {
        self.intake.header()
    }

    /// Takes input, yields output. How the two are cut into pieces never changes the result.
    ///
    /// # Errors
    /// What is wrong with the container or the old image; the decoder is then finished, and the output is to be
    /// discarded.
    pub fn update(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        let result = self.advance(input, output, false);
        if result.is_err() {
            self.phase = Phase::Failed;
        }
        result
    }

    /// As [`Decoder::update`], but what is written belongs together: the bytes at the offsets `new` on were expected
    /// to be like those of the old image at `new` plus the returned shift (wrapping). They need not be, and the place
    /// may lie outside the old image. The status is [`Status::NeedOutput`] where the output is not full, too.
    ///
    /// # Errors
    /// As [`Decoder::update`].
    pub fn trace(&mut self, input: &[u8], output: &mut [u8]) -> Result<(Step, u32), Error> {
        let result = self.advance(input, output, true);
        if result.is_err() {
            self.phase = Phase::Failed;
        }
        Ok((result?, self.rebuilder.shift()))
    }

    /// To be called when there is no more input: says what is missing, if anything.
    ///
    /// # Errors
    /// [`Error::Truncated`] when the new file is not complete.
    pub fn finish(&self) -> Result<(), Error> {
        match self.phase {
            Phase::Done => Ok(()),
            Phase::Failed => Err(Error::Finished),
            _ => Err(self.intake.missing()),
        }
    }

    fn advance(&mut self, mut input: &[u8], output: &mut [u8], single: bool) -> Result<Step, Error> {
        let input_len = input.len();
        // Bytes written, and what is waited for; `None` when the new file is complete.
        let (written, waits_for) = loop {
            match self.phase {
                Phase::Failed | Phase::Done => return Err(Error::Finished),
                Phase::Header => {
                    let Some((&byte, rest)) = input.split_first() else { break (0, Some(Status::NeedInput)) };
                    input = rest;
                    self.read_header(byte)?;
                }
                Phase::Stored => break self.stored(&mut input, output),
                Phase::Body => break self.body(&mut input, output, single)?,
                phase => {
                    if !self.intake.fill(&mut self.coder, &mut input, piece_bytes(phase)) {
                        break (0, Some(Status::NeedInput));
                    }
                    self.phase = self.prepare(phase)?;
                }
            }
        };
        self.intake.rebuilt(&output[..written]);
        let status = match waits_for {
            Some(status) => status,
            None => self.complete()?,
        };
        Ok(Step { consumed: input_len - input.len(), written, status })
    }

    // The phases are not inlined: the stack then holds the frame of the one that runs, not of all.

    /// Copies the payload until input or output run out, or (`None`) the file is complete. Says how many bytes.
    #[inline(never)]
    fn stored(&mut self, input: &mut &[u8], output: &mut [u8]) -> (usize, Option<Status>) {
        let left = self.intake.left() as usize;
        let available: &[u8] = input;
        let n = left.min(available.len()).min(output.len());
        output[..n].copy_from_slice(&available[..n]);
        self.intake.take(input, n);
        let waits_for = match left - n {
            0 => None,
            _ if n == available.len() => Some(Status::NeedInput),
            _ => Some(Status::NeedOutput),
        };
        (n, waits_for)
    }

    /// Rebuilds units until input or output run out, or (`None`) the file is complete; one at most when `single` is set.
    /// Says how many bytes were written.
    #[inline(never)]
    fn body(&mut self, input: &mut &[u8], output: &mut [u8], single: bool) -> Result<(usize, Option<Status>), Error> {
        let mut written = self.pending.len().min(output.len());
        if !self.pending.is_empty() {
            output[..written].copy_from_slice(&self.pending[..written]);
            self.pending.rotate_left(written);
            self.pending.truncate(self.pending.len() - written);
            if !self.pending.is_empty() {
                return Ok((written, Some(Status::NeedOutput)));
            }
        }
        while !self.rebuilder.is_done() {
            if written == output.len() || single && written > 0 {
                return Ok((written, Some(Status::NeedOutput)));
            }
            if !self.intake.fill(&mut self.coder, input, UNIT_BYTES) {
                return Ok((written, Some(Status::NeedInput)));
            }
            let mut word = [0; MAX_STEP];
            let n = self.rebuilder.step(&mut self.coder, &[], None, &mut word)?;
            let rest = &mut output[written..];
            match rest.get_mut(..n) {
                Some(place) => {
                    put(place, word);
                    written += n;
                }
                // The output is nearly full; `pending` is empty and holds a whole step.
                None => {
                    let room = rest.len();
                    rest.copy_from_slice(&word[..room]);
                    self.pending.extend(word[room..n].iter().copied());
                    return Ok((written + room, Some(Status::NeedOutput)));
                }
            }
        }
        Ok((written, None))
    }

    #[inline(never)]
    fn read_header(&mut self, byte: u8) -> Result<(), Error> {
        let Some(header) = self.intake.read(byte)? else { return Ok(()) };
        self.phase = self.open(&header)?;
        self.check_old(&header)?;
        self.intake.accept(header)
    }

    /// Checks budgets and the old image, and sets the tables up.
    #[inline(never)]
    fn open(&mut self, header: &Header) -> Result<Phase, Error> {
        let old_len = header.old.map_or(0, |old| old.len);
        self.addresses.start();
        if header.mode != Mode::Stored {
            let files = Files { old_len, new_len: header.new_len };
            self.rebuilder.start(files, &header.profile.parameters(), PRIOR, header.base)?;
        }
        Ok(match header.mode {
            Mode::Stored => Phase::Stored,
            Mode::Coded | Mode::Primed if header.old.is_none() => {
                self.rebuilder.finish_map(AddressModel::default());
                Phase::Body
            }
            Mode::Coded | Mode::Primed => Phase::Address,
            Mode::Weights => return Err(Error::Unknown { field: "mode", found: header.mode as u64 }),
        })
    }

    /// Checks that the old image is the one that the header names. Here the stack is deepest.
    #[inline(never)]
    fn check_old(&mut self, header: &Header) -> Result<(), Error> {
        header.old.iter().try_for_each(|old| check_old(self.rebuilder.storage(), old))
    }

    /// Reads one piece of what stands before the body; its bytes are there.
    #[inline(never)]
    fn prepare(&mut self, phase: Phase) -> Result<Phase, Error> {
        Ok(match phase {
            Phase::Address => {
                let head = AddressCode::code_head(&mut self.coder, &AddressModel::default())?;
                self.address = AddressModel::new(head.isa);
                debug_assert!(head.regions <= MAX_REGIONS);
                Phase::Stretches { left: head.stretches, regions: head.regions }
            }
            Phase::Stretches { left: 0, regions } => Phase::Regions { left: regions },
            Phase::Stretches { left, regions } => {
                let end = self.address.stretches().last().map_or(0, Stretch::end);
                let stretch = self.addresses.code_stretch(&mut self.coder, end, Stretch::ANY)?;
                let old_len = self.intake.header().and_then(|h| h.old).map_or(0, |old| old.len);
                self.address.push_stretch(stretch, old_len)?;
                Phase::Stretches { left: left - 1, regions }
            }
            Phase::Regions { left: 0 } => Phase::Map,
            Phase::Regions { left } => {
                let region = self.addresses.code(&mut self.coder, Region::default());
                self.address.push(region)?;
                Phase::Regions { left: left - 1 }
            }
            Phase::Map => {
                let left = self.rebuilder.code_count(&mut self.coder, 0)?;
                Phase::Segments { left }
            }
            Phase::Segments { left: 0 } => {
                self.rebuilder.finish_map(self.address.clone());
                Phase::Prime
            }
            Phase::Segments { left } => {
                self.rebuilder.code_segment(&mut self.coder, Segment::default(), left - 1)?;
                Phase::Segments { left: left - 1 }
            }
            Phase::Prime => {
                let train = self.intake.header().is_some_and(|h| h.mode == Mode::Primed);
                self.rebuilder.prime(train)?;
                Phase::Body
            }
            other => other,
        })
    }

    /// All is written.
    #[inline(never)]
    fn complete(&mut self) -> Result<Status, Error> {
        self.intake.complete(self.coder.ends_as_written())?;
        self.phase = Phase::Done;
        Ok(Status::Done)
    }
}

/// What rebuilds a file from pieces of its container: a [`Decoder`] of any size.
pub trait Rebuild {
    /// As [`Decoder::update`].
    ///
    /// # Errors
    /// As [`Decoder::update`].
    fn update(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error>;

    /// As [`Decoder::trace`].
    ///
    /// # Errors
    /// As [`Decoder::trace`].
    fn trace(&mut self, input: &[u8], output: &mut [u8]) -> Result<(Step, u32), Error>;

    /// As [`Decoder::finish`].
    ///
    /// # Errors
    /// As [`Decoder::finish`].
    fn finish(&self) -> Result<(), Error>;

    /// As [`Decoder::header`].
    fn header(&self) -> Option<&Header>;
}

impl<O: ReadAt, const WORDS: usize, const REWRITES: usize, const HISTORY: usize, const INDEX: usize, B: Resident>
    Rebuild for Decoder<O, WORDS, REWRITES, HISTORY, INDEX, B>
{
    fn update(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        self.update(input, output)
    }

    fn trace(&mut self, input: &[u8], output: &mut [u8]) -> Result<(Step, u32), Error> {
        self.trace(input, output)
    }

    fn finish(&self) -> Result<(), Error> {
        self.finish()
    }

    fn header(&self) -> Option<&Header> {
        self.header()
    }
}

/// Fills `place` with the first bytes of `word`. They are too few for a call of `memcpy`.
#[inline]
fn put(place: &mut [u8], word: [u8; MAX_STEP]) {
    let [a, b, c, d] = word;
    match place {
        [p] => *p = a,
        [p, q] => (*p, *q) = (a, b),
        [p, q, r] => (*p, *q, *r) = (a, b, c),
        [p, q, r, s] => (*p, *q, *r, *s) = (a, b, c, d),
        _ => debug_assert!(place.is_empty(), "a step is at most MAX_STEP bytes"),
    }
}

/// Bytes that the next piece of `phase` can take at most.
fn piece_bytes(phase: Phase) -> usize {
    match phase {
        Phase::Address => HEAD_BYTES,
        Phase::Stretches { left: 0, .. } | Phase::Regions { left: 0 } => 0,
        Phase::Segments { left: 0 } | Phase::Prime => 0,
        Phase::Stretches { .. } | Phase::Regions { .. } => ADDRESS_BYTES,
        Phase::Map => COUNT_BYTES,
        _ => SEGMENT_BYTES,
    }
}

/// Checks that `source` is the image `old`.
///
/// # Errors
/// [`Error::OldMissing`] for an empty one; [`Error::WrongOld`]; those of [`identify`].
pub(crate) fn check_old(source: &mut impl ReadAt, old: &Old) -> Result<(), Error> {
    if old.len > 0 && source.is_empty() {
        return Err(Error::OldMissing);
    }
    let found = identify(source, old.len)?;
    if !old.id.names(&found) {
        return Err(Error::WrongOld { expected: old.id.0, found: found.old().0 });
    }
    Ok(())
}

/// The identity of the first `len` bytes of `source`.
///
/// # Errors
/// [`Error::Storage`] when it is shorter or cannot be read.
pub fn identify(source: &mut impl ReadAt, len: u32) -> Result<Id, Error> {
    let mut digest = Hasher::new();
    let mut buffer = [0; 128];
    let mut at = 0;
    while at < len {
        let n = (len - at).min(buffer.len() as u32) as usize;
        source.read_at(at, &mut buffer[..n])?;
        digest.update(&buffer[..n]);
        at += n as u32;
    }
    Ok(digest.finish())
}
