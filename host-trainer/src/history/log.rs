//! All statements about one name, in order.

use std::fmt;

use super::name::{Name, Version};
use super::statement::{Signed, Statement};

/// Why a statement cannot be the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotNext {
    /// Another statement has this number, or one before is missing.
    Sequence {
        /// Its number.
        found: u64,
        /// The next one.
        next: u64,
    },
    /// The version exists with another content.
    Exists {
        /// The version.
        version: Version,
    },
    /// The version was the one that counts before, and going back was not asked for.
    Old {
        /// The version.
        version: Version,
    },
    /// A rollback to a version that was never published.
    NeverPublished {
        /// The version.
        version: Version,
    },
    /// The name stands for the other kind of thing.
    OtherKind {
        /// The name.
        name: Name,
    },
}

impl fmt::Display for NotNext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sequence { found, next } => write!(f, "sequence is {found}, the next one is {next}"),
            Self::Exists { version } => write!(f, "version `{version}` exists with another content"),
            Self::Old { version } => write!(f, "version `{version}` is an earlier one: go back with a rollback"),
            Self::NeverPublished { version } => write!(f, "version `{version}` was never published"),
            Self::OtherKind { name } => write!(f, "`{name}` has versions of the other kind: file or folder"),
        }
    }
}

impl std::error::Error for NotNext {}

/// The statements about one name, by their numbers from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    statements: Vec<Signed>,
}

impl History {
    /// Number of the next statement.
    pub fn next(&self) -> u64 {
        self.statements.len() as u64 + 1
    }

    /// All statements, oldest first.
    pub fn statements(&self) -> &[Signed] {
        &self.statements
    }

    /// The statement that counts.
    pub fn latest(&self) -> Option<&Signed> {
        self.statements.last()
    }

    /// The last statement about a version.
    pub fn version(&self, version: &Version) -> Option<&Signed> {
        self.statements.iter().rev().find(|signed| signed.statement.version == *version)
    }

    /// The different versions, each by the last statement about it, in the order in which they were first published.
    pub fn versions(&self) -> Vec<&Signed> {
        let mut versions: Vec<&Signed> = Vec::new();
        for signed in &self.statements {
            match versions.iter_mut().find(|known| known.statement.version == signed.statement.version) {
                Some(known) => *known = signed,
                None => versions.push(signed),
            }
        }
        versions
    }

    /// Whether the statement that counts says the same of the same version: publishing it again changes nothing.
    pub fn says(&self, statement: &Statement) -> bool {
        self.latest().is_some_and(|Signed { statement: latest, .. }| {
            (&latest.version, latest.kind, latest.digest) == (&statement.version, statement.kind, statement.digest)
        })
    }

    /// Checks that `statement` can be the next one.
    ///
    /// # Errors
    /// [`NotNext`].
    pub fn check_next(&self, statement: &Statement) -> Result<(), NotNext> {
        let (found, next) = (statement.sequence, self.next());
        if found != next {
            return Err(NotNext::Sequence { found, next });
        }
        if self.latest().is_some_and(|latest| latest.statement.kind != statement.kind) {
            return Err(NotNext::OtherKind { name: statement.name.clone() });
        }
        let version = statement.version.clone();
        match self.version(&version) {
            None if statement.rollback => Err(NotNext::NeverPublished { version }),
            None => Ok(()),
            Some(known) if known.statement.digest != statement.digest => Err(NotNext::Exists { version }),
            Some(_) if statement.rollback => Ok(()),
            Some(_) => Err(NotNext::Old { version }),
        }
    }

    /// Takes in the next statement.
    ///
    /// # Errors
    /// [`NotNext`].
    pub fn push(&mut self, signed: Signed) -> Result<(), NotNext> {
        self.check_next(&signed.statement)?;
        self.statements.push(signed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;
    use crate::tree::Digest;

    fn statement(sequence: u64, version: &str, content: &[u8], rollback: bool) -> Signed {
        let statement = Statement {
            name: "fw".parse().unwrap(),
            sequence,
            version: version.parse().unwrap(),
            kind: Kind::File,
            digest: Digest::of(content),
            len: content.len() as u64,
            rollback,
            published_at: 0,
        };
        Signed::new(statement, None)
    }

    #[test]
    fn a_version_is_published_once_and_can_be_gone_back_to() {
        let mut history = History::default();
        history.push(statement(1, "1", b"one", false)).unwrap();
        assert!(history.says(&statement(2, "1", b"one", false).statement));
        history.push(statement(2, "2", b"two", false)).unwrap();
        let refused = |signed: Signed| history.check_next(&signed.statement).unwrap_err();
        assert_eq!(refused(statement(2, "3", b"x", false)), NotNext::Sequence { found: 2, next: 3 });
        assert!(matches!(refused(statement(3, "1", b"x", false)), NotNext::Exists { .. }));
        assert!(matches!(refused(statement(3, "1", b"one", false)), NotNext::Old { .. }));
        assert!(matches!(refused(statement(3, "3", b"x", true)), NotNext::NeverPublished { .. }));
        let mut tree = statement(3, "3", b"x", false);
        tree.statement.kind = Kind::Tree;
        assert!(matches!(refused(tree), NotNext::OtherKind { .. }));
        history.push(statement(3, "1", b"one", true)).unwrap();
        assert_eq!(history.latest().unwrap().statement.version.as_str(), "1");
        let versions: Vec<&str> = history.versions().iter().map(|s| s.statement.version.as_str()).collect();
        assert_eq!(versions, ["1", "2"]);
        assert_eq!(history.version(&"1".parse().unwrap()).unwrap().statement.sequence, 3);
    }
}
