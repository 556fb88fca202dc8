//! Codes bytes with the network beside the contexts: the last stage of mixing, whose weights the base model brings.

use super::adapter::{Adapt, NoAdapter};
use super::base::Base;
use super::context::{Context, Features};
use super::network;
use super::rows::Rows;
use super::shape::Shape;
use crate::mix::logistic::{LOGIT_MAX, squash};
use crate::mix::mixer::taught;
use crate::predict::bytes::{Mixing, Situation};

/// Inputs: those of the contexts, and two of the network.
pub const INPUTS: usize = crate::predict::bytes::INPUTS + 2;
/// Weight vectors picked by the situation, and behind them those picked by the bit and the network's certainty.
pub const GATES: usize = crate::predict::bytes::GATES;
const NODES: usize = 32;
/// Weights of the last stage, `[gates, inputs]`, Q13; the network's own two inputs come first.
pub const WEIGHTS: usize = (GATES + NODES) * INPUTS;
/// Bytes of the layer `mix`.
pub(crate) const MIX_BYTES: usize = 2 * WEIGHTS;
/// One step down the gradient, in 2^-14 of a weight per unit of logit and of error.
const RATE: i32 = 5;
const LEAST_ERROR: u32 = 700;

/// `|logit| <= 2839` and `|weight| <= 2^15`: a sum of products fits 32 bits.
const _: () = assert!(INPUTS as i64 * LOGIT_MAX as i64 * (1 << 15) < 1 << 31);

/// Words of memory that a model of this shape takes: at most half of those of a profile.
pub const fn words(shape: &Shape) -> usize {
    WEIGHTS + network::words(shape) + Rows::words(shape.ring_log2, shape.index_log2)
}

/// A base model at work, in memory that the decoder lends.
#[derive(Clone, Debug)]
pub struct Neural<'a, A = NoAdapter> {
    base: Base<'a>,
    adapter: A,
    rows: Rows,
    context: Context,
}

impl<'a> Neural<'a> {
    /// Sets a model to work.
    pub const fn new(base: Base<'a>) -> Self {
        Self::with_adapter(base, NoAdapter)
    }
}

impl<'a, A> Neural<'a, A> {
    /// Sets a model to work with an adapter.
    pub const fn with_adapter(base: Base<'a>, adapter: A) -> Self {
        Self { base, adapter, rows: Rows::NEW, context: Context::NEW }
    }
}

impl<'a, A: Adapt> Neural<'a, A> {
    /// Words of memory that it takes.
    pub fn words(&self) -> usize {
        words(&self.base.shape)
    }

