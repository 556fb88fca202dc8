//! The prior: the state that mixing network and hit flags start from, trained on real updates.
//!
//! It is a string of little-endian numbers in the order in which [`super::Rebuilder`] visits its tables:
//! counters 32 bit, slots and weights 16 bit. `gmcf train mix` makes it.

use crate::mix::{FineCounter, Slot};

/// The prior that ships.
pub static PRIOR: &[u8] = include_bytes!("prior.bin");

/// Walks through all trained state in a fixed order. Tables come with their names.
pub trait Visitor {
    /// Visits skewed counters.
    fn counters(&mut self, name: &'static str, counters: &mut [FineCounter]);
    /// Visits slots.
    fn slots(&mut self, name: &'static str, slots: &mut [Slot]);
    /// Visits mixer weights, Q13.
    fn weights(&mut self, name: &'static str, weights: &mut [i16]);
}

/// Reads the state from a prior.
#[derive(Debug)]
pub(crate) struct Load<'a>(pub(crate) &'a [u8]);

impl Load<'_> {
    fn next<const N: usize>(&mut self) -> [u8; N] {
        // The prior that ships has the right length: a test checks it.
        match self.0.split_first_chunk() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => [0; N],
        }
    }
}

impl Visitor for Load<'_> {
    fn counters(&mut self, _: &'static str, counters: &mut [FineCounter]) {
        for counter in counters {
            *counter = FineCounter::from_bits(u32::from_le_bytes(self.next()));
        }
    }

    fn slots(&mut self, _: &'static str, slots: &mut [Slot]) {
        for slot in slots {
            *slot = Slot::from_bits(u16::from_le_bytes(self.next()));
        }
    }

    fn weights(&mut self, _: &'static str, weights: &mut [i16]) {
        for weight in weights {
            *weight = i16::from_le_bytes(self.next());
        }
    }
}
