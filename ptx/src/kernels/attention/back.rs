//! Gradients of attention: scores are made again, a tile at a time, once for the queries and once for the keys.

use core::f32::consts::LOG2_E;

use super::{BACK_ROWS, BIAS_KEYS, OTHERS, Pairs, bias_buffers, head, other_tiles, own_tiles};
use crate::gpu::Gpu;
use crate::kernels::row::set_four;
use crate::kernels::tile::{registers_by_columns, rows_by_rows, stage_two, stride};

/// The logarithm that shares are taken by, times [`LOG2_E`]: any finite number for a place that draws from nothing.
#[inline(always)]
unsafe fn log<G: Gpu>(g: G, logs: *const f32, row: u32, len: u32) -> f32 {
    let log = if row < len { g.load(logs.add(row as usize)) } else { 0.0 };
    if log == f32::NEG_INFINITY { 0.0 } else { log * LOG2_E }
}

/// Of one row of scores: shares in place of scores, gradients of the scores in place of those of the shares.
#[inline(always)]
fn differentiate<G: Gpu>(g: G, score: &mut f32, slope: &mut f32, log: f32, delta: f32) {
    *score = g.exp2(g.fma(*score, LOG2_E, -log));
    *slope = *score * (*slope - delta);
}

/// Writes the gradients of the scores of 16 queries of a warp with `8 OTHERS` keys into a matrix `[len, len]`.
#[inline(always)]
unsafe fn store<G: Gpu>(g: G, to: *mut f32, len: u32, queries: u32, keys: u32, slopes: &[[f32; 4]; OTHERS]) {
    let (query, key) = (queries + g.lane() / 4, keys + 4 * (g.lane() & 3));
    unroll!(n < OTHERS / 2, of 2, {
        unroll!(half < 2, of 2, {
            let query = query + 8 * half as u32;
            let (left, right) = (slopes[2 * n], slopes[2 * n + 1]);
            let four = [left[2 * half], left[2 * half + 1], right[2 * half], right[2 * half + 1]];
            if query < len {
                set_four(g, to.add(query as usize * len as usize), len, key + 16 * n as u32, four);
            }
        });
    });
}

/// Writes 16 rows of a warp, from row `first` on, of a result `[len, width]`, times `scale`.
#[inline(always)]
unsafe fn store_rows<G: Gpu, const W: usize>(
    g: G,
    to: *mut f32,
    len: u32,
    width: u32,
    first: u32,
    scale: f32,
    sums: &[[f32; 4]; W],
) {
    unroll!(half < 2, of 2, {
        let row = first + g.lane() / 4 + 8 * half as u32;
        unroll!(n < W, of 16, {
            let column = 8 * n as u32 + 2 * (g.lane() & 3);
            if row < len && column < width {
                let [a, b] = [sums[n][2 * half] * scale, sums[n][2 * half + 1] * scale];
                g.store_pair(to.add(row as usize * width as usize + column as usize), [a, b]);
            }
        });
    });
}

/// Collective: shares and gradients of the scores of the warp's queries with keys; `scores` are what they start with. `own`
/// are two tiles of the block's queries and their results' gradients, `others` two of keys and values.
#[inline(always)]
unsafe fn slopes<G: Gpu, const W: usize>(
    g: G,
    own: u32,
    others: u32,
    scores: &mut [[[f32; 4]; OTHERS]; 1],
    log: [f32; 2],
    delta: [f32; 2],
) -> [[[f32; 4]; OTHERS]; 1] {
    let mine = own + 16 * g.warp() * stride(W);
    rows_by_rows::<G, W, 1, OTHERS>(g, mine, others, scores);
    let mut slopes = [[[0.0f32; 4]; OTHERS]; 1];
    rows_by_rows::<G, W, 1, OTHERS>(g, mine + own_tiles(W) / 2, others + BIAS_KEYS * stride(W), &mut slopes);
    unroll!(n < OTHERS, of 4, {
        unroll!(i < 4, of 4, {
            differentiate(g, &mut scores[0][n][i], &mut slopes[0][n][i], log[i / 2], delta[i / 2]);
        });
    });
    slopes
}

/// [`log`] and delta of the two rows of a lane, from row `first` of the warp on.
#[inline(always)]
unsafe fn of_rows<G: Gpu>(g: G, logs: *const f32, delta: *const f32, first: u32, len: u32) -> [[f32; 2]; 2] {
    let mut of = [[0.0; 2]; 2];
    unroll!(half < 2, of 2, {
        let row = first + g.lane() / 4 + 8 * half as u32;
        of[0][half] = log(g, logs, row, len);
        if row < len {
            of[1][half] = g.load(delta.add(row as usize));
        }
    });
    of
}

