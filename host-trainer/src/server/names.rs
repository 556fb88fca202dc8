//! Histories of names in memory, so that a request for a version does not ask the store.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use tokio::sync::Mutex;

use super::problem::Refusal;
use crate::history::{History, Name, Signed, Version};
use crate::store::{Store, StoreError};

/// How long it is believed that a version is not there, where many ask for it.
const DENIED: Duration = Duration::from_millis(50);

/// A history, and where each version stands in it.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    history: History,
    versions: HashMap<Version, (usize, HeaderValue)>,
}

impl Timeline {
    fn new(history: History) -> Self {
        let stands = |(at, signed): (usize, &Signed)| {
            let version = &signed.statement.version;
            Some((version.clone(), (at, HeaderValue::from_str(version.as_str()).ok()?)))
        };
        // Of a version's statements the last one stays.
        let versions = history.statements().iter().enumerate().filter_map(stands).collect();
        Self { history, versions }
    }

    /// All statements.
    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// The last statement about a version, and its name as a header says it.
    pub(super) fn version(&self, version: &Version) -> Option<(&Signed, &HeaderValue)> {
        let (at, header) = self.versions.get(version)?;
        Some((&self.history.statements()[*at], header))
    }

    /// The statement that counts.
    pub(super) fn latest(&self) -> Option<(&Signed, &HeaderValue)> {
        self.version(&self.history.latest()?.statement.version)
    }

    /// How many versions there are.
    pub(super) fn versions(&self) -> usize {
        self.versions.len()
    }
}

/// One name.
#[derive(Debug, Default)]
struct Followed {
    timeline: RwLock<Arc<Timeline>>,
    /// When the store was asked last, in milliseconds since the start, plus 1; 0: never.
    asked: AtomicU64,
    /// Held by whoever asks the store, or publishes.
    turn: Mutex<()>,
}

impl Followed {
    fn timeline(&self) -> Arc<Timeline> {
        self.timeline.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a history in, unless a longer one is known, and tells the one that then is.
    fn set(&self, history: History) -> Arc<Timeline> {
        let timeline = Arc::new(Timeline::new(history));
        let mut known = self.timeline.write().unwrap_or_else(PoisonError::into_inner);
        if known.history.next() < timeline.history.next() {
            *known = timeline;
        }
        known.clone()
    }
}

/// All names that were asked for and exist.
#[derive(Debug)]
pub(super) struct Names {
    store: Store,
    refresh: Duration,
    started: Instant,
    followed: RwLock<HashMap<Name, Arc<Followed>>>,
}

impl Names {
    pub(super) fn new(store: Store, refresh: Duration) -> Self {
        Self { store, refresh, started: Instant::now(), followed: RwLock::default() }
    }

