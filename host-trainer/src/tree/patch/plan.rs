//! The plan: how the new entries follow from the old ones. It names no digest: the receiver computes them.

use std::ops::Range;

use codec_core::entropy::number::{NumberModel, unzigzag, zigzag};
use codec_core::entropy::{Coder, RangeDecoder, RangeEncoder};

use super::error::PatchError;
use super::{GROUP, Limits, MAX_CONTENT};
use crate::tree::{Entry, Node, Tree};

/// The mode that the first mode is coded against.
const USUAL_MODE: u16 = 0o644;
/// Bits of a mode.
const MODE_MASK: u64 = 0o777;
/// Number of a group, at most.
pub(super) const MAX_GROUPS: u64 = 4095;
/// Bytes of a plan, at most.
pub(super) const MAX_PLAN: u64 = 16 << 20;

/// Where the content of a file comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// From the stream: the next content in it.
    New {
        /// Bytes.
        len: u32,
        /// Old entry of a file that it is likely to resemble.
        like: Option<u32>,
        /// Group of the stream that it travels in.
        group: u32,
    },
    /// It is that of an old entry.
    Old(u32),
    /// It is that of the new content with this number, in the order of the plan.
    Again(u32),
}

/// What becomes of an old entry that does not stay as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It goes.
    Removed,
    /// A file keeps its content.
    Mode(u16),
    /// A file gets another content.
    File {
        /// Its mode, old or new.
        mode: u16,
        /// The content.
        source: Source,
    },
}

/// What stands at a path that is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// A file.
    File {
        /// Its mode.
        mode: u16,
        /// Its content.
        source: Source,
    },
    /// A symbolic link; its target is in the text.
    Link,
    /// An empty folder.
    Folder,
}

/// What a part of the stream is coded against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Reach {
    /// Nothing.
    #[default]
    Nothing,
    /// The old contents that those of its group are likely to resemble, and the stream so far.
    Alike,
    /// Other old contents too, as far as there is room.
    All,
}

/// How a part of the stream is coded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Coding {
    /// What it is coded against.
    pub reach: Reach,
    /// 0 stored, 1 coded, 2 primed, 3 coded with the base model.
    pub mode: u8,
    /// Bytes of its payload; 0 for the last one, which has all that is left.
    pub payload_len: u32,
}

/// Modes of a part.
pub(super) mod mode {
    pub const STORED: u8 = 0;
    pub const CODED: u8 = 1;
    pub const PRIMED: u8 = 2;
    pub const BASE: u8 = 3;
}

/// How the new entries follow from the old ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Old entries that do not stay as they are, by their number, ascending.
    pub changes: Vec<(u32, Change)>,
    /// New paths, in the order of the text.
    pub added: Vec<Added>,
    /// Numbers of the contents that travel as reduced lists, ascending.
    pub records: Vec<u32>,
    /// Bytes of the text, which the stream starts with.
    pub text_len: u32,
    /// How each part of the stream is coded.
    pub codings: Vec<Coding>,
}

/// A content of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Streamed {
    /// Its number in the plan.
    pub number: u32,
    /// First byte of it in the stream.
    pub start: u64,
    /// Bytes.
    pub len: u32,
    /// Old entry of a file that it is likely to resemble.
    pub like: Option<u32>,
    /// Group that it travels in.
    pub group: u32,
}

impl Plan {
    fn sources(&self) -> impl Iterator<Item = Source> {
        let changed = self.changes.iter().filter_map(|(_, change)| match change {
            Change::File { source, .. } => Some(*source),
            _ => None,
        });
        changed.chain(self.added.iter().filter_map(|added| match added {
            Added::File { source, .. } => Some(*source),
            _ => None,
        }))
    }

