//! Drives the predictor over a whole file: to encode it, or to see what its bytes were spent on.

use crate::align::Alignment;
use crate::base::Resident;
use codec_core::Error;
use codec_core::container::digest::Id;
use codec_core::container::v2::{Header, Mode, Old};
use codec_core::entropy::range::{PARTS, Part};
use codec_core::entropy::{Coder, RangeDecoder, RangeEncoder};
use codec_core::limits::{self, Profile};
use codec_core::neural::adapter::Adapter;
use codec_core::neural::{Held, Place};
use codec_core::predict::{Files, MAX_STEP, Rebuilder};
use codec_core::reloc::address::{AddressCode, AddressModel, Region, Stretch};

/// A predictor over files in memory, with tables of these sizes.
type Predictor<'a, const WORDS: usize, const REWRITES: usize, const HISTORY: usize, const INDEX: usize> =
    Rebuilder<&'a [u8], WORDS, REWRITES, HISTORY, INDEX, Place<Held<'a, Option<Adapter<'a>>>>>;

/// A predictor with room for every profile: some 12 MB.
pub type AnyRebuilder<'a> = Predictor<'a, { limits::HOST_WORDS }, { 1 << 14 }, { 1 << 20 }, { 1 << 19 }>;

/// A predictor with room for every profile but the largest. A small file is coded in less time than the larger one's
/// tables take to come from the system.
type MediumRebuilder<'a> = Predictor<'a, { limits::MEDIUM_WORDS }, { 1 << 10 }, { 1 << 13 }, { 1 << 13 }>;

/// Stack that a thread needs to build an [`AnyRebuilder`] or a [`limits::Host`], bytes.
const BIG_STACK: usize = 128 << 20;

/// Runs `work` on a thread whose stack holds the largest tables.
///
/// # Panics
/// When `work` does, or no thread can be had.
pub fn with_big_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(BIG_STACK);
        match thread.spawn_scoped(scope, work).expect("a thread can be started").join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// A coder that keeps accounts of what it codes.
pub struct Ledger<C> {
    inner: C,
    part: Part,
    /// Bits by [`Part`].
    pub bits: [f64; PARTS],
}

impl<C> Ledger<C> {
    pub(super) fn new(inner: C) -> Self {
        Self { inner, part: Part::Map, bits: [0.0; PARTS] }
    }

    /// The coder within.
    pub(super) fn into_inner(self) -> C {
        self.inner
    }
}

impl<C: Coder> Coder for Ledger<C> {
    fn code(&mut self, bit: u32, p: u32) -> u32 {
        let bit = self.inner.code(bit, p);
        let spent = if bit != 0 { p } else { 65536 - p };
        self.bits[self.part as usize] += 16.0 - f64::from(spent).log2();
        bit
    }

    fn account(&mut self, part: Part) {
        self.part = part;
    }
}

/// A range decoder over a whole payload.
pub(super) struct Payload<'a> {
    decoder: RangeDecoder<64>,
    rest: &'a [u8],
}

impl<'a> Payload<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { decoder: RangeDecoder::new(), rest }
    }
}

impl Coder for Payload<'_> {
    fn code(&mut self, bit: u32, p: u32) -> u32 {
        if self.decoder.buffered() < 8 {
            self.rest = &self.rest[self.decoder.push(self.rest)..];
        }
        self.decoder.code(bit, p)
    }
}

