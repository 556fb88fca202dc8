//! Floats to packed codes, and back. Everything here is exact: codes and scales have the same bits on every device.
//!
//! Codes are packed into words of 32 bits, the least significant first.

use crate::gpu::Gpu;

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Numbers of a piece: what a warp puts together at a time.
pub const PIECE: u32 = 1024;
/// Numbers that a warp takes in one step, four a lane.
const STEP: usize = 128;
/// Turns of a thread of [`position_codes`] and [`position_values`]: it reads four numbers in each, all of them first.
pub const TURNS: u32 = 4;
/// Steps of a piece.
const STEPS: usize = PIECE as usize / STEP;

/// Collective: four codes of `bits` bits a lane, in their low bits, packed; the word that this lane's codes are in.
#[inline(always)]
pub fn pack<G: Gpu>(g: G, codes: [u32; 4], bits: u32) -> u32 {
    let mask = (1 << bits) - 1;
    let own =
        codes[0] & mask | (codes[1] & mask) << bits | (codes[2] & mask) << (2 * bits) | (codes[3] & mask) << (3 * bits);
    // A word has the codes of 8 / bits neighbours.
    let lanes = 8 / bits;
    let mut word = own << (4 * bits * (g.lane() % lanes));
    if lanes > 1 {
        word |= g.shuffle_xor(word, 1);
    }
    if lanes > 2 {
        word |= g.shuffle_xor(word, 2);
    }
    if lanes > 4 {
        word |= g.shuffle_xor(word, 4);
    }
    word
}

/// Collective: packs the codes of the four numbers from `first` on and writes their word, which begins before `n`. `first`
/// is four times the lane beyond a multiple of 32.
#[inline(always)]
pub unsafe fn put<G: Gpu>(g: G, codes: [u32; 4], bits: u32, first: usize, n: usize, out: *mut u32) {
    let word = pack(g, codes, bits);
    if g.lane().is_multiple_of(8 / bits) && first < n {
        g.store(out.add(first * bits as usize / 32), word);
    }
}

/// Code `i` of packed ones, its bits without sign.
#[inline(always)]
unsafe fn code<G: Gpu>(g: G, bits: u32, codes: *const u32, i: usize) -> u32 {
    let at = i * bits as usize;
    g.load(codes.add(at / 32)) >> (at % 32)
}

/// The low `bits` bits as a signed number.
#[inline(always)]
fn signed(code: u32, bits: u32) -> i32 {
    (code << (32 - bits)) as i32 >> (32 - bits)
}

/// The integer nearest to `x`, ties to even, of at most 2^22.
#[inline(always)]
fn nearest(x: f32) -> i32 {
    // Where the last bit of an f32 is 1.
    const SHIFT: f32 = 12_582_912.0;
    (x + SHIFT).to_bits() as i32 - SHIFT.to_bits() as i32
}

