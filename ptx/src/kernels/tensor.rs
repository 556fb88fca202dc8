//! Products of matrices on tensor cores: bfloat16 and signed bytes, one skeleton.
//!
//! A tile of 128 x 256 results, 64 x 64 a warp. 128 bytes of terms come in at a time, in three stages, by copies that run
//! beside the products. In shared memory a row's pieces of 16 bytes are exchanged by the row's number, so that neither copies
//! nor `load_matrices` meet a bank twice.

use crate::gpu::{Gpu, bf16};

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Rows of a tile.
const ROWS: u32 = 128;
/// Columns of a tile.
const COLUMNS: u32 = 256;
/// Bytes of terms in a stage.
const CHUNK: u32 = 128;
/// Stages of the pipeline.
const STAGES: u32 = 3;
/// Shared bytes of a stage.
const STAGE: u32 = (ROWS + COLUMNS) * CHUNK;
/// Shared bytes.
pub const SHARED: u32 = STAGES * STAGE;
/// Columns of tiles that are worked on side by side, so that blocks that run together read the same rows and columns.
const GROUP: u32 = 8;
/// Threads of a block of [`to_bf16`].
pub const CONVERT_THREADS: u32 = 256;

/// Tiles of a product `[m, n]`.
pub const fn tiles(m: u32, n: u32) -> u32 {
    m.div_ceil(ROWS) * n.div_ceil(COLUMNS)
}

/// What tensor cores multiply. Pieces of 32 bytes have the same places in a warp, whatever they hold.
trait Element {
    /// Bytes of one.
    const BYTES: u32;
    /// What products are summed in.
    type Sum: Copy;
    const ZERO: Self::Sum;
    fn multiply<G: Gpu>(g: G, a: [u32; 4], b: [u32; 2], c: [Self::Sum; 4]) -> [Self::Sum; 4];
    fn bits(sum: Self::Sum) -> u32;
}

struct Bf16;

impl Element for Bf16 {
    const BYTES: u32 = 2;
    type Sum = f32;
    const ZERO: f32 = 0.0;
    #[inline(always)]
    fn multiply<G: Gpu>(g: G, a: [u32; 4], b: [u32; 2], c: [f32; 4]) -> [f32; 4] {
        g.mma_bf16(a, b, c)
    }
    #[inline(always)]
    fn bits(sum: f32) -> u32 {
        sum.to_bits()
    }
}

struct I8;

impl Element for I8 {
    const BYTES: u32 = 1;
    type Sum = i32;
    const ZERO: i32 = 0;
    #[inline(always)]
    fn multiply<G: Gpu>(g: G, a: [u32; 4], b: [u32; 2], c: [i32; 4]) -> [i32; 4] {
        g.mma_i8(a, b, c)
    }
    #[inline(always)]
    fn bits(sum: i32) -> u32 {
        sum as u32
    }
}

/// One operand as a tile sees it: `edges` rows of `a` or columns of `b`, from `edge0` on, of `terms` elements. In memory it
/// is `[edges, terms]`, or `[terms, edges]` where `BY_TERM`.
#[derive(Clone, Copy)]
struct Side {
    data: *const u8,
    edges: u32,
    terms: u32,
    edge0: u32,
}

impl Side {
    /// Whether rows start at multiples of 16 bytes.
    #[inline(always)]
    fn aligned<E: Element, const BY_TERM: bool>(self) -> bool {
        let row = if BY_TERM { self.edges } else { self.terms };
        row * E::BYTES % 16 == 0 && (self.data as usize).is_multiple_of(16)
    }

    /// Where in a stage piece `part` of this thread goes, and the edge and the term of its first element.
    #[inline(always)]
    fn piece<E: Element, const EDGES: u32, const BY_TERM: bool>(self, thread: u32, part: u32, chunk: u32) -> [u32; 3] {
        let (long, elements) = (if BY_TERM { EDGES * E::BYTES } else { CHUNK }, 16 / E::BYTES);
        let pieces = long / 16;
        let (row, piece) = (thread / pieces + part * (THREADS / pieces), thread % pieces);
        let to = row * long + (piece ^ (row & 7)) * 16;
        let term0 = chunk * (CHUNK / E::BYTES);
        if BY_TERM {
            [to, self.edge0 + piece * elements, term0 + row]
        } else {
            [to, self.edge0 + row, term0 + piece * elements]
        }
    }

