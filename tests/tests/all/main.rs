//! The tests across the crates, one binary:
//!
//! - `golden`: committed containers, decoded, and made again byte for byte (`GMCF_BLESS=1` writes them anew);
//! - `adapters`: adapters of base models, fitted, golden, damaged and hostile;
//! - `base`: base models, with small files, and damaged;
//! - `c_api`: what C programs see of the decoder, built and run with the host's C compiler;
//! - `bundled`: every bundled pair comes back on every profile, and larger decoders agree;
//! - `memory`: position memories, against their definition, and damaged;
//! - `mixed`: images that hold code for more than one instruction set;
//! - `power`: the power fails at every flash operation of an update;
//! - `updater`: what else may happen to a device: refused offers, trials, keys, rot, every geometry of flash;
//! - `properties`: random files and edits; what the size may be at most;
//! - `chunking`: how input and output are cut never matters;
//! - `hostile`: cuts, flips, lies, wrong old images, budgets;
//! - `chains`: chains of deltas, and what squashing makes of them;
//! - `integers`: the integer tables against floating point;
//! - `weights`: files of weights, cut, damaged, and in the wrong hands;
//! - `link`: the link's bytes, its device end, bad weather, real streams, and what it says it costs.

mod adapters;
mod base;
mod bundled;
mod c_api;
mod chains;
mod chunking;
mod golden;
mod hostile;
mod integers;
mod link;
mod memory;
mod mixed;
mod power;
mod properties;
mod updater;
mod weights;
mod x86;
