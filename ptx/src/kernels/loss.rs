//! Losses.

use crate::gpu::Gpu;

/// Threads of a block: a warp for each row.
pub const THREADS: u32 = 256;
/// Rows of a block.
pub const ROWS: u32 = THREADS / 32;
/// Classes that [`softmax_cross_entropy_narrow`] takes at most.
pub const NARROW: u32 = 256;

/// Softmax cross-entropy of `n` rows, forward and back, f32: `logits [n, classes]`, at most 1024 classes, `targets [n]`;
/// `costs [n]` in nats, `right [n]` 1 where the target's logit is the largest (of equal ones the first is), else 0,
/// `d_logits [n, classes]`: softmax less one at the target. A lane holds 4 of every 128 logits in registers, so that they are
/// read once. The matrices are aligned to 16 bytes. [`THREADS`] threads, a block for every [`ROWS`] rows.
#[inline(always)]
pub unsafe fn softmax_cross_entropy<G: Gpu>(
    g: G,
    n: u32,
    classes: u32,
    logits: *const f32,
    targets: *const u8,
    costs: *mut f32,
    right: *mut u32,
    d_logits: *mut f32,
) {
    rows::<G, 8>(g, n, classes, logits, targets, costs, right, d_logits);
}

/// [`softmax_cross_entropy`] of at most [`NARROW`] classes, bit for bit, with a quarter of the registers for logits.
#[inline(always)]
pub unsafe fn softmax_cross_entropy_narrow<G: Gpu>(
    g: G,
    n: u32,
    classes: u32,
    logits: *const f32,
    targets: *const u8,
    costs: *mut f32,
    right: *mut u32,
    d_logits: *mut f32,
) {
    rows::<G, 2>(g, n, classes, logits, targets, costs, right, d_logits);
}

/// At most 128 `N` classes.
#[inline(always)]
unsafe fn rows<G: Gpu, const N: usize>(
    g: G,
    n: u32,
    classes: u32,
    logits: *const f32,
    targets: *const u8,
    costs: *mut f32,
    right: *mut u32,
    d_logits: *mut f32,
) {
    let row = (g.block()[0] * ROWS + g.warp()) as usize;
    // The same in all lanes of a warp.
    if row >= n as usize {
        return;
    }
    let (logits, d_logits) = (logits.add(row * classes as usize), d_logits.add(row * classes as usize));
    let target = u32::from(g.load(targets.add(row)));
    let aligned = classes.is_multiple_of(4);
    let mut values = [[f32::NEG_INFINITY; 4]; N];
    unroll!(i < N, of 8, {
        let class = (i as u32 * 32 + g.lane()) * 4;
        if aligned && class < classes {
            values[i] = g.load_f32x4(logits.add(class as usize));
        } else if !aligned {
            unroll!(j < 4, of 4, {
                if class + (j as u32) < classes {
                    values[i][j] = g.load(logits.add(class as usize + j));
                }
            });
        }
    });
    let mut most = values[0][0];
    unroll!(i < N, of 8, {
        unroll!(j < 4, of 4, { most = if values[i][j] > most { values[i][j] } else { most }; });
    });
    let most = g.warp_max(most);
    let (mut sum, mut first, mut below) = (0.0, u32::MAX, 0.0);
    unroll!(i < N, of 8, {
        if i as u32 * 128 < classes {
            unroll!(j < 4, of 4, {
                let class = (i as u32 * 32 + g.lane()) * 4 + j as u32;
                first = if values[i][j] == most && class < first { class } else { first };
                below = if class == target { most - values[i][j] } else { below };
                values[i][j] = g.exp(values[i][j] - most);
                sum += values[i][j];
            });
        }
    });
    let first = g.warp_min(first);
    let sum = g.warp_sum(sum);
    // Of the lanes one has the target, the others 0.
    let below = g.warp_sum(below);
    if g.lane() == 0 {
        g.store(costs.add(row), below + g.log2(sum) * core::f32::consts::LN_2);
        g.store(right.add(row), if first == target { 1 } else { 0 });
    }
    let share = 1.0 / sum;
    unroll!(i < N, of 8, {
        let class = (i as u32 * 32 + g.lane()) * 4;
        if i as u32 * 128 < classes {
            unroll!(j < 4, of 4, {
                values[i][j] = g.fma(values[i][j], share, if class + j as u32 == target { -1.0 } else { 0.0 });
            });
        }
        if aligned && class < classes {
            g.store_f32x4(d_logits.add(class as usize), values[i]);
        } else if !aligned {
            unroll!(j < 4, of 4, {
                if class + (j as u32) < classes {
                    g.store(d_logits.add(class as usize + j), values[i][j]);
                }
            });
        }
    });
}