    #[inline(always)]
    fn at<E: Element, const BY_TERM: bool>(self, edge: u32, term: u32) -> *const u8 {
        let (row, long, column) = if BY_TERM { (term, self.edges, edge) } else { (edge, self.terms, term) };
        self.data.wrapping_add((row as usize * long as usize + column as usize) * E::BYTES as usize)
    }

    /// Starts to bring in this thread's piece `part` of a chunk of terms; zeros beyond the matrix.
    #[inline(always)]
    unsafe fn copy<G: Gpu, E: Element, const EDGES: u32, const BY_TERM: bool>(
        self,
        g: G,
        thread: u32,
        stage: u32,
        chunk: u32,
        part: u32,
    ) {
        let [to, edge, term] = self.piece::<E, EDGES, BY_TERM>(thread, part, chunk);
        let inside = edge < self.edges && term < self.terms;
        g.copy_or_zero(stage + to, self.at::<E, BY_TERM>(edge, term).cast(), inside);
    }

    /// Brings in all pieces of this thread, element by element.
    #[inline(always)]
    unsafe fn gather<G: Gpu, E: Element, const EDGES: u32, const BY_TERM: bool>(self, g: G, stage: u32, chunk: u32) {
        // Loops of which the compiler does not know the turns: it would write the slow way out too.
        let (parts, words) = (g.opaque(EDGES * CHUNK / 16 / THREADS), g.opaque(4));
        let mut part = 0;
        while part < parts {
            let [to, edge, term] = self.piece::<E, EDGES, BY_TERM>(g.opaque(g.thread()), part, chunk);
            let mut word = 0;
            while word < words {
                let (mut bits, mut i) = (0, 0);
                while i < 4 / E::BYTES {
                    let at = word * (4 / E::BYTES) + i;
                    let (edge, term) = if BY_TERM { (edge + at, term) } else { (edge, term + at) };
                    if edge < self.edges && term < self.terms {
                        let from = self.at::<E, BY_TERM>(edge, term);
                        let value =
                            if E::BYTES == 2 { u32::from(g.load(from.cast::<u16>())) } else { u32::from(g.load(from)) };
                        bits |= value << (i * E::BYTES * 8);
                    }
                    i += 1;
                }
                g.set_shared(stage + to + word * 4, bits);
                word += 1;
            }
            part += 1;
        }
    }
}

/// The 64 edges from `edge` on of 32 bytes of terms, as a warp multiplies them. `low` and `high` are the row that this lane
/// names in a square of 16 rows, and which of its two pieces.
#[inline(always)]
unsafe fn fragments<G: Gpu, const EDGES: u32, const BY_TERM: bool>(
    g: G,
    at: u32,
    edge: u32,
    [low, high]: [u32; 2],
    step: u32,
) -> [[u32; 4]; 4] {
    let mut out = [[0; 4]; 4];
    let mut i = 0;
    while i < 4 {
        out[i as usize] = if BY_TERM {
            let piece = (edge / 8 + 2 * i + high) ^ (low & 7);
            g.load_matrices_transposed(at + (16 * step + low) * (2 * EDGES) + piece * 16)
        } else {
            g.load_matrices(at + (edge + 16 * i + low) * CHUNK + ((2 * step + high) ^ (low & 7)) * 16)
        };
        i += 1;
    }
    out
}

/// What a warp multiplies in a step: of its rows by 16, of its columns by 16.
type Fragments = ([[u32; 4]; 4], [[u32; 4]; 4]);
/// A lane's share of a warp's sums: by 16 rows and 8 columns.
type Sums<E> = [[[<E as Element>::Sum; 4]; 8]; 4];

#[inline(always)]
fn multiply<G: Gpu, E: Element>(g: G, (left, right): Fragments, sums: &mut Sums<E>) {
    unroll!(i in [0 1 2 3] {
        unroll!(j in [0 1 2 3 4 5 6 7] {
            let columns = [right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]];
            sums[i][j] = E::multiply(g, left[i], columns, sums[i][j]);
        });
    });
}

