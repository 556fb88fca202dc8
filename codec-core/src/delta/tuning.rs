//! New weights from old ones, range coded: FORMAT.md, section 6.8.
//!
//! A weight is coded as the difference of two order-preserving codes ([`Element::code`]): its own, and what an adapter
//! makes of the old weight's. The adapter is sent with it, weight by weight, so nothing of it is kept but the step of one
//! block: [`WeightCode`] is all the memory that either end needs, whatever the file.

use super::weights::Element;
use crate::Error;
use crate::entropy::Coder;
use crate::entropy::number::{unzigzag, zigzag};
use crate::entropy::range::Part;
use crate::mix::mixer::WEIGHT_ONE;
use crate::mix::{FineCounter, Mixer, squash};

/// Weights that share the step of a sparse adapter.
pub const GROUP: u32 = 128;
/// Weights of which a sparse adapter keeps [`KEPT`].
pub const FOUR: u32 = 4;
/// Of four.
pub const KEPT: u32 = 2;
/// Most bits of the codes of a sparse adapter.
pub const MOST_BITS: u32 = 4;
/// Largest base-2 logarithm of the block of a bitdelta adapter.
pub const MOST_LOG2: u32 = 31;

/// What is added to the code of every old weight before differences are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adapter {
    /// Nothing.
    None,
    /// The step or its negative, with a step for each block (Liu et al., "BitDelta", 2024).
    Bitdelta {
        /// Base-2 logarithm of the weights in a block, at most [`MOST_LOG2`].
        block_log2: u32,
    },
    /// Odd numbers of half steps for two weights of four, nothing for the others, with a step for each [`GROUP`]
    /// (Yao et al., "DeltaZip", 2023).
    Sparse {
        /// Bits of a code, 1 to [`MOST_BITS`].
        bits: u32,
    },
}

/// What stands before the first weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the files hold.
    pub element: Element,
    /// Adapter of the old file.
    pub adapter: Adapter,
}

impl Default for Head {
    fn default() -> Self {
        Self { element: Element::I8, adapter: Adapter::None }
    }
}

/// What an encoder says of one weight. What the adapter has no use for is ignored, and so is all of it in a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Said {
    /// The new weight, in the low bits.
    pub new: u32,
    /// Step of the block or group that starts here.
    pub step: u32,
    /// Whether the weight is one of the two of four. Where only one answer is left, it is taken.
    pub kept: bool,
    /// Code of a weight that is kept, or that has to be: of as many bits as the adapter says, so from -8 to 7 at most. Of
    /// bitdelta: -1 or 0, for a difference below or above zero.
    pub code: i32,
}

const EVEN: u32 = 1 << 15;
/// Bounds of the probabilities: a decision costs at most 11 bits, and a little for rounding.
const LEAST: u32 = 32;
const MOST: u32 = 65536 - LEAST;
/// Observations after which a counter moves no slower.
const LIMIT: u32 = 120;
/// Learning rate of the mixer.
const RATE: i32 = 11;
/// Most bits of a weight.
const WIDTH: usize = 32;
/// Distances, in halves of a bit, between a length and the one that the last two weights let expect.
const NEAR: usize = 48;
/// Magnitudes of old weights that are told apart.
const CLASSES: usize = 12;
/// Magnitude of a float in the lowest of them: 2^-13.
const LOWEST: i32 = -13;

/// Bits that the head takes at most.
pub const MAX_HEAD_BITS: usize = 3 + 2 + 5;
/// Bits that one weight takes at most: the lengths of a step and of a difference, their lower bits, a sign, whether it is
/// kept, its code.
pub const MAX_BITS: usize = 2 * (WIDTH * 12 + WIDTH) + (2 + MOST_BITS as usize) * 12;

