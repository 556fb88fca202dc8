//! Attention with a bias for every pair of places.

use super::{BackendError, Device, expect, expect_all};

/// The widest head.
pub const WIDEST: usize = 128;

/// Sizes and rules of an attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heads {
    /// Alignments that have nothing to do with each other.
    pub batch: usize,
    /// Heads of each.
    pub heads: usize,
    /// Places, which are queries and keys.
    pub len: usize,
    /// Numbers of a query, key or value: a multiple of 8, at most [`WIDEST`].
    pub width: usize,
    /// What products of queries and keys are multiplied with.
    pub scale: f32,
    /// Whether place i draws from places 0 to i only.
    pub causal: bool,
}

impl Heads {
    /// Rows of all heads.
    pub(super) fn rows(&self) -> usize {
        self.batch * self.heads * self.len
    }

    /// Refuses what no backend does.
    ///
    /// # Errors
    /// [`BackendError::Shape`].
    pub(super) fn check<B>(&self, inputs: &Inputs<'_, B>, len: impl Fn(&B) -> usize) -> Result<(), BackendError> {
        expect("width of a head modulo 8", self.width % 8, 0)?;
        expect("width of a head, at most", self.width.max(WIDEST), WIDEST)?;
        for (what, buffer) in [("length of q", inputs.q), ("length of k", inputs.k), ("length of v", inputs.v)] {
            expect(what, len(buffer), self.rows() * self.width)?;
        }
        match inputs.bias {
            Some(bias) if !self.shares_bias(len(bias)) => expect("length of bias", len(bias), self.rows() * self.len),
            _ => Ok(()),
        }
    }

    /// Refuses lengths that are not those of what an attention gives.
    pub(super) fn check_out(&self, out: usize, logs: usize) -> Result<(), BackendError> {
        expect("length of out", out, self.rows() * self.width)?;
        expect("length of logs", logs, self.rows())
    }

    /// Refuses lengths that are not those of `d_out` and of the gradients of these inputs.
    pub(super) fn check_back<B>(
        &self,
        inputs: &Inputs<'_, B>,
        d_out: &B,
        gradients: &Gradients<'_, B>,
        len: impl Fn(&B) -> usize,
    ) -> Result<(), BackendError> {
        let numbers = self.rows() * self.width;
        expect_all([
            ("length of d_out", len(d_out), numbers),
            ("length of the gradient of q", len(gradients.q), numbers),
            ("length of the gradient of k", len(gradients.k), numbers),
            ("length of the gradient of v", len(gradients.v), numbers),
        ])?;
        match &gradients.bias {
            Some(bias) => expect("length of the gradient of bias", len(bias), inputs.bias.map_or(0, len)),
            None => Ok(()),
        }
    }

    /// Whether a bias of so many numbers is one for all alignments.
    pub(super) fn shares_bias(&self, len: usize) -> bool {
        len == self.heads * self.len * self.len
    }
}

/// What an attention reads.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a, B> {
    /// Queries `[batch, heads, len, width]`.
    pub q: &'a B,
    /// Keys, likewise.
    pub k: &'a B,
    /// Values, likewise.
    pub v: &'a B,
    /// Added to the scaled products: `[batch, heads, len, len]`, query before key, or `[1, heads, len, len]` for all of the
    /// batch. -infinity takes a pair out.
    pub bias: Option<&'a B>,
}

/// Gradients of [`Inputs`], all written.
#[derive(Debug)]
pub struct Gradients<'a, B> {
    /// As [`Inputs::q`].
    pub q: &'a mut B,
    /// As [`Inputs::k`].
    pub k: &'a mut B,
    /// As [`Inputs::v`].
    pub v: &'a mut B,
    /// As [`Inputs::bias`]; summed over the batch where that is shared. None where nobody asks.
    pub bias: Option<&'a mut B>,
}

/// Attention.
pub trait Attention: Device {
    /// `out = softmax(scale q k^T + bias) v` `[batch, heads, len, width]`; `logs [batch, heads, len]` gets the logarithms of the
    /// sums of the exponentials of the scores. A place that draws from nothing gets 0, and -infinity as its logarithm. A GPU
    /// rounds the factors of all products to bfloat16 and sums them in f32.
    ///
    /// # Errors
    /// [`BackendError::Shape`] when a buffer has another length than the sizes say, or the width is not a multiple of 8 up
    /// to [`WIDEST`].
    fn attention(
        &self,
        heads: &Heads,
        inputs: &Inputs<'_, Self::Buffer<f32>>,
        out: &mut Self::Buffer<f32>,
        logs: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// Gradients of [`attention`](Self::attention) by `d_out`; `out` and `logs` are what it gave.
    ///
    /// # Errors
    /// As [`attention`](Self::attention); a gradient of a bias that is not there among them.
    fn attention_back(
        &self,
        heads: &Heads,
        inputs: &Inputs<'_, Self::Buffer<f32>>,
        out: &Self::Buffer<f32>,
        logs: &Self::Buffer<f32>,
        d_out: &Self::Buffer<f32>,
        gradients: &mut Gradients<'_, Self::Buffer<f32>>,
    ) -> Result<(), BackendError>;
}
