//! Position memories: files as the codes of a network that holds them. FORMAT.md, section 7, is normative.

use super::{
    Layer, QUICK_LEVEL, RESIDUES, STEP, emit, frame, keeps_promise, memory_layer, payload, residues, signed,
    unknown_layers,
};
use crate::codec::{Breakdown, CodecError, Part, Profile, wrong_length};
use crate::fit::encode::{Job, stored};
use codec_core::Error;
use codec_core::container::packed::pack;
use codec_core::container::v1::{LayerRepr, LayerView, Repr, View};
use codec_core::neural::memory::{BYTES, LAYER, Memory, OUT_BITS, OUT_LAYER, ROW_BYTES, codes_len};

/// Writes the position memory of `content` as a version 1 file.
///
/// `codes`, `[content.len(), dim]`, are the rows of the bytes, of `bits` bits each (1, 2, 4 or 8), and `gamma` is the
/// distance of two levels: a code stands for gamma x (code + 1/2). `out`, `[256, dim]`, is the output projection; without
/// it the bytes are read by the natural code. What is written has been read back.
///
/// # Errors
/// - [`CodecError::TooLarge`] for a content that the format cannot name;
/// - [`CodecError::Refused`] with [`Error::Unknown`] or [`Error::OutOfRange`] of the field for widths, dimensions, codes
///   and numbers of codes that the format does not have, [`Error::DigestMismatch`] where the codes are those of another
///   content, [`Error::OverBudget`] where they repeat themselves more than a reader believes.
pub fn position_memory(
    codes: &[i8],
    out: Option<&[i8]>,
    dim: u32,
    bits: u32,
    gamma: f32,
    content: &[u8],
) -> Result<Vec<u8>, CodecError> {
    let too_large = || CodecError::TooLarge { what: "the file", len: content.len() as u64, limit: u32::MAX.into() };
    let len = u32::try_from(content.len()).map_err(|_| too_large())?;
    let packed = packed(codes, len, dim, bits)?;
    let out_codes: Vec<u8> = out.unwrap_or(&[]).iter().map(|code| code.cast_unsigned()).collect();
    let out_shape = [BYTES, dim];
    let projection =
        out.map(|_| Layer { name: OUT_LAYER, shape: &out_shape, gamma: STEP, bits: OUT_BITS, payload: &out_codes });
    let shape = [len, dim];
    let memory = Layer { name: LAYER, shape: &shape, gamma, bits, payload: &packed };
    let layers: Vec<_> = [memory].into_iter().chain(projection).collect();
    let all_codes = codes.iter().chain(out.unwrap_or(&[])).copied();
    let bytes = emit(&layers, false, &residues(all_codes), content)?;
    super::air_of(&bytes, len)?;
    Ok(bytes)
}

/// Bytes of a [`position_memory`] without a projection whose codes are packed in a hurry, found in a fraction of the time.
/// Packed with care it is mostly shorter, and sometimes a little longer.
///
/// # Errors
/// As [`position_memory`], the codes of another content not among them.
pub fn position_memory_quick_len(codes: &[i8], dim: u32, bits: u32, len: u32) -> Result<u64, CodecError> {
    let compressed = frame(&packed(codes, len, dim, bits)?, QUICK_LEVEL)?;
    let shape = [len, dim];
    let memory =
        LayerRepr { name: LAYER, shape: &shape, tau: 0, gamma: 0, dominant_scale: bits, compressed: &compressed };
    let layers = [memory];
    Ok(Repr { is_delta: false, original_hash: &[0; 64], crt_residues: &[0; RESIDUES], layers: &layers }.buffer_len()?)
}

/// The payload of these codes.
fn packed(codes: &[i8], len: u32, dim: u32, bits: u32) -> Result<Vec<u8>, Error> {
    let mut packed = vec![0; codes_len(len, dim, bits)? as usize];
    let need = u64::from(len) * u64::from(dim);
    if codes.len() as u64 != need {
        return Err(wrong_length("codes", need, codes.len() as u64));
    }
    pack(codes, bits, &mut packed)?;
    Ok(packed)
}

