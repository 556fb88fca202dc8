//! GMCF version 1 files of byte content: one layer, `memory`, that holds the version 2 file, or a position memory.
//!
//! The fixed layout carries weights and whole models; a firmware image travels in it as the codes of its position
//! memory, in a zstd frame of level 19. FORMAT.md, sections 2, 6.7 and 7, is normative.

mod position;

use std::borrow::Cow;
use std::cell::RefCell;

use crate::codec::{Breakdown, CodecError, Compressed, Part, wrong_length};
use codec_core::Error;
use codec_core::container::digest::sha512;
use codec_core::container::residue::Residues;
use codec_core::container::{v1, v2, zstd};
use codec_core::neural::memory::LAYER;
use position::Position;

pub use position::{position_memory, position_memory_quick_len};

/// Bits of a code of a version 2 file.
const CODE_BITS: u32 = 8;
/// Quantisation step where the codes are what they say.
const STEP: f32 = 1.0;
/// Residues written.
const RESIDUES: usize = 2;
/// Level of the zstd frame, as the format demands.
const LEVEL: i32 = 19;
/// Level of a frame that is not to be written.
const QUICK_LEVEL: i32 = 1;

/// What a layer to be written is.
struct Layer<'a> {
    name: &'a str,
    shape: &'a [u32],
    gamma: f32,
    bits: u32,
    payload: &'a [u8],
}

thread_local! {
    /// Its tables come from the system once, not for every layer.
    static CONTEXT: RefCell<zstd_safe::CCtx<'static>> = RefCell::new(zstd_safe::CCtx::create());
}

fn frame(payload: &[u8], level: i32) -> Result<Vec<u8>, CodecError> {
    let mut frame = vec![0; zstd_safe::compress_bound(payload.len())];
    let len = CONTEXT
        .with_borrow_mut(|context| context.compress(&mut frame[..], payload, level))
        .map_err(|code| CodecError::Internal(format!("zstd: {}", zstd_safe::get_error_name(code))))?;
    frame.truncate(len);
    Ok(frame)
}

/// Writes the container of these layers; `residues` are those of their codes.
fn emit(
    layers: &[Layer<'_>],
    is_delta: bool,
    residues: &Residues<RESIDUES>,
    content: &[u8],
) -> Result<Vec<u8>, CodecError> {
    let frames = layers.iter().map(|layer| frame(layer.payload, LEVEL)).collect::<Result<Vec<_>, _>>()?;
    let layers: Vec<_> = layers
        .iter()
        .zip(&frames)
        .map(|(layer, compressed)| v1::LayerRepr {
            name: layer.name,
            shape: layer.shape,
            tau: 0.0f32.to_bits(),
            gamma: layer.gamma.to_bits(),
            dominant_scale: layer.bits,
            compressed,
        })
        .collect();
    let repr = v1::Repr { is_delta, original_hash: &sha512(content), crt_residues: residues.values(), layers: &layers };
    let mut bytes = vec![0; repr.buffer_len()? as usize];
    let written = repr.emit(&mut bytes)?;
    bytes.truncate(written);
    Ok(bytes)
}

/// The payload of the layer `field`, of at most `limit` bytes: a longer one is refused before memory is taken for it.
fn payload(field: &'static str, layer: &v1::LayerView<'_>, limit: u64) -> Result<Vec<u8>, Error> {
    let len = layer.content_len()?;
    if len > limit {
        return Err(Error::OverBudget { field, requested: len, limit });
    }
    let mut payload = vec![0; len as usize];
    let mut workspace = Box::new(zstd::Workspace::new());
    let written = zstd::decompress(layer.compressed(), &mut workspace, &mut payload)?;
    if written as u64 != len {
        return Err(wrong_length(field, len, written as u64));
    }
    Ok(payload)
}

fn residues(codes: impl Iterator<Item = i8>) -> Residues<RESIDUES> {
    let mut residues = Residues::new();
    codes.for_each(|code| residues.push(code.into()));
    residues
}

/// Codes of 8 bits.
fn signed(codes: &[u8]) -> impl Iterator<Item = i8> {
    codes.iter().map(|code| code.cast_signed())
}

/// Puts a version 2 file, which rebuilds `content`, into a version 1 file.
pub(crate) fn wrap(air: Compressed, content: &[u8]) -> Result<Compressed, CodecError> {
    let shape = [air.bytes.len() as u32];
    let layer = Layer { name: LAYER, shape: &shape, gamma: STEP, bits: CODE_BITS, payload: &air.bytes };
    let bytes = emit(&[layer], air.breakdown.is_delta, &residues(signed(&air.bytes)), content)?;
    let breakdown = with_frame(air.breakdown, &bytes)?;
    Ok(Compressed { breakdown, bytes })
}

/// Whether the file is of version 1.
fn is_v1(container: &[u8]) -> bool {
    container.first() != Some(&v2::MAGIC)
}

/// Whether it is a position memory, as far as shapes tell.
///
/// # Errors
/// What is wrong with a version 1 file.
pub(crate) fn is_position_memory(container: &[u8]) -> Result<bool, Error> {
    Ok(is_v1(container) && Position::of(&v1::View::new_checked(container)?)?.is_some())
}

/// The version 2 file that `container` is or holds, where it can rebuild at most `most` bytes: one that is longer than
/// such a file stored as it is was not made by an encoder. Of a position memory, the content as such a file.
///
/// # Errors
/// [`Error::OverBudget`] for a longer one, before memory is taken for it; what is wrong with a version 1 file.
pub(crate) fn air_of(container: &[u8], most: u32) -> Result<Cow<'_, [u8]>, Error> {
    if !is_v1(container) {
        return Ok(Cow::Borrowed(container));
    }
    let view = v1::View::new_checked(container)?;
    let densest = container.len() as u64 * MOST_EXPANSION;
    if let Some(position) = Position::of(&view)? {
        return Ok(Cow::Owned(position.stored(most, densest)?));
    }
    let layer = memory_layer(&view)?;
    if layer.dominant_scale() != CODE_BITS {
        return Err(Error::Unknown { field: "dominant_scale", found: layer.dominant_scale().into() });
    }
    let air = payload(LAYER, &layer, densest.min(u64::from(most) + v2::MAX_HEADER_LEN as u64))?;
    residues(signed(&air)).check(view.crt_residues())?;
    Ok(Cow::Owned(air))
}