    /// Where contents come from, in the order of the plan.
    pub fn sources_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        let changed = self.changes.iter_mut().filter_map(|(_, change)| match change {
            Change::File { source, .. } => Some(source),
            _ => None,
        });
        let added = self.added.iter_mut().filter_map(|added| match added {
            Added::File { source, .. } => Some(source),
            _ => None,
        });
        changed.chain(added)
    }

    /// The contents of the stream, in its order: by groups, and in each in the order of the plan.
    pub fn streamed(&self) -> Vec<Streamed> {
        let new = self.sources().filter_map(|source| match source {
            Source::New { len, like, group } => Some((len, like, group)),
            _ => None,
        });
        let content = |(number, (len, like, group))| Streamed { number, start: 0, len, like, group };
        let mut streamed: Vec<Streamed> = (0..).zip(new).map(content).collect();
        streamed.sort_by_key(|content| content.group);
        let mut at = u64::from(self.text_len);
        for content in &mut streamed {
            content.start = at;
            at += u64::from(content.len);
        }
        streamed
    }

    /// Bytes of the stream.
    pub fn stream_len(&self) -> u64 {
        let lens = self.sources().map(|source| if let Source::New { len, .. } = source { len.into() } else { 0 });
        lens.sum::<u64>() + u64::from(self.text_len)
    }

    /// The parts of the stream: its groups, those of more than [`GROUP`] bytes cut. The text belongs to the first group.
    pub fn parts(&self) -> Vec<Range<u64>> {
        let streamed = self.streamed();
        let mut parts = Vec::new();
        let mut start = 0;
        let ends = streamed.chunk_by(|a, b| a.group == b.group).filter_map(|group| group.last());
        let mut ends: Vec<u64> = ends.map(|last| last.start + u64::from(last.len)).collect();
        if streamed.first().is_none_or(|first| first.group > 0) {
            ends.insert(0, self.text_len.into());
        }
        for end in ends {
            while start < end {
                parts.push(start..end.min(start + GROUP));
                start = end.min(start + GROUP);
            }
        }
        parts
    }

    /// The plan's bytes.
    pub fn emit(&self, old: &Tree) -> Result<Vec<u8>, PatchError> {
        let mut bytes = Vec::new();
        let mut coder = RangeEncoder::new(|byte| bytes.push(byte));
        Codes::new(old.entries(), &Limits::MOST).plan(&mut coder, self)?;
        let _ = coder.finish();
        Ok(bytes)
    }

    /// Reads a plan.
    pub fn parse(bytes: &[u8], old: &Tree, limits: &Limits) -> Result<Self, PatchError> {
        let mut coder = Bytes { decoder: RangeDecoder::new(), rest: bytes };
        let plan = Codes::new(old.entries(), limits).plan(&mut coder, &Self::default())?;
        coder.refill();
        if !coder.rest.is_empty() || !coder.decoder.ends_as_written() {
            return Err(PatchError::Corrupt { field: "plan", what: "it is not what its writer leaves behind" });
        }
        Ok(plan)
    }
}

/// A range decoder over all bytes of a plan.
struct Bytes<'a> {
    decoder: RangeDecoder<64>,
    rest: &'a [u8],
}

impl Bytes<'_> {
    fn refill(&mut self) {
        self.rest = &self.rest[self.decoder.push(self.rest)..];
    }
}

impl Coder for Bytes<'_> {
    fn code(&mut self, bit: u32, p: u32) -> u32 {
        if self.decoder.buffered() < 8 {
            self.refill();
        }
        self.decoder.code(bit, p)
    }
}

/// Models of the plan's numbers, and what they are relative to.
struct Codes<'a> {
    old: &'a [Entry],
    limits: &'a Limits,
    counts: NumberModel,
    runs: NumberModel,
    changes: NumberModel,
    removals: NumberModel,
    kinds: NumberModel,
    sources: NumberModel,
    modes: NumberModel,
    grown: NumberModel,
    lens: NumberModel,
    likes: NumberModel,
    places: NumberModel,
    again: NumberModel,
    groups: NumberModel,
    last_mode: u16,
    last_place: i64,
    last_like: i64,
    /// Contents in the stream so far, and their bytes.
    streamed: u32,
    bytes: u64,
}

fn outside(field: &'static str, found: u64, limit: u64) -> PatchError {
    PatchError::OutOfRange { field, found, limit }
}

