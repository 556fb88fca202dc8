//! Sums and maxima.

use crate::gpu::Gpu;

/// Threads of a block that reduces a vector.
pub const THREADS: u32 = 256;
/// Blocks that reduce a vector, and so many partial results: four for each of the 132 multiprocessors of an H100.
pub const BLOCKS: u32 = 528;
/// Shared bytes: one number a warp.
pub const SHARED: u32 = THREADS / 32 * 4;
/// Rows that a block of [`row_sums`] sums, one a warp.
pub const ROWS: u32 = 8;
/// Threads of a block of [`column_sums`].
pub const COLUMN_THREADS: u32 = 512;
/// Columns of a block of [`column_sums`]: four a thread, so that rows are read by 64 bytes.
pub const COLUMNS: u32 = 16;
/// Rows that are read side by side: threads by fours of columns.
const LINES: u32 = COLUMN_THREADS / (COLUMNS / 4);
/// Shared bytes of [`column_sums`].
pub const COLUMN_SHARED: u32 = COLUMN_THREADS * 16;

/// How numbers are put together.
trait Fold {
    const START: f32;
    /// Takes one number in.
    fn add<G: Gpu>(g: G, sum: f32, x: f32) -> f32;
    /// Puts two results together.
    fn join(a: f32, b: f32) -> f32;
    /// Collective: puts the results of a warp together, the same in every lane.
    fn warp<G: Gpu>(g: G, sum: f32) -> f32;
}

struct Sum;

