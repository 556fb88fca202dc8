//! An adapter in floats, learned by the gradient of the whole network, which stays as it is.

use crate::train::neural::adam::{Adam, rate};
use crate::train::neural::data::{Chunk, Example, Lanes};
use crate::train::neural::net::{Batch, Net, Scratch};
use codec_core::neural::adapter::rows;
use std::ops::Range;

/// Streams that are read side by side, where there are files for them.
const LANES: usize = 8;
/// Bytes of every stream that one step sees.
const STEPS: usize = 32;
/// Bytes that one learning reads, in as many epochs as that takes.
const SEEN: usize = 1 << 20;
/// Fewest and most epochs.
const EPOCHS: (usize, usize) = (4, 40);
/// Largest learning rate.
const RATE: f32 = 1e-2;
/// Decay of factors and biases: those that gain little stay near nothing, or the contexts would be mixed in worse.
const DECAY: f32 = 0.5;

/// What an adapter changes in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// A factor and a bias for every row.
    pub gain: bool,
    /// Rank of what is added to the first layer and to the head; 0 for nothing.
    pub rank: usize,
}

/// One layer of the network.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) weights: Range<usize>,
    pub(super) bias: Range<usize>,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// First row among those of all layers.
    pub(super) first: usize,
    /// Where its matrices of low rank stand in the adapter: `down` `[rank, columns]`, `up` `[rows, rank]`.
    pub(super) low: Option<(Range<usize>, Range<usize>)>,
}

/// An adapter in floats.
pub struct Fitted<'a> {
    pub(super) net: &'a Net,
    pub(super) spec: Spec,
    pub(super) layers: Vec<Layer>,
    pub(super) original: &'a [f32],
    /// Factors less 1 of all rows and their biases, where there are any; then the low ranks.
    pub(super) data: Vec<f32>,
}

impl<'a> Fitted<'a> {
    /// An adapter that changes nothing.
    pub fn new(net: &'a Net, original: &'a [f32], spec: Spec, seed: u64) -> Self {
        let shape = &net.shape;
        let all = rows(shape);
        let mut len = if spec.gain { 2 * all } else { 0 };
        let names = (0..=shape.layers).map(|i| format!("layer.{i}")).chain(["head".to_owned()]);
        let mut layers = Vec::new();
        let mut first = 0;
        for (i, name) in names.enumerate() {
            let part = |what| {
                let name = format!("{name}.{what}");
                net.tensors.iter().find(|t| t.name == name).expect("every network has this tensor")
            };
            let (weights, bias) = (part("weight"), part("bias"));
            let (rows, columns) = weights.dims;
            let low = (spec.rank > 0 && (i == 0 || i > shape.layers)).then(|| {
                let down = len..len + spec.rank * columns;
                let up = down.end..down.end + rows * spec.rank;
                len = up.end;
                (down, up)
            });
            layers.push(Layer { weights: weights.at.clone(), bias: bias.at.clone(), rows, columns, first, low });
            first += rows;
        }
        let mut data = vec![0.0; len];
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for layer in &layers {
            let Some((down, _)) = &layer.low else { continue };
            for value in &mut data[down.clone()] {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                *value = ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) / (layer.columns as f32).sqrt();
            }
        }
        Self { net, spec, layers, original, data }
    }

    /// What is added to the weights of row `row` of a layer by its low rank.
    pub(super) fn added(&self, layer: &Layer, row: usize, to: &mut [f32]) {
        to.fill(0.0);
        let (Some((down, up)), rank) = (&layer.low, self.spec.rank) else { return };
        let (down, up) = (&self.data[down.clone()], &self.data[up.clone()][row * rank..][..rank]);
        for (factor, down) in up.iter().zip(down.chunks_exact(layer.columns)) {
            to.iter_mut().zip(down).for_each(|(to, d)| *to += factor * d);
        }
    }

    /// Writes the network's parameters as the adapter makes them.
    fn apply(&self, to: &mut [f32]) {
        let all = rows(&self.net.shape);
        let mut added = Vec::new();
        for layer in &self.layers {
            added.resize(layer.columns, 0.0);
            for row in 0..layer.rows {
                let (factor, bias) = match self.spec.gain {
                    true => (1.0 + self.data[layer.first + row], self.data[all + layer.first + row]),
                    false => (1.0, 0.0),
                };
                self.added(layer, row, &mut added);
                let at = layer.weights.start + row * layer.columns;
                let places = to[at..at + layer.columns].iter_mut().zip(&self.original[at..]);
                places.zip(&added).for_each(|((to, w), a)| *to = factor * w + a);
                let at = layer.bias.start + row;
                to[at] = factor * self.original[at] + bias;
            }
        }
    }

    /// The gradient of the adapter from that of the network's parameters.
    fn project(&self, gradient: &[f32], to: &mut [f32]) {
        to.fill(0.0);
        let (all, rank) = (rows(&self.net.shape), self.spec.rank);
        for layer in &self.layers {
            for row in 0..layer.rows {
                let at = layer.weights.start + row * layer.columns;
                let d = &gradient[at..at + layer.columns];
                let d_bias = gradient[layer.bias.start + row];
                if self.spec.gain {
                    let dot: f32 = d.iter().zip(&self.original[at..]).map(|(d, w)| d * w).sum();
                    to[layer.first + row] = dot + d_bias * self.original[layer.bias.start + row];
                    to[all + layer.first + row] = d_bias;
                }
                let Some((down, up)) = &layer.low else { continue };
                for k in 0..rank {
                    let (from, factor) = (down.start + k * layer.columns, up.start + row * rank + k);
                    let value = self.data[factor];
                    let mut dot = 0.0;
                    for (i, d) in d.iter().enumerate() {
                        dot += d * self.data[from + i];
                        to[from + i] += value * d;
                    }
                    to[factor] = dot;
                }
            }
        }
    }

    /// Learns from the examples.
    pub fn learn(&mut self, examples: &[Example], seed: u64, mut watch: impl FnMut(u64, u64)) {
        let bytes: usize = examples.iter().map(|e| e.bytes.len()).sum();
        let epochs = (SEEN / bytes.max(1)).clamp(EPOCHS.0, EPOCHS.1);
        let lanes = LANES.min(examples.len()).max(1);
        let all = (bytes * epochs) as u64;
        let mut parameters = self.original.to_vec();
        let (mut adam, mut own) = (Adam::new(self.data.len()), vec![0.0; self.data.len()]);
        let decay = if self.spec.gain { DECAY } else { 0.0 };
        let mut seen = 0;
        walk(
            self.net,
            examples,
            order(examples.len(), epochs, seed),
            lanes,
            |net, batch, memory, scratch, gradient| {
                self.apply(&mut parameters);
                gradient.fill(0.0);
                let n = batch.targets.len();
                net.run(&parameters, batch, memory, Some(gradient), 1.0 / n as f32, scratch);
                self.project(gradient, &mut own);
                seen += n as u64;
                adam.step(&mut self.data, &own, rate(seen as f32 / all as f32, RATE), decay);
                watch(seen.min(all), all);
            },
        );
    }
}