impl<'a> Codes<'a> {
    fn new(old: &'a [Entry], limits: &'a Limits) -> Self {
        let model = NumberModel::new;
        Self {
            old,
            limits,
            counts: model(),
            runs: model(),
            changes: model(),
            removals: model(),
            kinds: model(),
            sources: model(),
            modes: model(),
            grown: model(),
            lens: model(),
            likes: model(),
            places: model(),
            again: model(),
            groups: model(),
            last_mode: USUAL_MODE,
            last_place: -1,
            last_like: -1,
            streamed: 0,
            bytes: 0,
        }
    }

    /// An encoder codes `plan`, a decoder returns what it reads.
    fn plan<C: Coder>(&mut self, c: &mut C, plan: &Plan) -> Result<Plan, PatchError> {
        let mut coded = Plan { changes: self.all_changes(c, &plan.changes)?, ..Plan::default() };
        let added = self.counts.code(c, plan.added.len() as u32);
        PatchError::check("added", u64::from(added), self.limits.entries)?;
        for i in 0..added {
            let added = plan.added.get(i as usize).copied().unwrap_or(Added::Folder);
            coded.added.push(self.added(c, added)?);
        }
        if added > 0 {
            coded.text_len = self.counts.code(c, plan.text_len);
        }
        if self.streamed > 0 {
            coded.records = self.records(c, &plan.records)?;
        }
        self.bytes += u64::from(coded.text_len);
        PatchError::check("stream", self.bytes, self.limits.new_len)?;
        let parts = coded.parts().len();
        for i in 0..parts {
            let coding = plan.codings.get(i).copied().unwrap_or_default();
            coded.codings.push(self.coding(c, coding, i + 1 == parts)?);
        }
        Ok(coded)
    }

    fn all_changes<C: Coder>(
        &mut self,
        c: &mut C,
        changes: &[(u32, Change)],
    ) -> Result<Vec<(u32, Change)>, PatchError> {
        if self.old.is_empty() {
            return Ok(Vec::new());
        }
        let entries = self.old.len() as u64;
        // Removed neighbours count once.
        let runs: Vec<&[(u32, Change)]> =
            changes.chunk_by(|a, b| a.1 == Change::Removed && b.1 == Change::Removed && a.0 + 1 == b.0).collect();
        let count = self.counts.code(c, runs.len() as u32);
        PatchError::check("changes", u64::from(count), entries)?;
        let (mut coded, mut at) = (Vec::new(), 0_u64);
        for i in 0..count {
            let run = runs.get(i as usize).copied().unwrap_or(&[(0, Change::Removed)]);
            let (place, change) = run[0];
            at += u64::from(self.runs.code(c, u64::from(place).wrapping_sub(at) as u32));
            let index = usize::try_from(at).unwrap_or(usize::MAX);
            let entry = self.old.get(index).ok_or(outside("kept", at, entries - 1))?;
            let change = self.change(c, change, at as u32, entry)?;
            coded.push((at as u32, change));
            at += 1;
            if change == Change::Removed {
                let more = self.removals.code(c, run.len() as u32 - 1);
                PatchError::check("removed", at + u64::from(more), entries)?;
                coded.extend((at..at + u64::from(more)).map(|place| (place as u32, Change::Removed)));
                at += u64::from(more);
            }
        }
        Ok(coded)
    }