    fn split<'m>(&self, memory: &'m mut [u16]) -> (&'m mut [u16], &'m mut [u16], &'m mut [u16]) {
        let (weights, rest) = memory.split_at_mut(WEIGHTS);
        let (activations, rows) = rest.split_at_mut(network::words(&self.base.shape));
        (weights, activations, rows)
    }

    /// Starts over with this memory, of [`Neural::words`].
    pub fn start(&mut self, memory: &mut [u16]) {
        let shape = self.base.shape;
        let (weights, activations, rows) = self.split(memory);
        for (weight, bytes) in weights.iter_mut().zip(self.base.mix.chunks_exact(2)) {
            *weight = u16::from_le_bytes([bytes[0], bytes[1]]);
        }
        self.adapter.mix(weights);
        activations.fill(0);
        self.rows.start(rows, shape.ring_log2, shape.index_log2);
        self.context = Context::NEW;
    }

    /// To be called where bytes begin that the network is to model: the last `known` (at most 8) bytes of `recent` stand
    /// before them.
    pub fn enter(&mut self, memory: &mut [u16], recent: u64, known: u32) {
        let (_, activations, _) = self.split(memory);
        network::reset(&self.base, activations);
        if known == 0 {
            network::recur(&self.base, activations, 0);
        }
        self.context = Context::NEW;
        for i in (0..known.min(8)).rev() {
            self.push(memory, (recent >> (8 * i)) as u8);
        }
    }

    /// Goes on by one byte.
    pub fn push(&mut self, memory: &mut [u16], byte: u8) {
        self.show(memory, byte);
        let (_, activations, _) = self.split(memory);
        network::recur(&self.base, activations, byte);
    }

    /// Shows a byte of the old image, so that its like is found.
    pub fn show(&mut self, memory: &mut [u16], byte: u8) {
        let (_, _, rows) = self.split(memory);
        self.rows.push(rows, self.context.recent(), byte);
        self.context.push(byte);
    }

    /// Bytes back to which it remembers what it was shown.
    pub fn reach(&self) -> u32 {
        1 << self.base.shape.ring_log2
    }

    /// Thinks about the byte at `pos`.
    pub fn think(&mut self, memory: &mut [u16], pos: u32) -> Features {
        let (_, activations, rows) = self.split(memory);
        let features = self.context.features(pos, &self.rows, rows);
        network::run(&self.base, &self.adapter, activations, &features);
        features
    }

    /// The text around the byte.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Logit (Q8) that the bit after `node` is a 1, where `node` are the bits of the byte last thought about that are
    /// known, after a 1: what the network alone says.
    pub fn logit(&self, memory: &[u16], node: u32) -> i32 {
        logit(&self.base, &self.adapter, &memory[WEIGHTS..], node)
    }

    /// The last stage of mixing for the byte last thought about.
    pub(crate) fn mixing<'m>(&'m mut self, memory: &'m mut [u16]) -> Thought<'m, 'a, A> {
        let (weights, activations, _) = self.split(memory);
        Thought { base: &self.base, adapter: &self.adapter, weights, activations, logit: 0, p: 0, chosen: [0; 2] }
    }
}

/// Logit of a decision, Q8.
#[inline]
fn logit(base: &Base<'_>, adapter: &impl Adapt, activations: &[u16], node: u32) -> i32 {
    (network::head(base, adapter, activations, node) >> 3).clamp(-LOGIT_MAX, LOGIT_MAX)
}

/// What the network thinks of a byte.
pub(crate) struct Thought<'m, 'a, A> {
    base: &'m Base<'a>,
    adapter: &'m A,
    weights: &'m mut [u16],
    activations: &'m [u16],
    logit: i32,
    p: u32,
    chosen: [usize; 2],
}

impl<A> Thought<'_, '_, A> {
    /// The network's own inputs.
    fn own(&self) -> [i32; 2] {
        [self.logit, (squash(self.logit) as i32 - 32768) >> 5]
    }
}

impl<A: Adapt> Mixing for Thought<'_, '_, A> {
    fn p(&mut self, inputs: &[i32], situation: &Situation<'_>, node: u32) -> u32 {
        self.logit = logit(self.base, self.adapter, self.activations, node);
        let certainty = match self.logit.unsigned_abs() {
            0..=191 => 0,
            192..=511 => 1,
            512..=1023 => 2,
            _ => 3,
        };
        let bit = 31 - (node & 255).max(1).leading_zeros() as usize;
        self.chosen = [situation.gate, GATES + bit * 4 + certainty];
        let own = self.own();
        let mut logit = 0;
        for chosen in self.chosen {
            let weights = &self.weights[chosen * INPUTS..][..INPUTS];
            let (ours, rest) = weights.split_at(own.len());
            let pairs = own.iter().zip(ours).chain(inputs.iter().zip(rest));
            logit += pairs.map(|(x, w)| x * i32::from(*w as i16)).sum::<i32>() >> 13;
        }
        self.p = squash(logit.clamp(-LOGIT_MAX, LOGIT_MAX));
        self.p
    }

    fn learn(&mut self, inputs: &[i32], bit: u32) {
        let error = ((bit as i32) << 16) - self.p as i32;
        if error.unsigned_abs() < LEAST_ERROR {
            return;
        }
        let step = error * RATE;
        let own = self.own();
        for chosen in self.chosen {
            let weights = &mut self.weights[chosen * INPUTS..][..INPUTS];
            for (x, w) in own.iter().chain(inputs).zip(weights) {
                *w = taught(*w as i16, *x, step) as u16;
            }
        }
    }
}
