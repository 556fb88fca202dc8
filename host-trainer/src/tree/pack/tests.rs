use std::cell::Cell;
use std::collections::HashMap;
use std::io;

use super::*;
use crate::tree::Node;

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

/// Text that repeats nothing for long.
fn prose(lines: u32, seed: u32) -> Vec<u8> {
    let line = |i: u32| format!("{} sets the level of {} to {}\n", i.wrapping_mul(seed), i * 7 % 101, i * i % 997);
    (1..=lines).map(line).collect::<String>().into_bytes()
}

/// Counts what is read.
struct Counted<'a>(&'a [u8], Cell<u64>);

impl ReadRange for &Counted<'_> {
    fn read(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        self.1.set(self.1.get() + len);
        self.0.read(offset, len)
    }
}

fn options() -> Options {
    Options { block_log2: 12, ..Options::default() }
}

#[test]
fn ranges_come_back_and_only_their_blocks_are_read() {
    let long = prose(500, 48_271);
    let mut alike = long.clone();
    alike.splice(9000..9010, *b"something else");
    let (tree, store) = tree(&[("a/long.txt", &long), ("a/alike.txt", &alike), ("copy", &long), ("empty", b"")]);
    let bytes = make(&tree, &store, &options()).unwrap();
    assert!(bytes.len() < long.len() / 2, "{} of {}", bytes.len(), long.len());
    let counted = Counted(&bytes, Cell::new(0));
    let pack = Pack::open(&counted).unwrap();
    let index = counted.1.replace(0);
    assert_eq!(pack.tree().root(), tree.root());
    let path = |path: &str| TreePath::new(path).unwrap();
    for (name, content) in [("a/alike.txt", &alike), ("a/long.txt", &long), ("copy", &long)] {
        for range in [0..1, 4000..4200, 8192..8193, 0..content.len(), 12_000..content.len(), 5..5] {
            counted.1.set(0);
            let found = pack.read(&path(name), range.start as u64..range.end as u64).unwrap();
            assert_eq!(found, content[range.clone()]);
            if range.len() <= 1 && name == "a/alike.txt" {
                assert!(counted.1.get() < bytes.len() as u64 - index);
            }
        }
        assert_eq!(pack.read(&path(name), 0..u64::MAX).unwrap(), *content);
    }
    assert_eq!(pack.read(&path("empty"), 0..9).unwrap(), b"");
    assert!(matches!(pack.read(&path("none"), 0..9), Err(PackError::NoFile(_))));
    let pointers = pack.pointers();
    assert_eq!(pointers.len(), 4);
    for pointer in pointers {
        let bytes = postcard::to_allocvec(&pointer).unwrap();
        assert_eq!(postcard::from_bytes::<SilkPointer>(&bytes).unwrap(), pointer);
        assert_eq!(shipped(&pointer.base).unwrap().name, "small");
    }
}

#[test]
fn nothing_wrong_comes_out_of_a_damaged_pack() {
    let (tree, store) = tree(&[("a", &prose(8, 48_271)), ("b", b"other"), ("c", &[7; 300])]);
    let bytes = make(&tree, &store, &Options { base: None, ..options() }).unwrap();
    let intact = |bytes: &[u8]| -> Result<(), PackError> {
        let pack = Pack::open(bytes)?;
        if pack.tree().root() != tree.root() {
            return Err(PackError::Unknown { field: "root" });
        }
        for pointer in pack.pointers() {
            let read = pack.read(&pointer.path, 0..u64::MAX)?;
            let (.., digest) = tree.get(&pointer.path).and_then(Entry::file).expect("the root is right");
            assert!(read == store[&digest], "another content is read");
        }
        Ok(())
    };
    intact(&bytes).unwrap();
    // A bit that means nothing, of a profile that a block declares and does not need, may go unseen.
    let mut unseen = 0;
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        unseen += u32::from(intact(&damaged).is_ok());
        assert!(at % 7 > 0 || intact(&bytes[..at]).is_err(), "{at}");
    }
    assert!(unseen <= 3, "{unseen} of {} bytes", bytes.len());
}