    /// 0: other content; 1: removed; 2: other mode; 3: both; 4: a content that is known; 5: and another mode.
    fn change<C: Coder>(&mut self, c: &mut C, change: Change, at: u32, entry: &Entry) -> Result<Change, PatchError> {
        let (old_mode, old_len) = entry.file().map_or((USUAL_MODE, 0), |(mode, len, _)| (mode, len));
        let kind = match change {
            Change::Removed => 1,
            Change::Mode(_) => 2,
            Change::File { mode, source } => {
                u32::from(mode != old_mode) * if matches!(source, Source::New { .. }) { 3 } else { 1 }
                    + if matches!(source, Source::New { .. }) { 0 } else { 4 }
            }
        };
        let kind = self.changes.code(c, kind);
        if kind != 1 && entry.file().is_none() {
            return Err(PatchError::Corrupt { field: "change", what: "the old entry is no file" });
        }
        let mode = match kind {
            2 | 3 | 5 => {
                let mode = match change {
                    Change::Mode(mode) | Change::File { mode, .. } => mode,
                    Change::Removed => 0,
                };
                self.mode(c, mode)?
            }
            _ => old_mode,
        };
        let source = match change {
            Change::File { source, .. } => source,
            _ => Source::Old(0),
        };
        Ok(match kind {
            0 | 3 => {
                let (len, group) = if let Source::New { len, group, .. } = source { (len, group) } else { (0, 0) };
                let len = Self::relative(c, &mut self.grown, len, old_len)?;
                let group = self.stream(c, len, group)?;
                Change::File { mode, source: Source::New { len, like: Some(at), group } }
            }
            1 => Change::Removed,
            2 => Change::Mode(mode),
            4 | 5 => Change::File { mode, source: self.known(c, source)? },
            _ => return Err(PatchError::Unknown { field: "change", found: kind.into() }),
        })
    }

    /// 0: a new content; 1: one that is known; 2: a link; 3: a folder.
    fn added<C: Coder>(&mut self, c: &mut C, added: Added) -> Result<Added, PatchError> {
        let kind = match added {
            Added::File { source: Source::New { .. }, .. } => 0,
            Added::File { .. } => 1,
            Added::Link => 2,
            Added::Folder => 3,
        };
        let kind = self.kinds.code(c, kind);
        let (mode, source) = match added {
            Added::File { mode, source } => (mode, source),
            _ => (0, Source::Old(0)),
        };
        Ok(match kind {
            0 => {
                let mode = self.mode(c, mode)?;
                let (len, like, group) = match source {
                    Source::New { len, like, group } => (len, like, group),
                    _ => (0, None, 0),
                };
                let like = self.like(c, like)?;
                let len = match like {
                    Some((_, old_len)) => Self::relative(c, &mut self.grown, len, old_len)?,
                    None => self.lens.code(c, len),
                };
                let group = self.stream(c, len, group)?;
                Added::File { mode, source: Source::New { len, like: like.map(|(like, _)| like), group } }
            }
            1 => Added::File { mode: self.mode(c, mode)?, source: self.known(c, source)? },
            2 => Added::Link,
            3 => Added::Folder,
            _ => return Err(PatchError::Unknown { field: "kind", found: kind.into() }),
        })
    }

    fn mode<C: Coder>(&mut self, c: &mut C, mode: u16) -> Result<u16, PatchError> {
        let changed = self.modes.code(c, u32::from(mode ^ self.last_mode));
        PatchError::check("mode", u64::from(changed), MODE_MASK)?;
        self.last_mode ^= changed as u16;
        Ok(self.last_mode)
    }

    /// A length near `old_len`.
    fn relative<C: Coder>(c: &mut C, model: &mut NumberModel, len: u32, old_len: u64) -> Result<u32, PatchError> {
        // The old tree may hold a file that is too long to be like anything.
        let old_len = i64::try_from(old_len.min(MAX_CONTENT)).unwrap_or(0);
        let grown = i64::from(len) - old_len;
        let len = old_len + i64::from(unzigzag(model.code(c, zigzag(grown as i32))));
        u32::try_from(len).map_err(|_| outside("length", len as u64, MAX_CONTENT))
    }

    /// Counts a content of the stream, and codes its group.
    fn stream<C: Coder>(&mut self, c: &mut C, len: u32, group: u32) -> Result<u32, PatchError> {
        PatchError::check("length", len.into(), MAX_CONTENT)?;
        self.streamed += 1;
        self.bytes += u64::from(len);
        PatchError::check("stream", self.bytes, self.limits.new_len)?;
        let group = self.groups.code(c, group);
        PatchError::check("group", group.into(), MAX_GROUPS)?;
        Ok(group)
    }