/// Codes a whole payload. An encoder passes what it found and the new file; a decoder passes an empty alignment and
/// an empty file. `old_len` is there in a delta. Returns what was coded.
fn drive<C: Coder, const WORDS: usize, const REWRITES: usize, const HISTORY: usize, const INDEX: usize>(
    coder: &mut C,
    rebuilder: &mut Predictor<'_, WORDS, REWRITES, HISTORY, INDEX>,
    old_len: Option<u32>,
    alignment: &Alignment,
    new: &[u8],
    train: bool,
) -> Result<(Alignment, Vec<u8>), Error> {
    let mut coded = Alignment::default();
    if let Some(old_len) = old_len {
        coder.account(Part::Relocation);
        let head = AddressCode::code_head(coder, &alignment.address)?;
        coded.address = AddressModel::new(head.isa);
        let mut code = AddressCode::new();
        for i in 0..head.stretches {
            let stretch = alignment.address.stretches().get(i).copied().unwrap_or(Stretch::ANY);
            let end = coded.address.stretches().last().map_or(0, Stretch::end);
            coded.address.push_stretch(code.code_stretch(coder, end, stretch)?, old_len)?;
        }
        let regions = alignment.address.regions();
        for i in 0..head.regions {
            let region = regions.get(i).copied().unwrap_or_default();
            coded.address.push(code.code(coder, region) as Region)?;
        }
        coder.account(Part::Map);
        let count = rebuilder.code_count(coder, alignment.segments.len() as u32)?;
        for i in 0..count {
            let segment = alignment.segments.get(i as usize).copied().unwrap_or_default();
            coded.segments.push(rebuilder.code_segment(coder, segment, count - 1 - i)?);
        }
        rebuilder.finish_map(coded.address.clone());
        rebuilder.prime(train)?;
    } else {
        rebuilder.finish_map(AddressModel::default());
    }
    let mut copies = alignment.copies.iter().copied().peekable();
    let mut rebuilt = Vec::new();
    let mut word = [0; MAX_STEP];
    while !rebuilder.is_done() {
        let rest = new.get(rebuilt.len()..).unwrap_or(&[]);
        let pos = rebuilt.len() as u32;
        while copies.next_if(|c| c.new < pos).is_some() {}
        let n = rebuilder.step(coder, rest, copies.peek().copied(), &mut word)?;
        rebuilt.extend_from_slice(&word[..n]);
    }
    Ok((coded, rebuilt))
}

/// A file and what it is coded against.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The new file.
    pub new: &'a [u8],
    /// The old image, if there is one.
    pub old: Option<&'a [u8]>,
    /// Budget.
    pub profile: Profile,
    /// State that the network starts from.
    pub prior: &'a [u8],
    /// Base model that may be used.
    pub base: Option<Resident<'a>>,
}

/// A GMCF version 2 file and its accounts.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The file.
    pub bytes: Vec<u8>,
    /// Header's length, bytes.
    pub header_len: usize,
    /// Bits by [`Part`].
    pub bits: [f64; PARTS],
    /// What the map and the address model say.
    pub alignment: Alignment,
    /// How the payload is coded.
    pub mode: Mode,
    /// Whether the old image is needed.
    pub is_delta: bool,
}

pub(super) fn header(job: &Job<'_>, mode: Mode, payload_len: u32) -> Header {
    let old = job.old.map(|old| Old { len: old.len() as u32, id: Id::of(old).old() });
    let base = job.base.map(|base| base.id);
    Header {
        profile: job.profile,
        mode,
        new_len: job.new.len() as u32,
        old,
        base,
        payload_len,
        digest: Id::of(job.new),
    }
}

/// Codes the new file as it is.
///
/// # Errors
/// [`Error::OutOfRange`] when the lengths cannot be expressed.
pub fn stored(job: &Job<'_>) -> Result<Encoded, Error> {
    let alone = Job { old: None, profile: Profile::Tiny, base: None, ..*job };
    let header = header(&alone, Mode::Stored, job.new.len() as u32).emit()?;
    let alignment = Alignment::default();
    let bytes = [&header[..], job.new].concat();
    Ok(Encoded { bytes, header_len: header.len(), bits: [0.0; PARTS], alignment, mode: Mode::Stored, is_delta: false })
}