    fn known(&self, name: &Name) -> Option<Arc<Followed>> {
        self.followed.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn keep(&self, name: &Name) -> Arc<Followed> {
        self.followed.write().unwrap_or_else(PoisonError::into_inner).entry(name.clone()).or_default().clone()
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64 + 1
    }

    /// The history of a name, as it was at most the refresh time ago.
    pub(super) async fn get(&self, name: &Name) -> Result<Arc<Timeline>, Refusal> {
        self.get_within(name, self.refresh).await?.ok_or_else(|| unknown(name))
    }

    /// The history of a name in which `version` stands, if it was published before now.
    pub(super) async fn get_with(&self, name: &Name, version: &Version) -> Result<Arc<Timeline>, Refusal> {
        let timeline = self.get(name).await?;
        if timeline.version(version).is_some() {
            return Ok(timeline);
        }
        // Another server may have published it just now.
        let timeline = self.get_within(name, self.refresh.min(DENIED)).await?.ok_or_else(|| unknown(name))?;
        match timeline.version(version) {
            Some(_) => Ok(timeline),
            None => Err(Refusal::missing(format!(
                "`{name}` has no version `{version}`; GET /names/{name}/versions lists those that it has"
            ))),
        }
    }

    /// The history as it was at most `age` ago; none if there is no such name.
    async fn get_within(&self, name: &Name, age: Duration) -> Result<Option<Arc<Timeline>>, StoreError> {
        let Some(followed) = self.known(name) else { return self.first(name).await };
        let fresh = |asked: u64| asked != 0 && self.now() - asked.min(self.now()) < age.as_millis() as u64;
        if fresh(followed.asked.load(Ordering::Acquire)) {
            return Ok(Some(followed.timeline()));
        }
        // One asks the store; who comes meanwhile takes what is there.
        let _turn = match followed.turn.try_lock() {
            Ok(turn) => turn,
            Err(_) if age == self.refresh => return Ok(Some(followed.timeline())),
            Err(_) => followed.turn.lock().await,
        };
        if fresh(followed.asked.load(Ordering::Acquire)) {
            return Ok(Some(followed.timeline()));
        }
        let before = followed.timeline();
        let mut history = before.history.clone();
        self.store.catch_up(name, &mut history).await?;
        let after = if history.next() == before.history.next() { before } else { followed.set(history) };
        followed.asked.store(self.now(), Ordering::Release);
        Ok(Some(after))
    }

    /// Asks the store for a name that nobody asked for before. What is not there is not remembered: anybody can ask for
    /// any name.
    async fn first(&self, name: &Name) -> Result<Option<Arc<Timeline>>, StoreError> {
        let mut history = History::default();
        self.store.catch_up(name, &mut history).await?;
        if history.latest().is_none() {
            return Ok(None);
        }
        let followed = self.keep(name);
        let timeline = followed.set(history);
        followed.asked.store(self.now(), Ordering::Release);
        Ok(Some(timeline))
    }

    /// Publishes what `make` says, as [`Store::publish`] does, and tells the history that then is.
    pub(super) async fn publish(
        &self,
        name: &Name,
        make: impl FnMut(&History) -> Result<Option<Signed>, Refusal> + Send,
    ) -> Result<(Option<Signed>, Arc<Timeline>), Refusal> {
        let followed = self.known(name).unwrap_or_default();
        let _turn = followed.turn.lock().await;
        let before = followed.timeline();
        let mut history = before.history.clone();
        let made = self.store.publish(name, &mut history, make).await;
        let after = if history.next() == before.history.next() {
            before
        } else {
            let kept = self.keep(name);
            kept.asked.store(self.now(), Ordering::Release);
            kept.set(history)
        };
        made.map(|made| (made, after))
    }

    /// All names with their histories, in order.
    pub(super) async fn all(&self) -> Result<Vec<(Name, Arc<Timeline>)>, Refusal> {
        let mut all = Vec::new();
        for name in self.store.names().await? {
            if let Some(timeline) = self.get_within(&name, self.refresh).await? {
                all.push((name, timeline));
            }
        }
        Ok(all)
    }
}

fn unknown(name: &Name) -> Refusal {
    Refusal::missing(format!("there is no `{name}`; GET /names lists what there is"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Scratch;
    use crate::history::{Kind, Statement};
    use crate::tree::Digest;

    fn say(name: &Name, history: &History, version: &str) -> Signed {
        let statement = Statement {
            name: name.clone(),
            sequence: history.next(),
            version: version.parse().unwrap(),
            kind: Kind::File,
            digest: Digest::of(version.as_bytes()),
            len: 1,
            rollback: false,
            published_at: 0,
        };
        Signed::new(statement, None)
    }

    #[tokio::test]
    async fn what_others_publish_is_found_and_what_we_publish_at_once() {
        let folder = Scratch::new("names").unwrap();
        let store = Store::open(folder.join("").to_str().unwrap()).unwrap();
        let (here, there) =
            (Names::new(store.clone(), Duration::from_secs(3600)), Names::new(store, Duration::from_millis(1)));
        let name: Name = "fw".parse().unwrap();
        assert!(here.get(&name).await.is_err());
        let (made, after) = here.publish(&name, |history| Ok(Some(say(&name, history, "1")))).await.unwrap();
        assert_eq!((made.unwrap().statement.sequence, after.versions()), (1, 1));
        let latest = |timeline: &Timeline| timeline.latest().unwrap().0.statement.version.to_string();
        assert_eq!(latest(&here.get(&name).await.unwrap()), "1");
        there.publish(&name, |history| Ok(Some(say(&name, history, "2")))).await.unwrap();
        // Within the refresh time the latest may be the one before; a version that is named is looked for.
        assert_eq!(latest(&here.get(&name).await.unwrap()), "1");
        tokio::time::sleep(2 * DENIED).await;
        assert!(here.get_with(&name, &"2".parse().unwrap()).await.is_ok());
        assert_eq!(latest(&here.get(&name).await.unwrap()), "2");
        assert!(here.get_with(&name, &"3".parse().unwrap()).await.is_err());
        assert_eq!(here.all().await.unwrap().len(), 1);
    }
}
