//! Downloads that go on where they were cut off.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use reqwest::header::{ACCEPT, CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::error::ClientError;
use super::http::{Fault, Server, named};
use crate::files;
use crate::history::{Name, Version};
use crate::tree::Digest;
use crate::wire;

/// What can be downloaded: none of it ever changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// What leads to a tree.
    Patch {
        /// The name.
        name: Name,
        /// The version, and the root of its tree where that is known.
        to: (Version, Option<Digest>),
        /// What is there: the root of its tree, and its version if it is one of the name's.
        from: Option<(Option<Version>, Digest)>,
    },
    /// A content.
    Content(Digest),
    /// The pack of a tree.
    Pack(Digest),
    /// What leads to a version of a content.
    Delta {
        /// The name.
        name: Name,
        /// The version.
        to: Version,
        /// The one to start from.
        from: Option<Version>,
    },
}

impl Wanted {
    fn request(&self, server: &Server) -> RequestBuilder {
        let get = |path: &[&str], query: &[(&str, &str)]| server.request_with(Method::GET, path, query);
        match self {
            Self::Patch { to: (_, Some(to)), from: Some((None, from)), .. } => {
                let query = [("from", &*from.to_string())];
                get(&["trees", &to.to_string(), "patch"], &query).header(ACCEPT, wire::PATCH)
            }
            // By versions, so that the server knows who is where.
            Self::Patch { name, to: (to, _), from } => {
                let mut query = vec![("name", name.as_str()), ("to", to.as_str())];
                let from = from.as_ref().and_then(|(version, _)| version.as_ref());
                query.extend(from.map(|from| ("from", from.as_str())));
                get(&["delta", "between"], &query).header(ACCEPT, wire::PATCH)
            }
            Self::Content(digest) => get(&["contents", &digest.to_string()], &[]).header(ACCEPT, wire::OCTETS),
            Self::Pack(root) => get(&["trees", &root.to_string(), "pack"], &[]).header(ACCEPT, wire::PACK),
            Self::Delta { name, to, from } => {
                let mut query = vec![("name", name.as_str()), ("to", to.as_str())];
                query.extend(from.as_ref().map(|from| ("from", from.as_str())));
                query.extend([("profile", "host"), ("base", "true")]);
                get(&["delta", "between"], &query).header(ACCEPT, wire::GMCF)
            }
        }
    }

    /// How the file is called that it is downloaded to: it says all that was asked for.
    fn file_name(&self) -> String {
        match self {
            Self::Patch { name, to, from } => {
                let from = from.as_ref().map_or_else(|| "nothing".into(), |(_, from)| from.to_string());
                match to {
                    (_, Some(to)) => format!("{from}-{to}.patch"),
                    (to, None) => format!("{from}-{name}-{to}.patch"),
                }
            }
            Self::Content(digest) => format!("{digest}.content"),
            Self::Pack(root) => format!("{root}.pack"),
            Self::Delta { name, to, from } => {
                format!("{name}-{}-{to}.gmcf", from.as_ref().map_or("", |from| from.as_str()))
            }
        }
    }
}

/// Under which tag the server knows what is coming, and how long that is; 0 if it does not say.
#[derive(Debug, Serialize, Deserialize)]
struct Coming {
    etag: String,
    total: u64,
}

/// A download in a folder: the file, and beside it what it is.
struct Download<'a> {
    wanted: &'a Wanted,
    path: PathBuf,
    note: PathBuf,
    limit: u64,
    progress: &'a dyn Fn(u64, u64),
}

