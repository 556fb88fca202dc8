//! The cases.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use host_trainer::codec::Profile;
use host_trainer::deltas::evict;
use host_trainer::files::Scratch;
use host_trainer::history::{History, Kind, Name, Signed, Statement};
use host_trainer::report::transfer::now_ms;
use host_trainer::store::{DeltaKey, Form, Grant, Right, Seen, Store, StoreError, Token, Usage, Used};
use host_trainer::tree::{Digest, Entry, Node, Tree, TreePath};

use super::super::backend::Backend;

/// A statement about a file.
pub fn file(name: &Name, sequence: u64, version: &str, content: &[u8]) -> Signed {
    let statement = Statement {
        name: name.clone(),
        sequence,
        version: version.parse().unwrap(),
        kind: Kind::File,
        digest: Digest::of(content),
        len: content.len() as u64,
        rollback: false,
        published_at: now_ms(),
    };
    Signed::new(statement, None)
}

/// `len` bytes that no codec makes shorter.
fn noise(len: usize) -> Vec<u8> {
    let mut state = len as u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

async fn part(store: &Store, digest: &Digest, range: std::ops::Range<u64>) -> (u64, std::ops::Range<u64>, Vec<u8>) {
    let blob = store.open_content(digest, Some(range)).await.unwrap().unwrap();
    let parts: Vec<Bytes> = blob.bytes.try_collect().await.unwrap();
    (blob.len, blob.range, parts.concat())
}

async fn whole(store: &Store, digest: &Digest) -> Vec<u8> {
    let blob = store.open_content(digest, None).await.unwrap().unwrap();
    assert_eq!(blob.range, 0..blob.len);
    let parts: Vec<Bytes> = blob.bytes.try_collect().await.unwrap();
    parts.concat()
}

pub async fn contents_come_back_whole_and_in_parts(at: Backend) {
    let (store, content) = (at.store(), noise(100_000));
    let digest = store.put_content(content.clone().into()).await.unwrap();
    assert_eq!(digest, Digest::of(&content));
    assert_eq!(store.put_content(content.clone().into()).await.unwrap(), digest, "again");
    let other = at.store();
    assert_eq!(other.content_len(&digest).await.unwrap(), Some(100_000));
    assert_eq!(other.content(&digest, 100_000).await.unwrap().unwrap(), content);
    let error = other.content(&digest, 99_999).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { found: 100_000, limit: 99_999, .. }), "{error}");
    assert_eq!(whole(&other, &digest).await, content);
    for range in [0..1, 0..100_000, 99_999..100_000, 4095..70_001] {
        let (from, to) = (range.start as usize, range.end as usize);
        let wanted = (100_000, range.clone(), content[from..to].to_vec());
        assert_eq!(part(&other, &digest, range).await, wanted);
    }
    assert!(other.open_content(&digest, Some(100_000..100_001)).await.is_err(), "behind the end");

    let nothing = store.put_content(Bytes::new()).await.unwrap();
    assert_eq!(other.content_len(&nothing).await.unwrap(), Some(0));
    assert_eq!(other.content(&nothing, 0).await.unwrap().unwrap(), Bytes::new());
    assert_eq!(whole(&other, &nothing).await, b"");

    let missing = Digest::of(b"missing");
    assert_eq!(other.content_len(&missing).await.unwrap(), None);
    assert_eq!(other.content(&missing, 1).await.unwrap(), None);
    assert!(other.open_content(&missing, None).await.unwrap().is_none());
    assert!(other.open_content(&missing, Some(0..1)).await.unwrap().is_none());
}

pub async fn large_contents_are_written_in_parts(at: Backend) {
    const PART: usize = 8 << 20;
    let (store, folder) = (at.store(), Scratch::new("parts").unwrap());
    for len in [0, 1, PART, PART + 1, 2 * PART + 12_345] {
        let (path, content) = (folder.join("content"), noise(len));
        std::fs::write(&path, &content).unwrap();
        let (digest, len) = (Digest::of(&content), len as u64);
        store.put_content_file(&path, &digest, len).await.unwrap();
        assert_eq!(store.content_len(&digest).await.unwrap(), Some(len));
        assert!(whole(&store, &digest).await == content, "{len} bytes come back as others");
        if len > PART as u64 {
            let over = PART as u64 - 10..PART as u64 + 1;
            assert_eq!(part(&store, &digest, over).await.2, content[PART - 10..=PART], "over the border of two parts");
        }
        // What is there is not written again: its file is not even needed.
        std::fs::remove_file(&path).unwrap();
        store.put_content_file(&path, &digest, len).await.unwrap();
    }
    let error = store.put_content_file(&folder.join("missing"), &Digest::of(b"x"), 1 << 30).await.unwrap_err();
    assert!(matches!(error, StoreError::Spool(_)), "{error}");
    assert_eq!(at.objects().await.len(), 5);
}

