use std::collections::HashMap;

use super::plan::Plan;
use super::*;
use crate::tree::{Entry, Node, TreePath};

type Store = HashMap<Digest, Vec<u8>>;

fn tree(entries: &[(&str, &[u8])]) -> (Tree, Store) {
    let mut store = Store::new();
    let entries = entries.iter().map(|(path, content)| {
        let digest = Digest::of(content);
        store.insert(digest, content.to_vec());
        let node = Node::File { mode: 0o644, len: content.len() as u64, digest };
        Entry { path: TreePath::new(*path).unwrap(), node }
    });
    (Tree::new(entries.collect()).unwrap(), store)
}

fn there_and_back(old: Option<(&Tree, &Store)>, new: (&Tree, &Store)) -> Vec<u8> {
    let old = old.map(|(tree, store)| (tree, store as &dyn Contents));
    let bytes = make(old, new.0, new.1, &Options::default()).unwrap();
    let mut sink = Store::new();
    let found = apply(&bytes, old, &mut sink, &Limits::default()).unwrap();
    assert_eq!(found, *new.0);
    for (digest, len) in new.0.contents() {
        let before = old.is_some_and(|(tree, _)| tree.contents().contains_key(&digest));
        assert_eq!(sink.get(&digest).map(|bytes| bytes.len() as u64), (!before).then_some(len));
    }
    bytes
}

#[test]
fn a_tree_goes_from_one_version_to_the_next() {
    let (old, before) = tree(&[
        ("a/one.txt", b"the first line\nthe second line\nthe third line\n"),
        ("a/two.txt", b"another file\n"),
        ("gone.txt", b"goes away\n"),
        ("moves.txt", b"moves elsewhere\n"),
    ]);
    let (new, after) = tree(&[
        ("a/one.txt", b"the first line\nthe second line, longer\nthe third line\n"),
        ("a/two.txt", b"another file\n"),
        ("b/copy.txt", b"the first line\nthe second line, longer\nthe third line\n"),
        ("b/moved.txt", b"moves elsewhere\n"),
        ("empty", b""),
    ]);
    let bytes = there_and_back(Some((&old, &before)), (&new, &after));
    assert!(bytes.len() < 90, "{}", bytes.len());
    there_and_back(None, (&new, &after));
    there_and_back(Some((&new, &after)), (&old, &before));
    let same = there_and_back(Some((&old, &before)), (&old, &before));
    assert!(same.len() < 8, "{}", same.len());
    there_and_back(Some((&old, &before)), (&Tree::default(), &Store::new()));
    there_and_back(None, (&Tree::default(), &Store::new()));
}

/// The small example of FORMAT.md: without a base model, so that its bytes stay as they are.
fn example() -> ((Tree, Store), (Tree, Store)) {
    let old = tree(&[
        ("app/main.lua", b"local level = 1\nlocal name = 'pump'\nreturn { level = level, name = name }\n"),
        ("app/old.lua", b"return nil\n"),
        ("site.conf", b"interval = 10\n"),
    ]);
    let new = tree(&[
        ("app/main.lua", b"local level = 2\nlocal name = 'pump'\nreturn { level = level, name = name }\n"),
        ("app/new.lua", b"return { level = 3 }\n"),
        ("etc/site.conf", b"interval = 10\n"),
    ]);
    (old, new)
}

fn plain() -> Options {
    Options { base: None }
}

#[test]
fn damage_is_an_error_or_changes_the_root() {
    let ((old, before), (new, after)) = example();
    for options in [plain(), Options::default()] {
        let bytes = make(Some((&old, &before)), &new, &after, &options).unwrap();
        let root = |bytes: &[u8]| {
            apply(bytes, Some((&old, &before)), &mut Store::new(), &Limits::default()).map(|tree| tree.root())
        };
        assert_eq!(root(&bytes).unwrap(), new.root());
        for at in 0..bytes.len() {
            assert!(root(&bytes[..at]).ok() != Some(new.root()), "cut at {at}");
            for bit in [at % 8, (at + 5) % 8] {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(root(&damaged).ok() != Some(new.root()), "byte {at}, bit {bit}");
            }
        }
        assert!(root(&[&bytes[..], b"x"].concat()).ok() != Some(new.root()));
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let ((old, before), (new, after)) = example();
    let bytes = make(Some((&old, &before)), &new, &after, &plain()).unwrap();
    let run = |bytes: &[u8], old: Option<Old<'_>>, limits: &Limits| {
        apply(bytes, old, &mut Store::new(), limits).map_err(|error| error.to_string())
    };
    let limits = Limits::default();
    assert!(run(&bytes, None, &limits).unwrap_err().contains("none was given"));
    assert!(run(&bytes, Some((&new, &after)), &limits).unwrap_err().contains("the one at hand"));
    let narrow = Limits { new_len: 20, ..limits };
    assert!(run(&bytes, Some((&old, &before)), &narrow).unwrap_err().contains("at most 20"));
    let few = Limits { entries: 2, ..limits };
    assert!(run(&bytes, Some((&old, &before)), &few).unwrap_err().contains("at most 2"));
    let wrong: Store = before.keys().map(|digest| (*digest, b"changed".to_vec())).collect();
    assert!(run(&bytes, Some((&old, &wrong)), &limits).unwrap_err().contains("7 bytes instead of"));
    let missing = Store::new();
    assert!(run(&bytes, Some((&old, &missing)), &limits).unwrap_err().contains("cannot read content"));
    assert!(make(None, &new, &missing, &plain()).is_err());
    for (bytes, what) in [(&b""[..], "magic"), (&[0xc7], "magic"), (&[MAGIC, 2], "version"), (&[MAGIC, 0x41], "flags")]
    {
        assert!(run(bytes, None, &limits).unwrap_err().contains(what), "{bytes:?}");
    }
}

