//! Signed updates for devices: what `gmcf release` makes, `gmcf push` sends and `update-core` takes.

pub mod device;
pub mod in_place;
pub mod keys;
mod order;

use codec_core::container::digest::Id;
use update_core::Error as Refusal;
use update_core::manifest::{MANIFEST_LEN, Manifest, Mode, PayloadDigest};

use crate::codec::{self, CodecError, Format, Options, Profile, Progress};
use in_place::{Room, StepReport};
use keys::SecretKey;

/// What an update is made for.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// Product number of the devices.
    pub product: u32,
    /// Version of the new image.
    pub version: u32,
    /// Profile of the devices' decoder.
    pub profile: Profile,
    /// Key that signs, and the slot in which the devices hold its public half.
    pub key: (&'a SecretKey, u8),
    /// What the devices' flash is like, when they have one slot.
    pub in_place: Option<Room>,
    /// Told how far compressing is.
    pub progress: Option<Progress<'a>>,
}

/// A signed update.
#[derive(Clone, Debug)]
pub struct Release {
    /// Manifest and payload.
    pub bytes: Vec<u8>,
    /// What was signed.
    pub manifest: Manifest,
    /// How it is done in place, step by step; empty for two slots.
    pub steps: Vec<StepReport>,
}

/// Makes the update that turns `old`, or nothing, into `new`.
///
/// # Errors
/// Those of [`codec::compress`]; [`CodecError::Release`] when the devices have too little room.
pub fn release(new: &[u8], old: Option<&[u8]>, settings: &Settings<'_>) -> Result<Release, CodecError> {
    let options = Options { profile: settings.profile, format: Format::V2, base: None, progress: settings.progress };
    let (mode, payload, steps) = match &settings.in_place {
        None => {
            let container = codec::compress(new, old, &options)?.bytes;
            // What does not come back is not signed. (In place, planning has decoded each step.)
            if codec::apply_within(&[&container], old, new.len() as u32, None)? != new {
                return Err(CodecError::Internal("the container rebuilds another file".into()));
            }
            (Mode::Slots, container, Vec::new())
        }
        Some(room) => {
            let (payload, steps) = in_place::payload(new, old.unwrap_or(&[]), room, &options)?;
            (Mode::InPlace, payload, steps)
        }
    };
    Ok(Release { steps, ..sign(new, &payload, mode, settings)? })
}

/// Puts a signed manifest before `payload`, which makes `new` in this mode.
///
/// # Errors
/// [`CodecError::TooLarge`] for what a manifest cannot say.
pub fn sign(new: &[u8], payload: &[u8], mode: Mode, settings: &Settings<'_>) -> Result<Release, CodecError> {
    let len = |what, bytes: &[u8]| {
        let (len, limit) = (bytes.len() as u64, u64::from(u32::MAX) - MANIFEST_LEN as u64);
        u32::try_from(len).ok().filter(|_| len <= limit).ok_or(CodecError::TooLarge { what, len, limit })
    };
    let mut digest = PayloadDigest::default();
    digest.update(payload);
    let manifest = Manifest {
        mode,
        key: settings.key.1,
        product: settings.product,
        version: settings.version,
        image_len: len("the new file", new)?,
        payload_len: len("the payload", payload)?,
        image: Id::of(new),
        payload: digest.finish(),
    };
    let mut bytes = manifest.emit(&settings.key.0.sign(&manifest.message())).to_vec();
    bytes.extend(payload);
    Ok(Release { bytes, manifest, steps: Vec::new() })
}

/// Reads the manifest at the start of an update, whoever signed it. `None` when `file` is no signed update.
///
/// # Errors
/// The manifest's own.
pub fn manifest(file: &[u8]) -> Option<Result<Manifest, Refusal>> {
    let bytes: &[u8; MANIFEST_LEN] = file.first_chunk()?;
    (bytes[0] == update_core::manifest::MAGIC).then(|| Manifest::parse(bytes).map(|(manifest, _)| manifest))
}
