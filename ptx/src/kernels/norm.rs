//! Norms of rows.

use super::row::{self, ACCESS, HELD, ROWS};
use crate::gpu::Gpu;

/// Columns whose gradients a block of [`layer_norm_back`] sums.
pub const COLUMNS: u32 = HELD as u32 * ACCESS;
/// Likewise of [`layer_norm_back_narrow`].
pub const NARROW: u32 = ACCESS;
/// Numbers of a row that [`layer_norm_narrow`] takes at most, and a multiple of four: half an access.
pub const HALF: u32 = ACCESS / 2;
/// Rows that a warp of it has in hand: two at a time.
pub const HALF_ROWS: u32 = 2 * HALVES as u32;
/// Numbers that a lane of it reads ahead, in fours.
const HALVES: usize = 4;
/// Blocks of [`layer_norm_back`] along the rows: so many partial sums of each column.
pub const PARTS: u32 = 264;
/// Likewise of [`layer_norm_back_narrow`].
pub const NARROW_PARTS: u32 = 1056;
/// Columns that a block of [`norm_sums`] sums.
pub const SUMMED: u32 = 32;
/// Shared bytes of [`norm_sums`].
pub const SUMS_SHARED: u32 = ROWS * SUMMED * 4;

/// `y = (x - mean) factor scale + shift` for each of `rows` rows of `n` numbers; `moments [rows, 2]` gets the mean and the
/// factor, `1 / sqrt(variance + epsilon)`; the variance is the mean square of what differs from the mean (Ba et al., 2016).
/// `scale` and `shift` `[n]`. A warp a row.
#[inline(always)]
pub unsafe fn layer_norm<G: Gpu>(
    g: G,
    rows: u32,
    n: u32,
    epsilon: f32,
    x: *const f32,
    scale: *const f32,
    shift: *const f32,
    y: *mut f32,
    moments: *mut f32,
) {
    let row = g.block()[0] * ROWS + g.warp();
    if row >= rows {
        return;
    }
    let (x, y) = (x.add(row as usize * n as usize), y.add(row as usize * n as usize));
    let kept = row::hold(g, x, n);
    let mut sum = 0.0;
    unroll!(i < HELD, of 8, {
        sum += (kept[i][0] + kept[i][1]) + (kept[i][2] + kept[i][3]);
    });
    let mut at = row::rest(g, n);
    while at < n {
        let four = row::four(g, x, n, at);
        sum += (four[0] + four[1]) + (four[2] + four[3]);
        at += ACCESS;
    }
    let mean = g.warp_sum(sum) / n as f32;
    let mut squares = 0.0;
    unroll!(i < HELD, of 8, {
        if row::held(g, n, i) {
            squares = square_distance(g, kept[i], mean, 4, squares);
        }
    });
    let mut at = row::rest(g, n);
    while at < n {
        squares = square_distance(g, row::four(g, x, n, at), mean, n - at, squares);
        at += ACCESS;
    }
    let factor = 1.0 / g.sqrt(g.warp_sum(squares) / n as f32 + epsilon);
    unroll!(i < HELD, of 8, {
        if row::held(g, n, i) {
            scaled(g, kept[i], mean, factor, n, 4 * g.lane() + i as u32 * ACCESS, scale, shift, y);
        }
    });
    let mut at = row::rest(g, n);
    while at < n {
        scaled(g, row::four(g, x, n, at), mean, factor, n, at, scale, shift, y);
        at += ACCESS;
    }
    if g.lane() == 0 {
        g.store(moments.add(2 * row as usize), mean);
        g.store(moments.add(2 * row as usize + 1), factor);
    }
}

