//! Longest matches of any pattern in a text, by suffix array.

use libsais::SuffixArrayConstruction;

/// A text and its suffix array.
pub struct SuffixIndex<'a> {
    text: &'a [u8],
    array: Vec<i32>,
}

/// The longest match of a pattern: every suffix whose rank is in `ranks` starts with its first `len` bytes.
pub struct Match {
    /// Length in bytes.
    pub len: usize,
    /// Ranks in the suffix array.
    pub ranks: std::ops::Range<usize>,
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
        Self { text, array }
    }

    /// Where the suffix of this rank starts.
    pub fn start(&self, rank: usize) -> usize {
        self.array[rank] as usize
    }

    /// The longest match of a prefix of `pattern`, if it has at least `least` bytes; at most `most` are compared.
    pub fn longest(&self, pattern: &[u8], least: usize, most: usize) -> Option<Match> {
        let pattern = &pattern[..pattern.len().min(most)];
        let at = self.array.partition_point(|&s| &self.text[s as usize..] < pattern);
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
        let low = self.array.partition_point(|&s| head(s) < prefix);
        let high = low + self.array[low..].partition_point(|&s| head(s) == prefix);
        Some(Match { len, ranks: low..high })
    }
}
