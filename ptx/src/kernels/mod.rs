//! The kernels, by what they compute.

pub mod matmul;
pub mod vector;
