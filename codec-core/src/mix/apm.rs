//! Adaptive probability map: refines a probability given a small context.

use super::logistic::{LOGIT_MAX, squash};

const KNOTS: usize = 24;
const SPACING: i32 = 256;

/// `CONTEXTS` curves of 24 knots, one logit apart; the value between two knots is interpolated.
#[derive(Clone, Debug)]
pub struct Apm<const CONTEXTS: usize> {
    knots: [[u16; KNOTS]; CONTEXTS],
    context: usize,
    knot: usize,
}

impl<const CONTEXTS: usize> Apm<CONTEXTS> {
    /// Identity curves.
    pub fn new() -> Self {
        let mut curve = [0; KNOTS];
        for (i, knot) in curve.iter_mut().enumerate() {
            *knot = squash(i as i32 * SPACING - 12 * SPACING).min(65535) as u16;
        }
        Self { knots: [curve; CONTEXTS], context: 0, knot: 0 }
    }

    /// Refined probability (1..=65535) of `logit` (Q8) in `context`.
    #[inline]
    pub fn refine(&mut self, logit: i32, context: usize) -> u32 {
        let x = (logit.clamp(-LOGIT_MAX, LOGIT_MAX) + 12 * SPACING) as u32;
        let (i, fraction) = ((x >> 8) as usize, x & 255);
        let curve = &self.knots[context];
        let (low, high) = (u32::from(curve[i]), u32::from(curve[i + 1]));
        self.context = context;
        self.knot = i + (fraction >> 7) as usize;
        ((low * (256 - fraction) + high * fraction) >> 8).clamp(1, 65535)
    }

    /// Moves the nearest knot towards `bit` by `1 / 2^rate`.
    #[inline]
    pub fn learn(&mut self, bit: u32, rate: u32) {
        let knot = &mut self.knots[self.context][self.knot];
        let goal = if bit != 0 { 65535 } else { 0 };
        let value = i32::from(*knot);
        *knot = (value + ((goal - value) >> rate)) as u16;
    }
}

impl<const CONTEXTS: usize> Default for Apm<CONTEXTS> {
    fn default() -> Self {
        Self::new()
    }
}
