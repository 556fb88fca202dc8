//! Products of matrices.

use crate::gpu::Gpu;

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Rows and columns of a tile.
pub const TILE: u32 = 64;
/// Terms that are summed at a time.
const DEPTH: u32 = 16;
/// Shared bytes.
pub const SHARED: u32 = 2 * TILE * DEPTH * 4;

/// `c [m, n]` = the sum over k of `a(i, k) b(k, j)`, f32, terms in their order; `a(i, k)` stands at `i a_row + k a_column`,
/// `b(k, j)` at `k b_row + j b_column`.
#[inline(always)]
pub unsafe fn matmul_f32<G: Gpu>(
    g: G,
    m: u32,
    n: u32,
    k: u32,
    a: *const f32,
    a_row: u32,
    a_column: u32,
    b: *const f32,
    b_row: u32,
    b_column: u32,
    c: *mut f32,
) {
    let thread = g.thread();
    let (column, row) = (thread & 15, thread >> 4);
    let [block_column, block_row, _] = g.block();
    let (row0, column0) = (block_row * TILE, block_column * TILE);
    let right = TILE * DEPTH * 4;
    let mut sums = [[0.0f32; 4]; 4];
    let mut k0 = 0;
    while k0 < k {
        let mut part = 0;
        while part < 4 {
            let at = thread + part * THREADS;
            let (depth, edge) = (at / TILE, at % TILE);
            let (i, j, l) = (row0 + edge, column0 + edge, k0 + depth);
            let value = if i < m && l < k { g.load(a.add((i * a_row + l * a_column) as usize)) } else { 0.0 };
            g.set_shared_f32(at * 4, value);
            let value = if j < n && l < k { g.load(b.add((l * b_row + j * b_column) as usize)) } else { 0.0 };
            g.set_shared_f32(right + at * 4, value);
            part += 1;
        }
        g.barrier();
        let mut depth = 0;
        while depth < DEPTH {
            let left = g.shared_f32x4((depth * TILE + row * 4) * 4);
            let top = g.shared_f32x4(right + (depth * TILE + column * 4) * 4);
            let mut i = 0;
            while i < 4 {
                let mut j = 0;
                while j < 4 {
                    sums[i][j] = g.fma(left[i], top[j], sums[i][j]);
                    j += 1;
                }
                i += 1;
            }
            depth += 1;
        }
        g.barrier();
        k0 += DEPTH;
    }
    let mut i = 0;
    while i < 4 {
        let mut j = 0;
        while j < 4 {
            let (to_row, to_column) = (row0 + row * 4 + i, column0 + column * 4 + j);
            if to_row < m && to_column < n {
                g.store(c.add((to_row * n + to_column) as usize), sums[i as usize][j as usize]);
            }
            j += 1;
        }
        i += 1;
    }
}
