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

/// Each context's share of the slots: `2^-share`. Short contexts recur, so they get more.
const SHARE: [u32; CONTEXTS] = [5, 2, 2, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5];

/// Adaptive state of the network.
#[derive(Clone, Debug)]
pub(crate) struct ByteModel<const SLOTS: usize> {
    /// Number of slots in all, base-2 logarithm.
    slots_log2: u32,
    slots: [Slot; SLOTS],
    /// Logits of the decision at hand, and the slots that the contexts' came from. They live here because clearing
    /// them on the stack for every decision costs a small core more than the mixing of an input.
    inputs: [i32; INPUTS],
    places: [u32; CONTEXTS],
    experts: [[Slot; 64 * 2]; EXPERTS],
    mixer: Mixer<INPUTS, GATES>,
}

impl<const SLOTS: usize> ByteModel<SLOTS> {
    /// A network that must be started before use.
    pub(crate) const fn new() -> Self {
        Self {
            slots_log2: 0,
            slots: [Slot::ZERO; SLOTS],
            inputs: [0; INPUTS],
            places: [0; CONTEXTS],
            experts: [[Slot::ZERO; 128]; EXPERTS],
            mixer: Mixer::new(0),
        }
    }

    /// Starts over with `2^slots_log2` slots, at most `SLOTS`.
    pub(crate) fn start(&mut self, slots_log2: u32) {
        self.slots_log2 = slots_log2;
        self.slots.fill(Slot::NEW);
    }

    /// Everything but the slots, in the order of the prior.
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        for expert in &mut self.experts {
            visitor.slots("bytes.experts", expert);
        }
        self.mixer.weights_mut().iter_mut().for_each(|w| visitor.weights("bytes.mixer", w));
    }

    /// Codes one byte.
    pub(crate) fn code<C: Coder>(&mut self, coder: &mut C, situation: &Situation<'_>, byte: u8) -> u8 {
        let count = situation.contexts.len().min(CONTEXTS);
        let used = FIXED + count;
        let mut node = 1u32;
        const G: u32 = 2;
        const WAYS: u32 = 2;
        let gate = situation.gate;
        for k in (0..8usize).rev() {
            let bit = u32::from(byte) >> k & 1;
            self.inputs[..EXPERTS].fill(0);
            if (k as u32 + 1) % G == 0 {
            let salt = node.wrapping_mul(0x9e37_79b1);
            let mut base = 0;
            
            for ((context, share), place) in situation.contexts.iter().zip(SHARE).zip(&mut self.places) {
                let h = (context ^ salt).wrapping_mul(0x2c1b_3c6d);
                let h = h ^ h >> 15;
                let log2 = self.slots_log2 - share;
                let at = (h.wrapping_mul(0x9e37_79b1) >> (32 - (log2 - G))) << G;
                let check = h as u16;
                let mut best = base + at;
                let mut found = false;
                let mut least = u32::MAX;
                for way in 0..WAYS { let p = base + (at ^ way << G);
                  if self.slots[p as usize].to_bits() == check { best = p; found = true; break; }
                  let c = self.slots[p as usize + 1].count(); if c < least { least = c; best = p; } }
                if !found {
                  if WAYS > 1 { for way in 0..WAYS { let p = (base + (at ^ way << G)) as usize; let b = self.slots[p+1].to_bits(); if b & 15 > 0 { self.slots[p+1] = Slot::from_bits(b - 1); } } }
                  self.slots[best as usize] = Slot::from_bits(check);
                  self.slots[best as usize + 1..best as usize + (1 << G)].fill(Slot::NEW);
                }
                base += 1 << log2;
                *place = best;
            }
            }
            let within = { let done = (8 - (k as u32 + 1)) % G; (1 << done) | (node & ((1 << done) - 1)) };
            for (place, input) in self.places[..count].iter().zip(&mut self.inputs[FIXED..]) {
                let slot = self.slots[(*place + within) as usize];
                *input = slot.logit();
            }
            let mut named_by = [None; EXPERTS];
            for (e, expert) in situation.experts.iter().enumerate() {
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
            self.mixer.mix(inputs, gate);
            let p = self.mixer.p().clamp(32, 65504);
            let bit = coder.code(bit, p);
            self.mixer.learn(inputs, bit, RATE, LEAST_ERROR);
            for &place in &self.places[..count] {
                self.slots[(place + within) as usize].learn(bit, SLOT_LIMIT);
            }
            for (e, named_by) in named_by.into_iter().enumerate() {
                if let Some((at, named)) = named_by {
                    self.experts[e][at].learn(u32::from(bit == named), SLOT_LIMIT);
                }
            }
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