    /// 0: the content of an old entry; 1: one of the stream.
    fn known<C: Coder>(&mut self, c: &mut C, source: Source) -> Result<Source, PatchError> {
        let (kind, number) = match source {
            Source::Old(old) => (0, old),
            Source::Again(new) => (1, new),
            Source::New { .. } => (0, 0),
        };
        match self.sources.code(c, kind) {
            0 => {
                let place = Self::place(c, &mut self.places, &mut self.last_place, number);
                let entry = usize::try_from(place).ok().and_then(|place| self.old.get(place));
                match entry.map(|entry| &entry.node) {
                    Some(Node::File { .. }) => Ok(Source::Old(place as u32)),
                    Some(_) => Err(PatchError::Corrupt { field: "source", what: "the old entry is no file" }),
                    None => Err(outside("source", place as u64, self.old.len() as u64)),
                }
            }
            1 => {
                let back = self.again.code(c, self.streamed.wrapping_sub(1).wrapping_sub(number));
                match self.streamed.checked_sub(1).and_then(|last| last.checked_sub(back)) {
                    Some(number) => Ok(Source::Again(number)),
                    None => Err(outside("source", back.into(), self.streamed.into())),
                }
            }
            kind => Err(PatchError::Unknown { field: "source", found: kind.into() }),
        }
    }

    /// A number of an old entry, near the one after the last; from -2^31 on when it is read from a damaged plan.
    fn place<C: Coder>(c: &mut C, model: &mut NumberModel, last: &mut i64, place: u32) -> i64 {
        let next = *last + 1;
        *last = next + i64::from(unzigzag(model.code(c, zigzag((i64::from(place) - next) as i32))));
        *last
    }

    /// The old file that a new one may resemble, and its length. 0: none; else 1 + its place.
    fn like<C: Coder>(&mut self, c: &mut C, like: Option<u32>) -> Result<Option<(u32, u64)>, PatchError> {
        let next = self.last_like + 1;
        let distance = like.map_or(0, |like| 1 + zigzag((i64::from(like) - next) as i32));
        let Some(distance) = self.likes.code(c, distance).checked_sub(1) else { return Ok(None) };
        let place = next + i64::from(unzigzag(distance));
        let entry = usize::try_from(place).ok().and_then(|place| self.old.get(place));
        let Some((_, len, _)) = entry.and_then(Entry::file) else {
            return Err(PatchError::Corrupt { field: "like", what: "there is no such old file" });
        };
        self.last_like = place;
        Ok(Some((place as u32, len)))
    }

    /// How many contents are reduced lists, and how many lie between two of them.
    fn records<C: Coder>(&mut self, c: &mut C, records: &[u32]) -> Result<Vec<u32>, PatchError> {
        let count = self.again.code(c, records.len() as u32);
        PatchError::check("records", count.into(), self.streamed.into())?;
        let (mut coded, mut next) = (Vec::new(), 0);
        for i in 0..count {
            let number = records.get(i as usize).copied().unwrap_or(0);
            let number = u64::from(next) + u64::from(self.again.code(c, number.wrapping_sub(next)));
            PatchError::check("record", number, u64::from(self.streamed) - 1)?;
            coded.push(number as u32);
            next = number as u32 + 1;
        }
        Ok(coded)
    }

    fn coding<C: Coder>(&mut self, c: &mut C, coding: Coding, last: bool) -> Result<Coding, PatchError> {
        let reach = match self.kinds.code(c, coding.reach as u32) {
            0 => Reach::Nothing,
            1 => Reach::Alike,
            2 => Reach::All,
            found => return Err(PatchError::Unknown { field: "reach", found: found.into() }),
        };
        let found = self.sources.code(c, coding.mode.into());
        let mode = u8::try_from(found).ok().filter(|mode| *mode <= mode::BASE);
        let mode = mode.ok_or(PatchError::Unknown { field: "coding", found: found.into() })?;
        let payload_len = if last { 0 } else { self.lens.code(c, coding.payload_len) };
        Ok(Coding { reach, mode, payload_len })
    }
}
