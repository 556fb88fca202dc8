//! The Evoformer in floating point, forward and backward; `codec_core::neural` has its twin in integers.
//!
//! *Tokens* are the places of the alignment that there are: position for position, and there row for row. *Pairs* are a
//! position and a column that it sees, the nearest first. What later columns look back on lies in arrays over all *columns*
//! of a lane: those before the batch, as many as a window shows, then those of the batch. No gradient goes into the
//! former.

mod block;
mod plan;

use super::layers::{linear, linear_back};
use super::net::{Batch, sized};
use block::{LAYERS, Tape, Weights, add_scaled, dims, norm, norm_back};
use codec_core::neural::rows::ROWS;
use codec_core::neural::shape::{ALIGNED, Evoformer as Sizes, ROW_DIM};
use plan::Plan;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Where the parameters of an Evoformer stand.
#[derive(Clone, Debug)]
pub struct Layout {
    sizes: Sizes,
    embedded: usize,
    input: Layer,
    found: Layer,
    /// What pairs start with, `[window, pair]`.
    offsets: Range<usize>,
    blocks: Vec<[Layer; LAYERS.len()]>,
}

/// Where the parameters of a layer stand: weights `[rows, columns]`, and right behind them the bias `[rows]`.
#[derive(Clone, Debug)]
struct Layer {
    weights: Range<usize>,
    bias: Range<usize>,
    columns: usize,
}

impl Layer {
    /// A layer by this name; `place` as for [`Layout::new`].
    fn new(
        name: &str,
        (rows, columns): (usize, usize),
        place: &mut impl FnMut(String, usize, usize) -> Range<usize>,
    ) -> Self {
        let weights = place(format!("evoformer.{name}.weight"), rows, columns);
        Self { weights, bias: place(format!("evoformer.{name}.bias"), 1, rows), columns }
    }

    /// For how many inputs there are `numbers`, and what [`linear`] is to know of them.
    fn sizes(&self, numbers: usize) -> (usize, usize, usize) {
        (numbers / self.columns, self.columns, self.bias.len())
    }

    /// `y[n, rows]` of `x[n, columns]`, on top of `y` when `add` is set.
    fn apply(&self, parameters: &[f32], x: &[f32], y: &mut Vec<f32>, add: bool) {
        let sizes @ (n, _, rows) = self.sizes(x.len());
        let (weights, bias) = (&parameters[self.weights.clone()], &parameters[self.bias.clone()]);
        linear(x, weights, Some(bias), sized(y, n * rows), sizes, add);
    }

    /// Gradients of [`Layer::apply`]; that of `x` is returned.
    fn back(&self, parameters: &[f32], x: &[f32], dy: &[f32], gradient: &mut [f32]) -> Vec<f32> {
        let mut dx = vec![0.0; x.len()];
        let weights = &parameters[self.weights.clone()];
        let (dw, db) = gradient[self.weights.start..self.bias.end].split_at_mut(weights.len());
        linear_back(x, weights, dy, Some(&mut dx), dw, Some(db), self.sizes(x.len()), false);
        dx
    }
}

/// What is remembered of the columns before a batch.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Memory {
    /// Columns seen of the file, at most a window less one, `[lanes]`.
    seen: Vec<usize>,
    /// Rows that the columns have, a bit for each, `[lanes, window - 1]`.
    present: Vec<u16>,
    /// What every block keeps of them, `[lanes, window - 1, ...]`.
    kept: Vec<Kept>,
}

/// What a block keeps of columns: keys and values `[rows, channels]`, the later factors of outer products `[rows, outer]`
/// and of triangles `[window, outer]`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
struct Kept([Vec<f32>; 4]);

/// Numbers that a column has in each array of [`Kept`].
fn widths(sizes: &Sizes) -> [usize; 4] {
    [ALIGNED * sizes.channels, ALIGNED * sizes.channels, ALIGNED * sizes.outer, sizes.window() * sizes.outer]
}

impl Memory {
    /// What `lanes` streams start with.
    pub fn new(sizes: &Sizes, lanes: usize) -> Self {
        let columns = lanes * (sizes.window() - 1);
        let kept = || Kept(widths(sizes).map(|width| vec![0.0; columns * width]));
        Self { seen: vec![0; lanes], present: vec![0; columns], kept: (0..sizes.blocks).map(|_| kept()).collect() }
    }

