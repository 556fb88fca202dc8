//! Deltas between stored versions: made once, kept, counted, and removed when nobody asks for them.
//!
//! A delta is looked for in memory, then in the store, and made when it is in neither. However many ask for it at the same
//! time, it is made once a process. What is made is kept in the store for the other servers.

mod ahead;
mod evict;
mod make;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use moka::future::Cache;
use tokio::sync::Semaphore;

use crate::codec::CodecError;
use crate::history::{Name, Version};
use crate::store::{DeltaKey, Form, Seen, Store, StoreError, Usage, Used};
use crate::tree::Digest;
use crate::tree::patch::PatchError;

pub use ahead::{Ahead, Done, Plan, Shard, precompute};
pub use evict::{Evicted, evict};
pub use make::{Made, containers, make};

/// Clients that a server remembers, at most.
const MAX_CLIENTS: usize = 1 << 17;

/// Limits of what is made and kept.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes of deltas that are kept in memory.
    pub memory: u64,
    /// Deltas that are made at the same time.
    pub jobs: usize,
    /// Deltas that wait for that, at most; more are refused.
    pub queue: usize,
    /// Longest content that is compressed or used for it, bytes. A job takes some ten times that in memory.
    pub max_content: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, Into::into);
        Self { memory: 256 << 20, jobs: cores, queue: 1024, max_content: 256 << 20 }
    }
}

/// A delta as it is served.
#[derive(Clone, Debug)]
pub struct Delta {
    /// The body.
    pub bytes: Bytes,
    /// Digest of the body.
    pub digest: Digest,
    /// GMCF files that follow each other in it; 1 for what is no GMCF file.
    pub chain: usize,
}

impl Delta {
    fn new(form: Form, bytes: Bytes) -> Result<Self, DeltaError> {
        let chain = match form {
            Form::Container { .. } => containers(&bytes).map_err(CodecError::from)?.len(),
            _ => 1,
        };
        Ok(Self { digest: Digest::of(&bytes), chain, bytes })
    }
}

/// Why there is no delta.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeltaError {
    /// The store does not have what it leads from or to.
    Missing {
        /// What is missing.
        digest: Digest,
    },
    /// A content is longer than what is compressed here.
    TooLarge {
        /// Its bytes.
        found: u64,
        /// Bytes that are compressed.
        limit: u64,
    },
    /// Too many deltas are waiting to be made.
    Busy {
        /// How many.
        waiting: usize,
    },
    /// The store.
    Store(StoreError),
    /// The codec.
    Codec(CodecError),
    /// The patch of a tree.
    Patch(PatchError),
    /// A promise of this program was broken.
    Internal(String),
}

impl fmt::Display for DeltaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { digest } => write!(f, "{digest} is not in the store"),
            Self::TooLarge { found, limit } => write!(f, "content is {found} bytes, at most {limit} are compressed"),
            Self::Busy { waiting } => write!(f, "{waiting} deltas are waiting to be made already"),
            Self::Store(error) => write!(f, "{error}"),
            Self::Codec(error) => write!(f, "{error}"),
            Self::Patch(error) => write!(f, "{error}"),
            Self::Internal(what) => write!(f, "internal error: {what}"),
        }
    }
}

impl std::error::Error for DeltaError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::Codec(error) => Some(error),
            Self::Patch(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for DeltaError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TooLarge { found, limit, .. } => Self::TooLarge { found, limit },
            error => Self::Store(error),
        }
    }
}

