//! The network in floating point: embeddings, a recurrent layer where there is one, residual layers, a tree of bits.

use super::evoformer::{self, Layout};
use super::layers::{self, GRU_KEPT, Gru, GruGradient};
use codec_core::neural::context::{Features, GRAMS};
use codec_core::neural::rows::{LONGEST, ROWS};
use codec_core::neural::shape::{BYTE_DIMS, LANE_DIM, NODES, ROW_DIM, Shape};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Largest activation: integers of 16 bit in Q11 saturate there, so the network learns with it.
const LARGEST: f32 = 32767.0 / 2048.0;

/// One parameter tensor.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Name of the layer in the base model.
    pub name: String,
    /// Rows and columns.
    pub dims: (usize, usize),
    /// Its place among the parameters.
    pub at: Range<usize>,
}

/// Tensors that are laid out one behind the other.
struct Tensors(Vec<Tensor>);

impl Tensors {
    fn add(&mut self, name: String, rows: usize, columns: usize) -> usize {
        let start = self.0.last().map_or(0, |t| t.at.end);
        self.0.push(Tensor { name, dims: (rows, columns), at: start..start + rows * columns });
        self.0.len() - 1
    }
}

/// Which parameters a network of some shape has, and where they stand.
#[derive(Clone, Debug)]
pub struct Net {
    /// Sizes.
    pub shape: Shape,
    /// All tensors, in the order of the base model.
    pub tensors: Vec<Tensor>,
    grams: usize,
    bytes: usize,
    lane: usize,
    row_bytes: usize,
    row_classes: usize,
    gru: usize,
    evoformer: Option<Layout>,
    first: usize,
    head: usize,
    len: usize,
}

/// Consecutive bytes of `lanes` streams, time-major: entry `t * lanes + lane`.
pub struct Batch<'a> {
    /// What is known of every byte.
    pub features: &'a [Features],
    /// The bytes.
    pub targets: &'a [u8],
    /// Whether a file starts there.
    pub starts: &'a [bool],
    /// Streams.
    pub lanes: usize,
}

/// What a network remembers of the bytes before a batch.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Memory {
    /// State of the recurrent layer, `[lanes, state]`.
    pub(super) recurrent: Vec<f32>,
    columns: evoformer::Memory,
}

/// Memory of a run over a batch.
#[derive(Default)]
pub struct Scratch {
    x: Vec<f32>,
    projected: Vec<f32>,
    embedded: Vec<f32>,
    kept: Vec<f32>,
    states: Vec<f32>,
    hidden: Vec<Vec<f32>>,
    dx: Vec<f32>,
    d_hidden: Vec<f32>,
    d_layer: Vec<f32>,
    evoformer: evoformer::Scratch,
    /// Cost of every byte, nats.
    pub costs: Vec<f32>,
}

impl Memory {
    /// Whether `other` can be remembered by the same network in as many streams.
    pub(super) fn fits(&self, other: &Self) -> bool {
        self.recurrent.len() == other.recurrent.len() && self.columns.fits(&other.columns)
    }
}

pub(super) fn sized(data: &mut Vec<f32>, len: usize) -> &mut [f32] {
    data.resize(len, 0.0);
    &mut data[..]
}

