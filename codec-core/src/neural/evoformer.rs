//! The Evoformer (Jumper et al., 2021) in integers, one column at a time. Its alignment has a row for the history and one
//! for each past occurrence of the context, and a column for each of the last bytes; pairs of columns have a
//! representation of their own. A column looks at itself and at those before it, so one more byte costs one more column.
//!
//! A block, for the newest column: the mean of the rows' outer products, added to the pairs; their triangle update, gated;
//! their transition; then attention along each row, biased by the pairs; attention along the column; a transition. Every
//! step takes its input normalised and adds to it. Rows that are absent from a column take no part in it. (Pairs come
//! first, as in AlphaFold-Multimer, so that the last block's pairs are of use.)

use super::arithmetic::{Carve, MOST_WEIGHTS, add, draw, narrow, normalise, products, signed};
use super::base::{Cut, Embedding, Linear};
use super::rows::ROWS;
use super::shape::{ALIGNED, ROW_DIM, Shape};
use crate::Error;
use crate::mix::logistic::sigmoid;

/// The layers of a block, in the order of the base model.
#[derive(Clone, Copy, Debug)]
struct Block<'a> {
    outer: Linear<'a>,
    outer_out: Linear<'a>,
    triangle: Linear<'a>,
    gate: Linear<'a>,
    triangle_out: Linear<'a>,
    pair_up: Linear<'a>,
    pair_down: Linear<'a>,
    row: Linear<'a>,
    row_bias: Linear<'a>,
    row_out: Linear<'a>,
    column: Linear<'a>,
    column_out: Linear<'a>,
    up: Linear<'a>,
    down: Linear<'a>,
}

impl<'a> Block<'a> {
    fn cut(from: &mut Cut<'a>, shape: &Shape) -> Result<Self, Error> {
        let s = &shape.evoformer;
        let (d, z, c) = (s.channels, s.pair, s.outer);
        let mut next = |field, rows, columns| Linear::cut(from, field, rows, columns);
        Ok(Self {
            outer: next("evoformer.outer", 2 * c, d)?,
            outer_out: next("evoformer.outer.out", z, c * c)?,
            triangle: next("evoformer.triangle", 2 * c, z)?,
            gate: next("evoformer.gate", z, z)?,
            triangle_out: next("evoformer.triangle.out", z, c)?,
            pair_up: next("evoformer.pair.up", 2 * z, z)?,
            pair_down: next("evoformer.pair.down", z, 2 * z)?,
            row: next("evoformer.row", 3 * d, d)?,
            row_bias: next("evoformer.row.pairs", s.heads, z)?,
            row_out: next("evoformer.row.out", d, d)?,
            column: next("evoformer.column", 3 * d, d)?,
            column_out: next("evoformer.column.out", d, d)?,
            up: next("evoformer.up", s.transition, d)?,
            down: next("evoformer.down", d, s.transition)?,
        })
    }
}

/// The Evoformer of a base model, read in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evoformer<'a> {
    input: Linear<'a>,
    row: Linear<'a>,
    offsets: Embedding<'a>,
    blocks: &'a [u8],
}

/// Words that a block keeps of the columns seen: keys and values, the later factor of outer products and of triangles.
const fn kept(shape: &Shape) -> usize {
    let s = &shape.evoformer;
    s.window() * (ALIGNED * (2 * s.channels + s.outer) + s.window() * s.outer)
}

/// Words of memory that an Evoformer takes.
pub(super) const fn words(shape: &Shape) -> usize {
    let s = &shape.evoformer;
    if s.blocks == 0 {
        return 0;
    }
    let widest = if s.transition > 2 * s.pair { s.transition } else { 2 * s.pair };
    let widest = if s.outer * s.outer > widest { s.outer * s.outer } else { widest };
    let column = ALIGNED * (4 * s.channels + s.outer) + 2 * s.channels;
    let pairs = s.window() * (2 * s.pair + s.heads + s.outer);
    2 + s.window() + s.blocks * kept(shape) + column + pairs + widest
}

/// The columns that the newest one sees: how many there are, and which rows each has.
struct Columns<'m> {
    /// Columns seen, at most the window.
    count: usize,
    /// Where the newest one is kept.
    at: usize,
    window: usize,
    /// Rows that each has, a bit for each.
    present: &'m [u16],
}

