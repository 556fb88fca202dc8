//! One block, forward and backward.

use super::plan::Plan;
use super::{Kept, Layer, widths};
use crate::train::neural::layers::{dot, relu, relu_back, rms_factor, rms_norm_back, sigmoid, softmax, softmax_back};
use codec_core::neural::shape::{ALIGNED, Evoformer as Sizes, LEAST_SQUARE};

/// Layers of a block, in the order of the base model.
pub(super) const LAYERS: [&str; 14] = [
    "outer",
    "outer.out",
    "triangle",
    "gate",
    "triangle.out",
    "pair.up",
    "pair.down",
    "row",
    "row.pairs",
    "row.out",
    "column",
    "column.out",
    "up",
    "down",
];
const OUTER: usize = 0;
const OUTER_OUT: usize = 1;
const TRIANGLE: usize = 2;
const GATE: usize = 3;
const TRIANGLE_OUT: usize = 4;
const PAIR_UP: usize = 5;
const PAIR_DOWN: usize = 6;
const ROW: usize = 7;
const BIAS: usize = 8;
const ROW_OUT: usize = 9;
const COLUMN: usize = 10;
const COLUMN_OUT: usize = 11;
const UP: usize = 12;
const DOWN: usize = 13;

/// Added to the mean square in a norm.
const LEAST: f32 = LEAST_SQUARE as f32 / 32768.0;

/// Rows and columns of a block's layer.
pub(super) fn dims(sizes: &Sizes, layer: usize) -> (usize, usize) {
    let (d, z, c, f) = (sizes.channels, sizes.pair, sizes.outer, sizes.transition);
    match layer {
        ROW | COLUMN => (3 * d, d),
        BIAS => (sizes.heads, z),
        ROW_OUT | COLUMN_OUT => (d, d),
        UP => (f, d),
        OUTER => (2 * c, d),
        OUTER_OUT => (z, c * c),
        TRIANGLE => (2 * c, z),
        GATE => (z, z),
        TRIANGLE_OUT => (z, c),
        PAIR_UP => (2 * z, z),
        PAIR_DOWN => (z, 2 * z),
        _ => (d, f),
    }
}

/// What the forward run of a block leaves for the backward: numbers of tokens, of pairs, and of columns.
#[derive(Default)]
pub(super) struct Tape {
    kept: Kept,
    /// Normalised inputs of the steps in their order, each behind its factors.
    normal: [(Vec<f32>, Vec<f32>); 7],
    row: Vec<f32>,
    row_shares: Vec<f32>,
    row_drawn: Vec<f32>,
    column: Vec<f32>,
    column_shares: Vec<f32>,
    column_drawn: Vec<f32>,
    inside: Vec<f32>,
    outer: Vec<f32>,
    product: Vec<f32>,
    triangle: Vec<f32>,
    gate: Vec<f32>,
    sums: Vec<f32>,
    update: Vec<f32>,
    pair_inside: Vec<f32>,
}

/// Divides every `width` numbers by the root of their mean square.
pub(super) fn norm(x: &[f32], (factors, y): &mut (Vec<f32>, Vec<f32>), width: usize) {
    factors.clear();
    y.clear();
    for x in x.chunks_exact(width) {
        let factor = rms_factor(x, LEAST);
        factors.push(factor);
        y.extend(x.iter().map(|x| x * factor));
    }
}

/// Adds the gradient of [`norm`]'s input to `dx`.
pub(super) fn norm_back((factors, y): &(Vec<f32>, Vec<f32>), dy: &[f32], dx: &mut [f32], width: usize) {
    let rows = y.chunks_exact(width).zip(dy.chunks_exact(width)).zip(dx.chunks_exact_mut(width));
    for (((y, dy), dx), factor) in rows.zip(factors) {
        rms_norm_back(*factor, y, dy, dx);
    }
}

pub(super) fn add_scaled(to: &mut [f32], from: &[f32], scale: f32) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += scale * from);
}

/// The parameters of a block, as a run sees them.
pub(super) struct Weights<'a> {
    pub sizes: &'a Sizes,
    pub layers: &'a [Layer; LAYERS.len()],
    pub parameters: &'a [f32],
}