/// Adaptive state of both ends.
#[derive(Clone, Debug)]
pub struct WeightCode {
    head: Head,
    /// Whether a difference is longer than k bits: by what the last two weights and this old one let expect, ...
    near: [[FineCounter; NEAR]; 2],
    /// ... and by the old weight's magnitude; both apart for weights that an adapter keeps.
    size: [[[FineCounter; WIDTH]; CLASSES]; 2],
    mixer: Mixer<2, WIDTH>,
    /// Whether it is negative, by the adapter's choice and by length.
    signs: [[FineCounter; WIDTH]; 3],
    /// The two bits behind the highest one, by length.
    tops: [[FineCounter; 4]; WIDTH],
    /// Lengths of the steps' differences.
    steps: [FineCounter; WIDTH],
    /// Whether a weight is kept, by the weights left of the four and those still to be kept.
    keeps: [[FineCounter; KEPT as usize + 1]; FOUR as usize + 1],
    /// Bits of a code, by those before.
    codes: [FineCounter; 1 << MOST_BITS],
    /// Lengths of the last two differences, newest first, as exponents: with that of the old weight where it has one.
    last: [i32; 2],
    step: u32,
    /// Weights to the end of the block or group.
    block: u32,
    /// Weights to the end of the four, and how many of them are still to be kept.
    four: (u32, u32),
}

impl Default for WeightCode {
    fn default() -> Self {
        Self::new()
    }
}

impl WeightCode {
    /// Must be started before use: all counters are zero.
    pub const fn new() -> Self {
        const ZERO: FineCounter = FineCounter::ZERO;
        Self {
            head: Head { element: Element::I8, adapter: Adapter::None },
            near: [[ZERO; NEAR]; 2],
            size: [[[ZERO; WIDTH]; CLASSES]; 2],
            mixer: Mixer::new(0),
            signs: [[ZERO; WIDTH]; 3],
            tops: [[ZERO; 4]; WIDTH],
            steps: [ZERO; WIDTH],
            keeps: [[ZERO; KEPT as usize + 1]; FOUR as usize + 1],
            codes: [ZERO; 1 << MOST_BITS],
            last: [0; 2],
            step: 0,
            block: 0,
            four: (0, 0),
        }
    }

    /// Forgets everything.
    pub fn start(&mut self) {
        const NEW: FineCounter = FineCounter::new(EVEN as u16, 0);
        self.near.as_flattened_mut().fill(NEW);
        self.size.as_flattened_mut().as_flattened_mut().fill(NEW);
        self.mixer = Mixer::new(WEIGHT_ONE / 2);
        self.signs.as_flattened_mut().fill(NEW);
        self.tops.as_flattened_mut().fill(NEW);
        self.steps.fill(NEW);
        self.keeps.as_flattened_mut().fill(NEW);
        self.codes.fill(NEW);
        (self.last, self.step, self.block, self.four) = ([0; 2], 0, 0, (0, 0));
    }

    /// Codes what stands before the first weight. An encoder passes it, a decoder anything.
    ///
    /// # Errors
    /// [`Error::Unknown`] (`element`, `adapter`); [`Error::OutOfRange`] (`block_log2`, `bits`) from an encoder only.
    pub fn code_head<C: Coder>(&mut self, coder: &mut C, head: Head) -> Result<Head, Error> {
        coder.account(Part::Adapter);
        let known = Element::ALL.iter().position(|element| *element == head.element).unwrap_or(0);
        let found = plain(coder, known as u32, 3);
        let Some(&element) = Element::ALL.get(found as usize) else {
            return Err(Error::Unknown { field: "element", found: found.into() });
        };
        let (kind, number) = match head.adapter {
            Adapter::None => (0, 0),
            Adapter::Bitdelta { block_log2 } => (1, within("block_log2", block_log2, 0, MOST_LOG2)?),
            Adapter::Sparse { bits } => (2, within("bits", bits, 1, MOST_BITS)? - 1),
        };
        let adapter = match plain(coder, kind, 2) {
            0 => Adapter::None,
            1 => Adapter::Bitdelta { block_log2: plain(coder, number, 5) },
            2 => Adapter::Sparse { bits: plain(coder, number, 2) + 1 },
            found => return Err(Error::Unknown { field: "adapter", found: found.into() }),
        };
        self.head = Head { element, adapter };
        Ok(self.head)
    }

    /// What the files hold.
    pub fn element(&self) -> Element {
        self.head.element
    }

    /// Codes the weight that becomes of `old`, both in the low bits. An encoder passes what it says of it, a decoder
    /// anything.
    pub fn code<C: Coder>(&mut self, coder: &mut C, old: u32, said: &Said) -> u32 {
        let element = self.head.element;
        let old = element.code(old);
        coder.account(Part::Adapter);
        let (choice, added) = self.added(coder, said);
        coder.account(Part::Differences);
        let predicted = old.wrapping_add(added);
        let wanted = element.code(said.new).wrapping_sub(predicted);
        let rest = self.difference(coder, old, choice, wanted);
        element.element(predicted.wrapping_add(rest))
    }

