//! Gated logistic mixing in integers: probabilities, counters, the mixing network.
//!
//! Probabilities are of a 1 bit, 16 bit: `p / 65536` with `1 <= p <= 65535`. Logits ("stretched"
//! probabilities) are `ln(p / (1 - p))` in Q8, clamped to [`LOGIT_MAX`].

pub mod counter;
pub mod logistic;
pub mod mixer;
mod tables;

pub use counter::{FineCounter, Slot};
pub use logistic::{LOGIT_MAX, squash, stretch};
pub use mixer::Mixer;