#[inline(always)]
fn clamped(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// `x` without its sign.
#[inline(always)]
pub fn magnitude(x: f32) -> f32 {
    f32::from_bits(x.to_bits() & 0x7fff_ffff)
}

/// The largest code of `bits` bits.
#[inline(always)]
fn largest(bits: u32) -> f32 {
    ((1 << (bits - 1)) - 1) as f32
}

/// The scale of a group of which `all` is the sum of magnitudes (one bit), or the largest.
#[inline(always)]
fn scale(bits: u32, group: u32, all: f32) -> f32 {
    if bits == 1 { all / group as f32 } else { all / largest(bits) }
}

/// The code of `x`.
#[inline(always)]
fn quantised(bits: u32, scale: f32, x: f32) -> u32 {
    if bits == 1 {
        return (x >= 0.0) as u32;
    }
    if scale == 0.0 {
        return 0;
    }
    let largest = largest(bits);
    nearest(clamped(x / scale, -largest, largest)) as u32
}

/// Takes one number into a lane's result: the sum of magnitudes, or the largest.
#[inline(always)]
fn take(sum: bool, all: f32, x: f32) -> f32 {
    let x = magnitude(x);
    if sum {
        all + x
    } else if x > all {
        x
    } else {
        all
    }
}

/// Collective: the results of each `lanes` neighbours together, 8, 16 or 32 of them.
#[inline(always)]
fn together<G: Gpu>(g: G, sum: bool, lanes: u32, mut all: f32) -> f32 {
    unroll!(mask in [16 8 4 2 1] {
        if mask < lanes {
            let other = g.shuffle_xor_f32(all, mask);
            all = take(sum, all, other);
        }
    });
    all
}

/// Codes of 1 bit, as [`quantise_2`], [`quantise_4`] and [`quantise_8`] make those of theirs, of `x [n]` in groups of `group`
/// numbers, a power of two from 32 to [`PIECE`], and the `scales [n / group]`; a warp has a piece.
///
/// For 8, 4 and 2 bits, `scale` = the largest magnitude / (2^(bits - 1) - 1), `code` = `x / scale` to the nearest integer, ties
/// to even; where the scale is 0 the codes are 0. For 1 bit, `scale` = the mean magnitude, `code` = whether `x >= 0`.
/// Divisions are rounded to nearest. The mean's sum has one order: lane `l` of 32 adds its numbers, those `i` of the group with
/// `i / 4 % 32 = l`, as they come; then lanes that are 16, 8, 4, 2, 1 apart are added.
#[inline(always)]
pub unsafe fn quantise_1<G: Gpu>(g: G, n: u32, group: u32, x: *const f32, codes: *mut u32, scales: *mut f32) {
    pieces::<G, 1>(g, n, group, x, codes, scales);
}

/// As [`quantise_1`].
#[inline(always)]
pub unsafe fn quantise_2<G: Gpu>(g: G, n: u32, group: u32, x: *const f32, codes: *mut u32, scales: *mut f32) {
    pieces::<G, 2>(g, n, group, x, codes, scales);
}

/// As [`quantise_1`].
#[inline(always)]
pub unsafe fn quantise_4<G: Gpu>(g: G, n: u32, group: u32, x: *const f32, codes: *mut u32, scales: *mut f32) {
    pieces::<G, 4>(g, n, group, x, codes, scales);
}

/// As [`quantise_1`].
#[inline(always)]
pub unsafe fn quantise_8<G: Gpu>(g: G, n: u32, group: u32, x: *const f32, codes: *mut u32, scales: *mut f32) {
    pieces::<G, 8>(g, n, group, x, codes, scales);
}

/// Codes of `BITS` bits, see [`quantise_1`].
#[inline(always)]
unsafe fn pieces<G: Gpu, const BITS: u32>(g: G, n: u32, group: u32, x: *const f32, codes: *mut u32, scales: *mut f32) {
    let (piece, n, sum) = ((g.block()[0] * (THREADS / 32) + g.warp()) as usize * PIECE as usize, n as usize, BITS == 1);
    if piece >= n {
        return;
    }
    let first = piece + 4 * g.lane() as usize;
    let mut numbers = [[0.0; 4]; STEPS];
    unroll!(step in [0 1 2 3 4 5 6 7] {
        if first + step * STEP < n {
            numbers[step] = g.load_f32x4(x.add(first + step * STEP));
        }
    });
    // What a lane has of a group, up to each step.
    let mut own = [0.0; STEPS];
    let mut all = 0.0;
    unroll!(step in [0 1 2 3 4 5 6 7] {
        if (step * STEP) as u32 & (group - 1) == 0 {
            all = 0.0;
        }
        let mut i = 0;
        while i < 4 {
            all = take(sum, all, numbers[step][i]);
            i += 1;
        }
        own[step] = all;
    });
    let lanes = if group < STEP as u32 { group / 4 } else { 32 };
    let mut of_group = 0.0;
    unroll!(step in [7 6 5 4 3 2 1 0] {
        let at = first + step * STEP;
        // A group's last step knows its scale.
        if ((step + 1) * STEP) as u32 & (group - 1) == 0 {
            of_group = scale(BITS, group, together(g, sum, lanes, own[step]));
            if g.lane().is_multiple_of(lanes) && at < n {
                g.store(scales.add((at as u32 / group) as usize), of_group);
            }
        }
        let mut four = [0; 4];
        let mut i = 0;
        while i < 4 {
            four[i] = quantised(BITS, of_group, numbers[step][i]);
            i += 1;
        }
        put(g, four, BITS, at, n, codes);
    });
}

/// `out [groups, pieces]` = of every piece of [`PIECE`] numbers of `x [groups, group]` the sum of magnitudes (`sum` 1), as
/// [`quantise_1`] adds them, or the largest (0). `pieces` is `group / PIECE` rounded up. Larger groups take their sum from sums
/// of pieces of sums of pieces, until one is left.
#[inline(always)]
pub unsafe fn magnitudes<G: Gpu>(g: G, groups: u32, group: u32, pieces: u32, sum: u32, x: *const f32, out: *mut f32) {
    let own = g.block()[0] * (THREADS / 32) + g.warp();
    if own >= groups * pieces {
        return;
    }
    let (of, piece) = ((own / pieces) as usize, own % pieces);
    let from = x.add(of * group as usize);
    let end = if (piece + 1) * PIECE < group { (piece + 1) * PIECE } else { group };
    let wide = group.is_multiple_of(4) && (x as usize).is_multiple_of(16);
    let mut at = piece * PIECE + 4 * g.lane();
    let mut all = 0.0;
    while at < end {
        let mut four = [0.0; 4];
        if wide {
            four = g.load_f32x4(from.add(at as usize));
        } else {
            let mut i = 0;
            while i < 4 {
                if at + i < end {
                    four[i as usize] = g.load(from.add((at + i) as usize));
                }
                i += 1;
            }
        }
        let mut i = 0;
        while i < 4 {
            all = take(sum == 1, all, four[i]);
            i += 1;
        }
        at += STEP as u32;
    }
    let all = together(g, sum == 1, 32, all);
    if g.lane() == 0 {
        g.store(out.add(own as usize), all);
    }
}

/// `scales[i]` = the scale of a group of `group` numbers of which [`magnitudes`] left `all[i]`, as in [`quantise_1`].
#[inline(always)]
pub unsafe fn group_scales<G: Gpu>(g: G, groups: u32, group: u32, bits: u32, all: *const f32, scales: *mut f32) {
    let i = g.block()[0] * THREADS + g.thread();
    if i < groups {
        g.store(scales.add(i as usize), scale(bits, group, g.load(all.add(i as usize))));
    }
}

/// The first of the four numbers that a thread has.
#[inline(always)]
pub fn first<G: Gpu>(g: G) -> usize {
    (g.block()[0] as usize * THREADS as usize + g.thread() as usize) * 4
}

/// The four numbers from `first` on, those before `n`; 0 beyond.
#[inline(always)]
pub unsafe fn four<G: Gpu>(g: G, x: *const f32, first: usize, n: usize) -> [f32; 4] {
    if first + 4 <= n {
        return g.load_f32x4(x.add(first));
    }
    let mut four = [0.0; 4];
    let mut i = 0;
    while i < 4 {
        if first + i < n {
            four[i] = g.load(x.add(first + i));
        }
        i += 1;
    }
    four
}

/// Writes four numbers from `first` on, those before `n`.
#[inline(always)]
pub unsafe fn put_four<G: Gpu>(g: G, values: [f32; 4], out: *mut f32, first: usize, n: usize) {
    if first + 4 <= n {
        return g.store_f32x4(out.add(first), values);
    }
    let mut i = 0;
    while i < 4 {
        if first + i < n {
            g.store(out.add(first + i), values[i]);
        }
        i += 1;
    }
}

/// The codes of [`quantise_1`] with `scales` that are known, of groups of any multiple of 32; a thread has four numbers of the
/// `n`.
#[inline(always)]
pub unsafe fn quantise_by<G: Gpu>(
    g: G,
    n: u32,
    group: u32,
    bits: u32,
    x: *const f32,
    scales: *const f32,
    codes: *mut u32,
) {
    let (first, n) = (first(g), n as usize);
    let numbers = four(g, x, first, n);
    let scale = if first < n { g.load(scales.add((first as u32 / group) as usize)) } else { 0.0 };
    let mut own = [0; 4];
    let mut i = 0;
    while i < 4 {
        own[i] = quantised(bits, scale, numbers[i]);
        i += 1;
    }
    put(g, own, bits, first, n, codes);
}

/// `out[i]` = code `i` times its group's scale, for `i < n`; of one bit, the scale or minus it. A thread has four numbers.
#[inline(always)]
pub unsafe fn dequantise<G: Gpu>(
    g: G,
    n: u32,
    group: u32,
    bits: u32,
    codes: *const u32,
    scales: *const f32,
    out: *mut f32,
) {
    let (first, n) = (first(g), n as usize);
    if first >= n {
        return;
    }
    let (codes, scale) = (code(g, bits, codes, first), g.load(scales.add((first as u32 / group) as usize)));
    let mut values = [0.0; 4];
    let mut i = 0;
    while i < 4 {
        let code = codes >> (i as u32 * bits);
        values[i] = if bits > 1 {
            signed(code, bits) as f32 * scale
        } else if code & 1 == 1 {
            scale
        } else {
            -scale
        };
        i += 1;
    }
    put_four(g, values, out, first, n);
}

/// Codes of a position memory: `floor(x[i] / step)`, at least -2^(bits - 1) and less than 2^(bits - 1), for `i < n`; the
/// division is rounded to nearest. Bits beyond the last code are 0. A thread has four numbers in each of [`TURNS`].
#[inline(always)]
pub unsafe fn position_codes<G: Gpu>(g: G, n: u32, bits: u32, step: f32, x: *const f32, codes: *mut u32) {
    let n = n as usize;
    let mut numbers = [[0.0; 4]; TURNS as usize];
    unroll!(turn < TURNS as usize, of 4, {
        numbers[turn] = four(g, x, turned(g, turn), n);
    });
    let half = (1 << (bits - 1)) as f32;
    unroll!(turn < TURNS as usize, of 4, {
        let first = turned(g, turn);
        let mut own = [0; 4];
        unroll!(i < 4, of 4, {
            let steps = clamped(numbers[turn][i] / step, -half, half - 1.0);
            let toward_zero = steps as i32;
            let floor = toward_zero - (steps < toward_zero as f32) as i32;
            own[i] = if first + i < n { floor as u32 } else { 0 };
        });
        put(g, own, bits, first, n, codes);
    });
}

/// `out[i]` = (code `i` + 1/2) `step`, of the codes of [`position_codes`].
#[inline(always)]
pub unsafe fn position_values<G: Gpu>(g: G, n: u32, bits: u32, step: f32, codes: *const u32, out: *mut f32) {
    let n = n as usize;
    let mut words = [0; TURNS as usize];
    unroll!(turn < TURNS as usize, of 4, {
        if turned(g, turn) < n {
            words[turn] = code(g, bits, codes, turned(g, turn));
        }
    });
    unroll!(turn < TURNS as usize, of 4, {
        let mut values = [0.0; 4];
        unroll!(i < 4, of 4, {
            values[i] = (signed(words[turn] >> (i as u32 * bits), bits) as f32 + 0.5) * step;
        });
        put_four(g, values, out, turned(g, turn), n);
    });
}

/// The first of the four numbers that a thread has in a turn.
#[inline(always)]
fn turned<G: Gpu>(g: G, turn: usize) -> usize {
    let block = g.block()[0] as usize * (4 * TURNS * THREADS) as usize;
    block + 4 * (turn * THREADS as usize + g.thread() as usize)
}
