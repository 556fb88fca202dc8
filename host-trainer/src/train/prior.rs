//! Priors as strings of bytes: the untrained one, and the state of a rebuilder written down.

use codec_core::mix::{FineCounter, Slot};
use codec_core::predict::prior::Visitor;

/// What tables start from before anything was trained.
pub struct Untrained;

impl Visitor for Untrained {
    fn counters(&mut self, name: &'static str, counters: &mut [FineCounter]) {
        let start = if name == "hits.second" { FineCounter::new(32768, 0) } else { FineCounter::new(64000, 2) };
        counters.fill(start);
    }

    fn slots(&mut self, _: &'static str, slots: &mut [Slot]) {
        slots.fill(Slot::new(3700, 1));
    }

    fn weights(&mut self, name: &'static str, weights: &mut [i16]) {
        weights.fill(match name {
            "hits.mixer" => 2500,
            _ => 2000,
        });
    }
}

/// Writes the state down, with the confidence of counters capped so that they still adapt.
pub struct Save {
    /// The prior so far.
    pub bytes: Vec<u8>,
    /// Cap of the skewed counters' counts.
    pub counter_cap: u16,
    /// Cap of the slots' counts.
    pub slot_cap: u16,
}

impl Visitor for Save {
    fn counters(&mut self, _: &'static str, counters: &mut [FineCounter]) {
        for counter in counters {
            let bits = counter.to_bits();
            let count = (bits & 1023).min(u32::from(self.counter_cap));
            self.bytes.extend((bits & !1023 | count).to_le_bytes());
        }
    }

    fn slots(&mut self, _: &'static str, slots: &mut [Slot]) {
        for slot in slots {
            let bits = slot.to_bits();
            let count = (bits & 15).min(self.slot_cap);
            self.bytes.extend((bits & !15 | count).to_le_bytes());
        }
    }

    fn weights(&mut self, _: &'static str, weights: &mut [i16]) {
        self.bytes.extend(weights.iter().flat_map(|w| w.to_le_bytes()));
    }
}
