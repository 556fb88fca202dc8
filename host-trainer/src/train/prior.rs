//! Priors as strings of bytes: the untrained one, and the state of a rebuilder written down.

use codec_core::mix::{FineCounter, Slot};
use codec_core::predict::prior::Visitor;

/// What tables start from before anything was trained.
pub struct Untrained;

impl Visitor for Untrained {
    fn counters(&mut self, name: &'static str, counters: &mut [FineCounter]) {
        counters.fill(match name {
            "hits.second" => FineCounter::new(32768, 0),
            "copies.starts" => FineCounter::new(3000, 4),
            _ => FineCounter::new(64000, 2),
        });
    }

    fn slots(&mut self, name: &'static str, slots: &mut [Slot]) {
        slots.fill(match name {
            "map" | "copies.jump" | "copies.len" => Slot::NEW,
            _ => Slot::new(3700, 1),
        });
    }

    fn weights(&mut self, name: &'static str, weights: &mut [i16]) {
        weights.fill(match name {
            "hits.mixer" => 2500,
            _ => 2000,
        });
    }
}

/// Writes the state down.
pub struct Save(pub Vec<u8>);

impl Visitor for Save {
    fn counters(&mut self, _: &'static str, counters: &mut [FineCounter]) {
        self.0.extend(counters.iter().flat_map(|c| c.to_bits().to_le_bytes()));
    }

    fn slots(&mut self, _: &'static str, slots: &mut [Slot]) {
        self.0.extend(slots.iter().flat_map(|s| s.to_bits().to_le_bytes()));
    }

    fn weights(&mut self, _: &'static str, weights: &mut [i16]) {
        self.0.extend(weights.iter().flat_map(|w| w.to_le_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use codec_core::predict::prior::PRIOR;

    #[test]
    fn the_prior_that_ships_has_the_right_length() {
        let expected = crate::fit::encode::with_big_stack(crate::train::mix::untrained).len();
        assert_eq!(PRIOR.len(), expected);
    }
}
