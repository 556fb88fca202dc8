//! What a server says of a version, taken only for what was asked for.

use update_core::keys::KEY_LEN;

use super::error::ClientError;
use crate::history::{Brief, Kind, Name, Signed, StatementError, Version};
use crate::tree::Digest;

/// What a statement has to be about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) name: &'a Name,
    /// The version; none: whichever counts.
    pub(super) version: Option<&'a Version>,
    /// The last statement that was seen; an older one is refused.
    pub(super) newest: u64,
    /// Key that must have signed.
    pub(super) key: Option<&'a [u8; KEY_LEN]>,
    pub(super) kind: Kind,
}

impl Expected<'_> {
    /// Reads a statement and checks it.
    ///
    /// # Errors
    /// What [`Signed::check`] refuses; [`ClientError::OtherVersion`], [`ClientError::OtherKind`].
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Signed, ClientError> {
        let signed = Signed::parse(bytes)?;
        signed.check(self.name, self.newest, self.key)?;
        self.admit(&signed.statement.version, signed.statement.kind)?;
        Ok(signed)
    }

    /// As [`Expected::read`], of a statement that may be brief, and whose signature is checked later then.
    ///
    /// # Errors
    /// Likewise.
    pub(super) fn read_either(&self, bytes: &[u8]) -> Result<Stated, ClientError> {
        if !Brief::is(bytes) {
            return Ok(Stated::Whole(self.read(bytes)?));
        }
        let brief = Brief::parse(bytes)?;
        StatementError::check_newest(brief.sequence, self.newest)?;
        self.admit(&brief.version, brief.kind)?;
        Ok(Stated::Brief(brief))
    }

    fn admit(&self, version: &Version, kind: Kind) -> Result<(), ClientError> {
        if let Some(wanted) = self.version.filter(|wanted| *wanted != version) {
            return Err(ClientError::OtherVersion { wanted: wanted.clone(), found: version.clone() });
        }
        if kind != self.kind {
            return Err(ClientError::OtherKind { name: self.name.clone(), found: kind });
        }
        Ok(())
    }

    /// The statement, if the tree with this root, whose files have `len` bytes, is what it is about. A brief one is signed
    /// then.
    pub(super) fn about(&self, stated: &Stated, root: Digest, len: u64) -> Option<Signed> {
        match stated {
            Stated::Whole(signed) => (signed.statement.digest == root).then(|| signed.clone()),
            Stated::Brief(brief) => {
                let signed = brief.complete(self.name.clone(), root, len);
                (self.key.is_some() && signed.verify(self.key).is_ok()).then_some(signed)
            }
        }
    }
}

/// A statement as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stated {
    /// It is believed.
    Whole(Signed),
    /// It is believed once there is a tree that it is [about](Expected::about).
    Brief(Brief),
}

impl Stated {
    pub(super) fn sequence(&self) -> u64 {
        match self {
            Self::Whole(signed) => signed.statement.sequence,
            Self::Brief(brief) => brief.sequence,
        }
    }

    pub(super) fn version(&self) -> &Version {
        match self {
            Self::Whole(signed) => &signed.statement.version,
            Self::Brief(brief) => &brief.version,
        }
    }
}
