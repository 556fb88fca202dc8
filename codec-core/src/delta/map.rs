//! The alignment map: which stretch of the new file continues which stretch of the old one.

use crate::Error;
use crate::entropy::Coder;
use crate::entropy::number::{NumberModel, unzigzag, zigzag};

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
}

/// How an old offset was mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapped {
    /// The offset lies in a segment.
    Inside(u32),
    /// No segment holds it; the nearest one's displacement was used.
    Near(u32),
}

/// At most `N` segments in the order of the new file, and their order in the old image.
#[derive(Clone, Debug, Default)]
pub struct Map<const N: usize> {
    segments: heapless::Vec<Segment, N>,
    by_old: heapless::Vec<u16, N>,
}

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

    /// A model that has seen nothing.
    pub fn new() -> Self {
        let mut model = Self::zero();
        model.start();
        model
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
    pub const MAX_BITS: usize = 3 * crate::entropy::number::MAX_BITS;

    /// Codes the number of segments.
    pub fn code_count<C: Coder>(&mut self, coder: &mut C, count: u32) -> u32 {
        self.count.code(coder, count)
    }

    /// Codes the segment after the one coded last; an encoder passes it, a decoder passes anything.
    /// The result is not checked: [`Map::push`] does.
    pub fn code<C: Coder>(&mut self, coder: &mut C, segment: Segment) -> Segment {
        let (new_end, old_end) =
            (self.previous.new.wrapping_add(self.previous.len), self.previous.old.wrapping_add(self.previous.len));
        let gap = self.gap.code(coder, segment.new.wrapping_sub(new_end));
        let jump = zigzag(segment.old.wrapping_sub(old_end) as i32);
        let jump = unzigzag(self.jump[usize::from(gap != 0)].code(coder, jump));
        let len = self.len.code(coder, segment.len.wrapping_sub(1));
        self.previous = Segment {
            new: new_end.wrapping_add(gap),
            old: old_end.wrapping_add(jump as u32),
            len: len.wrapping_add(1),
        };
        self.previous
    }
}

impl Default for MapModel {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Map<N> {
    /// An empty map.
    pub const fn new() -> Self {
        Self { segments: heapless::Vec::new(), by_old: heapless::Vec::new() }
    }

    /// The segments, in the order of the new file.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Appends a segment.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when it is empty, overlaps the one before it, or leaves a file;
    /// [`Error::OverBudget`] when the map is full.
    pub fn push(&mut self, segment: Segment, old_len: u32, new_len: u32) -> Result<(), Error> {
        let start = self.segments.last().map_or(0, Segment::new_end);
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
        let over = Error::OverBudget { field: "segments", requested: N as u64 + 1, limit: N as u64 };
        if N > usize::from(u16::MAX) {
            return Err(over);
        }
        let segments = &self.segments;
        let place = self.by_old.partition_point(|&i| segments[usize::from(i)].old <= segment.old);
        let number = segments.len() as u16;
        self.by_old.insert(place, number).map_err(|_| over)?;
        self.segments.push(segment).map_err(|_| over)
    }

    /// Where the old offset went. `None` when the map is empty.
    #[inline]
    pub fn map(&self, old: u32) -> Option<Mapped> {
        let after = self.by_old.partition_point(|&i| self.segments[usize::from(i)].old <= old);
        let segment = |rank: usize| self.by_old.get(rank).map(|&i| &self.segments[usize::from(i)]);
        let moved = |s: &Segment| old.wrapping_sub(s.old).wrapping_add(s.new);
        // Segments may overlap in the old image; look a few starts back for one that holds the offset.
        for back in 1..=4 {
            match after.checked_sub(back).and_then(segment) {
                Some(s) if old - s.old < s.len => return Some(Mapped::Inside(moved(s))),
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
