//! Vectors.

use crate::gpu::Gpu;

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Shared bytes of a sum: one number a warp.
pub const SUM_SHARED: u32 = THREADS / 32 * 4;

/// `y[i] += a x[i]` for `i < n`, f32, rounded once.
#[inline(always)]
pub unsafe fn scaled_add<G: Gpu>(g: G, n: u32, a: f32, x: *const f32, y: *mut f32) {
    let i = g.block()[0] * g.threads() + g.thread();
    if i < n {
        let i = i as usize;
        g.store(y.add(i), g.fma(a, g.load(x.add(i)), g.load(y.add(i))));
    }
}

/// Collective of the block: the sum over all its threads, in every thread. Takes 4 shared bytes a warp from `at` on; a barrier
/// has to stand between two calls with the same place.
#[inline(always)]
pub unsafe fn block_sum<G: Gpu>(g: G, value: f32, at: u32) -> f32 {
    let sum = g.warp_sum(value);
    if g.lane() == 0 {
        g.set_shared_f32(at + 4 * g.warp(), sum);
    }
    g.barrier();
    let mut sum = 0.0;
    let mut warp = 0;
    while warp < g.threads() >> 5 {
        sum += g.shared_f32(at + 4 * warp);
        warp += 1;
    }
    sum
}
