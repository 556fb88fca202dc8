//! Committed containers: what was written once is read for ever, and the encoder writes it again byte for byte.
//!
//! `GMCF_BLESS=1 cargo test -p tests golden` writes them anew. Whoever does that has changed the format or the
//! predictor, and says so in the changelog.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Once;

use codec_core::container::digest::Id;
use codec_core::container::v2::{Header, Mode, Old};
use codec_core::delta::tuning::{Adapter, Head};
use codec_core::delta::weights::Element;
use host_trainer::codec::{Format, Profile, apply, compress};
use host_trainer::fit::weights::encode;
use host_trainer::layered::position_memory;
use tests::data::{folder, options};
use tests::device::{decode, decode_weights};
use tests::memory::{memorise, projection};

/// How a container is made.
enum Made {
    Compressed(Format, Profile),
    /// Dimensions, and bits of a code.
    Memorised(u32, u32),
    /// A file of weights of this kind, under this adapter.
    Tuned(Element, Adapter),
}

/// A committed container. Paths of contents are relative to this package.
struct Vector {
    file: &'static str,
    made: Made,
    old: Option<&'static str>,
    new: &'static str,
}

const fn air(file: &'static str, profile: Profile, old: Option<&'static str>, new: &'static str) -> Vector {
    Vector { file, made: Made::Compressed(Format::V2, profile), old, new }
}

const TEXT_OLD: &str = "data/dev/txt-cp-neopixel/neopixel_py/6.3.10.py";
const TEXT_NEW: &str = "data/dev/txt-cp-neopixel/neopixel_py/6.4.2.py";

const WEIGHTS_OLD: &str = "golden/weights-old.bin";
const WEIGHTS_NEW: &str = "golden/weights-new.bin";

const fn tuned(file: &'static str, element: Element, adapter: Adapter) -> Vector {
    Vector { file, made: Made::Tuned(element, adapter), old: Some(WEIGHTS_OLD), new: WEIGHTS_NEW }
}

const VECTORS: [Vector; 13] = [
    air("stored.gmcf", Profile::Tiny, None, "golden/pi.bin"),
    air("empty.gmcf", Profile::Tiny, None, "golden/empty.txt"),
    air("whole.gmcf", Profile::Small, None, "golden/settings.txt"),
    air("text.gmcf", Profile::Host, Some(TEXT_OLD), TEXT_NEW),
    air("riscv.gmcf", Profile::Tiny, Some("data/dev/fw-espboot-c3/2.1.0.bin"), "data/dev/fw-espboot-c3/3.3.0.bin"),
    air("avr.gmcf", Profile::Medium, Some("data/dev/fw-nodepixel-firmata/0.7.1.bin"), AVR_NEW),
    air("thumb.gmcf", Profile::Small, Some("data/dev/fw-built-rust/v1.bin"), "data/dev/fw-built-rust/v2.bin"),
    air("x86-64.gmcf", Profile::Host, Some("data/x86-64/v1.so"), "data/x86-64/v2.so"),
    Vector { file: "version-1.gmcf", made: LAYERED, old: Some(TEXT_OLD), new: TEXT_NEW },
    tuned("weights-i8.gmcf", Element::I8, Adapter::None),
    tuned("weights-f16.gmcf", Element::F16, Adapter::Sparse { bits: 4 }),
    tuned("weights-f32.gmcf", Element::F32, Adapter::Bitdelta { block_log2: 4 }),
    Vector { file: "memory.gmcf", made: Made::Memorised(21, 2), old: None, new: "golden/pi.bin" },
];

const LAYERED: Made = Made::Compressed(Format::V1, Profile::Small);
const AVR_NEW: &str = "data/dev/fw-nodepixel-firmata/0.8.1.bin";

