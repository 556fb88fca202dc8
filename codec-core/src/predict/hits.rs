//! Hit flags: is the unit exactly what the experts predict?

use super::rewrite::hash;
use super::unit::Unit;
use crate::entropy::Coder;
use crate::mix::{FineCounter, Mixer};

const INPUTS: usize = 6;
const GATES: usize = 64;
const LIMIT: u32 = 1000;
const RATE: i32 = 2;

/// Adaptive state of the hit flags.
#[derive(Clone, Debug)]
pub(crate) struct HitModel {
    by_distance: [FineCounter; 64 * 16],
    by_history: [FineCounter; 256],
    by_trust: [FineCounter; 64 * 5],
    by_edge: [FineCounter; 64],
    by_detail: [FineCounter; 256],
    second: [FineCounter; 64],
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
    pub(crate) const fn new() -> Self {
        let likely = FineCounter::new(64000, 2);
        Self {
            by_distance: [likely; 1024],
            by_history: [likely; 256],
            by_trust: [likely; 320],
            by_edge: [likely; 64],
            by_detail: [likely; 256],
            second: [FineCounter::new(32768, 0); 64],
            mixer: Mixer::new(20000),
            history: 0,
            distance: 0,
        }
    }

    /// Units missed among the last eight.
    pub(crate) fn recent_misses(&self) -> u32 {
        (self.history & 0xff).count_ones()
    }

    pub(crate) fn history(&self) -> u32 {
        self.history
    }

    /// Codes whether the unit is its first prediction.
    pub(crate) fn code<C: Coder>(&mut self, coder: &mut C, unit: &Unit, hit: u32) -> bool {
        let class = unit.class();
        let trust = unit.trust.map_or(0, |t| 1 + usize::from(t));
        let near = log2(self.distance).min(15) as usize;
        let edge = (log2(unit.from_start).min(7) << 3 | log2(unit.to_end).min(7)) as usize;
        let detail = if unit.site.kind == crate::reloc::Kind::Plain {
            (unit.old >> 10 & 63 | u32::from(unit.site.len > 2) << 6) as usize
        } else {
            128 + (hash(unit.displacement, 7) >> 25) as usize
        };
        let counters = [
            &mut self.by_distance[class << 4 | near],
            &mut self.by_history[(self.history & 0xff) as usize],
            &mut self.by_trust[class * 5 + trust],
            &mut self.by_edge[edge],
            &mut self.by_detail[detail],
        ];
        let mut inputs = [256; INPUTS];
        for (input, counter) in inputs.iter_mut().zip(&counters) {
            *input = counter.logit();
        }
        let gate = (unit.site.kind as usize) << 3 | (near / 2).min(7);
        self.mixer.mix(&inputs, gate);
        let hit = coder.code(hit, self.mixer.p().clamp(1, 65535));
        self.mixer.learn(&inputs, hit, RATE);
        for counter in counters {
            counter.learn(hit, LIMIT);
        }
        self.history = self.history << 1 | (hit ^ 1);
        self.distance = if hit != 0 { self.distance.saturating_add(1) } else { 0 };
        hit != 0
    }

    /// Codes whether the unit, which is not its first prediction, is its second one.
    pub(crate) fn code_second<C: Coder>(&mut self, coder: &mut C, unit: &Unit, hit: u32) -> bool {
        let counter = &mut self.second[unit.class()];
        let hit = coder.code(hit, counter.p().clamp(256, 65280));
        counter.learn(hit, 60);
        hit != 0
    }
}
