//! The alignment map: which stretch of the new file continues which stretch of the old one.

use crate::Error;
use crate::entropy::Coder;
use crate::entropy::number::{NumberModel, unzigzag, zigzag};
use crate::predict::Files;
use crate::predict::prior::{Load, Visitor};

/// `new[new..new + len]` is predicted from `old[old..old + len]`. All in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Segment {
    /// Start in the new file.
    pub new: u32,
    /// Start in the old image.
    pub old: u32,
    /// Length, at least 1.
    pub len: u32,
}

impl Segment {
    /// End in the new file.
    pub const fn new_end(&self) -> u32 {
        self.new + self.len
    }

    /// End in the old image.
    pub const fn old_end(&self) -> u32 {
        self.old + self.len
    }

    /// Whether the old offset lies inside.
    #[inline]
    pub const fn holds_old(&self, offset: u32) -> bool {
        offset.wrapping_sub(self.old) < self.len
    }
}

/// How an old offset was mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapped {
    /// The offset lies in a segment.
    Inside(u32),
    /// No segment holds it; the nearest one's displacement was used.
    Near(u32),
}

/// Words of 16 bit that one segment takes in a [`Map`].
pub const SEGMENT_WORDS: usize = 7;

/// Segments in the order of the new file, and their order in the old image, in the first words of a memory whose rest
/// is free for others: a map takes as much of it as it has segments.
#[derive(Clone, Debug)]
pub struct Map<W> {
    /// For each of `room` segments its number, in the order of the old image; then the segments, three numbers of two
    /// words each, low word first.
    words: W,
    room: usize,
    len: usize,
}

/// Probability that the last segment ends where one of the files does.
const TO_THE_END: u32 = 61440;

/// Adaptive state of the map's code.
#[derive(Clone, Debug)]
pub struct MapModel {
    gap: NumberModel,
    len: NumberModel,
    jump: [NumberModel; 2],
    count: NumberModel,
    previous: Segment,
}

impl MapModel {
    /// A model that must be started before use: all bits are zero.
    pub const fn zero() -> Self {
        let number = const { NumberModel::zero() };
        let previous = Segment { new: 0, old: 0, len: 0 };
        let (len, count) = (NumberModel::zero(), NumberModel::zero());
        Self { gap: NumberModel::zero(), len, jump: [const { NumberModel::zero() }, number], count, previous }
    }

    /// A model that starts from this prior.
    pub fn new(prior: &[u8]) -> Self {
        let mut model = Self::zero();
        model.start();
        model.visit(&mut Load(prior));
        model
    }

    /// Walks through what the prior brings: it stands at its beginning.
    pub fn visit(&mut self, visitor: &mut impl Visitor) {
        let [jump, jump_after_gap] = &mut self.jump;
        for number in [&mut self.count, &mut self.gap, jump, jump_after_gap, &mut self.len] {
            number.visit("map", visitor);
        }
    }

    /// Forgets everything.
    pub fn start(&mut self) {
        let [jump, jump_after_gap] = &mut self.jump;
        for number in [&mut self.gap, &mut self.len, jump, jump_after_gap, &mut self.count] {
            number.start();
        }
        self.previous = Segment::default();
    }

    /// Bits that one segment can take at most.
    pub const MAX_BITS: usize = 3 * crate::entropy::number::MAX_BITS + 5;

    /// Codes the number of segments.
    pub fn code_count<C: Coder>(&mut self, coder: &mut C, count: u32) -> u32 {
        self.count.code(coder, count)
    }

    /// Codes the segment after the one coded last; an encoder passes it, a decoder passes anything. Of the last one of
    /// a map, a flag says whether it goes on to the end of one of the files: then `ends`, their lengths, tell its own.
    /// The result is not checked: [`Map::push`] does.
    pub fn code<C: Coder>(&mut self, coder: &mut C, segment: Segment, ends: Option<Files>) -> Segment {
        let (new_end, old_end) =
            (self.previous.new.wrapping_add(self.previous.len), self.previous.old.wrapping_add(self.previous.len));
        let gap = self.gap.code(coder, segment.new.wrapping_sub(new_end));
        let jump = zigzag(segment.old.wrapping_sub(old_end) as i32);
        let jump = unzigzag(self.jump[usize::from(gap != 0)].code(coder, jump));
        let (new, old) = (new_end.wrapping_add(gap), old_end.wrapping_add(jump as u32));
        let room = ends.map(|files| files.new_len.saturating_sub(new).min(files.old_len.saturating_sub(old)));
        let whole = room.filter(|room| coder.code(u32::from(segment.len == *room), TO_THE_END) == 1);
        let len = whole.unwrap_or_else(|| self.len.code(coder, segment.len.wrapping_sub(1)).wrapping_add(1));
        self.previous = Segment { new, old, len };
        self.previous
    }
}

