//! Sizes of a network: data of the base model, not code.

use super::context::{BYTES, GRAMS};
use super::rows::ROWS;

/// Dimensions of the embeddings of the last bytes, newest first.
pub const BYTE_DIMS: [usize; BYTES] = [24, 16, 8, 8];
/// Dimensions of the offset modulo 4.
pub const LANE_DIM: usize = 4;
/// Dimensions of a row.
pub const ROW_DIM: usize = 16;
/// Nodes of the tree over a byte's bits; node 0 is not used.
pub const NODES: usize = 256;

/// Added to the mean square where the Evoformer normalises, in units of 2^-15: the square of about 0.03.
pub const LEAST_SQUARE: u32 = 33;
/// Rows of the Evoformer's alignment: the history, and what was found.
pub const ALIGNED: usize = 1 + ROWS;

/// Sizes of the Evoformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evoformer {
    /// Blocks, 0 for none.
    pub blocks: usize,
    /// Channels of a place in the alignment.
    pub channels: usize,
    /// Heads of attention, which share the channels.
    pub heads: usize,
    /// Columns that are seen, the newest included, base-2 logarithm.
    pub window_log2: u32,
    /// Channels of a pair of columns.
    pub pair: usize,
    /// Channels of outer products and of triangles.
    pub outer: usize,
    /// Width of the transition.
    pub transition: usize,
}

impl Evoformer {
    /// No Evoformer.
    pub const NONE: Self = Self { blocks: 0, channels: 0, heads: 1, window_log2: 0, pair: 0, outer: 0, transition: 0 };

    /// Columns that are seen, the newest included.
    pub const fn window(&self) -> usize {
        1 << self.window_log2
    }
}

/// Sizes of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Entries of each table of hashed contexts, base-2 logarithm.
    pub gram_log2: u32,
    /// Dimensions of their embeddings.
    pub gram_dim: usize,
    /// Width of the layers.
    pub hidden: usize,
    /// Residual layers after the first.
    pub layers: usize,
    /// Width of the recurrent state, 0 for none.
    pub state: usize,
    /// Dimensions of the recurrent layer's embedding of the last byte.
    pub state_dim: usize,
    /// The Evoformer.
    pub evoformer: Evoformer,
    /// Bytes of the ring that rows are found in, base-2 logarithm.
    pub ring_log2: u32,
    /// Entries of each row's index, base-2 logarithm.
    pub index_log2: u32,
}

impl Shape {
    /// Dimensions of everything that is embedded for the first layer.
    pub const fn embedded(&self) -> usize {
        let [a, b, c, d] = BYTE_DIMS;
        GRAMS * self.gram_dim + a + b + c + d + LANE_DIM + ROWS * ROW_DIM
    }

    /// Inputs of the first layer.
    pub const fn inputs(&self) -> usize {
        self.embedded() + self.state + self.evoformer.channels
    }
}
