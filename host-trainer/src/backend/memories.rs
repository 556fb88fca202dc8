//! Position memories: rows of numbers, one for each byte of a file, that a shared projection turns into the byte.

use super::{BackendError, Device, expect};

/// Classes of a memory: the bytes.
pub(super) const BYTES: usize = 256;

/// Position memories of many files of the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryShape {
    /// Files, any number from 1.
    pub files: usize,
    /// Bytes of a file, any number from 1.
    pub len: usize,
    /// Numbers for a byte: a multiple of 8, to 256.
    pub dim: usize,
}

impl MemoryShape {
    /// Numbers of all rows.
    pub(super) fn numbers(self) -> usize {
        self.files * self.len * self.dim
    }

    /// Refuses a shape that no memory has, and lengths that are not those of `out`, `rows` and what is one `each` position.
    pub(super) fn check(self, out: usize, rows: usize, each: usize) -> Result<(), BackendError> {
        expect("number of files", self.files, self.files.max(1))?;
        expect("length of a file", self.len, self.len.max(1))?;
        let near = (self.dim / 8 * 8).clamp(8, 256);
        expect("numbers for a position", self.dim, near)?;
        expect("length of the projection", out, BYTES * self.dim)?;
        expect("length of the rows", rows, self.numbers())?;
        expect("number of positions", each, self.files * self.len)
    }

    /// Refuses lengths that are not those of costs and counts.
    pub(super) fn check_counts(self, costs: usize, right: usize) -> Result<(), BackendError> {
        expect("number of costs", costs, self.files)?;
        expect("number of counts", right, self.files)
    }

    /// Refuses lengths that are not those of the gradients of the rows and of the projection.
    pub(super) fn check_gradients(self, d_rows: usize, d_out: usize) -> Result<(), BackendError> {
        expect("length of the rows' gradient", d_rows, self.numbers())?;
        expect("length of the projections' gradients", d_out, self.files * BYTES * self.dim)
    }
}

/// Position memories. `rows` is `[files, len, dim]`, `out`, the projection that the files share, `[256, dim]`, and
/// `targets`, the files' bytes, `[files, len]`: `logits[f, i, c] = sum over k of rows[f, i, k] out[c, k]`.
///
/// `costs [files]` are nats, summed over a file: `ln(sum over c of exp(logits[f, i, c])) - logits[f, i, target]`.
/// `right [files]` counts the positions whose largest logit is the target's; of equal logits the smallest byte's wins.
///
/// All methods: [`BackendError::Shape`] when a buffer has another length than the shape says, or no memory has the shape.
pub trait Memories: Device {
    /// One step of gradient descent, for all files at once: `rows -= rate * d(sum of costs)/d(rows)`. Costs and `right` are
    /// those before the step.
    ///
    /// # Errors
    /// [`BackendError::Shape`], see above.
    #[allow(clippy::too_many_arguments)]
    fn memory_step(
        &self,
        shape: MemoryShape,
        rate: f32,
        out: &Self::Buffer<f32>,
        targets: &Self::Buffer<u8>,
        rows: &mut Self::Buffer<f32>,
        costs: &mut Self::Buffer<f32>,
        right: &mut Self::Buffer<u32>,
    ) -> Result<(), BackendError>;

    /// Costs and `right` alone.
    ///
    /// # Errors
    /// [`BackendError::Shape`], see above.
    fn memory_cost(
        &self,
        shape: MemoryShape,
        out: &Self::Buffer<f32>,
        targets: &Self::Buffer<u8>,
        rows: &Self::Buffer<f32>,
        costs: &mut Self::Buffer<f32>,
        right: &mut Self::Buffer<u32>,
    ) -> Result<(), BackendError>;

    /// The gradients of the summed costs: of the rows, `d_rows [files, len, dim]`, and of the projection, for each file on
    /// its own, `d_out [files, 256, dim]`.
    ///
    /// # Errors
    /// [`BackendError::Shape`], see above.
    fn memory_gradients(
        &self,
        shape: MemoryShape,
        out: &Self::Buffer<f32>,
        targets: &Self::Buffer<u8>,
        rows: &Self::Buffer<f32>,
        d_rows: &mut Self::Buffer<f32>,
        d_out: &mut Self::Buffer<f32>,
    ) -> Result<(), BackendError>;

    /// What the memories say: `bytes [files, len]`, of each position the byte with the largest logit, the smallest of equal
    /// ones.
    ///
    /// # Errors
    /// [`BackendError::Shape`], see above.
    fn memory_read(
        &self,
        shape: MemoryShape,
        out: &Self::Buffer<f32>,
        rows: &Self::Buffer<f32>,
        bytes: &mut Self::Buffer<u8>,
    ) -> Result<(), BackendError>;
}
