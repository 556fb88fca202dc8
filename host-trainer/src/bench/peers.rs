//! The other delta tools, each with the command line that makes its smallest patch.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::Serialize;

use crate::files::Scratch;

/// What a peer starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// An old file and a new one.
    Delta,
    /// A new file only.
    Whole,
}

/// Another tool. `{old}`, `{new}`, `{patch}`, `{out}` and `{window}` in its command lines are filled in.
#[derive(Debug)]
pub struct Peer {
    /// Name, as in the columns of `peers.tsv`.
    pub name: &'static str,
    /// What it is good for.
    pub task: Task,
    /// Command lines that make a patch; the smallest patch counts.
    pub make: &'static [&'static [&'static str]],
    /// Command line that applies a patch; empty when the patch size is all that is wanted.
    pub apply: &'static [&'static str],
    /// Whether `make` writes the patch to its standard output.
    pub to_stdout: bool,
}

macro_rules! hdiffz {
    ($mode:literal) => {
        &["hdiffz", $mode, "-SD", "-f", "-d", "-p-1", "-c-lzma2-9-16m", "{old}", "{new}", "{patch}"]
    };
}

macro_rules! detools {
    ($($option:literal),*) => {
        &[&["detools", "create_patch", $($option,)* "-c", "lzma", "{old}", "{new}", "{patch}"]]
    };
}

macro_rules! xz_raw {
    ($filter:literal) => {
        &["xz", "-k", "-c", "--format=raw", $filter, "--lzma1=preset=9e", "{new}"]
    };
}

const DETOOLS_APPLY: &[&str] = &["detools", "apply_patch", "{old}", "{patch}", "{out}"];
const HPATCHI: &[&str] = &["hpatchi", "-f", "{old}", "{patch}", "{out}"];

/// All peers that the harness knows.
pub const PEERS: &[Peer] = &[
    Peer {
        name: "hdiffz",
        task: Task::Delta,
        make: &[hdiffz!("-m-6"), hdiffz!("-m-0"), hdiffz!("-m-1"), hdiffz!("-m-2"), hdiffz!("-m-3"), hdiffz!("-m-4")],
        apply: &["hpatchz", "-s-64k", "-f", "{old}", "{patch}", "{out}"],
        to_stdout: false,
    },
    Peer {
        name: "hi_lzma32k",
        task: Task::Delta,
        make: &[&["hdiffi", "-m-6", "-f", "-d", "-c-lzma-9-32k", "{old}", "{new}", "{patch}"]],
        apply: HPATCHI,
        to_stdout: false,
    },
    Peer {
        name: "hi_tuz4k",
        task: Task::Delta,
        make: &[&["hdiffi", "-m-6", "-f", "-d", "-c-tuz-4k", "{old}", "{new}", "{patch}"]],
        apply: HPATCHI,
        to_stdout: false,
    },
    Peer { name: "dt_lzma", task: Task::Delta, make: detools!(), apply: DETOOLS_APPLY, to_stdout: false },
    Peer {
        name: "dt_m4",
        task: Task::Delta,
        make: detools!("--data-format", "arm-cortex-m4"),
        apply: DETOOLS_APPLY,
        to_stdout: false,
    },
    Peer {
        name: "dt_aarch64",
        task: Task::Delta,
        make: detools!("--data-format", "aarch64"),
        apply: DETOOLS_APPLY,
        to_stdout: false,
    },
    Peer {
        name: "dt_xtensa",
        task: Task::Delta,
        make: detools!("--data-format", "xtensa-lx106"),
        apply: DETOOLS_APPLY,
        to_stdout: false,
    },
    Peer {
        name: "dt_hdiff",
        task: Task::Delta,
        make: detools!("-a", "hdiffpatch", "-t", "hdiffpatch", "--match-score", "0"),
        apply: DETOOLS_APPLY,
        to_stdout: false,
    },
    Peer {
        name: "bsdiff",
        task: Task::Delta,
        make: &[&["bsdiff", "{old}", "{new}", "{patch}"]],
        apply: &["bspatch", "{old}", "{out}", "{patch}"],
        to_stdout: false,
    },
    Peer {
        name: "zstd",
        task: Task::Delta,
        make: &[&[
            "zstd",
            "-q",
            "-f",
            "--ultra",
            "-22",
            "--long=27",
            "--single-thread",
            "--zstd=targetLength=4096,hashLog=27,chainLog=28,searchLog=16",
            "--patch-from={old}",
            "{new}",
            "-o",
            "{patch}",
        ]],
        apply: &["zstd", "-q", "-f", "-d", "--long=27", "--patch-from={old}", "{patch}", "-o", "{out}"],
        to_stdout: false,
    },
    Peer {
        name: "xdelta3",
        task: Task::Delta,
        make: &[&["xdelta3", "-e", "-9", "-S", "lzma", "-B", "{window}", "-f", "-s", "{old}", "{new}", "{patch}"]],
        apply: &["xdelta3", "-d", "-f", "-B", "{window}", "-s", "{old}", "{patch}", "{out}"],
        to_stdout: false,
    },
    Peer {
        name: "xz",
        task: Task::Whole,
        make: &[&["xz", "-9e", "-k", "-c", "--format=lzma", "{new}"]],
        apply: &[],
        to_stdout: true,
    },
    Peer {
        name: "xz_bcj",
        task: Task::Whole,
        make: &[xz_raw!("--arm"), xz_raw!("--armthumb"), xz_raw!("--x86"), xz_raw!("--powerpc"), xz_raw!("--sparc")],
        apply: &[],
        to_stdout: true,
    },
    Peer {
        name: "brotli",
        task: Task::Whole,
        make: &[&["brotli", "-q", "11", "-w", "24", "-f", "-o", "{patch}", "{new}"]],
        apply: &["brotli", "-d", "-f", "-o", "{out}", "{patch}"],
        to_stdout: false,
    },
];

