//! What this update has done so far: how units and addresses were rewritten.

/// One remembered rewriting.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    tag: u16,
    trust: u8,
    value: u32,
}

/// An associative memory old key -> new value of `N` entries (a power of two), directly mapped.
#[derive(Clone, Debug)]
pub(crate) struct Rewrites<const N: usize> {
    entries: [Entry; N],
    log2: u32,
}

/// Largest trust.
pub(crate) const MAX_TRUST: u8 = 3;

/// Mixes a key; the table index comes from the top bits, the tag from the low ones.
#[inline]
pub(crate) fn hash(a: u32, b: u32) -> u32 {
    let x = a.wrapping_mul(0x9e37_79b1) ^ b.wrapping_mul(0x85eb_ca6b);
    let x = (x ^ x >> 15).wrapping_mul(0xc2b2_ae35);
    x ^ x >> 13
}

/// Key of a unit without an address. Asked for every one of them, so it is no better a hash than it has to be.
#[inline]
pub(crate) fn key(unit: u32, len: u8) -> u32 {
    let x = (unit ^ u32::from(len)).wrapping_mul(0x9e37_79b1);
    (x ^ x >> 15) | 1
}

impl<const N: usize> Rewrites<N> {
    const EMPTY: Entry = Entry { tag: 0, trust: 0, value: 0 };

    pub(crate) const fn new() -> Self {
        Self { entries: [Self::EMPTY; N], log2: 0 }
    }

    /// Starts over with `2^log2` entries, at most `N`.
    pub(crate) fn start(&mut self, log2: u32) {
        self.entries.fill(Self::EMPTY);
        self.log2 = log2;
    }

    fn place(&self, key: u32) -> (usize, u16) {
        ((key >> (32 - self.log2)) as usize, (key as u16).max(1))
    }

    /// The value for `key` and how far to trust it, 0..=[`MAX_TRUST`].
    #[inline]
    pub(crate) fn get(&self, key: u32) -> Option<(u32, u8)> {
        let (i, tag) = self.place(key);
        let entry = &self.entries[i];
        (entry.tag == tag).then_some((entry.value, entry.trust))
    }

    /// Learns that `key` was rewritten to `value`.
    pub(crate) fn learn(&mut self, key: u32, value: u32) {
        let (i, tag) = self.place(key);
        let entry = &mut self.entries[i];
        if entry.tag == tag && entry.value == value {
            entry.trust = (entry.trust + 1).min(MAX_TRUST);
        } else if entry.tag == tag || entry.trust == 0 {
            *entry = Entry { tag, trust: u8::from(entry.tag == 0), value };
        } else {
            // Somebody else's place, and trusted: it has to lose that first.
            entry.trust -= 1;
        }
    }
}

/// Displacements of words that look like addresses but lie in no region: variables in RAM, mostly.
#[derive(Clone, Debug)]
pub(crate) struct Neighbours<const N: usize> {
    words: [(u32, u32); N],
    used: usize,
    next: usize,
}

/// Words farther apart than this say nothing about each other.
const REACH: u32 = 1 << 16;

impl<const N: usize> Neighbours<N> {
    pub(crate) const fn new() -> Self {
        Self { words: [(0, 0); N], used: 0, next: 0 }
    }

    /// The displacement of the nearest word seen, and the logarithm of its distance (0..=16).
    pub(crate) fn nearest(&self, word: u32) -> Option<(u32, u32)> {
        let mut best = None;
        let mut least = REACH;
        for &(seen, displacement) in &self.words[..self.used] {
            let distance = (seen.wrapping_sub(word) as i32).unsigned_abs();
            if distance < least {
                least = distance;
                best = Some(displacement);
            }
        }
        best.map(|displacement| (displacement, 32 - least.leading_zeros()))
    }

    /// Learns that `old` became `new`.
    pub(crate) fn learn(&mut self, old: u32, new: u32) {
        let displacement = new.wrapping_sub(old);
        if (displacement as i32).unsigned_abs() >= REACH {
            return;
        }
        if let Some(entry) = self.words[..self.used].iter_mut().find(|entry| entry.0 == old) {
            entry.1 = displacement;
            return;
        }
        self.words[self.next] = (old, displacement);
        self.next = (self.next + 1) % N;
        self.used = (self.used + 1).min(N);
    }
}