/// Gradient of the queries, and of a bias that every batch has for itself unless `d_bias` is null.
#[inline(always)]
pub(super) unsafe fn of_queries<G: Gpu, const W: usize>(
    g: G,
    heads: u32,
    len: u32,
    width: u32,
    scale: f32,
    causal: u32,
    shared_bias: u32,
    q: *const u16,
    k: *const u16,
    v: *const u16,
    bias: *const f32,
    logs: *const f32,
    delta: *const f32,
    dout: *const u16,
    dq: *mut f32,
    d_bias: *mut f32,
) {
    let [batch, block, of_head] = g.block();
    let rows = head(heads, of_head, len, batch);
    let start = rows * width as usize;
    let pairs = Pairs::new(g, heads, len, causal, shared_bias, bias, batch);
    let first = block * BACK_ROWS;
    let mine = first + 16 * g.warp();
    let (queries, keys) = ([q.add(start), dout.add(start)], [k.add(start), v.add(start)]);
    let mut others = own_tiles(W);
    stage_two::<G, W, false>(g, 0, BACK_ROWS, queries, first, len, width);
    stage_two::<G, W, true>(g, others, BIAS_KEYS, keys, 0, len, width);
    g.end_copies();
    let [log, delta] = of_rows(g, logs.add(rows), delta.add(rows), mine, len);
    let mut sums = [[[0.0f32; 4]; W]; 1];
    // The gradients of pairs that are out are written too.
    let end = if pairs.causal && d_bias.is_null() && first + BACK_ROWS < len { first + BACK_ROWS } else { len };
    let mut key = 0;
    while key < end {
        let mut scores = pairs.scores::<G, 1, OTHERS>(g, mine, key);
        g.copied::<0>();
        g.barrier();
        let next = 2 * own_tiles(W) + other_tiles(W) - others;
        if key + BIAS_KEYS < end {
            stage_two::<G, W, true>(g, next, BIAS_KEYS, keys, key + BIAS_KEYS, len, width);
        }
        g.end_copies();
        let slopes = slopes::<G, W>(g, 0, others, &mut scores, log, delta);
        if !d_bias.is_null() {
            store(g, d_bias.add(rows * len as usize), len, mine, key, &slopes[0]);
        }
        registers_by_columns::<G, W, 1, OTHERS>(g, &slopes, others, &mut sums);
        others = next;
        key += BIAS_KEYS;
    }
    store_rows(g, dq.add(start), len, width, mine, scale, &sums[0]);
}

/// Puts [`log`] and delta of `BIAS_KEYS` queries into shared memory.
#[inline(always)]
unsafe fn set_numbers<G: Gpu>(g: G, to: u32, logs: *const f32, delta: *const f32, first: u32, len: u32) {
    if g.thread() < BIAS_KEYS {
        let row = first + g.thread();
        let delta = if row < len { g.load(delta.add(row as usize)) } else { 0.0 };
        g.set_shared_f32(to + 4 * g.thread(), log(g, logs, row, len));
        g.set_shared_f32(to + 4 * (BIAS_KEYS + g.thread()), delta);
    }
}

