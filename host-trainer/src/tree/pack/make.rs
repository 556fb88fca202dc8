//! Writes packs.

use std::collections::BTreeMap;

use super::{BLOCK_LOG2, HEADER_LEN, Index, MAGIC, MAX_INDEX, MAX_WHOLE, Options, PackError, Stored, VERSION};
use super::{base_id, distinct};
use crate::base::{Resident, Shipped};
use crate::codec::{self, Profile};
use crate::fit::adapter::{Family, fit};
use crate::tree::patch::Contents;
use crate::tree::patch::group::{SAMPLED, samples};
use crate::tree::patch::search::container;
use crate::tree::{Digest, Tree};

/// Bytes that are coded with a base model, at most: it takes 20 to 50 microseconds for each. Short contents come first.
const MODELLED: u64 = 4 << 20;
/// Share of a content, in percent, that another must hold for the one to be coded against the other.
const ALIKE: u64 = 30;
/// An adapter is fitted to files of the same extension: at least so many, at most so many, of at most so many bytes.
const FAMILY: std::ops::RangeInclusive<usize> = 8..=48;
const FAMILY_FILE: u64 = 16 << 10;
const FAMILY_BYTES: u64 = 192 << 10;

/// A content that is to be packed.
struct Content {
    bytes: Vec<u8>,
    /// Whether the base model may take the time.
    modelled: bool,
    /// Another that holds much of it.
    like: Option<usize>,
}

