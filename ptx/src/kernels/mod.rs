//! The kernels, by what they compute.

#[macro_use]
mod unroll;

pub mod attention;
pub mod ceiling;
pub mod gate;
pub mod loss;
pub mod low_rank;
pub mod matmul;
pub mod memory;
pub mod norm;
pub mod optimiser;
pub mod pairs;
pub mod quantise;
pub mod reduction;
pub mod row;
pub mod softmax;
pub mod sparse;
pub mod tensor;
pub mod tile;
pub mod vector;
