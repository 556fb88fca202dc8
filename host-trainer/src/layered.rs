//! GMCF version 1 files of byte content: one layer, `memory`, that holds the version 2 file.
//!
//! The fixed layout carries weights and whole models; a firmware image travels in it as the codes of its position
//! memory, eight bits each, in a zstd frame of level 19. FORMAT.md, section 2, is normative.

use std::borrow::Cow;

use crate::codec::{Breakdown, CodecError, Compressed, Part};
use codec_core::Error;
use codec_core::container::digest::sha512;
use codec_core::container::residue::Residues;
use codec_core::container::{v1, v2, zstd};

/// The layer that holds the version 2 file.
const LAYER: &str = "memory";
/// Bits of a code.
const CODE_BITS: u32 = 8;
/// Quantisation step: the codes are what they say.
const STEP: f32 = 1.0;
/// Residues written.
const RESIDUES: usize = 2;
/// Level of the zstd frame, as the format demands.
const LEVEL: i32 = 19;

fn residues(codes: &[u8]) -> Residues<RESIDUES> {
    let mut residues = Residues::new();
    for &code in codes {
        residues.push(i64::from(code as i8));
    }
    residues
}

/// Puts a version 2 file, which rebuilds `content`, into a version 1 file.
pub fn wrap(air: Compressed, content: &[u8]) -> Result<Compressed, CodecError> {
    let mut frame = vec![0; zstd_safe::compress_bound(air.bytes.len())];
    let len = zstd_safe::compress(&mut frame[..], &air.bytes, LEVEL)
        .map_err(|code| CodecError::Internal(format!("zstd: {}", zstd_safe::get_error_name(code))))?;
    let shape = [air.bytes.len() as u32];
    let layer = v1::LayerRepr {
        name: LAYER,
        shape: &shape,
        tau: 0.0f32.to_bits(),
        gamma: STEP.to_bits(),
        dominant_scale: CODE_BITS,
        compressed: &frame[..len],
    };
    let hash = sha512(content);
    let sums = residues(&air.bytes);
    let repr = v1::Repr {
        is_delta: air.breakdown.is_delta,
        original_hash: &hash,
        crt_residues: sums.values(),
        layers: &[layer],
    };
    let mut bytes = vec![0; repr.buffer_len()? as usize];
    let written = repr.emit(&mut bytes)?;
    bytes.truncate(written);
    Ok(Compressed { breakdown: with_frame(air.breakdown, bytes.len()), bytes })
}

/// Whether the file is of version 1.
fn is_v1(container: &[u8]) -> bool {
    container.first() != Some(&v2::MAGIC)
}

/// The version 2 file that `container` is or holds, where it can rebuild at most `most` bytes: one that is longer than
/// such a file stored as it is was not made by an encoder.
///
/// # Errors
/// [`Error::OverBudget`] for a longer one, before memory is taken for it; what is wrong with a version 1 file.
pub fn air_of(container: &[u8], most: u32) -> Result<Cow<'_, [u8]>, Error> {
    if !is_v1(container) {
        return Ok(Cow::Borrowed(container));
    }
    let view = v1::View::new_checked(container)?;
    let layer = view.layer(LAYER).ok_or(Error::Unknown { field: "layers", found: u64::from(view.n_layers()) })?;
    let len = layer.content_len()?;
    let limit = (u64::from(most) + v2::MAX_HEADER_LEN as u64).min(container.len() as u64 * MOST_EXPANSION);
    if len > limit {
        return Err(Error::OverBudget { field: LAYER, requested: len, limit });
    }
    let mut air = vec![0; len as usize];
    let mut workspace = Box::new(zstd::Workspace::new());
    let written = zstd::decompress(layer.compressed(), &mut workspace, &mut air)?;
    if written as u64 != len {
        return Err(Error::Truncated { field: LAYER, need: len, have: written as u64 });
    }
    residues(&air).check(view.crt_residues())?;
    Ok(Cow::Owned(air))
}

/// A version 2 file is dense: a frame that grows more than this is refused before memory is taken for it.
const MOST_EXPANSION: u64 = 1 << 12;

/// Checks the rebuilt content against what a version 1 file promises of it.
pub fn verify(container: &[u8], content: &[u8]) -> Result<(), Error> {
    if !is_v1(container) {
        return Ok(());
    }
    let view = v1::View::new_checked(container)?;
    let (expected, found) = (view.original_hash(), sha512(content));
    if *expected != found {
        let first = |hash: &[u8; 64]| -> [u8; 4] { std::array::from_fn(|i| hash[i]) };
        return Err(Error::DigestMismatch { expected: first(expected), found: first(&found) });
    }
    Ok(())
}

/// Adds what the version 1 layout costs beyond the version 2 file it holds.
pub fn with_frame(air: Breakdown, total: usize) -> Breakdown {
    if air.total == total as u64 {
        return air;
    }
    let frame = 8.0 * (total as f64 - air.total as f64);
    let mut parts = air.parts;
    parts.push(Part { name: "version 1 layout".into(), bits: frame });
    Breakdown { version: 1, parts, total: total as u64, ..air }
}
