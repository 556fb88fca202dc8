//! Fetches a version of a single file, as what is missing from an old one.

use std::fs;
use std::path::Path;

use update_core::keys::KEY_LEN;

use super::download::Wanted;
use super::error::ClientError;
use super::http::Server;
use super::stated::Expected;
use super::sync::Watch;
use crate::codec;
use crate::history::{Kind, Name, Signed, Version};
use crate::tree::Digest;

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The statement about it.
    pub signed: Signed,
    /// The file.
    pub bytes: Vec<u8>,
    /// Version of the old file, if the server knows it.
    pub from: Option<Version>,
    /// Bytes of what came: GMCF files, or the file as it is.
    pub sent: u64,
    /// Whether they need the old file.
    pub is_delta: bool,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The name.
    pub name: &'a Name,
    /// The version; none: the one that counts.
    pub version: Option<&'a Version>,
    /// File that is here already.
    pub old: Option<&'a [u8]>,
    /// Key that must have signed.
    pub key: Option<&'a [u8; KEY_LEN]>,
    /// Bytes of the file, at most.
    pub max_size: u32,
}

/// Fetches a version of a file; downloads go to `folder`.
///
/// # Errors
/// [`ClientError`]; what comes has the digest that the statement says, or does not come.
pub fn fetch(server: &Server, asked: &Asked<'_>, folder: &Path, watch: &dyn Watch) -> Result<Fetched, ClientError> {
    let Asked { name, version, old, key, max_size } = *asked;
    let expected = Expected { name, version, newest: 0, key, kind: Kind::File };
    let signed = expected.read(&server.statement_of(name, version, false)?)?;
    let said = &signed.statement;
    ClientError::check("the file", said.len, max_size.into())?;
    let from = match old.map(Digest::of) {
        // Who has it already needs no version of it.
        Some(digest) if digest == said.digest => {
            let (bytes, from) = (old.unwrap_or_default().to_vec(), Some(said.version.clone()));
            return Ok(Fetched { signed, bytes, from, sent: 0, is_delta: true });
        }
        Some(digest) => server.versions(name)?.versions.into_iter().find(|known| known.digest == digest),
        None => None,
    };
    let from = from.map(|known| known.version);
    let progress = |done, all| watch.progress("receiving", done, all);
    let wanted = Wanted::Delta { name: name.clone(), to: said.version.clone(), from: from.clone() };
    // A chain may be longer than the file in the worst case, and not by much.
    let limit = said.len.saturating_mul(2).saturating_add(1 << 16);
    let (bytes, sent, is_delta) = match server.download(&wanted, limit, folder, &progress) {
        Ok(path) => {
            let body = fs::read(&path).map_err(ClientError::io("read", &path))?;
            let containers = codec::links(&body)?;
            let is_delta = containers.first().is_some_and(|first| codec::is_delta(first).unwrap_or(true));
            watch.progress("applying", 0, 1);
            let old = old.filter(|_| from.is_some());
            (codec::apply_within(&containers, old, max_size, None)?, body.len() as u64, is_delta)
        }
        // Too large for the codec, or none that this server makes.
        Err(error) if error.has_status(422) || error.has_status(501) => {
            let path = server.download(&Wanted::Content(said.digest), said.len, folder, &progress)?;
            let bytes = fs::read(&path).map_err(ClientError::io("read", &path))?;
            (bytes, said.len, false)
        }
        Err(error) => return Err(error),
    };
    let (expected, found) = (said.digest, Digest::of(&bytes));
    if found != expected {
        return Err(ClientError::WrongDigest { what: "the file", expected, found });
    }
    Ok(Fetched { signed, bytes, from, sent, is_delta })
}
