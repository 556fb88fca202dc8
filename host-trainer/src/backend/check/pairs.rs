//! Pairs of columns.

use super::differences::{dot, gradient, wide};
use super::{Case, Error, Random, Timed, Unit, Work};
use crate::backend::{Backend, BackendError, Outer, Triangle};

/// One number, channels that are not aligned, more than a tile of rows, and of numbers.
const OUTERS: [Outer; 4] = [
    Outer { rows: 1, len: 1, channels: 1 },
    Outer { rows: 5, len: 7, channels: 3 },
    Outer { rows: 131, len: 3, channels: 8 },
    Outer { rows: 20, len: 35, channels: 4 },
];
/// One number, channels that are not aligned, more than a tile.
const TRIANGLES: [[usize; 2]; 4] = [[1, 1], [6, 3], [67, 12], [130, 4]];
/// Sizes that fill a GPU.
const LARGE_OUTER: Outer = Outer { rows: 128, len: 256, channels: 32 };
const LARGE_TRIANGLE: Triangle = Triangle { len: 256, channels: 128, causal: false, scale: 0.0625 };

/// Calls `term` with the places in `a`, `b`, the products and the shares of every product.
fn outer(Outer { rows, len, channels: c }: Outer, mut term: impl FnMut(usize, usize, usize, usize)) {
    for r in 0..rows {
        for (i, j) in (0..len).flat_map(|i| (0..len).map(move |j| (i, j))) {
            for (p, q) in (0..c).flat_map(|p| (0..c).map(move |q| (p, q))) {
                let (a, b) = ((r * len + i) * c + p, (r * len + j) * c + q);
                term(a, b, ((i * len + j) * c + p) * c + q, i * len + j);
            }
        }
    }
}

fn outer_mean(sizes: Outer, a: &[f64], b: &[f64], shares: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; (sizes.len * sizes.channels).pow(2)];
    outer(sizes, |x, y, to, pair| out[to] += shares[pair] * a[x] * b[y]);
    out
}

/// Factors, shares or none, and the shares that are meant.
type Outers = ([Vec<f32>; 2], Option<Vec<f32>>, Vec<f64>);

fn outers(sizes: Outer, random: &mut Random) -> Outers {
    let numbers = sizes.rows * sizes.len * sizes.channels;
    let factors = [random.floats(numbers), random.floats(numbers)];
    let shares = (sizes.rows != 20).then(|| random.floats(sizes.len.pow(2)));
    let meant = shares.as_ref().map_or(vec![1.0 / sizes.rows as f64; sizes.len.pow(2)], |shares| wide(shares));
    (factors, shares, meant)
}

fn check_outer<B: Backend>(b: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 1e-6 };
    for sizes in OUTERS {
        let ([x, y], shares, meant) = outers(sizes, random);
        let mut out = b.upload(&vec![f32::NAN; (sizes.len * sizes.channels).pow(2)])?;
        let shares = shares.map(|shares| b.upload(&shares)).transpose()?;
        b.outer_mean(sizes, &b.upload(&x)?, &b.upload(&y)?, shares.as_ref(), &mut out)?;
        let expected = outer_mean(sizes, &wide(&x), &wide(&y), &meant);
        worst = worst.worst(Error::between(&b.download(&out)?, &expected, 1e-6));
    }
    Ok(worst)
}

