//! Lists of hashes that need not travel: the `RECORD` of a Python wheel names the SHA-256 and length of every other file.
//!
//! In the stream, the line of a file whose content travels, too, ends after its path: the receiver has what is missing.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use super::error::PatchError;
use super::plan::{Added, Change, Plan, Source};
use crate::tree::Tree;

/// Stands for hash and length.
const MARK: u8 = 1;
/// End of the paths of such lists.
const NAME: &str = ".dist-info/RECORD";
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What a list says about a file, as it stands in its line.
pub(super) fn entry(content: &[u8]) -> Vec<u8> {
    let hash = Sha256::digest(content);
    let mut text = b"sha256=".to_vec();
    for three in hash.chunks(3) {
        let bits = three.iter().fold(0, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - three.len()));
        text.extend((0..=three.len()).map(|digit| DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]));
    }
    text.extend_from_slice(format!(",{}", content.len()).as_bytes());
    text
}

/// The folder, with a slash behind it unless it is the tree's root, that the paths in the list at `path` are relative to.
pub(super) fn folder(path: &str) -> Option<&str> {
    let info = path.strip_suffix(NAME)?;
    Some(&info[..info.rfind('/').map_or(0, |slash| slash + 1)])
}

/// The paths of new contents, in the order of their numbers; `text` yields those of added entries.
pub(super) fn paths<'a>(
    plan: &Plan,
    old: &'a Tree,
    mut text: impl FnMut(bool) -> Result<&'a str, PatchError>,
) -> Result<Vec<&'a str>, PatchError> {
    let mut paths = Vec::new();
    for (number, change) in &plan.changes {
        if let Change::File { source: Source::New { .. }, .. } = change {
            paths.push(old.entries()[*number as usize].path.as_str());
        }
    }
    for added in &plan.added {
        let path = text(*added == Added::Link)?;
        if let Added::File { source: Source::New { .. }, .. } = added {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// New contents by their path: what a list says about them.
pub(super) type Known<'a> = HashMap<&'a str, &'a [u8]>;

/// The list at `path` as it travels; `None` where that would save nothing.
pub(super) fn reduce(path: &str, list: &[u8], known: &Known<'_>) -> Option<Vec<u8>> {
    let folder = folder(path)?;
    if list.contains(&MARK) {
        return None;
    }
    let mut reduced = Vec::with_capacity(list.len());
    for line in list.split_inclusive(|&byte| byte == b'\n') {
        let named = line.iter().position(|&byte| byte == b',').and_then(|comma| {
            let name = std::str::from_utf8(&line[..comma]).ok()?;
            let said = known.get(&*format!("{folder}{name}"))?;
            line[comma + 1..].strip_prefix(*said).map(|end| (comma, end))
        });
        match named {
            Some((comma, end)) => {
                reduced.extend_from_slice(&line[..=comma]);
                reduced.push(MARK);
                reduced.extend_from_slice(end);
            }
            None => reduced.extend_from_slice(line),
        }
    }
    (reduced.len() < list.len()).then_some(reduced)
}

/// The whole list; at most `limit` bytes.
pub(super) fn expand(path: &str, reduced: &[u8], known: &Known<'_>, limit: u64) -> Result<Vec<u8>, PatchError> {
    let wrong = |what| PatchError::Corrupt { field: "record", what };
    let folder = folder(path).ok_or(wrong("its path is not that of a list"))?;
    let mut list = Vec::with_capacity(reduced.len());
    for line in reduced.split_inclusive(|&byte| byte == b'\n') {
        match line.iter().position(|&byte| byte == MARK) {
            None => list.extend_from_slice(line),
            Some(mark) => {
                let name = line[..mark].strip_suffix(b",").and_then(|name| std::str::from_utf8(name).ok());
                let name = name.ok_or(wrong("a line has no path"))?;
                let said = known.get(&*format!("{folder}{name}")).ok_or(wrong("a line names no new file"))?;
                list.extend_from_slice(&line[..mark]);
                list.extend_from_slice(said);
                list.extend_from_slice(&line[mark + 1..]);
            }
        }
        PatchError::check("record", list.len() as u64, limit)?;
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_back() {
        assert_eq!(
            entry(b"abc"),
            b"sha256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0,3",
            "{}",
            String::from_utf8_lossy(&entry(b"abc"))
        );
        let (a, b) = (entry(b"abc"), entry(b"other"));
        let known: Known<'_> = HashMap::from([("lib/p/a.py", &a[..]), ("lib/p/b.py", &b[..])]);
        let line = |path: &str, said: &[u8]| [path.as_bytes(), b",", said, b"\n"].concat();
        let list =
            [line("p/a.py", &a), line("p/b.py", &a), line("p/c.py", &b), line("p-1.dist-info/RECORD", b",")].concat();
        let path = "lib/p-1.dist-info/RECORD";
        let reduced = reduce(path, &list, &known).unwrap();
        assert_eq!(list.len() - reduced.len(), a.len() - 1);
        assert_eq!(expand(path, &reduced, &known, 1000).unwrap(), list);
        assert!(expand(path, &reduced, &known, 200).is_err());
        assert!(expand("RECORD", &reduced, &known, 1000).is_err());
        assert!(expand(path, b"x,\x01\n", &known, 1000).is_err());
        assert!(expand(path, b"\x01\n", &known, 1000).is_err());
        assert!(reduce("lib/p/a.py", &list, &known).is_none());
        assert!(reduce(path, &line("p/b.py", &a), &known).is_none());
    }
}