pub async fn trees_come_back(at: Backend) {
    let store = at.store();
    let entry = |path: &str, node| Entry { path: TreePath::new(path).unwrap(), node };
    let tree = Tree::new(vec![
        entry("a/b.txt", Node::File { mode: 0o755, len: 3, digest: Digest::of(b"abc") }),
        entry("a/link", Node::Link { target: "b.txt".into() }),
        entry("ä", Node::Folder),
    ]);
    for tree in [tree.unwrap(), Tree::default()] {
        let root = store.put_tree(&tree).await.unwrap();
        assert_eq!(store.put_tree(&tree).await.unwrap(), root, "again");
        assert_eq!(at.store().tree(&root).await.unwrap(), Some(tree));
    }
    assert_eq!(store.tree(&Digest::of(b"missing")).await.unwrap(), None);
}

pub async fn statements_are_appended(at: Backend) {
    let (store, other, name) = (at.store(), at.store(), "fw".parse::<Name>().unwrap());
    let (mut history, mut behind) = (History::default(), History::default());
    store.catch_up(&name, &mut history).await.unwrap();
    assert_eq!(history.latest(), None);
    for number in 1..=12 {
        let version = number.to_string();
        store.publish_as(&mut history, &file(&name, number, &version, version.as_bytes())).await.unwrap();
        if number == 3 {
            other.catch_up(&name, &mut behind).await.unwrap();
            assert_eq!(behind, history);
        }
    }
    // One that is behind is not told the number that is taken, and is caught up then.
    let error = other.publish_as(&mut behind, &file(&name, 4, "x", b"x")).await.unwrap_err();
    assert!(error.is_taken(), "{error}");
    assert_eq!(behind, history);
    let error = other.publish_as(&mut behind, &file(&name, 14, "x", b"x")).await.unwrap_err();
    assert!(error.is_taken(), "{error}");
    let error = other.publish_as(&mut behind, &file(&name, 13, "1", b"x")).await.unwrap_err();
    assert_eq!(error.to_string(), "version `1` exists with another content");
    let none = other.publish::<StoreError>(&name, &mut behind, |_| Ok(None)).await.unwrap();
    assert_eq!(none, None);
    assert_eq!(at.objects().await.len(), 12, "refused statements are not written");
    // A statement that was written and not heard of is found by the next who publishes.
    at.write("names/fw/log/0000000000000013.json", &serde_json::to_vec(&file(&name, 13, "13", b"13")).unwrap()).await;
    let make = |history: &History| Ok::<_, StoreError>(Some(file(&name, history.next(), "14", b"14")));
    let made = store.publish(&name, &mut history, make).await.unwrap().unwrap();
    assert_eq!((made.statement.sequence, history.next()), (14, 15));
}

pub async fn names_are_listed(at: Backend) {
    let store = at.store();
    assert_eq!(store.names().await.unwrap(), []);
    for name in ["b", "A", "a.b", "a", "a-b"] {
        let name = name.parse().unwrap();
        store.publish_as(&mut History::default(), &file(&name, 1, "1", b"x")).await.unwrap();
    }
    // What is no name was not written by a server.
    at.write("names/no name/log/0000000000000001.json", b"{}").await;
    at.write("names/README", b"who wrote this?").await;
    let names: Vec<String> = at.store().names().await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["A", "a", "a-b", "a.b", "b"]);
}

pub async fn grants_are_kept_and_revoked(at: Backend) {
    let (store, token, other) = (at.store(), Token::generate().unwrap(), Token::generate().unwrap());
    let names = vec!["fw".parse().unwrap()];
    let grant =
        Grant { label: "a \"b\"\n".into(), right: Right::Publish, names, created_at: 1, expires_at: Some(u64::MAX) };
    store.put_grant(&token, &grant).await.unwrap();
    assert_eq!(at.store().grant(&token).await.unwrap(), Some(grant));
    assert_eq!(store.grant(&other).await.unwrap(), None);
    assert!(!at.objects().await.keys().any(|object| object.contains(&token.to_string()[5..])), "the token is not told");
    assert!(store.revoke(&token).await.unwrap());
    assert_eq!(at.store().grant(&token).await.unwrap(), None);
    assert!(!store.revoke(&token).await.unwrap());
}