    /// Codes a byte behind the last whole weight.
    pub fn code_byte<C: Coder>(&self, coder: &mut C, byte: u8) -> u8 {
        plain(coder, byte.into(), 8) as u8
    }

    /// Codes what the adapter says of the next weight: its choice (0 nothing, 1 down, 2 up), and what is added, modulo 2^32.
    fn added<C: Coder>(&mut self, coder: &mut C, said: &Said) -> (usize, i32) {
        match self.head.adapter {
            Adapter::None => (0, 0),
            Adapter::Bitdelta { block_log2 } => {
                self.enter(coder, 1 << block_log2, said.step);
                match decide(coder, &mut self.codes[0], u32::from(said.code < 0)) {
                    0 => (2, self.step as i32),
                    _ => (1, self.step.wrapping_neg() as i32),
                }
            }
            Adapter::Sparse { bits } => {
                self.enter(coder, GROUP, said.step);
                if !self.keep(coder, said.kept) {
                    return (0, 0);
                }
                let half = 1 << (bits - 1);
                let mut node = 1;
                for i in (0..bits).rev() {
                    let bit = (said.code + half) as u32 >> i & 1;
                    node = node << 1 | decide(coder, &mut self.codes[node as usize], bit);
                }
                let code = (node ^ 1 << bits) as i32 - half;
                let added = ((2 * i64::from(code) + 1) * i64::from(self.step)) >> 1;
                (if code < 0 { 1 } else { 2 }, added as i32)
            }
        }
    }

    /// Counts the weights of a block, and codes its step at its start.
    fn enter<C: Coder>(&mut self, coder: &mut C, len: u32, step: u32) {
        if self.block == 0 {
            self.block = len;
            let actual = zigzag(step.wrapping_sub(self.step) as i32);
            let mut bits = 0;
            while (bits as usize) < WIDTH {
                let more = u32::from(length(actual) > bits);
                if decide(coder, &mut self.steps[bits as usize], more) == 0 {
                    break;
                }
                bits += 1;
            }
            let change = match bits.checked_sub(1) {
                None => 0,
                Some(low) => 1 << low | plain(coder, actual, low),
            };
            self.step = self.step.wrapping_add(unzigzag(change) as u32);
        }
        self.block -= 1;
    }

    /// Codes whether the next weight of four is kept.
    fn keep<C: Coder>(&mut self, coder: &mut C, kept: bool) -> bool {
        if self.four.0 == 0 {
            self.four = (FOUR, KEPT);
        }
        let (left, more) = self.four;
        let kept = match more {
            0 => false,
            _ if more == left => true,
            _ => decide(coder, &mut self.keeps[left as usize][more as usize], kept.into()) != 0,
        };
        self.four = (left - 1, more - u32::from(kept));
        kept
    }

    /// Codes a difference of which the element's low bits count.
    fn difference<C: Coder>(&mut self, coder: &mut C, old: i32, choice: usize, wanted: i32) -> i32 {
        let width = 8 * self.head.element.bytes() as u32;
        let wanted = wanted << (32 - width) >> (32 - width);
        let magnitude = if old < 0 { !old } else { old } as u32;
        let (exponent, class) = self.magnitude(magnitude);
        let kept = usize::from(choice != 0);
        let expected = self.last[0] + self.last[1] - 2 * exponent;
        let mut bits = 0;
        while bits < width {
            let place = (2 * bits as i32 - expected).clamp(-(NEAR as i32) / 2, NEAR as i32 / 2 - 1);
            let near = &mut self.near[kept][(place + NEAR as i32 / 2) as usize];
            let size = &mut self.size[kept][class][bits as usize];
            let inputs = [near.logit(), size.logit()];
            let p = squash(self.mixer.mix(&inputs, bits as usize)).clamp(LEAST, MOST);
            let more = coder.code(u32::from(length(wanted.unsigned_abs()) > bits), p);
            self.mixer.learn(&inputs, more, RATE, 0);
            near.learn(more, LIMIT);
            size.learn(more, LIMIT);
            if more == 0 {
                break;
            }
            bits += 1;
        }
        self.last = [bits as i32 + exponent, self.last[0]];
        if bits == 0 {
            return 0;
        }
        // The only one of its length.
        if bits == width {
            return i32::MIN >> (32 - width);
        }
        let negative = decide(coder, &mut self.signs[choice][bits as usize], u32::from(wanted < 0)) != 0;
        let mut value = 1;
        let mut left = bits - 1;
        while left > 0 && value < 4 {
            left -= 1;
            let bit = wanted.unsigned_abs() >> left & 1;
            value = value << 1 | decide(coder, &mut self.tops[bits as usize][value as usize], bit);
        }
        let value = (value << left | plain(coder, wanted.unsigned_abs(), left)) as i32;
        if negative { -value } else { value }
    }

