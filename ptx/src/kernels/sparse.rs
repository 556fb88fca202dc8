//! Masks of sparse matrices.

use super::quantise::{first, four, magnitude, put, put_four};
use crate::gpu::Gpu;

/// Threads of a block; a thread has four numbers.
pub const THREADS: u32 = super::quantise::THREADS;

/// Keeps, of every four neighbours of `x[0..n]`, the two of the largest magnitudes, of equal ones the first; `n` is a multiple
/// of 4. The others are 0 in `out`. Bit `i % 32` of `mask[i / 32]` says whether number `i` was kept; bits beyond the last are 0.
#[inline(always)]
pub unsafe fn sparse_two_of_four<G: Gpu>(g: G, n: u32, x: *const f32, out: *mut f32, mask: *mut u32) {
    let (first, n) = (first(g), n as usize);
    let numbers = four(g, x, first, n);
    let mut kept = [0; 4];
    let mut i = 0;
    while i < 4 {
        let (mut before, mut j) = (0, 0);
        while j < 4 {
            let (own, other) = (magnitude(numbers[i]), magnitude(numbers[j]));
            before += (other > own || other == own && j < i) as u32;
            j += 1;
        }
        kept[i] = (before < 2 && first < n) as u32;
        i += 1;
    }
    finish(g, numbers, kept, first, n, out, mask);
}

/// Keeps the numbers of `x[0..n]` whose magnitude is at least `least`; as [`sparse_two_of_four`] beyond that.
#[inline(always)]
pub unsafe fn sparse_threshold<G: Gpu>(g: G, n: u32, least: f32, x: *const f32, out: *mut f32, mask: *mut u32) {
    let (first, n) = (first(g), n as usize);
    let numbers = four(g, x, first, n);
    let mut kept = [0; 4];
    let mut i = 0;
    while i < 4 {
        kept[i] = (magnitude(numbers[i]) >= least && first + i < n) as u32;
        i += 1;
    }
    finish(g, numbers, kept, first, n, out, mask);
}

/// Writes the numbers that are kept, and the mask.
#[inline(always)]
unsafe fn finish<G: Gpu>(
    g: G,
    numbers: [f32; 4],
    kept: [u32; 4],
    first: usize,
    n: usize,
    out: *mut f32,
    mask: *mut u32,
) {
    let mut values = [0.0; 4];
    let mut i = 0;
    while i < 4 {
        values[i] = if kept[i] == 1 { numbers[i] } else { 0.0 };
        i += 1;
    }
    put_four(g, values, out, first, n);
    put(g, kept, 1, first, n, mask);
}
