//! Products with a narrow matrix, of at most some tens of columns: the wide operand is read once for 16 of them.
//!
//! Rows are read 4 numbers at a time where their length is a multiple of 4, else one by one.

use crate::gpu::Gpu;

/// Columns of the narrow matrix that a block takes.
pub const NARROW: u32 = 16;

/// Threads of a block of [`narrow_product`].
pub const PRODUCT_THREADS: u32 = 128;
/// Rows of such a block: 8 a warp.
pub const PRODUCT_ROWS: u32 = PRODUCT_THREADS / 4;

/// Threads of a block of [`narrow_add`].
pub const ADD_THREADS: u32 = 128;
/// Rows of such a block.
pub const ADD_ROWS: u32 = 16;
/// Columns of such a block: 4 a thread.
pub const ADD_COLUMNS: u32 = 4 * ADD_THREADS;
/// Most columns of the narrow matrix there.
const ADD_RANK: u32 = 64;
/// Shared bytes there.
pub const ADD_SHARED: u32 = ADD_ROWS * ADD_RANK * 4;

/// Threads of a block of [`narrow_gradient`].
pub const GRADIENT_THREADS: u32 = 128;
/// Columns of such a block: 4 a thread.
pub const GRADIENT_COLUMNS: u32 = 4 * GRADIENT_THREADS;
/// Rows that such a block takes at a time.
pub const GRADIENT_ROWS: u32 = 16;
/// Shared bytes of such a block.
pub const GRADIENT_SHARED: u32 = GRADIENT_ROWS * NARROW * 4;

/// Threads of a block of [`narrow_sum`] and [`narrow_transpose`].
pub const SUM_THREADS: u32 = 256;

/// Numbers `i` to `i + 3` of a row of `n`, zeros behind its end; 16-byte reads need rows of whole fours.
#[inline(always)]
unsafe fn load4<G: Gpu>(g: G, row: *const f32, i: u32, n: u32) -> [f32; 4] {
    let mut four = [0.0f32; 4];
    if n.is_multiple_of(4) {
        if i < n {
            four = g.load_f32x4(row.add(i as usize));
        }
    } else {
        unroll!(k in [0 1 2 3] {
            if i + (k as u32) < n {
                four[k] = g.load(row.add(i as usize + k));
            }
        });
    }
    four
}

/// Likewise writes.
#[inline(always)]
unsafe fn store4<G: Gpu>(g: G, row: *mut f32, i: u32, n: u32, four: [f32; 4]) {
    if n.is_multiple_of(4) {
        if i < n {
            g.store_f32x4(row.add(i as usize), four);
        }
    } else {
        unroll!(k in [0 1 2 3] {
            if i + (k as u32) < n {
                g.store(row.add(i as usize + k), four[k]);
            }
        });
    }
}

/// `c [m, rank] = a [m, k] b^T`, `b [rank, k]`, f32. A warp has 8 rows and [`NARROW`] columns; its lanes share out the terms, 4
/// of every 128 each, and their sums are added as [`warp_sum`](Gpu::warp_sum) does. [`PRODUCT_THREADS`] threads; the grid is
/// `[m /` [`PRODUCT_ROWS`]`, rank /` [`NARROW`]`]`, rounded up.
#[inline(always)]
pub unsafe fn narrow_product<G: Gpu>(g: G, m: u32, k: u32, rank: u32, a: *const f32, b: *const f32, c: *mut f32) {
    let row = g.block()[0] * PRODUCT_ROWS + g.warp() * 8;
    let first = g.block()[1] * NARROW;
    let mut sums = [[0.0f32; 16]; 8];
    let mut from = 0;
    while from < k {
        let at = from + g.lane() * 4;
        let mut left = [[0.0f32; 4]; 8];
        unroll!(i in [0 1 2 3 4 5 6 7] {
            if row + (i as u32) < m {
                left[i] = load4(g, a.add((row as usize + i) * k as usize), at, k);
            }
        });
        unroll!(j in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] {
            if first + (j as u32) < rank {
                let right = load4(g, b.add((first as usize + j) * k as usize), at, k);
                unroll!(i in [0 1 2 3 4 5 6 7] {
                    unroll!(l in [0 1 2 3] { sums[i][j] = g.fma(left[i][l], right[l], sums[i][j]); });
                });
            }
        });
        from += 128;
    }
    unroll!(i in [0 1 2 3 4 5 6 7] {
        let mut mine = 0.0;
        unroll!(j in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] {
            if first + (j as u32) < rank {
                let sum = g.warp_sum(sums[i][j]);
                mine = if g.lane() == j as u32 { sum } else { mine };
            }
        });
        let column = first + g.lane();
        if row + (i as u32) < m && g.lane() < NARROW && column < rank {
            g.store(c.add((row as usize + i) * rank as usize + column as usize), mine);
        }
    });
}

