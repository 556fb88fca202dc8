//! Deltas: from memory, from the store, or made now.

use std::sync::Arc;
use std::time::Instant;

use axum::http::HeaderValue;
use bytes::Bytes;
use moka::future::Cache;

use super::jobs::Jobs;
use super::meter::Meter;
use super::problem::{Refusal, kinds};
use super::range::etag;
use crate::codec::{self, CodecError};
use crate::deltas::{self, DeltaError, Means};
use crate::store::{DeltaKey, Form, Store, StoreError};
use crate::tree::Digest;
use crate::tree::pack::PackError;
use crate::tree::patch::PatchError;

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
    pub(super) links: usize,
}

impl Delta {
    fn new(form: Form, bytes: Bytes) -> Result<Self, DeltaError> {
        let links = match form {
            Form::Container { .. } => codec::links(&bytes)?.len(),
            Form::Patch | Form::Pack => 1,
        };
        Ok(Self { etag: etag(&Digest::of(&bytes).to_string()), links, bytes })
    }
}

impl From<&DeltaError> for Refusal {
    fn from(error: &DeltaError) -> Self {
        match error {
            DeltaError::TooLarge { found, limit } => Self::unfit(
                kinds::TOO_LARGE,
                format!("a content has {found} bytes, deltas are made of at most {limit}; fetch it whole"),
            ),
            DeltaError::Store(StoreError::Object { .. }) => {
                Self::busy("the store does not answer; try again").of(kinds::STORE).because(error.to_string())
            }
            DeltaError::Patch(PatchError::OutOfRange { .. }) | DeltaError::Pack(PackError::OutOfRange { .. }) => {
                Self::unfit(kinds::TOO_LARGE, format!("{error}; fetch the contents instead"))
            }
            DeltaError::Missing { .. } => Self::missing(error.to_string()),
            DeltaError::Codec(CodecError::Internal(_))
            | DeltaError::Store(_)
            | DeltaError::Patch(_)
            | DeltaError::Pack(_)
            | DeltaError::Internal(_) => Self::internal(error.to_string()),
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
        if let Some(bytes) = self.store.delta(&key).await? {
            match Delta::new(key.form, bytes) {
                Ok(delta) => {
                    self.meter.hits.inc();
                    return Ok(delta);
                }
                Err(error) => tracing::warn!(%key, %error, "a stored delta is damaged: it is made again"),
            }
        }
        let turn = self.jobs.turn().await.map_err(DeltaError::Internal)?;
        let start = Instant::now();
        // Somebody waits: no adapters.
        let means = Means { max_content: self.settings.max_content, chains: true, adapters: false };
        let bytes = deltas::make(&self.store, key, means).await?;
        drop(turn);
        self.meter.computed.observe(start.elapsed().as_secs_f64());
        self.store.put_delta(&key, bytes.clone()).await?;
        Delta::new(key.form, bytes)
    }
}
