//! Deals the new contents out to groups. Only the sender does: the plan says what came of it.
//!
//! A container finds repeats inside itself only as far as the codec's memory goes, and a repeat costs more there than one
//! of a content that its map can point to. So contents that share much with each other, and little with old ones, go to
//! groups that follow each other. A large binary has its own, where its instruction set is found.

use std::collections::{HashMap, HashSet};

use super::GROUP;
use super::plan::MAX_GROUPS;

/// Bytes that are hashed together.
const WINDOW: usize = 32;
/// One of so many windows is looked at, chosen by its hash; a power of two.
pub(in crate::tree) const SAMPLED: u64 = 8;
/// Contents that share at least so many bytes go to different groups.
const SHARED: u64 = 12 << 10;
/// Smaller binaries go with others.
const LEAST_BINARY: usize = 4096;
/// Bytes at the start of a content by which it is told whether it is text.
const PROBE: usize = 8192;
/// Groups of text that follow each other, at most.
const MAX_ROUNDS: usize = 8;
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hashes of some windows of `bytes`: the same in all contents that hold the window.
pub(in crate::tree) fn samples(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let out_factor = (0..WINDOW).fold(1_u64, |power, _| power.wrapping_mul(FACTOR));
    let mut hash = 0_u64;
    bytes.iter().enumerate().filter_map(move |(i, &byte)| {
        hash = hash.wrapping_mul(FACTOR).wrapping_add(u64::from(byte) + 1);
        if let Some(out) = i.checked_sub(WINDOW) {
            hash = hash.wrapping_sub(out_factor.wrapping_mul(u64::from(bytes[out]) + 1));
        }
        let mixed = hash ^ hash >> 29;
        (i + 1 >= WINDOW && mixed.wrapping_mul(FACTOR) >> 32 & (SAMPLED - 1) == 0).then_some(mixed)
    })
}

/// Whether a content looks like text.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    !bytes[..bytes.len().min(PROBE)].contains(&0)
}

/// Sorts contents into groups, in the order in which they come.
#[derive(Default)]
pub(super) struct Grouping {
    old: HashSet<u64>,
    /// By the hash of a window: the last round of text that has it, from 0.
    rounds: HashMap<u64, u32>,
    /// Bytes of each group so far; and what it is.
    groups: Vec<(u64, Kind)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text(usize),
    SmallBinary,
    Binary,
}

impl Grouping {
    /// Windows of an old content need no other group.
    pub fn learn_old(&mut self, bytes: &[u8]) {
        self.old.extend(samples(bytes));
    }

    /// A number for the group of the next content; [`Grouping::order`] tells where the group stands.
    pub fn place(&mut self, bytes: &[u8]) -> usize {
        let kind = if is_text(bytes) {
            Kind::Text(self.round(bytes))
        } else if bytes.len() < LEAST_BINARY {
            Kind::SmallBinary
        } else {
            Kind::Binary
        };
        let len = bytes.len() as u64;
        let full = self.groups.len() as u64 > MAX_GROUPS / 2;
        let fits = |(used, other): &(u64, Kind)| {
            let same = kind == *other && kind != Kind::Binary || full && other == &Kind::Binary && kind == Kind::Binary;
            same && used + len <= GROUP
        };
        let place = self.groups.iter().rposition(fits).unwrap_or_else(|| {
            self.groups.push((0, kind));
            self.groups.len() - 1
        });
        self.groups[place].0 += len;
        place
    }

    fn round(&mut self, bytes: &[u8]) -> usize {
        let novel: Vec<u64> = samples(bytes).filter(|hash| !self.old.contains(hash)).collect();
        let mut shared = [0_u64; MAX_ROUNDS];
        for round in novel.iter().filter_map(|hash| self.rounds.get(hash)) {
            shared[*round as usize] += SAMPLED;
        }
        // A window counts for its last round alone: what is shared with this one or a later one.
        let mut round = MAX_ROUNDS;
        let mut sum = 0;
        while round > 0 && sum + shared[round - 1] < SHARED {
            sum += shared[round - 1];
            round -= 1;
        }
        let round = round.min(MAX_ROUNDS - 1);
        for hash in novel {
            let last = self.rounds.entry(hash).or_insert(round as u32);
            *last = (*last).max(round as u32);
        }
        round
    }

    /// The groups' numbers in the stream: text by its rounds, then small binaries, then the others.
    pub fn order(&self) -> Vec<u32> {
        let mut places: Vec<usize> = (0..self.groups.len()).collect();
        places.sort_by_key(|&place| match self.groups[place].1 {
            Kind::Text(round) => (round, place),
            Kind::SmallBinary => (MAX_ROUNDS, place),
            Kind::Binary => (MAX_ROUNDS + 1, place),
        });
        let mut order = vec![0; places.len()];
        for (number, place) in (0..).zip(places) {
            order[place] = number;
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_found_again_wherever_they_stand() {
        let text: Vec<u8> = (0..4000_u32).map(|i| (i * i >> 7) as u8).collect();
        let all: HashSet<u64> = samples(&text).collect();
        assert!(all.len() > 300, "{}", all.len());
        assert!(samples(&text[777..]).all(|hash| all.contains(&hash)));
    }

    #[test]
    fn contents_that_share_much_follow_each_other() {
        let noise = |seed: u64, len: usize| -> Vec<u8> {
            let mut state = seed;
            let next = || {
                state = state.wrapping_mul(FACTOR).wrapping_add(seed);
                (state >> 40) as u8 | 1
            };
            std::iter::repeat_with(next).take(len).collect()
        };
        let (a, b, old) = (noise(1, 40_000), noise(2, 40_000), noise(3, 40_000));
        let mut grouping = Grouping::default();
        grouping.learn_old(&old);
        let places: Vec<usize> = [&a, &old, &b, &old, &a, &a].map(|content| grouping.place(content)).to_vec();
        assert_eq!(places, [0, 0, 0, 0, 1, 2]);
        let binary = grouping.place(&[0; 5000]);
        let small = grouping.place(&[0; 50]);
        assert_eq!((grouping.order()[binary], grouping.order()[small]), (4, 3));
    }
}
