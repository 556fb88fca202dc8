//! Attention with a bias for every pair of places.

use super::differences::{dot, gradient, wide};
use super::{Case, Error, Random, Timed, Unit, Work};
use crate::backend::{Backend, BackendError, Gradients, Heads, Inputs};

/// What rounding factors to bfloat16 costs a result of some products in a row.
const ALLOWED: f64 = 1e-2;

#[derive(Clone, Copy, PartialEq)]
enum Bias {
    None,
    Shared,
    Own,
}

/// Sizes that show edges: one place, odd lengths, more than one tile of each kind, each width of a kernel.
const SIZES: [(Heads, Bias); 6] = [
    (Heads { batch: 1, heads: 1, len: 1, width: 8, scale: 1.0, causal: false }, Bias::Own),
    (Heads { batch: 2, heads: 2, len: 5, width: 8, scale: 0.7, causal: true }, Bias::Shared),
    (Heads { batch: 2, heads: 1, len: 37, width: 24, scale: 0.5, causal: false }, Bias::Own),
    (Heads { batch: 2, heads: 2, len: 70, width: 40, scale: 0.3, causal: true }, Bias::Own),
    (Heads { batch: 2, heads: 1, len: 131, width: 64, scale: 0.25, causal: true }, Bias::Shared),
    (Heads { batch: 1, heads: 1, len: 130, width: 128, scale: 0.2, causal: false }, Bias::None),
];

/// Queries, keys, values and a bias, one after another.
struct Numbers<T> {
    q: Vec<T>,
    k: Vec<T>,
    v: Vec<T>,
    bias: Vec<T>,
}

impl Numbers<f32> {
    fn random(heads: &Heads, bias: Bias, random: &mut Random) -> Self {
        let numbers = heads.rows() * heads.width;
        let [q, k, v] = [random.floats(numbers), random.floats(numbers), random.floats(numbers)];
        let pairs = heads.heads * heads.len * heads.len;
        let bias = match bias {
            Bias::None => Vec::new(),
            Bias::Shared => random.floats(pairs),
            Bias::Own => random.floats(pairs * heads.batch),
        };
        Self { q, k, v, bias }
    }

    fn wide(&self) -> Numbers<f64> {
        Numbers { q: wide(&self.q), k: wide(&self.k), v: wide(&self.v), bias: wide(&self.bias) }
    }
}

impl Numbers<f64> {
    /// Where the bias of a query of a row's head starts.
    fn bias_at(&self, heads: &Heads, row: usize) -> usize {
        row * heads.len % self.bias.len().max(1)
    }

    /// Shares of a row, and the logarithm of their sum.
    fn shares(&self, heads: &Heads, row: usize) -> (Vec<f64>, f64) {
        let (len, width) = (heads.len, heads.width);
        let first = row / len * len;
        let score = |key: usize| {
            let product = dot(&self.q[row * width..][..width], &self.k[(first + key) * width..][..width]);
            let bias = if self.bias.is_empty() { 0.0 } else { self.bias[self.bias_at(heads, row) + key] };
            let out = heads.causal && key > row - first;
            if out { f64::NEG_INFINITY } else { f64::from(heads.scale) * product + bias }
        };
        let scores: Vec<f64> = (0..len).map(score).collect();
        let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if highest == f64::NEG_INFINITY {
            return (vec![0.0; len], highest);
        }
        let log = highest + scores.iter().map(|score| (score - highest).exp()).sum::<f64>().ln();
        (scores.iter().map(|score| (score - log).exp()).collect(), log)
    }

    /// What all rows draw.
    fn drawn(&self, heads: &Heads) -> Vec<f64> {
        let (len, width) = (heads.len, heads.width);
        let mut out = vec![0.0; heads.rows() * width];
        for (row, out) in out.chunks_mut(width).enumerate() {
            let values = self.v[row / len * len * width..].chunks(width);
            for (share, value) in self.shares(heads, row).0.iter().zip(values) {
                out.iter_mut().zip(value).for_each(|(out, value)| *out += share * value);
            }
        }
        out
    }

    /// Gradients of everything by `d_out`.
    fn gradients(&self, heads: &Heads, d_out: &[f64]) -> Self {
        let (len, width, scale) = (heads.len, heads.width, f64::from(heads.scale));
        let zeros = |like: &Vec<f64>| vec![0.0; like.len()];
        let mut to = Self { q: zeros(&self.q), k: zeros(&self.k), v: zeros(&self.v), bias: zeros(&self.bias) };
        for row in 0..heads.rows() {
            let (shares, _) = self.shares(heads, row);
            let d_row = &d_out[row * width..][..width];
            let key = |key: usize| (row / len * len + key) * width;
            let d_shares: Vec<f64> = (0..len).map(|at| dot(d_row, &self.v[key(at)..][..width])).collect();
            let mean = dot(&shares, &d_shares);
            for at in 0..len {
                let slope = shares[at] * (d_shares[at] - mean);
                for (i, d) in d_row.iter().enumerate() {
                    to.q[row * width + i] += scale * slope * self.k[key(at) + i];
                    to.k[key(at) + i] += scale * slope * self.q[row * width + i];
                    to.v[key(at) + i] += shares[at] * d;
                }
                if !self.bias.is_empty() {
                    let bias = self.bias_at(heads, row) + at;
                    to.bias[bias] += slope;
                }
            }
        }
        to
    }
}