pub async fn usage_is_merged(at: Backend) {
    let store = at.store();
    let key = |to: &[u8]| DeltaKey { from: Some(Digest::of(b"from")), to: Digest::of(to), form: Form::Patch };
    let seen = |version: &str, at| Seen { name: "fw".parse().unwrap(), version: version.parse().ok(), at };
    let usage = |times, last, version, at| Usage {
        deltas: [(key(b"both"), Used { times, last }), (key(&[times as u8]), Used { times: 1, last: 1 })].into(),
        clients: [("both".into(), seen(version, at)), (version.into(), seen("", 1))].into(),
        whole_bytes: 100,
        sent_bytes: 10,
    };
    assert_eq!(store.usage(None).await.unwrap(), Usage::default());
    store.put_usage("one", &Usage::default()).await.unwrap();
    store.put_usage("one", &usage(3, 50, "1", 7)).await.unwrap();
    store.put_usage("two", &usage(4, 40, "2", 8)).await.unwrap();
    at.write("usage/README", b"who wrote this?").await;
    let all = at.store().usage(None).await.unwrap();
    assert_eq!(all.deltas[&key(b"both")], Used { times: 7, last: 50 });
    assert_eq!(all.clients["both"], seen("2", 8));
    assert_eq!((all.deltas.len(), all.clients.len(), all.whole_bytes, all.sent_bytes), (3, 3, 200, 20));
    assert_eq!(store.usage(Some("two")).await.unwrap(), usage(3, 50, "1", 7));
}

pub async fn deltas_are_listed_and_deleted(at: Backend) {
    let store = at.store();
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    let mut keys = Vec::new();
    for to in [a, b] {
        for from in [None, Some(Digest::of(b"c"))] {
            let container = |base| Form::Container { profile: Profile::Small, base };
            for form in [Form::Patch, Form::Pack, container(false), container(true)] {
                let key = DeltaKey { from, to, form };
                store.put_delta(&key, vec![1; keys.len()].into()).await.unwrap();
                keys.push(key);
            }
        }
    }
    at.write("deltas/README", b"who wrote this?").await;
    let listed = |found: Vec<host_trainer::store::StoredDelta>| {
        assert!(found.iter().all(|delta| delta.made_at.abs_diff(now_ms()) < 3_600_000), "made just now");
        let mut found: Vec<_> = found.iter().map(|delta| (delta.key, delta.len)).collect();
        found.sort();
        found
    };
    let mut wanted: Vec<_> = keys.iter().copied().zip(0..).collect();
    wanted.sort();
    assert_eq!(listed(at.store().deltas().await.unwrap()), wanted);
    wanted.retain(|(key, _)| key.to == b);
    assert_eq!(listed(store.deltas_to(&b).await.unwrap()), wanted);
    assert_eq!(store.deltas_to(&Digest::of(b"c")).await.unwrap(), []);

    assert_eq!(store.delta_len(&keys[3]).await.unwrap(), Some(3));
    assert_eq!(store.delta(&keys[3]).await.unwrap().unwrap(), [1; 3][..]);
    for _ in 0..2 {
        store.delete_delta(&keys[3]).await.unwrap();
        assert_eq!((store.delta_len(&keys[3]).await.unwrap(), store.delta(&keys[3]).await.unwrap()), (None, None));
    }
    assert_eq!(store.deltas().await.unwrap().len(), 15);
}

pub async fn deltas_that_nobody_uses_are_evicted(at: Backend) {
    let store = at.store();
    let keys = [b"a", b"b", b"c"].map(|to| DeltaKey { from: None, to: Digest::of(to), form: Form::Patch });
    for key in &keys {
        store.put_delta(key, vec![0; 10].into()).await.unwrap();
    }
    let used = Usage { deltas: [(keys[0], Used { times: 1, last: now_ms() })].into(), ..Usage::default() };
    let done = evict(&store, &used, 0).await.unwrap();
    assert_eq!((done.deltas, done.left), (0, 30), "they were made in this minute");
    if at.local {
        keys[..2].iter().for_each(|key| at.age(&format!("deltas/{key}")));
        let done = evict(&store, &used, 20).await.unwrap();
        assert_eq!((done.deltas, done.bytes, done.left), (1, 10, 20));
        assert_eq!(store.delta_len(&keys[1]).await.unwrap(), None, "nobody asked for it");
        let done = evict(&store, &used, 0).await.unwrap();
        assert_eq!((done.deltas, done.bytes, done.left), (1, 10, 10), "one was made in this minute");
    }
}

/// A process that is killed while it writes leaves a file that no object can have the name of.
pub async fn what_was_left_unfinished_is_cleared(at: Backend) {
    let (store, hour) = (at.store(), std::time::Duration::from_secs(3600));
    let digest = store.put_content("whole".into()).await.unwrap();
    if at.local {
        for number in [1, 2] {
            std::fs::write(std::path::Path::new(&at.place).join(format!("contents/{digest}#{number}")), "who").unwrap();
        }
        at.age(&format!("contents/{digest}"));
        at.age(&format!("contents/{digest}#1"));
        assert_eq!(store.clear_unfinished(hour).unwrap(), 1, "the other may be being written");
        assert_eq!(store.clear_unfinished(std::time::Duration::ZERO).unwrap(), 1);
    }
    assert_eq!(store.clear_unfinished(hour).unwrap(), 0);
    assert_eq!(at.objects().await.len(), 1);
    assert_eq!(store.content(&digest, 5).await.unwrap().unwrap(), "whole");
}

