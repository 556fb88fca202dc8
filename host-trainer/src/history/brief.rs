//! A signed statement without what its reader knows or finds out: the name, the digest and the length.

use super::name::{Name, Version};
use super::statement::{Kind, Signature, Signed, Statement, StatementError};
use crate::tree::Digest;

/// Set in the first byte of a brief statement. A whole one begins with the length of its name, which is less.
const BRIEF: u8 = 1 << 7;
/// Set in the first byte where the version is a folder.
const TREE: u8 = 1 << 0;
/// Set in the first byte where an earlier version is made the one that counts again.
const ROLLBACK: u8 = 1 << 1;

/// What is left of a signed statement for a reader who knows the name, and rebuilds the content before it is believed:
/// whoever has both [completes](Brief::complete) it, and then the signature says whether it is about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brief {
    /// [`Statement::sequence`].
    pub sequence: u64,
    /// [`Statement::version`].
    pub version: Version,
    /// [`Statement::kind`].
    pub kind: Kind,
    /// [`Statement::rollback`].
    pub rollback: bool,
    /// [`Statement::published_at`].
    pub published_at: u64,
    /// Of the whole statement.
    pub signature: Signature,
}

impl Brief {
    /// What is left of `signed`; none of a statement that is not signed, which only its digest would make good for
    /// anything.
    pub fn of(signed: &Signed) -> Option<Self> {
        let Statement { sequence, ref version, kind, rollback, published_at, .. } = signed.statement;
        let signature = signed.signature.clone()?;
        Some(Self { sequence, version: version.clone(), kind, rollback, published_at, signature })
    }

    /// The statement that this is about a content of `name`, with its signature, which is not checked.
    pub fn complete(&self, name: Name, digest: Digest, len: u64) -> Signed {
        let Self { sequence, ref version, kind, rollback, published_at, ref signature } = *self;
        let version = version.clone();
        let statement = Statement { name, sequence, version, kind, digest, len, rollback, published_at };
        Signed { statement, signature: Some(signature.clone()) }
    }

    /// Whether these bytes are to be read as a brief statement, not as a whole one.
    pub fn is(bytes: &[u8]) -> bool {
        bytes.first().is_some_and(|first| first & BRIEF != 0)
    }

    /// The statement as it travels.
    ///
    /// # Panics
    /// Never: there is nothing in it that postcard cannot say.
    pub fn emit(&self) -> Vec<u8> {
        let kind = if self.kind == Kind::Tree { TREE } else { 0 };
        let rollback = if self.rollback { ROLLBACK } else { 0 };
        let fields = (BRIEF | kind | rollback, self.sequence, &self.version, self.published_at, &self.signature);
        postcard::to_allocvec(&fields).expect("a statement is plain data")
    }

    /// Reads a brief statement.
    ///
    /// # Errors
    /// [`StatementError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        let Ok(((flags, sequence, version, published_at, signature), [])) = postcard::take_from_bytes(bytes) else {
            return Err(StatementError::Malformed);
        };
        let flags: u8 = flags;
        if flags & !(TREE | ROLLBACK) != BRIEF {
            return Err(StatementError::Malformed);
        }
        let kind = if flags & TREE == 0 { Kind::File } else { Kind::Tree };
        Ok(Self { sequence, version, kind, rollback: flags & ROLLBACK != 0, published_at, signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::keys::SecretKey;

    #[test]
    fn a_brief_statement_comes_back_and_is_about_one_content_only() {
        let key = SecretKey::generate();
        let (name, digest): (Name, _) = ("gateway".parse().unwrap(), Digest::of(b"content"));
        for (kind, rollback) in [(Kind::File, false), (Kind::File, true), (Kind::Tree, false), (Kind::Tree, true)] {
            let statement = Statement {
                name: name.clone(),
                sequence: 300,
                version: "1.2.0".parse().unwrap(),
                kind,
                digest,
                len: 7,
                rollback,
                published_at: 1_700_000_000_000,
            };
            assert_eq!(Brief::of(&Signed::new(statement.clone(), None)), None);
            let signed = Signed::new(statement, Some(&key));
            let brief = Brief::of(&signed).unwrap();
            let bytes = brief.emit();
            assert!(Brief::is(&bytes) && !Brief::is(&signed.emit()));
            assert_eq!(Brief::parse(&bytes).unwrap(), brief);
            assert_eq!(brief.complete(name.clone(), digest, 7), signed);
            let verified = |name: &str, digest, len| {
                brief.complete(name.parse().unwrap(), digest, len).verify(Some(&key.public())).is_ok()
            };
            assert!(verified("gateway", digest, 7));
            assert!(!verified("sensor", digest, 7) && !verified("gateway", digest, 8));
            assert!(!verified("gateway", Digest::of(b"another"), 7));
            // No bit of it can be another one.
            for bit in 0..8 * bytes.len() {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let forged = Brief::parse(&bytes).ok();
                let believed = forged
                    .is_some_and(|brief| brief.complete(name.clone(), digest, 7).verify(Some(&key.public())).is_ok());
                assert!(!believed, "bit {bit}");
            }
            for cut in 0..bytes.len() {
                assert_eq!(Brief::parse(&bytes[..cut]), Err(StatementError::Malformed));
            }
            assert!(Brief::parse(&[&bytes[..], b"x"].concat()).is_err());
        }
    }
}
