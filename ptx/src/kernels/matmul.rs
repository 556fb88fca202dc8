//! Products of matrices of f32.

use crate::gpu::Gpu;

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Rows and columns of a tile; a thread has 8 x 8 of it.
pub const TILE: u32 = 128;
/// Terms that are summed at a time.
const DEPTH: u32 = 16;
/// Shared bytes of one operand's terms.
const SIDE: u32 = TILE * DEPTH * 4;
/// Shared bytes: both operands, twice.
pub const SHARED: u32 = 4 * SIDE;

/// One operand as a tile sees it: `edges` rows of `a` or columns of `b`, from `edge0` on, of `terms` numbers.
#[derive(Clone, Copy)]
struct Side {
    data: *const f32,
    edges: u32,
    terms: u32,
    edge_step: u32,
    term_step: u32,
    edge0: u32,
}

impl Side {
    /// Whether neighbours in memory are edges, not terms.
    #[inline(always)]
    fn by_edge(self) -> bool {
        self.edge_step == 1
    }

    /// Whether this tile's numbers can be read by fours, which are inside or outside as a whole.
    #[inline(always)]
    fn wide(self) -> bool {
        let (near, far, long) = if self.by_edge() {
            (self.edge_step, self.term_step, 4)
        } else {
            (self.term_step, self.edge_step, self.terms)
        };
        let aligned = far % 4 == 0 && long % 4 == 0 && (self.data as usize).is_multiple_of(16);
        near == 1 && aligned && self.edge0 + TILE <= self.edges
    }

    /// Edge and term of the first of the four neighbours that a thread brings in, in the first or second half.
    #[inline(always)]
    fn place(self, thread: u32, half: u32) -> (u32, u32) {
        let four = thread + half * THREADS;
        if self.by_edge() { (four % 32 * 4, four / 32) } else { (four / 4, four % 4 * 4) }
    }

    #[inline(always)]
    fn at(self, edge: u32, term: u32) -> *const f32 {
        let offset = edge as usize * self.edge_step as usize + term as usize * self.term_step as usize;
        self.data.wrapping_add(offset)
    }

    /// This thread's share of the terms from `term0` on; zeros beyond the matrix.
    #[inline(always)]
    unsafe fn fetch<G: Gpu, const WIDE: bool>(self, g: G, term0: u32) -> [[f32; 4]; 2] {
        let mut fetched = [[0.0; 4]; 2];
        let (thread, mut half) = (g.opaque(g.thread()), 0);
        while half < 2 {
            let (edge, term) = self.place(thread, half);
            let (edge, term) = (self.edge0 + edge, term0 + term);
            if WIDE {
                if term < self.terms {
                    fetched[half as usize] = g.load_f32x4(self.at(edge, term));
                }
            } else {
                let mut i = 0;
                while i < 4 {
                    let (edge, term) = if self.by_edge() { (edge + i, term) } else { (edge, term + i) };
                    if edge < self.edges && term < self.terms {
                        fetched[half as usize][i as usize] = g.load(self.at(edge, term));
                    }
                    i += 1;
                }
            }
            half += 1;
        }
        fetched
    }

    /// Writes what was fetched to shared memory, `[term, edge]`; see [`swizzled`].
    #[inline(always)]
    unsafe fn put<G: Gpu>(self, g: G, to: u32, fetched: [[f32; 4]; 2]) {
        let (thread, mut half) = (g.opaque(g.thread()), 0);
        while half < 2 {
            let (edge, term) = self.place(thread, half);
            let four = fetched[half as usize];
            if self.by_edge() {
                g.set_shared_f32x4(to + swizzled(edge, term), four);
            } else {
                let mut i = 0;
                while i < 4 {
                    g.set_shared_f32(to + swizzled(edge, term + i), four[i as usize]);
                    i += 1;
                }
            }
            half += 1;
        }
    }
}

/// Where a number stands. The edges of every four terms are moved by 8, so that a warp that writes 4 terms of 8 edges
/// reaches all banks; fours of edges stay together.
#[inline(always)]
fn swizzled(edge: u32, term: u32) -> u32 {
    (term * TILE + (edge ^ (term / 4 % 4 * 8))) * 4
}

