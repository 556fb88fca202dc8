//! What a GPU can do at best: copies and chains of operations that nothing holds up, to measure other kernels by.

use crate::gpu::Gpu;

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Fours that a thread copies.
pub const FOURS: u32 = 4;
/// Chains that a thread of [`ceiling_fma`] keeps going, and multiply-adds of each in a round.
pub const FMA_CHAINS: u32 = 16;
/// Multiply-adds of each chain in a round.
pub const FMA_LENGTH: u32 = 8;
/// Chains that a warp of [`ceiling_bf16`] or [`ceiling_i8`] keeps going; one product of each in a round.
pub const MMA_CHAINS: u32 = 8;

/// Copies `fours` times 16 bytes.
#[inline(always)]
pub unsafe fn ceiling_copy<G: Gpu>(g: G, fours: u32, from: *const u32, to: *mut u32) {
    let first = g.block()[0] as usize * (THREADS * FOURS) as usize + g.thread() as usize;
    let at = |i: usize| first + i * THREADS as usize;
    let mut read = [[0; 4]; FOURS as usize];
    let mut i = 0;
    while i < FOURS as usize {
        if at(i) < fours as usize {
            read[i] = g.load_quad(from.add(4 * at(i)));
        }
        i += 1;
    }
    i = 0;
    while i < FOURS as usize {
        if at(i) < fours as usize {
            g.store_quad(to.add(4 * at(i)), read[i]);
        }
        i += 1;
    }
}

/// `rounds` rounds of multiply-adds `x = x a + b` in every thread of `blocks` blocks: [`FMA_CHAINS`] chains, chain `i` begun at
/// thread + i, [`FMA_LENGTH`] of each in a round. `out[thread of the grid]` = the sum of the chains.
#[inline(always)]
pub unsafe fn ceiling_fma<G: Gpu>(g: G, blocks: u32, rounds: u32, a: f32, b: f32, out: *mut f32) {
    let _ = blocks;
    let mut x = [0.0; FMA_CHAINS as usize];
    let mut i = 0;
    while i < FMA_CHAINS as usize {
        x[i] = (g.thread() + i as u32) as f32;
        i += 1;
    }
    let mut round = 0;
    while round < rounds {
        unroll!(_step in [0 1 2 3 4 5 6 7] {
            i = 0;
            while i < FMA_CHAINS as usize {
                x[i] = g.fma(x[i], a, b);
                i += 1;
            }
        });
        round += 1;
    }
    let mut sum = 0.0;
    i = 0;
    while i < FMA_CHAINS as usize {
        sum += x[i];
        i += 1;
    }
    g.store(out.add((g.block()[0] * THREADS + g.thread()) as usize), sum);
}

/// Bits of small numbers, another in every lane: tensor cores are slower where bits change.
#[inline(always)]
fn operand<G: Gpu>(g: G, i: u32, bits: u32) -> u32 {
    g.lane().wrapping_mul(0x9e37_79b1).wrapping_add(i.wrapping_mul(0x85eb_ca6b)) & bits
}

/// `rounds` rounds of products of tensor cores in bfloat16 in every warp of `blocks` blocks: [`MMA_CHAINS`] chains, a product
/// in each and round. `out[thread of the grid]` = the sum of the chains' first numbers.
#[inline(always)]
pub unsafe fn ceiling_bf16<G: Gpu>(g: G, blocks: u32, rounds: u32, out: *mut f32) {
    let _ = blocks;
    // Numbers of 1 to 2, or minus them.
    let of = |i: u32| operand(g, i, 0x807f_807f) | 0x3f80_3f80;
    let (a, b) = ([of(0), of(1), of(2), of(3)], [of(4), of(5)]);
    let mut sums = [[0.0; 4]; MMA_CHAINS as usize];
    let mut round = 0;
    while round < rounds {
        unroll!(i in [0 1 2 3 4 5 6 7] {
            sums[i] = g.mma_bf16(a, b, sums[i]);
        });
        round += 1;
    }
    let (mut sum, mut i) = (0.0, 0);
    while i < MMA_CHAINS as usize {
        sum += sums[i][0];
        i += 1;
    }
    g.store(out.add((g.block()[0] * THREADS + g.thread()) as usize), sum);
}

/// As [`ceiling_bf16`], of signed bytes; sums wrap.
#[inline(always)]
pub unsafe fn ceiling_i8<G: Gpu>(g: G, blocks: u32, rounds: u32, out: *mut i32) {
    let _ = blocks;
    let of = |i: u32| operand(g, i, u32::MAX);
    let (a, b) = ([of(0), of(1), of(2), of(3)], [of(4), of(5)]);
    let mut sums = [[0; 4]; MMA_CHAINS as usize];
    let mut round = 0;
    while round < rounds {
        unroll!(i in [0 1 2 3 4 5 6 7] {
            sums[i] = g.mma_i8(a, b, sums[i]);
        });
        round += 1;
    }
    let (mut sum, mut i) = (0i32, 0);
    while i < MMA_CHAINS as usize {
        sum = sum.wrapping_add(sums[i][0]);
        i += 1;
    }
    g.store(out.add((g.block()[0] * THREADS + g.thread()) as usize), sum);
}
