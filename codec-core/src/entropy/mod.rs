//! Entropy coding: the binary range coder and the adaptive number codes of the map.

pub mod number;
pub mod range;

pub use range::{Coder, RangeDecoder, RangeEncoder};
