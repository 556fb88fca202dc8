//! Making deltas ahead, before devices ask: on as many machines as there are, which meet in the store only.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::{DeltaError, Means, make};
use crate::codec::Profile;
use crate::history::{History, Kind, Name};
use crate::store::{DeltaKey, Form, Store, Usage};

/// One of several parts of the work: part `index` of `count`, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which.
    pub index: u32,
    /// Of how many.
    pub count: u32,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Whether `key` is in this part. Every key is in exactly one.
    pub fn has(&self, key: &DeltaKey) -> bool {
        let digest = crate::tree::Digest::of(key.to_string().as_bytes());
        let number = digest.0.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
        number % u64::from(self.count.max(1)) == u64::from(self.index)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a part is I/N, with I from 0 to N - 1 and N at most 65536".to_string();
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        let (index, count) = (index.parse().map_err(|_| wrong())?, count.parse().map_err(|_| wrong())?);
        if index < count && count <= 1 << 16 { Ok(Self { index, count }) } else { Err(wrong()) }
    }
}

/// What is made ahead.
#[derive(Clone, Debug)]
pub struct Ahead {
    /// Names; all that there are, if none is given.
    pub names: Vec<Name>,
    /// Earlier versions of each name from which a delta to the one that counts is made, where it is not known which ones
    /// devices have.
    pub last: usize,
    /// Profiles of devices, and whether they hold the base model; those that were asked for come on top.
    pub forms: Vec<(Profile, bool)>,
    /// Whether packs of trees are made.
    pub packs: bool,
    /// Whether adapters are fitted for them.
    pub adapters: bool,
    /// Which part of the work.
    pub shard: Shard,
    /// Longest content that is compressed, bytes.
    pub max_content: u64,
}

/// The deltas to make, in an order that every part sees alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// All of them.
    pub keys: BTreeSet<DeltaKey>,
}