/// Buckets tell a thousand objects at a time.
pub async fn long_lists_are_whole(at: Backend) {
    let (store, number) = (at.store(), 1003);
    let key = |to: usize| DeltaKey { from: None, to: Digest::of(&to.to_le_bytes()), form: Form::Pack };
    let written = futures_util::stream::iter(0..number).map(|to| {
        let at = &at;
        async move {
            at.write(&format!("deltas/{}", key(to)), b"x").await;
            at.write(&format!("names/n{to}/log/0000000000000001.json"), b"x").await;
        }
    });
    written.buffer_unordered(16).collect::<Vec<()>>().await;
    assert_eq!(store.deltas().await.unwrap().len(), number);
    assert_eq!(store.names().await.unwrap().len(), number);
}

pub async fn damaged_objects_are_named(at: Backend) {
    let (store, name) = (at.store(), "fw".parse::<Name>().unwrap());
    let damaged = |error: StoreError, object: &str| {
        assert!(matches!(&error, StoreError::Damaged { object: named, .. } if named.ends_with(object)), "{error}");
        println!("    {error}");
    };
    let digest = Digest::of(b"content");
    for wrong in [&b"Content"[..], b"", b"content and more"] {
        at.write(&format!("contents/{digest}"), wrong).await;
        damaged(store.content(&digest, 100).await.unwrap_err(), &format!("contents/{digest}"));
    }
    let root = Tree::default().root();
    let other = Tree::new(vec![Entry { path: TreePath::new("a").unwrap(), node: Node::Folder }]).unwrap().emit();
    for wrong in [&b"garbage"[..], b"", &other, &other[..other.len() - 1]] {
        at.write(&format!("trees/{root}"), wrong).await;
        damaged(store.tree(&root).await.unwrap_err(), &format!("trees/{root}"));
    }
    let first = serde_json::to_vec(&file(&name, 1, "1", b"1")).unwrap();
    let stranger = serde_json::to_vec(&file(&"other".parse().unwrap(), 1, "1", b"1")).unwrap();
    let later = serde_json::to_vec(&file(&name, 2, "1", b"1")).unwrap();
    let object = "names/fw/log/0000000000000001.json";
    for wrong in [&b"{}"[..], b"", &first[..first.len() - 1], &stranger, &later] {
        at.write(object, wrong).await;
        damaged(store.catch_up(&name, &mut History::default()).await.unwrap_err(), object);
        // Nothing is published after what cannot be read.
        let make = |history: &History| Ok::<_, StoreError>(Some(file(&name, history.next(), "9", b"9")));
        damaged(store.publish(&name, &mut History::default(), make).await.unwrap_err(), object);
        assert_eq!(at.read(object).await, wrong);
    }
    let token = Token::generate().unwrap();
    let object = format!("tokens/{}.json", Digest::of(token.to_string().as_bytes()));
    at.write(&object, b"{\"right\": \"all\"}").await;
    damaged(store.grant(&token).await.unwrap_err(), &object);
    at.write("usage/one.json", b"[]").await;
    damaged(store.usage(None).await.unwrap_err(), "usage/one.json");
    assert_eq!(store.usage(Some("one")).await.unwrap(), Usage::default());
}

pub async fn places_are_kept_apart(at: Backend) {
    let (one, two) = (at.below("one"), at.below("one1"));
    let digest = one.store().put_content("x".into()).await.unwrap();
    one.store().publish_as(&mut History::default(), &file(&"fw".parse().unwrap(), 1, "1", b"x")).await.unwrap();
    assert_eq!(two.store().content_len(&digest).await.unwrap(), None);
    assert_eq!(two.store().names().await.unwrap(), []);
    assert_eq!(two.objects().await.len(), 0);
    // An ending slash changes nothing.
    let same = Backend { place: format!("{}/", one.place), ..one.clone() };
    assert_eq!(same.store().content_len(&digest).await.unwrap(), Some(1));
    let wanted = [format!("contents/{digest}"), "names/fw/log/0000000000000001.json".into()];
    assert_eq!(one.objects().await.into_keys().collect::<Vec<_>>(), wanted);
}

/// For a bucket without a prefix.
pub async fn the_place_itself_is_a_store(at: Backend) {
    let name: Name = "fw".parse().unwrap();
    at.store().publish_as(&mut History::default(), &file(&name, 1, "1", b"x")).await.unwrap();
    assert_eq!(at.store().names().await.unwrap(), [name]);
    assert!(at.objects().await.contains_key("names/fw/log/0000000000000001.json"));
}