    /// Exponent of an old weight of this magnitude (0 for integers), and its class.
    fn magnitude(&self, magnitude: u32) -> (i32, usize) {
        let float = |mantissa: u32, bias: i32| {
            let exponent = (magnitude >> mantissa) as i32;
            (exponent, (exponent - bias - LOWEST).clamp(0, CLASSES as i32 - 1) as usize)
        };
        match self.head.element {
            Element::F16 => float(10, 15),
            Element::Bf16 => float(7, 127),
            Element::F32 => float(23, 127),
            integer => (0, length(magnitude).div_ceil(integer.bytes() as u32) as usize),
        }
    }
}

/// Bits of a number: the place of its highest one, from 1; 0 of none.
const fn length(number: u32) -> u32 {
    32 - number.leading_zeros()
}

/// Checks a number of the head.
fn within(field: &'static str, found: u32, least: u32, limit: u32) -> Result<u32, Error> {
    if found < least || found > limit {
        return Err(Error::OutOfRange { field, found: found.into(), limit: limit.into() });
    }
    Ok(found)
}

fn decide<C: Coder>(coder: &mut C, counter: &mut FineCounter, bit: u32) -> u32 {
    let bit = coder.code(bit, counter.p().clamp(LEAST, MOST));
    counter.learn(bit, LIMIT);
    bit
}

