//! The examples of FORMAT.md are what the code reads and writes.

use super::plan::{Coding, Plan, Reach};
use super::tests::{example, plain, tree};
use super::*;
use crate::history::{Brief, Kind, Signed, Statement};
use crate::release::keys::SecretKey;
use crate::report::format::hex;
use crate::tree::pack::{self, Pack};
use crate::tree::{Entry, Node, TreePath};

const FORMAT: &str = include_str!("../../../FORMAT.md");

/// The bytes of a hex block of FORMAT.md: lines of an offset, bytes, and a comment behind a semicolon.
fn block(name: &str) -> Vec<u8> {
    let start = FORMAT.find(&format!("```{name}\n")).unwrap_or_else(|| panic!("no example {name}"));
    let lines = FORMAT[start..].lines().skip(1).take_while(|line| *line != "```");
    let mut bytes: Vec<u8> = Vec::new();
    for line in lines {
        let line = line.split(';').next().unwrap_or("");
        let mut words = line.split_whitespace();
        let offset = words.next().unwrap_or("");
        assert_eq!(usize::from_str_radix(offset, 16).ok(), Some(bytes.len()), "{name}: {line}");
        bytes.extend(words.map(|word| u8::from_str_radix(word, 16).unwrap()));
    }
    bytes
}

#[test]
fn the_manifest_is_that_of_the_format() {
    let node = Node::File { mode: 0o644, len: 3, digest: Digest::of(b"abc") };
    let file = Entry { path: TreePath::new("a/one").unwrap(), node };
    let link = Entry { path: TreePath::new("b").unwrap(), node: Node::Link { target: "a/one".into() } };
    let tree = Tree::new(vec![file, link]).unwrap();
    assert_eq!(hex(&tree.emit()), hex(&block("manifest-example")));
    assert!(FORMAT.contains(&format!("`{}`", tree.root())), "root {}", tree.root());
}

#[test]
fn the_patch_is_that_of_the_format() {
    let ((old, before), (new, after)) = example();
    let bytes = make(Some((&old, &before)), &new, &after, &plain()).unwrap();
    assert_eq!(hex(&bytes), hex(&block("patch-example")));
    let plan = Plan::parse(&bytes[5..13], &old, &Limits::default()).unwrap();
    assert_eq!((plan.changes.len(), plan.added.len(), plan.text_len), (3, 2, 26));
    assert_eq!(plan.codings, [Coding { reach: Reach::Alike, mode: 1, payload_len: 0 }]);
    let found = apply(&bytes, Some((&old, &before)), &mut HashMap::new(), &Limits::default()).unwrap();
    assert_eq!(found, new);
}

#[test]
fn the_pack_is_that_of_the_format() {
    let (tree, store) = tree(&[("a", b"abc")]);
    let options = pack::Options { base: None, block_log2: 12, ..pack::Options::default() };
    let bytes = pack::make(&tree, &store, &options).unwrap();
    assert_eq!(hex(&bytes), hex(&block("pack-example")));
    let container = &bytes[9..][..67];
    assert_eq!(hex(&crate::codec::apply(&[container], None).unwrap()), hex(&block("index-example")));
    assert_eq!(Pack::open(&bytes[..]).unwrap().read(&TreePath::new("a").unwrap(), 1..2).unwrap(), b"b");
}

#[test]
fn the_statements_are_those_of_the_format() {
    let root = "f984770fb6faf99288c4e7739d02381d46e4a2a374c7deb6f16e64da1d17978f".parse().unwrap();
    let statement = Statement {
        name: "n".parse().unwrap(),
        sequence: 2,
        version: "2".parse().unwrap(),
        kind: Kind::Tree,
        digest: root,
        len: 3,
        rollback: false,
        published_at: 1_767_225_600_000,
    };
    let signed = Signed::new(statement, Some(&SecretKey::from_seed([1; 32])));
    assert_eq!(hex(&signed.emit()), hex(&block("statement-example")));
    let brief = Brief::parse(&block("brief-example")).unwrap();
    assert_eq!(brief.complete("n".parse().unwrap(), root, 3), signed);
    assert_eq!(hex(&brief.emit()), hex(&block("brief-example")));
}
