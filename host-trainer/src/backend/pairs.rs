//! Pairs of columns, as the Evoformer makes and changes them.

use super::{BackendError, Device, expect};

/// Sizes of an outer-product mean, each from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// Rows of the alignment.
    pub rows: usize,
    /// Columns of the alignment.
    pub len: usize,
    /// Numbers of a factor.
    pub channels: usize,
}

impl Outer {
    /// Numbers of a factor of all places.
    pub(super) fn factors(&self) -> usize {
        self.rows * self.len * self.channels
    }

    /// Numbers of all products.
    pub(super) fn products(&self) -> usize {
        (self.len * self.channels).pow(2)
    }

    /// Refuses lengths that are others.
    ///
    /// # Errors
    /// [`BackendError::Shape`].
    pub(super) fn check(
        &self,
        factors: [usize; 2],
        shares: Option<usize>,
        products: usize,
    ) -> Result<(), BackendError> {
        expect("length of a factor", factors[0], self.factors())?;
        expect("length of a factor", factors[1], self.factors())?;
        expect("length of shares", shares.unwrap_or(self.len * self.len), self.len * self.len)?;
        expect("length of the products", products, self.products())
    }
}

/// Sizes and rules of a triangle update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Triangle {
    /// Columns of the alignment, from 1.
    pub len: usize,
    /// Channels of a pair, from 1.
    pub channels: usize,
    /// Whether only pairs of a column with itself and those before it are there: `out(i, j)` is 0 for `j > i`, and its sum
    /// goes over `k <= j`.
    pub causal: bool,
    /// What sums are multiplied with.
    pub scale: f32,
}

impl Triangle {
    /// Refuses lengths that are not those of pairs, by name.
    pub(super) fn check<const N: usize>(&self, buffers: [(&'static str, usize); N]) -> Result<(), BackendError> {
        let numbers = self.len * self.len * self.channels;
        buffers.into_iter().try_for_each(|(what, found)| expect(what, found, numbers))
    }
}

/// Operations on pairs of columns, in f32.
pub trait Pairs: Device {
    /// `out(i, j, p, q)` = the share of the pair times the sum over the rows r of `a(r, i, p) b(r, j, q)`: `a` and `b`
    /// `[rows, len, channels]`, `out [len, len, channels, channels]`. Shares are `[len, len]`, or `1 / rows` for every pair;
    /// with zeros in `a` and `b` where a row lacks a column, `1 /` the number of rows that have both gives the mean over these, and
    /// a share of 0 takes a pair out.
    ///
    /// # Errors
    /// [`BackendError::Shape`] when a buffer has another length than the sizes say.
    fn outer_mean(
        &self,
        sizes: Outer,
        a: &Self::Buffer<f32>,
        b: &Self::Buffer<f32>,
        shares: Option<&Self::Buffer<f32>>,
        out: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// Gradients `[d_a, d_b]` of [`outer_mean`](Self::outer_mean) by `d_out`, both written.
    ///
    /// # Errors
    /// As [`outer_mean`](Self::outer_mean).
    fn outer_mean_back(
        &self,
        sizes: Outer,
        a: &Self::Buffer<f32>,
        b: &Self::Buffer<f32>,
        shares: Option<&Self::Buffer<f32>>,
        d_out: &Self::Buffer<f32>,
        gradients: [&mut Self::Buffer<f32>; 2],
    ) -> Result<(), BackendError>;

    /// `out(i, j)` = `scale` times the sum over k of `a(i, k) b(j, k)`, channel by channel: all `[len, len, channels]`.
    ///
    /// # Errors
    /// As [`outer_mean`](Self::outer_mean).
    fn triangle(
        &self,
        rules: &Triangle,
        a: &Self::Buffer<f32>,
        b: &Self::Buffer<f32>,
        out: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// Gradients `[d_a, d_b]` of [`triangle`](Self::triangle) by `d_out`, both written.
    ///
    /// # Errors
    /// As [`outer_mean`](Self::outer_mean).
    fn triangle_back(
        &self,
        rules: &Triangle,
        a: &Self::Buffer<f32>,
        b: &Self::Buffer<f32>,
        d_out: &Self::Buffer<f32>,
        gradients: [&mut Self::Buffer<f32>; 2],
    ) -> Result<(), BackendError>;
}
