//! Products of tiles in shared memory on tensor cores.
//!
//! A tile has rows of `8 W` numbers in bfloat16, [`stride`] bytes apart, so that the eight rows of a matrix that `ldmatrix`
//! reads lie in different banks. Results stand in registers as `mma.m16n8k16` spreads them: of a matrix of 8 columns, a lane
//! has columns `2 (lane % 4)` and the next of row `lane / 4` and of the row 8 below.

use crate::gpu::Gpu;

/// Bytes from a row of a tile to the next.
pub const fn stride(w: usize) -> u32 {
    16 * w as u32 + 16
}

/// Where row `row` of a tile stands whose rows are the columns of results that [`rows_by_rows`] makes, so that a lane has four
/// neighbours: those from `16 i + 4 (lane % 4)` on are in matrices `2 i` and `2 i + 1`, two each.
#[inline(always)]
fn spread(row: u32) -> u32 {
    row & !15 | (row & 2) << 2 | (row & 12) >> 1 | row & 1
}

/// Starts to copy rows `first` to `first + rows - 1` of `from [len, width]`, bfloat16, into the tile at `to`; zeros beyond the
/// matrix. `width` is a multiple of 8, at most `8 W`. Rows go where `spread` puts them with `SPREAD`. All threads of the block
/// share the work.
#[inline(always)]
pub unsafe fn stage<G: Gpu, const W: usize, const SPREAD: bool>(
    g: G,
    to: u32,
    rows: u32,
    from: *const u16,
    first: u32,
    len: u32,
    width: u32,
) {
    let mut at = g.thread();
    while at < rows * W as u32 {
        let (row, eight) = (at / W as u32, at % W as u32);
        let to = to + if SPREAD { spread(row) } else { row } * stride(W) + 16 * eight;
        let from = from.wrapping_add((first + row) as usize * width as usize + 8 * eight as usize);
        g.copy_or_zero(to, from.cast(), first + row < len && 8 * eight < width);
        at += g.threads();
    }
}

/// [`stage`] of two matrices that are alike, one tile behind the other.
#[inline(always)]
pub unsafe fn stage_two<G: Gpu, const W: usize, const SPREAD: bool>(
    g: G,
    to: u32,
    rows: u32,
    [from, other]: [*const u16; 2],
    first: u32,
    len: u32,
    width: u32,
) {
    stage::<G, W, SPREAD>(g, to, rows, from, first, len, width);
    stage::<G, W, SPREAD>(g, to + rows * stride(W), rows, other, first, len, width);
}

/// Collective: `sums += left right^T`; `left` the warp's first of `16 M` rows, `right` a tile of `8 N` rows.
#[inline(always)]
pub unsafe fn rows_by_rows<G: Gpu, const W: usize, const M: usize, const N: usize>(
    g: G,
    left: u32,
    right: u32,
    sums: &mut [[[f32; 4]; N]; M],
) {
    let lane = g.lane();
    let left = left + (lane & 15) * stride(W) + 16 * (lane >> 4);
    let right = right + ((lane & 7) + 8 * (lane >> 4)) * stride(W) + 16 * (lane >> 3 & 1);
    let mut k = 0;
    while k < W as u32 / 2 {
        let mut a = [[0; 4]; M];
        unroll!(m < M, of 2, {
            a[m] = g.load_matrices(left + m as u32 * 16 * stride(W) + 32 * k);
        });
        unroll!(n < N / 2, of 4, {
            let b = g.load_matrices(right + n as u32 * 16 * stride(W) + 32 * k);
            unroll!(m < M, of 2, {
                sums[m][2 * n] = g.mma_bf16(a[m], [b[0], b[1]], sums[m][2 * n]);
                sums[m][2 * n + 1] = g.mma_bf16(a[m], [b[2], b[3]], sums[m][2 * n + 1]);
            });
        });
        k += 1;
    }
}

/// Collective: `sums += left right`; `left` as it came out of [`rows_by_rows`], rounded to bfloat16; `right` a tile of `8 N`
/// rows.
#[inline(always)]
pub unsafe fn registers_by_columns<G: Gpu, const W: usize, const M: usize, const N: usize>(
    g: G,
    left: &[[[f32; 4]; N]; M],
    right: u32,
    sums: &mut [[[f32; 4]; W]; M],
) {
    let lane = g.lane();
    let right = right + (lane & 15) * stride(W) + 16 * (lane >> 4);
    unroll!(k < N / 2, of 4, {
        let mut a = [[0; 4]; M];
        unroll!(m < M, of 2, {
            let (first, second) = (left[m][2 * k], left[m][2 * k + 1]);
            a[m] = [
                g.pack_bf16(first[0], first[1]),
                g.pack_bf16(first[2], first[3]),
                g.pack_bf16(second[0], second[1]),
                g.pack_bf16(second[2], second[3]),
            ];
        });
        unroll!(n < W / 2, of 8, {
            let b = g.load_matrices_transposed(right + k as u32 * 16 * stride(W) + 32 * n as u32);
            unroll!(m < M, of 2, {
                sums[m][2 * n] = g.mma_bf16(a[m], [b[0], b[1]], sums[m][2 * n]);
                sums[m][2 * n + 1] = g.mma_bf16(a[m], [b[2], b[3]], sums[m][2 * n + 1]);
            });
        });
    });
}
