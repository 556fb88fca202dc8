//! Shares by exponentials.

use super::row::{self, ACCESS, HELD, ROWS};
use crate::gpu::Gpu;

/// `y[i] = exp(x[i]) / (sum of exp(x))` for each of `rows` rows of `n` numbers. A warp a row.
#[inline(always)]
pub unsafe fn softmax_rows<G: Gpu>(g: G, rows: u32, n: u32, x: *const f32, y: *mut f32) {
    let row = g.block()[0] * ROWS + g.warp();
    if row >= rows {
        return;
    }
    let (x, y) = (x.add(row as usize * n as usize), y.add(row as usize * n as usize));
    let mut kept = row::hold(g, x, n);
    let mut highest = f32::NEG_INFINITY;
    unroll!(i < HELD, of 8, {
        if row::held(g, n, i) {
            highest = higher(kept[i], 4, highest);
        }
    });
    let mut at = row::rest(g, n);
    while at < n {
        highest = higher(row::four(g, x, n, at), n - at, highest);
        at += ACCESS;
    }
    let highest = g.warp_max(highest);
    let mut sum = 0.0;
    unroll!(i < HELD, of 8, {
        if row::held(g, n, i) {
            kept[i] = exponentials(g, kept[i], 4, highest);
            sum += (kept[i][0] + kept[i][1]) + (kept[i][2] + kept[i][3]);
        }
    });
    let mut at = row::rest(g, n);
    while at < n {
        let [a, b, c, d] = exponentials(g, row::four(g, x, n, at), n - at, highest);
        sum += (a + b) + (c + d);
        at += ACCESS;
    }
    let factor = 1.0 / g.warp_sum(sum);
    unroll!(i < HELD, of 8, {
        if row::held(g, n, i) {
            let [a, b, c, d] = kept[i];
            row::set_four(g, y, n, 4 * g.lane() + i as u32 * ACCESS, [a * factor, b * factor, c * factor, d * factor]);
        }
    });
    let mut at = row::rest(g, n);
    while at < n {
        let [a, b, c, d] = exponentials(g, row::four(g, x, n, at), n - at, highest);
        row::set_four(g, y, n, at, [a * factor, b * factor, c * factor, d * factor]);
        at += ACCESS;
    }
}

/// The highest of `highest` and the first `left` of four numbers.
#[inline(always)]
fn higher(four: [f32; 4], left: u32, highest: f32) -> f32 {
    let mut highest = highest;
    unroll!(j < 4, of 4, {
        if (j as u32) < left && four[j] > highest {
            highest = four[j];
        }
    });
    highest
}

/// Exponentials of what the first `left` of four numbers are above `highest`; 0 for the others.
#[inline(always)]
fn exponentials<G: Gpu>(g: G, four: [f32; 4], left: u32, highest: f32) -> [f32; 4] {
    let mut out = [0.0; 4];
    unroll!(j < 4, of 4, {
        if (j as u32) < left {
            out[j] = g.exp(four[j] - highest);
        }
    });
    out
}

/// `dx = y (dy - (sum of y dy))` for each of `rows` rows of `n` numbers: the gradient of [`softmax_rows`]' input; `y` is what
/// it gave. A warp a row.
#[inline(always)]
pub unsafe fn softmax_rows_back<G: Gpu>(g: G, rows: u32, n: u32, y: *const f32, dy: *const f32, dx: *mut f32) {
    let row = g.block()[0] * ROWS + g.warp();
    if row >= rows {
        return;
    }
    let start = row as usize * n as usize;
    let (y, dy, dx) = (y.add(start), dy.add(start), dx.add(start));
    let (kept, slopes) = (row::hold(g, y, n), row::hold(g, dy, n));
    let mut sum = 0.0;
    unroll!(i < HELD, of 8, {
        sum = row::products(g, kept[i], slopes[i], sum);
    });
    let mut at = row::rest(g, n);
    while at < n {
        sum = row::products(g, row::four(g, y, n, at), row::four(g, dy, n, at), sum);
        at += ACCESS;
    }
    let mean = g.warp_sum(sum);
    unroll!(i < HELD, of 8, {
        if row::held(g, n, i) {
            row::set_four(g, dx, n, 4 * g.lane() + i as u32 * ACCESS, softmax_slope(kept[i], slopes[i], mean));
        }
    });
    let mut at = row::rest(g, n);
    while at < n {
        let slope = softmax_slope(row::four(g, y, n, at), row::four(g, dy, n, at), mean);
        row::set_four(g, dx, n, at, slope);
        at += ACCESS;
    }
}

#[inline(always)]
fn softmax_slope(y: [f32; 4], dy: [f32; 4], mean: f32) -> [f32; 4] {
    [y[0] * (dy[0] - mean), y[1] * (dy[1] - mean), y[2] * (dy[2] - mean), y[3] * (dy[3] - mean)]
}
