//! The logistic function and its inverse.

use super::tables::{LN, SQUASH};

/// Largest magnitude of a logit, Q8: 11.09 = ln(65535).
pub const LOGIT_MAX: i32 = 2839;

/// Step of the table, in Q8.
const STEP_BITS: u32 = 4;
/// `ln 2` in Q12.
const LN2_Q12: i32 = 2839;

/// Probability (1..=65535 of 65536) of a logit in Q8. The argument is clamped.
#[inline]
pub fn squash(logit: i32) -> u32 {
    let x = (logit.clamp(-LOGIT_MAX, LOGIT_MAX) + (178 << STEP_BITS)) as usize;
    let (i, fraction) = (x >> STEP_BITS, (x & 15) as u32);
    let (low, high) = (u32::from(SQUASH[i]), u32::from(SQUASH[i + 1]));
    low + ((high - low) * fraction >> STEP_BITS)
}

/// Natural logarithm in Q12 of `x` >= 1, up to an additive constant shared by all arguments.
#[inline]
fn ln_q12(x: u32) -> i32 {
    let shift = x.leading_zeros();
    let mantissa = (x << shift) >> 23 & 255;
    i32::from(LN[mantissa as usize]) - shift as i32 * LN2_Q12
}

/// Logit in Q8 of a probability of 16 bit. The argument is clamped to 1..=65535.
#[inline]
pub fn stretch(p: u32) -> i32 {
    let p = p.clamp(1, 65535);
    ((ln_q12(p) - ln_q12(65536 - p)) >> 4).clamp(-LOGIT_MAX, LOGIT_MAX)
}
