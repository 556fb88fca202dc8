//! Compress, apply, squash and inspect: bytes in, bytes out.

use core::fmt;

use crate::base::{Resident, Shipped};
use crate::fit::encode::{Encoded, Job, account, decoder_ram, with_big_stack};
use crate::fit::search::smallest;
use crate::fit::weights;
use crate::layered;
use codec_core::container::digest::Id;
use codec_core::container::v2::{Header, Mode};
use codec_core::decoder::{Rebuild, Status};
use codec_core::delta::chain::{Budgets, Chain, Content, Link};
use codec_core::delta::weights::Element;
use codec_core::limits;
use codec_core::neural::Place;
use codec_core::predict::prior::PRIOR;
use codec_core::reloc::address::{AddressModel, Stretch};
use codec_core::weights_decoder::WeightsDecoder;

pub use codec_core::limits::Profile;

/// Encoding of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The fixed layout, zstd layers.
    V1,
    /// The air format.
    V2,
}

/// Called with the stage's name, the steps done and the steps in all.
pub type Progress<'a> = &'a (dyn Fn(&str, u64, u64) + Sync);

/// What the caller wants.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Device that must be able to decode the result.
    pub profile: Profile,
    /// Encoding of the container.
    pub format: Format,
    /// Base model that the device holds, if any.
    pub base: Option<Resident<'a>>,
    /// Told about every step, if given.
    pub progress: Option<Progress<'a>>,
}

/// A container and what its bytes were spent on.
pub struct Compressed {
    /// The GMCF file.
    pub bytes: Vec<u8>,
    /// What each byte was spent on.
    pub breakdown: Breakdown,
}

/// What the bytes of a container are spent on.
#[derive(Clone, Debug)]
pub struct Breakdown {
    /// Version of the encoding.
    pub version: u32,
    /// Whether an old image is needed.
    pub is_delta: bool,
    /// `stored`, `coded`, `weights`.
    pub mode: String,
    /// Profile that the container declares.
    pub profile: Option<Profile>,
    /// Bytes of the rebuilt content.
    pub new_len: u64,
    /// Bytes of the old image.
    pub old_len: Option<u64>,
    /// Bytes of the container.
    pub total: u64,
    /// Where they went; sums to `total`.
    pub parts: Vec<Part>,
    /// Segments of the alignment map.
    pub segments: u32,
    /// Instruction set of the relocation expert.
    pub isa: Option<String>,
    /// Bases at which absolute pointers are linked.
    pub bases: Vec<Base>,
    /// Bytes of RAM that the decoder needs, all in.
    pub decoder_ram: u64,
    /// Digest of the rebuilt content, hex.
    pub digest: String,
    /// Identity of the old image, hex.
    pub old_id: Option<String>,
    /// Identity of the base model, hex, where one is needed.
    pub base_id: Option<String>,
    /// Its name, if it ships.
    pub base_name: Option<&'static str>,
}

/// One kind of bits in a container.
#[derive(Clone, Debug)]
pub struct Part {
    /// Name as in FORMAT.md.
    pub name: String,
    /// Bits spent.
    pub bits: f64,
}

/// Where a linked part of an image lies in the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// Base address in the old image.
    pub old: u32,
    /// Base address in the new image.
    pub new: u32,
}

/// Why the codec gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecError {
    /// The format or the decoder refuses.
    Refused(codec_core::Error),
    /// No device could take the update.
    Release(update_core::Error),
    /// An input is longer than the format can name.
    TooLarge {
        /// Which input.
        what: &'static str,
        /// Its bytes.
        len: u64,
        /// Bytes that the format can name.
        limit: u64,
    },
    /// A promise of this program was broken: a bug.
    Internal(String),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "{error}"),
            Self::Release(error) => write!(f, "{error}"),
            Self::TooLarge { what, len, limit } => {
                write!(f, "{what} has {len} bytes, the format can name {limit}")
            }
            Self::Internal(what) => write!(f, "internal error: {what}"),
        }
    }
}

impl core::error::Error for CodecError {}

impl From<update_core::Error> for CodecError {
    fn from(error: update_core::Error) -> Self {
        Self::Release(error)
    }
}

impl From<codec_core::Error> for CodecError {
    fn from(error: codec_core::Error) -> Self {
        Self::Refused(error)
    }
}

/// Longest file that the format can name, bytes.
const LIMIT: u64 = i32::MAX as u64;
/// Longest content that is rebuilt where the caller names no other limit, bytes.
pub const MAX_SIZE: u32 = 1 << 30;
/// Bytes that the rebuilt content grows by at least.
const CHUNK: usize = 1 << 16;
/// Links that a chain may have.
const MAX_CHAIN: usize = 64;

