//! The examples of FORMAT.md, byte by byte.

use std::cell::RefCell;
use std::fmt::Write as _;

use codec_core::container::digest::Id;
use codec_core::container::v2::{Header, Mode as Coding};
use codec_core::limits::Profile;
use ed25519_compact::{KeyPair, Noise, Seed};
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use update_core::flash::{Layout, Partition, Region};
use update_core::inplace::mover::{Scratch, ScriptWriter};
use update_core::inplace::script::{Block, Sink as _};
use update_core::inplace::{Change, Plan, Run};
use update_core::keys::{Keys, Rotation, SIGNATURE_LEN};
use update_core::manifest::{MANIFEST_LEN, Manifest, Mode, PayloadDigest};
use update_core::record::{Image, Journal, Record};

/// The bytes of the example that FORMAT.md fences as `tag`. Its offsets must be right.
fn example(tag: &str) -> Vec<u8> {
    let document = include_str!("../FORMAT.md");
    let fence = format!("```{tag}\n");
    let start = document.find(&fence).unwrap_or_else(|| panic!("no example {tag}")) + fence.len();
    let text = &document[start..start + document[start..].find("```").expect("the fence ends")];
    let mut bytes = Vec::new();
    for line in text.lines() {
        let line = line.split(';').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(offset) = words.next() else { continue };
        assert_eq!(usize::from_str_radix(offset, 16), Ok(bytes.len()), "{tag}: {line}");
        bytes.extend(words.map(|word| u8::from_str_radix(word, 16).expect("hex")));
    }
    bytes
}

/// Compares, and prints what should stand there.
fn check(tag: &str, bytes: &[u8]) {
    let mut text = String::new();
    for (i, line) in bytes.chunks(16).enumerate() {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:04x}  {}", 16 * i, hex.join(" "));
    }
    assert!(example(tag) == bytes, "{tag} should be\n{text}");
}

fn key(number: u8) -> KeyPair {
    KeyPair::from_seed(Seed::new([number; 32]))
}

fn sign(key: &KeyPair, message: &[u8]) -> [u8; SIGNATURE_LEN] {
    *key.sk.sign(message, None::<Noise>)
}

#[test]
fn update() {
    let image = b"abc";
    let header = Header {
        profile: Profile::Small,
        mode: Coding::Stored,
        new_len: 3,
        old: None,
        base: None,
        payload_len: 3,
        digest: Id::of(image),
    };
    let mut payload = header.emit().expect("a header").to_vec();
    payload.extend(image);
    let mut digest = PayloadDigest::default();
    digest.update(&payload);
    let manifest = Manifest {
        mode: Mode::Slots,
        key: 0,
        product: 7,
        version: 2,
        image_len: 3,
        payload_len: payload.len() as u32,
        image: Id::of(image),
        payload: digest.finish(),
    };
    let mut bytes = manifest.emit(&sign(&key(1), &manifest.message())).to_vec();
    bytes.extend(payload);
    check("update", &bytes);
    let keys = Keys { sequence: 0, slots: [*key(1).pk, *key(2).pk] };
    let head: &[u8; MANIFEST_LEN] = bytes.first_chunk().expect("a manifest");
    assert_eq!(Manifest::authentic(head, &keys), Ok(manifest));
}

#[test]
fn key_statement() {
    let mut rotation = Rotation { slot: 0, product: 7, sequence: 1, key: *key(3).pk, signature: [0; SIGNATURE_LEN] };
    rotation.signature = sign(&key(2), &rotation.message());
    check("key-statement", &rotation.emit());
    let keys = Keys { sequence: 0, slots: [*key(1).pk, *key(2).pk] };
    let rotated = keys.rotated(&rotation.emit(), 7).expect("the other key has signed");
    assert_eq!(rotated, Keys { sequence: 1, slots: [*key(3).pk, *key(2).pk] });
}

/// The plan of the example.
fn example_plan() -> Plan {
    let plan = Plan::new(4096, 300, &[Run { first: 2, last: 0 }, Run { first: 3, last: 4 }], 5 * 4096 - 1);
    plan.expect("each block once")
}

#[test]
fn plan() {
    let plan = example_plan();
    check("plan", &plan.emit());
    assert_eq!(Plan::parse(&plan.emit(), 5 * 4096 - 1), Ok(plan.clone()));
    let order: Vec<_> = (0..5).filter_map(|place| plan.block_at(place)).collect();
    assert_eq!(order, [2, 1, 0, 3, 4]);
}

struct Memory(Vec<u8>);

impl ErrorType for Memory {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Memory {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        bytes.copy_from_slice(&self.0[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Memory {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 1024;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        self.0[from as usize..to as usize].fill(0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        self.0[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

#[test]
fn journal() {
    let layout = Layout::two(2048, 1024, 1024);
    let flash = RefCell::new(Memory(vec![0xff; 5 * 1024]));
    let image = Image { len: 3, version: 1, id: Id::of(b"abc") };
    let record = Record::first(image, Keys { sequence: 0, slots: [*key(1).pk, *key(2).pk] });
    let mut buffer = [0; 256];
    let mut journal = Journal::format(&flash, &layout, record, &mut buffer).expect("a record");
    journal.mark(1, &mut buffer).expect("a mark");
    let content = flash.into_inner().0;
    // A record, its copy, and a mark.
    assert_eq!(content[..160], content[160..320]);
    check("record", &content[..160]);
    check("mark", &content[320..336]);
    // The first record lies in both halves.
    assert_eq!(content[..320], content[1024..1344]);
    assert!(content[336..1024].iter().chain(&content[1344..2048]).all(|&byte| byte == 0xff));
}

#[test]
fn scratch() {
    let change = Change { plan: example_plan(), old_len: 5 * 4096, new_len: 5 * 4096 - 1, is_last: true };
    let flash = RefCell::new(Memory(vec![0; 10 * 1024]));
    let region = Partition::new(&flash, Region { offset: 0, len: 10 * 1024 });
    let mut buffer = [0; 64];
    let scratch = Scratch::new(region, &change.plan).expect("room for the directory, two blocks, the script");
    let mut writer = ScriptWriter::new(scratch, &change, &mut buffer).expect("a buffer");
    writer.push(&[0; 7]).expect("room");
    writer.end_block(Block { end: 7, crc: 0x0102_0304, unchanged: false }).expect("room");
    writer.finish().expect("it can be read back");
    assert_eq!(Scratch::change(region), Ok(change));
    let content = flash.borrow().0.clone();
    check("scratch", &content[..64]);
    assert!(content[64..1024].iter().all(|&byte| byte == 0xff));
    assert_eq!(content[1024 + 2 * 4096..][..8], [0, 0, 0, 0, 0, 0, 0, 0xff]);
}