/// `c [m, n]` = the sum over k of `a(i, k) b(k, j)`, f32, terms in their order; `a(i, k)` stands at `i a_row + k a_column`,
/// `b(k, j)` at `k b_row + j b_column`. Reads by fours where one of a matrix's steps is 1, the other a multiple of 4, the
/// address aligned to 16 and the tile inside; one by one elsewhere.
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
    let [block_column, block_row, _] = g.block();
    let (row0, column0) = (block_row * TILE, block_column * TILE);
    let left = Side { data: a, edges: m, terms: k, edge_step: a_row, term_step: a_column, edge0: row0 };
    let right = Side { data: b, edges: n, terms: k, edge_step: b_column, term_step: b_row, edge0: column0 };
    if left.wide() && right.wide() {
        product::<G, true>(g, left, right, c);
    } else {
        product::<G, false>(g, left, right, c);
    }
}

/// The tile's share of `c`. `WIDE`: both operands are read by fours.
#[inline(always)]
unsafe fn product<G: Gpu, const WIDE: bool>(g: G, left: Side, right: Side, c: *mut f32) {
    let (m, n, k, row0, column0) = (left.edges, right.edges, left.terms, left.edge0, right.edge0);
    // A warp has 4 x 8 places: it reads 4 and 8 neighbouring fours, which no bank has twice.
    let row = (g.warp() / 2 * 4 + g.lane() / 8) * 4;
    let column = (g.warp() % 2 * 8 + g.lane() % 8) * 4;

    let mut sums = [[0.0f32; 8]; 8];
    let mut rows = left.fetch::<G, WIDE>(g, 0);
    let mut columns = right.fetch::<G, WIDE>(g, 0);
    left.put(g, 0, rows);
    right.put(g, SIDE, columns);
    g.barrier();
    let (mut k0, mut buffer) = (0, 0);
    while k0 < k {
        k0 += DEPTH;
        if k0 < k {
            rows = left.fetch::<G, WIDE>(g, k0);
            columns = right.fetch::<G, WIDE>(g, k0);
        }
        // Terms that are swizzled alike.
        let mut term = 0;
        while term < DEPTH {
            let (x, y) = (buffer + swizzled(row, term), buffer + SIDE + swizzled(column, term));
            unroll!(i in [0 1 2 3] {
                multiply(g, eight(g, x + i * TILE * 4), eight(g, y + i * TILE * 4), &mut sums);
            });
            term += 4;
        }
        buffer ^= 2 * SIDE;
        if k0 < k {
            left.put(g, buffer, rows);
            right.put(g, buffer + SIDE, columns);
        }
        g.barrier();
    }

    let wide = WIDE && n % 4 == 0 && (c as usize).is_multiple_of(16);
    unroll!(i in [0 1 2 3 4 5 6 7] {
        let to_row = row0 + row + i % 4 + i / 4 * 64;
        let to = c.wrapping_add(to_row as usize * n as usize);
        let [x0, x1, x2, x3, y0, y1, y2, y3] = sums[i as usize];
        put_four(g, to, n, column0 + column, [x0, x1, x2, x3], wide, to_row < m);
        put_four(g, to, n, column0 + column + 64, [y0, y1, y2, y3], wide, to_row < m);
    });
}

/// Writes four numbers of the row at `to`, those that are inside.
#[inline(always)]
unsafe fn put_four<G: Gpu>(g: G, to: *mut f32, n: u32, column: u32, four: [f32; 4], wide: bool, inside: bool) {
    if wide {
        return g.store_f32x4(to.add(column as usize), four);
    }
    let mut j = 0;
    while j < 4 {
        if inside && column + j < n {
            g.store(to.add((column + j) as usize), four[j as usize]);
        }
        j += 1;
    }
}

/// Four shared numbers, and the four that stand 64 further.
#[inline(always)]
unsafe fn eight<G: Gpu>(g: G, at: u32) -> [f32; 8] {
    let (x, y) = (g.shared_f32x4(at), g.shared_f32x4(at + 64 * 4));
    [x[0], x[1], x[2], x[3], y[0], y[1], y[2], y[3]]
}

#[inline(always)]
fn multiply<G: Gpu>(g: G, left: [f32; 8], top: [f32; 8], sums: &mut [[f32; 8]; 8]) {
    unroll!(i in [0 1 2 3 4 5 6 7] {
        let mut j = 0;
        while j < 8 {
            sums[i][j] = g.fma(left[i], top[j], sums[i][j]);
            j += 1;
        }
    });
}