impl Plan {
    /// Takes in what one name needs.
    ///
    /// Deltas lead to the version that counts: from those that clients were seen with, and from the last ones.
    pub fn add(&mut self, history: &History, usage: &Usage, ahead: &Ahead) {
        let Some(latest) = history.latest().map(|signed| &signed.statement) else { return };
        let versions = history.versions();
        let fleet: BTreeSet<_> = usage
            .clients
            .values()
            .filter(|seen| seen.name == latest.name)
            .filter_map(|seen| seen.version.as_ref())
            .collect();
        let mut from = BTreeSet::from([None]);
        for (number, signed) in versions.iter().rev().enumerate() {
            let said = &signed.statement;
            if said.digest != latest.digest && (number <= ahead.last || fleet.contains(&said.version)) {
                from.insert(Some(said.digest));
            }
        }
        let mut forms = BTreeSet::new();
        match latest.kind {
            Kind::Tree => drop(forms.insert(Form::Patch)),
            Kind::File => {
                let known = |key: &&DeltaKey| versions.iter().any(|signed| signed.statement.digest == key.to);
                forms.extend(usage.deltas.keys().filter(known).map(|key| key.form));
                forms.extend(ahead.forms.iter().map(|&(profile, base)| Form::Container { profile, base }));
            }
        }
        let to = latest.digest;
        for form in forms {
            self.keys.extend(from.iter().map(|&from| DeltaKey { from, to, form }));
        }
        if latest.kind == Kind::Tree && ahead.packs {
            self.keys.insert(DeltaKey { from: None, to, form: Form::Pack });
        }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Deltas of this part.
    pub planned: u64,
    /// Of these, there already.
    pub there: u64,
    /// Of these, made now.
    pub made: u64,
    /// Bytes of those that were made.
    pub bytes: u64,
}

/// Makes what is missing of this part of the plan. It can be stopped at any moment, and run again as often as one likes:
/// what is there is left as it is. `told` hears of every delta.
///
/// # Errors
/// [`DeltaError`]; what was made before stays.
pub async fn precompute(store: &Store, ahead: &Ahead, told: impl Fn(&DeltaKey, Done)) -> Result<Done, DeltaError> {
    let usage = store.usage(None).await?;
    let names = if ahead.names.is_empty() { store.names().await? } else { ahead.names.clone() };
    let mut plan = Plan::default();
    for name in &names {
        let mut history = History::default();
        store.catch_up(name, &mut history).await?;
        plan.add(&history, &usage, ahead);
    }
    let mine: Vec<DeltaKey> = plan.keys.into_iter().filter(|key| ahead.shard.has(key)).collect();
    let mut done = Done { planned: mine.len() as u64, ..Done::default() };
    for key in mine {
        if store.delta_len(&key).await?.is_some() {
            done.there += 1;
        } else {
            // Without chains: which there are depends on how far the other parts are.
            let means = Means { max_content: ahead.max_content, chains: false, adapters: ahead.adapters };
            let bytes = make(store, key, means).await?;
            done.made += 1;
            done.bytes += bytes.len() as u64;
            store.put_delta(&key, bytes).await?;
        }
        told(&key, done);
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Signed, Statement};
    use crate::store::Seen;
    use crate::tree::Digest;

    fn history(kind: Kind, versions: &[&str]) -> History {
        let mut history = History::default();
        for version in versions {
            let statement = Statement {
                name: "fw".parse().unwrap(),
                sequence: history.next(),
                version: version.parse().unwrap(),
                kind,
                digest: Digest::of(version.as_bytes()),
                len: 1,
                rollback: false,
                published_at: 0,
            };
            history.push(Signed::new(statement, None)).unwrap();
        }
        history
    }

    fn ahead(last: usize) -> Ahead {
        let forms = vec![(Profile::Small, true)];
        let (packs, adapters) = (true, false);
        Ahead { names: vec![], last, forms, packs, adapters, shard: Shard::WHOLE, max_content: 1 << 20 }
    }

    #[test]
    fn deltas_start_at_the_last_versions_and_at_those_that_devices_have() {
        let mut usage = Usage::default();
        let seen = Seen { name: "fw".parse().unwrap(), version: Some("1".parse().unwrap()), at: 0 };
        usage.clients.insert("c".into(), seen);
        let mut plan = Plan::default();
        plan.add(&history(Kind::File, &["1", "2", "3", "4"]), &usage, &ahead(1));
        let from: Vec<_> = plan.keys.iter().map(|key| key.from).collect();
        let mut wanted = vec![None, Some(Digest::of(b"1")), Some(Digest::of(b"3"))];
        wanted.sort();
        assert_eq!(from, wanted);
        assert!(plan.keys.iter().all(|key| key.to == Digest::of(b"4")));
        let mut plan = Plan::default();
        plan.add(&history(Kind::Tree, &["1", "2"]), &Usage::default(), &ahead(1));
        assert_eq!(plan.keys.iter().filter(|key| key.form == Form::Patch).count(), 2);
        assert_eq!(plan.keys.iter().filter(|key| key.form == Form::Pack).count(), 1);
    }

    #[test]
    fn every_delta_is_in_one_part() {
        let mut plan = Plan::default();
        let versions: Vec<String> = (0..40).map(|number| number.to_string()).collect();
        let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
        plan.add(&history(Kind::File, &versions), &Usage::default(), &ahead(99));
        assert_eq!(plan.keys.len(), 40);
        let parts: Vec<usize> =
            (0..4).map(|index| plan.keys.iter().filter(|key| Shard { index, count: 4 }.has(key)).count()).collect();
        assert_eq!(parts.iter().sum::<usize>(), 40);
        assert!(parts.iter().all(|&part| part > 2), "{parts:?}");
        assert_eq!("3/8".parse(), Ok(Shard { index: 3, count: 8 }));
        for wrong in ["", "1", "8/8", "-1/2", "0/0", "0/65537"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
