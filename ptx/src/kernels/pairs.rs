//! Products that make and change pairs of columns, as the Evoformer does (Jumper et al., 2021): the outer-product mean and the
//! triangle update. Matrices are row-major f32; sums in f32, in the order of their terms but for [`outer_mean_back`], where two
//! halves of the terms are summed in turns.
//!
//! A warp has 32 rows and 64 columns of a result, a lane of it 8 rows and 8 columns; factors come through shared memory,
//! the next while the last are multiplied.

use super::row::{four, set_four};
use crate::gpu::Gpu;

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Rows and columns of a block of [`outer_mean`].
pub const OUTER: u32 = 128;
/// Terms at a time.
const DEPTH: u32 = 8;
/// Shared bytes of [`outer_mean`].
pub const OUTER_SHARED: u32 = 2 * 2 * DEPTH * OUTER * 4;
/// Rows of a block of [`outer_mean_back`].
pub const BACK_ROWS: u32 = 128;
/// Columns of a block of [`outer_mean_back`].
pub const BACK_COLUMNS: u32 = 64;
/// Bytes of one of its two buffers: terms at a time for each half of the warps, rows before columns.
const BACK_BUFFER: u32 = 2 * DEPTH * (BACK_ROWS + BACK_COLUMNS) * 4;
/// Shared bytes of [`outer_mean_back`]: at the end, the sums of half of the warps.
pub const BACK_SHARED: u32 = BACK_ROWS * BACK_COLUMNS * 4;
/// Rows of a block of [`triangle`].
pub const TRIANGLE_ROWS: u32 = 32;
/// Columns of a block of [`triangle`].
pub const TRIANGLE_COLUMNS: u32 = 64;
/// Channels of a block of [`triangle`]: one a warp.
pub const CHANNELS: u32 = THREADS / 32;
/// Numbers from a channel's first factors to the next's: the two quads that neighbouring lanes write lie in different banks.
const LEFT: u32 = DEPTH * TRIANGLE_ROWS + 4;
/// Likewise of second factors.
const RIGHT: u32 = DEPTH * TRIANGLE_COLUMNS + 4;
/// Likewise of results, 16 rows at a time.
const RESULTS: u32 = 16 * TRIANGLE_COLUMNS + 4;
/// Bytes of one of the two buffers of [`triangle`].
const TRIANGLE_BUFFER: u32 = CHANNELS * (LEFT + RIGHT) * 4;
/// Shared bytes of [`triangle`].
pub const TRIANGLE_SHARED: u32 = 2 * TRIANGLE_BUFFER;

/// The first row and column of a lane in its warp's.
#[inline(always)]
fn place<G: Gpu>(g: G) -> [u32; 2] {
    [g.lane() / 8 * 4, g.lane() % 8 * 4]
}

/// `sums += left right` over [`DEPTH`] terms. `left [DEPTH, left_step]` and `right [DEPTH, right_step]` start with the warp's rows and
/// columns. The lane's rows are `place` and the next three, and so on every 16; its columns likewise every 32.
#[inline(always)]
unsafe fn multiply<G: Gpu>(g: G, left: u32, left_step: u32, right: u32, right_step: u32, sums: &mut [[f32; 8]; 8]) {
    let [row, column] = place(g);
    let (mut left, mut right) = (left + 4 * row, right + 4 * column);
    let mut depth = 0;
    while depth < DEPTH / 2 {
        unroll!(part < 2, of 2, {
            let (left, right) = (left + part as u32 * 4 * left_step, right + part as u32 * 4 * right_step);
            let columns = [g.shared_f32x4(right), g.shared_f32x4(right + 128)];
            unroll!(four < 2, of 2, {
                let rows = g.shared_f32x4(left + 64 * four as u32);
                unroll!(i < 4, of 4, {
                    unroll!(j < 8, of 8, {
                        let sum = sums[4 * four + i][j];
                        sums[4 * four + i][j] = g.fma(rows[i], columns[j / 4][j % 4], sum);
                    });
                });
            });
        });
        (left, right) = (left + 8 * left_step, right + 8 * right_step);
        depth += 1;
    }
}