    /// Whether `other` can be remembered by the same network in as many streams.
    pub fn fits(&self, other: &Self) -> bool {
        let lens = |memory: &Self| -> Vec<usize> {
            memory.kept.iter().flat_map(|kept| kept.0.each_ref().map(Vec::len)).collect()
        };
        let most = self.present.len() / self.seen.len().max(1);
        (self.seen.len(), self.present.len(), lens(self)) == (other.seen.len(), other.present.len(), lens(other))
            && other.seen.iter().all(|seen| *seen <= most)
    }
}

/// Memory of a run.
#[derive(Default)]
pub struct Scratch {
    plan: Plan,
    tapes: Vec<Tape>,
    input: Vec<f32>,
    found: Vec<f32>,
    x: Vec<f32>,
    z: Vec<f32>,
    out: (Vec<f32>, Vec<f32>),
}

impl Layout {
    /// Lays out an Evoformer over inputs of `embedded` numbers; `place` gives every tensor its place: its name, rows and
    /// columns.
    pub fn new(sizes: Sizes, embedded: usize, mut place: impl FnMut(String, usize, usize) -> Range<usize>) -> Self {
        let input = Layer::new("input", (sizes.channels, embedded), &mut place);
        let found = Layer::new("found", (sizes.channels, ROW_DIM), &mut place);
        let offsets = place("evoformer.offset".into(), sizes.window(), sizes.pair);
        let mut layer = |block, i| Layer::new(&format!("{block}.{}", LAYERS[i]), dims(&sizes, i), &mut place);
        let blocks = (0..sizes.blocks).map(|block| std::array::from_fn(|i| layer(block, i))).collect();
        Self { sizes, embedded, input, found, offsets, blocks }
    }

    /// Runs over a batch: what stands in the first `embedded` of every `stride` numbers of `inputs` is what is known of a
    /// position; the channels of its history go to the last of them.
    pub fn run(
        &self,
        parameters: &[f32],
        batch: &Batch<'_>,
        memory: &mut Memory,
        inputs: &mut [f32],
        stride: usize,
        scratch: &mut Scratch,
    ) {
        let s = &self.sizes;
        scratch.plan = Plan::new(s, batch, memory);
        let plan = &scratch.plan;
        let (n, d) = (batch.features.len(), s.channels);
        scratch.input.clear();
        scratch.found.clear();
        for (position, inputs) in inputs.chunks_exact(stride).enumerate() {
            let embedded = &inputs[..self.embedded];
            scratch.input.extend_from_slice(embedded);
            let founds = &embedded[self.embedded - ROWS * ROW_DIM..];
            for (_, row) in &plan.tokens[plan.first[position] + 1..plan.first[position + 1]] {
                scratch.found.extend_from_slice(&founds[(*row as usize - 1) * ROW_DIM..][..ROW_DIM]);
            }
        }
        let (mut histories, mut rows) = (Vec::new(), Vec::new());
        self.input.apply(parameters, &scratch.input, &mut histories, false);
        self.found.apply(parameters, &scratch.found, &mut rows, false);
        let (mut histories, mut rows) = (histories.chunks_exact(d), rows.chunks_exact(d));
        scratch.x.clear();
        for (_, row) in &plan.tokens {
            let from = if *row == 0 { histories.next() } else { rows.next() };
            scratch.x.extend_from_slice(from.expect("every token has its row"));
        }
        scratch.z.clear();
        for seen in &plan.seen {
            scratch.z.extend_from_slice(&parameters[self.offsets.clone()][..seen * s.pair]);
        }
        scratch.tapes.resize_with(s.blocks, Tape::default);
        for (block, tape) in scratch.tapes.iter_mut().enumerate() {
            let weights = Weights { sizes: s, layers: &self.blocks[block], parameters };
            tape.start(s, &scratch.plan, &memory.kept[block]);
            tape.run(&weights, &scratch.plan, &mut scratch.x, &mut scratch.z);
            tape.finish(s, &scratch.plan, &mut memory.kept[block]);
        }
        let plan = &scratch.plan;
        let before = (plan.window - 1).max(1);
        for (lane, to) in memory.present.chunks_exact_mut(before).enumerate().take(plan.lanes) {
            to.copy_from_slice(&plan.present[(lane + 1) * plan.columns - to.len()..][..to.len()]);
        }
        let mut tops = Vec::with_capacity(n * d);
        for first in &plan.first[..n] {
            tops.extend_from_slice(&scratch.x[first * d..][..d]);
        }
        norm(&tops, &mut scratch.out, d);
        for (inputs, out) in inputs.chunks_exact_mut(stride).zip(scratch.out.1.chunks_exact(d)) {
            inputs[stride - d..].copy_from_slice(out);
        }
    }

