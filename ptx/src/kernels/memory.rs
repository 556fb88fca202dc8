//! Position memories: embedding, projection, softmax and cross-entropy, forward and back, in one pass over the rows.
//!
//! A block takes [`TILE`] positions of a file at a time. The projection stands in shared memory, transposed, `DEPTH` of its
//! columns at a time (up to that many dimensions it stays there for all files of the block). A warp holds the logits of 8
//! positions in registers, each lane those of 8 bytes, and takes the softmax among its lanes. For the way back the warps lay
//! their probabilities into shared memory and share out the bytes: each sums over 64 of them for the whole tile, and the four
//! sums are added in the order of the warps.

use crate::gpu::Gpu;

/// Threads of a block.
pub const THREADS: u32 = 128;
/// Positions of a tile.
pub const TILE: u32 = 32;
/// Most blocks along the files: two on each multiprocessor of a large GPU.
pub const BLOCKS: u32 = 264;
/// Columns of the projection's gradient that a block of [`memory_out_gradient`] sums.
pub const COLUMNS: u32 = 32;
/// Classes.
const BYTES: u32 = 256;
/// Columns of the projection that stand in shared memory at a time.
const DEPTH: u32 = 64;
/// Words from one column of the projection to the next, and from one position's probabilities to the next: 8 of them, read
/// 4 words each, lie in different banks.
const PITCH: u32 = BYTES + 4;
/// Words from one position's numbers to the next.
const ROW: u32 = DEPTH + 4;

/// Where in shared memory what stands: the projection, the probabilities, the rows, a number for each warp.
const OUT: u32 = 0;
const SHARES: u32 = OUT + DEPTH * PITCH * 4;
const ROWS: u32 = SHARES + TILE * PITCH * 4;
const SUMS: u32 = ROWS + TILE * ROW * 4;
/// Shared bytes.
pub const SHARED: u32 = SUMS + 2 * THREADS / 32 * 4;

/// Quads of a row of [`DEPTH`] numbers, and of a tile for a thread.
const QUADS: u32 = DEPTH / 4;
const QUADS_EACH: u32 = TILE * QUADS / THREADS;

/// What a block works on: tiles `first` to `last` of every [`blocks`](Gpu::blocks)-th file.
#[derive(Clone, Copy)]
struct Files {
    files: u32,
    len: u32,
    dim: u32,
    first: u32,
    last: u32,
}

/// A tile of a file.
#[derive(Clone, Copy)]
struct Tile {
    file: u32,
    tile: u32,
}

impl Files {
    #[inline(always)]
    fn new<G: Gpu>(g: G, files: u32, len: u32, dim: u32, parts: u32) -> Self {
        let tiles = len.div_ceil(TILE);
        let share = tiles.div_ceil(parts);
        let first = g.block()[1] * share;
        let end = first + share;
        Self { files, len, dim, first, last: if end < tiles { end } else { tiles } }
    }

    #[inline(always)]
    fn next<G: Gpu>(self, g: G, at: Tile) -> Tile {
        if at.tile + 1 < self.last {
            Tile { file: at.file, tile: at.tile + 1 }
        } else {
            Tile { file: at.file + g.blocks(), tile: self.first }
        }
    }

    /// The number of the file's position that stands in row `row` of a tile, and whether the file is so long.
    #[inline(always)]
    fn position(self, at: Tile, row: u32) -> (usize, bool) {
        let i = at.tile * TILE + row;
        (at.file as usize * self.len as usize + i as usize, i < self.len)
    }

    #[inline(always)]
    fn depth(self, from: u32) -> u32 {
        if self.dim - from < DEPTH { self.dim - from } else { DEPTH }
    }
}

/// Lays columns `from` and on of the projection into shared memory.
#[inline(always)]
unsafe fn load_out<G: Gpu>(g: G, files: Files, out: *const f32, from: u32) {
    let depth = files.depth(from);
    let mut class = g.thread();
    while class < BYTES {
        let row = out.add((class * files.dim + from) as usize);
        let mut k = 0;
        while k < depth {
            let quad = g.load_f32x4(row.add(k as usize));
            let to = OUT + (k * PITCH + class) * 4;
            g.set_shared_f32(to, quad[0]);
            g.set_shared_f32(to + PITCH * 4, quad[1]);
            g.set_shared_f32(to + PITCH * 8, quad[2]);
            g.set_shared_f32(to + PITCH * 12, quad[3]);
            k += 4;
        }
        class += THREADS;
    }
}

