//! Tokens: what their bearers may do. The store knows their digests only.

use std::fmt;
use std::str::FromStr;

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::history::Name;
use crate::report::format::{hex, unhex};
use crate::tree::Digest;

/// What a token begins with, so that one is recognised where it should not be.
const PREFIX: &str = "gmcf_";
/// Random bytes of a token.
const SECRET_LEN: usize = 24;

/// What a bearer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Read, where reading needs a token.
    Read,
    /// Publish versions, and read.
    Publish,
}

/// What the bearer of one token may do, with which names, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Whom or what it was made for.
    pub label: String,
    /// What may be done.
    pub right: Right,
    /// With which names; with all, if none is given.
    pub names: Vec<Name>,
    /// When it was made, in milliseconds since 1970-01-01 in UTC.
    pub created_at: u64,
    /// Until when it is good, likewise; for ever if nothing is said.
    pub expires_at: Option<u64>,
}

impl Grant {
    /// Whether `right` is given for `name`, or for anything where no name is concerned, at `now`.
    pub fn allows(&self, right: Right, name: Option<&Name>, now: u64) -> bool {
        let named = name.is_none_or(|name| self.names.is_empty() || self.names.contains(name));
        self.right >= right && named && self.expires_at.is_none_or(|end| now < end)
    }
}

/// A token: `gmcf_` and 48 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; SECRET_LEN]);

impl Token {
    /// A new one, from the system's randomness.
    ///
    /// # Errors
    /// The system's, if it has no randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut secret = [0; SECRET_LEN];
        getrandom::fill(&mut secret)?;
        Ok(Self(secret))
    }

    /// Under which the store keeps what it grants.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(self.to_string().as_bytes())
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", hex(&self.0))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl FromStr for Token {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.strip_prefix(PREFIX).and_then(unhex).map(Self).ok_or(())
    }
}

impl Store {
    fn grant_at(&self, token: &Token) -> Path {
        self.at(["tokens", &format!("{}.json", token.digest())])
    }

    /// Keeps what the bearer of `token` may do.
    ///
    /// # Errors
    /// [`StoreError::Object`].
    pub async fn put_grant(&self, token: &Token, grant: &Grant) -> Result<(), StoreError> {
        let path = self.grant_at(token);
        let bytes = serde_json::to_vec_pretty(grant).map_err(|error| StoreError::damaged(&path, error))?;
        self.put(&path, bytes).await
    }

    /// What the bearer of `token` may do; none if nobody knows it.
    ///
    /// # Errors
    /// [`StoreError::Object`], [`StoreError::Damaged`].
    pub async fn grant(&self, token: &Token) -> Result<Option<Grant>, StoreError> {
        let path = self.grant_at(token);
        let Some(bytes) = self.read(&path).await? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| StoreError::damaged(&path, error))
    }

    /// Makes a token worthless; whether there was one.
    ///
    /// # Errors
    /// [`StoreError::Object`].
    pub async fn revoke(&self, token: &Token) -> Result<bool, StoreError> {
        let path = self.grant_at(token);
        let known = self.head(&path).await?.is_some();
        self.delete(&path).await.map(|()| known)
    }
}