impl Weights<'_> {
    fn apply(&self, layer: usize, x: &[f32], y: &mut Vec<f32>, add: bool) {
        self.layers[layer].apply(self.parameters, x, y, add);
    }

    fn back(&self, layer: usize, x: &[f32], dy: &[f32], gradient: &mut [f32]) -> Vec<f32> {
        self.layers[layer].back(self.parameters, x, dy, gradient)
    }
}

impl Tape {
    /// Takes what a block keeps of the columns before the batch.
    pub(super) fn start(&mut self, sizes: &Sizes, plan: &Plan, before: &Kept) {
        let ahead = plan.window - 1;
        for ((kept, before), width) in self.kept.0.iter_mut().zip(&before.0).zip(widths(sizes)) {
            kept.clear();
            kept.resize(plan.lanes * plan.columns * width, 0.0);
            for lane in 0..plan.lanes {
                let to = &mut kept[lane * plan.columns * width..][..ahead * width];
                to.copy_from_slice(&before[lane * ahead * width..][..ahead * width]);
            }
        }
    }

    /// Hands on what the block keeps of the last columns.
    pub(super) fn finish(&self, sizes: &Sizes, plan: &Plan, to: &mut Kept) {
        let ahead = plan.window - 1;
        for ((kept, to), width) in self.kept.0.iter().zip(&mut to.0).zip(widths(sizes)) {
            for lane in 0..plan.lanes {
                let from = &kept[((lane + 1) * plan.columns - ahead) * width..][..ahead * width];
                to[lane * ahead * width..][..ahead * width].copy_from_slice(from);
            }
        }
    }

