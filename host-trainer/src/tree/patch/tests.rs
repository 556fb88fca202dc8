use std::collections::HashMap;

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
