//! Arithmetic of training and fitting on the CPU or on a GPU: the same operations, the same tests.
//!
//! [`Backend`] is what a training loop is generic over: buffers on a [`Device`] and operations on them, a trait for each
//! family. [`cpu::Cpu`] computes in threads of this process, [`cuda::Cuda`] launches the kernels of the crate `ptx`. Neither
//! promises the other's float bits: [`check`] says how far each operation may be from the result in f64, and looks. What
//! decides a decoded bit is made from floats in one place (`train::neural::quantise`, `fit`), never here.

mod attention;
pub mod check;
pub mod cpu;
#[cfg(cuda)]
pub mod cuda;
mod gates;
mod losses;
mod low_rank;
mod matmul;
mod memories;
mod norms;
mod optimisers;
mod pairs;
pub(crate) mod quantise;
mod reductions;
mod softmax;
mod sparse;
mod vectors;

pub use attention::{Attention, Gradients, Heads, Inputs, WIDEST};
pub use gates::Gates;
pub use losses::{Losses, MOST_CLASSES};
pub use low_rank::{LowRank, LowRankShape, MOST_RANK};
pub use matmul::{Matmul, Product};
pub use memories::{Memories, MemoryShape};
pub use norms::Norms;
pub use optimisers::{AdamStep, Optimisers};
pub use pairs::{Outer, Pairs, Triangle};
pub use quantise::{Bits, Quantise};
pub use reductions::{Reduction, Reductions};
pub use softmax::Softmax;
pub use sparse::{Sparse, Sparsity};
pub use vectors::Vectors;

use bytemuck::Pod;

/// Numbers that buffers hold.
pub trait Element: Pod + Default + PartialEq + std::fmt::Debug {}

impl Element for f32 {}
impl Element for u32 {}
impl Element for i32 {}
impl Element for u16 {}
impl Element for i8 {}
impl Element for u8 {}

/// Memory that operations work on.
pub trait Device {
    /// Elements on the device, in a row; shapes are the operations' business.
    type Buffer<T: Element>;

    /// What computes, for people.
    fn name(&self) -> String;

    /// A copy of `data` on the device.
    ///
    /// # Errors
    /// [`BackendError`]; too little memory among them.
    fn upload<T: Element>(&self, data: &[T]) -> Result<Self::Buffer<T>, BackendError>;

    /// `len` zeros on the device.
    ///
    /// # Errors
    /// As [`upload`](Self::upload).
    fn zeros<T: Element>(&self, len: usize) -> Result<Self::Buffer<T>, BackendError>;

    /// What a buffer holds, when all operations on it are done.
    ///
    /// # Errors
    /// [`BackendError`], of an earlier operation too.
    fn download<T: Element>(&self, buffer: &Self::Buffer<T>) -> Result<Vec<T>, BackendError>;

    /// Elements of a buffer.
    fn len<T: Element>(&self, buffer: &Self::Buffer<T>) -> usize;

    /// Seconds that `work` takes, the operations that it starts included.
    ///
    /// # Errors
    /// Those of `work`.
    fn seconds(&self, work: &mut dyn FnMut() -> Result<(), BackendError>) -> Result<f64, BackendError>;
}

/// Everything that training and fitting ask of a device.
pub trait Backend:
    Device
    + Gates
    + Losses
    + LowRank
    + Matmul
    + Memories
    + Optimisers
    + Quantise
    + Reductions
    + Sparse
    + Attention
    + Norms
    + Pairs
    + Softmax
    + Vectors
{
}

impl<
    D: Device
        + Gates
        + Losses
        + LowRank
        + Matmul
        + Memories
        + Optimisers
        + Quantise
        + Reductions
        + Sparse
        + Attention
        + Norms
        + Pairs
        + Softmax
        + Vectors,
> Backend for D
{
}

/// Why an operation did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendError {
    /// There is no such device here.
    Unavailable {
        /// Why, as far as known.
        reason: String,
    },
    /// A size or a buffer does not fit the operation.
    Shape {
        /// Which.
        what: &'static str,
        /// Its value.
        found: usize,
        /// What it must be, or may be at most.
        expected: usize,
    },
    /// The device's memory does not suffice.
    Memory {
        /// Bytes asked for.
        requested: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The driver refuses.
    Driver {
        /// What was tried.
        action: String,
        /// The driver's words.
        reason: String,
    },
}

impl std::fmt::Display for BackendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unavailable { reason } => write!(f, "no CUDA device: {reason}"),
            Self::Shape { what, found, expected } => write!(f, "{what} is {found}, not {expected}"),
            Self::Memory { requested, free } => {
                write!(f, "{requested} bytes of device memory asked for, {free} are free")
            }
            Self::Driver { action, reason } => write!(f, "CUDA driver: cannot {action}: {reason}"),
        }
    }
}

impl std::error::Error for BackendError {}

/// Rows of a buffer of `len` elements; refuses one that is not of whole rows of `columns`, from 1.
pub(crate) fn rows(what: &'static str, len: usize, columns: usize) -> Result<usize, BackendError> {
    expect("number of columns", columns, columns.max(1))?;
    let rows = len / columns;
    expect(what, len, rows * columns)?;
    Ok(rows)
}

/// Refuses sizes that are not what they must be: what, found, expected.
pub(crate) fn expect_all<const N: usize>(sizes: [(&'static str, usize, usize); N]) -> Result<(), BackendError> {
    sizes.into_iter().try_for_each(|(what, found, expected)| expect(what, found, expected))
}

/// Refuses a size that is not what it must be.
pub(crate) fn expect(what: &'static str, found: usize, expected: usize) -> Result<(), BackendError> {
    if found == expected { Ok(()) } else { Err(BackendError::Shape { what, found, expected }) }
}
