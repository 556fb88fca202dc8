//! Binary range coder, 32 bit, probabilities of 16 bit.
//!
//! Invariant: `2^24 <= range <= 2^32 - 1` before every decision. The interval of a 1 is
//! `floor(range * p / 2^16)`, which is at least 2^8 and less than `range` for 1 <= p <= 65535, so both
//! symbols always have room and the cost of a decision is `-log2 p` to within 2^-8 of a bit at worst
//! and 2^-16 on average. Carries are resolved in the encoder alone (after G. N. N. Martin, 1979, in the
//! form made common by LZMA); the decoder compares and subtracts. Bytes past the end of the payload
//! read as zero, so the encoder drops trailing zeros.
//!
//! The same decisions have one payload: [`RangeEncoder::finish`] names one number of the last interval, and
//! [`RangeDecoder::ends_as_written`] tells it from the others.

/// Either end of the coder; the predictor is written once against it.
pub trait Coder {
    /// Codes one decision whose probability of a 1 is `p / 65536`, 1 <= p <= 65535. An encoder codes `bit`;
    /// a decoder ignores it. Returns the decision.
    fn code(&mut self, bit: u32, p: u32) -> u32;

    /// Says what the following decisions are about, for those who keep accounts.
    #[inline]
    fn account(&mut self, _part: Part) {}
}

/// What a decision is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// Alignment map.
    Map,
    /// Relocation model: instruction set, bases.
    Relocation,
    /// Hit flags.
    Hits,
    /// Bytes of units that were predicted wrongly.
    Misses,
    /// Bytes outside every segment.
    Inserted,
    /// Adapter of weights.
    Adapter,
    /// Differences of weights.
    Differences,
}

/// Number of [`Part`]s.
pub const PARTS: usize = 7;

const RENORMALISE_BELOW: u32 = 1 << 24;
/// Range before the first decision.
const WHOLE: u32 = u32::MAX;

#[inline]
fn split(range: u32, p: u32) -> u32 {
    ((u64::from(range) * u64::from(p)) >> 16) as u32
}

/// The number that a payload names of the interval `low..low + range`: the one with most low bits zero.
fn named(low: u64, range: u32) -> u64 {
    let end = low + u64::from(range) - 1;
    (0..=32).rev().map(|bits| end >> bits << bits).find(|&candidate| candidate >= low).unwrap_or(end)
}

/// Encoder; finished bytes go to `sink`.
#[derive(Debug)]
pub struct RangeEncoder<S> {
    /// Low end of the interval; bit 32 is a pending carry.
    low: u64,
    range: u32,
    /// Byte held back because a carry may still reach it, followed by `pending` bytes of 0xff.
    held: Option<u8>,
    pending: u32,
    /// Zero bytes not yet written: dropped when nothing else follows.
    zeros: u32,
    sink: S,
}

impl<S: FnMut(u8)> RangeEncoder<S> {
    /// A coder that hands its bytes to `sink`.
    pub fn new(sink: S) -> Self {
        Self { low: 0, range: WHOLE, held: None, pending: 0, zeros: 0, sink }
    }

    fn emit(&mut self, byte: u8) {
        if byte == 0 {
            self.zeros += 1;
            return;
        }
        for _ in 0..core::mem::take(&mut self.zeros) {
            (self.sink)(0);
        }
        (self.sink)(byte);
    }

    fn shift(&mut self) {
        let carry = (self.low >> 32) as u8;
        let top = (self.low >> 24) as u8;
        if carry == 0 && top == 0xff {
            self.pending += 1;
        } else {
            if let Some(held) = self.held {
                self.emit(held.wrapping_add(carry));
            }
            for _ in 0..core::mem::take(&mut self.pending) {
                self.emit(0xffu8.wrapping_add(carry));
            }
            self.held = Some(top);
        }
        self.low = (self.low & 0x00ff_ffff) << 8;
    }

    /// Writes the shortest string that names a number inside the interval, and returns the sink.
    pub fn finish(mut self) -> S {
        self.low = named(self.low, self.range);
        for _ in 0..5 {
            self.shift();
        }
        self.sink
    }
}

impl<S: FnMut(u8)> Coder for RangeEncoder<S> {
    #[inline]
    fn code(&mut self, bit: u32, p: u32) -> u32 {
        let bound = split(self.range, p);
        if bit != 0 {
            self.range = bound;
        } else {
            self.low += u64::from(bound);
            self.range -= bound;
        }
        while self.range < RENORMALISE_BELOW {
            self.range <<= 8;
            self.shift();
        }
        bit
    }
}

/// Decoder over bytes that the caller has buffered; see [`RangeDecoder::push`].
#[derive(Clone, Debug)]
pub struct RangeDecoder<const BUFFER: usize> {
    /// 0 before the first decision, when four bytes have to be taken in.
    range: u32,
    /// The payload's number less the low end of the interval.
    code: u32,
    /// The last four bytes taken in, zeros past the end included: the payload's number modulo 2^32.
    named: u32,
    /// Bytes `start..end` are buffered.
    buffer: [u8; BUFFER],
    start: usize,
    end: usize,
    /// The byte pushed last; 0 before the first one.
    last: u8,
}

