//! Adaptive Exp-Golomb code: small numbers cost little, and the code learns which sizes occur.

use super::range::Coder;
use crate::mix::Slot;
use crate::predict::prior::Visitor;

const LIMIT: u32 = 15;
const EVEN: u32 = 1 << 15;

/// Bounds of the adaptive probabilities: a decision costs at most 10 bits, and a little for rounding.
const LEAST: u32 = 64;
const MOST: u32 = 65536 - LEAST;

/// Bits that one number can take at most: 31 size decisions and one for the top bit, the rest plain bits.
pub const MAX_BITS: usize = 32 * 11 + 30;

/// Sizes whose state the prior brings; larger numbers are rare.
const TRAINED: usize = 16;

/// Adaptive state for one kind of number, 0 to 2^32 - 2.
#[derive(Clone, Debug)]
pub struct NumberModel {
    size: [Slot; 32],
    top: [Slot; 32],
}

impl Default for NumberModel {
    fn default() -> Self {
        Self::new()
    }
}

impl NumberModel {
    /// A model that must be started before use: all bits are zero.
    pub const fn zero() -> Self {
        Self { size: [Slot::ZERO; 32], top: [Slot::ZERO; 32] }
    }

    /// A model that has seen nothing.
    pub fn new() -> Self {
        let mut model = Self::zero();
        model.start();
        model
    }

    /// Forgets everything.
    pub fn start(&mut self) {
        self.size.fill(Slot::NEW);
        self.top.fill(Slot::NEW);
    }

    /// Walks through what the prior brings.
    pub(crate) fn visit(&mut self, name: &'static str, visitor: &mut impl Visitor) {
        visitor.slots(name, &mut self.size[..TRAINED]);
        visitor.slots(name, &mut self.top[..TRAINED]);
    }

    /// Codes `value` (ignored by a decoder); returns it.
    pub fn code<C: Coder>(&mut self, coder: &mut C, value: u32) -> u32 {
        let plus_one = value.wrapping_add(1).max(1);
        let actual = 31 - plus_one.leading_zeros();
        let mut bits = 0;
        while bits < 31 {
            let counter = &mut self.size[bits as usize];
            let more = coder.code(u32::from(actual > bits), counter.p().clamp(LEAST, MOST));
            counter.learn(more, LIMIT);
            if more == 0 {
                break;
            }
            bits += 1;
        }
        let mut result = 1u32;
        for i in (0..bits).rev() {
            let bit = plus_one >> i & 1;
            let bit = if i + 1 == bits {
                let counter = &mut self.top[bits as usize];
                let bit = coder.code(bit, counter.p().clamp(LEAST, MOST));
                counter.learn(bit, LIMIT);
                bit
            } else {
                coder.code(bit, EVEN)
            };
            result = result << 1 | bit;
        }
        result - 1
    }
}

/// Maps a wrapping difference to an unsigned number, small magnitudes first.
pub const fn zigzag(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

/// Inverse of [`zigzag`].
pub const fn unzigzag(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}