/// Starts to copy numbers `from` and on of a tile's rows into shared memory; zeros where the file has ended.
#[inline(always)]
unsafe fn load_rows<G: Gpu>(g: G, files: Files, rows: *const f32, at: Tile, from: u32) {
    let depth = files.depth(from);
    let mut i = 0;
    while i < QUADS_EACH {
        let quad = g.thread() + i * THREADS;
        let (row, column) = (quad / QUADS, quad % QUADS * 4);
        if column < depth {
            let (position, inside) = files.position(at, row);
            let to = ROWS + (row * ROW + column) * 4;
            if inside {
                g.copy(to, rows.add(position * files.dim as usize + (from + column) as usize).cast());
            } else {
                g.set_shared_quad(to, [0; 4]);
            }
        }
        i += 1;
    }
    g.end_copies();
}

/// Adds `depth` terms to the logits of a warp's 8 positions, a lane's bytes 4 `lane` and on, and 128 further.
#[inline(always)]
unsafe fn add_logits<G: Gpu>(g: G, depth: u32, logits: &mut [[f32; 8]; 8]) {
    let (left, right) = (ROWS + g.warp() * 8 * ROW * 4, OUT + g.lane() * 16);
    let mut k = 0;
    while k < depth {
        let mut rows = [[0.0f32; 4]; 8];
        let mut i = 0;
        while i < 8 {
            rows[i] = g.shared_f32x4(left + (i as u32 * ROW + k) * 4);
            i += 1;
        }
        let mut part = 0;
        while part < 4 {
            let column = right + (k + part as u32) * PITCH * 4;
            let (low, high) = (g.shared_f32x4(column), g.shared_f32x4(column + 512));
            let mut i = 0;
            while i < 8 {
                let mut j = 0;
                while j < 4 {
                    logits[i][j] = g.fma(rows[i][part], low[j], logits[i][j]);
                    logits[i][j + 4] = g.fma(rows[i][part], high[j], logits[i][j + 4]);
                    j += 1;
                }
                i += 1;
            }
            part += 1;
        }
        k += 4;
    }
}

/// Collective of the block: the logits of a tile, whose rows are under way when all columns of the projection stand in shared
/// memory.
#[inline(always)]
unsafe fn tile_logits<G: Gpu>(g: G, files: Files, out: *const f32, rows: *const f32, at: Tile) -> [[f32; 8]; 8] {
    let mut logits = [[0.0f32; 8]; 8];
    let mut from = 0;
    while from < files.dim {
        if files.dim > DEPTH {
            g.barrier();
            load_out(g, files, out, from);
            load_rows(g, files, rows, at, from);
        }
        g.copied::<0>();
        g.barrier();
        add_logits(g, files.depth(from), &mut logits);
        from += DEPTH;
    }
    logits
}

/// The byte of a lane's logit `j`.
#[inline(always)]
fn byte<G: Gpu>(g: G, j: u32) -> u32 {
    g.lane() * 4 + j + if j < 4 { 0 } else { 124 }
}

/// Collective: of each of a warp's positions the largest logit, and its byte, the smallest of equal ones. All positions take
/// each step together, so that none waits for the lanes of another.
#[inline(always)]
fn largest<G: Gpu>(g: G, logits: &[[f32; 8]; 8]) -> ([f32; 8], [u32; 8]) {
    let (mut most, mut first) = ([0.0f32; 8], [u32::MAX; 8]);
    unroll!(i < 8, of 8, {
        most[i] = logits[i][0];
        unroll!(j in [1 2 3 4 5 6 7] { most[i] = if logits[i][j] > most[i] { logits[i][j] } else { most[i] }; });
    });
    unroll!(mask in [16 8 4 2 1] {
        unroll!(i < 8, of 8, {
            let other = g.shuffle_xor_f32(most[i], mask);
            most[i] = if other > most[i] { other } else { most[i] };
        });
    });
    unroll!(i < 8, of 8, {
        unroll!(j in [7 6 5 4 3 2 1 0] { first[i] = if logits[i][j] == most[i] { byte(g, j as u32) } else { first[i] }; });
    });
    unroll!(mask in [16 8 4 2 1] {
        unroll!(i < 8, of 8, {
            let other = g.shuffle_xor(first[i], mask);
            first[i] = if other < first[i] { other } else { first[i] };
        });
    });
    (most, first)
}