impl Fold for Sum {
    const START: f32 = 0.0;
    #[inline(always)]
    fn add<G: Gpu>(_: G, sum: f32, x: f32) -> f32 {
        sum + x
    }
    #[inline(always)]
    fn join(a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    fn warp<G: Gpu>(g: G, sum: f32) -> f32 {
        g.warp_sum(sum)
    }
}

struct Squares;

impl Fold for Squares {
    const START: f32 = 0.0;
    #[inline(always)]
    fn add<G: Gpu>(g: G, sum: f32, x: f32) -> f32 {
        g.fma(x, x, sum)
    }
    #[inline(always)]
    fn join(a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    fn warp<G: Gpu>(g: G, sum: f32) -> f32 {
        g.warp_sum(sum)
    }
}

struct Max;

impl Fold for Max {
    const START: f32 = f32::NEG_INFINITY;
    #[inline(always)]
    fn add<G: Gpu>(_: G, max: f32, x: f32) -> f32 {
        if x > max { x } else { max }
    }
    #[inline(always)]
    fn join(a: f32, b: f32) -> f32 {
        if b > a { b } else { a }
    }
    #[inline(always)]
    fn warp<G: Gpu>(g: G, max: f32) -> f32 {
        g.warp_max(max)
    }
}

/// What thread `thread` of `threads` has of `x[0..n]`: fours, four of them under way at a time, then what no four has.
#[inline(always)]
unsafe fn share<G: Gpu, F: Fold>(g: G, n: u32, x: *const f32, thread: u32, threads: u32) -> f32 {
    let (n, thread, threads) = (n as usize, thread as usize, threads as usize);
    let fours = if (x as usize).is_multiple_of(16) { n / 4 } else { 0 };
    let mut sums = [[F::START; 4]; 4];
    let mut i = thread;
    while i + 3 * threads < fours {
        let mut read = [[0.0; 4]; 4];
        let mut j = 0;
        while j < 4 {
            read[j] = g.load_f32x4(x.add(4 * (i + j * threads)));
            j += 1;
        }
        j = 0;
        while j < 4 {
            sums[j] = add_four::<G, F>(g, sums[j], read[j]);
            j += 1;
        }
        i += 4 * threads;
    }
    while i < fours {
        sums[0] = add_four::<G, F>(g, sums[0], g.load_f32x4(x.add(4 * i)));
        i += threads;
    }
    i = 4 * fours + thread;
    while i < n {
        sums[0][0] = F::add(g, sums[0][0], g.load(x.add(i)));
        i += threads;
    }
    let all = [join_four::<F>(sums[0]), join_four::<F>(sums[1]), join_four::<F>(sums[2]), join_four::<F>(sums[3])];
    join_four::<F>(all)
}

#[inline(always)]
fn add_four<G: Gpu, F: Fold>(g: G, sum: [f32; 4], x: [f32; 4]) -> [f32; 4] {
    [F::add(g, sum[0], x[0]), F::add(g, sum[1], x[1]), F::add(g, sum[2], x[2]), F::add(g, sum[3], x[3])]
}

#[inline(always)]
fn join_four<F: Fold>(x: [f32; 4]) -> f32 {
    F::join(F::join(x[0], x[1]), F::join(x[2], x[3]))
}

#[inline(always)]
unsafe fn reduce<G: Gpu, F: Fold>(g: G, n: u32, blocks: u32, x: *const f32, out: *mut f32) {
    let block = g.block()[0];
    let own = F::warp(g, share::<G, F>(g, n, x, block * THREADS + g.thread(), blocks * THREADS));
    if g.lane() == 0 {
        g.set_shared_f32(4 * g.warp(), own);
    }
    g.barrier();
    if g.thread() == 0 {
        let (mut all, mut warp) = (g.shared_f32(0), 1);
        while warp < THREADS / 32 {
            all = F::join(all, g.shared_f32(4 * warp));
            warp += 1;
        }
        g.store(out.add(block as usize), all);
    }
}

/// `out[block]` = the sum of what the block's threads have of `x[0..n]`, f32, for so many `blocks`; their sum is that of one
/// block that is given `out`.
#[inline(always)]
pub unsafe fn reduce_sum<G: Gpu>(g: G, n: u32, blocks: u32, x: *const f32, out: *mut f32) {
    reduce::<G, Sum>(g, n, blocks, x, out);
}

/// As [`reduce_sum`], of squares; the results are to be summed.
#[inline(always)]
pub unsafe fn reduce_squares<G: Gpu>(g: G, n: u32, blocks: u32, x: *const f32, out: *mut f32) {
    reduce::<G, Squares>(g, n, blocks, x, out);
}

/// As [`reduce_sum`], the largest; minus infinity of nothing.
#[inline(always)]
pub unsafe fn reduce_max<G: Gpu>(g: G, n: u32, blocks: u32, x: *const f32, out: *mut f32) {
    reduce::<G, Max>(g, n, blocks, x, out);
}

/// `out[i]` = the sum of row `i` of `x [rows, columns]`, f32; a warp sums a row.
#[inline(always)]
pub unsafe fn row_sums<G: Gpu>(g: G, rows: u32, columns: u32, x: *const f32, out: *mut f32) {
    let row = g.block()[0] * ROWS + g.warp();
    if row < rows {
        let from = x.add(row as usize * columns as usize);
        let sum = Sum::warp(g, share::<G, Sum>(g, columns, from, g.lane(), 32));
        if g.lane() == 0 {
            g.store(out.add(row as usize), sum);
        }
    }
}

/// `out[j]` = the sum of column `j` of `x [rows, columns]`, f32. A block sums [`COLUMNS`] columns: a thread four of them in
/// every `LINES`-th row, and of these results halves are added to halves.
#[inline(always)]
pub unsafe fn column_sums<G: Gpu>(g: G, rows: u32, columns: u32, x: *const f32, out: *mut f32) {
    let (thread, line) = (g.thread(), g.thread() / (COLUMNS / 4));
    let column = g.block()[0] * COLUMNS + thread % (COLUMNS / 4) * 4;
    let wide = columns.is_multiple_of(4) && (x as usize).is_multiple_of(16);
    let (rows, step) = (rows as usize, LINES as usize);
    let at = |row: usize| x.wrapping_add(row * columns as usize + column as usize);
    let mut sums = [[0.0; 4]; 4];
    let mut row = line as usize;
    if wide && column < columns {
        while row + 3 * step < rows {
            let mut read = [[0.0; 4]; 4];
            let mut j = 0;
            while j < 4 {
                read[j] = g.load_f32x4(at(row + j * step));
                j += 1;
            }
            j = 0;
            while j < 4 {
                sums[j] = add_four::<G, Sum>(g, sums[j], read[j]);
                j += 1;
            }
            row += 4 * step;
        }
    }
    while row < rows {
        let mut j = 0;
        while j < 4 {
            if column + j < columns {
                sums[0][j as usize] += g.load(at(row).add(j as usize));
            }
            j += 1;
        }
        row += step;
    }
    let add = |a: [f32; 4], b: [f32; 4]| add_four::<G, Sum>(g, a, b);
    let mut own = add(add(sums[0], sums[1]), add(sums[2], sums[3]));
    g.set_shared_f32x4(16 * thread, own);
    let mut lines = LINES / 2;
    while lines > 0 {
        g.barrier();
        if line < lines {
            own = add(own, g.shared_f32x4(16 * (thread + lines * (COLUMNS / 4))));
            g.set_shared_f32x4(16 * thread, own);
        }
        lines /= 2;
    }
    if line == 0 {
        let mut j = 0;
        while j < 4 {
            if column + j < columns {
                g.store(out.add((column + j) as usize), own[j as usize]);
            }
            j += 1;
        }
    }
}
