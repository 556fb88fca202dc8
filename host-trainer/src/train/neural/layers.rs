//! The layers in floating point, forward and backward. Matrices are row-major slices; every backward adds to the
//! gradients of the weights and writes those of the inputs.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

/// A view of a row-major matrix.
fn view(data: &[f32], rows: usize, columns: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, columns), &data[..rows * columns]).expect("the slice has the shape's length")
}

fn view_mut(data: &mut [f32], rows: usize, columns: usize) -> ArrayViewMut2<'_, f32> {
    ArrayViewMut2::from_shape((rows, columns), &mut data[..rows * columns]).expect("the slice has the shape's length")
}

/// `y[n, m] = x[n, k] w[m, k]^T + b[m]`, on top of `y` when `add` is set.
pub fn linear(x: &[f32], w: &[f32], b: Option<&[f32]>, y: &mut [f32], (n, k, m): (usize, usize, usize), add: bool) {
    let beta = if add { 1.0 } else { 0.0 };
    general_mat_mul(1.0, &view(x, n, k), &view(w, m, k).t(), beta, &mut view_mut(y, n, m));
    if let Some(b) = b {
        for row in y[..n * m].chunks_exact_mut(m) {
            row.iter_mut().zip(b).for_each(|(y, b)| *y += b);
        }
    }
}

/// Gradients of [`linear`]: `dx[n, k]` (on top of it when `add` is set), `dw[m, k]` and `db[m]`.
#[expect(clippy::too_many_arguments, reason = "two inputs, their gradients and the output's")]
pub fn linear_back(
    x: &[f32],
    w: &[f32],
    dy: &[f32],
    dx: Option<&mut [f32]>,
    dw: &mut [f32],
    db: Option<&mut [f32]>,
    (n, k, m): (usize, usize, usize),
    add: bool,
) {
    let beta = if add { 1.0 } else { 0.0 };
    let dy_view = view(dy, n, m);
    if let Some(dx) = dx {
        general_mat_mul(1.0, &dy_view, &view(w, m, k), beta, &mut view_mut(dx, n, k));
    }
    general_mat_mul(1.0, &dy_view.t(), &view(x, n, k), 1.0, &mut view_mut(dw, m, k));
    if let Some(db) = db {
        for row in dy[..n * m].chunks_exact(m) {
            db.iter_mut().zip(row).for_each(|(db, dy)| *db += dy);
        }
    }
}

/// What an RMS norm multiplies a row with: one over the root of its mean square and `epsilon`.
pub fn rms_factor(x: &[f32], epsilon: f32) -> f32 {
    let mean = x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32;
    (mean + epsilon).sqrt().recip()
}

/// Adds the gradient of an RMS norm's row to `dx`; `y` is what the norm gave, with [`rms_factor`].
pub fn rms_norm_back(factor: f32, y: &[f32], dy: &[f32], dx: &mut [f32]) {
    let mean = y.iter().zip(dy).map(|(y, dy)| y * dy).sum::<f32>() / y.len() as f32;
    dx.iter_mut().zip(y.iter().zip(dy)).for_each(|(dx, (y, dy))| *dx += factor * (dy - y * mean));
}

/// Exponentials of the scores divided by their sum, in place.
pub fn softmax(scores: &mut [f32]) {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    scores.iter_mut().for_each(|score| *score = (*score - highest).exp());
    let sum: f32 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// Gradient of [`softmax`]'s input, in place of that of its output.
pub fn softmax_back(shares: &[f32], d: &mut [f32]) {
    let mean = dot(shares, d);
    d.iter_mut().zip(shares).for_each(|(d, share)| *d = share * (*d - mean));
}

/// `max(x, 0)`, in place.
pub fn relu(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = x.max(0.0));
}

/// Gradient of [`relu`], in place; `y` is what it gave.
pub fn relu_back(y: &[f32], dy: &mut [f32]) {
    for (y, dy) in y.iter().zip(dy) {
        if *y <= 0.0 {
            *dy = 0.0;
        }
    }
}

/// The logistic function.
#[inline]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Weights of a gated recurrent unit (Cho et al., 2014, with the reset gate after the product) of width `h` over inputs
/// of `e` dimensions. Gates in the order reset, update, new.
#[derive(Clone, Copy)]
pub struct Gru<'a> {
    /// `[3h, e]`.
    pub input: &'a [f32],
    /// `[3h, h]`.
    pub state: &'a [f32],
    /// `[3h]`.
    pub bias: &'a [f32],
    /// `[h]`: bias of the new gate's product with the state.
    pub inner: &'a [f32],
}

/// Gradients of [`Gru`]'s weights.
pub struct GruGradient<'a> {
    /// As [`Gru::input`], and so on.
    pub input: &'a mut [f32],
    /// `[3h, h]`.
    pub state: &'a mut [f32],
    /// `[3h]`.
    pub bias: &'a mut [f32],
    /// `[h]`.
    pub inner: &'a mut [f32],
}

/// What a step of a [`Gru`] leaves for its backward, `[lanes, 4h]`: reset, update, new, and the product inside.
pub const GRU_KEPT: usize = 4;

