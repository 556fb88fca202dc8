//! The bundled pairs and what they compress to, each encoded once.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use host_trainer::codec::{Format, Options, Profile, compress};

/// One bundled update.
pub struct Pair {
    /// Family and versions.
    pub name: String,
    /// What the device has.
    pub old: Option<Vec<u8>>,
    /// What it is to have.
    pub new: Vec<u8>,
    air: [OnceLock<Vec<u8>>; Profile::ALL.len()],
}

impl Pair {
    /// Its version 2 file for `profile`.
    ///
    /// # Panics
    /// When it does not compress.
    pub fn container(&self, profile: Profile) -> &[u8] {
        self.air[profile as usize].get_or_init(|| {
            let compressed = compress(&self.new, self.old.as_deref(), &options(profile, Format::V2));
            compressed.unwrap_or_else(|error| panic!("{}, {}: {error}", self.name, profile.name())).bytes
        })
    }

    /// The old image; empty when there is none.
    pub fn old(&self) -> &[u8] {
        self.old.as_deref().unwrap_or(&[])
    }
}

/// Options without a progress bar.
pub fn options(profile: Profile, format: Format) -> Options<'static> {
    Options { profile, format, base: None, progress: None }
}

/// This package's folder.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the bundled set.
///
/// # Panics
/// When it cannot be read.
pub fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = folder().join("data").join(path);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every pair of `data/PAIRS.tsv`.
pub fn pairs() -> &'static [Pair] {
    static PAIRS: OnceLock<Vec<Pair>> = OnceLock::new();
    PAIRS.get_or_init(|| {
        let table = String::from_utf8(read("PAIRS.tsv")).expect("PAIRS.tsv is UTF-8");
        let mut lines = table.lines();
        assert!(lines.next().is_some_and(|head| head.starts_with("class\tsplit\tfamily\told\tnew")));
        lines.map(pair).collect()
    })
}

fn pair(line: &str) -> Pair {
    let fields: Vec<_> = line.split('\t').collect();
    let [_, _, family, old, new, old_bytes, new_bytes] = fields[..] else { panic!("PAIRS.tsv: {line}") };
    let version =
        |path: &str| Path::new(path).file_stem().map_or_else(|| "-".into(), |stem| stem.display().to_string());
    let pair = Pair {
        name: format!("{family} {} -> {}", version(old), version(new)),
        old: (old != "-").then(|| read(old)),
        new: read(new),
        air: Default::default(),
    };
    let lengths = (pair.old().len().to_string(), pair.new.len().to_string());
    assert_eq!((lengths.0.as_str(), lengths.1.as_str()), (old_bytes, new_bytes), "{line}");
    pair
}

/// The pair whose name starts with `prefix`.
///
/// # Panics
/// When there is none.
pub fn pair_named(prefix: &str) -> &'static Pair {
    pairs().iter().find(|pair| pair.name.starts_with(prefix)).unwrap_or_else(|| panic!("no pair {prefix}"))
}

/// `len` bytes that do not compress; another `seed`, other bytes.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    let next = || {
        // xorshift64*, G. Marsaglia and S. Vigna.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// A text of at least `len` bytes, of numbered lines.
pub fn lines(len: usize) -> Vec<u8> {
    let mut text = String::new();
    for i in 0u32.. {
        if text.len() >= len {
            break;
        }
        text.push_str(&format!("setting {i}: value {}\n", i.wrapping_mul(2_654_435_761) % 1000));
    }
    text.into_bytes()
}