#[test]
fn links_folders_and_modes_travel() {
    let entry = |path: &str, node: Node| Entry { path: TreePath::new(path).unwrap(), node };
    let link = |target: &str| Node::Link { target: target.into() };
    let file = |mode, content: &[u8]| Node::File { mode, len: content.len() as u64, digest: Digest::of(content) };
    let store: Store = [&b"one"[..], b"two"].iter().map(|content| (Digest::of(content), content.to_vec())).collect();
    let old = Tree::new(vec![
        entry("a", file(0o644, b"one")),
        entry("b", link("a")),
        entry("c", Node::Folder),
        entry("d", file(0o600, b"two")),
        entry("e", file(0o600, b"two")),
    ]);
    let new = Tree::new(vec![
        entry("a", file(0o755, b"one")),
        entry("b", link("d")),
        entry("c/d", link("../a")),
        entry("d", file(0o600, b"one")),
        entry("e", file(0o644, b"one")),
        entry("f", Node::Folder),
    ]);
    let (old, new) = (old.unwrap(), new.unwrap());
    there_and_back(Some((&old, &store)), (&new, &store));
    there_and_back(Some((&new, &store)), (&old, &store));
    there_and_back(None, (&new, &store));
}

#[test]
fn a_binary_and_repeats_go_to_groups_of_their_own() {
    let line = |i: u32| format!("{} is set to {}\n", i.wrapping_mul(48_271) % 7919, i * i % 997);
    let text: String = (0..3000).map(line).collect();
    let other = text.replace(" to 77", " at 77");
    let binary: Vec<u8> = (0..9000_u32).map(|i| (i.wrapping_mul(i) >> 9) as u8 & 0xfc).collect();
    let (new, after) = tree(&[("a.txt", text.as_bytes()), ("b.txt", other.as_bytes()), ("c.bin", &binary)]);
    let bytes = make(None, &new, &after, &plain()).unwrap();
    let plan = Plan::parse(&bytes[3..][..usize::from(bytes[2])], &Tree::default(), &Limits::default()).unwrap();
    assert_eq!(plan.codings.len(), 3);
    let mut sink = Store::new();
    assert_eq!(apply(&bytes, None, &mut sink, &Limits::default()).unwrap(), new);
    assert_eq!(sink, after);
}

mod properties {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A tree of a few paths and contents, so that two of them share some of both.
    fn any_tree() -> impl Strategy<Value = (Tree, Store)> {
        vec((0..12_usize, 0..6_usize, any::<bool>()), 0..8).prop_map(|files| {
            let contents =
                ["", "one\n", "one\ntwo\n", "three\nfour\nfive\n", "three\nfour\nsix\n", "\0\u{1}\u{2}binary\0"];
            let mut store = Store::new();
            let mut entries: Vec<Entry> = Vec::new();
            for (path, content, executable) in files {
                let path = TreePath::new(format!("d{}/f{}", path / 4, path)).unwrap();
                let content = contents[content].as_bytes();
                let digest = Digest::of(content);
                store.insert(digest, content.to_vec());
                let mode = if executable { 0o755 } else { 0o644 };
                if entries.iter().all(|entry| entry.path != path) {
                    entries.push(Entry { path, node: Node::File { mode, len: content.len() as u64, digest } });
                }
            }
            (Tree::new(entries).unwrap(), store)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_tree_becomes_any_other(old in any_tree(), new in any_tree()) {
            let bytes = make(Some((&old.0, &old.1)), &new.0, &new.1, &plain()).unwrap();
            let mut sink = Store::new();
            let found = apply(&bytes, Some((&old.0, &old.1)), &mut sink, &Limits::default()).unwrap();
            prop_assert_eq!(found, new.0);
        }

        #[test]
        fn no_plan_makes_a_reader_panic(plan in vec(any::<u8>(), 0..40), payload in vec(any::<u8>(), 0..30)) {
            let ((old, before), _) = example();
            let root = old.root();
            let mut bytes = vec![MAGIC, flag::VERSION_1 | flag::OLD, root.0[0], root.0[1], plan.len() as u8];
            bytes.extend_from_slice(&plan);
            bytes.extend_from_slice(&payload);
            let limits = Limits { new_len: 1 << 16, entries: 1000 };
            let _ = apply(&bytes, Some((&old, &before)), &mut Store::new(), &limits);
        }
    }
}
