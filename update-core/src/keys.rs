//! The two keys that a device trusts, and how one of them replaces the other.
//!
//! Keys are laid down with the first image; no image holds any. When one key is lost or stolen, the holder of the other
//! one signs a statement that puts a new key in its place.

use ed25519_compact::{PublicKey, Signature};

use crate::{Error, word};

/// Bytes of an Ed25519 public key.
pub const KEY_LEN: usize = 32;
/// Bytes of an Ed25519 signature (RFC 8032).
pub const SIGNATURE_LEN: usize = 64;

/// The keys of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Number of the last change.
    pub sequence: u32,
    /// Public keys; all zero: none.
    pub slots: [[u8; KEY_LEN]; 2],
}

impl Keys {
    /// No keys: no update is accepted.
    pub const fn none() -> Self {
        Self { sequence: 0, slots: [[0; KEY_LEN]; 2] }
    }

    /// Checks that `signature` over `message` was made with the key in slot `key`.
    ///
    /// # Errors
    /// [`Error::NoKey`], [`Error::BadSignature`].
    pub fn verify(&self, key: u8, message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> Result<(), Error> {
        let bytes = self.slots.get(usize::from(key)).filter(|bytes| **bytes != [0; KEY_LEN]);
        let bytes = bytes.ok_or(Error::NoKey { key })?;
        let wrong = |_| Error::BadSignature { key };
        let public = PublicKey::from_slice(bytes).map_err(wrong)?;
        let signature = Signature::from_slice(signature).map_err(wrong)?;
        public.verify(message, &signature).map_err(wrong)
    }

    /// The keys after `statement`, which the device's other key must have signed.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::WrongProduct`], [`Error::Downgrade`] for a statement that is not the next one,
    /// [`Error::NoKey`], [`Error::BadSignature`].
    pub fn rotated(&self, statement: &[u8], product: u32) -> Result<Self, Error> {
        let rotation = Rotation::parse(statement)?;
        if rotation.product != product {
            return Err(Error::WrongProduct { expected: product, found: rotation.product });
        }
        let least = self.sequence.saturating_add(1);
        if rotation.sequence < least {
            return Err(Error::Downgrade { least, found: rotation.sequence });
        }
        self.verify(rotation.slot ^ 1, &rotation.message(), &rotation.signature)?;
        let mut keys = *self;
        keys.sequence = rotation.sequence;
        keys.slots[usize::from(rotation.slot)] = rotation.key;
        Ok(keys)
    }
}

/// A statement that puts a new key into a slot.
///
/// | offset | bytes | field | meaning | limit |
/// |---|---|---|---|---|
/// | 0 | 1 | `magic` | `cb` ("K" with its high bit set) | |
/// | 1 | 1 | `layout` | 1 | 1 |
/// | 2 | 1 | `slot` | the slot whose key is replaced | 1 |
/// | 3 | 1 | | zero | 0 |
/// | 4 | 4 | `product` | | |
/// | 8 | 4 | `sequence` | greater than that of every statement before | |
/// | 12 | 32 | `key` | the new public key | |
/// | 44 | 64 | `signature` | Ed25519, by the key of the other slot, over the 44 bytes before | |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Slot whose key is replaced.
    pub slot: u8,
    /// Product.
    pub product: u32,
    /// Number of the change.
    pub sequence: u32,
    /// The new key.
    pub key: [u8; KEY_LEN],
    /// Signature of the other key.
    pub signature: [u8; SIGNATURE_LEN],
}

impl Rotation {
    /// Bytes of a statement.
    pub const LEN: usize = Self::MESSAGE_LEN + SIGNATURE_LEN;
    /// Bytes that are signed.
    pub const MESSAGE_LEN: usize = 44;
    const MAGIC: u8 = 0xcb;

    /// What is signed.
    pub fn message(&self) -> [u8; Self::MESSAGE_LEN] {
        let mut out = [0; Self::MESSAGE_LEN];
        out[..4].copy_from_slice(&[Self::MAGIC, 1, self.slot, 0]);
        out[4..8].copy_from_slice(&self.product.to_le_bytes());
        out[8..12].copy_from_slice(&self.sequence.to_le_bytes());
        out[12..].copy_from_slice(&self.key);
        out
    }

    /// The statement's bytes.
    pub fn emit(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..Self::MESSAGE_LEN].copy_from_slice(&self.message());
        out[Self::MESSAGE_LEN..].copy_from_slice(&self.signature);
        out
    }

    /// Reads a statement; its signature is not checked.
    ///
    /// # Errors
    /// [`Error::Malformed`] that names the field.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        use codec_core::Error as E;
        let (need, have) = (Self::LEN as u64, bytes.len() as u64);
        let bytes: &[u8; Self::LEN] = bytes.try_into().map_err(|_| E::Truncated { field: "statement", need, have })?;
        if bytes[0] != Self::MAGIC {
            return Err(E::BadMagic { found: [bytes[0], 0, 0, 0], seen: 1 }.into());
        }
        for (field, at, least, limit) in [("layout", 1, 1, 1), ("slot", 2, 0, 1), ("reserved", 3, 0, 0)] {
            if !(least..=limit).contains(&bytes[at]) {
                return Err(E::OutOfRange { field, found: bytes[at].into(), limit: limit.into() }.into());
            }
        }
        let mut key = [0; KEY_LEN];
        key.copy_from_slice(&bytes[12..Self::MESSAGE_LEN]);
        let mut signature = [0; SIGNATURE_LEN];
        signature.copy_from_slice(&bytes[Self::MESSAGE_LEN..]);
        Ok(Self { slot: bytes[2], product: word(&bytes[4..8]), sequence: word(&bytes[8..12]), key, signature })
    }
}
