//! What stands before an update's payload and is signed.

use blake2::Blake2s256;
use blake2::digest::Digest as _;
use codec_core::container::digest::{ID_LEN, Id};

use crate::keys::{Keys, SIGNATURE_LEN};
use crate::record::Image;
use crate::{Error, word};

/// Bytes of a manifest.
pub const MANIFEST_LEN: usize = MESSAGE_LEN + SIGNATURE_LEN;
/// Bytes of it that are signed.
pub const MESSAGE_LEN: usize = 68;
/// Bytes of a payload's digest.
pub const DIGEST_LEN: usize = 32;

/// First byte of a manifest: `U` with its high bit set.
pub const MAGIC: u8 = 0xd5;
const LAYOUT: u8 = 1;

/// How a payload makes the new image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// It is one container, rebuilt in a slot that does not run.
    Slots = 0,
    /// It is a number of steps, each a plan and a container, for a device with one slot. See [`crate::inplace`].
    InPlace = 1,
}

/// The statement that is signed for an update.
///
/// | offset | bytes | field | meaning | limit |
/// |---|---|---|---|---|
/// | 0 | 1 | `magic` | `d5` ("U" with its high bit set) | |
/// | 1 | 1 | `layout` | 1 | 1 |
/// | 2 | 1 | `mode` | 0: for two slots; 1: in place | 1 |
/// | 3 | 1 | `key` | slot of the key that signed | 1 |
/// | 4 | 4 | `product` | | |
/// | 8 | 4 | `version` | of the new image; greater than every version confirmed before | |
/// | 12 | 4 | `image_len` | bytes of the new image | |
/// | 16 | 4 | `payload_len` | bytes that follow the manifest | |
/// | 20 | 16 | `image` | identity of the new image (FORMAT.md, section 3.1) | |
/// | 36 | 32 | `payload` | BLAKE2s (RFC 7693) of 32 bytes of the payload, no key | |
/// | 68 | 64 | `signature` | Ed25519 (RFC 8032) over the 68 bytes before | |
///
/// Integers are little-endian. The payload follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// How the payload makes the new image.
    pub mode: Mode,
    /// Slot of the key that signed, 0 or 1.
    pub key: u8,
    /// Product.
    pub product: u32,
    /// Version of the new image.
    pub version: u32,
    /// Length of the new image, bytes.
    pub image_len: u32,
    /// Length of the payload, bytes.
    pub payload_len: u32,
    /// Identity of the new image.
    pub image: Id,
    /// Digest of the payload.
    pub payload: [u8; DIGEST_LEN],
}

impl Manifest {
    /// What is signed.
    pub fn message(&self) -> [u8; MESSAGE_LEN] {
        let mut out = [0; MESSAGE_LEN];
        out[..4].copy_from_slice(&[MAGIC, LAYOUT, self.mode as u8, self.key]);
        for (i, value) in [self.product, self.version, self.image_len, self.payload_len].into_iter().enumerate() {
            out[4 + 4 * i..8 + 4 * i].copy_from_slice(&value.to_le_bytes());
        }
        out[20..20 + ID_LEN].copy_from_slice(&self.image.0);
        out[36..].copy_from_slice(&self.payload);
        out
    }

    /// The manifest's bytes with the signature that was made over [`Manifest::message`].
    pub fn emit(&self, signature: &[u8; SIGNATURE_LEN]) -> [u8; MANIFEST_LEN] {
        let mut out = [0; MANIFEST_LEN];
        out[..MESSAGE_LEN].copy_from_slice(&self.message());
        out[MESSAGE_LEN..].copy_from_slice(signature);
        out
    }

    /// Reads a manifest and its signature, which is not checked.
    ///
    /// # Errors
    /// [`Error::Malformed`] that names the field.
    pub fn parse(bytes: &[u8; MANIFEST_LEN]) -> Result<(Self, [u8; SIGNATURE_LEN]), Error> {
        use codec_core::Error as E;
        if bytes[0] != MAGIC {
            return Err(E::BadMagic { found: [bytes[0], 0, 0, 0], seen: 1 }.into());
        }
        for (field, at, least, limit) in [("layout", 1, LAYOUT, LAYOUT), ("mode", 2, 0, 1), ("key", 3, 0, 1)] {
            if !(least..=limit).contains(&bytes[at]) {
                return Err(E::OutOfRange { field, found: bytes[at].into(), limit: limit.into() }.into());
            }
        }
        let mut image = [0; ID_LEN];
        image.copy_from_slice(&bytes[20..36]);
        let mut payload = [0; DIGEST_LEN];
        payload.copy_from_slice(&bytes[36..MESSAGE_LEN]);
        let mut signature = [0; SIGNATURE_LEN];
        signature.copy_from_slice(&bytes[MESSAGE_LEN..]);
        let manifest = Self {
            mode: if bytes[2] == 0 { Mode::Slots } else { Mode::InPlace },
            key: bytes[3],
            product: word(&bytes[4..8]),
            version: word(&bytes[8..12]),
            image_len: word(&bytes[12..16]),
            payload_len: word(&bytes[16..20]),
            image: Id(image),
            payload,
        };
        Ok((manifest, signature))
    }

    /// Reads a manifest that one of `keys` has signed.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::NoKey`], [`Error::BadSignature`].
    pub fn authentic(bytes: &[u8; MANIFEST_LEN], keys: &Keys) -> Result<Self, Error> {
        let (manifest, signature) = Self::parse(bytes)?;
        keys.verify(manifest.key, &bytes[..MESSAGE_LEN], &signature)?;
        Ok(manifest)
    }

    /// The image that the update makes.
    pub fn describes(&self) -> Image {
        Image { len: self.image_len, version: self.version, id: self.image }
    }

    /// Name of the download: no two payloads share it but by chance, and then the payload's digest tells.
    pub fn session(&self) -> u32 {
        word(&self.payload[..4])
    }
}

/// Streaming digest of a payload.
#[derive(Clone, Debug, Default)]
pub struct PayloadDigest(Blake2s256);

impl PayloadDigest {
    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken in.
    pub fn finish(self) -> [u8; DIGEST_LEN] {
        self.0.finalize().into()
    }
}
