//! Steps of optimisers.

use crate::gpu::Gpu;

/// Threads of a block; a thread has four parameters.
pub const THREADS: u32 = 256;

/// A step of AdamW (Kingma and Ba, 2015; Loshchilov and Hutter, 2019) for `i < n`, f32, every operation rounded by itself:
/// `m = beta1 m + (1 - beta1) gradient`, `v = beta2 v + (1 - beta2) gradient gradient`,
/// `p -= rate ((m first_scale) / (sqrt(v second_scale) + epsilon) + decay p)`; the scales correct for moments that began at 0.
/// Addresses are aligned to 16.
#[inline(always)]
pub unsafe fn adam_step<G: Gpu>(
    g: G,
    n: u32,
    rate: f32,
    beta1: f32,
    beta2: f32,
    first_scale: f32,
    second_scale: f32,
    epsilon: f32,
    decay: f32,
    gradient: *const f32,
    m: *mut f32,
    v: *mut f32,
    parameters: *mut f32,
) {
    let step = |gradient: f32, m: f32, v: f32, p: f32| {
        let m = beta1 * m + (1.0 - beta1) * gradient;
        let v = beta2 * v + (1.0 - beta2) * gradient * gradient;
        let p = p - rate * ((m * first_scale) / (g.sqrt(v * second_scale) + epsilon) + decay * p);
        (m, v, p)
    };
    let first = (g.block()[0] as usize * THREADS as usize + g.thread() as usize) * 4;
    let n = n as usize;
    if first + 4 <= n {
        let (gradients, ms) = (g.load_f32x4(gradient.add(first)), g.load_f32x4(m.add(first)));
        let (vs, ps) = (g.load_f32x4(v.add(first)), g.load_f32x4(parameters.add(first)));
        let (mut new_m, mut new_v, mut new_p) = ([0.0; 4], [0.0; 4], [0.0; 4]);
        let mut i = 0;
        while i < 4 {
            (new_m[i], new_v[i], new_p[i]) = step(gradients[i], ms[i], vs[i], ps[i]);
            i += 1;
        }
        g.store_f32x4(m.add(first), new_m);
        g.store_f32x4(v.add(first), new_v);
        g.store_f32x4(parameters.add(first), new_p);
        return;
    }
    let mut i = first;
    while i < n {
        let (at_m, at_v, at_p) = (m.add(i), v.add(i), parameters.add(i));
        let (new_m, new_v, new_p) = step(g.load(gradient.add(i)), g.load(at_m), g.load(at_v), g.load(at_p));
        g.store(at_m, new_m);
        g.store(at_v, new_v);
        g.store(at_p, new_p);
        i += 1;
    }
}
