//! Fitting: what the codec sends for a new file, and the search for the cheapest way to say it.

pub mod adapter;
pub mod encode;
pub mod file;
pub mod isa;
pub mod memory;
pub mod search;
pub mod weights;
