//! Attention with a bias for every pair of places: `softmax(scale q k^T + bias) v`, as the Evoformer's rows draw from its
//! columns (Jumper et al., 2021). Scores live in registers, a tile at a time (Dao et al., 2022).
//!
//! Matrices `[batch, heads, len, width]`, row-major, `width` a multiple of 8. What products are made of comes in bfloat16, as
//! [`attention_rows`] rounds it, queries times `scale`; results are f32. Products on tensor cores, summed in f32; exponentials
//! and their sums in f32. `bias [batch or 1, heads, len, len]` is added to the scaled scores; -infinity takes a pair out. With
//! `causal`, place i draws from places 0 to i. Where a place draws from nothing, the result is 0. `logs [batch, heads, len]` are
//! logarithms of the sums of the exponentials of the scores.
//!
//! Tiles arrive by copies that nobody waits for before they are needed: the next is under way while one is multiplied, so that
//! a tile takes one barrier. Keys lie in it so that a lane's scores are four neighbours: biases and their gradients move by 16
//! bytes where `len` is a multiple of 4, whatever else it is one by one.

use core::f32::consts::{LN_2, LOG2_E};

use super::tile::{registers_by_columns, rows_by_rows, stage, stage_two, stride};
use crate::gpu::Gpu;

mod back;

use back::{of_bias, of_keys, of_queries};

/// Threads of a block of the forward kernels.
pub const THREADS: u32 = 128;
/// Keys of a forward block at a time, by matrices of 8.
const KEYS: usize = 8;
/// Threads of a block of the backward kernels.
pub const BACK_THREADS: u32 = 256;
/// Rows of a backward block's own: 16 a warp.
pub const BACK_ROWS: u32 = BACK_THREADS / 32 * 16;
/// Rows of the other side at a time in the backward kernels, by matrices of 8.
const OTHERS: usize = 4;
/// Keys of a block of the kernels for the gradient of a shared bias.
pub const BIAS_KEYS: u32 = 8 * OTHERS as u32;
/// Rows of a block of [`attention_delta`]: eight lanes each.
pub const DELTA_ROWS: u32 = THREADS / 8;

/// Queries of a forward block for widths up to `8 w`.
pub const fn queries(w: usize) -> u32 {
    16 * THREADS / 32 * tiles(w) as u32
}

/// Times 16 rows that a warp of a forward block has: wide results leave registers for one.
const fn tiles(w: usize) -> usize {
    if w > 8 { 1 } else { 2 }
}

/// Shared bytes of keys and values of a forward block at a time.
const fn keys_and_values(w: usize) -> u32 {
    16 * KEYS as u32 * stride(w)
}

/// Shared bytes of a forward block: queries; keys and values twice, one while the other is on its way.
pub const fn shared(w: usize) -> u32 {
    queries(w) * stride(w) + 2 * keys_and_values(w)
}

/// Shared bytes of two tiles of a backward block's own rows.
const fn own_tiles(w: usize) -> u32 {
    2 * BACK_ROWS * stride(w)
}

/// Shared bytes of two tiles of the other side, and two numbers for each of those rows.
const fn other_tiles(w: usize) -> u32 {
    2 * BIAS_KEYS * stride(w) + 8 * BIAS_KEYS
}

/// Shared bytes of a backward block: its own rows; the other side's twice, one while the other is on its way.
pub const fn back_shared(w: usize) -> u32 {
    own_tiles(w) + 2 * other_tiles(w)
}

/// Times that a block of the kernels for the gradient of a shared bias has its tiles: those of wide heads leave room for one.
const fn bias_buffers(w: usize) -> u32 {
    if w > 8 { 1 } else { 2 }
}

/// Shared bytes of a block of the kernels for the gradient of a shared bias.
pub const fn bias_shared(w: usize) -> u32 {
    bias_buffers(w) * (own_tiles(w) + other_tiles(w))
}

/// What scores are made of besides products.
#[derive(Clone, Copy)]
struct Pairs {
    len: u32,
    causal: bool,
    /// Of the block's head; null for none.
    bias: *const f32,
}

impl Pairs {
    #[inline(always)]
    unsafe fn new<G: Gpu>(g: G, heads: u32, len: u32, causal: u32, shared: u32, bias: *const f32, batch: u32) -> Self {
        let [_, _, head] = g.block();
        let matrix = if shared != 0 { head } else { batch * heads + head };
        let at = matrix as usize * len as usize * len as usize;
        Self { len, causal: causal != 0, bias: if bias.is_null() { bias } else { bias.add(at) } }
    }