/// Collective: makes logits of which the largest are `most` their softmax, less one at the position's target. The sum of their
/// costs in the lanes that have the targets, 0 in the others. A target that is no byte costs nothing.
#[inline(always)]
fn softmax<G: Gpu>(g: G, logits: &mut [[f32; 8]; 8], most: [f32; 8], targets: [u32; 8]) -> f32 {
    let (mut sums, mut below, mut here) = ([0.0f32; 8], [0.0f32; 8], [false; 8]);
    unroll!(i < 8, of 8, {
        unroll!(j < 8, of 8, {
            let target = byte(g, j as u32) == targets[i];
            below[i] = if target { most[i] - logits[i][j] } else { below[i] };
            here[i] |= target;
            logits[i][j] = g.exp(logits[i][j] - most[i]);
            sums[i] += logits[i][j];
        });
    });
    unroll!(mask in [16 8 4 2 1] {
        unroll!(i < 8, of 8, { sums[i] += g.shuffle_xor_f32(sums[i], mask); });
    });
    let mut cost = 0.0;
    unroll!(i < 8, of 8, {
        let share = 1.0 / sums[i];
        unroll!(j < 8, of 8, {
            let target = byte(g, j as u32) == targets[i];
            logits[i][j] = g.fma(logits[i][j], share, if target { -1.0 } else { 0.0 });
        });
        let nats = below[i] + g.log2(sums[i]) * core::f32::consts::LN_2;
        cost += if here[i] { nats } else { 0.0 };
    });
    cost
}

/// What a warp's 8 positions have to be, 256 where the file has ended.
#[inline(always)]
unsafe fn load_targets<G: Gpu>(g: G, files: Files, targets: *const u8, at: Tile) -> [u32; 8] {
    let mut bytes = [BYTES; 8];
    unroll!(i in [0 1 2 3 4 5 6 7] {
        let (position, inside) = files.position(at, g.warp() * 8 + i as u32);
        if inside {
            bytes[i] = u32::from(g.load(targets.add(position)));
        }
    });
    bytes
}

/// Lays the gradient of a warp's logits into shared memory.
#[inline(always)]
unsafe fn lay_out<G: Gpu>(g: G, logits: &[[f32; 8]; 8]) {
    let mut i = 0;
    while i < 8 {
        let to = SHARES + ((g.warp() * 8 + i as u32) * PITCH + g.lane() * 4) * 4;
        let l = logits[i];
        g.set_shared_f32x4(to, [l[0], l[1], l[2], l[3]]);
        g.set_shared_f32x4(to + 512, [l[4], l[5], l[6], l[7]]);
        i += 1;
    }
}

/// A warp's part of the gradient of the tile's rows, of `8 J` numbers from `from` on (counted in shared memory): the sum over
/// its 64 bytes. A lane gets positions `lane / 8 + 4 i` and numbers `from + lane % 8 + 8 j`.
#[inline(always)]
unsafe fn back<G: Gpu, const J: usize>(g: G, from: u32) -> [[f32; J]; 8] {
    let (position, column, first) = (g.lane() >> 3, g.lane() & 7, g.warp() * 64);
    let left = SHARES + (position * PITCH + first) * 4;
    let right = OUT + ((from + column) * PITCH + first) * 4;
    let mut sums = [[0.0f32; J]; 8];
    let mut class = 0;
    while class < 64 {
        let mut shares = [[0.0f32; 4]; 8];
        let mut i = 0;
        while i < 8 {
            shares[i] = g.shared_f32x4(left + (4 * i as u32 * PITCH + class) * 4);
            i += 1;
        }
        unroll!(j in [0 1 2 3 4 5 6 7] {
            if j < J {
                let weights = g.shared_f32x4(right + (8 * j as u32 * PITCH + class) * 4);
                unroll!(i in [0 1 2 3 4 5 6 7] {
                    unroll!(part in [0 1 2 3] { sums[i][j] = g.fma(shares[i][part], weights[part], sums[i][j]); });
                });
            }
        });
        class += 4;
    }
    sums
}

