//! Which old contents a group of the stream is coded against: found alike by both sides.

use std::collections::HashSet;
use std::ops::Range;

use super::error::PatchError;
use super::plan::{Change, Plan, Reach};
use super::{Contents, REFERENCE, read};
use crate::tree::{Digest, Entry, Tree};

/// Of a content that is cut, so many bytes of the old one on both sides of the place that corresponds, too.
const MARGIN: u64 = 1 << 20;

/// A part of an old content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub digest: Digest,
    /// Bytes of the whole content.
    pub len: u64,
    pub start: u64,
    pub end: u64,
}

/// What a part of the stream is coded against: old paths, old contents, and what of the stream came before.
#[derive(Debug, Default)]
pub(super) struct Reference {
    /// The paths of the old tree come first.
    paths: bool,
    /// Then these.
    alike: Vec<Piece>,
    /// Then so many bytes that the part follows.
    before: u64,
    /// Then these.
    others: Vec<Piece>,
}

/// The old paths, a line each.
fn paths(old: &Tree) -> Vec<u8> {
    let mut lines = Vec::new();
    for entry in old.entries() {
        lines.extend_from_slice(entry.path.as_str().as_bytes());
        lines.push(b'\n');
    }
    lines
}

/// What is taken so far.
struct Taken {
    pieces: Vec<Piece>,
    seen: HashSet<Digest>,
    room: u64,
}

impl Taken {
    fn take(&mut self, entry: &Entry, part: impl FnOnce(u64) -> Range<u64>) {
        let Some((_, len, digest)) = entry.file() else { return };
        let Range { start, end } = part(len);
        let end = end.min(start + self.room);
        if start < end && self.seen.insert(digest) {
            self.room -= end - start;
            self.pieces.push(Piece { digest, len, start, end });
        }
    }
}

impl Reference {
    /// The contents for the part that is the bytes `range` of the stream.
    pub fn of(old: &Tree, plan: &Plan, range: &Range<u64>, reach: Reach) -> Self {
        if reach == Reach::Nothing {
            return Self::default();
        }
        let paths = range.start < u64::from(plan.text_len);
        let mut taken = Taken { pieces: Vec::new(), seen: HashSet::new(), room: REFERENCE };
        if paths {
            let lines = old.entries().iter().map(|entry| entry.path.as_str().len() as u64 + 1).sum();
            taken.room = taken.room.saturating_sub(lines);
        }
        let entry = |index: u32| &old.entries()[index as usize];
        for content in plan.streamed() {
            let (start, len) = (content.start, u64::from(content.len));
            let (from, to) = (range.start.max(start), range.end.min(start + len));
            let Some(like) = content.like.filter(|_| from < to) else { continue };
            taken.take(entry(like), |old_len| {
                if to - from == len {
                    return 0..old_len;
                }
                let scaled = |place: u64| (u128::from(place) * u128::from(old_len) / u128::from(len)) as u64;
                let (low, high) = (scaled(from - start), scaled(to - start));
                low.saturating_sub(MARGIN)..high.saturating_add(MARGIN).min(old_len)
            });
        }
        let alike = std::mem::take(&mut taken.pieces);
        let before = range.start.min(taken.room);
        taken.room -= before;
        if reach == Reach::All {
            let removed = plan.changes.iter().filter(|(_, change)| *change == Change::Removed);
            for index in removed.map(|(index, _)| *index).chain(0..old.entries().len() as u32) {
                taken.take(entry(index), |len| 0..len);
            }
        }
        Self { paths, alike, before, others: taken.pieces }
    }

    /// Contents, and their lengths, that the parts of a stream of `total` bytes may be coded against.
    pub fn most(old: &Tree, plan: &Plan, total: u64) -> Vec<(Digest, u64)> {
        let likes = plan.streamed().into_iter().filter_map(|content| content.like);
        let all = 0..old.entries().len() as u32;
        // Contents alike have the room of each part that they are for.
        let mut taken = Taken { pieces: Vec::new(), seen: HashSet::new(), room: 2 * REFERENCE.max(total) };
        for index in likes.chain(all) {
            taken.take(&old.entries()[index as usize], |len| 0..len);
        }
        taken.pieces.into_iter().map(|piece| (piece.digest, piece.len)).collect()
    }

    /// Its bytes; `before` ends with what of the stream came before.
    pub fn load(&self, old: &Tree, contents: &dyn Contents, before: &[u8]) -> Result<Vec<u8>, PatchError> {
        let mut bytes = if self.paths { paths(old) } else { Vec::new() };
        bytes.truncate(REFERENCE as usize);
        let len = |pieces: &[Piece]| pieces.iter().map(|piece| (piece.end - piece.start) as usize).sum::<usize>();
        bytes.reserve_exact(len(&self.alike) + self.before as usize + len(&self.others));
        let add = |bytes: &mut Vec<u8>, pieces: &[Piece]| {
            for piece in pieces {
                let content = read(contents, &piece.digest, piece.len)?;
                bytes.extend_from_slice(&content[piece.start as usize..piece.end as usize]);
            }
            Ok::<_, PatchError>(())
        };
        add(&mut bytes, &self.alike)?;
        bytes.extend_from_slice(&before[before.len() - self.before as usize..]);
        add(&mut bytes, &self.others)?;
        Ok(bytes)
    }
}

/// Adds `part` to what of the stream came before; as much is kept as a reference may take.
pub(super) fn keep(before: &mut Vec<u8>, part: &[u8]) {
    before.extend_from_slice(part);
    let extra = before.len().saturating_sub(REFERENCE as usize);
    before.drain(..extra);
}