fn check_outer_back<B: Backend>(b: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 2e-6 };
    for sizes in OUTERS {
        let ([x, y], shares, meant) = outers(sizes, random);
        let d_out = random.floats((sizes.len * sizes.channels).pow(2));
        let mut gradients = [b.upload(&vec![f32::NAN; x.len()])?, b.upload(&vec![f32::NAN; x.len()])?];
        let shares = shares.map(|shares| b.upload(&shares)).transpose()?;
        let on_device = [b.upload(&x)?, b.upload(&y)?, b.upload(&d_out)?];
        let [on_x, on_y, on_d] = &on_device;
        b.outer_mean_back(sizes, on_x, on_y, shares.as_ref(), on_d, gradients.each_mut())?;
        let found = [b.download(&gradients[0])?, b.download(&gradients[1])?];
        let (x, y, d_out) = (wide(&x), wide(&y), wide(&d_out));
        let (mut d_x, mut d_y) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        outer(sizes, |a, b, at, pair| {
            d_x[a] += meant[pair] * d_out[at] * y[b];
            d_y[b] += meant[pair] * d_out[at] * x[a];
        });
        worst = worst.worst(Error::between(&found[0], &d_x, 2e-6));
        worst = worst.worst(Error::between(&found[1], &d_y, 2e-6));
        if sizes.rows == 5 {
            let d_x = gradient(&x, |x| dot(&outer_mean(sizes, x, &y, &meant), &d_out));
            let d_y = gradient(&y, |y| dot(&outer_mean(sizes, &x, y, &meant), &d_out));
            worst = worst.worst(Error::between(&found[0], &d_x, 2e-6));
            worst = worst.worst(Error::between(&found[1], &d_y, 2e-6));
        }
    }
    Ok(worst)
}

/// Calls `term` with the places in `a`, `b` and the sums of every product.
fn triangles(rules: &Triangle, mut term: impl FnMut(usize, usize, usize)) {
    let Triangle { len, channels, causal, .. } = *rules;
    for (i, j) in (0..len).flat_map(|i| (0..len).map(move |j| (i, j))) {
        for k in (0..len).filter(|k| !causal || (*k <= j && j <= i)) {
            for c in 0..channels {
                let place = |row: usize, column: usize| (row * len + column) * channels + c;
                term(place(i, k), place(j, k), place(i, j));
            }
        }
    }
}

fn triangle(rules: &Triangle, a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; a.len()];
    triangles(rules, |x, y, to| out[to] += f64::from(rules.scale) * a[x] * b[y]);
    out
}

/// All sizes, with and without a cause.
fn rules() -> impl Iterator<Item = Triangle> {
    let both = |[len, channels]: [usize; 2]| {
        [false, true].map(|causal| Triangle { len, channels, causal, scale: 1.0 / len as f32 })
    };
    TRIANGLES.into_iter().flat_map(both)
}

fn check_triangle<B: Backend>(b: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 1e-6 };
    for rules in rules() {
        let pairs = rules.len.pow(2) * rules.channels;
        let (x, y) = (random.floats(pairs), random.floats(pairs));
        let mut out = b.upload(&vec![f32::NAN; pairs])?;
        b.triangle(&rules, &b.upload(&x)?, &b.upload(&y)?, &mut out)?;
        let expected = triangle(&rules, &wide(&x), &wide(&y));
        worst = worst.worst(Error::between(&b.download(&out)?, &expected, 1e-6));
    }
    Ok(worst)
}

fn check_triangle_back<B: Backend>(b: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 2e-6 };
    for rules in rules() {
        let pairs = rules.len.pow(2) * rules.channels;
        let (x, y, d_out) = (random.floats(pairs), random.floats(pairs), random.floats(pairs));
        let mut gradients = [b.upload(&vec![f32::NAN; pairs])?, b.upload(&vec![f32::NAN; pairs])?];
        let on_device = [b.upload(&x)?, b.upload(&y)?, b.upload(&d_out)?];
        let [on_x, on_y, on_d] = &on_device;
        b.triangle_back(&rules, on_x, on_y, on_d, gradients.each_mut())?;
        let found = [b.download(&gradients[0])?, b.download(&gradients[1])?];
        let (x, y, d_out) = (wide(&x), wide(&y), wide(&d_out));
        let (mut d_x, mut d_y) = (vec![0.0; pairs], vec![0.0; pairs]);
        let scale = f64::from(rules.scale);
        triangles(&rules, |a, b, at| {
            d_x[a] += scale * d_out[at] * y[b];
            d_y[b] += scale * d_out[at] * x[a];
        });
        worst = worst.worst(Error::between(&found[0], &d_x, 2e-6));
        worst = worst.worst(Error::between(&found[1], &d_y, 2e-6));
        if rules.len == 6 {
            let d_x = gradient(&x, |x| dot(&triangle(&rules, x, &y), &d_out));
            let d_y = gradient(&y, |y| dot(&triangle(&rules, &x, y), &d_out));
            worst = worst.worst(Error::between(&found[0], &d_x, 2e-6));
            worst = worst.worst(Error::between(&found[1], &d_y, 2e-6));
        }
    }
    Ok(worst)
}

