//! What this server was asked for, told to the store from time to time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;

use crate::history::{Name, Version};
use crate::report::transfer::now_ms;
use crate::store::{DeltaKey, Seen, Store, StoreError, Usage, Used};
use crate::wire::CLIENT;

/// Clients that one server remembers, at most.
const MAX_CLIENTS: usize = 100_000;
/// Deltas whose use one server remembers, at most.
const MAX_DELTAS: usize = 100_000;
/// Signs of the name that a client gives itself, at most.
const MAX_CLIENT: usize = 64;

/// What was asked for since the start.
#[derive(Debug, Default)]
pub(super) struct Asked {
    deltas: Mutex<HashMap<DeltaKey, Used>>,
    clients: Mutex<HashMap<String, Seen>>,
    whole_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    changed: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Asked {
    /// Counts a delta, of which `sent` bytes were sent in place of a content of `whole` bytes.
    pub(super) fn delta(&self, key: DeltaKey, whole: u64, sent: u64) {
        let now = now_ms();
        let mut deltas = lock(&self.deltas);
        let room = deltas.len() < MAX_DELTAS;
        if let Some(used) = deltas.get_mut(&key) {
            used.times += 1;
            used.last = now;
        } else if room {
            deltas.insert(key, Used { times: 1, last: now });
        }
        drop(deltas);
        self.whole_bytes.fetch_add(whole, Ordering::Relaxed);
        self.sent_bytes.fetch_add(sent, Ordering::Relaxed);
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Counts a client that named itself, and the version that it said to have.
    pub(super) fn client(&self, headers: &HeaderMap, name: &Name, version: Option<&Version>) {
        let Some(client) = headers.get(CLIENT).and_then(|client| client.to_str().ok()) else { return };
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        if !(1..=MAX_CLIENT).contains(&client.len()) || !client.bytes().all(plain) {
            return;
        }
        let seen = Seen { name: name.clone(), version: version.cloned(), at: now_ms() };
        let mut clients = lock(&self.clients);
        if clients.len() < MAX_CLIENTS || clients.contains_key(client) {
            clients.insert(client.to_string(), seen);
        }
        drop(clients);
        self.changed.store(true, Ordering::Relaxed);
    }

    /// All of it.
    pub(super) fn usage(&self) -> Usage {
        Usage {
            deltas: lock(&self.deltas).iter().map(|(key, used)| (*key, *used)).collect(),
            clients: lock(&self.clients).iter().map(|(client, seen)| (client.clone(), seen.clone())).collect(),
            whole_bytes: self.whole_bytes.load(Ordering::Relaxed),
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
        }
    }

    /// Tells the store, if there is news.
    pub(super) async fn tell(&self, store: &Store, instance: &str) -> Result<(), StoreError> {
        if !self.changed.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        store.put_usage(instance, &self.usage()).await
    }
}
