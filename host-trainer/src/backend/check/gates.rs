//! Non-linear functions.

use super::{Case, Error, Random, Timed, Unit, Work};
use crate::backend::{Backend, BackendError};

/// Lengths with whole fours and without, less and more than a block.
const LENGTHS: [usize; 5] = [1, 4, 127, 1024, 2051];
/// Numbers that fill a GPU.
const LARGE: usize = 1 << 27;
/// The largest activation of the networks that run in integers.
const LARGEST: f32 = 32767.0 / 2048.0;

/// The functions and their derivatives.
fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
}

fn gelu_slope(x: f64) -> f64 {
    let factor = (2.0 / std::f64::consts::PI).sqrt();
    let tanh = (factor * (x + 0.044_715 * x.powi(3))).tanh();
    0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * factor * (1.0 + 3.0 * 0.044_715 * x * x)
}

fn relu_slope(x: f64) -> f64 {
    f64::from(u8::from(x > 0.0 && x < f64::from(LARGEST)))
}

/// An operation, started on given numbers: inputs, and outputs to write.
type Start<B> = fn(
    &B,
    &[<B as crate::backend::Device>::Buffer<f32>],
    &mut [<B as crate::backend::Device>::Buffer<f32>],
) -> Result<(), BackendError>;

/// Numbers to -24 and 24, with the edges of the functions among them. The first is where no function nears 0, for it may stand
/// alone, and errors are relative.
fn numbers(random: &mut Random, len: usize) -> Vec<f32> {
    let mut x = random.floats(len);
    x.iter_mut().for_each(|x| *x *= 24.0);
    x[0] = x[0].abs() / 12.0;
    for (x, edge) in x.iter_mut().skip(3).step_by(7).zip([0.0, LARGEST, -LARGEST, 2000.0, -2000.0, 1e-4, -0.0]) {
        *x = edge;
    }
    x
}

/// Compares an operation of `N` inputs with `expected`, a function of them for each output.
fn check<B: Backend, const N: usize>(
    b: &B,
    random: &mut Random,
    start: Start<B>,
    expected: &[fn([f64; N]) -> f64],
) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 3e-6 };
    for len in LENGTHS {
        let inputs: [Vec<f32>; N] = std::array::from_fn(|_| numbers(random, len));
        let on_device: Vec<_> = inputs.iter().map(|x| b.upload(x)).collect::<Result<_, _>>()?;
        let poison = || b.upload(&vec![f32::NAN; len]);
        let mut outputs: Vec<_> = expected.iter().map(|_| poison()).collect::<Result<_, _>>()?;
        start(b, &on_device, &mut outputs)?;
        for (output, expected) in outputs.iter().zip(expected) {
            let expected: Vec<f64> =
                (0..len).map(|i| expected(std::array::from_fn(|k| f64::from(inputs[k][i])))).collect();
            worst = worst.worst(Error::between(&b.download(output)?, &expected, 3e-6));
        }
    }
    Ok(worst)
}

fn time<'a, B: Backend>(
    b: &'a B,
    random: &mut Random,
    start: Start<B>,
    [inputs, outputs]: [usize; 2],
    operations: f64,
) -> Result<Timed<'a>, BackendError> {
    let given: Vec<_> = (0..inputs).map(|_| b.upload(&random.floats(LARGE))).collect::<Result<_, _>>()?;
    let mut made: Vec<_> = (0..outputs).map(|_| b.zeros(LARGE)).collect::<Result<_, _>>()?;
    let bytes = (4 * (inputs + outputs) * LARGE) as f64;
    let work = Work { bytes, operations: operations * LARGE as f64, unit: Unit::Fma };
    Ok((work, Box::new(move || start(b, &given, &mut made))))
}

fn start_gelu<B: Backend>(b: &B, x: &[B::Buffer<f32>], y: &mut [B::Buffer<f32>]) -> Result<(), BackendError> {
    b.gelu(&x[0], &mut y[0])
}

fn start_gelu_gradient<B: Backend>(b: &B, x: &[B::Buffer<f32>], y: &mut [B::Buffer<f32>]) -> Result<(), BackendError> {
    b.gelu_gradient(&x[0], &x[1], &mut y[0])
}

fn start_gate<B: Backend>(b: &B, x: &[B::Buffer<f32>], y: &mut [B::Buffer<f32>]) -> Result<(), BackendError> {
    b.sigmoid_gate(&x[0], &x[1], &mut y[0])
}

fn start_gate_gradients<B: Backend>(b: &B, x: &[B::Buffer<f32>], y: &mut [B::Buffer<f32>]) -> Result<(), BackendError> {
    let (d_x, d_gate) = y.split_at_mut(1);
    b.sigmoid_gate_gradients(&x[0], &x[1], &x[2], &mut d_x[0], &mut d_gate[0])
}

fn start_relu<B: Backend>(b: &B, x: &[B::Buffer<f32>], y: &mut [B::Buffer<f32>]) -> Result<(), BackendError> {
    b.clipped_relu(LARGEST, &x[0], &mut y[0])
}

fn start_relu_gradient<B: Backend>(b: &B, x: &[B::Buffer<f32>], y: &mut [B::Buffer<f32>]) -> Result<(), BackendError> {
    b.clipped_relu_gradient(LARGEST, &x[0], &x[1], &mut y[0])
}

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case {
            name: "gelu",
            kernels: &["gelu"],
            check: |b, random| check(b, random, start_gelu, &[|[x]| gelu(x)]),
            time: Some(|b, random| time(b, random, start_gelu, [1, 1], 9.0)),
        },
        Case {
            name: "gelu_gradient",
            kernels: &["gelu_gradient"],
            check: |b, random| check(b, random, start_gelu_gradient, &[|[x, d]| d * gelu_slope(x)]),
            time: Some(|b, random| time(b, random, start_gelu_gradient, [2, 1], 16.0)),
        },
        Case {
            name: "sigmoid_gate",
            kernels: &["sigmoid_gate"],
            check: |b, random| check(b, random, start_gate, &[|[x, gate]| x * sigmoid(gate)]),
            time: Some(|b, random| time(b, random, start_gate, [2, 1], 5.0)),
        },
        Case {
            name: "sigmoid_gate_gradients",
            kernels: &["sigmoid_gate_gradients"],
            check: |b, random| {
                let d_gate = |[x, gate, d]: [f64; 3]| d * x * sigmoid(gate) * sigmoid(-gate);
                check(b, random, start_gate_gradients, &[|[_, gate, d]| d * sigmoid(gate), d_gate])
            },
            time: Some(|b, random| time(b, random, start_gate_gradients, [3, 2], 9.0)),
        },
        Case {
            name: "clipped_relu",
            kernels: &["clipped_relu"],
            check: |b, random| check(b, random, start_relu, &[|[x]| x.clamp(0.0, f64::from(LARGEST))]),
            time: Some(|b, random| time(b, random, start_relu, [1, 1], 2.0)),
        },
        Case {
            name: "clipped_relu_gradient",
            kernels: &["clipped_relu_gradient"],
            check: |b, random| check(b, random, start_relu_gradient, &[|[x, d]| d * relu_slope(x)]),
            time: Some(|b, random| time(b, random, start_relu_gradient, [2, 1], 2.0)),
        },
    ]
}
