//! Writes patches.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use codec_core::container::v2::Header;
use codec_core::varint;

use super::error::PatchError;
use super::group::Grouping;
use super::plan::{Added, Change, Coding, MAX_PLAN, Plan, Reach, Source, mode};
use super::record::{self, Known};
use super::reference::{Reference, keep};
use super::search::shortest;
use super::{Contents, ID_LEN, MAGIC, MAX_CONTENT, NoContents, Old, Options, flag, read};
use crate::tree::{Digest, Entry, Node, Tree};

/// Parts that are not longer than this, the contents alike included, are coded against those alone first. Bytes.
const QUICK: usize = 2 << 20;
/// That is enough where it leaves less than one of so many bytes.
const ENOUGH: usize = 64;

/// Finds out where contents come from.
struct Sources<'a> {
    old: &'a [Entry],
    /// First old entry that has a content.
    by_digest: HashMap<Digest, u32>,
    /// Old files by their name.
    by_name: HashMap<&'a str, Vec<u32>>,
    /// Contents in the stream, and their numbers.
    streamed: Vec<(Digest, u64)>,
    numbers: HashMap<Digest, u32>,
}

impl<'a> Sources<'a> {
    fn new(old: &'a Tree) -> Self {
        let (mut by_digest, mut by_name) = (HashMap::new(), HashMap::<_, Vec<u32>>::new());
        for (entry, i) in old.entries().iter().zip(0..) {
            if let Some((_, _, digest)) = entry.file() {
                by_digest.entry(digest).or_insert(i);
                by_name.entry(entry.path.file_name()).or_default().push(i);
            }
        }
        Self { old: old.entries(), by_digest, by_name, streamed: Vec::new(), numbers: HashMap::new() }
    }

    fn of(&mut self, len: u64, digest: Digest, like: Option<u32>) -> Result<Source, PatchError> {
        if let Some(&old) = self.by_digest.get(&digest) {
            return Ok(Source::Old(old));
        }
        if let Some(&number) = self.numbers.get(&digest) {
            return Ok(Source::Again(number));
        }
        PatchError::check("length", len, MAX_CONTENT)?;
        self.numbers.insert(digest, self.streamed.len() as u32);
        self.streamed.push((digest, len));
        Ok(Source::New { len: len as u32, like, group: 0 })
    }

    /// The old file that one at `path` most likely resembles: of the same name, and most alike in the rest of the path.
    fn like(&self, path: &'a str, name: &str) -> Option<u32> {
        let alike = |other: &str| {
            let front = path.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
            let back = path.bytes().rev().zip(other.bytes().rev()).take_while(|(a, b)| a == b).count();
            front + back
        };
        let candidates = self.by_name.get(name)?.iter().copied();
        candidates.max_by_key(|&i| (alike(self.old[i as usize].path.as_str()), std::cmp::Reverse(i)))
    }
}

/// The plan, the text and the contents of the stream.
fn plan<'a>(old: &'a Tree, new: &'a Tree) -> Result<(Plan, Vec<u8>, Vec<(Digest, u64)>), PatchError> {
    let mut sources = Sources::new(old);
    let mut plan = Plan::default();
    for (entry, i) in old.entries().iter().zip(0..) {
        let change = match (&entry.node, new.get(&entry.path).map(|entry| &entry.node)) {
            (old, Some(new)) if old == new => continue,
            (Node::File { digest: old, .. }, Some(Node::File { mode, digest, .. })) if old == digest => {
                Change::Mode(*mode)
            }
            (Node::File { .. }, Some(Node::File { mode, len, digest })) => {
                Change::File { mode: *mode, source: sources.of(*len, *digest, Some(i))? }
            }
            _ => Change::Removed,
        };
        plan.changes.push((i, change));
    }
    let mut text = Vec::new();
    let stays = |entry: &Entry| {
        let before = old.get(&entry.path).map(|entry| &entry.node);
        before == Some(&entry.node)
            || before.is_some_and(|node| matches!((node, &entry.node), (Node::File { .. }, Node::File { .. })))
    };
    for entry in new.entries().iter().filter(|entry| !stays(entry)) {
        let path = entry.path.as_str();
        text.extend_from_slice(path.as_bytes());
        text.push(b'\n');
        plan.added.push(match &entry.node {
            Node::File { mode, len, digest } => {
                let like = sources.like(path, entry.path.file_name());
                Added::File { mode: *mode, source: sources.of(*len, *digest, like)? }
            }
            Node::Link { target } => {
                text.extend_from_slice(target.as_bytes());
                text.push(b'\n');
                Added::Link
            }
            Node::Folder => Added::Folder,
        });
    }
    let limit = u64::from(u32::MAX >> 1);
    PatchError::check("text", text.len() as u64, limit)?;
    plan.text_len = text.len() as u32;
    Ok((plan, text, sources.streamed))
}