/// Gradients of the keys and values. The block's own rows are keys; the scores are those of [`slopes`], transposed.
#[inline(always)]
pub(super) unsafe fn of_keys<G: Gpu, const W: usize>(
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
    logs: *const f32,
    delta: *const f32,
    dout: *const u16,
    dk: *mut f32,
    dv: *mut f32,
) {
    let [batch, block, of_head] = g.block();
    let rows = head(heads, of_head, len, batch);
    let start = rows * width as usize;
    let pairs = Pairs::new(g, heads, len, causal, shared_bias, bias, batch);
    let first = block * BACK_ROWS;
    let mine = 16 * g.warp();
    let (slopes_of, numbers) = (BIAS_KEYS * stride(W), 2 * BIAS_KEYS * stride(W));
    let mut others = own_tiles(W);
    let mut query = if pairs.causal { first } else { 0 };
    let (keys, queries) = ([k.add(start), v.add(start)], [q.add(start), dout.add(start)]);
    stage_two::<G, W, false>(g, 0, BACK_ROWS, keys, first, len, width);
    stage_two::<G, W, false>(g, others, BIAS_KEYS, queries, query, len, width);
    g.end_copies();
    set_numbers(g, others + numbers, logs.add(rows), delta.add(rows), query, len);
    let (mut dks, mut dvs) = ([[[0.0f32; 4]; W]; 1], [[[0.0f32; 4]; W]; 1]);
    while query < len {
        let mut shares = pairs.scores_of_keys::<G, OTHERS>(g, first + mine, query);
        g.copied::<0>();
        g.barrier();
        query += BIAS_KEYS;
        let next = 2 * own_tiles(W) + other_tiles(W) - others;
        if query < len {
            stage_two::<G, W, false>(g, next, BIAS_KEYS, queries, query, len, width);
        }
        g.end_copies();
        set_numbers(g, next + numbers, logs.add(rows), delta.add(rows), query, len);
        rows_by_rows::<G, W, 1, OTHERS>(g, mine * stride(W), others, &mut shares);
        let mut slopes = [[[0.0f32; 4]; OTHERS]; 1];
        rows_by_rows::<G, W, 1, OTHERS>(g, own_tiles(W) / 2 + mine * stride(W), others + slopes_of, &mut slopes);
        unroll!(n < OTHERS, of 4, {
            unroll!(j < 2, of 2, {
                let at = others + numbers + 4 * (8 * n as u32 + 2 * (g.lane() & 3) + j as u32);
                let (log, delta) = (g.shared_f32(at), g.shared_f32(at + 4 * BIAS_KEYS));
                differentiate(g, &mut shares[0][n][j], &mut slopes[0][n][j], log, delta);
                differentiate(g, &mut shares[0][n][j + 2], &mut slopes[0][n][j + 2], log, delta);
            });
        });
        registers_by_columns::<G, W, 1, OTHERS>(g, &shares, others + slopes_of, &mut dvs);
        registers_by_columns::<G, W, 1, OTHERS>(g, &slopes, others, &mut dks);
        others = next;
    }
    store_rows(g, dk.add(start), len, width, first + mine, 1.0, &dks[0]);
    store_rows(g, dv.add(start), len, width, first + mine, 1.0, &dvs[0]);
}

/// Gradient of a bias that all batches share: the sum over the batches in their order.
#[inline(always)]
pub(super) unsafe fn of_bias<G: Gpu, const W: usize>(
    g: G,
    batches: u32,
    heads: u32,
    len: u32,
    width: u32,
    causal: u32,
    q: *const u16,
    k: *const u16,
    v: *const u16,
    bias: *const f32,
    logs: *const f32,
    delta: *const f32,
    dout: *const u16,
    d_bias: *mut f32,
) {
    let [key, block, of_head] = g.block();
    let pairs = Pairs::new(g, heads, len, causal, 1, bias, 0);
    let (key, first) = (key * BIAS_KEYS, block * BACK_ROWS);
    let mine = first + 16 * g.warp();
    let start_scores = pairs.scores::<G, 1, OTHERS>(g, mine, key);
    let mut sums = [[0.0f32; 4]; OTHERS];
    // All four tiles of a batch.
    let tiles = |batch: u32, to: u32| {
        let start = head(heads, of_head, len, batch) * width as usize;
        stage_two::<G, W, false>(g, to, BACK_ROWS, [q.add(start), dout.add(start)], first, len, width);
        stage_two::<G, W, true>(g, to + own_tiles(W), BIAS_KEYS, [k.add(start), v.add(start)], key, len, width);
    };
    // A block whose pairs are all out has zeros to write.
    let mut batch = if pairs.causal && key >= first + BACK_ROWS { batches } else { 0 };
    let twice = bias_buffers(W) == 2;
    let mut at = 0;
    if batch < batches {
        tiles(batch, at);
    }
    g.end_copies();
    while batch < batches {
        let rows = head(heads, of_head, len, batch);
        let [log, delta] = of_rows(g, logs.add(rows), delta.add(rows), mine, len);
        g.copied::<0>();
        g.barrier();
        batch += 1;
        let next = if twice { own_tiles(W) + other_tiles(W) - at } else { at };
        if twice && batch < batches {
            tiles(batch, next);
        }
        g.end_copies();
        let mut scores = start_scores;
        let slopes = slopes::<G, W>(g, at, at + own_tiles(W), &mut scores, log, delta);
        unroll!(n < OTHERS, of 4, {
            unroll!(i < 4, of 4, {
                sums[n][i] += slopes[0][n][i];
            });
        });
        if !twice && batch < batches {
            g.barrier();
            tiles(batch, next);
            g.end_copies();
        }
        at = next;
    }
    store(g, d_bias.add(of_head as usize * len as usize * len as usize), len, mine, key, &sums);
}