/// Which tile of `[rows, columns]` tiles a block has: columns by groups, in a group row by row.
#[inline(always)]
fn tile(block: u32, rows: u32, columns: u32) -> [u32; 2] {
    let group = block / (GROUP * rows);
    let (first, within) = (group * GROUP, block % (GROUP * rows));
    let width = if columns - first < GROUP { columns - first } else { GROUP };
    [within / width, first + within % width]
}

/// A warp's part of a tile, and what its lanes name.
#[derive(Clone, Copy)]
struct Part {
    row: u32,
    column: u32,
    left_lanes: [u32; 2],
    right_lanes: [u32; 2],
}

impl Part {
    #[inline(always)]
    fn new<G: Gpu, const LEFT_BY_TERM: bool, const RIGHT_BY_TERM: bool>(g: G) -> Self {
        let lane = g.lane();
        let (halves, rows) = ([lane % 16, lane / 16], [lane % 8 + lane / 16 * 8, lane / 8 % 2]);
        Self {
            row: g.warp() / 4 * 64,
            column: g.warp() % 4 * 64,
            left_lanes: if LEFT_BY_TERM { rows } else { halves },
            right_lanes: if RIGHT_BY_TERM { halves } else { rows },
        }
    }

    /// Step `step` of a stage.
    #[inline(always)]
    unsafe fn read<G: Gpu, const LEFT_BY_TERM: bool, const RIGHT_BY_TERM: bool>(
        self,
        g: G,
        stage: u32,
        step: u32,
    ) -> Fragments {
        let at = stage * STAGE;
        (
            fragments::<G, ROWS, LEFT_BY_TERM>(g, at, self.row, self.left_lanes, step),
            fragments::<G, COLUMNS, RIGHT_BY_TERM>(g, at + ROWS * CHUNK, self.column, self.right_lanes, step),
        )
    }
}

/// Pieces of 16 bytes that a thread brings in for a stage.
const LEFT_PIECES: u32 = ROWS * CHUNK / 16 / THREADS;
const RIGHT_PIECES: u32 = COLUMNS * CHUNK / 16 / THREADS;
/// Steps of a stage.
const STEPS: u32 = CHUNK / 32;

/// The sums of the tile, of operands whose rows start at multiples of 16 bytes.
#[inline(always)]
unsafe fn product<G: Gpu, E: Element, const LEFT_BY_TERM: bool, const RIGHT_BY_TERM: bool>(
    g: G,
    left: Side,
    right: Side,
) -> Sums<E> {
    let chunks = left.terms.div_ceil(CHUNK / E::BYTES);
    // Three of the four steps start a third of the copies each.
    const { assert!(LEFT_PIECES + RIGHT_PIECES == 4 * (STEPS - 1)) };
    let bring = |stage: u32, chunk: u32, step: u32| {
        let (thread, mut piece) = (g.opaque(g.thread()), step * 4);
        while piece < step * 4 + 4 {
            if piece < LEFT_PIECES {
                left.copy::<G, E, ROWS, LEFT_BY_TERM>(g, thread, stage * STAGE, chunk, piece);
            } else {
                let (at, piece) = (stage * STAGE + ROWS * CHUNK, piece - LEFT_PIECES);
                right.copy::<G, E, COLUMNS, RIGHT_BY_TERM>(g, thread, at, chunk, piece);
            }
            piece += 1;
        }
    };
    let part = Part::new::<G, LEFT_BY_TERM, RIGHT_BY_TERM>(g);
    let read = |stage: u32, step: u32| part.read::<G, LEFT_BY_TERM, RIGHT_BY_TERM>(g, stage, step);

    // Chunks beyond the last are zeros that nobody multiplies.
    let mut ahead = 0;
    while ahead < STAGES - 1 {
        let mut step = 0;
        while step < STEPS - 1 {
            bring(ahead, ahead, step);
            step += 1;
        }
        g.end_copies();
        ahead += 1;
    }
    g.copied::<{ STAGES - 2 }>();
    g.barrier();
    let mut sums = [[[E::ZERO; 4]; 8]; 4];
    let mut now = read(0, 0);
    // Of this chunk, of the next and of the one that is brought in, into the place of the last.
    let (mut stage, mut next, mut free) = (0, 1, STAGES - 1);
    let mut chunk = 0;
    while chunk < chunks {
        let then = read(stage, 1);
        bring(free, chunk + STAGES - 1, 0);
        multiply::<G, E>(g, now, &mut sums);
        now = read(stage, 2);
        bring(free, chunk + STAGES - 1, 1);
        multiply::<G, E>(g, then, &mut sums);
        let then = read(stage, 3);
        bring(free, chunk + STAGES - 1, 2);
        g.end_copies();
        multiply::<G, E>(g, now, &mut sums);
        g.copied::<{ STAGES - 2 }>();
        g.barrier();
        now = read(next, 0);
        multiply::<G, E>(g, then, &mut sums);
        (stage, next, free) = (next, free, stage);
        chunk += 1;
    }
    sums
}