/// The gradient of the network as it is, in nats, over all examples.
pub fn gradient(net: &Net, parameters: &[f32], examples: &[Example]) -> Vec<f32> {
    let mut sum = vec![0.0; net.len()];
    walk(net, examples, order(examples.len(), 1, 0), 1, |net, batch, memory, scratch, _| {
        net.run(parameters, batch, memory, Some(&mut sum), 1.0, scratch);
    });
    sum
}

/// The examples in as many orders as there are epochs.
fn order(count: usize, epochs: usize, seed: u64) -> Vec<u32> {
    let key = |epoch: usize, i: u32| {
        let x = (u64::from(i) << 20 ^ epoch as u64 ^ seed << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (x ^ x >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 3
    };
    let mut orders = Vec::new();
    for epoch in 0..epochs {
        let mut order: Vec<u32> = (0..count as u32).collect();
        order.sort_by_key(|&i| key(epoch, i));
        orders.extend(order);
    }
    orders
}

/// Calls `step` with batch after batch, and a place for the gradient.
fn walk(
    net: &Net,
    examples: &[Example],
    order: Vec<u32>,
    lanes: usize,
    mut step: impl FnMut(&Net, &Batch<'_>, &mut crate::train::neural::net::Memory, &mut Scratch, &mut [f32]),
) {
    let mut streams = Lanes::new(examples, order, lanes);
    let (mut chunk, mut memory, mut scratch) = (Chunk::default(), net.memory(lanes), Scratch::default());
    let mut gradient = vec![0.0; net.len()];
    while streams.fill(STEPS, &mut chunk) {
        let Chunk { features, targets, starts } = &chunk;
        step(net, &Batch { features, targets, starts, lanes }, &mut memory, &mut scratch, &mut gradient);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec_core::neural::shape::{Evoformer, Shape};

    const SHAPE: Shape = Shape {
        gram_log2: 4,
        gram_dim: 2,
        hidden: 8,
        layers: 1,
        state: 0,
        state_dim: 0,
        evoformer: Evoformer::NONE,
        ring_log2: 8,
        index_log2: 6,
    };

    fn cost(fitted: &Fitted<'_>, examples: &[Example]) -> f64 {
        let mut parameters = fitted.original.to_vec();
        fitted.apply(&mut parameters);
        crate::train::neural::run::measure(fitted.net, &parameters, examples, 1).iter().sum::<f64>() * 8.0
            / std::f64::consts::LOG2_E
    }

    /// Every number of an adapter has the gradient that differences show.
    #[test]
    fn gradients_are_those_of_differences() {
        let net = Net::new(SHAPE);
        let original = net.init(7);
        let examples = [Example::new(b"let x = 1;\nlet y = 22;\nlet zz = 1;\n"[..32].to_vec(), &SHAPE)];
        let mut fitted = Fitted::new(&net, &original, Spec { gain: true, rank: 2 }, 3);
        fitted.data.iter_mut().enumerate().for_each(|(i, v)| *v += 0.05 * ((i * 37 % 11) as f32 - 5.0));
        let mut parameters = original.clone();
        fitted.apply(&mut parameters);
        let mut own = vec![0.0; fitted.data.len()];
        fitted.project(&gradient(&net, &parameters, &examples), &mut own);
        let (mut close, mut large) = (0, 0);
        for i in (0..fitted.data.len()).step_by(7) {
            let before = fitted.data[i];
            let at = |fitted: &mut Fitted<'_>, value| {
                fitted.data[i] = value;
                cost(fitted, &examples)
            };
            let slope = (at(&mut fitted, before + 1e-3) - at(&mut fitted, before - 1e-3)) / 2e-3;
            fitted.data[i] = before;
            large += usize::from(slope.abs() > 0.05);
            close += usize::from((slope - f64::from(own[i])).abs() < 0.02 + 0.05 * slope.abs());
        }
        let all = fitted.data.len().div_ceil(7);
        assert!(large > 20 && close * 20 >= all * 19, "{close} of {all}, {large} large");
    }

    /// Nothing changed is the network itself.
    #[test]
    fn a_new_adapter_changes_nothing() {
        let net = Net::new(SHAPE);
        let original = net.init(7);
        let fitted = Fitted::new(&net, &original, Spec { gain: true, rank: 4 }, 3);
        let mut parameters = original.clone();
        fitted.apply(&mut parameters);
        assert_eq!(parameters, original);
    }
}
