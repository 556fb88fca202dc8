//! The kernels, by what they compute.

pub mod attention;
pub mod matmul;
pub mod norm;
pub mod pairs;
pub mod row;
pub mod softmax;
pub mod tile;
pub(crate) mod unroll;
pub mod vector;
