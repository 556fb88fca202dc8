//! Containers without their header: everything in it is known to both sides.

use codec_core::container::digest::{BaseId, Id};
use codec_core::container::v2::{Header, Mode, Old};
use codec_core::decoder::Status;
use codec_core::limits;
use codec_core::neural::Place;

use super::error::PatchError;
use super::plan::mode;
use crate::base::Shipped;
use crate::codec::Profile;
use crate::fit::encode::with_big_stack;

/// Bytes that the rebuilt part grows by at least.
const CHUNK: usize = 1 << 16;

/// Rebuilds the `new_len` bytes of a part. Damage that the payload does not betray is left to the tree's root.
pub(super) fn decode(
    payload: &[u8],
    mode: u8,
    new_len: u32,
    old: Option<&[u8]>,
    base: Option<BaseId>,
) -> Result<Vec<u8>, PatchError> {
    let stored = mode == mode::STORED;
    if stored {
        let (found, limit) = (payload.len() as u64, u64::from(new_len));
        return if found == limit {
            Ok(payload.to_vec())
        } else {
            Err(PatchError::OutOfRange { field: "payload", found, limit })
        };
    }
    let old = old.map(|bytes| (bytes, Old { len: bytes.len() as u32, id: Id::of(bytes).old() }));
    let (base, held) = if mode == mode::BASE {
        let id = base.ok_or(PatchError::Corrupt { field: "coding", what: "the patch names no base model" })?;
        let found = || u64::from(u16::from_be_bytes(id.0));
        let model = Shipped::with_id(id).ok_or_else(|| PatchError::Unknown { field: "base_id", found: found() })?;
        (Some(id), Some(model.open()?.held()))
    } else {
        (None, None)
    };
    let header = Header {
        profile: Profile::Host,
        mode: if mode == mode::PRIMED { Mode::Primed } else { Mode::Coded },
        new_len,
        old: old.map(|(_, old)| old),
        base,
        payload_len: payload.len() as u32,
        // Unknown on this side.
        digest: Id([0; 16]),
    };
    let header = header.emit()?;
    let old = old.map_or(&[][..], |(bytes, _)| bytes);
    with_big_stack(|| {
        let mut decoder = Box::new(limits::Host::with_base(old, Place::of(held)));
        let (mut output, mut len) = (Vec::new(), 0);
        let mut input = &header[..];
        let mut rest = payload;
        loop {
            if len == output.len() {
                output.resize((2 * len).max(CHUNK).min(new_len as usize), 0);
            }
            let step = match decoder.update(input, &mut output[len..]) {
                Ok(step) => step,
                // The digest is compared last: all bytes are there, and the payload is spelled as it must be.
                Err(codec_core::Error::DigestMismatch { .. }) => return Ok(output),
                Err(error) => return Err(error.into()),
            };
            input = &input[step.consumed..];
            len += step.written;
            match step.status {
                Status::NeedInput if input.is_empty() && !rest.is_empty() => input = std::mem::take(&mut rest),
                Status::NeedInput => decoder.finish()?,
                Status::NeedOutput | Status::Done => {}
            }
            if step.status == Status::Done {
                return Ok(output);
            }
        }
    })
}