impl Peer {
    /// The programs that must be on PATH.
    pub fn programs(&self) -> impl Iterator<Item = &'static str> {
        let first = self.make.first().and_then(|line| line.first());
        first.into_iter().chain(self.apply.first()).copied()
    }

    /// The first program that is not on PATH.
    #[must_use]
    pub fn missing(&self) -> Option<&'static str> {
        self.programs().find(|program| find(program).is_none())
    }
}

/// What a peer reached on one pair.
#[derive(Clone, Debug, Serialize)]
pub struct PeerResult {
    /// See [`Peer::name`].
    pub peer: String,
    /// Bytes of the patch.
    pub bytes: u64,
    /// `measured` here and now, or `known` from `peers.tsv`.
    pub source: &'static str,
    /// Seconds to make the patch that counts.
    pub encode_seconds: Option<f64>,
    /// Seconds to apply it, the whole process.
    pub decode_seconds: Option<f64>,
}

/// Where `program` lies on PATH.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .flat_map(|folder| [folder.join(program), folder.join(format!("{program}.exe"))])
        .find(|file| file.is_file())
}

/// Makes and applies a patch with `peer`, and compares.
///
/// # Errors
/// A sentence that says which command failed, and how.
pub fn run(peer: &Peer, old: Option<&Path>, new: &Path) -> Result<PeerResult, String> {
    let scratch = Scratch::new(peer.name).map_err(|error| format!("no scratch folder: {error}"))?;
    let (best, candidate, out) = (scratch.join("best"), scratch.join("candidate"), scratch.join("out"));
    let mut found: Option<(u64, f64)> = None;
    let mut refusal = String::new();
    for line in peer.make {
        let mut places = Places { old, new, patch: &candidate, out: &out };
        let stdout = peer.to_stdout.then_some(candidate.as_path());
        match execute(line, &mut places, stdout) {
            Ok(seconds) => {
                let size = fs::metadata(&candidate).map_err(|error| format!("{}: no patch: {error}", line[0]))?.len();
                if found.is_none_or(|(least, _)| size < least) {
                    fs::rename(&candidate, &best).map_err(|error| error.to_string())?;
                    found = Some((size, seconds));
                }
            }
            Err(why) => refusal = why,
        }
    }
    let (bytes, encode) = found.ok_or(refusal)?;
    let mut decode = None;
    if !peer.apply.is_empty() {
        decode = Some(execute(peer.apply, &mut Places { old, new, patch: &best, out: &out }, None)?);
        let same = same_bytes(&out, new).map_err(|error| format!("{}: no output: {error}", peer.apply[0]))?;
        if !same {
            return Err(format!("{} rebuilt another file", peer.apply[0]));
        }
    }
    Ok(PeerResult {
        peer: peer.name.into(),
        bytes,
        source: "measured",
        encode_seconds: Some(encode),
        decode_seconds: decode,
    })
}