/// One step for `lanes` lanes: `projected` `[lanes, 3h]` is the input's part with its bias. Fills `kept` and `after`.
pub fn gru(weights: &Gru<'_>, projected: &[f32], before: &[f32], kept: &mut [f32], after: &mut [f32], h: usize) {
    let lanes = before.len() / h;
    let mut product = vec![0.0; lanes * 3 * h];
    linear(before, weights.state, None, &mut product, (lanes, h, 3 * h), false);
    for lane in 0..lanes {
        let (p, u) = (&projected[lane * 3 * h..][..3 * h], &product[lane * 3 * h..][..3 * h]);
        let (kept, before) = (&mut kept[lane * 4 * h..][..4 * h], &before[lane * h..][..h]);
        let after = &mut after[lane * h..][..h];
        for i in 0..h {
            let r = sigmoid(p[i] + u[i]);
            let z = sigmoid(p[h + i] + u[h + i]);
            let inside = u[2 * h + i] + weights.inner[i];
            let n = (p[2 * h + i] + r * inside).tanh();
            (kept[i], kept[h + i], kept[2 * h + i], kept[3 * h + i]) = (r, z, n, inside);
            after[i] = n + z * (before[i] - n);
        }
    }
}

/// Backward of [`gru`]: `d_after` `[lanes, h]` becomes the gradient of `before`; `d_projected` `[lanes, 3h]` is written.
pub fn gru_back(
    weights: &Gru<'_>,
    before: &[f32],
    kept: &[f32],
    d_after: &mut [f32],
    d_projected: &mut [f32],
    gradient: &mut GruGradient<'_>,
    h: usize,
) {
    let lanes = before.len() / h;
    // Gradient of the products with the state: as that of the inputs, but for the new gate.
    let mut d_product = vec![0.0; lanes * 3 * h];
    for lane in 0..lanes {
        let (kept, before) = (&kept[lane * 4 * h..][..4 * h], &before[lane * h..][..h]);
        let (d, dp) = (&mut d_after[lane * h..][..h], &mut d_projected[lane * 3 * h..][..3 * h]);
        let du = &mut d_product[lane * 3 * h..][..3 * h];
        for i in 0..h {
            let (r, z, n, inside) = (kept[i], kept[h + i], kept[2 * h + i], kept[3 * h + i]);
            let dn = d[i] * (1.0 - z) * (1.0 - n * n);
            let dz = d[i] * (before[i] - n) * z * (1.0 - z);
            let dr = dn * inside * r * (1.0 - r);
            (dp[i], dp[h + i], dp[2 * h + i]) = (dr, dz, dn);
            (du[i], du[h + i], du[2 * h + i]) = (dr, dz, dn * r);
            gradient.inner[i] += dn * r;
            d[i] *= z;
        }
    }
    linear_back(before, weights.state, &d_product, Some(d_after), gradient.state, None, (lanes, h, 3 * h), true);
}

/// Cost in nats of the bytes `targets` under the tree of 255 decisions whose logits are the products of `x[n, k]` with
/// the rows of `w[256, k]`, plus `b[256]`. Writes `dx`, adds to `dw` and `db`, all scaled by `scale`.
#[expect(clippy::too_many_arguments, reason = "two inputs, their gradients and the targets")]
pub fn tree(
    x: &[f32],
    w: &[f32],
    b: &[f32],
    targets: &[u8],
    gradient: Option<(&mut [f32], &mut [f32], &mut [f32])>,
    k: usize,
    scale: f32,
    costs: &mut [f32],
) {
    let mut gradient = gradient;
    for (i, (&target, cost)) in targets.iter().zip(costs).enumerate() {
        let x = &x[i * k..][..k];
        let mut node = 1;
        *cost = 0.0;
        if let Some((dx, _, _)) = &mut gradient {
            dx[i * k..][..k].fill(0.0);
        }
        for bit in (0..8).rev() {
            let w = &w[node * k..][..k];
            let logit = b[node] + dot(x, w);
            let bit = usize::from(target) >> bit & 1;
            let p = sigmoid(logit);
            // Of the bit that came, without losing the small ones.
            let signed = if bit == 1 { logit } else { -logit };
            *cost += if signed > 0.0 { (-signed).exp().ln_1p() } else { signed.exp().ln_1p() - signed };
            if let Some((dx, dw, db)) = &mut gradient {
                let d = (p - bit as f32) * scale;
                db[node] += d;
                let (dx, dw) = (&mut dx[i * k..][..k], &mut dw[node * k..][..k]);
                for j in 0..k {
                    dx[j] += d * w[j];
                    dw[j] += d * x[j];
                }
            }
            node = node << 1 | bit;
        }
    }
}

/// Sum of products, in sixteen lanes so that it vectorises.
#[inline]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (a16, a_rest) = a.as_chunks::<16>();
    let (b16, b_rest) = b.as_chunks::<16>();
    for (a, b) in a16.iter().zip(b16) {
        for i in 0..16 {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}
