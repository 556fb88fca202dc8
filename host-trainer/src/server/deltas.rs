//! Deltas: from memory, from the store, or made now.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use axum::http::HeaderValue;
use bytes::Bytes;
use moka::future::Cache;
use tokio::runtime::Handle;

use super::jobs::Jobs;
use super::meter::Meter;
use super::problem::{Refusal, kinds};
use super::range::etag;
use crate::base::{Resident, Shipped};
use crate::codec::{self, CodecError, Format, Options, Profile};
use crate::store::{DeltaKey, Form, Store, StoreError};
use crate::tree::pack::{self, PackError};
use crate::tree::patch::{self, PatchError};
use crate::tree::{Digest, Tree};

/// What memory a delta takes beside its bytes, about.
const OVERHEAD: usize = 256;

/// A delta, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Delta {
    /// A GMCF file, or several that follow each other; a patch or pack of a tree.
    pub(super) bytes: Bytes,
    /// Entity tag: of the bytes.
    pub(super) etag: HeaderValue,
    /// GMCF files that follow each other in `bytes`.
    pub(super) links: u32,
}

impl Delta {
    fn new(bytes: Bytes) -> Self {
        Self { etag: etag(&Digest::of(&bytes).to_string()), links: 1, bytes }
    }
}

/// Why there is no delta.
#[derive(Debug)]
pub(super) enum DeltaError {
    /// The store fails.
    Store(StoreError),
    /// A content is not there.
    Missing(Digest),
    /// The codec refuses.
    Codec(CodecError),
    /// A tree is too large for a patch.
    TooLarge(String),
    /// Something broke here.
    Internal(String),
}

impl fmt::Display for DeltaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => write!(f, "{error}"),
            Self::Missing(digest) => write!(f, "content {digest} is not there"),
            Self::Codec(error) => write!(f, "{error}"),
            Self::TooLarge(what) => write!(f, "{what}; fetch the contents instead"),
            Self::Internal(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for DeltaError {}

impl From<&DeltaError> for Refusal {
    fn from(error: &DeltaError) -> Self {
        match error {
            DeltaError::Store(StoreError::TooLarge { found, limit, .. }) => Self::unfit(
                kinds::TOO_LARGE,
                format!("a content has {found} bytes, deltas are made of at most {limit}; fetch it whole"),
            ),
            DeltaError::Store(StoreError::Object { .. }) => {
                Self::busy("the store does not answer; try again").of(kinds::STORE).because(error.to_string())
            }
            DeltaError::Missing(_) => Self::missing(error.to_string()),
            DeltaError::TooLarge(_) => Self::unfit(kinds::TOO_LARGE, error.to_string()),
            DeltaError::Codec(CodecError::Internal(_)) | DeltaError::Store(_) | DeltaError::Internal(_) => {
                Self::internal(error.to_string())
            }
            DeltaError::Codec(_) => Self::unfit(kinds::CODEC, error.to_string()),
        }
    }
}

/// How deltas are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeltaSettings {
    /// Bytes of memory for those that were asked for last.
    pub(super) cache_bytes: u64,
    /// Bytes of a content that a delta is made of or for, at most.
    pub(super) max_content: u64,
}

/// All deltas.
#[derive(Clone, Debug)]
pub(super) struct Deltas {
    store: Store,
    settings: DeltaSettings,
    jobs: Jobs,
    meter: Arc<Meter>,
    cache: Cache<DeltaKey, Arc<Delta>>,
}

impl Deltas {
    pub(super) fn new(store: Store, settings: DeltaSettings, jobs: Jobs, meter: Arc<Meter>) -> Self {
        let weight = |_: &DeltaKey, delta: &Arc<Delta>| u32::try_from(delta.bytes.len() + OVERHEAD).unwrap_or(u32::MAX);
        let cache = Cache::builder().max_capacity(settings.cache_bytes).weigher(weight).build();
        Self { store, settings, jobs, meter, cache }
    }

    /// A delta. Who asks for one that is being made waits for the same.
    pub(super) async fn get(&self, key: DeltaKey) -> Result<Arc<Delta>, Refusal> {
        self.meter.lookups.inc();
        if let Some(delta) = self.cache.get(&key).await {
            self.meter.hits.inc();
            return Ok(delta);
        }
        let made = self.cache.try_get_with(key, async {
            // In a task, so that it goes on when who asked for it goes away.
            let this = self.clone();
            let task = tokio::spawn(async move { this.find_or_make(key).await });
            task.await.unwrap_or_else(|error| Err(DeltaError::Internal(error.to_string()))).map(Arc::new)
        });
        made.await.map_err(|error| Refusal::from(&*error))
    }

