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
use super::shape::{ALIGNED, Evoformer as Size, ROW_DIM, Shape};
use crate::Error;
use crate::mix::logistic::sigmoid;

/// The layers of one step of a block, in the order of the base model. Steps read their own, one after another: those of a
/// whole block take more stack than all the rest.
macro_rules! layers {
    ($name:ident($s:ident) { $($layer:ident: $field:literal, $rows:expr, $columns:expr;)* }) => {
        struct $name<'a> {
            $($layer: Linear<'a>,)*
        }

        impl<'a> $name<'a> {
            fn cut(from: &mut Cut<'a>, $s: &Size) -> Result<Self, Error> {
                Ok(Self { $($layer: Linear::cut(from, $field, $rows, $columns)?,)* })
            }
        }
    };
}

layers!(Outer(s) {
    outer: "evoformer.outer", 2 * s.outer, s.channels;
    out: "evoformer.outer.out", s.pair, s.outer * s.outer;
});
layers!(Triangle(s) {
    triangle: "evoformer.triangle", 2 * s.outer, s.pair;
    gate: "evoformer.gate", s.pair, s.pair;
    out: "evoformer.triangle.out", s.pair, s.outer;
});
layers!(PairTransition(s) {
    up: "evoformer.pair.up", 2 * s.pair, s.pair;
    down: "evoformer.pair.down", s.pair, 2 * s.pair;
});
layers!(Row(s) {
    row: "evoformer.row", 3 * s.channels, s.channels;
    bias: "evoformer.row.pairs", s.heads, s.pair;
    out: "evoformer.row.out", s.channels, s.channels;
});
layers!(Column(s) {
    column: "evoformer.column", 3 * s.channels, s.channels;
    out: "evoformer.column.out", s.channels, s.channels;
});
layers!(Transition(s) {
    up: "evoformer.up", s.transition, s.channels;
    down: "evoformer.down", s.channels, s.transition;
});

/// Reads a block over, so that its layers are known to be there.
fn check_block(from: &mut Cut<'_>, size: &Size) -> Result<(), Error> {
    Outer::cut(from, size)?;
    Triangle::cut(from, size)?;
    PairTransition::cut(from, size)?;
    Row::cut(from, size)?;
    Column::cut(from, size)?;
    Transition::cut(from, size)?;
    Ok(())
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
    size: &'m Size,
    /// Rows that each has, a bit for each.
    present: &'m [u16],
}

