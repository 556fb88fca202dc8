//! Publishing at once.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use host_trainer::history::{History, Name};

use super::super::backend::Backend;
use super::cases::file;

/// Whatever is acknowledged is in the log, once, under the number that was told.
pub async fn publishers_of_one_name_get_a_number_each(at: Backend) {
    // Who loses a race in a bucket may have to wait for a second.
    let (stores, tasks, versions) = if at.local { (4, 4, 8) } else { (4, 1, 8) };
    let name: Name = "fw".parse().unwrap();
    let publishers = (0..stores * tasks).map(|publisher| {
        // Tasks share stores, as the requests of one server do.
        let (at, name) = (at.clone(), name.clone());
        tokio::spawn(async move {
            let (store, mut history) = (at.store(), History::default());
            let mut told = BTreeMap::new();
            for number in 0..versions {
                let version = format!("{publisher}.{number}");
                let make = |history: &History| Ok(Some(file(&name, history.next(), &version, version.as_bytes())));
                let made = store.publish::<host_trainer::store::StoreError>(&name, &mut history, make).await;
                let made = made.unwrap().unwrap();
                assert_eq!(made.statement.version.as_str(), version);
                assert!(told.insert(made.statement.sequence, made).is_none());
            }
            told
        })
    });
    let mut told = BTreeMap::new();
    for done in join_all(publishers).await {
        for (sequence, signed) in done.unwrap() {
            assert!(told.insert(sequence, signed).is_none(), "{sequence} was told to two");
        }
    }
    let mut history = History::default();
    at.store().catch_up(&name, &mut history).await.unwrap();
    let found: Vec<_> = history.statements().to_vec();
    assert_eq!(found.len(), stores * tasks * versions);
    assert_eq!(found, told.into_values().collect::<Vec<_>>());
    assert_eq!(at.objects().await.len(), found.len(), "nothing else was written");
}