/// Numbers on a device.
struct Uploaded<'a, B: Backend> {
    backend: &'a B,
    buffers: [B::Buffer<f32>; 4],
    biased: bool,
}

impl<'a, B: Backend> Uploaded<'a, B> {
    fn new(backend: &'a B, numbers: &Numbers<f32>) -> Result<Self, BackendError> {
        let up = |data: &[f32]| backend.upload(data);
        let buffers = [up(&numbers.q)?, up(&numbers.k)?, up(&numbers.v)?, up(&numbers.bias)?];
        Ok(Self { backend, buffers, biased: !numbers.bias.is_empty() })
    }

    /// As many NaN.
    fn poisoned(&self) -> Result<Self, BackendError> {
        let [q, k, v, bias] = self.buffers.each_ref().map(|buffer| vec![f32::NAN; self.backend.len(buffer)]);
        let mut all = Self::new(self.backend, &Numbers { q, k, v, bias })?;
        all.biased = self.biased;
        Ok(all)
    }

    fn inputs(&self) -> Inputs<'_, B::Buffer<f32>> {
        let [q, k, v, bias] = &self.buffers;
        Inputs { q, k, v, bias: self.biased.then_some(bias) }
    }

    fn gradients(&mut self) -> Gradients<'_, B::Buffer<f32>> {
        let [q, k, v, bias] = &mut self.buffers;
        Gradients { q, k, v, bias: self.biased.then_some(bias) }
    }
}

/// Takes out a key for one query, all keys for another: the first of those without a cause, the second of all others.
fn take_out(heads: &Heads, numbers: &mut Numbers<f32>) {
    if numbers.bias.len() > 4 * heads.len {
        numbers.bias[3 * heads.len + 1] = f32::NEG_INFINITY;
        numbers.bias[2 * heads.len..3 * heads.len].fill(f32::NEG_INFINITY);
    }
}

fn check<B: Backend>(b: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: ALLOWED };
    for (heads, bias) in SIZES {
        let mut numbers = Numbers::random(&heads, bias, random);
        take_out(&heads, &mut numbers);
        let rows = heads.rows();
        let mut out = b.upload(&vec![f32::NAN; rows * heads.width])?;
        let mut logs = b.upload(&vec![f32::NAN; rows])?;
        b.attention(&heads, &Uploaded::new(b, &numbers)?.inputs(), &mut out, &mut logs)?;
        let numbers = numbers.wide();
        worst = worst.worst(Error::between(&b.download(&out)?, &numbers.drawn(&heads), ALLOWED));
        let expected: Vec<f64> = (0..rows).map(|row| numbers.shares(&heads, row).1).collect();
        let found = b.download(&logs)?;
        let of_nothing = |row: &usize| expected[*row] == f64::NEG_INFINITY;
        let same = (0..rows).filter(of_nothing).all(|row| found[row] == f32::NEG_INFINITY);
        let (found, expected): (Vec<f32>, Vec<f64>) =
            (0..rows).filter(|row| !of_nothing(row)).map(|row| (found[row], expected[row])).unzip();
        let error = Error::between(&found, &expected, ALLOWED);
        worst = worst.worst(if same { error } else { Error { found: f64::NAN, ..error } });
    }
    Ok(worst)
}

/// Runs forward and backward: the gradients.
fn back<B: Backend>(b: &B, heads: &Heads, numbers: &Numbers<f32>, d_out: &[f32]) -> Result<Numbers<f32>, BackendError> {
    let (mut out, mut logs) = (b.zeros(heads.rows() * heads.width)?, b.zeros(heads.rows())?);
    let on_device = Uploaded::new(b, numbers)?;
    b.attention(heads, &on_device.inputs(), &mut out, &mut logs)?;
    let mut gradients = on_device.poisoned()?;
    b.attention_back(heads, &on_device.inputs(), &out, &logs, &b.upload(d_out)?, &mut gradients.gradients())?;
    let [q, k, v, bias] = &gradients.buffers;
    Ok(Numbers { q: b.download(q)?, k: b.download(k)?, v: b.download(v)?, bias: b.download(bias)? })
}