impl Columns<'_> {
    /// Where the column `back` columns before the newest is kept.
    fn slot(&self, back: usize) -> usize {
        (self.at + self.window - back) & (self.window - 1)
    }

    fn has(&self, back: usize, row: usize) -> bool {
        self.present[self.slot(back)] >> row & 1 != 0
    }

    /// Rows that the newest column shares with the one `back` before it.
    fn shared(&self, back: usize) -> impl Iterator<Item = usize> {
        let both = self.present[self.at] & self.present[self.slot(back)];
        (0..ALIGNED).filter(move |row| both >> row & 1 != 0)
    }

    /// Rows of the newest column.
    fn rows(&self) -> impl Iterator<Item = usize> {
        self.shared(0)
    }
}

/// The numbers of place `i` in an array of pieces of `len`.
fn piece(from: &[u16], i: usize, len: usize) -> &[u16] {
    &from[i * len..][..len]
}

fn piece_mut(from: &mut [u16], i: usize, len: usize) -> &mut [u16] {
    &mut from[i * len..][..len]
}

/// What the newest column works on.
struct Work<'m> {
    /// The column, `[rows, channels]`, and a place of it normalised.
    x: &'m mut [u16],
    normal: &'m mut [u16],
    /// Queries, keys and values of the column, `[rows, 3, channels]`, and what attention draws for one place.
    column: &'m mut [u16],
    drawn: &'m mut [u16],
    /// Earlier factors of the outer products, `[rows, outer]`.
    outer: &'m mut [u16],
    /// Pairs of the newest column with those before it, nearest first, `[window, pair]`, and these normalised.
    pairs: &'m mut [u16],
    normal_pairs: &'m mut [u16],
    /// Their biases of attention `[window, heads]`, and the earlier factors of their triangles, `[window, outer]`.
    biases: &'m mut [u16],
    triangle: &'m mut [u16],
    /// The inside of a transition, or one outer product.
    wide: &'m mut [u16],
}

impl<'a> Evoformer<'a> {
    /// Apart, so that models without an Evoformer take no stack for one.
    #[inline(never)]
    pub(super) fn cut(from: &mut Cut<'a>, shape: &Shape) -> Result<Self, Error> {
        let s = &shape.evoformer;
        let input = Linear::cut(from, "evoformer.input", s.channels, shape.embedded())?;
        let row = Linear::cut(from, "evoformer.found", s.channels, ROW_DIM)?;
        let offsets = Embedding::cut(from, "evoformer.offset", s.window(), s.pair)?;
        let rest = from.rest();
        for _ in 0..s.blocks {
            Block::cut(from, shape)?;
        }
        Ok(Self { input, row, offsets, blocks: &rest[..rest.len() - from.rest().len()] })
    }

    /// Forgets all columns.
    pub(super) fn reset(memory: &mut [u16]) {
        memory.iter_mut().take(2).for_each(|word| *word = 0);
    }