/// Where number `column` of `8 J` of a position stands among the sums of a warp: 4 positions of 8 numbers lie in different
/// banks.
#[inline(always)]
fn sum_at<const J: usize>(sums: u32, warp: u32, position: u32, column: u32) -> u32 {
    let width = 8 * J as u32;
    sums + ((warp * TILE + position) * width + (column ^ (position & 3) << 3 & (width - 1))) * 4
}

/// Collective of the block: `to = keep rows + scale gradient` for `8 J` numbers of a tile's rows, from `from + column` on. The
/// projection's columns `from` and on and the probabilities stand in shared memory; the sums of the warps go to `sums` there.
#[inline(always)]
unsafe fn write_columns<G: Gpu, const J: usize>(
    g: G,
    files: Files,
    at: Tile,
    [from, column]: [u32; 2],
    sums: u32,
    rows: *const f32,
    [keep, scale]: [f32; 2],
    to: *mut f32,
) {
    let quads = 2 * J as u32;
    // Read before the long sum, so that they have come by its end.
    let mut old = [[0.0f32; 4]; 4];
    unroll!(i in [0 1 2 3] {
        let quad = g.thread() + i as u32 * THREADS;
        let (position, inside) = files.position(at, quad / quads);
        if quad < TILE * quads && inside {
            old[i] = g.load_f32x4(rows.add(position * files.dim as usize + (from + column + quad % quads * 4) as usize));
        }
    });
    let parts = back::<G, J>(g, column);
    g.barrier();
    unroll!(i in [0 1 2 3 4 5 6 7] {
        unroll!(j in [0 1 2 3 4 5 6 7] {
            if j < J {
                let at = sum_at::<J>(sums, g.warp(), (g.lane() >> 3) + 4 * i as u32, (g.lane() & 7) + 8 * j as u32);
                g.set_shared_f32(at, parts[i][j]);
            }
        });
    });
    g.barrier();
    unroll!(i in [0 1 2 3] {
        let quad = g.thread() + i as u32 * THREADS;
        let (row, part) = (quad / quads, quad % quads * 4);
        let (position, inside) = files.position(at, row);
        if quad < TILE * quads && inside {
            let mut sum = [0.0f32; 4];
            unroll!(warp in [0 1 2 3] {
                let of_warp = g.shared_f32x4(sum_at::<J>(sums, warp as u32, row, part));
                unroll!(k in [0 1 2 3] { sum[k] += of_warp[k]; });
            });
            unroll!(k in [0 1 2 3] { sum[k] = g.fma(scale, sum[k], keep * old[i][k]); });
            g.store_f32x4(to.add(position * files.dim as usize + (from + column + part) as usize), sum);
        }
    });
}

/// Collective of the block: [`write_columns`] for the columns that stand in shared memory.
#[inline(always)]
unsafe fn write_rows<G: Gpu>(
    g: G,
    files: Files,
    at: Tile,
    from: u32,
    rows: *const f32,
    factors: [f32; 2],
    to: *mut f32,
) {
    let depth = files.depth(from);
    if depth == DEPTH {
        // The sums take the place of what is not needed again.
        let sums = if files.dim > DEPTH { OUT } else { SHARES };
        write_columns::<G, 8>(g, files, at, [from, 0], sums, rows, factors, to);
        return;
    }
    // Behind the columns of the projection there is room for the sums of 8.
    let sums = OUT + (DEPTH - 8) * PITCH * 4;
    let mut column = 0;
    while column < depth {
        write_columns::<G, 1>(g, files, at, [from, column], sums, rows, factors, to);
        column += 8;
    }
}

/// Collective of the block: writes what the threads have counted of a file. Every lane has its own costs, and its warp's count.
#[inline(always)]
unsafe fn write_counts<G: Gpu>(g: G, at: usize, cost: f32, hits: u32, costs: *mut f32, right: *mut u32) {
    let cost = g.warp_sum(cost);
    if g.lane() == 0 {
        g.set_shared_f32(SUMS + g.warp() * 8, cost);
        g.set_shared(SUMS + g.warp() * 8 + 4, hits);
    }
    g.barrier();
    if g.thread() == 0 {
        let (mut cost, mut hits) = (0.0, 0);
        let mut warp = 0;
        while warp < THREADS / 32 {
            cost += g.shared_f32(SUMS + warp * 8);
            hits += g.shared(SUMS + warp * 8 + 4);
            warp += 1;
        }
        g.store(costs.add(at), cost);
        g.store(right.add(at), hits);
    }
}

