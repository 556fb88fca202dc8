//! Pairs of columns on the CPU: products of matrices, by columns or channels in threads.

use super::Cpu;
use super::matmul::view;
use crate::backend::{BackendError, Outer, Pairs, Triangle, expect};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayViewMut2, s};

impl Outer {
    /// The share of a pair.
    fn share(&self, shares: Option<&Vec<f32>>, i: usize, j: usize) -> f32 {
        shares.map_or(1.0 / self.rows as f32, |shares| shares[i * self.len + j])
    }
}

impl Triangle {
    /// Whether the sum of pair `(i, j)` has term k.
    fn has(&self, i: usize, j: usize, k: usize) -> bool {
        !self.causal || (k <= j && j <= i)
    }
}

impl Pairs for Cpu {
    fn outer_mean(
        &self,
        sizes: Outer,
        a: &Vec<f32>,
        b: &Vec<f32>,
        shares: Option<&Vec<f32>>,
        out: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        sizes.check([a.len(), b.len()], shares.map(Vec::len), out.len())?;
        let (rows, len, c) = (sizes.rows, sizes.len, sizes.channels);
        let (a, b) = (view(a, rows, len * c), view(b, rows, len * c));
        self.rows(out, len * c * c, |first, out| {
            let mut products = vec![0.0; c * len * c];
            for (i, out) in (first..).zip(out.chunks_exact_mut(len * c * c)) {
                let mut to = ArrayViewMut2::from_shape((c, len * c), &mut products).expect("as long");
                general_mat_mul(1.0, &a.slice(s![.., i * c..(i + 1) * c]).t(), &b, 0.0, &mut to);
                for (j, out) in out.chunks_exact_mut(c * c).enumerate() {
                    let share = sizes.share(shares, i, j);
                    for (at, out) in out.iter_mut().enumerate() {
                        *out = share * products[(at / c * len + j) * c + at % c];
                    }
                }
            }
        });
        Ok(())
    }

    fn outer_mean_back(
        &self,
        sizes: Outer,
        a: &Vec<f32>,
        b: &Vec<f32>,
        shares: Option<&Vec<f32>>,
        d_out: &Vec<f32>,
        gradients: [&mut Vec<f32>; 2],
    ) -> Result<(), BackendError> {
        sizes.check([a.len(), b.len()], shares.map(Vec::len), d_out.len())?;
        let (len, c) = (sizes.len, sizes.channels);
        for (second, (other, to)) in [b, a].into_iter().zip(gradients).enumerate() {
            expect("length of a gradient", to.len(), sizes.factors())?;
            let slope = |at: usize, term: usize| {
                let ([i, p], [j, q]) = ([at / c, at % c], [term / c, term % c]);
                let ([i, p], [j, q]) = if second == 1 { ([j, q], [i, p]) } else { ([i, p], [j, q]) };
                sizes.share(shares, i, j) * d_out[((i * len + j) * c + p) * c + q]
            };
            self.rows(to, len * c, |first, to| {
                let rows = to.len() / (len * c);
                let other = &other[first * len * c..][..to.len()];
                let mut slopes = vec![0.0; len * c];
                // The gradients of one number of the factor at a time.
                for at in 0..len * c {
                    slopes.iter_mut().enumerate().for_each(|(term, to)| *to = slope(at, term));
                    for row in 0..rows {
                        let other = &other[row * len * c..][..len * c];
                        to[row * len * c + at] = crate::train::neural::layers::dot(&slopes, other);
                    }
                }
            });
        }
        Ok(())
    }

    fn triangle(&self, rules: &Triangle, a: &Vec<f32>, b: &Vec<f32>, out: &mut Vec<f32>) -> Result<(), BackendError> {
        let (len, c) = (rules.len, rules.channels);
        rules.check([("length of a", a.len()), ("length of b", b.len()), ("length of out", out.len())])?;
        self.rows(out, len * c, |first, out| {
            for (i, out) in (first..).zip(out.chunks_exact_mut(len * c)) {
                for (j, out) in out.chunks_exact_mut(c).enumerate() {
                    let terms = (0..len).filter(|k| rules.has(i, j, *k));
                    sum(rules.scale, terms.map(|k| [&a[(i * len + k) * c..], &b[(j * len + k) * c..]]), out);
                }
            }
        });
        Ok(())
    }

    fn triangle_back(
        &self,
        rules: &Triangle,
        a: &Vec<f32>,
        b: &Vec<f32>,
        d_out: &Vec<f32>,
        [d_a, d_b]: [&mut Vec<f32>; 2],
    ) -> Result<(), BackendError> {
        let (len, c) = (rules.len, rules.channels);
        rules.check(
            [a.len(), b.len(), d_out.len(), d_a.len(), d_b.len()].map(|len| ("length of a buffer of pairs", len)),
        )?;
        self.rows(d_a, len * c, |first, d_a| {
            for (i, d_a) in (first..).zip(d_a.chunks_exact_mut(len * c)) {
                for (k, d_a) in d_a.chunks_exact_mut(c).enumerate() {
                    let terms = (0..len).filter(|j| rules.has(i, *j, k));
                    sum(rules.scale, terms.map(|j| [&d_out[(i * len + j) * c..], &b[(j * len + k) * c..]]), d_a);
                }
            }
        });
        self.rows(d_b, len * c, |first, d_b| {
            for (j, d_b) in (first..).zip(d_b.chunks_exact_mut(len * c)) {
                for (k, d_b) in d_b.chunks_exact_mut(c).enumerate() {
                    let terms = (0..len).filter(|i| rules.has(*i, j, k));
                    sum(rules.scale, terms.map(|i| [&d_out[(i * len + j) * c..], &a[(i * len + k) * c..]]), d_b);
                }
            }
        });
        Ok(())
    }
}

/// `to` = `scale` times the sum of the products of factors of as many channels.
fn sum<'a>(scale: f32, factors: impl Iterator<Item = [&'a [f32]; 2]>, to: &mut [f32]) {
    to.fill(0.0);
    for [a, b] in factors {
        to.iter_mut().zip(a.iter().zip(b)).for_each(|(to, (a, b))| *to += a * b);
    }
    to.iter_mut().for_each(|to| *to *= scale);
}