/// What the mean over the rows multiplies pair (i, j) with: `shares [len, len]`, or `share` where that is null.
#[inline(always)]
unsafe fn share<G: Gpu>(g: G, shares: *const f32, share: f32, len: u32, i: u32, j: u32) -> f32 {
    if shares.is_null() { share } else { g.load(shares.add(i as usize * len as usize + j as usize)) }
}

/// `out [len, len, c, c]`: `out(i, j, p, q)` = the pair's share times the sum over r of `a(r, i, p) b(r, j, q)`; `a` and `b`
/// `[rows, len, c]`. For the shares see `share` below.
#[inline(always)]
pub unsafe fn outer_mean<G: Gpu>(
    g: G,
    rows: u32,
    len: u32,
    c: u32,
    a: *const f32,
    b: *const f32,
    shares: *const f32,
    mean: f32,
    out: *mut f32,
) {
    let width = len * c;
    let [block_column, block_row, _] = g.block();
    let (row0, column0) = (block_row * OUTER, block_column * OUTER);
    let (depth, at) = (g.thread() / 32, 4 * (g.thread() % 32));
    let right = 2 * DEPTH * OUTER * 4;
    let buffer = DEPTH * OUTER * 4;
    let mut sums = [[0.0f32; 8]; 8];
    let (mut left_next, mut right_next) = ([0.0; 4], [0.0; 4]);
    if depth < rows {
        left_next = four(g, a.add(depth as usize * width as usize), width, row0 + at);
        right_next = four(g, b.add(depth as usize * width as usize), width, column0 + at);
    }
    let (mut from, mut half) = (0, 0);
    while from < rows {
        let to = half * buffer + 4 * (depth * OUTER + at);
        g.set_shared_f32x4(to, left_next);
        g.set_shared_f32x4(right + to, right_next);
        g.barrier();
        from += DEPTH;
        (left_next, right_next) = ([0.0; 4], [0.0; 4]);
        if from + depth < rows {
            let next = (from + depth) as usize * width as usize;
            left_next = four(g, a.add(next), width, row0 + at);
            right_next = four(g, b.add(next), width, column0 + at);
        }
        let (warp_row, warp_column) = (g.warp() / 2 * 32, g.warp() % 2 * 64);
        let from_left = half * buffer + 4 * warp_row;
        multiply(g, from_left, OUTER, right + half * buffer + 4 * warp_column, OUTER, &mut sums);
        half ^= 1;
    }
    let [row, column] = place(g);
    let (row, column) = (row0 + g.warp() / 2 * 32 + row, column0 + g.warp() % 2 * 64 + column);
    unroll!(i < 8, of 8, {
        let row = row + (i as u32 & 3) + 16 * (i as u32 / 4);
        if row < width {
            let (first, p) = (row / c, row % c);
            unroll!(part < 2, of 2, {
                let column = column + 32 * part as u32;
                let four = [sums[i][4 * part], sums[i][4 * part + 1], sums[i][4 * part + 2], sums[i][4 * part + 3]];
                if c & 3 == 0 {
                    if column < width {
                        let (second, q) = (column / c, column % c);
                        let by = share(g, shares, mean, len, first, second);
                        let to = out.add(((first as usize * len as usize + second as usize) * c as usize
                            + p as usize)
                            * c as usize
                            + q as usize);
                        g.store_f32x4(to, [four[0] * by, four[1] * by, four[2] * by, four[3] * by]);
                    }
                } else {
                    unroll!(j < 4, of 4, {
                        let column = column + j as u32;
                        if column < width {
                            let (second, q) = (column / c, column % c);
                            let by = share(g, shares, mean, len, first, second);
                            let pair = first as usize * len as usize + second as usize;
                            g.store(out.add((pair * c as usize + p as usize) * c as usize + q as usize), four[j] * by);
                        }
                    });
                }
            });
        }
    });
}