/// The sums of the tile, of any operands: one stage, element by element.
#[inline(always)]
unsafe fn guarded_product<G: Gpu, E: Element, const LEFT_BY_TERM: bool, const RIGHT_BY_TERM: bool>(
    g: G,
    left: Side,
    right: Side,
) -> Sums<E> {
    let chunks = left.terms.div_ceil(CHUNK / E::BYTES);
    let part = Part::new::<G, LEFT_BY_TERM, RIGHT_BY_TERM>(g);
    let mut sums = [[[E::ZERO; 4]; 8]; 4];
    let mut chunk = 0;
    while chunk < chunks {
        left.gather::<G, E, ROWS, LEFT_BY_TERM>(g, 0, chunk);
        right.gather::<G, E, COLUMNS, RIGHT_BY_TERM>(g, ROWS * CHUNK, chunk);
        g.barrier();
        let mut step = 0;
        while step < STEPS {
            multiply::<G, E>(g, part.read::<G, LEFT_BY_TERM, RIGHT_BY_TERM>(g, 0, step), &mut sums);
            step += 1;
        }
        g.barrier();
        chunk += 1;
    }
    sums
}

/// Writes the tile's sums, those that are inside.
#[inline(always)]
unsafe fn finish<G: Gpu, E: Element>(g: G, left: Side, right: Side, sums: Sums<E>, c: *mut u32) {
    let (warp_row, warp_column, lane) = (g.warp() / 4 * 64, g.warp() % 4 * 64, g.lane());
    let (m, n) = (left.edges, right.edges);
    let (row0, column0) = (left.edge0 + warp_row + lane / 4, right.edge0 + warp_column);
    let wide = left.edge0 + ROWS <= m && right.edge0 + COLUMNS <= n && n % 4 == 0 && (c as usize).is_multiple_of(16);
    let odd = lane % 2 == 1;
    unroll!(i in [0 1 2 3] {
        unroll!(j in [0 1 2 3 4 5 6 7] {
            let [s, t, u, v] = sums[i as usize][j as usize];
            let [s, t, u, v] = [E::bits(s), E::bits(t), E::bits(u), E::bits(v)];
            let (row, column) = (row0 + 16 * i, column0 + 8 * j);
            let to = |row: u32, column: u32| c.add(row as usize * n as usize + column as usize);
            if wide {
                // Two of one row and two of the row 8 below: neighbours exchange, and each has four of one row.
                let (x, y) = if odd { (s, t) } else { (u, v) };
                let (x, y) = (g.shuffle_xor(x, 1), g.shuffle_xor(y, 1));
                let (row, four) = if odd { (row + 8, [x, y, u, v]) } else { (row, [s, t, x, y]) };
                g.store_quad(to(row, column + lane % 4 / 2 * 4), four);
            } else {
                let column = column + lane % 4 * 2;
                let (first, second) = (column < n, column + 1 < n);
                if row < m && first {
                    g.store(to(row, column), s);
                }
                if row < m && second {
                    g.store(to(row, column + 1), t);
                }
                if row + 8 < m && first {
                    g.store(to(row + 8, column), u);
                }
                if row + 8 < m && second {
                    g.store(to(row + 8, column + 1), v);
                }
            }
        });
    });
}