    /// What a pair's score starts with: its bias, or what takes it out.
    #[inline(always)]
    unsafe fn score<G: Gpu>(self, g: G, query: u32, key: u32) -> f32 {
        if query >= self.len || key >= self.len || (self.causal && key > query) {
            f32::NEG_INFINITY
        } else if self.bias.is_null() {
            0.0
        } else {
            g.load(self.bias.add(query as usize * self.len as usize + key as usize))
        }
    }

    /// The scores of `8 N` keys with the `16 M` queries of a warp, before products are added; keys are spread over the lanes
    /// as `stage` does it.
    #[inline(always)]
    unsafe fn scores<G: Gpu, const M: usize, const N: usize>(
        self,
        g: G,
        queries: u32,
        keys: u32,
    ) -> [[[f32; 4]; N]; M] {
        let mut scores = [[[0.0; 4]; N]; M];
        let (query, key) = (queries + g.lane() / 4, keys + 4 * (g.lane() & 3));
        let whole = queries + 16 * M as u32 <= self.len && keys + 8 * N as u32 <= self.len;
        if whole && !(self.causal && keys + 8 * N as u32 > queries) && self.len & 3 == 0 {
            if !self.bias.is_null() {
                let at = self.bias.add(query as usize * self.len as usize + key as usize);
                let below = 8 * self.len as usize;
                unroll!(m < M, of 2, {
                    unroll!(n < N / 2, of 4, {
                        let [a, b, c, d] = g.load_f32x4(at.add(2 * m * below + 16 * n));
                        let [e, f, g, h] = g.load_f32x4(at.add((2 * m + 1) * below + 16 * n));
                        scores[m][2 * n] = [a, b, e, f];
                        scores[m][2 * n + 1] = [c, d, g, h];
                    });
                });
            }
        } else {
            unroll!(m < M, of 2, {
                unroll!(n < N, of 8, {
                    let (query, key) = (query + 16 * m as u32, key + 16 * (n as u32 / 2) + 2 * (n as u32 & 1));
                    scores[m][n] = [
                        self.score(g, query, key),
                        self.score(g, query, key + 1),
                        self.score(g, query + 8, key),
                        self.score(g, query + 8, key + 1),
                    ];
                });
            });
        }
        scores
    }

    /// [`scores`](Self::scores) transposed: of `16` keys of a warp with `8 N` queries.
    #[inline(always)]
    unsafe fn scores_of_keys<G: Gpu, const N: usize>(self, g: G, keys: u32, queries: u32) -> [[[f32; 4]; N]; 1] {
        let mut scores = [[[0.0; 4]; N]; 1];
        let (key, query) = (keys + g.lane() / 4, queries + 2 * (g.lane() & 3));
        let whole = queries + 8 * N as u32 <= self.len && keys + 16 <= self.len;
        if whole && !(self.causal && keys + 16 > queries) {
            if !self.bias.is_null() {
                let len = self.len as usize;
                let at = self.bias.add(query as usize * len + key as usize);
                unroll!(n < N, of 8, {
                    let at = at.add(8 * n * len);
                    scores[0][n] = [g.load(at), g.load(at.add(len)), g.load(at.add(8)), g.load(at.add(len + 8))];
                });
            }
        } else {
            unroll!(n < N, of 8, {
                let query = query + 8 * n as u32;
                scores[0][n] = [
                    self.score(g, query, key),
                    self.score(g, query + 1, key),
                    self.score(g, query, key + 8),
                    self.score(g, query + 1, key + 8),
                ];
            });
        }
        scores
    }
}

/// The rows of one head of one batch.
#[inline(always)]
fn head(heads: u32, head: u32, len: u32, batch: u32) -> usize {
    (batch as usize * heads as usize + head as usize) * len as usize
}

