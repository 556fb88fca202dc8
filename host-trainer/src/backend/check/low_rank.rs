//! Layers with low-rank adapters.

use super::{Case, Error, Random, Timed, Unit, Work};
use crate::backend::{Backend, BackendError, LowRankShape};

/// Rows, inputs, outputs and ranks: one of everything; rows of no whole fours; one tile and more, of each.
const SHAPES: [[usize; 4]; 6] =
    [[1, 1, 1, 1], [5, 7, 9, 3], [70, 132, 36, 16], [33, 520, 260, 20], [130, 20, 515, 64], [150, 516, 8, 1]];
const SCALE: f32 = 0.75;

/// A layer, a batch and a gradient.
struct Layer {
    shape: LowRankShape,
    x: Vec<f32>,
    w: Vec<f32>,
    down: Vec<f32>,
    up: Vec<f32>,
    d_y: Vec<f32>,
}

/// `a [m, k] b [k, n]`, both given as functions of their indices.
fn product([m, n, k]: [usize; 3], a: impl Fn(usize, usize) -> f64, b: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    (0..m * n).map(|at| (0..k).map(|l| a(at / n, l) * b(l, at % n)).sum()).collect()
}

impl Layer {
    fn random([rows, inputs, outputs, rank]: [usize; 4], random: &mut Random) -> Self {
        Self {
            shape: LowRankShape { rows, inputs, outputs, rank },
            x: random.floats(rows * inputs),
            w: random.floats(outputs * inputs),
            down: random.floats(rank * inputs),
            up: random.floats(outputs * rank),
            d_y: random.floats(rows * outputs),
        }
    }

    /// The weights with the adapter added, `[outputs, inputs]`: what the layer stands for.
    fn weights(&self) -> Vec<f64> {
        let LowRankShape { inputs, outputs, rank, .. } = self.shape;
        let up = |i: usize, j: usize| f64::from(self.up[i * rank + j]);
        let added = product([outputs, inputs, rank], up, |j, k| f64::from(self.down[j * inputs + k]));
        self.w.iter().zip(added).map(|(w, added)| f64::from(*w) + f64::from(SCALE) * added).collect()
    }
}

fn forward<B: Backend>(b: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 2e-6 };
    for shape in SHAPES {
        let layer = Layer::random(shape, random);
        let LowRankShape { rows, inputs, outputs, rank } = layer.shape;
        let x = |i: usize, k: usize| f64::from(layer.x[i * inputs + k]);
        let weights = layer.weights();
        let expected = product([rows, outputs, inputs], x, |k, o| weights[o * inputs + k]);
        let expected_inner = product([rows, rank, inputs], x, |k, j| f64::from(layer.down[j * inputs + k]));
        let (x, w) = (b.upload(&layer.x)?, b.upload(&layer.w)?);
        let (down, up) = (b.upload(&layer.down)?, b.upload(&layer.up)?);
        let mut inner = b.upload(&vec![f32::NAN; rows * rank])?;
        let mut y = b.upload(&vec![f32::NAN; rows * outputs])?;
        b.low_rank(layer.shape, SCALE, &x, &w, &down, &up, &mut inner, &mut y)?;
        worst = worst.worst(Error::between(&b.download(&inner)?, &expected_inner, 2e-6));
        worst = worst.worst(Error::between(&b.download(&y)?, &expected, 2e-6));
    }
    Ok(worst)
}