/// The layers of a position memory, their shapes checked.
pub(super) struct Position<'a> {
    view: View<'a>,
    memory: LayerView<'a>,
    out: Option<LayerView<'a>>,
    len: u32,
    dim: u32,
}

impl<'a> Position<'a> {
    /// The position memory that a version 1 file of byte content is; none where it holds a version 2 file.
    ///
    /// # Errors
    /// What is wrong with the number of layers and dimensions; [`Error::OutOfRange`] (`is_delta`) for a memory that is a
    /// delta, and of `memory.out` for a projection of another shape; those of [`codes_len`].
    pub(super) fn of(view: &View<'a>) -> Result<Option<Self>, Error> {
        let memory = memory_layer(view)?;
        let shape: Vec<u32> = memory.shape().collect();
        let [len, dim] = match shape[..] {
            [len, dim] => [len, dim],
            [_] => return Ok(None),
            _ => return Err(Error::OutOfRange { field: "n_dims", found: shape.len() as u64, limit: 2 }),
        };
        if view.is_delta() {
            return Err(Error::OutOfRange { field: "is_delta", found: 1, limit: 0 });
        }
        codes_len(len, dim, memory.dominant_scale())?;
        let mut others = view.layers().skip(1);
        let out = others.next();
        let named = out.is_none_or(|out| out.name() == OUT_LAYER);
        if view.layers().next() != Some(memory) || !named || others.next().is_some() {
            return Err(unknown_layers(view));
        }
        if let Some(out) = &out {
            check_out(out, dim)?;
        }
        Ok(Some(Self { view: *view, memory, out, len, dim }))
    }

    /// The content as a stored version 2 file. It is at most `most` bytes long, and no layer longer than `densest`.
    pub(super) fn stored(&self, most: u32, densest: u64) -> Result<Vec<u8>, Error> {
        if self.len > most {
            return Err(Error::OverBudget { field: "new_len", requested: self.len.into(), limit: most.into() });
        }
        let codes = payload(LAYER, &self.memory, densest)?;
        let out = self.out.map(|out| payload(OUT_LAYER, &out, densest)).transpose()?;
        let memory = Memory::new_checked(&codes, out.as_deref(), self.len, self.dim, self.memory.dominant_scale())?;
        let out_codes = signed(out.as_deref().unwrap_or(&[]));
        residues(memory.codes().chain(out_codes)).check(self.view.crt_residues())?;
        let mut content = vec![0; self.len as usize];
        memory.read(0, &mut content)?;
        keeps_promise(&self.view, &content)?;
        Ok(stored(&Job { new: &content, old: None, profile: Profile::Tiny, prior: &[], base: None })?.bytes)
    }

    /// What the layers are spent on; the rest is that of the content as a stored file.
    pub(super) fn breakdown(&self, stored: Breakdown) -> Breakdown {
        let part =
            |name: &str, layer: LayerView<'_>| Part { name: name.into(), bits: 8.0 * layer.compressed().len() as f64 };
        let out = self.out.map(|out| part(OUT_LAYER, out));
        let (dim, bits) = (self.dim, self.memory.dominant_scale());
        let code = if out.is_some() { "" } else { ", natural code" };
        Breakdown {
            mode: format!("position memory of {dim} x {bits} bits a byte{code}"),
            profile: None,
            parts: [part(LAYER, self.memory)].into_iter().chain(out).collect(),
            decoder_ram: ROW_BYTES as u64,
            ..stored
        }
    }
}

/// Checks that the projection has the shape [256, dim], and 8 bits a code.
fn check_out(out: &LayerView<'_>, dim: u32) -> Result<(), Error> {
    if out.dominant_scale() != OUT_BITS {
        return Err(Error::Unknown { field: "dominant_scale", found: out.dominant_scale().into() });
    }
    let wrong = |found: u64, limit: u32| Err(Error::OutOfRange { field: OUT_LAYER, found, limit: limit.into() });
    if out.shape().len() != 2 {
        return wrong(out.shape().len() as u64, 2);
    }
    match out.shape().zip([BYTES, dim]).find(|(found, wanted)| found != wanted) {
        Some((found, wanted)) => wrong(found.into(), wanted),
        None => Ok(()),
    }
}