fn same_bytes(a: &Path, b: &Path) -> io::Result<bool> {
    Ok(fs::read(a)? == fs::read(b)?)
}

/// What the placeholders of a command line stand for.
struct Places<'a> {
    old: Option<&'a Path>,
    new: &'a Path,
    patch: &'a Path,
    out: &'a Path,
}

impl Places<'_> {
    fn fill(&self, argument: &str) -> Result<String, String> {
        let old = self.old.unwrap_or(Path::new(""));
        let mut text = argument.to_owned();
        for (mark, path) in [("{old}", old), ("{new}", self.new), ("{patch}", self.patch), ("{out}", self.out)] {
            if text.contains(mark) {
                let path = path.to_str().ok_or_else(|| format!("`{}` is no UTF-8", path.display()))?;
                text = text.replace(mark, path);
            }
        }
        if text.contains("{window}") {
            // xdelta3's source window must hold the whole old file and has a least size.
            let size = fs::metadata(old).map(|meta| meta.len()).unwrap_or(0);
            text = text.replace("{window}", &size.max(1 << 20).to_string());
        }
        Ok(text)
    }
}

/// Runs one command line; the seconds that it took.
fn execute(line: &[&str], places: &mut Places<'_>, stdout: Option<&Path>) -> Result<f64, String> {
    let arguments = line[1..].iter().map(|argument| places.fill(argument)).collect::<Result<Vec<_>, _>>()?;
    let mut command = Command::new(line[0]);
    command.args(&arguments).stdin(Stdio::null()).stderr(Stdio::piped());
    match stdout {
        Some(path) => command.stdout(fs::File::create(path).map_err(|error| error.to_string())?),
        None => command.stdout(Stdio::null()),
    };
    let start = Instant::now();
    let output = command.output().map_err(|error| format!("{} does not start: {error}", line[0]))?;
    let seconds = start.elapsed().as_secs_f64();
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("").trim();
        return Err(format!("{} failed ({}): {last}", line[0], output.status));
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lines_complete() {
        for (index, peer) in PEERS.iter().enumerate() {
            assert!(PEERS[index + 1..].iter().all(|other| other.name != peer.name), "{}", peer.name);
            assert!(!peer.make.is_empty());
            for line in peer.make {
                assert!(line.iter().any(|argument| argument.contains("{new}")), "{}", peer.name);
                assert_eq!(peer.to_stdout, !line.iter().any(|argument| argument.contains("{patch}")));
                assert_eq!(peer.task == Task::Delta, line.iter().any(|argument| argument.contains("{old}")));
            }
        }
    }

    #[test]
    fn a_tool_that_is_not_there_is_missing() {
        assert_eq!(find("no-such-tool-anywhere"), None);
    }

    #[test]
    fn bsdiff_comes_back_where_it_is_installed() {
        let peer = PEERS.iter().find(|peer| peer.name == "bsdiff").unwrap();
        if let Some(program) = peer.missing() {
            eprintln!("skipped: {program} is not installed");
            return;
        }
        let scratch = Scratch::new("peer-test").unwrap();
        let old: Vec<u8> = (0..5000_u32).map(|i| ((i * i) >> 7) as u8).collect();
        let mut new = old.clone();
        new[77] ^= 1;
        fs::write(scratch.join("old"), &old).unwrap();
        fs::write(scratch.join("new"), &new).unwrap();
        let result = run(peer, Some(&scratch.join("old")), &scratch.join("new")).unwrap();
        assert!(result.bytes > 32 && result.bytes < 400, "{}", result.bytes);
    }
}