fn check_len(what: &'static str, content: &[u8]) -> Result<(), CodecError> {
    let len = content.len() as u64;
    if len > LIMIT { Err(CodecError::TooLarge { what, len, limit: LIMIT }) } else { Ok(()) }
}

/// Compresses `new`, against `old` if there is one.
///
/// # Errors
/// [`CodecError::TooLarge`]; [`CodecError::Refused`] when no container can say it, which lengths below 2 GiB exclude.
pub fn compress(new: &[u8], old: Option<&[u8]>, options: &Options<'_>) -> Result<Compressed, CodecError> {
    check_len("the new file", new)?;
    check_len("the old file", old.unwrap_or(&[]))?;
    let job = Job { new, old, profile: options.profile, prior: PRIOR, base: options.base };
    let watch = |done, all| {
        if let Some(progress) = options.progress {
            progress("fit", done, all);
        }
    };
    packed(with_big_stack(|| smallest(&job, &watch))?, new, options.format)
}

/// As [`compress`], where both files are weights of this kind, and a file of weights is made if that is shorter. It takes
/// [`WeightsDecoder`] to read it.
///
/// # Errors
/// As [`compress`]; [`CodecError::Refused`] for files of two lengths.
pub fn compress_weights(
    new: &[u8],
    old: &[u8],
    element: Element,
    options: &Options<'_>,
) -> Result<Compressed, CodecError> {
    let plain = compress(new, Some(old), options)?;
    let weights = packed(weights::shortest(new, old, element)?, new, options.format)?;
    Ok(if weights.bytes.len() < plain.bytes.len() { weights } else { plain })
}

/// In the encoding that was asked for.
fn packed(encoded: Encoded, new: &[u8], format: Format) -> Result<Compressed, CodecError> {
    let air = Compressed { breakdown: breakdown(&encoded)?, bytes: encoded.bytes };
    match format {
        Format::V2 => Ok(air),
        Format::V1 => layered::wrap(air, new),
    }
}

/// Rebuilds the content; several containers are a chain, applied in order. All of the chain is checked first.
///
/// # Errors
/// [`CodecError::Refused`] with the named error of the format or the decoder; contents longer than [`MAX_SIZE`] are
/// refused.
pub fn apply(containers: &[&[u8]], old: Option<&[u8]>) -> Result<Vec<u8>, CodecError> {
    apply_within(containers, old, MAX_SIZE, None)
}

/// As [`apply`], where no content may be longer than `max_size` bytes. A longer one is refused before memory is taken
/// for it. A base model of the user's own can be given; those that ship are always there.
///
/// # Errors
/// As [`apply`].
pub fn apply_within(
    containers: &[&[u8]],
    old: Option<&[u8]>,
    max_size: u32,
    base: Option<Resident<'_>>,
) -> Result<Vec<u8>, CodecError> {
    let airs = containers.iter().map(|c| layered::air_of(c, max_size)).collect::<Result<Vec<_>, _>>()?;
    let headers = airs.iter().map(|air| Ok(Header::parse(air)?.0)).collect::<Result<Vec<_>, CodecError>>()?;
    check_chain(&headers, old, max_size)?;
    let mut content: Option<Vec<u8>> = None;
    for (air, container) in airs.iter().zip(containers) {
        let rebuilt = decode(air, content.as_deref().or(old), base)?;
        layered::verify(container, &rebuilt)?;
        content = Some(rebuilt);
    }
    Ok(content.unwrap_or_else(|| old.unwrap_or(&[]).to_vec()))
}

/// Checks that the links lead from `old` to an end, and that none takes more than there is.
fn check_chain(headers: &[Header], old: Option<&[u8]>, max_size: u32) -> Result<(), codec_core::Error> {
    let limits = Budgets { new_len: max_size, ram: Profile::Host.ram() };
    let budgets = |header: &Header| Budgets { new_len: header.new_len, ram: header.profile.ram() };
    // The decoder identifies the old image of a lone delta before it writes: once is enough. It looks at the length
    // that the header names, so the length is compared here.
    if let [header] = headers
        && let (Some(named), Some(old)) = (header.old, old)
        && named.len as usize == old.len()
    {
        return budgets(header).check(limits);
    }
    let mut chain: Chain<MAX_CHAIN> = Chain::new();
    for header in headers {
        chain.push(match header.old {
            Some(old) => Link::delta(old.id, header.digest, budgets(header)),
            None => Link::whole(header.digest, budgets(header)),
        })?;
    }
    let base = old.map(|old| Content::of(Id::of(old)));
    chain.check(base.as_ref(), limits).map(|_| ())
}