impl Columns<'_> {
    /// Where the column `back` columns before the newest is kept.
    fn slot(&self, back: usize) -> usize {
        (self.at + self.size.window() - back) & (self.size.window() - 1)
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
            check_block(from, s)?;
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
        let columns = Columns { count, at, size: s, present };
        let kept_blocks = carve.next(s.blocks * kept(shape)).chunks_exact_mut(kept(shape));
        let mut work = Work::new(carve, s);
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
        for kept in kept_blocks {
            // Every block was read when the model was opened.
            if work.block(&mut from, &columns, kept).is_err() {
                break;
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

/// What a block keeps: keys, values, later factors of outer products and of triangles.
fn split_kept<'k>(kept: &'k mut [u16], s: &Size) -> [&'k mut [u16]; 4] {
    let mut carve = Carve(kept);
    let places = s.window() * ALIGNED;
    let (keys, values) = (carve.next(places * s.channels), carve.next(places * s.channels));
    [keys, values, carve.next(places * s.outer), carve.0]
}

impl<'m> Work<'m> {
    fn new(mut from: Carve<'m>, s: &Size) -> Self {
        let (d, window) = (s.channels, s.window());
        Self {
            x: from.next(ALIGNED * d),
            normal: from.next(d),
            column: from.next(ALIGNED * 3 * d),
            drawn: from.next(d),
            outer: from.next(ALIGNED * s.outer),
            pairs: from.next(window * s.pair),
            normal_pairs: from.next(window * s.pair),
            biases: from.next(window * s.heads),
            triangle: from.next(window * s.outer),
            wide: from.0,
        }
    }
}

impl Work<'_> {
    /// A block, whose layers are the next of `from`.
    fn block(&mut self, from: &mut Cut<'_>, columns: &Columns<'_>, kept: &mut [u16]) -> Result<(), Error> {
        let [keys, values, outers, triangles] = split_kept(kept, columns.size);
        self.outer_products(from, columns, outers)?;
        self.triangles(from, columns, triangles)?;
        self.transit_pairs(from, columns)?;
        self.attend_rows(from, columns, keys, values)?;
        self.attend_column(from, columns)?;
        self.transit_rows(from, columns)
    }

    /// The transition of the pairs.
    #[inline(never)]
    fn transit_pairs(&mut self, from: &mut Cut<'_>, columns: &Columns<'_>) -> Result<(), Error> {
        let s = columns.size;
        let layers = PairTransition::cut(from, s)?;
        for back in 0..columns.count {
            let pair = piece_mut(self.pairs, back, s.pair);
            let normal = &mut self.normal_pairs[..s.pair];
            normalise(pair, normal);
            transition(&layers.up, &layers.down, normal, &mut self.wide[..2 * s.pair], pair);
        }
        Ok(())
    }

    /// The transition of the column.
    #[inline(never)]
    fn transit_rows(&mut self, from: &mut Cut<'_>, columns: &Columns<'_>) -> Result<(), Error> {
        let s = columns.size;
        let layers = Transition::cut(from, s)?;
        for row in columns.rows() {
            let x = piece_mut(self.x, row, s.channels);
            normalise(x, self.normal);
            transition(&layers.up, &layers.down, self.normal, &mut self.wide[..s.transition], x);
        }
        Ok(())
    }

    /// Normalises all pairs.
    fn normalise_pairs(&mut self, count: usize, pair: usize) {
        let pairs = self.pairs.chunks_exact(pair).zip(self.normal_pairs.chunks_exact_mut(pair));
        pairs.take(count).for_each(|(pair, to)| normalise(pair, to));
    }

    /// Attention along each row, over the columns seen that have it, biased by the pairs.
    #[inline(never)]
    fn attend_rows(
        &mut self,
        from: &mut Cut<'_>,
        columns: &Columns<'_>,
        keys: &mut [u16],
        values: &mut [u16],
    ) -> Result<(), Error> {
        let s = columns.size;
        let layers = Row::cut(from, s)?;
        let (d, width) = (s.channels, s.channels / s.heads);
        self.normalise_pairs(columns.count, s.pair);
        for back in 0..columns.count {
            layers.bias.write(piece(self.normal_pairs, back, s.pair), piece_mut(self.biases, back, s.heads));
        }
        for row in columns.rows() {
            normalise(piece(self.x, row, d), self.normal);
            let query = &mut self.column[..d];
            layers.row.write(self.normal, query);
            let place = |back| columns.slot(back) * ALIGNED + row;
            for (i, to) in [&mut *keys, &mut *values].into_iter().enumerate() {
                layers.row.write_from((1 + i) * d, self.normal, piece_mut(to, place(0), d));
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
            layers.out.add(drawn, piece_mut(self.x, row, d));
        }
        Ok(())
    }

    /// Attention along the column, over the rows that it has.
    #[inline(never)]
    fn attend_column(&mut self, from: &mut Cut<'_>, columns: &Columns<'_>) -> Result<(), Error> {
        let s = columns.size;
        let layers = Column::cut(from, s)?;
        let (d, width) = (s.channels, s.channels / s.heads);
        for row in columns.rows() {
            normalise(piece(self.x, row, d), self.normal);
            layers.column.write(self.normal, piece_mut(self.column, row, 3 * d));
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
            layers.out.add(drawn, piece_mut(self.x, row, d));
        }
        Ok(())
    }

    /// The mean over the rows that both columns have of their outer products, for every pair.
    #[inline(never)]
    fn outer_products(&mut self, from: &mut Cut<'_>, columns: &Columns<'_>, kept: &mut [u16]) -> Result<(), Error> {
        /// Reciprocals in Q16.
        const SHARES: [i64; ALIGNED + 1] = [0, 65536, 32768, 21845, 16384, 13107];
        let s = columns.size;
        let layers = Outer::cut(from, s)?;
        let (d, c) = (s.channels, s.outer);
        for row in columns.rows() {
            normalise(piece(self.x, row, d), self.normal);
            layers.outer.write(self.normal, piece_mut(self.outer, row, c));
            layers.outer.write_from(c, self.normal, piece_mut(kept, columns.at * ALIGNED + row, c));
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
            layers.out.add(product, piece_mut(self.pairs, back, s.pair));
        }
        Ok(())
    }

    /// What pairs say of each other: that of columns i and j learns from those of i and k and of j and k, for every k up to
    /// j.
    #[inline(never)]
    fn triangles(&mut self, from: &mut Cut<'_>, columns: &Columns<'_>, kept: &mut [u16]) -> Result<(), Error> {
        let s = columns.size;
        let layers = Triangle::cut(from, s)?;
        let (c, window) = (s.outer, s.window());
        self.normalise_pairs(columns.count, s.pair);
        for back in 0..columns.count {
            let normal = piece(self.normal_pairs, back, s.pair);
            layers.triangle.write(normal, piece_mut(self.triangle, back, c));
            layers.triangle.write_from(c, normal, piece_mut(kept, columns.at * window + back, c));
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
                let gate = i64::from(sigmoid(layers.gate.row(i, normal)));
                let update = i64::from(layers.out.row(i, sums));
                add(to, ((gate * update) >> 15).clamp(-65536, 65535) as i32);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::digest::Hasher;
    use crate::neural::base::Base;

    /// What every step of a block leaves in the column and in its pairs, for more columns than there is room for and
    /// rows that come and go: the first numbers, and a digest of all. Steps read what those before them left.
    #[test]
    fn golden_vectors_of_every_step() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/base/evoformer.gmcf");
        let file = std::fs::read(path).unwrap();
        let (base, _) = Base::open(&file).unwrap();
        let (s, evoformer) = (base.shape().evoformer, base.evoformer.unwrap());
        let mut random = 1u32;
        let mut next = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random as i32 >> 20).cast_unsigned() as u16
        };
        let (mut memory, mut kept) = (vec![0; words(base.shape())], vec![0; kept(base.shape())]);
        let mut present = vec![0; s.window()];
        let mut seen: [(Hasher, Vec<i16>); 6] = Default::default();
        for number in 0..s.window() + 3 {
            let at = number & (s.window() - 1);
            present[at] = 1 | (((7 * number as u16) & 15) << 1);
            let columns = Columns { count: (number + 1).min(s.window()), at, size: &s, present: &present };
            let mut work = Work::new(Carve(&mut memory), &s);
            work.x.iter_mut().chain(&mut *work.pairs).for_each(|number| *number = next());
            let mut from = Cut::new(evoformer.blocks);
            for (step, (hasher, first)) in seen.iter_mut().enumerate() {
                let [keys, values, outers, triangles] = split_kept(&mut kept, &s);
                match step {
                    0 => work.outer_products(&mut from, &columns, outers),
                    1 => work.triangles(&mut from, &columns, triangles),
                    2 => work.transit_pairs(&mut from, &columns),
                    3 => work.attend_rows(&mut from, &columns, keys, values),
                    4 => work.attend_column(&mut from, &columns),
                    _ => work.transit_rows(&mut from, &columns),
                }
                .unwrap();
                for number in work.x.iter().chain(&*work.pairs) {
                    hasher.update(&number.to_le_bytes());
                }
                let left = if step < 3 { &*work.pairs } else { &*work.x };
                *first = left.iter().take(4).map(|number| number.cast_signed()).collect();
            }
        }
        let found = seen.map(|(hasher, first)| (std::format!("{}", hasher.finish().old()), first));
        let golden = [
            ("outer products", "6cadb7f7", [389, 417, -676, -1073]),
            ("triangles", "3cca0e44", [355, 442, -735, -1206]),
            ("transition of pairs", "6986b470", [390, 44, -744, -1911]),
            ("attention along rows", "55fc764d", [2542, 501, -788, 2165]),
            ("attention along the column", "a577915d", [1804, 1959, -307, 324]),
            ("transition", "a4ee129d", [-326, 4623, 1118, 2005]),
        ];
        for ((digest, first), (step, wanted, numbers)) in found.iter().zip(golden) {
            assert_eq!((&**digest, &first[..]), (wanted, &numbers[..]), "{step}: {found:?}");
        }
    }
}