impl Download<'_> {
    /// Bytes that are there, and what they are the start of.
    fn so_far(&self) -> Option<(u64, Coming)> {
        let coming = serde_json::from_slice(&fs::read(&self.note).ok()?).ok()?;
        let len = fs::metadata(&self.path).ok()?.len();
        (len > 0).then_some((len, coming))
    }

    /// One try: all that is missing, or as much of it as comes.
    async fn attempt(&self, server: &Server) -> Result<(), Fault> {
        let mut request = self.wanted.request(server);
        let partial = self.so_far();
        if let Some((len, Coming { etag, total })) = &partial {
            if len == total {
                return Ok(());
            }
            request = request.header(RANGE, format!("bytes={len}-")).header(IF_RANGE, etag);
        }
        let response = match server.send(request).await {
            Err(Fault::Final(error)) if error.has_status(StatusCode::RANGE_NOT_SATISFIABLE.as_u16()) => {
                self.forget()?;
                return Err(Fault::Lost { what: "what has come is of another length".into(), progress: false });
            }
            response => response?,
        };
        let file = match (response.status(), &partial) {
            (StatusCode::PARTIAL_CONTENT, Some((len, _))) => self.append(&response, *len)?,
            (StatusCode::PARTIAL_CONTENT, None) => return Err(self.nonsense("a part that was not asked for").into()),
            _ => self.start(&response)?,
        };
        self.fill(server, response, file).await
    }

    fn nonsense(&self, what: &str) -> ClientError {
        ClientError::Answer { request: self.wanted.file_name(), what: what.into() }
    }

    fn start(&self, response: &Response) -> Result<File, ClientError> {
        self.forget()?;
        if let Some(etag) = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok()) {
            let note = Coming { etag: etag.into(), total: response.content_length().unwrap_or(0) };
            let note = serde_json::to_vec(&note).map_err(|error| self.nonsense(&error.to_string()))?;
            files::write_atomic(&self.note, &note).map_err(ClientError::io("write", &self.note))?;
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&self.path);
        file.map_err(ClientError::io("write", &self.path))
    }

    fn append(&self, response: &Response, len: u64) -> Result<File, ClientError> {
        let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let start = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
        if start != Some(len) {
            return Err(self.nonsense("another part than the one that was asked for"));
        }
        let mut file = OpenOptions::new().write(true).open(&self.path).map_err(ClientError::io("write", &self.path))?;
        file.seek(SeekFrom::Start(len)).map_err(ClientError::io("write", &self.path))?;
        Ok(file)
    }

    async fn fill(&self, server: &Server, mut response: Response, mut file: File) -> Result<(), Fault> {
        let mut len = file.stream_position().map_err(ClientError::io("write", &self.path))?;
        let total = response.content_length().map_or(0, |rest| len.saturating_add(rest));
        ClientError::check("the download", total, self.limit)?;
        let mut progress = false;
        loop {
            (self.progress)(len, total);
            match response.chunk().await {
                Ok(None) => return Ok(()),
                Ok(Some(chunk)) => {
                    server.traffic().count_received(chunk.len());
                    len += chunk.len() as u64;
                    ClientError::check("the download", len, self.limit)?;
                    file.write_all(&chunk).map_err(ClientError::io("write", &self.path))?;
                    progress = true;
                }
                Err(error) => {
                    let Fault::Lost { what, .. } = Fault::lost(&error) else { unreachable!("lost is lost") };
                    return Err(Fault::Lost { what, progress });
                }
            }
        }
    }

    /// Starts afresh.
    fn forget(&self) -> Result<(), ClientError> {
        for path in [&self.note, &self.path] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(ClientError::io("remove", path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Server {
    /// The bytes `offset..offset + len` of something.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Answer`] from a server that sends other bytes than those.
    pub(super) fn range(&self, wanted: &Wanted, offset: u64, len: u64) -> Result<Vec<u8>, ClientError> {
        let range = format!("bytes={offset}-{}", offset.saturating_add(len).saturating_sub(1));
        let bytes = self.ask(len, || wanted.request(self).header(RANGE, &range))?;
        if bytes.len() as u64 == len {
            return Ok(bytes);
        }
        let what = format!("{} bytes in place of {len}", bytes.len());
        Err(ClientError::Answer { request: wanted.file_name(), what })
    }

    /// Downloads to a file in `folder`, of at most `limit` bytes, and returns its path. What a killed process has left
    /// there is not fetched again. Whether it is the right thing is for the caller to see.
    ///
    /// # Errors
    /// [`ClientError`]; what has come stays where it is unless it is too long.
    pub fn download(
        &self,
        wanted: &Wanted,
        limit: u64,
        folder: &Path,
        progress: &dyn Fn(u64, u64),
    ) -> Result<PathBuf, ClientError> {
        let path = folder.join(wanted.file_name());
        let done = folder.join(wanted.file_name() + ".done");
        if done.exists() {
            return Ok(done);
        }
        let note = folder.join(wanted.file_name() + ".tag");
        let download = Download { wanted, path, note, limit, progress };
        let request = wanted.request(self).build().as_ref().map(named).unwrap_or_default();
        match self.runtime.block_on(self.again(&request, async || download.attempt(self).await)) {
            Ok(()) => {
                fs::rename(&download.path, &done).map_err(ClientError::io("rename", &download.path))?;
                download.forget()?;
                Ok(done)
            }
            Err(error) => {
                if matches!(error, ClientError::TooLarge { .. }) {
                    download.forget()?;
                }
                Err(error)
            }
        }
    }
}