impl<const BUFFER: usize> Default for RangeDecoder<BUFFER> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const BUFFER: usize> RangeDecoder<BUFFER> {
    /// A decoder at the start of a payload. All its bits are zero.
    pub const fn new() -> Self {
        Self { range: 0, code: 0, named: 0, buffer: [0; BUFFER], start: 0, end: 0, last: 0 }
    }

    /// Takes bytes from `input` while there is room; returns how many.
    pub fn push(&mut self, input: &[u8]) -> usize {
        let n = input.len().min(BUFFER - self.buffered());
        if n > BUFFER - self.end {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.buffered());
        }
        self.buffer[self.end..self.end + n].copy_from_slice(&input[..n]);
        self.end += n;
        if let Some(&last) = input[..n].last() {
            self.last = last;
        }
        n
    }

    /// Bytes buffered and not yet consumed.
    #[inline]
    pub fn buffered(&self) -> usize {
        self.end - self.start
    }

    /// Whether all that was pushed is, byte for byte, what an encoder of the decisions so far has written.
    pub fn ends_as_written(&self) -> bool {
        // Nothing was pushed, ever: what is pushed is only moved to the front when more follows.
        let nothing = self.end == 0;
        if nothing && self.range == 0 {
            return true;
        }
        // The encoder's low end may be 2^32 more, and its number with it.
        let low = u64::from(self.named.wrapping_sub(self.code));
        let is_whole = self.buffered() == 0 && self.range != 0;
        is_whole && (nothing || self.last != 0) && named(low, self.range) as u32 == self.named
    }

    #[inline]
    fn shift(&mut self) {
        let mut byte = 0;
        if self.start < self.end {
            byte = self.buffer[self.start];
            self.start += 1;
        }
        self.code = self.code << 8 | u32::from(byte);
        self.named = self.named << 8 | u32::from(byte);
    }
}

impl<const BUFFER: usize> Coder for RangeDecoder<BUFFER> {
    #[inline]
    fn code(&mut self, _bit: u32, p: u32) -> u32 {
        if self.range == 0 {
            self.range = WHOLE;
            for _ in 0..4 {
                self.shift();
            }
        }
        let bound = split(self.range, p);
        let bit = if self.code < bound {
            self.range = bound;
            1
        } else {
            self.code -= bound;
            self.range -= bound;
            0
        };
        while self.range < RENORMALISE_BELOW {
            self.range <<= 8;
            self.shift();
        }
        bit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probabilities from sure to even, in turn.
    const ODDS: [u32; 6] = [1 << 15, 65535, 1, 60000, 200, 40000];

    fn odds(i: usize) -> u32 {
        ODDS[i % ODDS.len()]
    }

    fn encode(decisions: &[u32]) -> Vec<u8> {
        let mut payload = Vec::new();
        let mut coder = RangeEncoder::new(|byte| payload.push(byte));
        for (i, &bit) in decisions.iter().enumerate() {
            coder.code(bit, odds(i));
        }
        let _sink = coder.finish();
        payload
    }

    /// So many decisions of `payload`, and whether it ends as an encoder ends.
    fn decode(payload: &[u8], decisions: usize) -> (Vec<u32>, bool) {
        let mut coder = RangeDecoder::<8>::new();
        let mut rest = payload;
        let found = (0..decisions).map(|i| {
            rest = &rest[coder.push(rest)..];
            coder.code(0, odds(i))
        });
        let found = found.collect();
        (found, rest.is_empty() && coder.ends_as_written())
    }

    /// Decisions number `seed` of a fixed sequence (xorshift32).
    fn decisions(seed: u32) -> Vec<u32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        };
        let len = next() % 70;
        let sure = next() & 1 == 0;
        // Likely ones and unlikely ones: the latter take many bytes.
        (0..len as usize).map(|i| if sure { u32::from(odds(i) > 1 << 14) } else { next() >> 7 & 1 }).collect()
    }

    #[test]
    fn what_was_written_is_read_and_ends_as_written() {
        for seed in 0..5000 {
            let decisions = decisions(seed);
            let payload = encode(&decisions);
            assert_ne!(payload.last(), Some(&0), "seed {seed}: a zero at the end");
            assert_eq!(decode(&payload, decisions.len()), (decisions, true), "seed {seed}");
        }
    }

    /// Another payload may name the same decisions, by another number of their interval or with bytes that do not
    /// matter: it never passes for what an encoder wrote.
    #[test]
    fn no_other_payload_ends_as_written() {
        let mut same_decisions = 0;
        for seed in 0..300 {
            let decisions = decisions(seed);
            let payload = encode(&decisions);
            let mut check = |other: &[u8]| {
                let (found, ends) = decode(other, decisions.len());
                assert!(!ends || found != decisions, "seed {seed}: {other:02x?} passes for {payload:02x?}");
                same_decisions += u32::from(found == decisions);
            };
            for byte in 0..=255 {
                check(&[&payload[..], &[byte]].concat());
                check(&[&payload[..], &[byte, byte]].concat());
                if let Some((&last, rest)) = payload.split_last()
                    && last != byte
                {
                    check(&[rest, &[byte]].concat());
                }
            }
            for len in 1..8 {
                check(&[&payload[..], &[0; 8][..len]].concat());
            }
        }
        assert!(same_decisions > 1000, "only {same_decisions} payloads were put to the test");
    }
}