    /// Runs the block over tokens `x` and pairs `z`.
    pub(super) fn run(&mut self, weights: &Weights<'_>, plan: &Plan, x: &mut Vec<f32>, z: &mut Vec<f32>) {
        let s = weights.sizes;
        let (d, c, h) = (s.channels, s.outer, s.heads);
        let width = d / h;
        let [keys, values, outers, triangles] = &mut self.kept.0;
        norm(x, &mut self.normal[0], d);
        weights.apply(OUTER, &self.normal[0].1, &mut self.outer, false);
        for (token, outer) in self.outer.chunks_exact(2 * c).enumerate() {
            outers[plan.place(token).1 * c..][..c].copy_from_slice(&outer[c..]);
        }
        zeroed(&mut self.product, plan.pairs[plan.seen.len()] * c * c);
        for (position, seen) in plan.seen.iter().enumerate() {
            for back in 0..*seen {
                let product = &mut self.product[(plan.pairs[position] + back) * c * c..][..c * c];
                let share = 1.0 / plan.shared(position, back).count() as f32;
                for row in plan.shared(position, back) {
                    let this = &self.outer[plan.token(position, row) * 2 * c..][..c];
                    let that = &outers[((plan.column(position) - back) * ALIGNED + row) * c..][..c];
                    for (product, this) in product.chunks_exact_mut(c).zip(this) {
                        add_scaled(product, that, share * this);
                    }
                }
            }
        }
        weights.apply(OUTER_OUT, &self.product, z, true);

        norm(z, &mut self.normal[1], s.pair);
        weights.apply(TRIANGLE, &self.normal[1].1, &mut self.triangle, false);
        weights.apply(GATE, &self.normal[1].1, &mut self.gate, false);
        self.gate.iter_mut().for_each(|gate| *gate = sigmoid(*gate));
        zeroed(&mut self.sums, plan.pairs[plan.seen.len()] * c);
        for (position, seen) in plan.seen.iter().enumerate() {
            let (column, pairs) = (plan.column(position), plan.pairs[position]);
            for back in 0..*seen {
                let later = &self.triangle[(pairs + back) * 2 * c + c..][..c];
                triangles[(column * plan.window + back) * c..][..c].copy_from_slice(later);
            }
            for back in 0..*seen {
                let sums = &mut self.sums[(pairs + back) * c..][..c];
                for k in back..*seen {
                    let that = &triangles[((column - back) * plan.window + k - back) * c..][..c];
                    let this = &self.triangle[(pairs + k) * 2 * c..][..c];
                    sums.iter_mut().zip(this.iter().zip(that)).for_each(|(sum, (a, b))| *sum += a * b);
                }
                sums.iter_mut().for_each(|sum| *sum /= plan.window as f32);
            }
        }
        weights.apply(TRIANGLE_OUT, &self.sums, &mut self.update, false);
        z.iter_mut().zip(self.gate.iter().zip(&self.update)).for_each(|(z, (gate, update))| *z += gate * update);

        norm(z, &mut self.normal[2], s.pair);
        weights.apply(PAIR_UP, &self.normal[2].1, &mut self.pair_inside, false);
        relu(&mut self.pair_inside);
        weights.apply(PAIR_DOWN, &self.pair_inside, z, true);

        norm(x, &mut self.normal[3], d);
        norm(z, &mut self.normal[4], s.pair);
        weights.apply(ROW, &self.normal[3].1, &mut self.row, false);
        let mut biases = Vec::new();
        weights.apply(BIAS, &self.normal[4].1, &mut biases, false);
        for (token, row) in self.row.chunks_exact(3 * d).enumerate() {
            let (_, place) = plan.place(token);
            keys[place * d..][..d].copy_from_slice(&row[d..2 * d]);
            values[place * d..][..d].copy_from_slice(&row[2 * d..]);
        }
        zeroed(&mut self.row_shares, plan.tokens.len() * h * plan.window);
        zeroed(&mut self.row_drawn, plan.tokens.len() * d);
        let mut scores = Vec::new();
        for token in 0..plan.tokens.len() {
            let (position, place) = plan.place(token);
            for head in 0..h {
                let at = head * width;
                let query = &self.row[token * 3 * d + at..][..width];
                scores.clear();
                scores.extend(plan.along(token).map(|back| {
                    let key = &keys[(place - back * ALIGNED) * d + at..][..width];
                    dot(query, key) + biases[(plan.pairs[position] + back) * h + head]
                }));
                softmax(&mut scores);
                let drawn = &mut self.row_drawn[token * d + at..][..width];
                for (back, share) in plan.along(token).zip(&scores) {
                    self.row_shares[(token * h + head) * plan.window + back] = *share;
                    add_scaled(drawn, &values[(place - back * ALIGNED) * d + at..][..width], *share);
                }
            }
        }
        weights.apply(ROW_OUT, &self.row_drawn, x, true);

        norm(x, &mut self.normal[5], d);
        weights.apply(COLUMN, &self.normal[5].1, &mut self.column, false);
        zeroed(&mut self.column_shares, plan.tokens.len() * h * ALIGNED);
        zeroed(&mut self.column_drawn, plan.tokens.len() * d);
        for rows in plan.first.windows(2) {
            for token in rows[0]..rows[1] {
                for head in 0..h {
                    let at = head * width;
                    let part = |token: usize, which: usize| &self.column[token * 3 * d + which * d + at..][..width];
                    let shares = &mut self.column_shares[(token * h + head) * ALIGNED..][..rows[1] - rows[0]];
                    for (share, other) in shares.iter_mut().zip(rows[0]..) {
                        *share = dot(part(token, 0), part(other, 1));
                    }
                    softmax(shares);
                    let drawn = &mut self.column_drawn[token * d + at..][..width];
                    for (share, other) in shares.iter().zip(rows[0]..) {
                        add_scaled(drawn, part(other, 2), *share);
                    }
                }
            }
        }
        weights.apply(COLUMN_OUT, &self.column_drawn, x, true);

        norm(x, &mut self.normal[6], d);
        weights.apply(UP, &self.normal[6].1, &mut self.inside, false);
        relu(&mut self.inside);
        weights.apply(DOWN, &self.inside, x, true);
    }