/// For all files, `to = keep rows + scale d(costs)/d(rows)`, f32; `to` may be `rows`.
///
/// `rows [files, len, dim]`, `out [256, dim]`, `targets [files, len]`, `costs` and `right` `[files, parts]`, or none where
/// `costs` is null; `dim` is a multiple of 8, to 256, and rows and `out` are aligned to 16 bytes. The grid is `[blocks, parts]`:
/// a block takes every `blocks`-th file, of each the tiles of its part. [`THREADS`] threads, [`SHARED`] bytes.
#[inline(always)]
pub unsafe fn memory_step<G: Gpu>(
    g: G,
    files: u32,
    len: u32,
    dim: u32,
    parts: u32,
    keep: f32,
    scale: f32,
    out: *const f32,
    targets: *const u8,
    rows: *const f32,
    to: *mut f32,
    costs: *mut f32,
    right: *mut u32,
) {
    let files = Files::new(g, files, len, dim, parts);
    let mut at = Tile { file: g.block()[0], tile: files.first };
    if dim <= DEPTH {
        load_out(g, files, out, 0);
        load_rows(g, files, rows, at, 0);
    }
    let (mut cost, mut hits) = (0.0, 0);
    while at.file < files.files {
        let next = files.next(g, at);
        let bytes = load_targets(g, files, targets, at);
        let mut logits = tile_logits(g, files, out, rows, at);
        let (most, first) = largest(g, &logits);
        cost += softmax(g, &mut logits, most, bytes);
        unroll!(i < 8, of 8, { hits += if first[i] == bytes[i] { 1 } else { 0 }; });
        lay_out(g, &logits);
        g.barrier();
        if dim <= DEPTH && next.file < files.files {
            load_rows(g, files, rows, next, 0);
        }
        // From the last columns, which are there, to the first.
        let mut from = (dim - 1) / DEPTH * DEPTH;
        loop {
            write_rows(g, files, at, from, rows, [keep, scale], to);
            if from == 0 {
                break;
            }
            from -= DEPTH;
            g.barrier();
            load_out(g, files, out, from);
            g.barrier();
        }
        if next.file != at.file {
            if !costs.is_null() {
                let to = at.file as usize * parts as usize + g.block()[1] as usize;
                write_counts(g, to, cost, hits, costs, right);
            }
            (cost, hits) = (0.0, 0);
        }
        at = next;
    }
}

/// For all files, costs and right positions (unless `targets` is null), and what the memories say, `said [files, len]` (unless
/// it is null). Otherwise as [`memory_step`].
#[inline(always)]
pub unsafe fn memory_forward<G: Gpu>(
    g: G,
    files: u32,
    len: u32,
    dim: u32,
    parts: u32,
    out: *const f32,
    targets: *const u8,
    rows: *const f32,
    costs: *mut f32,
    right: *mut u32,
    said: *mut u8,
) {
    let files = Files::new(g, files, len, dim, parts);
    let mut at = Tile { file: g.block()[0], tile: files.first };
    if dim <= DEPTH {
        load_out(g, files, out, 0);
        load_rows(g, files, rows, at, 0);
    }
    let (mut cost, mut hits) = (0.0, 0);
    while at.file < files.files {
        let next = files.next(g, at);
        let bytes = if targets.is_null() { [BYTES; 8] } else { load_targets(g, files, targets, at) };
        let mut logits = tile_logits(g, files, out, rows, at);
        g.barrier();
        if dim <= DEPTH && next.file < files.files {
            load_rows(g, files, rows, next, 0);
        }
        let (most, first) = largest(g, &logits);
        if !targets.is_null() {
            cost += softmax(g, &mut logits, most, bytes);
        }
        unroll!(i < 8, of 8, {
            hits += if first[i] == bytes[i] { 1 } else { 0 };
            let (position, inside) = files.position(at, g.warp() * 8 + i as u32);
            if inside && !said.is_null() && g.lane() == 0 {
                g.store(said.add(position), first[i] as u8);
            }
        });
        if next.file != at.file {
            if !targets.is_null() {
                let to = at.file as usize * parts as usize + g.block()[1] as usize;
                write_counts(g, to, cost, hits, costs, right);
            }
            (cost, hits) = (0.0, 0);
        }
        at = next;
    }
}

