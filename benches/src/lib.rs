//! What the benches share: the bundled pairs by kind of update.

use std::fs;
use std::path::Path;

use host_trainer::bench::corpus::{self, Classes, Pair};
use host_trainer::bench::stats::Kind;

/// One bundled update, in memory.
#[derive(Clone, Debug)]
pub struct Update {
    /// Kind of update, by the known sizes of the peers' patches.
    pub kind: Kind,
    /// `family old-new`.
    pub name: String,
    /// The old file.
    pub old: Vec<u8>,
    /// The new file.
    pub new: Vec<u8>,
}

/// The bundled firmware update with the largest new file of each kind: tiny, near, far.
///
/// # Panics
/// When the bundled pairs are not where the repository keeps them.
#[must_use]
pub fn updates() -> Vec<Update> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    let classes = Classes::Only(vec!["A".into(), "B".into()]);
    let pairs = corpus::load(&folder, &classes, None).expect("the bundled pairs are in tests/data");
    let mut updates: Vec<Update> = pairs.iter().filter_map(update).collect();
    updates.sort_by_key(|update| (update.kind, std::cmp::Reverse(update.new.len())));
    updates.dedup_by_key(|update| update.kind);
    updates
}

fn update(pair: &Pair) -> Option<Update> {
    let old = fs::read(pair.old.as_ref()?).expect("a bundled file");
    let new = fs::read(&pair.new).expect("a bundled file");
    let best = pair.known.values().min()?;
    Some(Update {
        kind: Kind::of(*best, new.len() as u64),
        name: format!("{} {}-{}", pair.family, pair.old_version, pair.new_version),
        old,
        new,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_update_of_each_kind() {
        let kinds: Vec<Kind> = updates().iter().map(|update| update.kind).collect();
        assert_eq!(kinds, [Kind::Tiny, Kind::Near, Kind::Far]);
    }
}
