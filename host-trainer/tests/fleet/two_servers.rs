//! Servers that share a store.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use host_trainer::files::Scratch;
use host_trainer::history::History;
use host_trainer::tree::Digest;
use host_trainer::wire::{StatusRecord, VersionRecord, VersionsRecord};

use super::backend::Backend;
use super::processes::{Client, Server, token, wait_until};
use super::run;
use super::s3::S3;

/// How old what a server knows may be.
const REFRESH: &str = "300";
/// Within which both must know all; the refresh time, and what a busy machine needs.
const SOON: Duration = Duration::from_secs(5);

fn content(name: &str, version: &str) -> Vec<u8> {
    format!("the content of {name} in version {version}\n").repeat(20).into_bytes()
}

async fn versions(client: &Client, name: &str) -> VersionsRecord {
    client.record(&format!("/names/{name}/versions")).await
}

/// Everybody publishes at once, under a name of all and under one of their own.
async fn nothing_is_lost(backend: &Backend, clients: &[Client]) {
    const PUBLISHERS: usize = 4;
    const VERSIONS: usize = 5;
    let publishers = (0..PUBLISHERS).map(|publisher| {
        let client = clients[publisher % clients.len()].clone();
        async move {
            let mut told = Vec::new();
            for number in 0..VERSIONS {
                for name in ["shared".to_string(), format!("own{publisher}")] {
                    let version = format!("{publisher}.{number}");
                    let answer = client.publish(&name, &version, &content(&name, &version)).await.unwrap();
                    let (status, body) = (answer.status(), answer.bytes().await.unwrap());
                    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
                    let record: VersionRecord = serde_json::from_slice(&body).unwrap();
                    assert_eq!(record.version.as_str(), version);
                    assert_eq!(record.digest, Digest::of(&content(&name, &version)));
                    told.push((name, record));
                }
            }
            told
        }
    });
    let mut told: BTreeMap<String, BTreeMap<u64, VersionRecord>> = BTreeMap::new();
    for (name, record) in join_all(publishers).await.into_iter().flatten() {
        let sequence = record.sequence;
        assert!(told.entry(name).or_default().insert(sequence, record).is_none(), "{sequence} was told to two");
    }
    for (name, told) in &told {
        let told: Vec<_> = told.values().cloned().collect();
        for client in clients {
            wait_until(SOON, name, async || versions(client, name).await.versions == told).await;
            for record in &told {
                let path = format!("/names/{name}/versions/{}/content", record.version);
                assert_eq!(client.bytes(&path).await, content(name, record.version.as_str()));
            }
        }
        let mut history = History::default();
        backend.store().catch_up(&name.parse().unwrap(), &mut history).await.unwrap();
        assert_eq!(history.statements().iter().map(VersionRecord::from).collect::<Vec<_>>(), told);
    }
    assert_eq!(told.len(), PUBLISHERS + 1);
}

/// The same version through both servers at once.
async fn a_version_is_published_once(clients: &[Client; 2]) {
    for round in 0..4 {
        let version = round.to_string();
        let [one, two] = clients.each_ref().map(|client| client.publish("same", &version, version.as_bytes()));
        let (one, two) = futures_util::future::join(one, two).await;
        let mut statuses = [one.unwrap().status().as_u16(), two.unwrap().status().as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 201], "the same content: who comes second is told that it is there");

        let [one, two] = clients.each_ref().map(|client| client.publish("other", &version, client.base().as_bytes()));
        let (one, two) = futures_util::future::join(one, two).await;
        let mut statuses = [one.unwrap().status().as_u16(), two.unwrap().status().as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "other contents: who comes second is refused");
    }
    for name in ["same", "other"] {
        for client in clients {
            wait_until(SOON, name, async || versions(client, name).await.versions.len() == 4).await;
        }
    }
}

/// What one has made, the other finds.
async fn deltas_are_shared(backend: &Backend, clients: &[Client; 2]) {
    for version in ["1", "2"] {
        assert_eq!(clients[0].publish("delta", version, &content("delta", version)).await.unwrap().status(), 201);
    }
    let path = "/delta/between?name=delta&from=1&to=2";
    let delta = clients[0].bytes(path).await;
    assert_eq!(clients[1].bytes(path).await, delta);
    let objects = backend.objects().await;
    assert_eq!(objects.keys().filter(|object| object.starts_with("deltas/")).count(), 1);
    for (client, hits) in clients.iter().zip([0, 1]) {
        let status: StatusRecord = client.record("/delta/status").await;
        assert_eq!((status.cache_lookups, status.cache_hits, status.deltas), (1, hits, 1));
    }
}

fn suite(backend: &Backend) {
    let token = token(backend, &["--label", "test"]);
    let mut servers = [(); 2].map(|()| Server::start(backend, &["--refresh", REFRESH]));
    let clients = servers.each_ref().map(|server| Client::new(server, &token));
    run(async {
        nothing_is_lost(backend, &clients).await;
        a_version_is_published_once(&clients).await;
        deltas_are_shared(backend, &clients).await;
        for server in &mut servers {
            server.check().await;
        }
    });
}

#[test]
fn two_servers_share_a_folder() {
    let folder = Scratch::new("two").unwrap();
    suite(&Backend::folder(&folder.join("store")));
}

#[test]
fn two_servers_share_a_bucket() {
    let Some(s3) = S3::start() else { return };
    suite(&Backend::s3(&s3, "two"));
}