/// What turns the tree `old`, or nothing, into `new`.
///
/// The same trees and options give the same bytes.
///
/// # Errors
/// [`PatchError::Read`] and [`PatchError::WrongContent`] for contents that cannot be had; [`PatchError::OutOfRange`] for
/// one above [`MAX_CONTENT`].
pub fn make(
    old: Option<Old<'_>>,
    new: &Tree,
    new_contents: &dyn Contents,
    options: &Options,
) -> Result<Vec<u8>, PatchError> {
    let none = Tree::default();
    let (tree, old_contents) = old.unwrap_or((&none, &NoContents));
    let (mut plan, text, contents) = plan(tree, new)?;
    let reduced = records(&mut plan, tree, &text, &contents, new_contents)?;
    let content = |number: u32| match reduced.get(&number) {
        Some(list) => Ok(list.clone()),
        None => contents.get(number as usize).map_or(Ok(Vec::new()), |(digest, len)| read(new_contents, digest, *len)),
    };
    group(&mut plan, tree, old_contents, contents.len() as u32, &content)?;
    let streamed = plan.streamed();
    let mut rest = streamed.iter();
    let (mut stream, mut before) = (text, Vec::new());
    let mut payloads: Vec<Vec<u8>> = Vec::new();
    for range in plan.parts() {
        let len = (range.end - range.start) as usize;
        while stream.len() < len {
            let Some(next) = rest.next() else { break };
            stream.extend_from_slice(&content(next.number)?);
        }
        let next = stream.split_off(len);
        let (coding, payload) = smallest(&stream, tree, old_contents, &plan, &range, &before, options)?;
        plan.codings.push(coding);
        payloads.push(payload);
        keep(&mut before, &stream);
        stream = next;
    }
    if let Some(last) = plan.codings.last_mut() {
        last.payload_len = 0;
    }
    let mut flags = flag::VERSION_1;
    let mut ids = Vec::new();
    if let Some((tree, _)) = old {
        flags |= flag::OLD;
        ids.extend_from_slice(&tree.root().0[..ID_LEN]);
    }
    if let Some(base) = options.base.filter(|_| plan.codings.iter().any(|coding| coding.mode == mode::BASE)) {
        flags |= flag::BASE;
        ids.extend_from_slice(&Header::parse(base.file)?.0.digest.base().0);
    }
    let plan = plan.emit(tree)?;
    PatchError::check("plan_len", plan.len() as u64, MAX_PLAN)?;
    let mut bytes = vec![MAGIC, flags];
    bytes.extend_from_slice(&ids);
    bytes.extend_from_slice(&varint::emit(plan.len() as u32));
    bytes.extend_from_slice(&plan);
    bytes.extend(payloads.into_iter().flatten());
    Ok(bytes)
}

