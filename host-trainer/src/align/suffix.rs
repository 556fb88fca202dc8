//! Longest matches of any pattern in a text, by suffix array.

use libsais::SuffixArrayConstruction;
use std::ops::Range;

/// Pairs of bytes.
const PAIRS: usize = 1 << 16;

/// A text and its suffix array.
pub struct SuffixIndex<'a> {
    text: &'a [u8],
    array: Vec<i32>,
    /// By two bytes, big-endian: the rank of the first suffix that is not below them; at the end, the number of
    /// suffixes. Most steps of a search through the array would only find these two bytes.
    pairs: Vec<u32>,
}

/// The longest match of a pattern: every suffix whose rank is in `ranks` starts with its first `len` bytes.
pub struct Match {
    /// Length in bytes.
    pub len: usize,
    /// Ranks in the suffix array.
    pub ranks: Range<usize>,
}

impl<'a> SuffixIndex<'a> {
    /// Sorts the suffixes of `text`, which is shorter than 2 GiB.
    pub fn new(text: &'a [u8]) -> Self {
        let array = if text.is_empty() {
            Vec::new()
        } else {
            SuffixArrayConstruction::for_text(text)
                .in_owned_buffer()
                .single_threaded()
                .run()
                .expect("libsais sorts any text of less than 2 GiB")
                .into_vec()
        };
        let mut pairs = vec![0; PAIRS + 1];
        for s in 0..text.len() {
            // The text's last byte sorts before all pairs that it starts.
            let pair = u16::from_be_bytes([text[s], text.get(s + 1).copied().unwrap_or(0)]);
            pairs[usize::from(pair) + 1] += 1;
        }
        for pair in 0..PAIRS {
            pairs[pair + 1] += pairs[pair];
        }
        Self { text, array, pairs }
    }

    /// Ranks of the suffixes that start as `pattern` does, with one byte fewer for the text's last.
    fn starting(&self, pattern: &[u8]) -> Range<usize> {
        match pattern.first_chunk() {
            Some(pair) => {
                let pair = usize::from(u16::from_be_bytes(*pair));
                self.pairs[pair] as usize..self.pairs[pair + 1] as usize
            }
            None => 0..self.array.len(),
        }
    }

    /// Where the suffix of this rank starts.
    pub fn start(&self, rank: usize) -> usize {
        self.array[rank] as usize
    }

    /// The longest match of a prefix of `pattern`, if it has at least `least` bytes; at most `most` are compared.
    pub fn longest(&self, pattern: &[u8], least: usize, most: usize) -> Option<Match> {
        let pattern = &pattern[..pattern.len().min(most)];
        let Range { start, end } = self.starting(pattern);
        let at = start + self.array[start..end].partition_point(|&s| &self.text[s as usize..] < pattern);
        let common = |rank: usize| -> usize {
            self.array
                .get(rank)
                .map_or(0, |&s| self.text[s as usize..].iter().zip(pattern).take_while(|(a, b)| a == b).count())
        };
        let before = at.checked_sub(1).map_or(0, common);
        let len = before.max(common(at));
        if len < least {
            return None;
        }
        let prefix = &pattern[..len];
        let head = |s: i32| {
            let t = &self.text[s as usize..];
            &t[..t.len().min(len)]
        };
        let Range { start, end } = self.starting(prefix);
        let low = start + self.array[start..end].partition_point(|&s| head(s) < prefix);
        let high = low + self.array[low..end].partition_point(|&s| head(s) == prefix);
        Some(Match { len, ranks: low..high })
    }
}