#[inline(always)]
unsafe fn forward<G: Gpu, const W: usize, const M: usize>(
    g: G,
    heads: u32,
    len: u32,
    width: u32,
    causal: u32,
    shared_bias: u32,
    q: *const u16,
    k: *const u16,
    v: *const u16,
    bias: *const f32,
    out: *mut f32,
    logs: *mut f32,
) {
    let [batch, block, of_head] = g.block();
    let rows = head(heads, of_head, len, batch);
    let start = rows * width as usize;
    let (q, k, v, out, logs) = (q.add(start), k.add(start), v.add(start), out.add(start), logs.add(rows));
    let pairs = Pairs::new(g, heads, len, causal, shared_bias, bias, batch);
    let (first, lane) = (block * queries(W), g.lane());
    let mine = g.warp() * 16 * M as u32;
    let mut keys = queries(W) * stride(W);
    let values = keys_and_values(W) / 2;
    stage::<G, W, false>(g, 0, queries(W), q, first, len, width);
    stage_two::<G, W, true>(g, keys, 8 * KEYS as u32, [k, v], 0, len, width);
    g.end_copies();
    let mut drawn = [[[0.0f32; 4]; W]; M];
    let (mut highest, mut sums) = ([[f32::NEG_INFINITY; 2]; M], [[0.0f32; 2]; M]);
    let end = if pairs.causal && first + queries(W) < len { first + queries(W) } else { len };
    let mut key = 0;
    while key < end {
        let mut scores = pairs.scores::<G, M, KEYS>(g, first + mine, key);
        g.copied::<0>();
        g.barrier();
        key += 8 * KEYS as u32;
        let next = 2 * queries(W) * stride(W) + keys_and_values(W) - keys;
        if key < end {
            stage_two::<G, W, true>(g, next, 8 * KEYS as u32, [k, v], key, len, width);
        }
        g.end_copies();
        rows_by_rows::<G, W, M, KEYS>(g, mine * stride(W), keys, &mut scores);
        unroll!(m < M, of 2, {
            unroll!(half < 2, of 2, {
                let before = highest[m][half];
                let mut max = before;
                unroll!(n < KEYS, of 8, {
                    max = max.max(scores[m][n][2 * half].max(scores[m][n][2 * half + 1]));
                });
                max = max.max(g.shuffle_xor_f32(max, 1));
                max = max.max(g.shuffle_xor_f32(max, 2));
                highest[m][half] = max;
                // Nothing but pairs that are out: any finite number will do.
                let base = if max == f32::NEG_INFINITY { 0.0 } else { max * LOG2_E };
                let shrink = g.exp2(g.fma(before, LOG2_E, -base));
                sums[m][half] *= shrink;
                unroll!(n < W, of 16, {
                    drawn[m][n][2 * half] *= shrink;
                    drawn[m][n][2 * half + 1] *= shrink;
                });
                unroll!(n < KEYS, of 8, {
                    unroll!(i < 2, of 2, {
                        let share = g.exp2(g.fma(scores[m][n][2 * half + i], LOG2_E, -base));
                        scores[m][n][2 * half + i] = share;
                        sums[m][half] += share;
                    });
                });
            });
        });
        registers_by_columns::<G, W, M, KEYS>(g, &scores, keys + values, &mut drawn);
        keys = next;
    }
    unroll!(m < M, of 2, {
        unroll!(half < 2, of 2, {
            let mut sum = sums[m][half];
            sum += g.shuffle_xor_f32(sum, 1);
            sum += g.shuffle_xor_f32(sum, 2);
            let row = first + mine + 16 * m as u32 + 8 * half as u32 + lane / 4;
            if row < len {
                let factor = if sum > 0.0 { 1.0 / sum } else { 0.0 };
                unroll!(n < W, of 16, {
                    let column = 8 * n as u32 + 2 * (lane & 3);
                    if column < width {
                        let [a, b] = [drawn[m][n][2 * half] * factor, drawn[m][n][2 * half + 1] * factor];
                        g.store_pair(out.add(row as usize * width as usize + column as usize), [a, b]);
                    }
                });
                if lane & 3 == 0 {
                    let log = if sum > 0.0 { highest[m][half] + g.log2(sum) * LN_2 } else { f32::NEG_INFINITY };
                    g.store(logs.add(row as usize), log);
                }
            }
        });
    });
}

/// `out [8 eights]`: `x` times `scale`, rounded to bfloat16.
#[inline(always)]
pub unsafe fn attention_rows<G: Gpu>(g: G, eights: u32, scale: f32, x: *const f32, out: *mut u16) {
    let eight = g.block()[0] * THREADS + g.thread();
    if eight < eights {
        let first = 8 * eight as usize;
        let (a, b) = (g.load_f32x4(x.add(first)), g.load_f32x4(x.add(first + 4)));
        let words = [
            g.pack_bf16(a[0] * scale, a[1] * scale),
            g.pack_bf16(a[2] * scale, a[3] * scale),
            g.pack_bf16(b[0] * scale, b[1] * scale),
            g.pack_bf16(b[2] * scale, b[3] * scale),
        ];
        g.store_quad(out.add(first).cast(), words);
    }
}

