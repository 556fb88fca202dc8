//! The mixing network over contexts: codes the bytes that nobody predicted.

use super::prior::Visitor;
use super::rewrite::hash;
use crate::entropy::Coder;
use crate::mix::{Mixer, Slot};

/// Most contexts of a byte.
pub(crate) const CONTEXTS: usize = 16;
/// Experts that name a whole byte.
pub(crate) const EXPERTS: usize = 4;
/// Inputs of every byte: the experts and a constant. The contexts' follow.
const FIXED: usize = EXPERTS + 1;
const INPUTS: usize = FIXED + CONTEXTS;
const GATES: usize = 48;
const SLOT_LIMIT: u32 = 15;
const RATE: i32 = 5;
const LEAST_ERROR: u32 = 2500;

/// Bytes that experts name for the next byte, and how sure they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Expert {
    /// The byte, when the expert has one.
    pub(crate) byte: Option<u8>,
    /// Its confidence class, 0..64.
    pub(crate) class: u8,
}

/// Everything that the network is told of the next byte.
#[derive(Clone, Debug)]
pub(crate) struct Situation<'a> {
    /// Context hashes of the byte, at most [`CONTEXTS`].
    pub(crate) contexts: &'a [u32],
    /// Experts.
    pub(crate) experts: [Expert; EXPERTS],
    /// Gate of the mixer, 0..48.
    pub(crate) gate: usize,
}

/// Each context's share of the buckets, in 64ths, before what contexts that are not used leave is dealt out. Short
/// contexts recur, so they get more.
const SHARE: [u32; CONTEXTS] = [2, 16, 16, 4, 4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2];

/// Words of a bucket: a check, and the slots of two bits under one context: one for the first, two for the second.
const BUCKET: usize = 4;
/// Least number of words that the network works with: a pair of buckets for every context.
pub(crate) const LEAST_SLOTS: usize = 64 / 2 * 2 * BUCKET;

/// Adaptive state of the network, but for its slots.
#[derive(Clone, Debug)]
pub(crate) struct ByteModel {
    /// First bucket of every context, and the end of the last. Differences are even.
    starts: [u32; CONTEXTS + 1],
    /// Logits of the decision at hand, and the words at which the contexts' buckets start. They live here because
    /// clearing them on the stack for every decision costs a small core more than the mixing of an input.
    inputs: [i32; INPUTS],
    places: [u32; CONTEXTS],
    experts: [[Slot; 64 * 2]; EXPERTS],
    mixer: Mixer<INPUTS, GATES>,
}

impl ByteModel {
    /// A network that must be started before use.
    pub(crate) const fn new() -> Self {
        Self {
            starts: [0; CONTEXTS + 1],
            inputs: [0; INPUTS],
            places: [0; CONTEXTS],
            experts: [[Slot::ZERO; 128]; EXPERTS],
            mixer: Mixer::new(0),
        }
    }

    /// Starts over with these words, at least [`LEAST_SLOTS`], for `contexts` contexts.
    pub(crate) fn start(&mut self, slots: &mut [u16], contexts: usize) {
        slots.fill(Slot::NEW.to_bits());
        let buckets = slots.len() / BUCKET;
        let whole: u32 = SHARE[..contexts.min(CONTEXTS)].iter().sum();
        let mut shares = 0;
        for (start, share) in self.starts.iter_mut().zip(SHARE.into_iter().chain([0])) {
            *start = (buckets as u64 * u64::from(shares.min(whole)) / u64::from(whole)) as u32 & !1;
            shares += share;
        }
    }

    /// Everything but the slots, in the order of the prior.
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        for expert in &mut self.experts {
            visitor.slots("bytes.experts", expert);
        }
        self.mixer.weights_mut().iter_mut().for_each(|w| visitor.weights("bytes.mixer", w));
    }

    /// Looks the buckets of the next two bits up; `node` are the bits of the byte so far, with a 1 before them.
    fn find(&mut self, slots: &mut [u16], contexts: &[u32], node: u32) {
        let salt = node.wrapping_mul(0x9e37_79b1);
        for ((context, place), range) in contexts.iter().zip(&mut self.places).zip(self.starts.windows(2)) {
            let h = (context ^ salt).wrapping_mul(0x2c1b_3c6d);
            let check = h as u16;
            let within = (u64::from(h) * u64::from(range[1] - range[0]) >> 32) as u32;
            let first = (range[0] + within) as usize * BUCKET;
            let second = (range[0] + (within ^ 1)) as usize * BUCKET;
            *place = if slots[first] == check {
                first
            } else if slots[second] == check {
                second
            } else {
                // Neither is this context's: the one that has seen less makes way, and the other comes closer to it.
                let count = |at: usize| Slot::from_bits(slots[at + 1]).count();
                let (new, kept) = if count(second) < count(first) { (second, first) } else { (first, second) };
                slots[kept + 1] -= u16::from(count(kept) > 0);
                slots[new] = check;
                slots[new + 1..new + BUCKET].fill(Slot::NEW.to_bits());
                new
            } as u32;
        }
    }

    /// Codes one byte. `slots` are the words that [`ByteModel::start`] was given.
    pub(crate) fn code<C: Coder>(&mut self, coder: &mut C, slots: &mut [u16], situation: &Situation<'_>, byte: u8) -> u8 {
        let count = situation.contexts.len().min(CONTEXTS);
        let used = FIXED + count;
        let mut node = 1u32;
        let mut within = 1;
        for k in (0..8).rev() {
            let bit = u32::from(byte) >> k & 1;
            if k & 1 == 1 {
                self.find(slots, situation.contexts, node);
                within = 1;
            }
            for (place, input) in self.places[..count].iter().zip(&mut self.inputs[FIXED..]) {
                *input = Slot::from_bits(slots[(place + within) as usize]).logit();
            }
            let mut named_by = [None; EXPERTS];
            for (e, expert) in situation.experts.iter().enumerate() {
                self.inputs[e] = 0;
                let Some(named) = expert.byte else { continue };
                let named = u32::from(named) | 256;
                if named >> (k + 1) != node {
                    continue;
                }
                let named = named >> k & 1;
                let at = usize::from(expert.class) << 1 | k >> 2;
                let logit = self.experts[e][at].logit();
                self.inputs[e] = if named != 0 { logit } else { -logit };
                named_by[e] = Some((at, named));
            }
            self.inputs[EXPERTS] = 256;
            let inputs = &self.inputs[..used];
            self.mixer.mix(inputs, situation.gate);
            let p = self.mixer.p().clamp(32, 65504);
            let bit = coder.code(bit, p);
            self.mixer.learn(inputs, bit, RATE, LEAST_ERROR);
            for &place in &self.places[..count] {
                let word = &mut slots[(place + within) as usize];
                let mut slot = Slot::from_bits(*word);
                slot.learn(bit, SLOT_LIMIT);
                *word = slot.to_bits();
            }
            for (e, named_by) in named_by.into_iter().enumerate() {
                if let Some((at, named)) = named_by {
                    self.experts[e][at].learn(u32::from(bit == named), SLOT_LIMIT);
                }
            }
            within = 2 | bit;
            node = node << 1 | bit;
        }
        node as u8
    }
}

/// A context hash: `number` tells the contexts apart.
#[inline]
pub(crate) fn context(number: u32, a: u32, b: u32) -> u32 {
    hash(a.wrapping_add(number << 27), b.wrapping_add(number))
}
