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
const fn ln_q12(x: u32) -> i32 {
    let shift = x.leading_zeros();
    let mantissa = (x << shift) >> 23 & 255;
    LN[mantissa as usize] as i32 - shift as i32 * LN2_Q12
}

/// Logit in Q8 of a probability of 16 bit. The argument is clamped to 1..=65535.
#[inline]
pub const fn stretch(p: u32) -> i32 {
    let p = if p < 1 {
        1
    } else if p > 65535 {
        65535
    } else {
        p
    };
    let logit = (ln_q12(p) - ln_q12(65536 - p)) >> 4;
    if logit < -LOGIT_MAX {
        -LOGIT_MAX
    } else if logit > LOGIT_MAX {
        LOGIT_MAX
    } else {
        logit
    }
}

/// [`stretch`] of the middles of 4096 equal steps, for probabilities kept in 12 bit.
pub(super) static STRETCH_12: [i16; 4096] = {
    let mut table = [0; 4096];
    let mut i = 0;
    while i < 4096 {
        table[i] = stretch((i as u32) << 4 | 8) as i16;
        i += 1;
    }
    table
};
