//! The content server, its client and what works beside them, as real processes.
#![cfg(feature = "fleet")]

mod precompute;