/// The pack of a tree. The same tree and options give the same bytes.
///
/// # Errors
/// [`PackError::Content`] and [`PackError::WrongContent`] for contents that cannot be had; [`PackError::OutOfRange`] for a
/// block size that no pack may have, or a tree that is too large for an index.
pub fn make(tree: &Tree, contents: &dyn Contents, options: &Options) -> Result<Vec<u8>, PackError> {
    if !BLOCK_LOG2.contains(&options.block_log2) {
        let (found, limit) = (options.block_log2.into(), u64::from(*BLOCK_LOG2.end()));
        return Err(PackError::OutOfRange { field: "block_log2", found, limit });
    }
    let all = load(tree, contents)?;
    let resident = options.base.map(Shipped::open).transpose()?;
    let family = if options.adapter { family(tree) } else { Vec::new() };
    let fitted = match options.base {
        Some(base) if FAMILY.contains(&family.len()) => fitted(base, family.iter().map(|&i| &all[i].bytes))?,
        _ => None,
    };
    let adapter = fitted.as_deref().map_or(Ok(Vec::new()), |file| codec::apply(&[file], None))?;
    let adapted = match options.base {
        Some(base) if !adapter.is_empty() => Some(Resident::with_adapter(base.file, &adapter)?),
        _ => None,
    };
    let mut packed: Vec<(Stored, Vec<u8>)> = Vec::new();
    for (number, content) in all.iter().enumerate() {
        let base = resident.filter(|_| content.modelled);
        let mut best = blocks(&content.bytes, &[], base, options.block_log2)?;
        if let Some(like) = content.like {
            let old = &all[like].bytes[..];
            let other = blocks(&content.bytes, old, base, options.block_log2)?;
            if other.1.len() < best.1.len() {
                best = other;
                best.0.like = Some(like as u32);
            }
        }
        if let Some(base) = adapted.filter(|_| family.contains(&number)) {
            let other = blocks(&content.bytes, &[], Some(base), options.block_log2)?;
            if other.1.len() < best.1.len() {
                best = other;
                best.0.adapted = true;
            }
        }
        packed.push(best);
    }
    let fitted = fitted.filter(|_| packed.iter().any(|(stored, _)| stored.adapted)).unwrap_or_default();
    let index = Index {
        entries: tree.entries().to_vec(),
        contents: packed.iter().map(|(stored, _)| stored.clone()).collect(),
        base: options.base.and_then(base_id).unwrap_or_default(),
        adapter: fitted.len() as u32,
        block_log2: options.block_log2,
    };
    let index = postcard::to_allocvec(&index)
        .map_err(|_| PackError::Corrupt { field: "index", what: "it cannot be written" })?;
    PackError::check("index", index.len() as u64, MAX_INDEX)?;
    let small = resident.filter(|_| index.len() as u64 <= MODELLED / 16);
    let index = container(&index, &[], small, usize::MAX, false)?.0.bytes;
    let mut bytes = Vec::with_capacity(HEADER_LEN as usize + index.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.push(VERSION);
    bytes.extend_from_slice(&(index.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&index);
    bytes.extend_from_slice(&fitted);
    packed.iter().for_each(|(_, blocks)| bytes.extend_from_slice(blocks));
    Ok(bytes)
}

/// Reads the contents, and looks for those that hold much of another.
fn load(tree: &Tree, contents: &dyn Contents) -> Result<Vec<Content>, PackError> {
    let distinct = distinct(tree);
    let mut by_len: Vec<u64> = distinct.iter().map(|(_, len)| *len).collect();
    by_len.sort_unstable();
    let mut budget = MODELLED;
    let longest =
        by_len.into_iter().take_while(|len| budget.checked_sub(*len).inspect(|left| budget = *left).is_some());
    let longest = longest.last().unwrap_or(0);
    let mut all: Vec<Content> = Vec::new();
    // By the hash of a window: the first content, coded alone, that holds it.
    let mut holders: BTreeMap<u64, usize> = BTreeMap::new();
    for (digest, len) in distinct {
        let bytes = contents.read(&digest).map_err(|source| PackError::Content { digest, source })?;
        if bytes.len() as u64 != len || Digest::of(&bytes) != digest {
            return Err(PackError::WrongContent(digest));
        }
        let mut shared: BTreeMap<usize, u64> = BTreeMap::new();
        for holder in samples(&bytes).filter_map(|hash| holders.get(&hash)) {
            *shared.entry(*holder).or_default() += SAMPLED;
        }
        let like = shared.into_iter().max_by_key(|&(holder, bytes)| (bytes, std::cmp::Reverse(holder)));
        let like = like.filter(|(_, shared)| shared * 100 > len * ALIKE).map(|(holder, _)| holder);
        if like.is_none() && len <= MAX_WHOLE {
            for hash in samples(&bytes) {
                holders.entry(hash).or_insert(all.len());
            }
        }
        all.push(Content { bytes, modelled: len <= longest, like });
    }
    Ok(all)
}

/// The largest set of small files with the same extension, as numbers of contents.
fn family(tree: &Tree) -> Vec<usize> {
    let numbers: BTreeMap<Digest, usize> =
        distinct(tree).into_iter().zip(0..).map(|((digest, _), number)| (digest, number)).collect();
    let mut families: BTreeMap<&str, (u64, Vec<usize>)> = BTreeMap::new();
    for entry in tree.entries() {
        let (Some((_, len, digest)), Some((_, extension))) = (entry.file(), entry.path.file_name().rsplit_once('.'))
        else {
            continue;
        };
        let (bytes, members) = families.entry(extension).or_default();
        let fits = len <= FAMILY_FILE && *bytes + len <= FAMILY_BYTES && members.len() < *FAMILY.end();
        if let Some(&number) = numbers.get(&digest).filter(|number| fits && !members.contains(number)) {
            *bytes += len;
            members.push(number);
        }
    }
    families.into_values().max_by_key(|(bytes, _)| *bytes).map(|(_, members)| members).unwrap_or_default()
}

/// The container of an adapter for these files, where it pays for itself.
fn fitted<'a>(base: &Shipped, files: impl Iterator<Item = &'a Vec<u8>>) -> Result<Option<Vec<u8>>, PackError> {
    let files: Vec<Vec<u8>> = files.cloned().collect();
    let family = Family { files: &files, held_out: &[], base: base.file, profile: Profile::Host, seed: 1, threads: 2 };
    Ok(fit(family, &|_, _, _| {})?.file)
}

/// The blocks of a content, each a container.
fn blocks(
    content: &[u8],
    old: &[u8],
    base: Option<Resident<'_>>,
    block_log2: u8,
) -> Result<(Stored, Vec<u8>), PackError> {
    let (mut stored, mut bytes) = (Stored::default(), Vec::new());
    for block in content.chunks(1 << block_log2) {
        let container = container(block, old, base, usize::MAX, false)?.0.bytes;
        stored.blocks.push(container.len() as u32);
        bytes.extend_from_slice(&container);
    }
    Ok((stored, bytes))
}
