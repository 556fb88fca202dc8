//! What an update knows about the old content: the alignment map, chains of deltas, differences of weights.

pub mod chain;
pub mod map;
pub mod tuning;
pub mod weights;
