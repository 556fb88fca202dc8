//! Experiments: claims that this project started from, and what is measured of them.

pub mod eternity;