/// `y [m, n] += scale a b`, `a [m, rank]`, `b [rank, n]`, f32, `rank` to 64, terms in their order. A thread has
/// [`ADD_ROWS`] rows of 4 columns. [`ADD_THREADS`] threads, [`ADD_SHARED`] bytes; the grid is `[m /` [`ADD_ROWS`]`, n /`
/// [`ADD_COLUMNS`]`]`, rounded up.
#[inline(always)]
pub unsafe fn narrow_add<G: Gpu>(
    g: G,
    m: u32,
    n: u32,
    rank: u32,
    scale: f32,
    a: *const f32,
    b: *const f32,
    y: *mut f32,
) {
    let row = g.block()[0] * ADD_ROWS;
    let column = g.block()[1] * ADD_COLUMNS + g.thread() * 4;
    let mut at = g.thread();
    while at < ADD_ROWS * ADD_RANK {
        let (i, j) = (row + at / ADD_RANK, at % ADD_RANK);
        let value = if i < m && j < rank { g.load(a.add(i as usize * rank as usize + j as usize)) } else { 0.0 };
        g.set_shared_f32(at * 4, scale * value);
        at += ADD_THREADS;
    }
    let mut sums = [[0.0f32; 4]; 16];
    unroll!(i in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] {
        if row + (i as u32) < m {
            sums[i] = load4(g, y.add((row as usize + i) * n as usize).cast_const(), column, n);
        }
    });
    g.barrier();
    let mut j = 0;
    while j < rank {
        let mut right = [[0.0f32; 4]; 4];
        unroll!(l in [0 1 2 3] {
            if j + (l as u32) < rank {
                right[l] = load4(g, b.add((j as usize + l) * n as usize), column, n);
            }
        });
        unroll!(i in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] {
            let left = g.shared_f32x4((i as u32 * ADD_RANK + j) * 4);
            unroll!(l in [0 1 2 3] {
                unroll!(k in [0 1 2 3] { sums[i][k] = g.fma(left[l], right[l][k], sums[i][k]); });
            });
        });
        j += 4;
    }
    unroll!(i in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] {
        if row + (i as u32) < m {
            store4(g, y.add((row as usize + i) * n as usize), column, n, sums[i]);
        }
    });
}

/// `parts [blocks, rank, n]`: of `share` rows, a multiple of [`GRADIENT_ROWS`], for each block along the second dimension of the
/// grid: `a^T x`, `a [m, rank]`, `x [m, n]`, f32, rows in their order. A thread has 4 columns of `x` and [`NARROW`] of `a`.
/// [`GRADIENT_THREADS`] threads, [`GRADIENT_SHARED`] bytes; the grid is `[n /` [`GRADIENT_COLUMNS`]`, m / share, rank /`
/// [`NARROW`]`]`, rounded up.
#[inline(always)]
pub unsafe fn narrow_gradient<G: Gpu>(
    g: G,
    m: u32,
    n: u32,
    rank: u32,
    share: u32,
    a: *const f32,
    x: *const f32,
    parts: *mut f32,
) {
    let [block, part, narrow] = g.block();
    let column = block * GRADIENT_COLUMNS + g.thread() * 4;
    let first = narrow * NARROW;
    let mut row = part * share;
    let end = if m - row < share { m } else { row + share };
    let mut sums = [[0.0f32; 4]; 16];
    while row < end {
        let mut right = [[0.0f32; 4]; 16];
        unroll!(i in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] {
            if row + (i as u32) < end {
                right[i] = load4(g, x.add((row as usize + i) * n as usize), column, n);
            }
        });
        let mut at = g.thread();
        while at < GRADIENT_ROWS * NARROW {
            let (i, j) = (row + at / NARROW, first + at % NARROW);
            let value = if i < end && j < rank { g.load(a.add(i as usize * rank as usize + j as usize)) } else { 0.0 };
            g.set_shared_f32(at * 4, value);
            at += GRADIENT_THREADS;
        }
        g.barrier();
        unroll!(i in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] {
            unroll!(quad in [0 1 2 3] {
                let left = g.shared_f32x4((i as u32 * NARROW + quad as u32 * 4) * 4);
                unroll!(j in [0 1 2 3] {
                    unroll!(k in [0 1 2 3] {
                        sums[quad * 4 + j][k] = g.fma(left[j], right[i][k], sums[quad * 4 + j][k]);
                    });
                });
            });
        });
        g.barrier();
        row += GRADIENT_ROWS;
    }
    unroll!(j in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] {
        if first + (j as u32) < rank {
            let to = (part as usize * rank as usize + first as usize + j) * n as usize;
            store4(g, parts.add(to), column, n, sums[j]);
        }
    });
}

/// `to(j, i) = scale` times the sum over the parts of `parts [count, rank, n]`, in their order; `to(j, i)` stands at
/// `j to_row + i to_column`. [`SUM_THREADS`] threads, a number each.
#[inline(always)]
pub unsafe fn narrow_sum<G: Gpu>(
    g: G,
    rank: u32,
    n: u32,
    count: u32,
    scale: f32,
    parts: *const f32,
    to: *mut f32,
    to_row: u32,
    to_column: u32,
) {
    let at = g.block()[0] * SUM_THREADS + g.thread();
    if at < rank * n {
        let mut sum = 0.0;
        let mut part = 0;
        while part < count {
            sum += g.load(parts.add(part as usize * (rank * n) as usize + at as usize));
            part += 1;
        }
        g.store(to.add((at / n * to_row + at % n * to_column) as usize), scale * sum);
    }
}

/// `to [columns, rows]`: `from [rows, columns]`, transposed. [`SUM_THREADS`] threads, a number each.
#[inline(always)]
pub unsafe fn narrow_transpose<G: Gpu>(g: G, rows: u32, columns: u32, from: *const f32, to: *mut f32) {
    let at = g.block()[0] * SUM_THREADS + g.thread();
    if at < rows * columns {
        g.store(to.add(at as usize), g.load(from.add((at % rows * columns + at / rows) as usize)));
    }
}