/// The containers of a chain that follow each other in one file. A container of version 1 stands alone.
///
/// # Errors
/// [`CodecError::Refused`] for a chain that ends within a container. What is no container at all is one link: whoever
/// applies it says what is wrong with it.
pub fn links(chain: &[u8]) -> Result<Vec<&[u8]>, CodecError> {
    let (mut links, mut rest) = (Vec::new(), chain);
    while !rest.is_empty() || links.is_empty() {
        let (header, header_len) = match Header::parse(rest) {
            Ok(parsed) => parsed,
            Err(_) if links.is_empty() => return Ok(vec![chain]),
            Err(error) => return Err(error.into()),
        };
        let len = header_len as u64 + u64::from(header.payload_len);
        let Some((link, behind)) = usize::try_from(len).ok().and_then(|len| rest.split_at_checked(len)) else {
            return Err(wrong_length("payload", len, rest.len() as u64).into());
        };
        links.push(link);
        rest = behind;
    }
    Ok(links)
}

/// Whether `container` rebuilds a content from an old one.
///
/// # Errors
/// [`CodecError::Refused`] when its header cannot be read.
pub fn is_delta(container: &[u8]) -> Result<bool, CodecError> {
    // Which is a whole content: it need not be rebuilt to find that out.
    if layered::is_position_memory(container)? {
        return Ok(false);
    }
    Ok(Header::parse(&layered::air_of(container, MAX_SIZE)?)?.0.old.is_some())
}

/// The base model that a container names: the user's own if that is it, or one that ships. None when it is neither: the
/// decoder refuses then.
fn base_of<'a>(header: &Header, base: Option<Resident<'a>>) -> Result<Option<Resident<'a>>, codec_core::Error> {
    let Some(id) = header.base else { return Ok(None) };
    match base.filter(|base| base.id == id) {
        Some(own) => Ok(Some(own)),
        None => Shipped::with_id(id).map(Shipped::open).transpose(),
    }
}

/// Makes one delta of two that follow each other. `old` is what the first was made against.
///
/// # Errors
/// As [`apply`] and [`compress`].
pub fn squash(a: &[u8], b: &[u8], old: Option<&[u8]>, options: &Options<'_>) -> Result<Compressed, CodecError> {
    let new = apply_within(&[a, b], old, MAX_SIZE, options.base)?;
    // A whole file needs no old image, whatever follows it.
    let old = if is_delta(a)? && is_delta(b)? { old } else { None };
    compress(&new, old, options)
}

/// Tells what the bytes of `container` are spent on: exact with the old image, else header and payload only.
///
/// # Errors
/// [`CodecError::Refused`] with the named error of the format or the decoder.
pub fn inspect(container: &[u8], old: Option<&[u8]>, base: Option<Resident<'_>>) -> Result<Breakdown, CodecError> {
    let air = layered::air_of(container, MAX_SIZE)?;
    let (header, header_len) = Header::parse(&air)?;
    let known = header.mode != Mode::Stored && (header.old.is_none() || old.is_some());
    let found = if known {
        // Refuses what does not decode, before it is read without checks.
        check_chain(&[header], old, MAX_SIZE)?;
        let rebuilt = decode(&air, old, base)?;
        layered::verify(container, &rebuilt)?;
        let base = base_of(&header, base)?;
        let old = old.unwrap_or(&[]);
        breakdown(&match header.mode {
            Mode::Weights => weights::account(&air, old)?,
            _ => with_big_stack(|| account(&air, old, PRIOR, base))?,
        })?
    } else {
        let expected = header_len as u64 + u64::from(header.payload_len);
        if air.len() as u64 != expected {
            return Err(wrong_length("payload", expected, air.len() as u64).into());
        }
        let payload = Part { name: "payload".into(), bits: 8.0 * f64::from(header.payload_len) };
        let parts = vec![Part { name: "header".into(), bits: 8.0 * header_len as f64 }, payload];
        of_header(&header, air.len(), parts)
    };
    Ok(layered::with_frame(found, container)?)
}

/// Rebuilds one version 2 file.
fn decode(air: &[u8], old: Option<&[u8]>, base: Option<Resident<'_>>) -> Result<Vec<u8>, codec_core::Error> {
    let (header, _) = Header::parse(air)?;
    if header.old.is_some() && old.is_none() {
        return Err(codec_core::Error::OldMissing);
    }
    let (old, new_len) = (old.unwrap_or(&[]), header.new_len);
    if header.mode == Mode::Weights {
        return pump(|| WeightsDecoder::new(old), air, new_len);
    }
    let held = Place::of(base_of(&header, base)?.map(|base| base.held()));
    match header.profile {
        Profile::Tiny => pump(|| limits::Tiny::with_base(old, held), air, new_len),
        Profile::Small => pump(|| limits::Small::with_base(old, held), air, new_len),
        Profile::Medium => pump(|| limits::Medium::with_base(old, held), air, new_len),
        Profile::Host => with_big_stack(|| pump(|| limits::Host::with_base(old, held), air, new_len)),
    }
}