impl Net {
    /// Lays the parameters of a network out.
    pub fn new(shape: Shape) -> Self {
        let mut tensors = Tensors(Vec::new());
        let grams = tensors.add("embed.gram".into(), GRAMS << shape.gram_log2, shape.gram_dim);
        let bytes = tensors.add("embed.byte.0".into(), 256, BYTE_DIMS[0]);
        for (i, dim) in BYTE_DIMS.iter().enumerate().skip(1) {
            tensors.add(format!("embed.byte.{i}"), 256, *dim);
        }
        let lane = tensors.add("embed.lane".into(), 4, LANE_DIM);
        let row_bytes = tensors.add("embed.row.byte".into(), 256, ROW_DIM);
        let row_classes = tensors.add("embed.row.agree".into(), ROWS * LONGEST as usize, ROW_DIM);
        let gru = if shape.state > 0 {
            let gru = tensors.add("gru.embed".into(), 256, shape.state_dim);
            tensors.add("gru.input".into(), 3 * shape.state, shape.state_dim);
            tensors.add("gru.state".into(), 3 * shape.state, shape.state);
            tensors.add("gru.bias".into(), 1, 3 * shape.state);
            tensors.add("gru.inner".into(), 1, shape.state);
            gru
        } else {
            0
        };
        let evoformer = (shape.evoformer.blocks > 0).then(|| {
            let place = |name, rows, columns| {
                let tensor = tensors.add(name, rows, columns);
                tensors.0[tensor].at.clone()
            };
            Layout::new(shape.evoformer, shape.embedded(), place)
        });
        let first = tensors.add("layer.0.weight".into(), shape.hidden, shape.inputs());
        tensors.add("layer.0.bias".into(), 1, shape.hidden);
        for i in 1..=shape.layers {
            tensors.add(format!("layer.{i}.weight"), shape.hidden, shape.hidden);
            tensors.add(format!("layer.{i}.bias"), 1, shape.hidden);
        }
        let head = tensors.add("head.weight".into(), NODES, shape.hidden);
        tensors.add("head.bias".into(), 1, NODES);
        let Tensors(tensors) = tensors;
        let len = tensors.last().map_or(0, |t| t.at.end);
        Self { shape, tensors, grams, bytes, lane, row_bytes, row_classes, gru, evoformer, first, head, len }
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no parameters; never.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn part<'a>(&self, data: &'a [f32], tensor: usize) -> &'a [f32] {
        &data[self.tensors[tensor].at.clone()]
    }

    fn part_mut<'a>(&self, data: &'a mut [f32], tensor: usize) -> &'a mut [f32] {
        &mut data[self.tensors[tensor].at.clone()]
    }

    /// Two tensors that follow each other.
    fn two_mut<'a>(&self, data: &'a mut [f32], tensor: usize) -> (&'a mut [f32], &'a mut [f32]) {
        let (a, b) = (&self.tensors[tensor].at, &self.tensors[tensor + 1].at);
        data[a.start..b.end].split_at_mut(a.len())
    }

    /// Random parameters: embeddings small, weights after He, biases zero.
    pub fn init(&self, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut uniform = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 24) as f32
        };
        // A sum of uniform numbers is normal enough.
        let mut normal = move || (0..6).map(|_| uniform() - 0.5).sum::<f32>() * std::f32::consts::SQRT_2;
        let mut data = vec![0.0; self.len];
        for tensor in &self.tensors {
            let scale = match tensor.name.as_str() {
                name if name.starts_with("embed.gram") => 0.05,
                name if name.contains("embed") || name == "evoformer.offset" => 0.3,
                name if name.ends_with("bias") || name.ends_with("inner") => 0.0,
                name if name.starts_with("gru") => (1.0 / tensor.dims.1 as f32).sqrt(),
                // Every step of a block starts small beside what it adds to.
                name if name.starts_with("evoformer") => 0.7 * (1.0 / tensor.dims.1 as f32).sqrt(),
                name if name.starts_with("head") => 0.5 * (1.0 / tensor.dims.1 as f32).sqrt(),
                _ => (2.0 / tensor.dims.1 as f32).sqrt(),
            };
            data[tensor.at.clone()].iter_mut().for_each(|p| *p = scale * normal());
        }
        data
    }

    /// Calls `each` with every embedding that a byte uses: tensor, row, offset in the input, dimensions.
    fn embeddings(&self, features: &Features, mut each: impl FnMut(usize, usize, usize, usize)) {
        let (mut at, dim) = (0, self.shape.gram_dim);
        for (i, hash) in features.grams.iter().enumerate() {
            let entry = (i << self.shape.gram_log2) + (hash >> (32 - self.shape.gram_log2)) as usize;
            each(self.grams, entry, at, dim);
            at += dim;
        }
        for (i, (byte, dim)) in features.bytes.iter().zip(BYTE_DIMS).enumerate() {
            each(self.bytes + i, usize::from(*byte), at, dim);
            at += dim;
        }
        each(self.lane, usize::from(features.lane), at, LANE_DIM);
        at += LANE_DIM;
        for (i, row) in features.rows.iter().enumerate() {
            if row.agree > 0 {
                each(self.row_bytes, usize::from(row.byte), at, ROW_DIM);
            }
            each(self.row_classes, i * LONGEST as usize + usize::from(row.agree), at, ROW_DIM);
            at += ROW_DIM;
        }
    }

    fn gru_weights<'a>(&self, parameters: &'a [f32]) -> Gru<'a> {
        Gru {
            input: self.part(parameters, self.gru + 1),
            state: self.part(parameters, self.gru + 2),
            bias: self.part(parameters, self.gru + 3),
            inner: self.part(parameters, self.gru + 4),
        }
    }

    /// What `lanes` streams start with.
    pub fn memory(&self, lanes: usize) -> Memory {
        let columns = evoformer::Memory::new(&self.shape.evoformer, lanes);
        Memory { recurrent: vec![0.0; lanes * self.shape.state], columns }
    }

    /// Runs a batch. The memory is carried from batch to batch. With a gradient, adds to it that of the
    /// cost in nats, scaled by `scale`. Costs stay in the scratch memory.
    pub fn run(
        &self,
        parameters: &[f32],
        batch: &Batch<'_>,
        memory: &mut Memory,
        mut gradient: Option<&mut [f32]>,
        scale: f32,
        scratch: &mut Scratch,
    ) {
        let (n, shape) = (batch.features.len(), &self.shape);
        let (inputs, width, h) = (shape.inputs(), shape.hidden, shape.state);
        let x = sized(&mut scratch.x, n * inputs);
        x.fill(0.0);
        for (features, x) in batch.features.iter().zip(x.chunks_exact_mut(inputs)) {
            self.embeddings(features, |tensor, row, at, dim| {
                let embedding = &self.part(parameters, tensor)[row * dim..][..dim];
                x[at..at + dim].iter_mut().zip(embedding).for_each(|(x, e)| *x += e);
            });
        }
        if h > 0 {
            self.recur(parameters, batch, &mut memory.recurrent, scratch);
        }
        if let Some(layout) = &self.evoformer {
            layout.run(parameters, batch, &mut memory.columns, &mut scratch.x, inputs, &mut scratch.evoformer);
        }
        if scratch.hidden.len() != shape.layers + 1 {
            scratch.hidden.resize(shape.layers + 1, Vec::new());
        }
        for layer in 0..=shape.layers {
            let (weights, bias) = (self.first + 2 * layer, self.first + 2 * layer + 1);
            let (before, rest) = scratch.hidden.split_at_mut(layer);
            let out = sized(&mut rest[0], n * width);
            let (x, k) = before.last().map_or((&scratch.x[..], inputs), |x| (&x[..], width));
            let bias = self.part(parameters, bias);
            layers::linear(x, self.part(parameters, weights), Some(bias), out, (n, k, width), false);
            layers::relu(out);
            if layer > 0 {
                // Residual: what the layer gives goes on top.
                out.iter_mut().zip(x).for_each(|(out, x)| *out += x);
            }
            out.iter_mut().for_each(|out| *out = out.min(LARGEST));
        }
        let top = &scratch.hidden[shape.layers];
        let (w, b) = (self.part(parameters, self.head), self.part(parameters, self.head + 1));
        scratch.costs.resize(n, 0.0);
        let d_hidden = sized(&mut scratch.d_hidden, n * width);
        match &mut gradient {
            None => {
                layers::tree(top, w, b, batch.targets, None, width, scale, &mut scratch.costs);
                return;
            }
            Some(gradient) => {
                let (dw, db) = self.two_mut(gradient, self.head);
                let gradient = Some((&mut d_hidden[..], dw, db));
                layers::tree(top, w, b, batch.targets, gradient, width, scale, &mut scratch.costs);
            }
        }
        let Some(gradient) = gradient else { return };
        self.back(parameters, batch, gradient, scratch);
    }

    /// The recurrent layer over a batch; its states go into the inputs.
    fn recur(&self, parameters: &[f32], batch: &Batch<'_>, state: &mut [f32], scratch: &mut Scratch) {
        let (n, shape) = (batch.features.len(), &self.shape);
        let (inputs, lanes, h, e) = (shape.inputs(), batch.lanes, shape.state, shape.state_dim);
        let at = shape.embedded();
        let weights = self.gru_weights(parameters);
        let table = self.part(parameters, self.gru);
        let embedded = sized(&mut scratch.embedded, n * e);
        for (features, to) in batch.features.iter().zip(embedded.chunks_exact_mut(e)) {
            to.copy_from_slice(&table[usize::from(features.bytes[0]) * e..][..e]);
        }
        let projected = sized(&mut scratch.projected, n * 3 * h);
        layers::linear(embedded, weights.input, Some(weights.bias), projected, (n, e, 3 * h), false);
        // states[t] is the state before step t.
        let states = sized(&mut scratch.states, (n + lanes) * h);
        let kept = sized(&mut scratch.kept, n * GRU_KEPT * h);
        states[..lanes * h].copy_from_slice(state);
        for t in 0..n / lanes {
            let (before, after) = states[t * lanes * h..].split_at_mut(lanes * h);
            for (lane, before) in before.chunks_exact_mut(h).enumerate() {
                if batch.starts[t * lanes + lane] {
                    before.fill(0.0);
                }
            }
            let projected = &projected[t * lanes * 3 * h..][..lanes * 3 * h];
            let kept = &mut kept[t * lanes * GRU_KEPT * h..][..lanes * GRU_KEPT * h];
            layers::gru(&weights, projected, before, kept, &mut after[..lanes * h], h);
            for lane in 0..lanes {
                let x = &mut scratch.x[(t * lanes + lane) * inputs..][at..at + h];
                x.copy_from_slice(&after[lane * h..][..h]);
            }
        }
        state.copy_from_slice(&states[n * h..]);
    }

    fn back(&self, parameters: &[f32], batch: &Batch<'_>, gradient: &mut [f32], scratch: &mut Scratch) {
        let (n, shape) = (batch.features.len(), &self.shape);
        let (inputs, width) = (shape.inputs(), shape.hidden);
        let dx = sized(&mut scratch.dx, n * inputs);
        for layer in (0..=shape.layers).rev() {
            let tensor = self.first + 2 * layer;
            let (x, k) = if layer > 0 { (&scratch.hidden[layer - 1], width) } else { (&scratch.x, inputs) };
            for (y, d) in scratch.hidden[layer].iter().zip(&mut scratch.d_hidden) {
                if *y >= LARGEST {
                    *d = 0.0;
                }
            }
            scratch.d_layer.clear();
            scratch.d_layer.extend_from_slice(&scratch.d_hidden);
            // A residual layer's own output is what it added.
            if layer > 0 {
                for ((y, x), d) in scratch.hidden[layer].iter().zip(x).zip(&mut scratch.d_layer) {
                    if y <= x {
                        *d = 0.0;
                    }
                }
            } else {
                layers::relu_back(&scratch.hidden[0], &mut scratch.d_layer);
            }
            let weights = self.part(parameters, tensor);
            let (dw, db) = self.two_mut(gradient, tensor);
            let d_input = if layer > 0 { &mut scratch.d_hidden[..] } else { &mut dx[..] };
            layers::linear_back(x, weights, &scratch.d_layer, Some(d_input), dw, Some(db), (n, k, width), layer > 0);
        }
        if let Some(layout) = &self.evoformer {
            layout.back(parameters, gradient, dx, inputs, &mut scratch.evoformer);
        }
        for (features, dx) in batch.features.iter().zip(dx.chunks_exact(inputs)) {
            self.embeddings(features, |tensor, row, at, dim| {
                let to = &mut self.part_mut(gradient, tensor)[row * dim..][..dim];
                to.iter_mut().zip(&dx[at..]).for_each(|(to, d)| *to += d);
            });
        }
        if shape.state > 0 {
            self.recur_back(parameters, batch, gradient, scratch);
        }
    }

    fn recur_back(&self, parameters: &[f32], batch: &Batch<'_>, gradient: &mut [f32], scratch: &mut Scratch) {
        let (n, shape) = (batch.features.len(), &self.shape);
        let (inputs, lanes, h, e) = (shape.inputs(), batch.lanes, shape.state, shape.state_dim);
        let at = shape.embedded();
        let weights = self.gru_weights(parameters);
        let mut d_state = vec![0.0; lanes * h];
        let d_projected = sized(&mut scratch.projected, n * 3 * h);
        let mut rest = &mut gradient[self.tensors[self.gru].at.start..];
        let mut next = |tensor: usize| {
            let (part, after) = std::mem::take(&mut rest).split_at_mut(self.tensors[tensor].at.len());
            rest = after;
            part
        };
        let table = next(self.gru);
        let [input, state, bias, inner] = [1, 2, 3, 4].map(|i| next(self.gru + i));
        let mut to = GruGradient { input, state, bias, inner };
        for t in (0..n / lanes).rev() {
            for lane in 0..lanes {
                let dx = &scratch.dx[(t * lanes + lane) * inputs..][at..at + h];
                d_state[lane * h..][..h].iter_mut().zip(dx).for_each(|(d, dx)| *d += dx);
            }
            let before = &scratch.states[t * lanes * h..][..lanes * h];
            let kept = &scratch.kept[t * lanes * GRU_KEPT * h..][..lanes * GRU_KEPT * h];
            let d_projected = &mut d_projected[t * lanes * 3 * h..][..lanes * 3 * h];
            layers::gru_back(&weights, before, kept, &mut d_state, d_projected, &mut to, h);
            for lane in 0..lanes {
                if batch.starts[t * lanes + lane] {
                    d_state[lane * h..][..h].fill(0.0);
                }
            }
        }
        let GruGradient { input, bias, .. } = to;
        let mut d_embedded = vec![0.0; n * e];
        let sizes = (n, e, 3 * h);
        let d_input = Some(&mut d_embedded[..]);
        layers::linear_back(&scratch.embedded, weights.input, d_projected, d_input, input, Some(bias), sizes, false);
        for (features, d) in batch.features.iter().zip(d_embedded.chunks_exact(e)) {
            let row = &mut table[usize::from(features.bytes[0]) * e..][..e];
            row.iter_mut().zip(d).for_each(|(row, d)| *row += d);
        }
    }
}
