//! Binary range coder, 32 bit, probabilities of 16 bit.
//!
//! Invariant: `2^24 <= range <= 2^32 - 1` before every decision. The interval of a 1 is
//! `floor(range * p / 2^16)`, which is at least 2^8 and less than `range` for 1 <= p <= 65535, so both
//! symbols always have room and the cost of a decision is `-log2 p` to within 2^-8 of a bit at worst
//! and 2^-16 on average. Carries are resolved in the encoder alone (after G. N. N. Martin, 1979, in the
//! form made common by LZMA); the decoder compares and subtracts. Bytes past the end of the payload
//! read as zero, so the encoder drops trailing zeros.

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
}

/// Number of [`Part`]s.
pub const PARTS: usize = 5;

const RENORMALISE_BELOW: u32 = 1 << 24;

#[inline]
fn split(range: u32, p: u32) -> u32 {
    ((u64::from(range) * u64::from(p)) >> 16) as u32
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
        Self { low: 0, range: u32::MAX, held: None, pending: 0, zeros: 0, sink }
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
        let end = self.low + u64::from(self.range) - 1;
        // As many low bits zero as the interval allows.
        let mut value = end;
        for bits in (0..=32).rev() {
            let candidate = end >> bits << bits;
            if candidate >= self.low {
                value = candidate;
                break;
            }
        }
        self.low = value;
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
    code: u32,
    buffer: heapless::Deque<u8, BUFFER>,
}

impl<const BUFFER: usize> Default for RangeDecoder<BUFFER> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const BUFFER: usize> RangeDecoder<BUFFER> {
    /// A decoder at the start of a payload.
    pub const fn new() -> Self {
        Self { range: 0, code: 0, buffer: heapless::Deque::new() }
    }

    /// Takes bytes from `input` while there is room; returns how many.
    pub fn push(&mut self, input: &[u8]) -> usize {
        let room = BUFFER - self.buffer.len();
        let n = room.min(input.len());
        for &byte in &input[..n] {
            // There is room: n is at most what is free.
            let _ = self.buffer.push_back(byte);
        }
        n
    }

    /// Bytes buffered and not yet consumed.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    #[inline]
    fn shift(&mut self) {
        self.code = self.code << 8 | u32::from(self.buffer.pop_front().unwrap_or(0));
    }
}

impl<const BUFFER: usize> Coder for RangeDecoder<BUFFER> {
    #[inline]
    fn code(&mut self, _bit: u32, p: u32) -> u32 {
        if self.range == 0 {
            self.range = u32::MAX;
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
