//! Adaptive probabilities.

use super::logistic::{stretch_12, stretch_16};

/// A context slot in 16 bit: a 12-bit probability above a 4-bit count of observations.
///
/// The first observations move it fast, later ones slowly; the count also says how far to trust it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u16);

/// How far a slot moves, Q16, after `count` observations: `1 / (count + 1.4)`, floored by the limit.
const SLOT_RATE: [u16; 16] =
    [46811, 27306, 19275, 14894, 12136, 10240, 8856, 7801, 6971, 6301, 5748, 5285, 4890, 4551, 4255, 3996];

impl Slot {
    /// All bits zero: what tables hold before they are started.
    pub const ZERO: Self = Self(0);

    /// Nothing seen yet.
    pub const NEW: Self = Self(2048 << 4);

    /// A slot that starts at `p` (12 bit) as if it had seen `count` (at most 15) bits.
    pub const fn new(p: u16, count: u16) -> Self {
        Self((p & 4095) << 4 | count & 15)
    }

    /// The slot as 16 bits.
    pub const fn to_bits(self) -> u16 {
        self.0
    }

    /// The slot of 16 bits.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Observations so far, at most 15.
    #[inline]
    pub fn count(self) -> u32 {
        u32::from(self.0 & 15)
    }

    /// Probability, 16 bit.
    #[inline]
    pub fn p(self) -> u32 {
        u32::from(self.0 >> 4) << 4 | 8
    }

    /// Logit of the probability, Q8.
    #[inline]
    pub fn logit(self) -> i32 {
        stretch_12(self.0 >> 4)
    }

    /// Learns `bit`; the count stops at `limit` (at most 15).
    #[inline]
    pub fn learn(&mut self, bit: u32, limit: u32) {
        let count = self.count();
        let p = i32::from(self.0 >> 4);
        let goal = if bit != 0 { 4095 } else { 0 };
        let rate = i32::from(SLOT_RATE[count as usize]);
        let p = p + (((goal - p) * rate + (1 << 15)) >> 16);
        let count = if count < limit { count + 1 } else { limit };
        self.0 = (p as u16) << 4 | count as u16;
    }
}

/// A counter for very skewed decisions: a 22-bit probability above a 10-bit count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FineCounter(u32);

impl FineCounter {
    /// All bits zero: what tables hold before they are started.
    pub const ZERO: Self = Self(0);

    /// A counter that starts at `p` (16 bit) as if it had seen `count` decisions.
    pub const fn new(p: u16, count: u16) -> Self {
        Self((p as u32) << 16 | (count & 1023) as u32)
    }

    /// The counter as 32 bits.
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// The counter of 32 bits.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Probability, 16 bit, at least 1.
    #[inline]
    pub fn p(self) -> u32 {
        (self.0 >> 16).max(1)
    }

    /// Observations so far.
    #[inline]
    pub fn count(self) -> u32 {
        self.0 & 1023
    }

    /// Logit of the probability, Q8.
    #[inline]
    pub fn logit(self) -> i32 {
        stretch_16(self.p())
    }

    /// Learns `bit`; the count stops at `limit` (at most 1023), so the last rate is `1 / (limit + 1.5)`.
    #[inline]
    pub fn learn(&mut self, bit: u32, limit: u32) {
        let count = self.count();
        let p = (self.0 >> 10) as i32;
        let goal = if bit != 0 { (1 << 22) - 1 } else { 0 };
        // 1 / (count + 1.5), in Q16.
        let rate = (1 << 17) / (2 * count as i32 + 3);
        let p = p + ((i64::from(goal - p) * i64::from(rate)) >> 16) as i32;
        let count = if count < limit { count + 1 } else { count };
        self.0 = (p as u32) << 10 | count;
    }
}