impl From<CodecError> for DeltaError {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

impl From<PatchError> for DeltaError {
    fn from(error: PatchError) -> Self {
        Self::Patch(error)
    }
}

/// What was served since the start, for the metrics.
#[derive(Debug, Default)]
pub struct Counters {
    /// Deltas asked for.
    pub lookups: AtomicU64,
    /// Of these, found in memory.
    pub in_memory: AtomicU64,
    /// Of these, found in the store.
    pub in_store: AtomicU64,
    /// Of these, made.
    pub made: AtomicU64,
    /// Microseconds that making took, on one core each.
    pub making_us: AtomicU64,
}

/// The deltas of a store.
#[derive(Clone)]
pub struct Deltas(Arc<Inner>);

struct Inner {
    store: Store,
    settings: Settings,
    memory: Cache<DeltaKey, Arc<Delta>>,
    jobs: Arc<Semaphore>,
    waiting: AtomicUsize,
    usage: Mutex<Own>,
    counters: Counters,
    /// Under which usage is kept.
    instance: String,
}

/// What this server was asked for.
#[derive(Default)]
struct Own {
    deltas: HashMap<DeltaKey, Used>,
    clients: HashMap<String, Seen>,
    whole_bytes: u64,
    sent_bytes: u64,
}

/// Milliseconds since 1970-01-01 in UTC.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

impl Deltas {
    /// The deltas of `store`. `instance` names this server among those that share it.
    pub fn new(store: Store, settings: Settings, instance: String) -> Self {
        let weigh = |_: &DeltaKey, delta: &Arc<Delta>| u32::try_from(delta.bytes.len() + 256).unwrap_or(u32::MAX);
        let memory = Cache::builder().weigher(weigh).max_capacity(settings.memory).build();
        let jobs = Arc::new(Semaphore::new(settings.jobs.max(1)));
        let (usage, counters) = (Mutex::default(), Counters::default());
        Self(Arc::new(Inner { store, settings, memory, jobs, waiting: AtomicUsize::new(0), usage, counters, instance }))
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The limits.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// What was served since the start.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Deltas that are waited for or made now.
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// The delta, if it is in memory. For the path that most requests take.
    pub async fn in_memory(&self, key: &DeltaKey) -> Option<Arc<Delta>> {
        let found = self.0.memory.get(key).await?;
        self.0.counters.lookups.fetch_add(1, Ordering::Relaxed);
        self.0.counters.in_memory.fetch_add(1, Ordering::Relaxed);
        Some(found)
    }

    /// The delta: from memory, from the store, or made now.
    ///
    /// # Errors
    /// [`DeltaError`].
    pub async fn get(&self, key: DeltaKey) -> Result<Arc<Delta>, Arc<DeltaError>> {
        if let Some(found) = self.in_memory(&key).await {
            return Ok(found);
        }
        let counters = &self.0.counters;
        counters.lookups.fetch_add(1, Ordering::Relaxed);
        let fresh = std::cell::Cell::new(false);
        let made = self.0.memory.try_get_with(key, async {
            fresh.set(true);
            if let Some(bytes) = self.0.store.delta(&key).await? {
                if let Ok(delta) = Delta::new(key.form, bytes) {
                    counters.in_store.fetch_add(1, Ordering::Relaxed);
                    return Ok(Arc::new(delta));
                }
                tracing::warn!(%key, "a stored delta is damaged: it is made again");
            }
            self.make(key).await
        });
        let made = made.await?;
        if !fresh.get() {
            // Another request has made it in the meantime.
            counters.in_memory.fetch_add(1, Ordering::Relaxed);
        }
        Ok(made)
    }

    async fn make(&self, key: DeltaKey) -> Result<Arc<Delta>, DeltaError> {
        let waiting = Waiting::enter(&self.0.waiting, self.0.settings.queue + self.0.settings.jobs)?;
        let Ok(_job) = self.0.jobs.acquire().await else {
            return Err(DeltaError::Internal("the server is stopping".into()));
        };
        let start = std::time::Instant::now();
        let Made { bytes, .. } = make(&self.0.store, key, self.0.settings.max_content, true).await?;
        drop(waiting);
        self.0.counters.made.fetch_add(1, Ordering::Relaxed);
        self.0.counters.making_us.fetch_add(start.elapsed().as_micros() as u64, Ordering::Relaxed);
        let delta = Delta::new(key.form, bytes)?;
        self.0.store.put_delta(&key, delta.bytes.clone()).await?;
        tracing::info!(%key, bytes = delta.bytes.len(), ms = start.elapsed().as_millis() as u64, "delta made");
        Ok(Arc::new(delta))
    }

    /// Notes that `sent` bytes of the delta went out in place of `whole`.
    pub fn used(&self, key: &DeltaKey, whole: u64, sent: u64) {
        let mut own = self.own();
        let used = own.deltas.entry(*key).or_default();
        used.times += 1;
        used.last = now();
        own.whole_bytes += whole;
        own.sent_bytes += sent;
    }

    /// Notes that a client asked for `name`, and has `version`. Of names that are no names, and of too many clients, nothing
    /// is noted.
    pub fn seen(&self, client: &str, name: &Name, version: Option<&Version>) {
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        if !(1..=64).contains(&client.len()) || !client.bytes().all(plain) {
            return;
        }
        let mut own = self.own();
        if own.clients.len() < MAX_CLIENTS || own.clients.contains_key(client) {
            own.clients.insert(client.into(), Seen { name: name.clone(), version: version.cloned(), at: now() });
        }
    }

    /// What this server was asked for.
    pub fn usage(&self) -> Usage {
        let own = self.own();
        Usage {
            deltas: own.deltas.iter().map(|(key, used)| (*key, *used)).collect(),
            clients: own.clients.iter().map(|(client, seen)| (client.clone(), seen.clone())).collect(),
            whole_bytes: own.whole_bytes,
            sent_bytes: own.sent_bytes,
        }
    }

    /// What all servers of the store were asked for.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn fleet(&self) -> Result<Usage, StoreError> {
        let mut all = self.0.store.usage(Some(&self.0.instance)).await?;
        all.merge(self.usage());
        Ok(all)
    }

    /// Keeps what this server was asked for in the store, so that other servers and later ones know.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_usage(&self) -> Result<(), StoreError> {
        let usage = self.usage();
        if usage == Usage::default() {
            return Ok(());
        }
        self.0.store.put_usage(&self.0.instance, &usage).await
    }

    fn own(&self) -> std::sync::MutexGuard<'_, Own> {
        // Counts are whole after each statement.
        self.0.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one more that waits, while it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize, limit: usize) -> Result<Self, DeltaError> {
        let entered = Self(count);
        let waiting = count.fetch_add(1, Ordering::Relaxed);
        if waiting >= limit { Err(DeltaError::Busy { waiting }) } else { Ok(entered) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
