//! Where a server keeps everything: an object store, so that servers hold no state of their own.
//!
//! | object | content | written |
//! |---|---|---|
//! | `contents/D` | a content as it is, `D` its digest | once |
//! | `trees/R` | the manifest of a tree, `R` its root | once |
//! | `names/N/log/S.json` | statement `S` about the name `N`, 16 digits | once, and only if it is not there |
//! | `deltas/T/F/FORM` | what leads from `F` (`-`: from nothing) to `T`; can be made again at any time | once, removed by use |
//! | `tokens/H.json` | what the bearer of a token may do, `H` the digest of the token | once |
//! | `usage/I.json` | what the server `I` was asked for | again and again, by that server only |
//!
//! A version is published by its statement, after all that it speaks of; what no statement speaks of is not there yet. Two
//! servers that publish at once race for the number of the statement: the store lets one of them have it.

mod deltas;
mod error;
mod log;
mod objects;
mod tokens;
mod unfinished;
mod usage;

use std::ffi::OsString;
use std::path::Path as FilePath;
use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

pub use deltas::{DeltaKey, Form, StoredDelta};
pub use error::StoreError;
pub use objects::Blob;
pub use tokens::{Grant, Right, Token};
pub use usage::{Seen, Usage, Used};

/// A store of versions, contents and deltas.
#[derive(Clone, Debug)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    root: Path,
    place: String,
}

impl Store {
    /// Opens `place`: a folder, which is made if need be, or `s3://BUCKET[/PREFIX]`, whose region, endpoint and credentials
    /// come from the usual variables (`AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    /// `AWS_SESSION_TOKEN`; `AWS_ALLOW_HTTP=true` for an endpoint without TLS).
    ///
    /// # Errors
    /// [`StoreError::Open`].
    pub fn open(place: &str) -> Result<Self, StoreError> {
        let text = |(key, value): (OsString, OsString)| Some((key.into_string().ok()?, value.into_string().ok()?));
        Self::open_with(place, std::env::vars_os().filter_map(text))
    }

    /// As [`Store::open`], with `variables` in place of those of the process.
    ///
    /// # Errors
    /// [`StoreError::Open`].
    pub fn open_with(place: &str, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, StoreError> {
        let wrong = |what: String| StoreError::Open { place: place.into(), what };
        let (objects, root): (Arc<dyn ObjectStore>, &str) = if let Some(rest) = place.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            // The client of S3 does TLS with the provider of the process. One that the program has chosen stays.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let settings = variables.into_iter().filter(|(name, _)| name.starts_with("AWS_"));
            let settings = settings.filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value)));
            let builder =
                settings.fold(AmazonS3Builder::new(), |builder, (key, value)| builder.with_config(key, value));
            let builder = builder.with_bucket_name(bucket);
            (Arc::new(builder.build().map_err(|error| wrong(error.to_string()))?), prefix)
        } else if place.contains("://") {
            return Err(wrong("neither a folder nor s3://BUCKET[/PREFIX]".into()));
        } else {
            std::fs::create_dir_all(place).map_err(|error| wrong(error.to_string()))?;
            let local =
                LocalFileSystem::new_with_prefix(FilePath::new(place)).map_err(|error| wrong(error.to_string()))?;
            // What is acknowledged survives a power cut.
            (Arc::new(local.with_fsync(true).with_automatic_cleanup(false)), "")
        };
        let root = Path::parse(root).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { objects, root, place: place.into() })
    }

    /// What was opened.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Whether it is a folder, and no bucket.
    fn is_folder(&self) -> bool {
        !self.place.contains("://")
    }

    /// Asks the store for something that is not there, to see that it answers.
    ///
    /// # Errors
    /// [`StoreError::Object`].
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.head(&self.at(["ready"])).await.map(|_| ())
    }

    fn at<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> Path {
        let mut path = self.root.clone();
        for part in parts {
            path = path.join(part);
        }
        path
    }

    async fn put(&self, path: &Path, bytes: impl Into<PutPayload>) -> Result<(), StoreError> {
        self.objects.put(path, bytes.into()).await.map(|_| ()).map_err(StoreError::object("write", path))
    }

    /// Writes an object that must not be there yet; whether it was not.
    async fn create(&self, path: &Path, bytes: Vec<u8>) -> Result<bool, StoreError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.objects.put_opts(path, bytes.into(), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(source) => Err(StoreError::object("write", path)(source)),
        }
    }

    /// Bytes of an object; none if it is not there.
    async fn head(&self, path: &Path) -> Result<Option<u64>, StoreError> {
        missing(self.objects.head(path).await.map(|meta| meta.size)).map_err(StoreError::object("look for", path))
    }

    async fn read(&self, path: &Path) -> Result<Option<bytes::Bytes>, StoreError> {
        self.read_within(path, u64::MAX).await
    }

    /// Reads an object of at most `limit` bytes.
    async fn read_within(&self, path: &Path, limit: u64) -> Result<Option<bytes::Bytes>, StoreError> {
        let Some(object) = missing(self.objects.get(path).await).map_err(StoreError::object("read", path))? else {
            return Ok(None);
        };
        // Known from the head of the answer: of what is too large, nothing more is read.
        let found = object.meta.size;
        if found > limit {
            return Err(StoreError::TooLarge { object: path.to_string(), found, limit });
        }
        object.bytes().await.map(Some).map_err(StoreError::object("read", path))
    }

    async fn delete(&self, path: &Path) -> Result<(), StoreError> {
        missing(self.objects.delete(path).await).map(|_| ()).map_err(StoreError::object("delete", path))
    }
}

/// What is not there is no error.
fn missing<T>(found: object_store::Result<T>) -> object_store::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