/// Gradients of both factors of [`outer_mean`] by `d_out [len, len, c, c]`: `d_a` and `d_b` `[rows, len, c]`. Blocks
/// `[columns, rows, factor]`.
#[inline(always)]
pub unsafe fn outer_mean_back<G: Gpu>(
    g: G,
    rows: u32,
    len: u32,
    c: u32,
    a: *const f32,
    b: *const f32,
    shares: *const f32,
    mean: f32,
    d_out: *const f32,
    d_a: *mut f32,
    d_b: *mut f32,
) {
    let [_, _, factor] = g.block();
    let pairs = Pairs { len, c, shares, mean, d_out };
    if factor == 0 {
        factor_back::<G, false>(g, rows, pairs, b, d_a);
    } else {
        factor_back::<G, true>(g, rows, pairs, a, d_b);
    }
}

/// Gradient of one factor, with `SECOND` of the second; `other` is the other one.
#[inline(always)]
unsafe fn factor_back<G: Gpu, const SECOND: bool>(
    g: G,
    rows: u32,
    pairs: Pairs,
    other: *const f32,
    d_factor: *mut f32,
) {
    let width = pairs.len * pairs.c;
    let [block_column, block_row, _] = g.block();
    let (row0, column0) = (block_row * BACK_ROWS, block_column * BACK_COLUMNS);
    let thread = g.thread();
    let columns = 2 * DEPTH * BACK_ROWS * 4;
    // A thread's part of the factors: eight neighbouring terms of a row, four numbers of the gradient along what is
    // contiguous in it.
    let (row, row_term) = (thread % BACK_ROWS, thread / BACK_ROWS * DEPTH);
    let (column, term) =
        if SECOND { (thread % 16 * 4, thread / 16) } else { (thread % BACK_COLUMNS, thread / BACK_COLUMNS * 4) };
    let mut gradient = Gradient::<SECOND>::new(pairs, column0 + column, term);
    let mut sums = [[0.0f32; 8]; 8];
    let (mut low, mut high) = ([0.0; 4], [0.0; 4]);
    let source = other.wrapping_add((row0 + row) as usize * width as usize);
    if row0 + row < rows {
        low = four(g, source, width, row_term);
        high = four(g, source, width, row_term + 4);
    }
    let mut slopes = gradient.four(g);
    let half = g.warp() / 4;
    let (mut from, mut buffer) = (0, 0);
    while from < width {
        unroll!(i < 4, of 4, {
            g.set_shared_f32(buffer + 4 * ((row_term + i as u32) * BACK_ROWS + row), low[i]);
            g.set_shared_f32(buffer + 4 * ((row_term + 4 + i as u32) * BACK_ROWS + row), high[i]);
        });
        if SECOND {
            g.set_shared_f32x4(buffer + columns + 4 * (term * BACK_COLUMNS + column), slopes);
        } else {
            unroll!(i < 4, of 4, {
                g.set_shared_f32(buffer + columns + 4 * ((term + i as u32) * BACK_COLUMNS + column), slopes[i]);
            });
        }
        g.barrier();
        from += 2 * DEPTH;
        if from < width {
            if row0 + row < rows {
                low = four(g, source, width, from + row_term);
                high = four(g, source, width, from + row_term + 4);
            }
            gradient.advance();
            slopes = gradient.four(g);
        }
        let left = buffer + 4 * (half * DEPTH * BACK_ROWS + g.warp() % 4 * 32);
        multiply(g, left, BACK_ROWS, buffer + columns + 4 * half * DEPTH * BACK_COLUMNS, BACK_COLUMNS, &mut sums);
        buffer ^= BACK_BUFFER;
    }
    g.barrier();
    // The second half's sums go to the first's.
    let at = 16 * (thread % 128);
    if half == 1 {
        unroll!(i < 8, of 8, {
            g.set_shared_f32x4(at + 4096 * i as u32, [sums[i][0], sums[i][1], sums[i][2], sums[i][3]]);
            g.set_shared_f32x4(at + 4096 * i as u32 + 2048, [sums[i][4], sums[i][5], sums[i][6], sums[i][7]]);
        });
    }
    g.barrier();
    if half == 0 {
        let [row, column] = place(g);
        let (row, column) = (row0 + g.warp() * 32 + row, column0 + column);
        unroll!(i < 8, of 8, {
            let row = row + (i as u32 & 3) + 16 * (i as u32 / 4);
            if row < rows {
                let to = d_factor.add(row as usize * width as usize);
                unroll!(part < 2, of 2, {
                    let more = g.shared_f32x4(at + 4096 * i as u32 + 2048 * part as u32);
                    let mut four = [0.0; 4];
                    unroll!(j < 4, of 4, {
                        four[j] = sums[i][4 * part + j] + more[j];
                    });
                    set_four(g, to, width, column + 32 * part as u32, four);
                });
            }
        });
    }
}

