//! The mixing network over contexts: codes the bytes that nobody predicted.

use super::prior::Visitor;
use super::rewrite::hash;
use crate::entropy::Coder;
use crate::mix::{Mixer, Slot};

/// Most contexts of a byte.
pub(crate) const CONTEXTS: usize = 16;
/// Most experts that name one byte.
const EXPERTS: usize = 3;
/// Tables of the experts' slots: one for each that there is.
const TABLES: usize = 4;
/// The experts, a constant, and the contexts.
pub(crate) const INPUTS: usize = EXPERTS + 1 + CONTEXTS;
pub(crate) const GATES: usize = 48;
const SLOT_LIMIT: u32 = 15;
const RATE: i32 = 5;
const LEAST_ERROR: u32 = 2500;

/// Bytes that experts name for the next byte, and how sure they are.
#[derive(Clone, Copy, Debug)]
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
    /// Experts, at most three.
    pub(crate) experts: &'a [Expert],
    /// Table of the first expert; the next ones' follow.
    pub(crate) table: usize,
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

/// A slot that has seen nothing.
const UNSEEN: u16 = Slot::NEW.to_bits();

/// An expert that names the byte, as far as its bits are known.
#[derive(Clone, Copy, Debug)]
struct Named {
    number: u8,
    byte: u8,
    /// First of its two slots.
    slot: u16,
}

/// The last stage of the network: what it makes of the logits.
pub(crate) trait Mixing {
    /// The probability (16 bit) that the bit `k` of the byte is set; `node` are the bits before it, after a 1.
    fn p(&mut self, inputs: &[i32], situation: &Situation<'_>, node: u32) -> u32;

    /// Learns the bit from the same logits.
    fn learn(&mut self, inputs: &[i32], bit: u32);
}

/// One layer of weights, for devices without a base model.
#[derive(Clone, Debug)]
pub(crate) struct Gated(Mixer<INPUTS, GATES>);

impl Mixing for Gated {
    #[inline]
    fn p(&mut self, inputs: &[i32], situation: &Situation<'_>, _: u32) -> u32 {
        self.0.mix(inputs, situation.gate);
        self.0.p()
    }

    #[inline]
    fn learn(&mut self, inputs: &[i32], bit: u32) {
        self.0.learn(inputs, bit, RATE, LEAST_ERROR);
    }
}

/// Adaptive state of the network, but for its slots.
#[derive(Clone, Debug)]
pub(crate) struct ByteModel {
    tables: Tables,
    mixer: Gated,
}

/// The network's inputs.
#[derive(Clone, Debug)]
struct Tables {
    /// Where the buckets of every context end, and the next one's start: even numbers.
    ends: [u32; CONTEXTS],
    /// Logits of the decision at hand, the contexts' buckets, and the experts that are not refuted. They live here
    /// because clearing them on the stack for every decision costs a small core more than the mixing of an input.
    inputs: [i32; INPUTS],
    places: [u32; CONTEXTS],
    named: [Named; EXPERTS],
    /// By expert, class, and half of the byte.
    experts: [Slot; TABLES * 64 * 2],
}

impl ByteModel {
    /// A network that must be started before use.
    pub(crate) const fn new() -> Self {
        let tables = Tables {
            ends: [0; CONTEXTS],
            inputs: [0; INPUTS],
            places: [0; CONTEXTS],
            named: [Named { number: 0, byte: 0, slot: 0 }; EXPERTS],
            experts: [Slot::ZERO; TABLES * 128],
        };
        Self { tables, mixer: Gated(Mixer::new(0)) }
    }

    /// Starts over with these words, at least [`LEAST_SLOTS`], for `contexts` contexts.
    pub(crate) fn start(&mut self, slots: &mut [u16], contexts: usize) {
        slots.fill(UNSEEN);
        let buckets = slots.len() / BUCKET;
        let whole: u32 = SHARE[..contexts.min(CONTEXTS)].iter().sum();
        let mut shares = 0;
        for (end, share) in self.tables.ends.iter_mut().zip(SHARE) {
            shares += share;
            *end = (buckets as u64 * u64::from(shares.min(whole)) / u64::from(whole)) as u32 & !1;
        }
    }

    /// Everything but the slots, in the order of the prior.
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.slots("bytes.experts", &mut self.tables.experts);
        self.mixer.0.weights_mut().iter_mut().for_each(|w| visitor.weights("bytes.mixer", w));
    }