/// Lists of hashes that need not travel, as they travel, by their number.
fn records(
    plan: &mut Plan,
    old: &Tree,
    text: &[u8],
    contents: &[(Digest, u64)],
    new_contents: &dyn Contents,
) -> Result<BTreeMap<u32, Vec<u8>>, PatchError> {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines();
    let mut line = |link: bool| {
        let path = lines.next().unwrap_or("");
        if link {
            lines.next();
        }
        Ok(path)
    };
    let paths = record::paths(plan, old, &mut line)?;
    let lists: Vec<u32> =
        (0..).zip(&paths).filter(|(_, path)| record::folder(path).is_some()).map(|(i, _)| i).collect();
    let mut reduced = BTreeMap::new();
    if lists.is_empty() {
        return Ok(reduced);
    }
    let others = (0..).zip(contents).filter(|(number, _)| !lists.contains(number));
    let said = others.map(|(number, (digest, len))| Ok((number, record::entry(&read(new_contents, digest, *len)?))));
    let said: HashMap<u32, Vec<u8>> = said.collect::<Result<_, PatchError>>()?;
    let known: Known<'_> = said.iter().map(|(number, said)| (paths[*number as usize], &said[..])).collect();
    for number in lists {
        let (digest, len) = &contents[number as usize];
        let (path, list) = (paths[number as usize], read(new_contents, digest, *len)?);
        let short = record::reduce(path, &list, &known);
        let right = |short: &Vec<u8>| record::expand(path, short, &known, *len).is_ok_and(|whole| whole == list);
        reduced.extend(short.filter(right).map(|short| (number, short)));
    }
    plan.records = reduced.keys().copied().collect();
    for (source, number) in plan.sources_mut().filter(|source| matches!(source, Source::New { .. })).zip(0..) {
        if let (Source::New { len, .. }, Some(list)) = (source, reduced.get(&number)) {
            *len = list.len() as u32;
        }
    }
    Ok(reduced)
}

/// Deals the new contents out to groups.
fn group(
    plan: &mut Plan,
    old: &Tree,
    old_contents: &dyn Contents,
    count: u32,
    content: &dyn Fn(u32) -> Result<Vec<u8>, PatchError>,
) -> Result<(), PatchError> {
    let mut grouping = Grouping::default();
    let total = plan.stream_len();
    for (digest, len) in Reference::most(old, plan, total) {
        grouping.learn_old(&read(old_contents, &digest, len)?);
    }
    let mut places = Vec::new();
    for number in 0..count {
        places.push(grouping.place(&content(number)?));
    }
    let order = grouping.order();
    let mut places = places.into_iter();
    for source in plan.sources_mut() {
        if let Source::New { group, .. } = source {
            *group = places.next().map_or(0, |place| order[place]);
        }
    }
    Ok(())
}

/// The shortest of what applies to a part of the stream.
fn smallest(
    new: &[u8],
    old: &Tree,
    old_contents: &dyn Contents,
    plan: &Plan,
    range: &Range<u64>,
    before: &[u8],
    options: &Options,
) -> Result<(Coding, Vec<u8>), PatchError> {
    let part = |reach: Reach, reference: &[u8]| {
        let coded = shortest(new, reference, options.base)?;
        let reach = if coded.is_delta { reach } else { Reach::Nothing };
        Ok::<_, PatchError>((
            Coding { reach, mode: coded.mode, payload_len: coded.payload.len() as u32 },
            coded.payload,
        ))
    };
    let load = |reach| Reference::of(old, plan, range, reach).load(old, old_contents, before);
    let alike = load(Reach::Alike)?;
    // Where contents alike say nearly all of it, or there are no others, there is no need to ask more.
    let mut best = None;
    if new.len() + alike.len() <= QUICK && !alike.is_empty() {
        let coded = part(Reach::Alike, &alike)?;
        if coded.1.len() * ENOUGH < new.len() {
            return Ok(coded);
        }
        best = Some(coded);
    }
    let all = load(Reach::All)?;
    if let Some(best) = best.take_if(|_| all == alike) {
        return Ok(best);
    }
    let coded = part(Reach::All, &all)?;
    Ok(best.filter(|best| best.1.len() <= coded.1.len()).unwrap_or(coded))
}