/// The gradient of outer products, `d_out [len, len, c, c]`, and what the mean multiplies pairs with.
#[derive(Clone, Copy)]
struct Pairs {
    len: u32,
    c: u32,
    shares: *const f32,
    mean: f32,
    d_out: *const f32,
}

/// The gradient of outer products as a matrix: columns are the numbers of the factor that is differentiated, the second with
/// `SECOND`, terms those of the other. Numbers of a factor go by what they are divided into: by `c`, and the rest.
#[derive(Clone, Copy)]
struct Gradient<const SECOND: bool> {
    pairs: Pairs,
    column: [u32; 2],
    term: [u32; 2],
    step: [u32; 2],
}

impl<const SECOND: bool> Gradient<SECOND> {
    #[inline(always)]
    fn new(pairs: Pairs, column: u32, term: u32) -> Self {
        let parted = |number: u32| [number / pairs.c, number % pairs.c];
        Self { pairs, column: parted(column), term: parted(term), step: parted(2 * DEPTH) }
    }

    /// Goes `2 DEPTH` terms on, without a division.
    #[inline(always)]
    fn advance(&mut self) {
        self.term[0] += self.step[0];
        self.term[1] += self.step[1];
        if self.term[1] >= self.pairs.c {
            self.term[0] += 1;
            self.term[1] -= self.pairs.c;
        }
    }

    /// Four numbers from `column` and `term` on: neighbouring columns of a term, or terms of a column; zeros beyond the matrix.
    #[inline(always)]
    unsafe fn four<G: Gpu>(self, g: G) -> [f32; 4] {
        let Pairs { len, c, .. } = self.pairs;
        let mut four = [0.0; 4];
        if c & 3 == 0 {
            if self.column[0] < len && self.term[0] < len {
                let (at, by) = self.place(g, self.column, self.term);
                let [x, y, z, w] = g.load_f32x4(at);
                four = [x * by, y * by, z * by, w * by];
            }
        } else {
            unroll!(i < 4, of 4, {
                let beyond = |[whole, rest]: [u32; 2]| [whole + (rest + i as u32) / c, (rest + i as u32) % c];
                let (column, term) =
                    if SECOND { (beyond(self.column), self.term) } else { (self.column, beyond(self.term)) };
                if column[0] < len && term[0] < len {
                    let (at, by) = self.place(g, column, term);
                    four[i] = g.load(at) * by;
                }
            });
        }
        four
    }

    /// Where a number stands, and its pair's share.
    #[inline(always)]
    unsafe fn place<G: Gpu>(self, g: G, column: [u32; 2], term: [u32; 2]) -> (*const f32, f32) {
        let Pairs { len, c, shares, mean, d_out } = self.pairs;
        let ([i, p], [j, q]) = if SECOND { (term, column) } else { (column, term) };
        let pair = i as usize * len as usize + j as usize;
        let at = (pair * c as usize + p as usize) * c as usize + q as usize;
        (d_out.add(at), share(g, shares, mean, len, i, j))
    }
}

