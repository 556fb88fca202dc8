//! Removing deltas that nobody asks for.

use crate::report::transfer::now_ms;
use crate::store::{Store, StoreError, StoredDelta, Usage};

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Deltas that were removed.
    pub deltas: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the deltas that are left.
    pub left: u64,
}

/// Milliseconds during which a delta that was just made is kept whatever happens: who asked for it is on his way.
const FRESH: u64 = 60_000;

/// Removes the deltas that were not asked for the longest, until those that are left have at most `budget` bytes. Deltas
/// made in the last minute stay.
///
/// # Errors
/// [`StoreError::Object`].
pub async fn evict(store: &Store, usage: &Usage, budget: u64) -> Result<Evicted, StoreError> {
    let kept = store.deltas().await?;
    let mut done = Evicted { left: kept.iter().map(|delta| delta.len).sum(), ..Evicted::default() };
    for delta in superfluous(kept, usage, budget, now_ms()) {
        store.delete_delta(&delta.key).await?;
        done.deltas += 1;
        done.bytes += delta.len;
        done.left -= delta.len;
    }
    Ok(done)
}

/// What has to go, oldest use first.
fn superfluous(mut kept: Vec<StoredDelta>, usage: &Usage, budget: u64, now: u64) -> Vec<StoredDelta> {
    let last = |delta: &StoredDelta| usage.deltas.get(&delta.key).map_or(0, |used| used.last).max(delta.made_at);
    let mut left: u64 = kept.iter().map(|delta| delta.len).sum();
    kept.retain(|delta| delta.made_at + FRESH <= now);
    kept.sort_by_key(|delta| (last(delta), delta.key));
    let mut going = kept.into_iter();
    let mut gone = Vec::new();
    while left > budget {
        let Some(delta) = going.next() else { break };
        left -= delta.len;
        gone.push(delta);
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{DeltaKey, Form, Used};
    use crate::tree::Digest;

    #[test]
    fn what_was_used_last_stays() {
        let delta = |name: &[u8], made_at: u64| {
            let key = DeltaKey { from: None, to: Digest::of(name), form: Form::Patch };
            StoredDelta { key, len: 10, made_at }
        };
        let (a, b, c) = (delta(b"a", 1), delta(b"b", 2), delta(b"c", 200_000));
        let mut usage = Usage::default();
        usage.deltas.insert(a.key, Used { times: 1, last: 100 });
        let gone = |budget| superfluous(vec![a, b, c], &usage, budget, 210_000);
        assert_eq!(gone(30), []);
        assert_eq!(gone(29), [b]);
        assert_eq!(gone(15), [b, a]);
        assert_eq!(gone(0), [b, a], "the fresh one stays");
    }
}
