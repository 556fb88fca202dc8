//! Non-linear functions, number by number: f32, 4 numbers a thread, buffers aligned to 16 bytes.

use crate::gpu::Gpu;

/// Threads of a block.
pub const THREADS: u32 = 256;
/// Numbers of a block.
pub const EACH: u32 = 4 * THREADS;

/// `to[..][i] = function(from[..][i])` for the thread's 4 of `n` numbers.
#[inline(always)]
unsafe fn map<G: Gpu, const A: usize, const B: usize>(
    g: G,
    n: u32,
    from: [*const f32; A],
    to: [*mut f32; B],
    function: impl Fn([f32; A]) -> [f32; B],
) {
    let first = g.block()[0] * EACH + g.thread() * 4;
    if first >= n {
        return;
    }
    if n - first < 4 {
        let mut i = first as usize;
        while i < n as usize {
            let results = function(from.map(|from| unsafe { g.load(from.add(i)) }));
            let mut k = 0;
            while k < B {
                g.store(to[k].add(i), results[k]);
                k += 1;
            }
            i += 1;
        }
        return;
    }
    let given = from.map(|from| unsafe { g.load_f32x4(from.add(first as usize)) });
    let mut results = [[0.0f32; 4]; B];
    unrolled!(i in 4 {
        let of_number = function(given.map(|four| four[i]));
        let mut k = 0;
        while k < B {
            results[k][i] = of_number[k];
            k += 1;
        }
    });
    let mut k = 0;
    while k < B {
        g.store_f32x4(to[k].add(first as usize), results[k]);
        k += 1;
    }
}

#[inline(always)]
fn sigmoid<G: Gpu>(g: G, x: f32) -> f32 {
    1.0 / (1.0 + g.exp(-x))
}

/// `2 sqrt(2 / pi)`, and the factor of the cubic term.
const GELU: [f32; 2] = [1.595_769_1, 0.044_715];

/// `y = x s(2 sqrt(2 / pi) (x + 0.044715 x^3))` with the logistic function s: the form with tanh, written otherwise.
#[inline(always)]
pub unsafe fn gelu<G: Gpu>(g: G, n: u32, x: *const f32, y: *mut f32) {
    map(g, n, [x], [y], |[x]| [x * sigmoid(g, GELU[0] * g.fma(GELU[1] * x * x, x, x))]);
}

/// `d_x = d_y dy/dx` of [`gelu`].
#[inline(always)]
pub unsafe fn gelu_gradient<G: Gpu>(g: G, n: u32, x: *const f32, d_y: *const f32, d_x: *mut f32) {
    map(g, n, [x, d_y], [d_x], |[x, d_y]| {
        let s = sigmoid(g, GELU[0] * g.fma(GELU[1] * x * x, x, x));
        let inner = GELU[0] * g.fma(3.0 * GELU[1] * x, x, 1.0);
        [d_y * g.fma(x * inner, s * (1.0 - s), s)]
    });
}

/// `y = x s(gate)` with the logistic function s.
#[inline(always)]
pub unsafe fn sigmoid_gate<G: Gpu>(g: G, n: u32, x: *const f32, gate: *const f32, y: *mut f32) {
    map(g, n, [x, gate], [y], |[x, gate]| [x * sigmoid(g, gate)]);
}

/// `d_x = d_y s(gate)`, `d_gate = d_y x s(gate) (1 - s(gate))`.
#[inline(always)]
pub unsafe fn sigmoid_gate_gradients<G: Gpu>(
    g: G,
    n: u32,
    x: *const f32,
    gate: *const f32,
    d_y: *const f32,
    d_x: *mut f32,
    d_gate: *mut f32,
) {
    map(g, n, [x, gate, d_y], [d_x, d_gate], |[x, gate, d_y]| {
        let s = sigmoid(g, gate);
        [d_y * s, d_y * x * s * (1.0 - s)]
    });
}

/// `y = x`, but at least 0 and at most `largest`.
#[inline(always)]
pub unsafe fn clipped_relu<G: Gpu>(g: G, n: u32, largest: f32, x: *const f32, y: *mut f32) {
    map(g, n, [x], [y], |[x]| {
        let positive = if x > 0.0 { x } else { 0.0 };
        [if positive < largest { positive } else { largest }]
    });
}

/// `d_x = d_y` where `0 < x < largest`, else 0.
#[inline(always)]
pub unsafe fn clipped_relu_gradient<G: Gpu>(g: G, n: u32, largest: f32, x: *const f32, d_y: *const f32, d_x: *mut f32) {
    map(g, n, [x, d_y], [d_x], |[x, d_y]| [if x > 0.0 && x < largest { d_y } else { 0.0 }]);
}