/// Which terms and results of [`triangle`] count, of row m, column n and term k.
pub mod order {
    /// All.
    pub const ALL: u32 = 0;
    /// `k <= n <= m`: the sums.
    pub const TERM_COLUMN_ROW: u32 = 1;
    /// `n <= k <= m`: gradient of the first factor.
    pub const COLUMN_TERM_ROW: u32 = 2;
    /// `n <= m <= k`: gradient of the second factor.
    pub const COLUMN_ROW_TERM: u32 = 3;
}

/// `out [len, len, channels]`: `out(m, n)` = `scale` times the sum over k of `a(m, k) b(k, n)`, channel by channel; the channels of
/// `a(m, k)` start at `(m a_row + k a_term) channels`, those of `b(k, n)` at `(k b_term + n b_column) channels`. Results that do not
/// count by `which` of [`order`] are 0. Blocks `[channels / CHANNELS, columns, rows]`.
#[inline(always)]
pub unsafe fn triangle<G: Gpu>(
    g: G,
    len: u32,
    channels: u32,
    which: u32,
    scale: f32,
    a: *const f32,
    a_row: u32,
    a_term: u32,
    b: *const f32,
    b_term: u32,
    b_column: u32,
    out: *mut f32,
) {
    use order::{ALL, COLUMN_ROW_TERM, COLUMN_TERM_ROW, TERM_COLUMN_ROW};
    let [group, block_column, block_row] = g.block();
    let (row0, column0, channel0) = (block_row * TRIANGLE_ROWS, block_column * TRIANGLE_COLUMNS, group * CHANNELS);
    let (mut from, mut end) = (0, len);
    if which == TERM_COLUMN_ROW && column0 + TRIANGLE_COLUMNS < len {
        end = column0 + TRIANGLE_COLUMNS;
    }
    if which == COLUMN_TERM_ROW {
        from = column0;
        end = if row0 + TRIANGLE_ROWS < len { row0 + TRIANGLE_ROWS } else { len };
    }
    if which == COLUMN_ROW_TERM {
        from = row0;
    }
    if which != ALL && column0 >= row0 + TRIANGLE_ROWS {
        end = 0;
    }
    // A thread's part of the factors: four channels of a row, of every fourth term, and of a column, of every second.
    let (channel, pair) = (4 * (g.thread() % 2), g.thread() / 2);
    let (left_term, right_term) = (pair / TRIANGLE_ROWS, pair / TRIANGLE_COLUMNS);
    let (row, column) = (row0 + pair % TRIANGLE_ROWS, column0 + pair % TRIANGLE_COLUMNS);
    let (step_a, step_b) = (a_term as usize * channels as usize, b_term as usize * channels as usize);
    let a = a.wrapping_add(row as usize * a_row as usize * channels as usize);
    let b = b.wrapping_add(column as usize * b_column as usize * channels as usize);
    let (mut a_from, mut a_end, mut b_from, mut b_end) = (0, end, 0, end);
    if which == COLUMN_TERM_ROW {
        a_end = row + 1;
        b_from = column;
    }
    if which == COLUMN_ROW_TERM {
        a_from = row;
    }
    if which == TERM_COLUMN_ROW {
        b_end = column + 1;
    }
    if a_end > end || row >= len {
        a_end = if row < len { end } else { 0 };
    }
    if b_end > end || column >= len {
        b_end = if column < len { end } else { 0 };
    }
    let right = 4 * CHANNELS * LEFT;
    let mut sums = [[0.0f32; 8]; 8];
    let (mut lefts, mut rights) = ([[0.0; 4]; 2], [[0.0; 4]; 4]);
    unroll!(i < 2, of 2, {
        let term = from + left_term + 4 * i as u32;
        lefts[i] = channel_four(g, a, step_a, term, [a_from, a_end], channels, channel0 + channel);
    });
    unroll!(i < 4, of 4, {
        let term = from + right_term + 2 * i as u32;
        rights[i] = channel_four(g, b, step_b, term, [b_from, b_end], channels, channel0 + channel);
    });
    let mut buffer = 0;
    while from < end {
        // Not kept while factors are multiplied.
        let (channel, pair) = (g.opaque(g.thread()) % 2 * 4, g.opaque(g.thread()) / 2);
        let (to_left, to_right) = (4 * (channel * LEFT + pair), right + 4 * (channel * RIGHT + pair));
        unroll!(j < 4, of 4, {
            unroll!(i < 2, of 2, {
                g.set_shared_f32(buffer + to_left + 4 * (j as u32 * LEFT + 4 * i as u32 * TRIANGLE_ROWS), lefts[i][j]);
            });
            unroll!(i < 4, of 4, {
                let to = to_right + 4 * (j as u32 * RIGHT + 2 * i as u32 * TRIANGLE_COLUMNS);
                g.set_shared_f32(buffer + to, rights[i][j]);
            });
        });
        g.barrier();
        from += DEPTH;
        unroll!(i < 2, of 2, {
            let term = from + left_term + 4 * i as u32;
            lefts[i] = channel_four(g, a, step_a, term, [a_from, a_end], channels, channel0 + channel);
        });
        unroll!(i < 4, of 4, {
            let term = from + right_term + 2 * i as u32;
            rights[i] = channel_four(g, b, step_b, term, [b_from, b_end], channels, channel0 + channel);
        });
        let (left, right) = (buffer + 4 * g.warp() * LEFT, buffer + right + 4 * g.warp() * RIGHT);
        multiply(g, left, TRIANGLE_ROWS, right, TRIANGLE_COLUMNS, &mut sums);
        buffer ^= TRIANGLE_BUFFER;
    }
    // The channels of a result come from as many warps: through shared memory, 16 rows at a time.
    let [lane_row, lane_column] = place(g);
    unroll!(part < 2, of 2, {
        g.barrier();
        unroll!(i < 4, of 4, {
            let at = 4 * (g.warp() * RESULTS + (lane_row + i as u32) * TRIANGLE_COLUMNS + lane_column);
            let sums = &sums[4 * part + i];
            g.set_shared_f32x4(at, [sums[0], sums[1], sums[2], sums[3]]);
            g.set_shared_f32x4(at + 128, [sums[4], sums[5], sums[6], sums[7]]);
        });
        g.barrier();
        let mut at = g.thread();
        while at < 16 * TRIANGLE_COLUMNS {
            let row = row0 + 16 * part as u32 + at / TRIANGLE_COLUMNS;
            let column = column0 + at % TRIANGLE_COLUMNS;
            let factor = if which == ALL || column <= row { scale } else { 0.0 };
            if row < len && column < len {
                let to = out.add((row as usize * len as usize + column as usize) * channels as usize);
                unroll!(quad < 2, of 2, {
                    let mut four = [0.0; 4];
                    unroll!(j < 4, of 4, {
                        four[j] = factor * g.shared_f32(4 * ((4 * quad as u32 + j as u32) * RESULTS + at));
                    });
                    set_four(g, to, channels, channel0 + 4 * quad as u32, four);
                });
            }
            at += THREADS;
        }
    });
}

/// Four channels of a term's factor, zeros unless the term is from `range.0` to below `range.1`.
#[inline(always)]
unsafe fn channel_four<G: Gpu>(
    g: G,
    from: *const f32,
    step: usize,
    term: u32,
    range: [u32; 2],
    channels: u32,
    channel: u32,
) -> [f32; 4] {
    if term < range[0] || term >= range[1] {
        return [0.0; 4];
    }
    four(g, from.add(term as usize * step), channels, channel)
}
