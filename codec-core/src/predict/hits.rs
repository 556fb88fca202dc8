//! Hit flags: is the unit exactly what the experts predict?

use super::prior::Visitor;
use super::unit::{CLASSES, Unit};
use crate::entropy::Coder;
use crate::mix::{FineCounter, Mixer};
use crate::reloc::Kind;

const INPUTS: usize = 4;
const GATES: usize = 64;
const LIMIT: u32 = 1000;
const RATE: i32 = 4;
const LEAST_ERROR: u32 = 600;
/// Units since the last miss after which a stretch counts as clean.
const SURE_AFTER: u32 = 6;

/// Adaptive state of the hit flags.
#[derive(Clone, Debug)]
pub(crate) struct HitModel {
    by_history: [FineCounter; 64],
    by_trust: [FineCounter; CLASSES * 5],
    by_detail: [FineCounter; 128],
    second: [FineCounter; CLASSES],
    sure: [FineCounter; 64],
    mixer: Mixer<INPUTS, GATES>,
    /// Flags coded last, newest in bit 0; 1 is a miss.
    history: u32,
    /// Units since the last miss.
    distance: u32,
}

fn log2(x: u32) -> u32 {
    32 - x.leading_zeros()
}

impl HitModel {
    /// A model that must be given its prior before use.
    pub(crate) const fn new() -> Self {
        let zero = FineCounter::ZERO;
        Self {
            by_history: [zero; 64],
            by_trust: [zero; CLASSES * 5],
            by_detail: [zero; 128],
            second: [zero; CLASSES],
            sure: [zero; 64],
            mixer: Mixer::new(0),
            history: 0,
            distance: 0,
        }
    }

    /// Everything that is trained, in the order of the prior.
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.counters("hits.by_history", &mut self.by_history);
        visitor.counters("hits.by_trust", &mut self.by_trust);
        visitor.counters("hits.by_detail", &mut self.by_detail);
        visitor.counters("hits.second", &mut self.second);
        visitor.counters("hits.sure", &mut self.sure);
        self.mixer.weights_mut().iter_mut().for_each(|w| visitor.weights("hits.mixer", w));
    }

    /// Forgets the flags coded.
    pub(crate) fn start(&mut self) {
        self.history = 0;
        self.distance = 0;
    }

    /// Units missed among the last eight.
    pub(crate) fn recent_misses(&self) -> u32 {
        (self.history & 0xff).count_ones()
    }

    /// Codes whether the unit is its first prediction.
    pub(crate) fn code<C: Coder>(&mut self, coder: &mut C, unit: &Unit, hit: u32) -> bool {
        if self.distance >= SURE_AFTER && unit.is_clean() {
            // A clean stretch: one counter, so that it costs little more than a copy.
            let counter = &mut self.sure[(unit.site.kind as usize) << 3 | (log2(self.distance) / 2).min(7) as usize];
            let hit = coder.code(hit, counter.p());
            counter.learn(hit, LIMIT);
            self.note(hit);
            return hit != 0;
        }
        let class = unit.class();
        let trust = unit.trust.map_or(0, |t| 1 + usize::from(t));
        let near = (log2(self.distance) / 2).min(7) as usize;
        let detail = if unit.site.kind == Kind::Plain {
            unit.old >> 10 & 63
        } else {
            64 | u32::from(unit.literal) << 5 | unit.displacement.wrapping_mul(0x9e37_79b1) >> 27
        };
        let counters = [
            &mut self.by_history[(self.history & 63) as usize],
            &mut self.by_trust[class * 5 + trust],
            &mut self.by_detail[detail as usize],
        ];
        let mut inputs = [256; INPUTS];
        for (input, counter) in inputs.iter_mut().zip(&counters) {
            *input = counter.logit();
        }
        let gate = (unit.site.kind as usize) << 3 | near;
        self.mixer.mix(&inputs, gate);
        let hit = coder.code(hit, self.mixer.p().clamp(1, 65535));
        self.mixer.learn(&inputs, hit, RATE, LEAST_ERROR);
        for counter in counters {
            counter.learn(hit, LIMIT);
        }
        self.note(hit);
        hit != 0
    }

    fn note(&mut self, hit: u32) {
        self.history = self.history << 1 | (hit ^ 1);
        self.distance = if hit != 0 { self.distance.saturating_add(1) } else { 0 };
    }

    /// Codes whether the unit, which is not its first prediction, is its second one.
    pub(crate) fn code_second<C: Coder>(&mut self, coder: &mut C, unit: &Unit, hit: u32) -> bool {
        let counter = &mut self.second[unit.class()];
        let hit = coder.code(hit, counter.p().clamp(256, 65280));
        counter.learn(hit, 60);
        hit != 0
    }
}