/// Feeds `input` to a new decoder, which writes right into what is returned. That grows with what has been rebuilt: a
/// header that lies about `new_len`, in bytes, takes no memory. Never inlined, so that a decoder on its way to the heap
/// passes through the stack frame of its own profile alone.
#[inline(never)]
fn pump<D: Rebuild>(make: impl FnOnce() -> D, mut input: &[u8], new_len: u32) -> Result<Vec<u8>, codec_core::Error> {
    let mut decoder = Box::new(make());
    let mut output = Vec::new();
    let mut len = 0;
    loop {
        if len == output.len() {
            output.resize((2 * len).max(CHUNK).min(new_len as usize), 0);
        }
        let step = decoder.update(input, &mut output[len..])?;
        input = &input[step.consumed..];
        len += step.written;
        match step.status {
            Status::NeedOutput => {}
            Status::NeedInput => decoder.finish()?,
            Status::Done if input.is_empty() => {
                output.truncate(len);
                return Ok(output);
            }
            Status::Done => return Err(wrong_length("payload", 0, input.len() as u64)),
        }
    }
}

/// The error for a `field` of another length than `limit`.
pub(crate) fn wrong_length(field: &'static str, limit: u64, found: u64) -> codec_core::Error {
    if found < limit {
        codec_core::Error::Truncated { field, need: limit, have: found }
    } else {
        codec_core::Error::OutOfRange { field, found, limit }
    }
}

fn of_header(header: &Header, total: usize, parts: Vec<Part>) -> Breakdown {
    let mode = match header.mode {
        Mode::Stored => "stored",
        Mode::Coded => "coded",
        Mode::Primed => "coded, network primed with the old image",
        Mode::Weights => "weights",
    };
    Breakdown {
        version: 2,
        is_delta: header.old.is_some(),
        mode: mode.into(),
        profile: Some(header.profile),
        new_len: u64::from(header.new_len),
        old_len: header.old.map(|old| u64::from(old.len)),
        total: total as u64,
        parts,
        segments: 0,
        isa: None,
        bases: Vec::new(),
        decoder_ram: match header.mode {
            Mode::Weights => size_of::<WeightsDecoder<&[u8]>>(),
            _ => decoder_ram(header.profile),
        } as u64,
        digest: header.digest.to_string(),
        old_id: header.old.map(|old| old.id.to_string()),
        base_id: header.base.map(|base| base.to_string()),
        base_name: header.base.and_then(Shipped::with_id).map(|shipped| shipped.name),
    }
}

/// The instruction set, then the parts that are read with others: `thumb, rv32 at 0x1d300..0x22000`.
fn isa_names(address: &AddressModel) -> String {
    let stretch = |s: &Stretch| format!(", {} at {:#x}..{:#x}", s.isa.name(), s.start, s.end());
    address.isa.name().to_owned() + &address.stretches().iter().map(stretch).collect::<String>()
}

fn breakdown(encoded: &Encoded) -> Result<Breakdown, codec_core::Error> {
    let (header, header_len) = Header::parse(&encoded.bytes)?;
    let total = encoded.bytes.len();
    let part = |name: &str, bits: f64| Part { name: name.into(), bits };
    let mut parts = vec![part("header", 8.0 * header_len as f64)];
    if header.mode == Mode::Stored {
        parts.push(part("payload", 8.0 * (total - header_len) as f64));
        return Ok(of_header(&header, total, parts));
    }
    let names = ["map", "relocation", "hits", "misses", "inserted", "adapter", "differences"];
    let kinds = if header.mode == Mode::Weights { 5..7 } else { 0..5 };
    parts.extend(kinds.map(|kind| part(names[kind], encoded.bits[kind])));
    // The coder's last bits: the payload ends at a byte.
    let spent: f64 = parts.iter().map(|p| p.bits).sum();
    parts.push(part("rounding", 8.0 * total as f64 - spent));
    let address = &encoded.alignment.address;
    Ok(Breakdown {
        segments: encoded.alignment.segments.len() as u32,
        isa: header.old.filter(|_| header.mode != Mode::Weights).map(|_| isa_names(address)),
        bases: address.regions().iter().map(|r| Base { old: r.old_base, new: r.new_base }).collect(),
        ..of_header(&header, total, parts)
    })
}
