//! The kernels, by what they compute.

pub mod matmul;
pub mod memory;
pub mod vector;