    /// One more column, of the byte whose embeddings these are; those of what was found are the last. Writes what the
    /// network is to know of it to `to`. `found` are the rows that there are, a bit for each.
    #[inline(never)]
    pub(super) fn column(&self, shape: &Shape, memory: &mut [u16], embedded: &[u16], found: u16, to: &mut [u16]) {
        let s = &shape.evoformer;
        let (d, window) = (s.channels, s.window());
        let mut carve = Carve(memory);
        let state = carve.next(2);
        let at = usize::from(state[0]) & (window - 1);
        let count = usize::from(state[1]).min(window - 1) + 1;
        (state[0], state[1]) = ((at + 1) as u16 & (window - 1) as u16, count as u16);
        let present = carve.next(window);
        present[at] = 1 | found << 1;
        let columns = Columns { count, at, window, present };
        let mut kept_blocks = carve.next(s.blocks * kept(shape)).chunks_exact_mut(kept(shape));
        let mut work = Work {
            x: carve.next(ALIGNED * d),
            normal: carve.next(d),
            column: carve.next(ALIGNED * 3 * d),
            drawn: carve.next(d),
            outer: carve.next(ALIGNED * s.outer),
            pairs: carve.next(window * s.pair),
            normal_pairs: carve.next(window * s.pair),
            biases: carve.next(window * s.heads),
            triangle: carve.next(window * s.outer),
            wide: carve.0,
        };
        let founds = &embedded[embedded.len() - ROWS * ROW_DIM..];
        for row in columns.rows() {
            let x = piece_mut(work.x, row, d);
            match row.checked_sub(1) {
                None => self.input.write(embedded, x),
                Some(row) => self.row.write(piece(founds, row, ROW_DIM), x),
            }
        }
        for back in 0..count {
            self.offsets.read(back, piece_mut(work.pairs, back, s.pair), false);
        }
        let mut from = Cut::new(self.blocks);
        // Every block was read when the model was opened.
        while let (Some(kept), Ok(block)) = (kept_blocks.next(), Block::cut(&mut from, shape)) {
            let mut carve = Carve(kept);
            let (keys, values) = (carve.next(window * ALIGNED * d), carve.next(window * ALIGNED * d));
            let outers = carve.next(window * ALIGNED * s.outer);
            work.outer_products(&block, shape, &columns, outers);
            work.triangles(&block, shape, &columns, carve.0);
            for back in 0..count {
                let pair = piece_mut(work.pairs, back, s.pair);
                let normal = &mut work.normal_pairs[..s.pair];
                normalise(pair, normal);
                transition(&block.pair_up, &block.pair_down, normal, &mut work.wide[..2 * s.pair], pair);
            }
            work.attend_rows(&block, shape, &columns, keys, values);
            work.attend_column(&block, shape, &columns);
            for row in columns.rows() {
                let x = piece_mut(work.x, row, d);
                normalise(x, work.normal);
                transition(&block.up, &block.down, work.normal, &mut work.wide[..s.transition], x);
            }
        }
        normalise(piece(work.x, 0, d), to);
    }
}

/// A transition on top of `x`.
fn transition(up: &Linear<'_>, down: &Linear<'_>, normal: &[u16], inside: &mut [u16], x: &mut [u16]) {
    up.write_rectified(normal, inside);
    down.add(inside, x);
}