/// Codes `job` with a predictor of these tables, handed to `finish` after the run.
fn encode_in<const WORDS: usize, const REWRITES: usize, const HISTORY: usize, const INDEX: usize>(
    job: &Job<'_>,
    alignment: &Alignment,
    train: bool,
    finish: impl FnOnce(&mut Predictor<'_, WORDS, REWRITES, HISTORY, INDEX>),
) -> Result<Encoded, Error> {
    let old = job.old.unwrap_or(&[]);
    let files = Files { old_len: old.len() as u32, new_len: job.new.len() as u32 };
    let parameters = job.profile.parameters();
    let held = Place::of(job.base.map(|base| base.held()));
    let mut rebuilder: Box<Predictor<'_, WORDS, REWRITES, HISTORY, INDEX>> = Box::new(Rebuilder::new(old, held));
    rebuilder.start(files, &parameters, job.prior, job.base.map(|base| base.id))?;
    let mut payload = Vec::new();
    let mut ledger = Ledger::new(RangeEncoder::new(|byte| payload.push(byte)));
    let old_len = job.old.map(|old| old.len() as u32);
    drive(&mut ledger, &mut rebuilder, old_len, alignment, job.new, train)?;
    finish(&mut rebuilder);
    let bits = ledger.bits;
    let _ = ledger.into_inner().finish();
    let mode = if train && old_len.is_some() { Mode::Primed } else { Mode::Coded };
    let header = header(job, mode, payload.len() as u32).emit()?;
    let bytes = [&header[..], &payload].concat();
    let (alignment, is_delta) = (alignment.clone(), job.old.is_some());
    Ok(Encoded { bytes, header_len: header.len(), bits, alignment, mode, is_delta })
}

/// A predictor at the start of `job`, handed to `finish` after the run: for the trainer, which keeps its state.
///
/// # Errors
/// Those of the predictor; the container's own limits.
pub fn encode_with(
    job: &Job<'_>,
    alignment: &Alignment,
    train: bool,
    finish: impl FnOnce(&mut AnyRebuilder<'_>),
) -> Result<Encoded, Error> {
    encode_in(job, alignment, train, finish)
}

/// Codes the new file with this alignment.
///
/// # Errors
/// As [`encode_with`].
pub fn encode(job: &Job<'_>, alignment: &Alignment, train: bool) -> Result<Encoded, Error> {
    if job.profile <= Profile::Medium {
        encode_in(job, alignment, train, |_: &mut MediumRebuilder<'_>| {})
    } else {
        encode_in(job, alignment, train, |_: &mut AnyRebuilder<'_>| {})
    }
}

/// Reads a coded file again and keeps accounts.
///
/// # Errors
/// What is wrong with it. Digests are not checked: the decoder does that.
pub fn account(container: &[u8], old: &[u8], prior: &[u8], base: Option<Resident<'_>>) -> Result<Encoded, Error> {
    let (header, header_len) = Header::parse(container)?;
    let parameters = header.profile.parameters();
    let mut rebuilder: Box<AnyRebuilder<'_>> = Box::new(Rebuilder::new(old, Place::of(base.map(|base| base.held()))));
    let files = Files { old_len: header.old.map_or(0, |o| o.len), new_len: header.new_len };
    rebuilder.start(files, &parameters, prior, header.base)?;
    let mut ledger = Ledger::new(Payload::new(&container[header_len..]));
    let nothing = Alignment::default();
    let train = header.mode == Mode::Primed;
    let old_len = header.old.map(|old| old.len);
    let (alignment, _) = drive(&mut ledger, &mut rebuilder, old_len, &nothing, &[], train)?;
    let (bytes, is_delta) = (container.to_vec(), old_len.is_some());
    Ok(Encoded { bytes, header_len, bits: ledger.bits, alignment, mode: header.mode, is_delta })
}

/// Bytes of RAM that a decoder of `profile` takes, its stack and the caller's buffers not counted.
pub fn decoder_ram(profile: Profile) -> usize {
    type Old<'a> = &'a [u8];
    match profile {
        Profile::Tiny => size_of::<limits::Tiny<Old<'_>>>(),
        Profile::Small => size_of::<limits::Small<Old<'_>>>(),
        Profile::Medium => size_of::<limits::Medium<Old<'_>>>(),
        Profile::Host => size_of::<limits::Host<Old<'_>>>(),
    }
}
