//! Reads patches.

use std::collections::{BTreeMap, HashSet};

use codec_core::container::digest::BaseId;

use super::error::PatchError;
use super::plan::{Added, Change, MAX_PLAN, Plan, Reach, Source};
use super::record::{self, Known};
use super::reference::{Reference, keep};
use super::{ID_LEN, Limits, MAGIC, NoContents, Old, Sink, flag, solid};
use crate::tree::{Digest, Entry, Node, Tree, TreePath};

/// A patch, taken apart.
struct Parts<'a> {
    base: Option<BaseId>,
    plan: Plan,
    payloads: &'a [u8],
}

fn take<'a>(bytes: &mut &'a [u8], field: &'static str, len: usize) -> Result<&'a [u8], PatchError> {
    let (taken, rest) = bytes.split_at_checked(len).ok_or(PatchError::Truncated { field })?;
    *bytes = rest;
    Ok(taken)
}

fn take_id(bytes: &mut &[u8], field: &'static str) -> Result<[u8; ID_LEN], PatchError> {
    let taken = take(bytes, field, ID_LEN)?;
    taken.try_into().map_err(|_| PatchError::Truncated { field })
}

impl<'a> Parts<'a> {
    fn parse(mut bytes: &'a [u8], old: Option<&Tree>, limits: &Limits) -> Result<Self, PatchError> {
        let rest = &mut bytes;
        let magic = take(rest, "magic", 1)?[0];
        if magic != MAGIC {
            return Err(PatchError::Unknown { field: "magic", found: magic.into() });
        }
        let flags = take(rest, "flags", 1)?[0];
        if flags & !(flag::OLD | flag::BASE) != flag::VERSION_1 {
            let field = if flags & flag::VERSION == flag::VERSION_1 { "flags" } else { "version" };
            return Err(PatchError::Unknown { field, found: flags.into() });
        }
        if flags & flag::OLD != 0 {
            let expected = take_id(rest, "old_root")?;
            let root = old.ok_or(PatchError::OldMissing)?.root();
            let found = [root.0[0], root.0[1]];
            if found != expected {
                return Err(PatchError::WrongOld { expected, found });
            }
        }
        let base = if flags & flag::BASE != 0 { Some(BaseId(take_id(rest, "base_id")?)) } else { None };
        let limit = MAX_PLAN.min(rest.len() as u64);
        let plan_len = codec_core::varint::read(
            || Ok(take(rest, "plan_len", 1)?[0]),
            |found| PatchError::OutOfRange { field: "plan_len", found, limit },
        )?;
        PatchError::check("plan_len", plan_len.into(), limit)?;
        let plan = take(rest, "plan", plan_len as usize)?;
        let none = Tree::default();
        let old = old.filter(|_| flags & flag::OLD != 0).unwrap_or(&none);
        Ok(Self { base, plan: Plan::parse(plan, old, limits)?, payloads: rest })
    }
}

/// Cuts the stream into text and contents.
struct Cutter<'a> {
    /// Lengths of what is still to come, last first: the text, and the contents with their numbers.
    lens: Vec<(u32, Option<usize>)>,
    part: Vec<u8>,
    text: Vec<u8>,
    /// Digests and lengths of the contents by their numbers, as far as they have come.
    contents: Vec<(Digest, u64)>,
    /// Contents that the receiver has.
    known: HashSet<Digest>,
    /// Numbers of the lists that are reduced, and their bytes as far as they have come.
    records: BTreeMap<usize, Vec<u8>>,
    /// Where there are such lists: what they say about each content.
    said: Vec<Vec<u8>>,
    sink: &'a mut dyn Sink,
}

