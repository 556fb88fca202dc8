//! What can be asked of a server.

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ClientError;
use super::http::Server;
use crate::history::{MAX_STATEMENT, Name, Version};
use crate::tree::{Digest, MAX_MANIFEST, Tree};
use crate::wire::{
    self, ContentsRecord, MAX_DIGESTS, NamesRecord, PublishRecord, RollbackRecord, StatusRecord, VersionRecord,
    VersionsRecord,
};

/// Bytes of a list that are read.
const MAX_LIST: u64 = 64 << 20;
/// Digests that are asked about at a time.
const BATCH: usize = 4096;
const _: () = assert!(BATCH <= MAX_DIGESTS);

impl Server {
    fn json<T: DeserializeOwned>(&self, make: impl Fn() -> RequestBuilder) -> Result<T, ClientError> {
        let bytes = self.ask(MAX_LIST, &make)?;
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Answer {
            request: make().build().as_ref().map(super::http::named).unwrap_or_default(),
            what: error.to_string(),
        })
    }

    fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, ClientError> {
        self.json(|| self.request(Method::POST, path).json(body))
    }

    /// All names and the versions that count.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::Refused`], [`ClientError::Answer`]; so for all requests.
    pub fn names(&self) -> Result<NamesRecord, ClientError> {
        self.json(|| self.request(Method::GET, &["names"]))
    }

    /// All versions of a name.
    ///
    /// # Errors
    /// As [`Server::names`].
    pub fn versions(&self, name: &Name) -> Result<VersionsRecord, ClientError> {
        self.json(|| self.request(Method::GET, &["names", name.as_str(), "versions"]))
    }

    /// What the server has and does.
    ///
    /// # Errors
    /// As [`Server::names`].
    pub fn status(&self) -> Result<StatusRecord, ClientError> {
        self.json(|| self.request(Method::GET, &["delta", "status"]))
    }

    /// The statement about a version as it travels, or about the one that counts; if it may be `brief` and is signed, its
    /// brief form.
    ///
    /// # Errors
    /// As [`Server::names`].
    pub fn statement_of(&self, name: &Name, version: Option<&Version>, brief: bool) -> Result<Vec<u8>, ClientError> {
        let path = match version {
            Some(version) => vec!["names", name.as_str(), "versions", version.as_str()],
            None => vec!["names", name.as_str(), "latest"],
        };
        let accept = match brief {
            true => format!("{}, {};q=0.5", wire::BRIEF, wire::STATEMENT),
            false => wire::STATEMENT.into(),
        };
        self.ask(MAX_STATEMENT as u64, || self.request(Method::GET, &path).header(ACCEPT, &accept))
    }

    /// Whether the server has this tree.
    ///
    /// # Errors
    /// As [`Server::names`].
    pub fn has_tree(&self, root: &Digest) -> Result<bool, ClientError> {
        match self.ask(0, || self.request(Method::HEAD, &["trees", &root.to_string()])) {
            Ok(_) => Ok(true),
            Err(error) if error.has_status(404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The tree with this root.
    ///
    /// # Errors
    /// As [`Server::names`]; [`ClientError::Tree`] for what is none, [`ClientError::WrongDigest`] for another one.
    pub fn tree(&self, root: &Digest) -> Result<Tree, ClientError> {
        let bytes = self.ask(MAX_MANIFEST, || {
            self.request(Method::GET, &["trees", &root.to_string()]).header(ACCEPT, wire::MANIFEST)
        })?;
        let (tree, expected) = (Tree::parse(&bytes)?, *root);
        match tree.root() {
            found if found == expected => Ok(tree),
            found => Err(ClientError::WrongDigest { what: "the tree", expected, found }),
        }
    }

    /// Which of these contents the server does not have.
    ///
    /// # Errors
    /// As [`Server::names`].
    pub fn missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, ClientError> {
        let mut missing = Vec::new();
        for batch in digests.chunks(BATCH) {
            let asked = ContentsRecord { digests: batch.to_vec() };
            let answer: ContentsRecord = self.post(&["contents", "missing"], &asked)?;
            missing.extend(answer.digests);
        }
        Ok(missing)
    }

    /// Sends a tree whose contents the server has.
    ///
    /// # Errors
    /// As [`Server::names`].
    pub fn put_tree(&self, tree: &Tree) -> Result<(), ClientError> {
        let (root, bytes) = (tree.root().to_string(), bytes::Bytes::from(tree.emit()));
        let put = || {
            let request = self.request(Method::PUT, &["trees", &root]).header(CONTENT_TYPE, wire::MANIFEST);
            request.body(bytes.clone())
        };
        self.ask(MAX_LIST, put).map(|_| ())
    }

    /// Publishes what the server has already.
    ///
    /// # Errors
    /// As [`Server::names`].
    pub fn publish(&self, name: &Name, what: &PublishRecord) -> Result<VersionRecord, ClientError> {
        self.post(&["names", name.as_str(), "versions"], what)
    }

    /// Makes an earlier version the one that counts; with a signed statement in hexadecimal digits, or the server signs.
    ///
    /// # Errors
    /// As [`Server::names`].
    pub fn roll_back(
        &self,
        name: &Name,
        version: &Version,
        signed: Option<&str>,
    ) -> Result<VersionRecord, ClientError> {
        self.json(|| {
            let request = self.request(Method::POST, &["names", name.as_str(), "rollback"]);
            let request = request.json(&RollbackRecord { version: version.clone() });
            match signed {
                Some(signed) => request.header(wire::SAID, signed),
                None => request,
            }
        })
    }
}
