//! The statement "this is version V of N": what publishing adds, and what is signed.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use update_core::keys::{KEY_LEN, SIGNATURE_LEN};

use super::name::{Name, Version};
use crate::release::keys::{self, SecretKey};
use crate::report::format::{hex, unhex};
use crate::tree::Digest;

/// Bytes of an encoded statement with its signature, at most.
pub const MAX_STATEMENT: usize = 512;
/// What is signed begins with this, so that no signature of an update can pass for one of a statement.
const DOMAIN: &[u8] = b"gmcf statement 1\n";

/// What a version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One content: a firmware image, a configuration.
    File,
    /// A folder with all that is in it.
    Tree,
}

/// That a name stands for a content from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Name of what is followed.
    pub name: Name,
    /// Number of the statement among those of this name: 1, 2, 3 and so on. The largest counts.
    pub sequence: u64,
    /// The version that counts from now on.
    pub version: Version,
    /// File or folder.
    pub kind: Kind,
    /// Digest of the content, or root of the tree.
    pub digest: Digest,
    /// Bytes of the content, or of all files of the tree.
    pub len: u64,
    /// Whether an earlier version is made the one that counts again.
    pub rollback: bool,
    /// When, in milliseconds since 1970-01-01 in UTC.
    pub published_at: u64,
}

impl Statement {
    /// What is signed: the domain and the statement as postcard.
    ///
    /// # Panics
    /// Never: there is nothing in it that postcard cannot say.
    pub fn message(&self) -> Vec<u8> {
        postcard::to_extend(self, DOMAIN.to_vec()).expect("a statement is plain data")
    }
}

/// A statement, and the signature of whoever made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// What is said.
    pub statement: Statement,
    /// Ed25519 over [`Statement::message`]; none where the publisher does not sign.
    pub signature: Option<Signature>,
}

/// An Ed25519 signature (RFC 8032). As text: 128 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature(pub [u8; SIGNATURE_LEN]);

/// Why a statement is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatementError {
    /// The bytes are no statement.
    Malformed,
    /// A signature is wanted, and there is none.
    Unsigned,
    /// The signature is not of the key that is trusted.
    WrongSignature,
    /// It speaks of another name.
    OtherName {
        /// The name that was asked for.
        wanted: Name,
        /// The one that it speaks of.
        found: Name,
    },
    /// It is older than one that was seen before.
    Replayed {
        /// Its number.
        found: u64,
        /// The largest seen.
        seen: u64,
    },
}

impl fmt::Display for StatementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the statement about the version cannot be read"),
            Self::Unsigned => f.write_str("the version is not signed"),
            Self::WrongSignature => f.write_str("the signature of the version is not of the key that is trusted"),
            Self::OtherName { wanted, found } => write!(f, "the version is one of `{found}`, not of `{wanted}`"),
            Self::Replayed { found, seen } => {
                write!(f, "statement {found} is an old one: number {seen} has been seen already")
            }
        }
    }
}

impl std::error::Error for StatementError {}

impl StatementError {
    /// Refuses number `found` of a statement where number `seen` has been seen.
    pub(crate) fn check_newest(found: u64, seen: u64) -> Result<(), Self> {
        if found < seen { Err(Self::Replayed { found, seen }) } else { Ok(()) }
    }
}

impl Signed {
    /// `statement`, signed if there is a key.
    pub fn new(statement: Statement, key: Option<&SecretKey>) -> Self {
        let signature = key.map(|key| Signature(key.sign(&statement.message())));
        Self { statement, signature }
    }

    /// The statement as it travels: postcard.
    ///
    /// # Panics
    /// Never: there is nothing in it that postcard cannot say.
    pub fn emit(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("a statement is plain data")
    }