#[inline(always)]
unsafe fn matmul<G: Gpu, E: Element, const LEFT_BY_TERM: bool, const RIGHT_BY_TERM: bool>(
    g: G,
    [m, n, k]: [u32; 3],
    a: *const u8,
    b: *const u8,
    c: *mut u32,
) {
    let [row, column] = tile(g.block()[0], m.div_ceil(ROWS), n.div_ceil(COLUMNS));
    let left = Side { data: a, edges: m, terms: k, edge0: row * ROWS };
    let right = Side { data: b, edges: n, terms: k, edge0: column * COLUMNS };
    let sums = if left.aligned::<E, LEFT_BY_TERM>() && right.aligned::<E, RIGHT_BY_TERM>() {
        product::<G, E, LEFT_BY_TERM, RIGHT_BY_TERM>(g, left, right)
    } else {
        guarded_product::<G, E, LEFT_BY_TERM, RIGHT_BY_TERM>(g, left, right)
    };
    finish::<G, E>(g, left, right, sums, c);
}

/// `c [m, n]` = the sum over k of `a [m, k]` times `b [n, k]`, bfloat16, summed in f32 as the tensor cores do. Rows of a
/// multiple of 8 elements are copied by 16 bytes, others element by element.
#[inline(always)]
pub unsafe fn matmul_bf16<G: Gpu>(g: G, m: u32, n: u32, k: u32, a: *const u16, b: *const u16, c: *mut f32) {
    matmul::<G, Bf16, false, false>(g, [m, n, k], a.cast(), b.cast(), c.cast());
}

/// As [`matmul_bf16`], of `a [m, k]` and `b [k, n]`.
#[inline(always)]
pub unsafe fn matmul_bf16_plain<G: Gpu>(g: G, m: u32, n: u32, k: u32, a: *const u16, b: *const u16, c: *mut f32) {
    matmul::<G, Bf16, false, true>(g, [m, n, k], a.cast(), b.cast(), c.cast());
}

/// As [`matmul_bf16`], of `a [k, m]` and `b [k, n]`.
#[inline(always)]
pub unsafe fn matmul_bf16_left<G: Gpu>(g: G, m: u32, n: u32, k: u32, a: *const u16, b: *const u16, c: *mut f32) {
    matmul::<G, Bf16, true, true>(g, [m, n, k], a.cast(), b.cast(), c.cast());
}

/// `c [m, n]` = the sum over k of `a [m, k]` times `b [n, k]`, signed bytes, summed in i32 (wrapping). Rows of a multiple of
/// 16 are copied by 16 bytes, others byte by byte.
#[inline(always)]
pub unsafe fn matmul_i8<G: Gpu>(g: G, m: u32, n: u32, k: u32, a: *const i8, b: *const i8, c: *mut i32) {
    matmul::<G, I8, false, false>(g, [m, n, k], a.cast(), b.cast(), c.cast());
}

/// `out[i]` = `x[i]` as bfloat16, rounded to nearest, ties to even, for `i < n`; eight a thread. Both addresses are aligned
/// to 16.
#[inline(always)]
pub unsafe fn to_bf16<G: Gpu>(g: G, n: u32, x: *const f32, out: *mut u16) {
    let first = (g.block()[0] * CONVERT_THREADS + g.thread()) * 8;
    let (x, out) = (x.wrapping_add(first as usize), out.wrapping_add(first as usize));
    if first + 8 <= n {
        let (low, high) = (g.load_f32x4(x), g.load_f32x4(x.add(4)));
        let two = |a: f32, b: f32| bf16(a) | bf16(b) << 16;
        g.store_quad(
            out.cast(),
            [two(low[0], low[1]), two(low[2], low[3]), two(high[0], high[1]), two(high[2], high[3])],
        );
        return;
    }
    let mut i = 0;
    while first + i < n {
        g.store(out.add(i as usize), bf16(g.load(x.add(i as usize))) as u16);
        i += 1;
    }
}