impl Work<'_> {
    /// Normalises all pairs.
    fn normalise_pairs(&mut self, count: usize, pair: usize) {
        let pairs = self.pairs.chunks_exact(pair).zip(self.normal_pairs.chunks_exact_mut(pair));
        pairs.take(count).for_each(|(pair, to)| normalise(pair, to));
    }

    /// Attention along each row, over the columns seen that have it, biased by the pairs.
    fn attend_rows(
        &mut self,
        block: &Block<'_>,
        shape: &Shape,
        columns: &Columns<'_>,
        keys: &mut [u16],
        values: &mut [u16],
    ) {
        let s = &shape.evoformer;
        let (d, width) = (s.channels, s.channels / s.heads);
        self.normalise_pairs(columns.count, s.pair);
        for back in 0..columns.count {
            block.row_bias.write(piece(self.normal_pairs, back, s.pair), piece_mut(self.biases, back, s.heads));
        }
        for row in columns.rows() {
            normalise(piece(self.x, row, d), self.normal);
            let query = &mut self.column[..d];
            block.row.write(self.normal, query);
            let place = |back| columns.slot(back) * ALIGNED + row;
            for (i, to) in [&mut *keys, &mut *values].into_iter().enumerate() {
                block.row.write_from((1 + i) * d, self.normal, piece_mut(to, place(0), d));
            }
            let drawn = &mut *self.drawn;
            for head in 0..s.heads {
                let at = head * width;
                let (mut scores, mut places, mut seen) = ([0; MOST_WEIGHTS], [0; MOST_WEIGHTS], 0);
                for back in (0..columns.count).filter(|back| columns.has(*back, row)) {
                    let key = &piece(keys, place(back), d)[at..at + width];
                    let score = (products(&query[at..at + width], key) >> 11) as i32;
                    scores[seen] = score.saturating_add(signed(self.biases[back * s.heads + head]));
                    places[seen] = place(back) * d + at;
                    seen += 1;
                }
                draw(&mut scores[..seen], &places[..seen], values, &mut drawn[at..at + width]);
            }
            block.row_out.add(drawn, piece_mut(self.x, row, d));
        }
    }

    /// Attention along the column, over the rows that it has.
    fn attend_column(&mut self, block: &Block<'_>, shape: &Shape, columns: &Columns<'_>) {
        let s = &shape.evoformer;
        let (d, width) = (s.channels, s.channels / s.heads);
        for row in columns.rows() {
            normalise(piece(self.x, row, d), self.normal);
            block.column.write(self.normal, piece_mut(self.column, row, 3 * d));
        }
        for row in columns.rows() {
            let drawn = &mut *self.drawn;
            for head in 0..s.heads {
                let at = head * width;
                let query = &piece(self.column, row, 3 * d)[at..at + width];
                let (mut scores, mut places, mut seen) = ([0; ALIGNED], [0; ALIGNED], 0);
                for other in columns.rows() {
                    let key = &piece(self.column, other, 3 * d)[d + at..d + at + width];
                    scores[seen] = (products(query, key) >> 11) as i32;
                    places[seen] = other * 3 * d + 2 * d + at;
                    seen += 1;
                }
                draw(&mut scores[..seen], &places[..seen], self.column, &mut drawn[at..at + width]);
            }
            block.column_out.add(drawn, piece_mut(self.x, row, d));
        }
    }

    /// The mean over the rows that both columns have of their outer products, for every pair.
    fn outer_products(&mut self, block: &Block<'_>, shape: &Shape, columns: &Columns<'_>, kept: &mut [u16]) {
        /// Reciprocals in Q16.
        const SHARES: [i64; ALIGNED + 1] = [0, 65536, 32768, 21845, 16384, 13107];
        let s = &shape.evoformer;
        let (d, c) = (s.channels, s.outer);
        for row in columns.rows() {
            normalise(piece(self.x, row, d), self.normal);
            block.outer.write(self.normal, piece_mut(self.outer, row, c));
            block.outer.write_from(c, self.normal, piece_mut(kept, columns.at * ALIGNED + row, c));
        }
        let product = &mut self.wide[..c * c];
        for back in 0..columns.count {
            let share = SHARES[columns.shared(back).count()];
            for (i, to) in product.iter_mut().enumerate() {
                let (of_this, of_that) = (i / c, i % c);
                let sum: i64 = columns
                    .shared(back)
                    .map(|row| {
                        let that = kept[(columns.slot(back) * ALIGNED + row) * c + of_that];
                        i64::from(signed(self.outer[row * c + of_this]) * signed(that))
                    })
                    .sum();
                *to = narrow((((sum >> 11) * share + (1 << 15)) >> 16) as i32);
            }
            block.outer_out.add(product, piece_mut(self.pairs, back, s.pair));
        }
    }

    /// What pairs say of each other: that of columns i and j learns from those of i and k and of j and k, for every k up to
    /// j.
    fn triangles(&mut self, block: &Block<'_>, shape: &Shape, columns: &Columns<'_>, kept: &mut [u16]) {
        let s = &shape.evoformer;
        let (c, window) = (s.outer, s.window());
        self.normalise_pairs(columns.count, s.pair);
        for back in 0..columns.count {
            let normal = piece(self.normal_pairs, back, s.pair);
            block.triangle.write(normal, piece_mut(self.triangle, back, c));
            block.triangle.write_from(c, normal, piece_mut(kept, columns.at * window + back, c));
        }
        let sums = &mut self.wide[..c];
        for back in 0..columns.count {
            let slot = columns.slot(back);
            for (i, to) in sums.iter_mut().enumerate() {
                let sum: i64 = (back..columns.count)
                    .map(|k| {
                        let that = kept[(slot * window + k - back) * c + i];
                        i64::from(signed(self.triangle[k * c + i]) * signed(that))
                    })
                    .sum();
                *to = narrow((sum >> (11 + s.window_log2)) as i32);
            }
            let normal = piece(self.normal_pairs, back, s.pair);
            for (i, to) in piece_mut(self.pairs, back, s.pair).iter_mut().enumerate() {
                let gate = i64::from(sigmoid(block.gate.row(i, normal)));
                let update = i64::from(block.triangle_out.row(i, sums));
                add(to, ((gate * update) >> 15).clamp(-65536, 65535) as i32);
            }
        }
    }
}