/// [`layer_norm`] of rows of at most [`HALF`] numbers, a multiple of four: 16 lanes a row, [`HALF_ROWS`] rows a warp, which are
/// read before any of them is used. Sums are of other order than there.
#[inline(always)]
pub unsafe fn layer_norm_narrow<G: Gpu>(
    g: G,
    rows: u32,
    n: u32,
    epsilon: f32,
    x: *const f32,
    scale: *const f32,
    shift: *const f32,
    y: *mut f32,
    moments: *mut f32,
) {
    let first = (g.block()[0] * ROWS + g.warp()) * HALF_ROWS + g.lane() / 16;
    let column = 4 * (g.lane() % 16);
    let inside = |i: usize| first + 2 * (i as u32) < rows && column < n;
    let at = |i: usize| (first as usize + 2 * i) * n as usize + column as usize;
    let mut kept = [[0.0; 4]; HALVES];
    unroll!(i < HALVES, of 4, {
        if inside(i) {
            kept[i] = g.load_f32x4(x.add(at(i)));
        }
    });
    let (scale, shift) = (row::four(g, scale, n, column), row::four(g, shift, n, column));
    unroll!(i < HALVES, of 4, {
        let mean = half_sum(g, (kept[i][0] + kept[i][1]) + (kept[i][2] + kept[i][3])) / n as f32;
        let left = if column < n { 4 } else { 0 };
        let squares = half_sum(g, square_distance(g, kept[i], mean, left, 0.0));
        let factor = 1.0 / g.sqrt(squares / n as f32 + epsilon);
        if inside(i) {
            g.store_f32x4(y.add(at(i)), normed(g, kept[i], mean, factor, scale, shift));
            if column == 0 {
                let row = first as usize + 2 * i;
                g.store(moments.add(2 * row), mean);
                g.store(moments.add(2 * row + 1), factor);
            }
        }
    });
}

/// Collective: the sum over 16 neighbouring lanes, the same in each of them.
#[inline(always)]
fn half_sum<G: Gpu>(g: G, value: f32) -> f32 {
    let mut sum = value;
    unroll!(mask in [8 4 2 1] {
        sum += g.shuffle_xor_f32(sum, mask);
    });
    sum
}

/// `sum` and the squares of what the first `left` of four numbers differ from `mean`.
#[inline(always)]
fn square_distance<G: Gpu>(g: G, four: [f32; 4], mean: f32, left: u32, sum: f32) -> f32 {
    let mut sum = sum;
    unroll!(j < 4, of 4, {
        let distance = if (j as u32) < left { four[j] - mean } else { 0.0 };
        sum = g.fma(distance, distance, sum);
    });
    sum
}

/// Writes four numbers of a layer norm's row.
#[inline(always)]
unsafe fn scaled<G: Gpu>(
    g: G,
    four: [f32; 4],
    mean: f32,
    factor: f32,
    n: u32,
    at: u32,
    scale: *const f32,
    shift: *const f32,
    y: *mut f32,
) {
    let (scale, shift) = (row::four(g, scale, n, at), row::four(g, shift, n, at));
    row::set_four(g, y, n, at, normed(g, four, mean, factor, scale, shift));
}

/// Four numbers of a layer norm's row.
#[inline(always)]
fn normed<G: Gpu>(g: G, four: [f32; 4], mean: f32, factor: f32, scale: [f32; 4], shift: [f32; 4]) -> [f32; 4] {
    let mut out = [0.0; 4];
    unroll!(j < 4, of 4, {
        out[j] = g.fma((four[j] - mean) * factor, scale[j], shift[j]);
    });
    out
}

/// Gradients of [`layer_norm`] by `dy [rows, n]`: `dx [rows, n]`, and of scale and shift a part from each of [`PARTS`] blocks,
/// `partial [PARTS, 2, n]`, of the rows that the block's warps take in turns. Block `[_, y, _]` does columns
/// `y COLUMNS` and on; rows up to 1024 are read once.
#[inline(always)]
pub unsafe fn layer_norm_back<G: Gpu>(
    g: G,
    rows: u32,
    n: u32,
    x: *const f32,
    scale: *const f32,
    moments: *const f32,
    dy: *const f32,
    dx: *mut f32,
    partial: *mut f32,
) {
    back::<G, HELD>(g, rows, n, x, scale, moments, dy, dx, partial);
}

/// [`layer_norm_back`] of rows of at most [`NARROW`] numbers, with fewer registers and [`NARROW_PARTS`] blocks.
#[inline(always)]
pub unsafe fn layer_norm_back_narrow<G: Gpu>(
    g: G,
    rows: u32,
    n: u32,
    x: *const f32,
    scale: *const f32,
    moments: *const f32,
    dy: *const f32,
    dx: *mut f32,
    partial: *mut f32,
) {
    back::<G, 1>(g, rows, n, x, scale, moments, dy, dx, partial);
}