    async fn find_or_make(&self, key: DeltaKey) -> Result<Delta, DeltaError> {
        if let Some(bytes) = self.store.delta(&key).await.map_err(DeltaError::Store)? {
            self.meter.hits.inc();
            return Ok(Delta::new(bytes));
        }
        let bytes = self.make(key).await?;
        self.store.put_delta(&key, bytes.clone()).await.map_err(DeltaError::Store)?;
        Ok(Delta::new(bytes))
    }

    async fn make(&self, key: DeltaKey) -> Result<Bytes, DeltaError> {
        let (profile, base) = match key.form {
            Form::Container { profile, base } => (profile, base),
            Form::Patch => return self.patch(&key).await,
            Form::Pack => return self.pack(&key).await,
        };
        let new = self.content(&key.to).await?;
        let old = match &key.from {
            Some(from) => Some(self.content(from).await?),
            None => None,
        };
        let start = Instant::now();
        let work = move || compress(&new, old.as_deref(), profile, base);
        let made = self.jobs.run(work).await.map_err(DeltaError::Internal)?;
        self.meter.computed.observe(start.elapsed().as_secs_f64());
        made.map(|made| made.bytes.into()).map_err(DeltaError::Codec)
    }

    async fn patch(&self, key: &DeltaKey) -> Result<Bytes, DeltaError> {
        let new = self.tree(&key.to).await?;
        let old = match &key.from {
            Some(from) => Some(self.tree(from).await?),
            None => None,
        };
        let start = Instant::now();
        let (store, limit) = (self.store.clone(), self.settings.max_content);
        let contents = Stored { store, limit, runtime: Handle::current() };
        let work = move || {
            let old = old.as_ref().map(|old| (old, &contents as &dyn patch::Contents));
            patch::make(old, &new, &contents, &patch::Options::default())
        };
        let made = self.jobs.run(work).await.map_err(DeltaError::Internal)?;
        self.meter.computed.observe(start.elapsed().as_secs_f64());
        made.map(Bytes::from).map_err(|error| match error {
            PatchError::Codec(error) => DeltaError::Codec(error),
            PatchError::OutOfRange { .. } => DeltaError::TooLarge(error.to_string()),
            error => DeltaError::Internal(error.to_string()),
        })
    }

    async fn pack(&self, key: &DeltaKey) -> Result<Bytes, DeltaError> {
        let tree = self.tree(&key.to).await?;
        let start = Instant::now();
        let (store, limit) = (self.store.clone(), self.settings.max_content);
        let contents = Stored { store, limit, runtime: Handle::current() };
        let work = move || pack::make(&tree, &contents, &pack::Options::default());
        let made = self.jobs.run(work).await.map_err(DeltaError::Internal)?;
        self.meter.computed.observe(start.elapsed().as_secs_f64());
        made.map(Bytes::from).map_err(|error| match error {
            PackError::Codec(error) => DeltaError::Codec(error),
            PackError::OutOfRange { .. } => DeltaError::TooLarge(error.to_string()),
            error => DeltaError::Internal(error.to_string()),
        })
    }

    async fn tree(&self, root: &Digest) -> Result<Tree, DeltaError> {
        self.store.tree(root).await.map_err(DeltaError::Store)?.ok_or(DeltaError::Missing(*root))
    }

    async fn content(&self, digest: &Digest) -> Result<Bytes, DeltaError> {
        let found = self.store.content(digest, self.settings.max_content).await.map_err(DeltaError::Store)?;
        found.ok_or(DeltaError::Missing(*digest))
    }
}

/// Contents of trees, for a thread that may wait.
struct Stored {
    store: Store,
    limit: u64,
    runtime: Handle,
}

impl patch::Contents for Stored {
    fn read(&self, digest: &Digest) -> io::Result<Vec<u8>> {
        let found = self.runtime.block_on(self.store.content(digest, self.limit)).map_err(io::Error::other)?;
        found.map(Vec::from).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Compresses, and sees that it comes back.
pub(super) fn compress(
    new: &[u8],
    old: Option<&[u8]>,
    profile: Profile,
    base: bool,
) -> Result<codec::Compressed, CodecError> {
    let base: Option<Resident<'_>> = match Shipped::of(profile).filter(|_| base) {
        Some(shipped) => Some(shipped.open()?),
        None => None,
    };
    let options = Options { profile, format: Format::V2, base, progress: None };
    let made = codec::compress(new, old, &options)?;
    let len = u32::try_from(new.len()).unwrap_or(u32::MAX);
    if codec::apply_within(&[&made.bytes], old, len, base)? != new {
        return Err(CodecError::Internal("the container rebuilds another file".into()));
    }
    Ok(made)
}