/// The gradient of the projection, of each file on its own: `d_out [files, 256, dim]`. The grid is `[blocks, dim /`
/// [`COLUMNS`]`]`, rounded up: a block takes every `blocks`-th file, of each the sums of its columns over all positions in their
/// order. Otherwise as [`memory_step`].
#[inline(always)]
pub unsafe fn memory_out_gradient<G: Gpu>(
    g: G,
    files: u32,
    len: u32,
    dim: u32,
    out: *const f32,
    targets: *const u8,
    rows: *const f32,
    d_out: *mut f32,
) {
    let tiles = len.div_ceil(TILE);
    let files = Files { files, len, dim, first: 0, last: tiles };
    let columns = g.block()[1] * COLUMNS;
    // A warp sums 8 columns, a lane the bytes of its logits.
    let column = columns + g.warp() * 8;
    let mut at = Tile { file: g.block()[0], tile: 0 };
    if dim <= DEPTH {
        load_out(g, files, out, 0);
    }
    let mut sums = [[0.0f32; 8]; 8];
    while at.file < files.files {
        let bytes = load_targets(g, files, targets, at);
        if dim <= DEPTH {
            load_rows(g, files, rows, at, 0);
        }
        let mut logits = tile_logits(g, files, out, rows, at);
        let (most, _) = largest(g, &logits);
        softmax(g, &mut logits, most, bytes);
        lay_out(g, &logits);
        g.barrier();
        let mut here = column;
        if dim > DEPTH {
            here = g.warp() * 8;
            load_rows(g, files, rows, at, columns);
            g.copied::<0>();
            g.barrier();
        }
        let mut position = 0;
        while position < TILE && column < dim {
            let left = SHARES + (position * PITCH + g.lane() * 4) * 4;
            let right = ROWS + (position * ROW + here) * 4;
            let (low, high) = (g.shared_f32x4(left), g.shared_f32x4(left + 512));
            let (even, odd) = (g.shared_f32x4(right), g.shared_f32x4(right + 16));
            let mut i = 0;
            while i < 4 {
                let mut j = 0;
                while j < 4 {
                    sums[i][j] = g.fma(low[i], even[j], sums[i][j]);
                    sums[i][j + 4] = g.fma(low[i], odd[j], sums[i][j + 4]);
                    sums[i + 4][j] = g.fma(high[i], even[j], sums[i + 4][j]);
                    sums[i + 4][j + 4] = g.fma(high[i], odd[j], sums[i + 4][j + 4]);
                    j += 1;
                }
                i += 1;
            }
            position += 1;
        }
        let next = files.next(g, at);
        if next.file != at.file {
            unroll!(i in [0 1 2 3 4 5 6 7] {
                if column < dim {
                    let row = at.file as usize * BYTES as usize + byte(g, i as u32) as usize;
                    let to = d_out.add(row * dim as usize + column as usize);
                    let s = sums[i];
                    g.store_f32x4(to, [s[0], s[1], s[2], s[3]]);
                    g.store_f32x4(to.add(4), [s[4], s[5], s[6], s[7]]);
                }
                sums[i] = [0.0; 8];
            });
        }
        // The rows and the probabilities are not overwritten before all have read them.
        g.barrier();
        at = next;
    }
}

/// `costs[file]` and `right[file]`: the sums over the parts of a file, in their order.
#[inline(always)]
pub unsafe fn memory_counts<G: Gpu>(
    g: G,
    files: u32,
    parts: u32,
    part_costs: *const f32,
    part_right: *const u32,
    costs: *mut f32,
    right: *mut u32,
) {
    let file = g.block()[0] * THREADS + g.thread();
    if file < files {
        let first = file as usize * parts as usize;
        let (mut cost, mut hits) = (0.0, 0);
        let mut part = 0;
        while part < parts as usize {
            cost += g.load(part_costs.add(first + part));
            hits += g.load(part_right.add(first + part));
            part += 1;
        }
        g.store(costs.add(file as usize), cost);
        g.store(right.add(file as usize), hits);
    }
}