#[inline(always)]
unsafe fn back<G: Gpu, const N: usize>(
    g: G,
    rows: u32,
    n: u32,
    x: *const f32,
    scale: *const f32,
    moments: *const f32,
    dy: *const f32,
    dx: *mut f32,
    partial: *mut f32,
) {
    let columns = N as u32 * ACCESS;
    let own = g.block()[1] * columns;
    let first = own + 4 * g.lane();
    let (mut d_scale, mut d_shift) = ([[0.0f32; 4]; N], [[0.0f32; 4]; N]);
    let mut row = g.block()[0] * ROWS + g.warp();
    while row < rows {
        let start = row as usize * n as usize;
        let (x, dy, dx) = (x.add(start), dy.add(start), dx.add(start));
        let (mean, factor) = (g.load(moments.add(2 * row as usize)), g.load(moments.add(2 * row as usize + 1)));
        let (mut normal, mut slope) = ([[0.0f32; 4]; N], [[0.0f32; 4]; N]);
        unroll!(i < N, of 8, {
            normal[i] = row::four(g, x, n, first + i as u32 * ACCESS);
            slope[i] = row::four(g, dy, n, first + i as u32 * ACCESS);
        });
        // Sums of the gradient of the normalised numbers, and of its products with them.
        let (mut sum, mut products) = (0.0, 0.0);
        unroll!(i < N, of 8, {
            let scale = row::four(g, scale, n, first + i as u32 * ACCESS);
            unroll!(j < 4, of 4, {
                normal[i][j] = (normal[i][j] - mean) * factor;
                d_shift[i][j] += slope[i][j];
                d_scale[i][j] = g.fma(slope[i][j], normal[i][j], d_scale[i][j]);
                slope[i][j] *= scale[j];
                sum += slope[i][j];
                products = g.fma(slope[i][j], normal[i][j], products);
            });
        });
        let mut at = 4 * g.lane();
        while at < n {
            if at == first {
                at += columns;
                continue;
            }
            let (others, slopes) = (row::four(g, x, n, at), row::four(g, dy, n, at));
            let scale = row::four(g, scale, n, at);
            unroll!(j < 4, of 4, {
                let slope = slopes[j] * scale[j];
                sum += slope;
                products = g.fma(slope, (others[j] - mean) * factor, products);
            });
            at += ACCESS;
        }
        let sum = g.warp_sum(sum) / n as f32;
        let products = g.warp_sum(products) / n as f32;
        unroll!(i < N, of 8, {
            unroll!(j < 4, of 4, {
                slope[i][j] = factor * g.fma(-products, normal[i][j], slope[i][j] - sum);
            });
            row::set_four(g, dx, n, first + i as u32 * ACCESS, slope[i]);
        });
        row += g.blocks() * ROWS;
    }
    // Warp after warp adds its part, so that the order is fixed.
    let mut warp = 0;
    while warp < ROWS {
        if g.warp() == warp {
            unroll!(i < N, of 8, {
                let at = 4 * (i as u32 * ACCESS + 4 * g.lane());
                if warp > 0 {
                    let (before, shift) = (g.shared_f32x4(at), g.shared_f32x4(4 * columns + at));
                    unroll!(j < 4, of 4, {
                        d_scale[i][j] += before[j];
                        d_shift[i][j] += shift[j];
                    });
                }
                g.set_shared_f32x4(at, d_scale[i]);
                g.set_shared_f32x4(4 * columns + at, d_shift[i]);
            });
        }
        g.barrier();
        warp += 1;
    }
    let partial = partial.add(2 * g.block()[0] as usize * n as usize);
    let mut at = g.thread();
    while at < columns {
        if own + at < n {
            g.store(partial.add((own + at) as usize), g.shared_f32(4 * at));
            g.store(partial.add((n + own + at) as usize), g.shared_f32(4 * (columns + at)));
        }
        at += row::THREADS;
    }
}

