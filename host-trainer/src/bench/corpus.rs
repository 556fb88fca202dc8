//! A corpus folder: `PAIRS.tsv`, the files it names, and what is known of other tools (`peers.tsv`).

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Which classes of pairs to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Classes {
    /// All of them.
    All,
    /// These.
    Only(Vec<String>),
}

impl Classes {
    /// Parses `all` or a list such as `A,B`.
    ///
    /// # Errors
    /// When the list is empty.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        let names: Vec<String> =
            text.split(',').map(|name| name.trim().to_uppercase()).filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            return Err("name at least one class, such as A,B, or `all`".into());
        }
        Ok(Self::Only(names))
    }

    fn contains(&self, class: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|name| name == class),
        }
    }
}

/// One update of the corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Class: A and B are firmware.
    pub class: String,
    /// Family: the versions of one file.
    pub family: String,
    /// Name of the old version; `-` when there is none.
    pub old_version: String,
    /// Name of the new version.
    pub new_version: String,
    /// The old file.
    pub old: Option<PathBuf>,
    /// The new file.
    pub new: PathBuf,
    /// Known patch sizes in bytes, by peer.
    pub known: BTreeMap<String, u64>,
}

/// Why a corpus cannot be used.
#[derive(Debug)]
pub enum CorpusError {
    /// A file cannot be read.
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A table does not have the form that it should.
    Table {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
}

impl fmt::Display for CorpusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => write!(f, "cannot read `{}`: {source}", path.display()),
            Self::Table { path, line, what } => write!(f, "`{}`, line {line}: {what}", path.display()),
        }
    }
}

impl std::error::Error for CorpusError {}

/// Reads the pairs of `folder` that are of `classes` and whose family contains `family`.
///
/// # Errors
/// [`CorpusError`] when a table is missing or malformed. Whether the files are there shows when they are read.
pub fn load(folder: &Path, classes: &Classes, family: Option<&str>) -> Result<Vec<Pair>, CorpusError> {
    let path = folder.join("PAIRS.tsv");
    let text = read(&path)?;
    let pairs = Table::parse(&path, &text)?;
    let known = known_sizes(&folder.join("peers.tsv"))?;
    let mut found = Vec::new();
    for row in pairs.rows() {
        let (class, name) = (row.cell("class")?, row.cell("family")?);
        if !classes.contains(class) || !family.is_none_or(|part| name.contains(part)) {
            continue;
        }
        let (old, new) = (row.cell("old")?, row.cell("new")?);
        let old = (!matches!(old, "" | "-")).then(|| resolve(folder, old));
        let new = resolve(folder, new);
        let old_version = old.as_deref().map_or_else(|| "-".to_owned(), version);
        let new_version = version(&new);
        let key = (name.to_owned(), old_version.clone(), new_version.clone());
        found.push(Pair {
            class: class.to_owned(),
            family: name.to_owned(),
            known: known.get(&key).cloned().unwrap_or_default(),
            old_version,
            new_version,
            old,
            new,
        });
    }
    Ok(found)
}

type Key = (String, String, String);

/// Patch bytes by (family, old, new) and peer; `xz` is no delta and is left out. Empty when there is no table.
fn known_sizes(path: &Path) -> Result<BTreeMap<Key, BTreeMap<String, u64>>, CorpusError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(source) => return Err(CorpusError::Io { path: path.to_path_buf(), source }),
    };
    let table = Table::parse(path, &text)?;
    let mut known = BTreeMap::new();
    for row in table.rows() {
        let mut sizes = BTreeMap::new();
        for name in &table.head {
            if matches!(*name, "split" | "family" | "old" | "new" | "old_bytes" | "new_bytes" | "xz") {
                continue;
            }
            let cell = row.cell(name)?;
            if matches!(cell, "" | "-") {
                continue;
            }
            let size = cell.parse().map_err(|_| row.error(format!("`{name}` is `{cell}`, not a number of bytes")))?;
            sizes.insert((*name).to_owned(), size);
        }
        let key = (row.cell("family")?.to_owned(), row.cell("old")?.to_owned(), row.cell("new")?.to_owned());
        known.insert(key, sizes);
    }
    Ok(known)
}

fn read(path: &Path) -> Result<String, CorpusError> {
    fs::read_to_string(path).map_err(|source| CorpusError::Io { path: path.to_path_buf(), source })
}

/// `name` in the folder; where a corpus was unpacked without its first level, without that level.
fn resolve(folder: &Path, name: &str) -> PathBuf {
    let whole = folder.join(name);
    if whole.exists() {
        return whole;
    }
    match name.split_once('/').map(|(_, rest)| folder.join(rest)) {
        Some(shorter) if shorter.exists() => shorter,
        _ => whole,
    }
}

fn version(path: &Path) -> String {
    path.file_stem().map_or_else(|| "-".into(), |stem| stem.to_string_lossy().into_owned())
}