/// A version 2 file is dense, and what a network keeps nearly so: a frame that grows more than this is refused before
/// memory is taken for it.
const MOST_EXPANSION: u64 = 1 << 12;

/// The layer that byte content is in.
fn memory_layer<'a>(view: &v1::View<'a>) -> Result<v1::LayerView<'a>, Error> {
    view.layer(LAYER).ok_or(unknown_layers(view))
}

fn unknown_layers(view: &v1::View<'_>) -> Error {
    Error::Unknown { field: "layers", found: u64::from(view.n_layers()) }
}

/// Checks the rebuilt content against what a version 1 file promises of it.
pub(crate) fn verify(container: &[u8], content: &[u8]) -> Result<(), Error> {
    if is_v1(container) { keeps_promise(&v1::View::new_checked(container)?, content) } else { Ok(()) }
}

fn keeps_promise(view: &v1::View<'_>, content: &[u8]) -> Result<(), Error> {
    let (expected, found) = (view.original_hash(), sha512(content));
    if *expected != found {
        let first = |hash: &[u8; 64]| -> [u8; 4] { std::array::from_fn(|i| hash[i]) };
        return Err(Error::DigestMismatch { expected: first(expected), found: first(&found) });
    }
    Ok(())
}

/// What the bytes of `container` are spent on, where those of the version 2 file that it is or holds are spent on `air`.
///
/// # Errors
/// What is wrong with a version 1 file.
pub(crate) fn with_frame(air: Breakdown, container: &[u8]) -> Result<Breakdown, Error> {
    if !is_v1(container) {
        return Ok(air);
    }
    let (total, mut found) = (container.len() as u64, air);
    let position = Position::of(&v1::View::new_checked(container)?)?;
    let held = match position {
        Some(position) => {
            found = position.breakdown(found);
            found.parts.iter().map(|part| part.bits).sum()
        }
        None => 8.0 * found.total as f64,
    };
    found.parts.push(Part { name: "version 1 layout".into(), bits: 8.0 * total as f64 - held });
    Ok(Breakdown { version: 1, total, ..found })
}