impl<W> Map<W> {
    /// An empty map without room.
    pub const fn new(words: W) -> Self {
        Self { words, room: 0, len: 0 }
    }
}

impl<W: AsRef<[u16]>> Map<W> {
    /// Segments that stand in the map.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no segments.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The segment of this number, in the order of the new file.
    #[inline]
    pub fn get(&self, number: usize) -> Option<Segment> {
        (number < self.len).then(|| {
            let at = self.room + number * (SEGMENT_WORDS - 1);
            Segment { new: self.number(at), old: self.number(at + 2), len: self.number(at + 4) }
        })
    }

    #[inline]
    fn number(&self, at: usize) -> u32 {
        match self.words.as_ref().get(at..at + 2) {
            Some(&[low, high]) => u32::from(low) | u32::from(high) << 16,
            _ => 0,
        }
    }

    /// Segments that start at or before the old offset.
    #[inline]
    fn rank(&self, old: u32) -> usize {
        let by_old = &self.words.as_ref()[..self.len];
        by_old.partition_point(|&i| self.number(self.room + usize::from(i) * (SEGMENT_WORDS - 1) + 2) <= old)
    }

    /// Where the old offset went. `None` when the map is empty.
    #[inline]
    pub fn map(&self, old: u32) -> Option<Mapped> {
        let after = self.rank(old);
        let segment = |rank: usize| self.words.as_ref()[..self.len].get(rank).and_then(|&i| self.get(usize::from(i)));
        let moved = |s: Segment| old.wrapping_sub(s.old).wrapping_add(s.new);
        // Segments may overlap in the old image; look a few starts back for one that holds the offset.
        for back in 1..=4 {
            match after.checked_sub(back).and_then(segment) {
                Some(s) if s.holds_old(old) => return Some(Mapped::Inside(moved(s))),
                Some(_) => {}
                None => break,
            }
        }
        let (before, behind) = (after.checked_sub(1).and_then(segment), segment(after));
        match (before, behind) {
            (Some(b), Some(n)) if n.old - old <= old - b.old_end() => Some(Mapped::Near(moved(n))),
            (Some(b), _) => Some(Mapped::Near(moved(b))),
            (None, Some(n)) => Some(Mapped::Near(moved(n))),
            (None, None) => None,
        }
    }
}

impl<W: AsRef<[u16]> + AsMut<[u16]>> Map<W> {
    /// Empties the map and makes room for so many segments.
    ///
    /// # Errors
    /// [`Error::OverBudget`] when the memory does not hold them.
    pub fn reserve(&mut self, segments: usize) -> Result<(), Error> {
        let limit = (self.words.as_ref().len() / SEGMENT_WORDS).min(usize::from(u16::MAX));
        if segments > limit {
            let (requested, limit) = (segments as u64, limit as u64);
            return Err(Error::OverBudget { field: "segments", requested, limit });
        }
        (self.room, self.len) = (segments, 0);
        Ok(())
    }

    /// The words behind the map's room.
    #[inline]
    pub fn rest(&mut self) -> &mut [u16] {
        let taken = self.room * SEGMENT_WORDS;
        &mut self.words.as_mut()[taken..]
    }

    /// Appends a segment.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when it is empty, overlaps the one before it, or leaves a file;
    /// [`Error::OverBudget`] when the room is full.
    pub fn push(&mut self, segment: Segment, old_len: u32, new_len: u32) -> Result<(), Error> {
        let start = self.len.checked_sub(1).and_then(|last| self.get(last)).map_or(0, |s| s.new_end());
        let found = |field, value: u32, limit: u32| Error::OutOfRange {
            field,
            found: u64::from(value),
            limit: u64::from(limit),
        };
        if segment.new < start || segment.new >= new_len {
            return Err(found("map.new", segment.new, new_len));
        }
        if segment.old >= old_len {
            return Err(found("map.old", segment.old, old_len));
        }
        let room = (new_len - segment.new).min(old_len - segment.old);
        if segment.len == 0 || segment.len > room {
            return Err(found("map.len", segment.len, room));
        }
        if self.len == self.room {
            let limit = self.room as u64;
            return Err(Error::OverBudget { field: "segments", requested: limit + 1, limit });
        }
        let (rank, number) = (self.rank(segment.old), self.len);
        let at = self.room + number * (SEGMENT_WORDS - 1);
        let words = self.words.as_mut();
        words.copy_within(rank..number, rank + 1);
        words[rank] = number as u16;
        for (i, value) in [segment.new, segment.old, segment.len].into_iter().enumerate() {
            words[at + 2 * i] = value as u16;
            words[at + 2 * i + 1] = (value >> 16) as u16;
        }
        self.len += 1;
        Ok(())
    }
}