/// `delta [rows]`: the sums of `out dout` over rows of `width` numbers: what the gradient of every score of a row is lowered
/// by.
#[inline(always)]
pub unsafe fn attention_delta<G: Gpu>(g: G, rows: u32, width: u32, out: *const f32, dout: *const f32, delta: *mut f32) {
    let row = g.block()[0] * DELTA_ROWS + g.thread() / 8;
    let start = row as usize * width as usize;
    let mut sum = 0.0;
    if row < rows {
        let mut at = 4 * (g.lane() & 7);
        while at < width {
            let (a, b) = (g.load_f32x4(out.add(start + at as usize)), g.load_f32x4(dout.add(start + at as usize)));
            sum = super::row::products(g, a, b, sum);
            at += 32;
        }
    }
    sum += g.shuffle_xor_f32(sum, 4);
    sum += g.shuffle_xor_f32(sum, 2);
    sum += g.shuffle_xor_f32(sum, 1);
    if row < rows && g.lane() & 7 == 0 {
        g.store(delta.add(row as usize), sum);
    }
}

/// The kernels for widths up to `8 W`: 32, 64 and 128.
macro_rules! widths {
    ($($w:literal $m:literal: $forward:ident $queries:ident $keys:ident $bias:ident;)*) => { $(
        /// `out = softmax(scale q k^T + bias) v` and the logarithms; see the module. Blocks `[batch, queries, head]`.
        #[inline(always)]
        pub unsafe fn $forward<G: Gpu>(
            g: G, _batches: u32, heads: u32, len: u32, width: u32, causal: u32, shared_bias: u32, q: *const u16,
            k: *const u16,
            v: *const u16, bias: *const f32, out: *mut f32, logs: *mut f32,
        ) {
            forward::<G, $w, $m>(g, heads, len, width, causal, shared_bias, q, k, v, bias, out, logs);
        }

        /// Gradient of the queries, and of a bias that every batch has for itself unless `d_bias` is null, by
        /// `dout [batch, heads, len, width]`; `delta` of [`attention_delta`]. Blocks `[batch, queries, head]`.
        #[inline(always)]
        pub unsafe fn $queries<G: Gpu>(
            g: G, _batches: u32, heads: u32, len: u32, width: u32, scale: f32, causal: u32, shared_bias: u32, q: *const u16,
            k: *const u16,
            v: *const u16, bias: *const f32, logs: *const f32, delta: *const f32, dout: *const u16, dq: *mut f32,
            d_bias: *mut f32,
        ) {
            of_queries::<G, $w>(
                g, heads, len, width, scale, causal, shared_bias, q, k, v, bias, logs, delta, dout, dq, d_bias,
            );
        }

        /// Gradients of the keys and values. Blocks `[batch, keys, head]`.
        #[inline(always)]
        pub unsafe fn $keys<G: Gpu>(
            g: G, _batches: u32, heads: u32, len: u32, width: u32, causal: u32, shared_bias: u32, q: *const u16,
            k: *const u16,
            v: *const u16, bias: *const f32, logs: *const f32, delta: *const f32, dout: *const u16, dk: *mut f32,
            dv: *mut f32,
        ) {
            of_keys::<G, $w>(g, heads, len, width, causal, shared_bias, q, k, v, bias, logs, delta, dout, dk, dv);
        }

        /// Gradient `d_bias [heads, len, len]` of a bias that all batches share, summed over them in their order. Blocks
        /// `[keys, queries, head]`.
        #[inline(always)]
        pub unsafe fn $bias<G: Gpu>(
            g: G, batches: u32, heads: u32, len: u32, width: u32, causal: u32, q: *const u16, k: *const u16,
            v: *const u16, bias: *const f32, logs: *const f32, delta: *const f32, dout: *const u16, d_bias: *mut f32,
        ) {
            of_bias::<G, $w>(g, batches, heads, len, width, causal, q, k, v, bias, logs, delta, dout, d_bias);
        }
    )* };
}

widths! {
    4 2: attention_32 attention_queries_32 attention_keys_32 attention_bias_32;
    8 2: attention_64 attention_queries_64 attention_keys_64 attention_bias_64;
    16 1: attention_128 attention_queries_128 attention_keys_128 attention_bias_128;
}
