//! Digests: BLAKE2s of 16 bytes (RFC 7693, no key) names a content, SHA-512 seals a version 1 container.
//!
//! A device hashes the old image and the new one for every update. BLAKE2s takes two thirds of the instructions of
//! SHA-256 on a Cortex-M3, and half of its flash.
//!
//! ```
//! use codec_core::container::digest::{Hasher, Id};
//!
//! let mut hasher = Hasher::new();
//! hasher.update(b"a");
//! hasher.update(b"bc");
//! let id = hasher.finish();
//! assert_eq!(id, Id::of(b"abc"));
//! assert!(id.old().names(&id));
//! ```

use core::fmt;

use crate::Error;

use blake2::Blake2s;
use blake2::digest::consts::U16;
use sha2::Digest as _;

/// Bytes of an [`Id`].
pub const ID_LEN: usize = 16;
/// Bytes of an [`OldId`].
pub const OLD_ID_LEN: usize = 4;
/// Bytes of a [`BaseId`].
pub const BASE_ID_LEN: usize = 2;
/// Bytes of a SHA-512 digest.
pub const SHA512_LEN: usize = 64;

/// Identity of a content: its BLAKE2s of 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub [u8; ID_LEN]);

/// Short identity by which a delta names its old image: the first 4 bytes of that image's [`Id`].
///
/// It guards against a mix-up, not against an attacker: what was rebuilt is checked against a full [`Id`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OldId(pub [u8; OLD_ID_LEN]);

/// Short identity by which a container names the base model that it needs: the first 2 bytes of the model's [`Id`].
///
/// It guards against a mix-up: a device holds one model or a few, and what was rebuilt is checked against a full [`Id`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BaseId(pub [u8; BASE_ID_LEN]);

impl Id {
    /// The identity of `content`.
    pub fn of(content: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(content);
        hasher.finish()
    }

    /// The short identity by which a delta against this content names it.
    pub fn old(&self) -> OldId {
        OldId(prefix(&self.0))
    }

    /// The short identity by which a container names this base model.
    pub fn base(&self) -> BaseId {
        BaseId(prefix(&self.0))
    }
}

impl OldId {
    /// Whether this short identity is the one of `id`.
    pub fn names(&self, id: &Id) -> bool {
        *self == id.old()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Display for OldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl BaseId {
    /// Its bytes as a number, the first one highest: how errors tell it.
    pub fn number(self) -> u64 {
        u16::from_be_bytes(self.0).into()
    }

    /// The error of a decoder that does not have this model.
    pub(crate) fn unknown(self) -> Error {
        Error::Unknown { field: "base_id", found: self.number() }
    }
}

impl fmt::Display for BaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// Streaming hash that ends in an [`Id`].
#[derive(Clone, Debug, Default)]
pub struct Hasher(Blake2s<U16>);

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next bytes of the content. Chunking never changes the result.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The identity of all bytes taken in.
    pub fn finish(self) -> Id {
        Id(self.0.finalize().into())
    }
}

/// Streaming SHA-512, as `original_hash` of a version 1 container holds it.
#[derive(Clone, Debug, Default)]
pub struct Sha512(sha2::Sha512);

impl Sha512 {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next bytes of the content. Chunking never changes the result.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken in.
    pub fn finish(self) -> [u8; SHA512_LEN] {
        self.0.finalize().into()
    }
}

/// SHA-512 of `content`.
pub fn sha512(content: &[u8]) -> [u8; SHA512_LEN] {
    let mut hasher = Sha512::new();
    hasher.update(content);
    hasher.finish()
}

/// The first `N` bytes of `digest`, which holds at least that many: checked when compiled.
fn prefix<const N: usize, const M: usize>(digest: &[u8; M]) -> [u8; N] {
    const { assert!(N <= M) };
    core::array::from_fn(|i| digest[i])
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message "abc": BLAKE2s of 16 bytes as Python's `hashlib` gives it; FIPS 180-2, appendix C.1.
    #[test]
    fn standard_vectors() {
        assert_eq!(Id::of(b"abc").to_string(), "aa4938119b1dc7b87cbad0ffd200d0ae");
        assert_eq!(Id::of(b"abc").old().to_string(), "aa493811");
        let long = sha512(b"abc");
        assert_eq!(long[..8], [0xdd, 0xaf, 0x35, 0xa1, 0x93, 0x61, 0x7a, 0xba]);
        assert_eq!(long[56..], [0x2a, 0x9a, 0xc9, 0x4f, 0xa5, 0x4c, 0xa4, 0x9f]);
    }

    #[test]
    fn the_document_gives_the_identity_of_abc() {
        let id = Id::of(b"abc");
        let text = format!("\"abc\" is `{id}`; a delta against it says\n`{}`", id.old());
        assert!(include_str!("../../FORMAT.md").contains(&text), "{text}");
    }

    #[test]
    fn chunking_does_not_matter() {
        let content: Vec<u8> = (0..300u32).map(|i| (i * 7) as u8).collect();
        for split in 0..content.len() {
            let (a, b) = content.split_at(split);
            let (mut short, mut long) = (Hasher::new(), Sha512::new());
            for part in [a, b] {
                short.update(part);
                long.update(part);
            }
            assert_eq!(short.finish(), Id::of(&content));
            assert_eq!(long.finish(), sha512(&content));
        }
    }

    #[test]
    fn short_identities_compare_by_prefix() {
        let id = Id::of(b"old");
        let mut other = id;
        other.0[15] ^= 1;
        assert!(id.old().names(&other));
        other.0[3] ^= 1;
        assert!(!id.old().names(&other));
    }
}