/// The low `bits` bits of `value` at even odds, most significant first.
fn plain<C: Coder>(coder: &mut C, value: u32, bits: u32) -> u32 {
    (0..bits).rev().fold(0, |found, i| found << 1 | coder.code(value >> i & 1, EVEN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::residue::tests::random;
    use crate::entropy::{RangeDecoder, RangeEncoder};

    const ADAPTERS: [Adapter; 6] = [
        Adapter::None,
        Adapter::Bitdelta { block_log2: 0 },
        Adapter::Bitdelta { block_log2: 5 },
        Adapter::Bitdelta { block_log2: MOST_LOG2 },
        Adapter::Sparse { bits: 1 },
        Adapter::Sparse { bits: MOST_BITS },
    ];

    fn write(head: Head, weights: &[(u32, Said)], behind: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        let mut coder = RangeEncoder::new(|byte| payload.push(byte));
        let mut code = WeightCode::new();
        code.start();
        assert_eq!(code.code_head(&mut coder, head), Ok(head));
        weights.iter().for_each(|(old, said)| assert_eq!(code.code(&mut coder, *old, said), said.new));
        behind.iter().for_each(|&byte| assert_eq!(code.code_byte(&mut coder, byte), byte));
        let _ = coder.finish();
        payload
    }

    /// What [`write`] wrote, and whether the coder ends as its writer left it.
    fn read(payload: &[u8], old: &[u32], behind: usize) -> (Head, Vec<u32>, Vec<u8>, bool) {
        struct All<'a>(RangeDecoder<64>, &'a [u8]);
        impl Coder for All<'_> {
            fn code(&mut self, bit: u32, p: u32) -> u32 {
                let n = self.0.push(self.1);
                self.1 = &self.1[n..];
                self.0.code(bit, p)
            }
        }
        let mut coder = All(RangeDecoder::new(), payload);
        let mut code = WeightCode::new();
        code.start();
        let head = code.code_head(&mut coder, Head::default()).unwrap();
        let new = old.iter().map(|old| code.code(&mut coder, *old, &Said::default())).collect();
        let behind = (0..behind).map(|_| code.code_byte(&mut coder, 0)).collect();
        (head, new, behind, coder.1.is_empty() && coder.0.ends_as_written())
    }

    /// Any weights under any adapter that says anything: the answer that is forced in a four, too.
    #[test]
    fn every_bit_comes_back() {
        let mut seed = 11;
        for element in Element::ALL {
            let mask = u32::MAX >> (32 - 8 * element.bytes());
            let corners = [0, 1, mask, mask >> 1, (mask >> 1) + 1, 0x7f80_0000 & mask, 0x7c00 & mask];
            for adapter in ADAPTERS {
                let head = Head { element, adapter };
                let bits = if let Adapter::Sparse { bits } = adapter { bits } else { 1 };
                let mut weight = |i: usize| {
                    let (r, s) = (random(&mut seed), random(&mut seed));
                    // Far away, near, and the ends of the range.
                    let old = if i.is_multiple_of(3) { corners[r as usize % corners.len()] } else { r as u32 & mask };
                    let new = match i % 4 {
                        0 => corners[s as usize % corners.len()],
                        1 => s as u32 & mask,
                        _ => element.element(element.code(old).wrapping_add((s % 64) as i32 - 32)),
                    };
                    let code = ((r >> 40) as i32 & ((1 << bits) - 1)) - (1 << (bits - 1));
                    (old, Said { new, step: (s >> 32) as u32 >> (r >> 59), kept: r >> 63 != 0, code })
                };
                let weights: Vec<(u32, Said)> = (0..1003).map(&mut weight).collect();
                let behind = &[7, 0, 255][..element.bytes() - 1];
                let payload = write(head, &weights, behind);
                let old: Vec<u32> = weights.iter().map(|(old, _)| *old).collect();
                let new: Vec<u32> = weights.iter().map(|(_, said)| said.new).collect();
                assert_eq!(read(&payload, &old, behind.len()), (head, new, behind.to_vec(), true), "{head:?}");
            }
        }
    }

    /// Counts what decisions cost, and answers as it likes.
    struct Hostile {
        seed: u64,
        /// Of 8 answers, so many are the less likely one.
        unlikely: u64,
        bits: f64,
    }

    impl Coder for Hostile {
        fn code(&mut self, _: u32, p: u32) -> u32 {
            let bit = u32::from((p < 1 << 15) == (random(&mut self.seed) % 8 < self.unlikely));
            let spent = if bit != 0 { p } else { 65536 - p };
            self.bits += 16.0 - f64::from(spent).log2();
            bit
        }
    }

    #[test]
    fn whatever_is_read_a_weight_takes_no_more_bits_than_it_may() {
        for unlikely in [0, 1, 4, 7, 8] {
            let mut coder = Hostile { seed: 12, unlikely, bits: 0.0 };
            let mut refused = 0;
            for _ in 0..64 {
                let mut code = WeightCode::new();
                code.start();
                coder.bits = 0.0;
                let head = code.code_head(&mut coder, Head::default());
                assert!(coder.bits <= MAX_HEAD_BITS as f64);
                refused += u32::from(head.is_err());
                for _ in 0..if head.is_ok() { 300 } else { 0 } {
                    coder.bits = 0.0;
                    let old = random(&mut coder.seed) as u32;
                    let new = code.code(&mut coder, old, &Said::default());
                    assert!(coder.bits <= MAX_BITS as f64, "{} bits", coder.bits);
                    assert_eq!(code.element().element(code.element().code(new)), new, "an element of its width");
                }
            }
            assert!(refused < 64 || unlikely != 4);
        }
    }

    #[test]
    fn heads_that_are_none_are_refused() {
        let none = |head| {
            let mut coder = RangeEncoder::new(|_| {});
            WeightCode::new().code_head(&mut coder, head).unwrap_err()
        };
        let head = |adapter| Head { element: Element::F32, adapter };
        let error = |field, found, limit| Error::OutOfRange { field, found, limit };
        assert_eq!(none(head(Adapter::Bitdelta { block_log2: 32 })), error("block_log2", 32, 31));
        assert_eq!(none(head(Adapter::Sparse { bits: 0 })), error("bits", 0, 4));
        assert_eq!(none(head(Adapter::Sparse { bits: 5 })), error("bits", 5, 4));
        let read = |payload: &[u8]| {
            let mut coder: RangeDecoder<64> = RangeDecoder::new();
            coder.push(payload);
            WeightCode::new().code_head(&mut coder, Head::default())
        };
        // 1s are the lower part of the interval: plain bits stand inverted, the first one highest.
        assert_eq!(read(&[0x00, 0, 0, 0]), Err(Error::Unknown { field: "element", found: 7 }));
        assert_eq!(read(&[0b1110_0000, 0, 0, 0]), Err(Error::Unknown { field: "adapter", found: 3 }));
    }
}