fn gradients<B: Backend>(b: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 2e-6 };
    for shape in SHAPES {
        let layer = Layer::random(shape, random);
        let LowRankShape { rows, inputs, outputs, rank } = layer.shape;
        let (x, d_y) = (
            |i: usize, k: usize| f64::from(layer.x[i * inputs + k]),
            |i: usize, o: usize| f64::from(layer.d_y[i * outputs + o]),
        );
        let weights = layer.weights();
        let d_x = product([rows, inputs, outputs], d_y, |o, k| weights[o * inputs + k]);
        // Of the sum of weights and adapter, and from it of the adapter's factors.
        let d_w = product([outputs, inputs, rows], |o, i| f64::from(SCALE) * d_y(i, o), x);
        let up = |j: usize, o: usize| f64::from(layer.up[o * rank + j]);
        let d_down = product([rank, inputs, outputs], up, |o, k| d_w[o * inputs + k]);
        let down = |k: usize, j: usize| f64::from(layer.down[j * inputs + k]);
        let d_up = product([outputs, rank, inputs], |o, k| d_w[o * inputs + k], down);
        let (x, w) = (b.upload(&layer.x)?, b.upload(&layer.w)?);
        let (down, up, d_y) = (b.upload(&layer.down)?, b.upload(&layer.up)?, b.upload(&layer.d_y)?);
        let (mut inner, mut y) = (b.zeros(rows * rank)?, b.zeros(rows * outputs)?);
        b.low_rank(layer.shape, SCALE, &x, &w, &down, &up, &mut inner, &mut y)?;
        let poison = |len: usize| b.upload(&vec![f32::NAN; len]);
        let (mut of_down, mut of_up, mut of_x) =
            (poison(rank * inputs)?, poison(outputs * rank)?, poison(rows * inputs)?);
        b.low_rank_gradients(
            layer.shape,
            SCALE,
            &x,
            &w,
            &down,
            &up,
            &inner,
            &d_y,
            &mut of_down,
            &mut of_up,
            &mut of_x,
        )?;
        for (found, expected) in [(of_down, d_down), (of_up, d_up), (of_x, d_x)] {
            worst = worst.worst(Error::between(&b.download(&found)?, &expected, 2e-6));
        }
    }
    Ok(worst)
}

/// A layer that fills a GPU.
const LARGE: [usize; 4] = [1 << 15, 2048, 2048, 16];

fn work(numbers: usize, narrow: usize) -> Work {
    let [rows, inputs, outputs, rank] = LARGE;
    let operations = 2.0 * (rows * inputs) as f64 * outputs as f64 + 2.0 * (rows * rank * narrow) as f64;
    Work { bytes: 4.0 * numbers as f64, operations, unit: Unit::Fma }
}

fn time_forward<'a, B: Backend>(b: &'a B, random: &mut Random) -> Result<Timed<'a>, BackendError> {
    let [rows, inputs, outputs, rank] = LARGE;
    let layer = Layer::random(LARGE, random);
    let (x, w) = (b.upload(&layer.x)?, b.upload(&layer.w)?);
    let (down, up) = (b.upload(&layer.down)?, b.upload(&layer.up)?);
    let (mut inner, mut y) = (b.zeros(rows * rank)?, b.zeros(rows * outputs)?);
    let numbers = rows * (inputs + rank + outputs) + outputs * inputs + rank * (inputs + outputs);
    let run = move || b.low_rank(layer.shape, SCALE, &x, &w, &down, &up, &mut inner, &mut y);
    Ok((work(numbers, inputs + outputs), Box::new(run)))
}

fn time_gradients<'a, B: Backend>(b: &'a B, random: &mut Random) -> Result<Timed<'a>, BackendError> {
    let [rows, inputs, outputs, rank] = LARGE;
    let layer = Layer::random(LARGE, random);
    let (x, w) = (b.upload(&layer.x)?, b.upload(&layer.w)?);
    let (down, up, d_y) = (b.upload(&layer.down)?, b.upload(&layer.up)?, b.upload(&layer.d_y)?);
    let inner = b.upload(&random.floats(rows * rank))?;
    let (mut d_down, mut d_up) = (b.zeros(rank * inputs)?, b.zeros(outputs * rank)?);
    let mut d_x = b.zeros(rows * inputs)?;
    let numbers = rows * (2 * inputs + rank + outputs) + outputs * inputs + 2 * rank * (inputs + outputs);
    let run = move || {
        b.low_rank_gradients(layer.shape, SCALE, &x, &w, &down, &up, &inner, &d_y, &mut d_down, &mut d_up, &mut d_x)
    };
    Ok((work(numbers, 2 * (inputs + outputs)), Box::new(run)))
}

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case {
            name: "low_rank",
            kernels: &["matmul_f32", "narrow_transpose", "narrow_product", "narrow_add"],
            check: forward,
            time: Some(|b, random| time_forward(b, random)),
        },
        Case {
            name: "low_rank_gradients",
            kernels: &[
                "matmul_f32",
                "narrow_transpose",
                "narrow_product",
                "narrow_add",
                "narrow_gradient",
                "narrow_sum",
            ],
            check: gradients,
            time: Some(|b, random| time_gradients(b, random)),
        },
    ]
}