/// The sums over `parts` of `partial [parts, 2, n]`: `first [n]` and `second [n]`. A block for [`SUMMED`] columns; its warps
/// take the parts in turns, and their sums are added in their order.
#[inline(always)]
pub unsafe fn norm_sums<G: Gpu>(g: G, parts: u32, n: u32, partial: *const f32, first: *mut f32, second: *mut f32) {
    let column = g.block()[0] * SUMMED + g.lane();
    let mut sum = 0.0;
    if column < 2 * n {
        let mut part = g.warp();
        while part < parts {
            sum += g.load(partial.add(part as usize * 2 * n as usize + column as usize));
            part += ROWS;
        }
    }
    g.set_shared_f32(4 * g.thread(), sum);
    g.barrier();
    if g.warp() == 0 && column < 2 * n {
        let mut sum = 0.0;
        let mut warp = 0;
        while warp < ROWS {
            sum += g.shared_f32(4 * (warp * SUMMED + g.lane()));
            warp += 1;
        }
        if column < n {
            g.store(first.add(column as usize), sum);
        } else {
            g.store(second.add((column - n) as usize), sum);
        }
    }
}

/// `y = x factor`, `factor = 1 / sqrt(mean of x x + epsilon)`, for each of `rows` rows of `n` numbers; `factors [rows]`
/// (Zhang and Sennrich, 2019). A warp a row.
#[inline(always)]
pub unsafe fn rms_norm<G: Gpu>(g: G, rows: u32, n: u32, epsilon: f32, x: *const f32, y: *mut f32, factors: *mut f32) {
    let row = g.block()[0] * ROWS + g.warp();
    if row >= rows {
        return;
    }
    let (x, y) = (x.add(row as usize * n as usize), y.add(row as usize * n as usize));
    let kept = row::hold(g, x, n);
    let mut squares = 0.0;
    unroll!(i < HELD, of 8, {
        squares = row::products(g, kept[i], kept[i], squares);
    });
    let mut at = row::rest(g, n);
    while at < n {
        let four = row::four(g, x, n, at);
        squares = row::products(g, four, four, squares);
        at += ACCESS;
    }
    let factor = 1.0 / g.sqrt(g.warp_sum(squares) / n as f32 + epsilon);
    unroll!(i < HELD, of 8, {
        if row::held(g, n, i) {
            let [a, b, c, d] = kept[i];
            row::set_four(g, y, n, 4 * g.lane() + i as u32 * ACCESS, [a * factor, b * factor, c * factor, d * factor]);
        }
    });
    let mut at = row::rest(g, n);
    while at < n {
        let [a, b, c, d] = row::four(g, x, n, at);
        row::set_four(g, y, n, at, [a * factor, b * factor, c * factor, d * factor]);
        at += ACCESS;
    }
    if g.lane() == 0 {
        g.store(factors.add(row as usize), factor);
    }
}

/// Adds the gradient of [`rms_norm`]'s input by `dy [rows, n]` to `dx [rows, n]`; `y` and `factors` are what it gave. A warp a
/// row.
#[inline(always)]
pub unsafe fn rms_norm_back<G: Gpu>(
    g: G,
    rows: u32,
    n: u32,
    y: *const f32,
    factors: *const f32,
    dy: *const f32,
    dx: *mut f32,
) {
    let row = g.block()[0] * ROWS + g.warp();
    if row >= rows {
        return;
    }
    let start = row as usize * n as usize;
    let (y, dy, dx) = (y.add(start), dy.add(start), dx.add(start));
    let factor = g.load(factors.add(row as usize));
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
    let mean = g.warp_sum(sum) / n as f32;
    unroll!(i < HELD, of 8, {
        if row::held(g, n, i) {
            add_rms_slope(g, kept[i], slopes[i], factor, mean, n, 4 * g.lane() + i as u32 * ACCESS, dx);
        }
    });
    let mut at = row::rest(g, n);
    while at < n {
        add_rms_slope(g, row::four(g, y, n, at), row::four(g, dy, n, at), factor, mean, n, at, dx);
        at += ACCESS;
    }
}

/// Adds four numbers of an RMS norm's gradient.
#[inline(always)]
unsafe fn add_rms_slope<G: Gpu>(
    g: G,
    y: [f32; 4],
    dy: [f32; 4],
    factor: f32,
    mean: f32,
    n: u32,
    at: u32,
    dx: *mut f32,
) {
    let mut sums = row::four(g, dx, n, at);
    unroll!(j < 4, of 4, {
        sums[j] = g.fma(factor, g.fma(-mean, y[j], dy[j]), sums[j]);
    });
    row::set_four(g, dx, n, at, sums);
}