impl<'a> Cutter<'a> {
    fn new(plan: &Plan, old: &Tree, sink: &'a mut dyn Sink) -> Self {
        let streamed = plan.streamed();
        let contents = vec![(Digest([0; 32]), 0); streamed.len()];
        let text = (plan.text_len, None);
        let lens = streamed.iter().map(|content| (content.len, Some(content.number as usize)));
        let mut lens: Vec<_> = std::iter::once(text).chain(lens).collect();
        lens.reverse();
        let known = old.contents().into_keys().collect();
        let records: BTreeMap<_, _> = plan.records.iter().map(|number| (*number as usize, Vec::new())).collect();
        let said = if records.is_empty() { Vec::new() } else { vec![Vec::new(); contents.len()] };
        Self { lens, part: Vec::new(), text: Vec::new(), contents, known, records, said, sink }
    }

    /// Takes the next bytes of the stream.
    fn push(&mut self, mut bytes: &[u8]) -> Result<(), PatchError> {
        while let Some(&(len, number)) = self.lens.last() {
            let need = len as usize - self.part.len();
            let (taken, rest) = bytes.split_at(need.min(bytes.len()));
            self.part.extend_from_slice(taken);
            bytes = rest;
            if self.part.len() < len as usize {
                break;
            }
            self.lens.pop();
            self.part.shrink_to_fit();
            self.complete(number)?;
        }
        Ok(())
    }

    fn complete(&mut self, number: Option<usize>) -> Result<(), PatchError> {
        let part = std::mem::take(&mut self.part);
        let Some(number) = number else {
            self.text = part;
            return Ok(());
        };
        if let Some(list) = self.records.get_mut(&number) {
            *list = part;
            return Ok(());
        }
        if let Some(said) = self.said.get_mut(number) {
            *said = record::entry(&part);
        }
        self.hand_on(number, part)
    }

    fn hand_on(&mut self, number: usize, part: Vec<u8>) -> Result<(), PatchError> {
        let digest = Digest::of(&part);
        self.contents[number] = (digest, part.len() as u64);
        if self.known.insert(digest) {
            self.sink.content(digest, part).map_err(|source| PatchError::Write { digest, source })?;
        }
        Ok(())
    }
}

impl Cutter<'_> {
    /// Completes the lists, in at most `room` bytes more than the stream has.
    fn expand(&mut self, plan: &Plan, old: &Tree, mut room: u64) -> Result<(), PatchError> {
        if self.records.is_empty() {
            return Ok(());
        }
        let (text, said) = (std::mem::take(&mut self.text), std::mem::take(&mut self.said));
        let mut lines = Lines::of(&text)?;
        let paths = record::paths(plan, old, |link| {
            let path = lines.next()?;
            if link {
                lines.next()?;
            }
            Ok(path)
        })?;
        // Lists say nothing about each other.
        let about = paths.iter().zip(&said).filter(|(_, said)| !said.is_empty());
        let known: Known<'_> = about.map(|(path, said)| (*path, &said[..])).collect();
        for (number, reduced) in std::mem::take(&mut self.records) {
            let path = paths.get(number).copied().unwrap_or("");
            let limit = room.saturating_add(reduced.len() as u64);
            let list = record::expand(path, &reduced, &known, limit)?;
            room -= (list.len() as u64).saturating_sub(reduced.len() as u64);
            self.hand_on(number, list)?;
        }
        self.text = text;
        Ok(())
    }
}

/// The lines of the text.
struct Lines<'a>(std::str::Split<'a, char>);

impl<'a> Lines<'a> {
    fn of(text: &'a [u8]) -> Result<Self, PatchError> {
        let wrong = |what| PatchError::Corrupt { field: "text", what };
        let text = std::str::from_utf8(text).map_err(|_| wrong("it is no UTF-8"))?;
        let text =
            if text.is_empty() { text } else { text.strip_suffix('\n').ok_or(wrong("its last line has no end"))? };
        Ok(Self(text.split('\n')))
    }

    fn next(&mut self) -> Result<&'a str, PatchError> {
        self.0.next().ok_or(PatchError::Corrupt { field: "text", what: "it has too few lines" })
    }
}