    /// Backward of [`Layout::run`]: takes the gradients of what it wrote from the last of every `stride` numbers of
    /// `d_inputs`, and adds those of the embeddings to the first.
    pub fn back(
        &self,
        parameters: &[f32],
        gradient: &mut [f32],
        d_inputs: &mut [f32],
        stride: usize,
        scratch: &mut Scratch,
    ) {
        let s = &self.sizes;
        let plan = &scratch.plan;
        let (n, d) = (plan.seen.len(), s.channels);
        let d_out: Vec<f32> = d_inputs.chunks_exact(stride).flat_map(|d_in| &d_in[stride - d..]).copied().collect();
        let mut d_tops = vec![0.0; n * d];
        norm_back(&scratch.out, &d_out, &mut d_tops, d);
        let (mut dx, mut dz) = (vec![0.0; scratch.x.len()], vec![0.0; scratch.z.len()]);
        for (first, d_top) in plan.first.iter().zip(d_tops.chunks_exact(d)) {
            dx[first * d..][..d].copy_from_slice(d_top);
        }
        for (block, tape) in scratch.tapes.iter().enumerate().rev() {
            let weights = Weights { sizes: s, layers: &self.blocks[block], parameters };
            tape.back(&weights, plan, &mut dx, &mut dz, gradient);
        }
        let mut pairs = dz.chunks_exact(s.pair);
        for seen in &plan.seen {
            for (back, d_pair) in pairs.by_ref().take(*seen).enumerate() {
                add_scaled(&mut gradient[self.offsets.start + back * s.pair..][..s.pair], d_pair, 1.0);
            }
        }
        let (mut d_histories, mut d_rows) = (Vec::new(), Vec::new());
        for ((_, row), dx) in plan.tokens.iter().zip(dx.chunks_exact(d)) {
            if *row == 0 { &mut d_histories } else { &mut d_rows }.extend_from_slice(dx);
        }
        let d_embedded = self.input.back(parameters, &scratch.input, &d_histories, gradient);
        let d_found = self.found.back(parameters, &scratch.found, &d_rows, gradient);
        for (to, from) in d_inputs.chunks_exact_mut(stride).zip(d_embedded.chunks_exact(self.embedded)) {
            add_scaled(&mut to[..self.embedded], from, 1.0);
        }
        let found = plan.tokens.iter().filter(|(_, row)| *row > 0);
        for ((position, row), from) in found.zip(d_found.chunks_exact(ROW_DIM)) {
            let at = *position as usize * stride + self.embedded - (ALIGNED - *row as usize) * ROW_DIM;
            add_scaled(&mut d_inputs[at..][..ROW_DIM], from, 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read from a file must not lead out of a window, or out of an array.
    #[test]
    fn memories_of_other_networks_do_not_fit() {
        let sizes = Sizes { blocks: 1, channels: 4, heads: 1, window_log2: 2, pair: 2, outer: 1, transition: 4 };
        let memory = Memory::new(&sizes, 2);
        let fits = |change: &dyn Fn(&mut Memory)| {
            let mut other = memory.clone();
            change(&mut other);
            memory.fits(&other)
        };
        assert!(fits(&|other| other.seen = vec![3, 0]));
        assert!(!fits(&|other| other.seen = vec![3, 4]));
        assert!(!fits(&|other| other.seen = vec![3]));
        assert!(!fits(&|other| other.present.truncate(5)));
        assert!(!fits(&|other| other.kept[0].0[2].truncate(1)));
        assert!(!fits(&|other| other.kept.clear()));
    }
}
