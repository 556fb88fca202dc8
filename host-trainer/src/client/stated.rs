//! What a server says of a version, taken only for what was asked for.

use update_core::keys::KEY_LEN;

use super::error::ClientError;
use crate::history::{Kind, Name, Signed, Version};

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
        let said = &signed.statement;
        if let Some(wanted) = self.version.filter(|wanted| **wanted != said.version) {
            return Err(ClientError::OtherVersion { wanted: wanted.clone(), found: said.version.clone() });
        }
        if said.kind != self.kind {
            return Err(ClientError::OtherKind { name: self.name.clone(), found: said.kind });
        }
        Ok(signed)
    }
}