    /// Backward of [`Tape::run`]: gradients of its results become those of what it was given.
    pub(super) fn back(
        &self,
        weights: &Weights<'_>,
        plan: &Plan,
        dx: &mut [f32],
        dz: &mut [f32],
        gradient: &mut [f32],
    ) {
        let s = weights.sizes;
        let (d, z) = (s.channels, s.pair);
        let mut d_inside = weights.back(DOWN, &self.inside, dx, gradient);
        relu_back(&self.inside, &mut d_inside);
        let d_normal = weights.back(UP, &self.normal[6].1, &d_inside, gradient);
        norm_back(&self.normal[6], &d_normal, dx, d);

        let d_drawn = weights.back(COLUMN_OUT, &self.column_drawn, dx, gradient);
        let d_column = self.column_back(s, plan, &d_drawn);
        let d_normal = weights.back(COLUMN, &self.normal[5].1, &d_column, gradient);
        norm_back(&self.normal[5], &d_normal, dx, d);

        let d_drawn = weights.back(ROW_OUT, &self.row_drawn, dx, gradient);
        let (d_row, d_biases) = self.row_back(s, plan, &d_drawn);
        let d_normal = weights.back(ROW, &self.normal[3].1, &d_row, gradient);
        norm_back(&self.normal[3], &d_normal, dx, d);
        let d_normal = weights.back(BIAS, &self.normal[4].1, &d_biases, gradient);
        norm_back(&self.normal[4], &d_normal, dz, z);

        let mut d_inside = weights.back(PAIR_DOWN, &self.pair_inside, dz, gradient);
        relu_back(&self.pair_inside, &mut d_inside);
        let d_normal = weights.back(PAIR_UP, &self.normal[2].1, &d_inside, gradient);
        norm_back(&self.normal[2], &d_normal, dz, z);

        let d_normal = self.triangles_back(weights, plan, dz, gradient);
        norm_back(&self.normal[1], &d_normal, dz, z);

        let d_product = weights.back(OUTER_OUT, &self.product, dz, gradient);
        let d_outer = self.products_back(s, plan, &d_product);
        let d_normal = weights.back(OUTER, &self.normal[0].1, &d_outer, gradient);
        norm_back(&self.normal[0], &d_normal, dx, d);
    }

    /// Gradient of the normalised pairs that the triangles see.
    fn triangles_back(&self, weights: &Weights<'_>, plan: &Plan, dz: &[f32], gradient: &mut [f32]) -> Vec<f32> {
        let c = weights.sizes.outer;
        let gates = dz.iter().zip(self.gate.iter().zip(&self.update));
        let d_gate: Vec<f32> = gates.map(|(d, (gate, update))| d * update * gate * (1.0 - gate)).collect();
        let d_update: Vec<f32> = dz.iter().zip(&self.gate).map(|(d, gate)| d * gate).collect();
        let d_sums = weights.back(TRIANGLE_OUT, &self.sums, &d_update, gradient);
        let triangles = &self.kept.0[3];
        let (mut d_triangle, mut d_kept) = (vec![0.0; self.triangle.len()], vec![0.0; triangles.len()]);
        let scale = 1.0 / plan.window as f32;
        for (position, seen) in plan.seen.iter().enumerate() {
            let (column, pairs) = (plan.column(position), plan.pairs[position]);
            for back in 0..*seen {
                let d_sums = &d_sums[(pairs + back) * c..][..c];
                for k in back..*seen {
                    let that = ((column - back) * plan.window + k - back) * c;
                    let this = (pairs + k) * 2 * c;
                    for (i, d) in d_sums.iter().enumerate() {
                        d_triangle[this + i] += scale * d * triangles[that + i];
                        d_kept[that + i] += scale * d * self.triangle[this + i];
                    }
                }
            }
        }
        for (position, seen) in plan.seen.iter().enumerate() {
            for back in 0..*seen {
                let from = &d_kept[(plan.column(position) * plan.window + back) * c..][..c];
                d_triangle[(plan.pairs[position] + back) * 2 * c + c..][..c].copy_from_slice(from);
            }
        }
        let mut d_normal = weights.back(GATE, &self.normal[1].1, &d_gate, gradient);
        add_scaled(&mut d_normal, &weights.back(TRIANGLE, &self.normal[1].1, &d_triangle, gradient), 1.0);
        d_normal
    }

    /// Gradient of the factors of outer products.
    fn products_back(&self, s: &Sizes, plan: &Plan, d_product: &[f32]) -> Vec<f32> {
        let c = s.outer;
        let outers = &self.kept.0[2];
        let (mut d_outer, mut d_kept) = (vec![0.0; self.outer.len()], vec![0.0; outers.len()]);
        for (position, seen) in plan.seen.iter().enumerate() {
            for back in 0..*seen {
                let d_product = &d_product[(plan.pairs[position] + back) * c * c..][..c * c];
                let share = 1.0 / plan.shared(position, back).count() as f32;
                for row in plan.shared(position, back) {
                    let this = plan.token(position, row) * 2 * c;
                    let that = ((plan.column(position) - back) * ALIGNED + row) * c;
                    for (i, d) in d_product.chunks_exact(c).enumerate() {
                        d_outer[this + i] += share * dot(d, &outers[that..][..c]);
                        add_scaled(&mut d_kept[that..][..c], d, share * self.outer[this + i]);
                    }
                }
            }
        }
        for (token, d_outer) in d_outer.chunks_exact_mut(2 * c).enumerate() {
            d_outer[c..].copy_from_slice(&d_kept[plan.place(token).1 * c..][..c]);
        }
        d_outer
    }

