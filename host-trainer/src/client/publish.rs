//! Publishes files and folders.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Method};

use super::error::ClientError;
use super::http::Server;
use super::sync::Watch;
use crate::history::{Kind, Name, Signed, Statement, Version};
use crate::release::keys::SecretKey;
use crate::report::format::hex;
use crate::report::transfer::now_ms;
use crate::tree::{Digest, Entry, Walked};
use crate::wire::{self, PublishRecord, VersionRecord};

/// Contents that are sent at the same time.
const PARALLEL: usize = 4;
/// Times that a statement is signed again because another publisher was faster.
const RACES: u32 = 20;

/// What was published.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// What the server says that it has now.
    pub record: VersionRecord,
    /// The version that counted before.
    pub before: Option<Signed>,
    /// Files in it.
    pub files: usize,
    /// Contents that the server did not have.
    pub sent: usize,
    /// Their bytes.
    pub sent_bytes: u64,
}

/// Publishes a folder as a version of `name`.
///
/// # Errors
/// [`ClientError`]; what was sent stays on the server, and need not be sent again.
pub fn publish_tree(
    server: &Server,
    walked: &Walked,
    name: &Name,
    version: Option<&Version>,
    key: Option<&SecretKey>,
    watch: &dyn Watch,
) -> Result<Published, ClientError> {
    let file = |entry: &Entry| Some((entry.file()?.2, (walked.path_of(entry), entry.file()?.1)));
    let contents: HashMap<Digest, (PathBuf, u64)> = walked.tree.entries().iter().filter_map(file).collect();
    let (sent, sent_bytes) = send(server, &contents, watch)?;
    server.put_tree(&walked.tree)?;
    let what = Content { kind: Kind::Tree, digest: walked.tree.root(), len: walked.tree.len() };
    let (record, before) = say(server, name, version, &what, key)?;
    Ok(Published { record, before, files: walked.tree.files(), sent, sent_bytes })
}

/// Publishes a file as a version of `name`.
///
/// # Errors
/// As [`publish_tree`].
pub fn publish_file(
    server: &Server,
    path: &Path,
    name: &Name,
    version: Option<&Version>,
    key: Option<&SecretKey>,
    watch: &dyn Watch,
) -> Result<Published, ClientError> {
    let file = std::fs::File::open(path).map_err(ClientError::io("read", path))?;
    let (digest, len) = Digest::of_reader(file).map_err(ClientError::io("read", path))?;
    let contents = HashMap::from([(digest, (path.to_path_buf(), len))]);
    let (sent, sent_bytes) = send(server, &contents, watch)?;
    let (record, before) = say(server, name, version, &Content { kind: Kind::File, digest, len }, key)?;
    Ok(Published { record, before, files: 1, sent, sent_bytes })
}

/// Sends the contents that the server does not have; how many, and how many bytes.
fn send(
    server: &Server,
    contents: &HashMap<Digest, (PathBuf, u64)>,
    watch: &dyn Watch,
) -> Result<(usize, u64), ClientError> {
    let mut digests: Vec<Digest> = contents.keys().copied().collect();
    digests.sort_unstable();
    // A server may name what was not asked for.
    let missing: Vec<(Digest, &Path, u64)> = server
        .missing(&digests)?
        .iter()
        .filter_map(|digest| contents.get(digest).map(|(path, len)| (*digest, path.as_path(), *len)))
        .collect();
    let total = missing.iter().map(|(.., len)| len).sum();
    let done = AtomicU64::new(0);
    watch.progress("sending", 0, total);
    let work = stream::iter(&missing).map(Ok).try_for_each_concurrent(PARALLEL, async |(digest, path, len)| {
        put(server, digest, path, *len).await?;
        let done = done.fetch_add(*len, Ordering::Relaxed) + len;
        watch.progress("sending", done, total);
        Ok::<_, ClientError>(())
    });
    server.runtime.block_on(work)?;
    Ok((missing.len(), total))
}

async fn put(server: &Server, digest: &Digest, path: &Path, len: u64) -> Result<(), ClientError> {
    let digest = digest.to_string();
    server
        .again(&format!("PUT /contents/{digest}"), async || {
            let file = tokio::fs::File::open(path).await.map_err(ClientError::io("read", path))?;
            let request = server.request(Method::PUT, &["contents", &digest]);
            let request = request.header(CONTENT_TYPE, wire::OCTETS).header(CONTENT_LENGTH, len);
            let response = server.send(request.body(Body::from(file))).await?;
            server.traffic().count_sent(len as usize);
            server.body(response, 1 << 16).await.map(|_| ())
        })
        .await
        .map_err(|error| match error {
            ClientError::Refused(mut refusal) => {
                refusal.detail = format!("`{}`: {}", path.display(), refusal.detail);
                ClientError::Refused(refusal)
            }
            error => error,
        })
}

/// What a version is to stand for.
struct Content {
    kind: Kind,
    digest: Digest,
    len: u64,
}

/// The statement that counts, if there is one.
fn latest(server: &Server, name: &Name) -> Result<Option<Signed>, ClientError> {
    match server.statement_of(name, None, false) {
        Ok(bytes) => Ok(Some(Signed::parse(&bytes)?)),
        Err(error) if error.has_status(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Publishes what is there; again where another publisher was faster.
fn say(
    server: &Server,
    name: &Name,
    version: Option<&Version>,
    what: &Content,
    key: Option<&SecretKey>,
) -> Result<(VersionRecord, Option<Signed>), ClientError> {
    let Content { kind, digest, len } = *what;
    let mut races = 0;
    loop {
        let before = latest(server, name)?;
        let sequence = before.as_ref().map_or(0, |signed| signed.statement.sequence) + 1;
        let version = match version {
            Some(version) => version.clone(),
            None => sequence.to_string().parse()?,
        };
        let signed = key.map(|key| {
            let statement = Statement {
                name: name.clone(),
                sequence,
                version: version.clone(),
                kind,
                digest,
                len,
                rollback: false,
                published_at: now_ms(),
            };
            hex(&Signed::new(statement, Some(key)).emit())
        });
        match server.publish(name, &PublishRecord { version, kind, digest, statement: signed }) {
            Ok(record) => return Ok((record, before)),
            Err(error) if error.has_kind("/problems/sequence-taken") && races < RACES => races += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Makes an earlier version the one that counts. With a key the statement is signed here, else by the server.
///
/// # Errors
/// [`ClientError`].
pub fn publish_rollback(
    server: &Server,
    name: &Name,
    version: &Version,
    key: Option<&SecretKey>,
) -> Result<VersionRecord, ClientError> {
    let Some(key) = key else { return server.roll_back(name, version, None) };
    let mut races = 0;
    loop {
        let known = Signed::parse(&server.statement_of(name, Some(version), false)?)?;
        // What is signed again must have been signed by the same key before.
        known.check(name, 0, Some(&key.public()))?;
        let sequence = latest(server, name)?.map_or(0, |signed| signed.statement.sequence) + 1;
        let statement = Statement { sequence, rollback: true, published_at: now_ms(), ..known.statement };
        let signed = hex(&Signed::new(statement, Some(key)).emit());
        match server.roll_back(name, version, Some(&signed)) {
            Err(error) if error.has_kind("/problems/sequence-taken") && races < RACES => races += 1,
            answer => return answer,
        }
    }
}