/// A table of tab-separated values with a head line.
struct Table<'a> {
    path: &'a Path,
    head: Vec<&'a str>,
    lines: Vec<(usize, Vec<&'a str>)>,
}

struct Row<'a, 't> {
    table: &'t Table<'a>,
    line: usize,
    cells: &'t [&'a str],
}

impl<'a> Table<'a> {
    fn parse(path: &'a Path, text: &'a str) -> Result<Self, CorpusError> {
        let mut lines = text
            .lines()
            .enumerate()
            .map(|(number, line)| (number + 1, line))
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(number, line)| (number, line.split('\t').collect::<Vec<_>>()));
        let (_, head) = lines.next().ok_or_else(|| CorpusError::Table {
            path: path.to_path_buf(),
            line: 1,
            what: "the head line is missing".into(),
        })?;
        Ok(Self { path, head, lines: lines.collect() })
    }

    fn rows(&self) -> impl Iterator<Item = Row<'a, '_>> {
        self.lines.iter().map(|(line, cells)| Row { table: self, line: *line, cells })
    }
}

impl<'a> Row<'a, '_> {
    fn cell(&self, name: &str) -> Result<&'a str, CorpusError> {
        let column = self.table.head.iter().position(|head| *head == name);
        column
            .and_then(|column| self.cells.get(column).copied())
            .ok_or_else(|| self.error(format!("column `{name}` is missing")))
    }

    fn error(&self, what: String) -> CorpusError {
        CorpusError::Table { path: self.table.path.to_path_buf(), line: self.line, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Scratch;

    fn corpus(pairs: &str, peers: Option<&str>) -> (Scratch, PathBuf) {
        let scratch = Scratch::new("corpus").unwrap();
        fs::write(scratch.join("PAIRS.tsv"), pairs).unwrap();
        if let Some(peers) = peers {
            fs::write(scratch.join("peers.tsv"), peers).unwrap();
        }
        let folder = scratch.join("");
        (scratch, folder)
    }

    const PAIRS: &str = "class\tsplit\tfamily\told\tnew\told_bytes\tnew_bytes\n\
                         A\tdev\tfw-x\tdev/fw-x/1.0.bin\tdev/fw-x/1.1.bin\t10\t11\n\
                         C\tdev\ttxt\tdev/txt/a.js\tdev/txt/b.js\t10\t11\n\
                         E\tdev\trand\t-\tdev/rand/r1.bin\t0\t512\n";

    #[test]
    fn pairs_and_known_sizes_are_joined() {
        let peers = "split\tfamily\told\tnew\tnew_bytes\thdiffz\tzstd\txz\ndev\tfw-x\t1.0\t1.1\t11\t41\t-\t9\n";
        let (_scratch, folder) = corpus(PAIRS, Some(peers));
        let pairs = load(&folder, &Classes::parse("a,b").unwrap(), None).unwrap();
        assert_eq!(pairs.len(), 1);
        assert_eq!(pairs[0].known, BTreeMap::from([("hdiffz".to_owned(), 41)]));
        assert_eq!((&*pairs[0].old_version, &*pairs[0].new_version), ("1.0", "1.1"));
        let all = load(&folder, &Classes::All, None).unwrap();
        assert_eq!(all.len(), 3);
        assert_eq!(all[2].old, None);
        assert_eq!(load(&folder, &Classes::All, Some("txt")).unwrap().len(), 1);
    }

    #[test]
    fn errors_name_file_and_line() {
        let (_scratch, folder) = corpus("class\tfamily\nA\n", None);
        let text = load(&folder, &Classes::All, None).unwrap_err().to_string();
        assert!(text.contains("PAIRS.tsv") && text.contains("line 2") && text.contains("family"), "{text}");
        let (_scratch, folder) = corpus(PAIRS, Some("family\told\tnew\thdiffz\nfw-x\t1.0\t1.1\tmany\n"));
        let text = load(&folder, &Classes::All, None).unwrap_err().to_string();
        assert!(text.contains("peers.tsv") && text.contains("many"), "{text}");
    }

    #[test]
    fn a_corpus_without_its_first_level_is_found() {
        let (scratch, folder) = corpus(PAIRS, None);
        fs::create_dir_all(scratch.join("fw-x")).unwrap();
        fs::write(scratch.join("fw-x/1.1.bin"), b"x").unwrap();
        let pairs = load(&folder, &Classes::parse("A").unwrap(), None).unwrap();
        assert_eq!(pairs[0].new, folder.join("fw-x/1.1.bin"));
        assert_eq!(pairs[0].old, Some(folder.join("dev/fw-x/1.0.bin")));
    }

    #[test]
    fn an_empty_list_of_classes_is_refused() {
        assert!(Classes::parse(" ,").is_err());
    }
}
