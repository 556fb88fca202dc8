//! Link addresses, found by voting.
//!
//! A pointer word `a` of the old image that reads `b` in the new one has moved by `b - a`. If some
//! segment of the map moved by just as much, the pointer's target may lie in it: every base address
//! that would put the target there gets a vote, an interval of them per segment. The base with most
//! votes wins. No alignment of the base is assumed.

use codec_core::delta::map::Segment;
use std::collections::HashMap;

/// A pair of words at corresponding places that differ.
#[derive(Clone, Copy, Debug)]
pub struct Changed {
    /// Old word.
    pub old: u32,
    /// New word.
    pub new: u32,
}

/// All pairs of words at corresponding places, aligned in the old image.
pub fn words<'a>(old: &'a [u8], new: &'a [u8], segments: &'a [Segment]) -> impl Iterator<Item = (u32, u32)> + 'a {
    fn word(file: &[u8], at: u32) -> Option<u32> {
        let at = at as usize;
        file.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }
    segments.iter().flat_map(move |s| {
        let first = s.old.next_multiple_of(4);
        (first..s.old_end().saturating_sub(3))
            .step_by(4)
            .filter_map(move |at| Some((word(old, at)?, word(new, at - s.old + s.new)?)))
    })
}

/// The words that differ between corresponding places.
pub fn changed_words(old: &[u8], new: &[u8], segments: &[Segment]) -> Vec<Changed> {
    words(old, new, segments).filter(|(a, b)| a != b).map(|(old, new)| Changed { old, new }).collect()
}

/// The segments by how far they moved: their new offset less their old one, wrapping. A file of code has tens of
/// thousands of changed words and thousands of segments, so asking every segment about every word would take seconds.
pub struct ByShift(HashMap<u32, Vec<Segment>>);

impl ByShift {
    /// Sorts the segments in.
    pub fn new(segments: &[Segment]) -> Self {
        let mut by_shift: HashMap<u32, Vec<Segment>> = HashMap::new();
        for s in segments {
            by_shift.entry(s.new.wrapping_sub(s.old)).or_default().push(*s);
        }
        Self(by_shift)
    }

    /// The segments that moved as the word did, when its target's part moved in memory by `slide` less.
    fn like(&self, c: &Changed, slide: u32) -> &[Segment] {
        self.0.get(&c.new.wrapping_sub(c.old).wrapping_add(slide)).map_or(&[], |segments| segments)
    }

    /// Whether some base address could explain the word, at one of these slides.
    pub fn can_explain(&self, c: &Changed, slides: &[u32]) -> bool {
        slides.iter().any(|&slide| !self.like(c, slide).is_empty())
    }

    /// The `most` shifts other than 0 that most bytes share.
    pub fn longest(&self, most: usize) -> Vec<u32> {
        let shared = |segments: &[Segment]| segments.iter().map(|s| u64::from(s.len)).sum::<u64>();
        let mut shifts: Vec<(u64, u32)> =
            self.0.iter().filter(|s| *s.0 != 0).map(|(&shift, segments)| (shared(segments), shift)).collect();
        shifts.sort_unstable_by_key(|&(len, shift)| (std::cmp::Reverse(len), shift));
        shifts.into_iter().take(most).map(|s| s.1).collect()
    }
}

/// A link address found, and how well it is supported.
#[derive(Clone, Copy, Debug)]
pub struct Base {
    /// Address of offset 0 of the old image.
    pub old: u32,
    /// Address of offset 0 of the new file, wrapping.
    pub new: u32,
    /// Changed words that it explains.
    pub votes: usize,
}

/// Bases this near the winner, and almost as well supported, may be chosen in its place when they are rounder.
const NEIGHBOURHOOD: u32 = 4096;

/// The base with the most votes, when pointers into the part moved by `slide` less than the part itself.
pub fn vote(changed: &[Changed], segments: &ByShift, slide: u32) -> Option<Base> {
    // +1 where an interval of bases starts, -1 where it ends.
    let mut edges: Vec<(u32, i32)> = Vec::new();
    let mut votes = 0;
    for c in changed {
        for s in segments.like(c, slide) {
            let target = c.old & !1;
            let low = target.wrapping_sub(s.old_end() - 1);
            let high = target.wrapping_sub(s.old);
            edges.push((low, 1));
            if let Some(end) = high.checked_add(1) {
                edges.push((end, -1));
            }
            // An interval that wraps holds base 0 from the start.
            votes += i32::from(low > high);
        }
    }
    edges.sort_unstable();
    let mut levels = vec![(0u32, votes)];
    for (base, change) in edges {
        votes += change;
        match levels.last_mut() {
            Some(last) if last.0 == base => last.1 = votes,
            _ => levels.push((base, votes)),
        }
    }
    let &(winner, best) = levels.iter().max_by_key(|level| level.1)?;
    if best <= 0 {
        return None;
    }
    let mut candidates: Vec<u32> = Vec::new();
    for (i, &(low, votes)) in levels.iter().enumerate() {
        let high = levels.get(i + 1).map_or(u32::MAX, |next| next.0 - 1);
        let near = low.wrapping_sub(winner).wrapping_add(NEIGHBOURHOOD) <= 2 * NEIGHBOURHOOD
            || high.wrapping_sub(winner).wrapping_add(NEIGHBOURHOOD) <= 2 * NEIGHBOURHOOD;
        if near && i64::from(votes) * 100 >= i64::from(best) * 97 {
            candidates.push(roundest(low, high));
        }
    }
    let old = candidates.into_iter().max_by_key(|c| c.trailing_zeros())?;
    Some(Base { old, new: old.wrapping_sub(slide), votes: best as usize })
}

/// Whether `base` explains how the word changed.
pub fn explains(base: &Base, c: &Changed, segments: &ByShift) -> bool {
    let offset = (c.old & !1).wrapping_sub(base.old);
    segments.like(c, base.old.wrapping_sub(base.new)).iter().any(|s| s.holds_old(offset))
}

/// The number in `low..=high` with the most trailing zero bits.
fn roundest(low: u32, high: u32) -> u32 {
    for zeros in (0..32).rev() {
        let step = 1u64 << zeros;
        let candidate = u64::from(low).next_multiple_of(step);
        if candidate <= u64::from(high) {
            return candidate as u32;
        }
    }
    low
}