fn check_back<B: Backend>(b: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: ALLOWED };
    for (heads, bias) in SIZES {
        let mut numbers = Numbers::random(&heads, bias, random);
        take_out(&heads, &mut numbers);
        let d_out = random.floats(heads.rows() * heads.width);
        let found = back(b, &heads, &numbers, &d_out)?;
        let expected = numbers.wide().gradients(&heads, &wide(&d_out));
        worst = worst.worst(Error::between(&found.v, &expected.v, ALLOWED));
        if heads.len == 1 {
            // One share is 1, whatever the score.
            continue;
        }
        worst = worst.worst(Error::between(&found.q, &expected.q, ALLOWED));
        worst = worst.worst(Error::between(&found.k, &expected.k, ALLOWED));
        worst = worst.worst(Error::between(&found.bias, &expected.bias, ALLOWED));
    }
    // Beside the differences of what is drawn, with nothing taken out.
    let (heads, bias) = SIZES[1];
    let numbers = Numbers::random(&heads, bias, random);
    let d_out = random.floats(heads.rows() * heads.width);
    let found = back(b, &heads, &numbers, &d_out)?;
    let (numbers, d_out) = (numbers.wide(), wide(&d_out));
    let loss = |q: &[f64], k: &[f64], v: &[f64], bias: &[f64]| {
        let numbers = Numbers { q: q.to_vec(), k: k.to_vec(), v: v.to_vec(), bias: bias.to_vec() };
        dot(&numbers.drawn(&heads), &d_out)
    };
    let Numbers { q, k, v, bias } = &numbers;
    worst = worst.worst(Error::between(&found.q, &gradient(q, |q| loss(q, k, v, bias)), ALLOWED));
    worst = worst.worst(Error::between(&found.k, &gradient(k, |k| loss(q, k, v, bias)), ALLOWED));
    worst = worst.worst(Error::between(&found.v, &gradient(v, |v| loss(q, k, v, bias)), ALLOWED));
    worst = worst.worst(Error::between(&found.bias, &gradient(bias, |bias| loss(q, k, v, bias)), ALLOWED));
    Ok(worst)
}

/// Heads that fill a GPU.
const LARGE: Heads = Heads { batch: 8, heads: 16, len: 2048, width: 64, scale: 0.125, causal: false };

/// Bytes of queries, of a bias, and operations of one product of all pairs.
fn large(bias: Bias) -> [f64; 3] {
    let rows = LARGE.rows() as f64;
    let pairs = rows * LARGE.len as f64;
    let biases = match bias {
        Bias::None => 0.0,
        Bias::Shared => pairs / LARGE.batch as f64,
        Bias::Own => pairs,
    };
    [4.0 * rows * LARGE.width as f64, 4.0 * biases, 2.0 * pairs * LARGE.width as f64]
}

fn time<'a, B: Backend>(b: &'a B, random: &mut Random, bias: Bias) -> Result<Timed<'a>, BackendError> {
    let on_device = Uploaded::new(b, &Numbers::random(&LARGE, bias, random))?;
    let (mut out, mut logs) = (b.zeros(LARGE.rows() * LARGE.width)?, b.zeros(LARGE.rows())?);
    let [row_bytes, bias_bytes, product] = large(bias);
    let work = Work { bytes: 4.0 * row_bytes + bias_bytes, operations: 2.0 * product, unit: Unit::Bf16 };
    Ok((work, Box::new(move || b.attention(&LARGE, &on_device.inputs(), &mut out, &mut logs))))
}

fn time_back<'a, B: Backend>(b: &'a B, random: &mut Random, bias: Bias) -> Result<Timed<'a>, BackendError> {
    let on_device = Uploaded::new(b, &Numbers::random(&LARGE, bias, random))?;
    let mut gradients = on_device.poisoned()?;
    let (mut out, mut logs) = (b.zeros(LARGE.rows() * LARGE.width)?, b.zeros(LARGE.rows())?);
    b.attention(&LARGE, &on_device.inputs(), &mut out, &mut logs)?;
    let d_out = b.upload(&random.floats(LARGE.rows() * LARGE.width))?;
    let [row_bytes, bias_bytes, product] = large(bias);
    let work = Work { bytes: 8.0 * row_bytes + 2.0 * bias_bytes, operations: 5.0 * product, unit: Unit::Bf16 };
    let run = move || b.attention_back(&LARGE, &on_device.inputs(), &out, &logs, &d_out, &mut gradients.gradients());
    Ok((work, Box::new(run)))
}

const FORWARD: &[&str] = &["attention_rows", "attention_32", "attention_64", "attention_128"];
const BACKWARD: &[&str] = &[
    "attention_rows",
    "attention_delta",
    "attention_queries_32",
    "attention_queries_64",
    "attention_queries_128",
    "attention_keys_32",
    "attention_keys_64",
    "attention_keys_128",
    "attention_bias_32",
    "attention_bias_64",
    "attention_bias_128",
];

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case {
            name: "attention, a bias for each of the batch",
            kernels: FORWARD,
            check,
            time: Some(|b, random| time(b, random, Bias::Own)),
        },
        Case {
            name: "attention, one bias",
            kernels: FORWARD,
            check,
            time: Some(|b, random| time(b, random, Bias::Shared)),
        },
        Case {
            name: "attention_back, a bias for each of the batch",
            kernels: BACKWARD,
            check: check_back,
            time: Some(|b, random| time_back(b, random, Bias::Own)),
        },
        Case {
            name: "attention_back, one bias",
            kernels: BACKWARD,
            check: check_back,
            time: Some(|b, random| time_back(b, random, Bias::Shared)),
        },
    ]
}