    /// Codes one byte. `slots` are the words that [`ByteModel::start`] was given.
    pub(crate) fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        slots: &mut [u16],
        situation: &Situation<'_>,
        byte: u8,
    ) -> u8 {
        self.tables.code(coder, slots, situation, byte, &mut self.mixer)
    }

    /// As [`ByteModel::code`], with another last stage.
    pub(crate) fn code_with<C: Coder>(
        &mut self,
        coder: &mut C,
        slots: &mut [u16],
        situation: &Situation<'_>,
        byte: u8,
        mixing: &mut impl Mixing,
    ) -> u8 {
        self.tables.code(coder, slots, situation, byte, mixing)
    }
}

impl Tables {
    /// Looks the buckets of the next two bits up; `node` are the bits of the byte so far, with a 1 before them.
    fn find(&mut self, slots: &mut [u16], contexts: &[u32], node: u32) {
        let (buckets, _) = slots.as_chunks_mut::<BUCKET>();
        let salt = node.wrapping_mul(0x9e37_79b1);
        let mut start = 0;
        for ((context, place), end) in contexts.iter().zip(&mut self.places).zip(&self.ends) {
            let h = (context ^ salt).wrapping_mul(0x2c1b_3c6d);
            let check = h as u16;
            let first = start + ((u64::from(h) * u64::from(end - start)) >> 32) as u32;
            start = *end;
            let second = first ^ 1;
            let (a, b) = (buckets[first as usize][0], buckets[second as usize][0]);
            if a == check || b == check {
                *place = if a == check { first } else { second };
                continue;
            }
            // Neither is this context's: the one that has seen less makes way, and the other comes closer to it.
            let seen = buckets[first as usize][1] & 15;
            let other = buckets[second as usize][1] & 15;
            let (new, kept) = if other < seen { (second, first) } else { (first, second) };
            *place = new;
            buckets[new as usize] = [check, UNSEEN, UNSEEN, UNSEEN];
            if seen | other > 0 {
                buckets[kept as usize][1] -= 1;
            }
        }
    }

    fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        slots: &mut [u16],
        situation: &Situation<'_>,
        byte: u8,
        mixing: &mut impl Mixing,
    ) -> u8 {
        let count = situation.contexts.len().min(CONTEXTS);
        let experts = &situation.experts[..situation.experts.len().min(EXPERTS)];
        let fixed = experts.len() + 1;
        // Experts whose byte may still come.
        let mut alive = 0;
        for (number, expert) in experts.iter().enumerate() {
            self.inputs[number] = 0;
            if let Some(byte) = expert.byte {
                let slot = ((situation.table + number) << 7 | usize::from(expert.class & 63) << 1) as u16;
                self.named[alive] = Named { number: number as u8, byte, slot };
                alive += 1;
            }
        }
        self.inputs[fixed - 1] = 256;
        let mut node = 1u32;
        let mut within = 1;
        for k in (0..8).rev() {
            let bit = u32::from(byte) >> k & 1;
            if k & 1 == 1 {
                self.find(slots, situation.contexts, node);
                within = 1;
            }
            for (place, input) in self.places[..count].iter().zip(&mut self.inputs[fixed..]) {
                *input = Slot::from_bits(slots[*place as usize * BUCKET + within]).logit();
            }
            for named in &self.named[..alive] {
                let logit = self.experts[usize::from(named.slot) | k >> 2].logit();
                let logit = if named.byte >> k & 1 != 0 { logit } else { -logit };
                self.inputs[usize::from(named.number) % EXPERTS] = logit;
            }
            let inputs = &self.inputs[..fixed + count];
            let p = mixing.p(inputs, situation, node).clamp(32, 65504);
            let bit = coder.code(bit, p);
            mixing.learn(inputs, bit);
            for &place in &self.places[..count] {
                let word = &mut slots[place as usize * BUCKET + within];
                let mut slot = Slot::from_bits(*word);
                slot.learn(bit, SLOT_LIMIT);
                *word = slot.to_bits();
            }
            let mut still = 0;
            for i in 0..alive {
                let named = self.named[i];
                let right = u32::from(named.byte >> k & 1) == bit;
                self.experts[usize::from(named.slot) | k >> 2].learn(u32::from(right), SLOT_LIMIT);
                if right {
                    self.named[still] = named;
                    still += 1;
                } else {
                    self.inputs[usize::from(named.number) % EXPERTS] = 0;
                }
            }
            alive = still;
            within = 2 | bit as usize;
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
