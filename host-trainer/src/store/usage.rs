//! What servers were asked for: which deltas to keep and to make ahead, and which devices there are.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use serde::{Deserialize, Serialize};

use super::{DeltaKey, Store, StoreError};
use crate::history::{Name, Version};
use crate::report::transfer::now_ms;

/// What servers that are gone were asked for.
const PAST: &str = "past.json";

/// How often a delta was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Times.
    pub times: u64,
    /// When last, in milliseconds since 1970-01-01 in UTC.
    pub last: u64,
}

/// A client that named itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What it follows.
    pub name: Name,
    /// The version that it said to have; none if it had none.
    pub version: Option<Version>,
    /// When, in milliseconds since 1970-01-01 in UTC.
    pub at: u64,
}

/// What one server, or all of them, were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// By delta.
    pub deltas: BTreeMap<DeltaKey, Used>,
    /// By the name that a client gives itself.
    pub clients: BTreeMap<String, Seen>,
    /// Bytes of the whole contents that were asked for.
    pub whole_bytes: u64,
    /// Bytes of what was sent in their place.
    pub sent_bytes: u64,
}

impl Usage {
    /// Adds what another server was asked for.
    pub fn merge(&mut self, other: Self) {
        for (key, used) in other.deltas {
            let mine = self.deltas.entry(key).or_default();
            mine.times += used.times;
            mine.last = mine.last.max(used.last);
        }
        for (client, seen) in other.clients {
            match self.clients.get_mut(&client) {
                Some(mine) if mine.at >= seen.at => {}
                Some(mine) => *mine = seen,
                None => drop(self.clients.insert(client, seen)),
            }
        }
        self.whole_bytes += other.whole_bytes;
        self.sent_bytes += other.sent_bytes;
    }
}

impl Store {
    /// Keeps what the server `instance` was asked for, in place of what it has kept before.
    ///
    /// # Errors
    /// [`StoreError::Object`].
    pub async fn put_usage(&self, instance: &str, usage: &Usage) -> Result<(), StoreError> {
        let path = self.at(["usage", &format!("{instance}.json")]);
        let bytes = serde_json::to_vec(usage).map_err(|error| StoreError::damaged(&path, error))?;
        self.put(&path, bytes).await
    }

    /// Adds what servers have kept that are gone, those that wrote nothing for `age` milliseconds, into one object. Servers
    /// that run write more often. Where this is cut off in its middle, some uses count twice.
    ///
    /// # Errors
    /// [`StoreError::Object`], [`StoreError::Damaged`].
    pub async fn gather_usage(&self, age: u64) -> Result<(), StoreError> {
        let now = now_ms();
        let old =
            |meta: &ObjectMeta| u64::try_from(meta.last_modified.timestamp_millis()).is_ok_and(|at| at + age < now);
        let mut gone: Vec<ObjectMeta> = self.usages().await?.into_iter().filter(old).collect();
        let past = self.at(["usage", PAST]);
        gone.retain(|meta| meta.location != past);
        if gone.is_empty() {
            return Ok(());
        }
        let mut all = self.usage_at(&past).await?.unwrap_or_default();
        for meta in &gone {
            all.merge(self.usage_at(&meta.location).await?.unwrap_or_default());
        }
        let bytes = serde_json::to_vec(&all).map_err(|error| StoreError::damaged(&past, error))?;
        self.put(&past, bytes).await?;
        for meta in &gone {
            self.delete(&meta.location).await?;
        }
        Ok(())
    }

    /// What all servers but `except` were asked for.
    ///
    /// # Errors
    /// [`StoreError::Object`], [`StoreError::Damaged`].
    pub async fn usage(&self, except: Option<&str>) -> Result<Usage, StoreError> {
        let mut all = Usage::default();
        for meta in self.usages().await? {
            if meta.location.filename().and_then(|name| name.strip_suffix(".json")) != except {
                all.merge(self.usage_at(&meta.location).await?.unwrap_or_default());
            }
        }
        Ok(all)
    }

    /// What servers have kept.
    async fn usages(&self) -> Result<Vec<ObjectMeta>, StoreError> {
        let at = self.at(["usage"]);
        let listed: Vec<_> =
            self.objects.list(Some(&at)).try_collect().await.map_err(StoreError::object("list", &at))?;
        let known = |meta: &ObjectMeta| meta.location.filename().is_some_and(|name| name.ends_with(".json"));
        Ok(listed.into_iter().filter(known).collect())
    }

    async fn usage_at(&self, path: &Path) -> Result<Option<Usage>, StoreError> {
        let Some(bytes) = self.read(path).await? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| StoreError::damaged(path, error))
    }
}
