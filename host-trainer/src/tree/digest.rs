//! Names of contents: BLAKE2s (RFC 7693) of 32 bytes, without a key.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use blake2::Blake2s256;
use blake2::digest::Digest as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::report::format::{hex, unhex};

/// Bytes of a digest.
pub const DIGEST_LEN: usize = 32;
/// Bytes that are read at a time.
const CHUNK: usize = 1 << 16;

/// The digest of a content or of a tree. As text: 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; DIGEST_LEN]);

impl Digest {
    /// The digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(content);
        hasher.finish()
    }

    /// The digest of all that `reader` yields, and how many bytes that were.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn of_reader(mut reader: impl Read) -> io::Result<(Self, u64)> {
        let (mut hasher, mut len, mut chunk) = (Hasher::default(), 0, vec![0; CHUNK]);
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return Ok((hasher.finish(), len)),
                Ok(n) => {
                    hasher.update(&chunk[..n]);
                    len += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        unhex(text).map(Self).ok_or_else(|| "a digest has 64 lower-case hexadecimal digits".into())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom);
        }
        <[u8; DIGEST_LEN]>::deserialize(deserializer).map(Self)
    }
}

/// Streaming form of [`Digest::of`].
#[derive(Clone, Debug, Default)]
pub struct Hasher(Blake2s256);

impl Hasher {
    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken in.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_rfc_7693_and_comes_back_from_text() {
        let abc = Digest::of(b"abc");
        assert_eq!(abc.to_string(), "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
        assert_eq!(abc.to_string().parse(), Ok(abc));
        assert_eq!(Digest::of_reader(&b"abc"[..]).unwrap(), (abc, 3));
        for wrong in ["", "50", &"g0".repeat(32), &"A0".repeat(32), &"00".repeat(33)] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
        let json = serde_json::to_string(&abc).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), abc);
    }
}
