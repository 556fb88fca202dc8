//! Attention on the CPU: heads in threads, the scores of one head at a time.

use super::Cpu;
use super::matmul::view;
use crate::backend::{Attention, BackendError, Gradients, Heads, Inputs};
use crate::train::neural::layers::{dot, linear};
use ndarray::ArrayViewMut2;
use ndarray::linalg::general_mat_mul;

/// `c [m, n] = a b`, of a row-major `a [m, k]`, or its transpose `a [k, m]`, and `b [k, n]`.
fn multiply(transposed: bool, [m, n, k]: [usize; 3], a: &[f32], b: &[f32], c: &mut [f32]) {
    let a = if transposed { view(a, k, m).reversed_axes() } else { view(a, m, k) };
    let mut c = ArrayViewMut2::from_shape((m, n), c).expect("lengths have been checked");
    general_mat_mul(1.0, &a, &view(b, k, n), 0.0, &mut c);
}

/// One head of one alignment.
struct Head<'a> {
    sizes: &'a Heads,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    bias: Option<&'a [f32]>,
}

impl<'a> Head<'a> {
    /// Head `index` of all alignments.
    fn new(sizes: &'a Heads, inputs: &Inputs<'a, Vec<f32>>, index: usize) -> Self {
        let (numbers, pairs) = (sizes.len * sizes.width, sizes.len * sizes.len);
        let part = |all: &'a [f32]| &all[index * numbers..][..numbers];
        let bias = inputs.bias.map(|bias| {
            let index = if sizes.shares_bias(bias.len()) { index % sizes.heads } else { index };
            &bias[index * pairs..][..pairs]
        });
        Self { sizes, q: part(inputs.q), k: part(inputs.k), v: part(inputs.v), bias }
    }

    /// Scores `[len, len]`; -infinity for pairs that are out.
    fn scores(&self) -> Vec<f32> {
        let (len, width) = (self.sizes.len, self.sizes.width);
        let mut scores = vec![0.0; len * len];
        linear(self.q, self.k, None, &mut scores, (len, width, len), false);
        for (query, scores) in scores.chunks_exact_mut(len).enumerate() {
            for (key, score) in scores.iter_mut().enumerate() {
                let out = self.sizes.causal && key > query;
                let bias = self.bias.map_or(0.0, |bias| bias[query * len + key]);
                *score = if out { f32::NEG_INFINITY } else { *score * self.sizes.scale + bias };
            }
        }
        scores
    }

    /// Shares `[len, len]` by the logarithms of the sums.
    fn shares(&self, logs: &[f32]) -> Vec<f32> {
        let mut scores = self.scores();
        for (scores, log) in scores.chunks_exact_mut(self.sizes.len).zip(logs) {
            let share = |score: f32| if *log == f32::NEG_INFINITY { 0.0 } else { (score - log).exp() };
            scores.iter_mut().for_each(|score| *score = share(*score));
        }
        scores
    }

    /// Gradients of the scores, of shares and the gradient of what is drawn.
    fn slopes(&self, shares: &[f32], out: &[f32], d_out: &[f32]) -> Vec<f32> {
        let (len, width) = (self.sizes.len, self.sizes.width);
        let mut slopes = vec![0.0; len * len];
        linear(d_out, self.v, None, &mut slopes, (len, width, len), false);
        for (row, slopes) in slopes.chunks_exact_mut(len).enumerate() {
            let mean = dot(&out[row * width..][..width], &d_out[row * width..][..width]);
            slopes.iter_mut().zip(&shares[row * len..]).for_each(|(slope, share)| *slope = share * (*slope - mean));
        }
        slopes
    }
}

impl Attention for Cpu {
    fn attention(
        &self,
        sizes: &Heads,
        inputs: &Inputs<'_, Vec<f32>>,
        out: &mut Vec<f32>,
        logs: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        sizes.check(inputs, Vec::len)?;
        let (len, width) = (sizes.len, sizes.width);
        sizes.check_out(out.len(), logs.len())?;
        self.rows(logs, len, |first, logs| {
            for (index, logs) in (first..).zip(logs.chunks_exact_mut(len)) {
                let scores = Head::new(sizes, inputs, index).scores();
                for (log, scores) in logs.iter_mut().zip(scores.chunks_exact(len)) {
                    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    let sum: f32 = scores.iter().map(|score| (score - highest).exp()).sum();
                    *log = if highest == f32::NEG_INFINITY { highest } else { highest + sum.ln() };
                }
            }
        });
        self.rows(out, len * width, |first, out| {
            for (index, out) in (first..).zip(out.chunks_exact_mut(len * width)) {
                let head = Head::new(sizes, inputs, index);
                multiply(false, [len, width, len], &head.shares(&logs[index * len..][..len]), head.v, out);
            }
        });
        Ok(())
    }

    fn attention_back(
        &self,
        sizes: &Heads,
        inputs: &Inputs<'_, Vec<f32>>,
        out: &Vec<f32>,
        logs: &Vec<f32>,
        d_out: &Vec<f32>,
        gradients: &mut Gradients<'_, Vec<f32>>,
    ) -> Result<(), BackendError> {
        sizes.check(inputs, Vec::len)?;
        let (len, width) = (sizes.len, sizes.width);
        let numbers = len * width;
        sizes.check_out(out.len(), logs.len())?;
        sizes.check_back(inputs, d_out, gradients, Vec::len)?;
        let shares = |index: usize| Head::new(sizes, inputs, index).shares(&logs[index * len..][..len]);
        let slopes = |index: usize| {
            let (out, d_out) = (&out[index * numbers..][..numbers], &d_out[index * numbers..][..numbers]);
            Head::new(sizes, inputs, index).slopes(&shares(index), out, d_out)
        };
        self.rows(gradients.v, numbers, |first, dv| {
            for (index, dv) in (first..).zip(dv.chunks_exact_mut(numbers)) {
                multiply(true, [len, width, len], &shares(index), &d_out[index * numbers..][..numbers], dv);
            }
        });
        for (transposed, other, to) in [(false, inputs.k, &mut *gradients.q), (true, inputs.q, &mut *gradients.k)] {
            self.rows(to, numbers, |first, to| {
                for (index, to) in (first..).zip(to.chunks_exact_mut(numbers)) {
                    let other = &other[index * numbers..][..numbers];
                    multiply(transposed, [len, width, len], &slopes(index), other, to);
                    to.iter_mut().for_each(|to| *to *= sizes.scale);
                }
            });
        }
        if let Some(bias) = &mut gradients.bias {
            let shared = sizes.shares_bias(bias.len());
            self.rows(bias, len * len, |first, bias| {
                for (index, bias) in (first..).zip(bias.chunks_exact_mut(len * len)) {
                    bias.fill(0.0);
                    let step = sizes.heads;
                    for head in (index..if shared { sizes.batch * step } else { index + 1 }).step_by(step) {
                        bias.iter_mut().zip(slopes(head)).for_each(|(bias, slope)| *bias += slope);
                    }
                }
            });
        }
        Ok(())
    }
}