/// Bytes of a factor and of the products, and operations, of the large outer-product mean.
fn large_outer() -> [f64; 3] {
    let Outer { rows, len, channels } = LARGE_OUTER;
    let (width, rows) = ((len * channels) as f64, rows as f64);
    [4.0 * rows * width, 4.0 * width * width, 2.0 * rows * width * width]
}

fn time_outer<'a, B: Backend>(b: &'a B, random: &mut Random) -> Result<Timed<'a>, BackendError> {
    let ([x, y], ..) = outers(LARGE_OUTER, random);
    let (x, y) = (b.upload(&x)?, b.upload(&y)?);
    let mut out = b.zeros((LARGE_OUTER.len * LARGE_OUTER.channels).pow(2))?;
    let [factor, products, operations] = large_outer();
    let work = Work { bytes: 2.0 * factor + products, operations, unit: Unit::Fma };
    Ok((work, Box::new(move || b.outer_mean(LARGE_OUTER, &x, &y, None, &mut out))))
}

fn time_outer_back<'a, B: Backend>(b: &'a B, random: &mut Random) -> Result<Timed<'a>, BackendError> {
    let ([x, y], ..) = outers(LARGE_OUTER, random);
    let mut gradients = [b.zeros(x.len())?, b.zeros(x.len())?];
    let (x, y) = (b.upload(&x)?, b.upload(&y)?);
    let d_out = b.upload(&random.floats((LARGE_OUTER.len * LARGE_OUTER.channels).pow(2)))?;
    let [factor, products, operations] = large_outer();
    let work = Work { bytes: 4.0 * factor + products, operations: 2.0 * operations, unit: Unit::Fma };
    let run = move || b.outer_mean_back(LARGE_OUTER, &x, &y, None, &d_out, gradients.each_mut());
    Ok((work, Box::new(run)))
}

/// Numbers of the large triangle update, and its operations.
fn large_triangle() -> [usize; 2] {
    let Triangle { len, channels, .. } = LARGE_TRIANGLE;
    [len.pow(2) * channels, 2 * len.pow(3) * channels]
}

fn time_triangle<'a, B: Backend>(b: &'a B, random: &mut Random) -> Result<Timed<'a>, BackendError> {
    let [pairs, operations] = large_triangle();
    let (x, y, mut out) = (b.upload(&random.floats(pairs))?, b.upload(&random.floats(pairs))?, b.zeros(pairs)?);
    let work = Work { bytes: 12.0 * pairs as f64, operations: operations as f64, unit: Unit::Fma };
    Ok((work, Box::new(move || b.triangle(&LARGE_TRIANGLE, &x, &y, &mut out))))
}

fn time_triangle_back<'a, B: Backend>(b: &'a B, random: &mut Random) -> Result<Timed<'a>, BackendError> {
    let [pairs, operations] = large_triangle();
    let (x, y) = (b.upload(&random.floats(pairs))?, b.upload(&random.floats(pairs))?);
    let d_out = b.upload(&random.floats(pairs))?;
    let mut gradients = [b.zeros(pairs)?, b.zeros(pairs)?];
    let work = Work { bytes: 20.0 * pairs as f64, operations: 2.0 * operations as f64, unit: Unit::Fma };
    let run = move || b.triangle_back(&LARGE_TRIANGLE, &x, &y, &d_out, gradients.each_mut());
    Ok((work, Box::new(run)))
}

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case { name: "outer_mean", kernels: &["outer_mean"], check: check_outer, time: Some(time_outer) },
        Case {
            name: "outer_mean_back",
            kernels: &["outer_mean_back"],
            check: check_outer_back,
            time: Some(time_outer_back),
        },
        Case { name: "triangle", kernels: &["triangle"], check: check_triangle, time: Some(time_triangle) },
        Case {
            name: "triangle_back",
            kernels: &["triangle"],
            check: check_triangle_back,
            time: Some(time_triangle_back),
        },
    ]
}
