//! Rows of numbers, a warp each: what the kernels that go along rows share.
//!
//! A lane has four neighbouring numbers at a time, an *access* of the warp is [`ACCESS`] of them. The first [`HELD`] accesses
//! of a row stay in registers where rows are aligned to 16 bytes; what is behind them is read again in each pass.

use crate::gpu::Gpu;

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Rows that a block has in hand: a warp each.
pub const ROWS: u32 = THREADS / 32;
/// Numbers of a row that one access of a warp takes: four a lane.
pub const ACCESS: u32 = 128;
/// Accesses that are kept: rows up to 1024 numbers are read once.
pub const HELD: usize = 8;

/// What is kept of a row.
pub type Held = [[f32; 4]; HELD];

/// The lane's first number that [`hold`] does not keep.
#[inline(always)]
pub fn rest<G: Gpu>(g: G, n: u32) -> u32 {
    4 * g.lane() + if n & 3 == 0 { HELD as u32 * ACCESS } else { 0 }
}

/// Whether access `i` of those that are kept has numbers of the lane.
#[inline(always)]
pub fn held<G: Gpu>(g: G, n: u32, i: usize) -> bool {
    n & 3 == 0 && i as u32 * ACCESS + 4 * g.lane() < n
}

/// Reads what is kept of a row of `n` numbers; zeros where there are none.
#[inline(always)]
pub unsafe fn hold<G: Gpu>(g: G, row: *const f32, n: u32) -> Held {
    let mut kept = [[0.0; 4]; HELD];
    unroll!(i < HELD, of 8, {
        if held(g, n, i) {
            kept[i] = g.load_f32x4(row.add((4 * g.lane()) as usize + i * ACCESS as usize));
        }
    });
    kept
}

/// The four numbers of a row of `n` from number `at` on, zeros behind its end.
#[inline(always)]
pub unsafe fn four<G: Gpu>(g: G, row: *const f32, n: u32, at: u32) -> [f32; 4] {
    let mut numbers = [0.0; 4];
    if n & 3 == 0 {
        if at < n {
            numbers = g.load_f32x4(row.add(at as usize));
        }
    } else {
        unroll!(j < 4, of 4, {
            if at + (j as u32) < n {
                numbers[j] = g.load(row.add(at as usize + j));
            }
        });
    }
    numbers
}

/// Writes what [`four`] reads.
#[inline(always)]
pub unsafe fn set_four<G: Gpu>(g: G, row: *mut f32, n: u32, at: u32, numbers: [f32; 4]) {
    if n & 3 == 0 {
        if at < n {
            g.store_f32x4(row.add(at as usize), numbers);
        }
    } else {
        unroll!(j < 4, of 4, {
            if at + (j as u32) < n {
                g.store(row.add(at as usize + j), numbers[j]);
            }
        });
    }
}

/// `sum` and the products of four numbers each.
#[inline(always)]
pub fn products<G: Gpu>(g: G, a: [f32; 4], b: [f32; 4], sum: f32) -> f32 {
    g.fma(a[3], b[3], g.fma(a[2], b[2], g.fma(a[1], b[1], g.fma(a[0], b[0], sum))))
}
