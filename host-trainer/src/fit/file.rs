//! One file by itself: every way to send it that applies, what each costs, and the shortest.

use super::adapter::{self, Family};
use super::encode::{Job, stored};
use super::memory::{BITS, Codes};
use crate::codec::{self, CodecError, Options};
use crate::layered::{position_memory, position_memory_quick_len};
use codec_core::Error;
use codec_core::container::v2::Header;
use codec_core::predict::prior::PRIOR;

/// Longest file whose position memories are fitted, bytes. At 64 dimensions of 8 bits, the codes are 64 times as long.
pub const MOST_FITTED: usize = 64 << 10;
/// A memory that, packed in a hurry, is so many times as long as the shortest file so far is not packed with care. That took
/// most of the time, and gains a factor of 2.4, of 3.2 at most (512 random bytes): it would still not be the shortest.
const HOPELESS: u64 = 3;

/// A way to send a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What it is.
    pub name: String,
    /// Bytes in all, headers too.
    pub bytes: u64,
    /// Whether that is after a quick packing, and mostly more than it would take: it is far too long to be packed with care.
    pub quick: bool,
    /// Bytes of its codes alone, packed, where it is codes.
    pub codes: Option<u64>,
    /// Whether it rebuilds the file bit for bit.
    pub exact: bool,
    /// The GMCF file; none for what cannot be written as one.
    pub container: Option<Vec<u8>>,
}

/// The candidate that is shortest, rebuilds the file and can be written.
pub fn shortest(candidates: &[Candidate]) -> Option<usize> {
    let fits = |c: &Candidate| c.exact && c.container.is_some();
    (0..candidates.len()).filter(|&i| fits(&candidates[i])).min_by_key(|&i| candidates[i].bytes)
}

/// The residual: what is left to say under alignment, relocation and the base model, range coded. It is the position memory
/// of 8 x 1 bit, each bit of it coded with the probability that the predictor gives it.
///
/// # Errors
/// Those of [`codec::compress`].
pub fn residual(new: &[u8], old: Option<&[u8]>, options: &Options<'_>) -> Result<Candidate, CodecError> {
    let made = codec::compress(new, old, options)?;
    let exact = codec::apply_within(&[&made.bytes], old, new.len() as u32, options.base).is_ok_and(|back| back == new);
    let model = match (&made.breakdown.base_name, &made.breakdown.base_id) {
        (Some(name), _) => format!("base model {name}"),
        (None, Some(id)) => format!("base model {id}"),
        (None, None) => "no base model".into(),
    };
    let delta = if made.breakdown.is_delta { ", against the old file" } else { "" };
    let name = if made.breakdown.mode == "stored" {
        "residual, nothing predicted".into()
    } else {
        format!("residual, {model}{delta}")
    };
    let (bytes, container) = (made.bytes.len() as u64, Some(made.bytes));
    Ok(Candidate { name, bytes, quick: false, codes: None, exact, container })
}

/// The position memory of 8 x 1 bit as a stored file of version 2: the same bits, in the shorter container.
///
/// # Errors
/// Those of the format.
pub fn stored_memory(new: &[u8]) -> Result<Candidate, CodecError> {
    let bytes = stored(&Job { new, old: None, profile: codec::Profile::Tiny, prior: PRIOR, base: None })?.bytes;
    let (_, header) = Header::parse(&bytes)?;
    let exact = codec::apply_within(&[&bytes], None, new.len() as u32, None).is_ok_and(|back| back == new);
    let codes = Some((bytes.len() - header) as u64);
    Ok(Candidate {
        name: "memory 8 x 1 bit, stored".into(),
        bytes: bytes.len() as u64,
        quick: false,
        codes,
        exact,
        container: Some(bytes),
    })
}

/// A position memory as a file of version 1, where it may be shorter than `shortest` bytes, if there is such a file already.
///
/// # Errors
/// Those of the format, but for memories that do not say the file or repeat themselves more than a reader takes: their
/// candidate costs its codes, and has no container.
pub fn memory(new: &[u8], codes: &Codes, shortest: Option<u64>) -> Result<Candidate, CodecError> {
    let (dim, bits) = (codes.dim, codes.bits);
    // Its length, where it is hopeless.
    let quick = match shortest {
        Some(shortest) => Some(position_memory_quick_len(&codes.codes, dim, bits, new.len() as u32)?)
            .filter(|len| *len > shortest.saturating_mul(HOPELESS)),
        None => None,
    };
    let name = format!("memory {dim} x {bits} bit{}", if bits == 1 { "" } else { "s" });
    let candidate = |container: Option<Vec<u8>>| Candidate {
        name,
        bytes: container.as_ref().map(|file| file.len() as u64).or(quick).unwrap_or_else(|| codes.packed_len()),
        quick: quick.is_some(),
        codes: Some(codes.packed_len()),
        // What was written has been read back.
        exact: container.is_some() || codes.says(new),
        container,
    };
    if quick.is_some() {
        return Ok(candidate(None));
    }
    match position_memory(&codes.codes, None, dim, bits, codes.step(), new) {
        Ok(file) => Ok(candidate(Some(file))),
        Err(CodecError::Refused(Error::DigestMismatch { .. } | Error::OverBudget { .. })) => Ok(candidate(None)),
        Err(error) => Err(error),
    }
}

/// All position memories of rows of `dim` dimensions.
///
/// # Errors
/// Those of [`memory`].
pub fn memories(new: &[u8], dim: u32, rows: &[f32], shortest: Option<u64>) -> Result<Vec<Candidate>, CodecError> {
    BITS.iter().map(|bits| memory(new, &Codes::new(rows, dim, *bits), shortest)).collect()
}

/// Adapters of the base model for this file alone, each with the file that it makes shorter. They are two files, and no
/// container holds both.
///
/// # Errors
/// Those of [`adapter::fit`].
pub fn adapters(family: Family<'_>, watch: adapter::Watch<'_>) -> Result<Vec<Candidate>, Error> {
    let rows = adapter::fit(family, watch)?.rows;
    let with_file = |row: adapter::Row| Candidate {
        bytes: row.total(),
        quick: false,
        name: format!("adapter {} and the file", row.name),
        codes: None,
        exact: true,
        container: None,
    };
    Ok(rows.into_iter().skip(1).map(with_file).collect())
}