/// Rebuilds the new tree; contents that the old one does not have go to `sink`.
///
/// The caller compares the [root](Tree::root) of what comes back with one that is signed. Until then, nothing about it is
/// sure but that each content has its digest.
///
/// # Errors
/// [`PatchError`]: what is wrong with the patch, that it starts from another tree than `old`, that it asks for more than
/// `limits`, before memory is taken for it. What a damaged patch's payload does not betray changes the root.
pub fn apply(bytes: &[u8], old: Option<Old<'_>>, sink: &mut dyn Sink, limits: &Limits) -> Result<Tree, PatchError> {
    let Parts { base, plan, mut payloads } = Parts::parse(bytes, old.map(|(tree, _)| tree), limits)?;
    let none = Tree::default();
    let tree = old.map_or(&none, |(tree, _)| tree);
    let mut cutter = Cutter::new(&plan, tree, sink);
    // Contents without bytes need no part.
    cutter.push(&[])?;
    let mut before = Vec::new();
    for (range, coding) in plan.parts().into_iter().zip(&plan.codings) {
        let len = if range.end == plan.stream_len() { payloads.len() } else { coding.payload_len as usize };
        let payload = take(&mut payloads, "payload", len)?;
        let reference = match old {
            _ if coding.reach == Reach::Nothing => None,
            Some((tree, contents)) => {
                Some(Reference::of(tree, &plan, &range, coding.reach).load(tree, contents, &before)?)
            }
            None => Some(Reference::of(&none, &plan, &range, coding.reach).load(&none, &NoContents, &before)?),
        };
        let len = (range.end - range.start) as u32;
        let part = solid::decode(payload, coding.mode, len, reference.as_deref(), base)?;
        cutter.push(&part)?;
        keep(&mut before, &part);
    }
    if !payloads.is_empty() {
        return Err(PatchError::OutOfRange { field: "payload", found: payloads.len() as u64, limit: 0 });
    }
    cutter.expand(&plan, tree, limits.new_len - plan.stream_len())?;
    let Cutter { text, contents, .. } = cutter;
    build(tree, &plan, &text, &contents, limits)
}

/// The new tree.
fn build(
    old: &Tree,
    plan: &Plan,
    text: &[u8],
    contents: &[(Digest, u64)],
    limits: &Limits,
) -> Result<Tree, PatchError> {
    let mut streamed = contents.iter();
    let mut file = |mode: u16, source: Source| {
        let missing = PatchError::Corrupt { field: "source", what: "there is no such content" };
        let content = match source {
            Source::New { .. } => streamed.next().copied(),
            Source::Again(number) => contents.get(number as usize).copied(),
            Source::Old(number) => {
                let entry = old.entries().get(number as usize).and_then(Entry::file);
                entry.map(|(_, len, digest)| (digest, len))
            }
        };
        let (digest, len) = content.ok_or(missing)?;
        Ok::<_, PatchError>(Node::File { mode, len, digest })
    };
    let mut entries = Vec::new();
    let mut changes = plan.changes.iter().peekable();
    for (i, entry) in old.entries().iter().enumerate() {
        let node = match changes.next_if(|(number, _)| *number as usize == i).map(|(_, change)| *change) {
            None => entry.node.clone(),
            Some(Change::Removed) => continue,
            Some(Change::Mode(mode)) => file(mode, Source::Old(i as u32))?,
            Some(Change::File { mode, source }) => file(mode, source)?,
        };
        entries.push(Entry { path: entry.path.clone(), node });
    }
    let mut lines = Lines::of(text)?;
    for added in &plan.added {
        let path = TreePath::new(lines.next()?)?;
        let node = match *added {
            Added::File { mode, source } => file(mode, source)?,
            Added::Link => Node::Link { target: lines.next()?.to_owned() },
            Added::Folder => Node::Folder,
        };
        entries.push(Entry { path, node });
    }
    if lines.0.next().is_some_and(|line| !plan.added.is_empty() || !line.is_empty()) {
        return Err(PatchError::Corrupt { field: "text", what: "it has too many lines" });
    }
    PatchError::check("entries", entries.len() as u64, limits.entries)?;
    Ok(Tree::new(entries)?)
}