    /// Gradient of queries, keys and values of the columns.
    fn column_back(&self, s: &Sizes, plan: &Plan, d_drawn: &[f32]) -> Vec<f32> {
        let (d, h) = (s.channels, s.heads);
        let width = d / h;
        let mut d_column = vec![0.0; self.column.len()];
        for rows in plan.first.windows(2) {
            for token in rows[0]..rows[1] {
                for head in 0..h {
                    let at = head * width;
                    let place = |token: usize, which: usize| token * 3 * d + which * d + at;
                    let d_drawn = &d_drawn[token * d + at..][..width];
                    let shares = &self.column_shares[(token * h + head) * ALIGNED..][..rows[1] - rows[0]];
                    let slope = |other| dot(d_drawn, &self.column[place(other, 2)..][..width]);
                    let mut d_scores: Vec<f32> = (rows[0]..rows[1]).map(slope).collect();
                    softmax_back(shares, &mut d_scores);
                    for ((other, share), d_score) in (rows[0]..).zip(shares).zip(d_scores) {
                        let (query, key) = (place(token, 0), place(other, 1));
                        add_scaled(&mut d_column[place(other, 2)..][..width], d_drawn, *share);
                        add_scaled(&mut d_column[query..][..width], &self.column[key..][..width], d_score);
                        add_scaled(&mut d_column[key..][..width], &self.column[query..][..width], d_score);
                    }
                }
            }
        }
        d_column
    }

    /// Gradient of queries, keys and values of the rows, and of their biases.
    fn row_back(&self, s: &Sizes, plan: &Plan, d_drawn: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (d, h) = (s.channels, s.heads);
        let width = d / h;
        let [keys, values, ..] = &self.kept.0;
        let mut d_row = vec![0.0; self.row.len()];
        let mut d_biases = vec![0.0; plan.pairs[plan.seen.len()] * h];
        let (mut d_keys, mut d_values) = (vec![0.0; keys.len()], vec![0.0; values.len()]);
        let (mut shares, mut d_scores) = (Vec::new(), Vec::new());
        for token in 0..plan.tokens.len() {
            let (position, place) = plan.place(token);
            for head in 0..h {
                let at = head * width;
                let there = |back: usize| (place - back * ALIGNED) * d + at;
                let d_drawn = &d_drawn[token * d + at..][..width];
                shares.clear();
                d_scores.clear();
                for back in plan.along(token) {
                    shares.push(self.row_shares[(token * h + head) * plan.window + back]);
                    d_scores.push(dot(d_drawn, &values[there(back)..][..width]));
                }
                softmax_back(&shares, &mut d_scores);
                let query = token * 3 * d + at;
                for ((back, share), d_score) in plan.along(token).zip(&shares).zip(&d_scores) {
                    let there = there(back);
                    add_scaled(&mut d_values[there..][..width], d_drawn, *share);
                    add_scaled(&mut d_row[query..][..width], &keys[there..][..width], *d_score);
                    add_scaled(&mut d_keys[there..][..width], &self.row[query..][..width], *d_score);
                    d_biases[(plan.pairs[position] + back) * h + head] += d_score;
                }
            }
        }
        for (token, d_row) in d_row.chunks_exact_mut(3 * d).enumerate() {
            let (_, place) = plan.place(token);
            d_row[d..2 * d].copy_from_slice(&d_keys[place * d..][..d]);
            d_row[2 * d..].copy_from_slice(&d_values[place * d..][..d]);
        }
        (d_row, d_biases)
    }
}

/// Sets `len` numbers to zero.
fn zeroed(data: &mut Vec<f32>, len: usize) {
    data.clear();
    data.resize(len, 0.0);
}