    /// Reads a statement; its signature is not checked.
    ///
    /// # Errors
    /// [`StatementError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        let within = Some(bytes).filter(|bytes| bytes.len() <= MAX_STATEMENT).ok_or(StatementError::Malformed)?;
        match postcard::take_from_bytes(within) {
            Ok((signed, [])) => Ok(signed),
            _ => Err(StatementError::Malformed),
        }
    }

    /// Whether `key`, if one is trusted, has signed it. Without a key anything is believed.
    ///
    /// # Errors
    /// [`StatementError::Unsigned`] and [`StatementError::WrongSignature`].
    pub fn verify(&self, key: Option<&[u8; KEY_LEN]>) -> Result<(), StatementError> {
        let Some(key) = key else { return Ok(()) };
        let signature = self.signature.as_ref().ok_or(StatementError::Unsigned)?;
        let good = keys::verify(key, &self.statement.message(), &signature.0);
        good.then_some(()).ok_or(StatementError::WrongSignature)
    }

    /// As [`Signed::verify`], and that it speaks of `name` and is not older than what has been `seen`.
    ///
    /// # Errors
    /// Any of [`StatementError`] but [`StatementError::Malformed`].
    pub fn check(&self, name: &Name, seen: u64, key: Option<&[u8; KEY_LEN]>) -> Result<(), StatementError> {
        self.verify(key)?;
        if self.statement.name != *name {
            return Err(StatementError::OtherName { wanted: name.clone(), found: self.statement.name.clone() });
        }
        StatementError::check_newest(self.statement.sequence, seen)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

// serde has no arrays of 64: as bytes, a signature is two of 32.
impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        let (halves, _) = self.0.as_chunks::<32>();
        (halves[0], halves[1]).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            let wrong = || de::Error::custom("a signature has 128 lower-case hexadecimal digits");
            return unhex(&text).map(Self).ok_or_else(wrong);
        }
        let halves = <([u8; 32], [u8; 32])>::deserialize(deserializer)?;
        let mut bytes = [0; SIGNATURE_LEN];
        bytes[..32].copy_from_slice(&halves.0);
        bytes[32..].copy_from_slice(&halves.1);
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> Statement {
        Statement {
            name: "gateway".parse().unwrap(),
            sequence: 3,
            version: "1.2.0".parse().unwrap(),
            kind: Kind::Tree,
            digest: Digest::of(b"tree"),
            len: 1000,
            rollback: false,
            published_at: 1_700_000_000_000,
        }
    }

    #[test]
    fn statements_come_back_as_bytes_and_as_json() {
        for key in [None, Some(&SecretKey::generate())] {
            let signed = Signed::new(statement(), key);
            let bytes = signed.emit();
            assert_eq!(Signed::parse(&bytes).unwrap(), signed);
            let json = serde_json::to_string(&signed).unwrap();
            assert_eq!(serde_json::from_str::<Signed>(&json).unwrap(), signed);
            for cut in 0..bytes.len() {
                assert_eq!(Signed::parse(&bytes[..cut]), Err(StatementError::Malformed));
            }
            assert!(Signed::parse(&[&bytes[..], b"x"].concat()).is_err());
        }
    }

    #[test]
    fn only_the_trusted_keys_statements_are_believed() {
        let (key, other) = (SecretKey::generate(), SecretKey::generate());
        let (trusted, name) = (key.public(), "gateway".parse().unwrap());
        let signed = Signed::new(statement(), Some(&key));
        assert_eq!(signed.check(&name, 3, Some(&trusted)), Ok(()));
        assert_eq!(signed.check(&name, 4, Some(&trusted)), Err(StatementError::Replayed { found: 3, seen: 4 }));
        let unsigned = Signed::new(statement(), None);
        assert_eq!(unsigned.check(&name, 0, None), Ok(()));
        assert_eq!(unsigned.check(&name, 0, Some(&trusted)), Err(StatementError::Unsigned));
        let forged = Signed::new(statement(), Some(&other));
        assert_eq!(forged.check(&name, 0, Some(&trusted)), Err(StatementError::WrongSignature));
        // Any field that is changed breaks the signature.
        let mut changed = signed.clone();
        changed.statement.sequence += 1;
        assert_eq!(changed.check(&name, 0, Some(&trusted)), Err(StatementError::WrongSignature));
        let other_name: Name = "sensor".parse().unwrap();
        assert!(matches!(signed.check(&other_name, 0, Some(&trusted)), Err(StatementError::OtherName { .. })));
    }
}