fn read(path: &str) -> Vec<u8> {
    let path = folder().join(path);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn golden() -> PathBuf {
    folder().join("golden")
}

impl Vector {
    fn old(&self) -> Option<Vec<u8>> {
        self.old.map(read)
    }

    fn encode(&self) -> Vec<u8> {
        let new = read(self.new);
        match self.made {
            Made::Tuned(element, adapter) => {
                encode(&new, &self.old().unwrap_or_default(), Head { element, adapter }).unwrap().bytes
            }
            Made::Compressed(format, profile) => {
                compress(&new, self.old().as_deref(), &options(profile, format)).unwrap().bytes
            }
            Made::Memorised(dim, bits) => {
                let out = projection(dim, 1);
                position_memory(&memorise(&new, &out, dim, bits), Some(&out), dim, bits, 1.0, &new).unwrap()
            }
        }
    }

    /// The committed bytes; all are written first, once, when that was asked for.
    fn committed(&self) -> Vec<u8> {
        static BLESS: Once = Once::new();
        BLESS.call_once(|| {
            if std::env::var_os("GMCF_BLESS").is_some_and(|value| value == "1") {
                VECTORS.iter().for_each(Self::write);
            }
        });
        read(&format!("golden/{}", self.file))
    }

    fn write(&self) {
        let path = golden().join(self.file);
        fs::write(&path, self.encode()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// The bytes of an annotated example: offset, hex, and a comment after `;`. The offsets must be right.
fn example(name: &str) -> Vec<u8> {
    let text = String::from_utf8(read(&format!("golden/{name}"))).unwrap();
    let mut bytes = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (offset, rest) = line.split_at(4);
        assert_eq!(usize::from_str_radix(offset, 16).unwrap(), bytes.len(), "{line}");
        let hex = rest.split(';').next().unwrap_or_default().split_whitespace();
        bytes.extend(hex.map(|byte| u8::from_str_radix(byte, 16).unwrap()));
    }
    bytes
}

#[test]
fn vectors_are_read() {
    for vector in &VECTORS {
        let (old, new, container) = (vector.old(), read(vector.new), vector.committed());
        assert_eq!(apply(&[&container], old.as_deref()).as_ref(), Ok(&new), "{}", vector.file);
        let old = old.unwrap_or_default();
        let outcome = match vector.made {
            Made::Compressed(Format::V2, _) => {
                decode(Header::parse(&container).unwrap().0.profile, &old, &container, new.len())
            }
            Made::Tuned(..) => decode_weights(&old, &container, new.len()),
            // For hosts.
            Made::Compressed(Format::V1, _) | Made::Memorised(..) => continue,
        };
        assert_eq!(outcome.accepted(), Some(&new[..]), "{}: {:?}", vector.file, outcome.end);
    }
}

#[test]
fn vectors_are_written_again() {
    for vector in &VECTORS {
        let (committed, found) = (vector.committed(), vector.encode());
        let first = committed.iter().zip(&found).position(|(a, b)| a != b);
        assert!(
            committed == found,
            "{} has {} bytes, the encoder writes {}, the first other byte is {first:?}. If the format or the \
             predictor was changed on purpose: GMCF_BLESS=1 cargo test -p tests golden",
            vector.file,
            committed.len(),
            found.len()
        );
    }
}

#[test]
fn no_vector_is_forgotten() {
    let listed: BTreeSet<_> = VECTORS.iter().map(|vector| vector.file.to_owned()).collect();
    drop(VECTORS[0].committed()); // writes them all, if that was asked for
    let names = fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let found: BTreeSet<_> = names.filter(|name| name.ends_with(".gmcf")).collect();
    assert_eq!(found, listed);
}

/// The stored container can be made by hand: it is the header of the example, then the file.
#[test]
fn the_stored_container_is_the_example() {
    let container = VECTORS[0].committed();
    assert_eq!(container, example("stored.example"));
    assert_eq!(apply(&[&example("stored.example")], None), Ok(read("golden/pi.bin")));
}

#[test]
fn the_header_is_the_example() {
    let bytes = example("header.example");
    let header = Header {
        profile: Profile::Small,
        mode: Mode::Coded,
        new_len: 300,
        old: Some(Old { len: 200, id: Id::of(b"old").old() }),
        base: None,
        payload_len: 7,
        digest: Id::of(b"new"),
    };
    assert_eq!(header.emit().unwrap()[..], bytes);
    assert_eq!(Header::parse(&bytes), Ok((header, bytes.len())));
}
