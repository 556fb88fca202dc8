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
    low + (((high - low) * fraction) >> STEP_BITS)
}

/// The logistic function of an argument in Q11, in Q15.
#[inline]
pub fn sigmoid(x: i32) -> i32 {
    let x = (x.clamp(-LOGIT_MAX << 3, LOGIT_MAX << 3) + (178 << (STEP_BITS + 3))) as usize;
    let (i, fraction) = (x >> (STEP_BITS + 3), (x & 127) as u32);
    let (low, high) = (u32::from(SQUASH[i]), u32::from(SQUASH[i + 1]));
    (low + (((high - low) * fraction) >> (STEP_BITS + 3))) as i32 >> 1
}

/// The hyperbolic tangent of an argument in Q11, in Q15.
#[inline]
pub fn tanh(x: i32) -> i32 {
    2 * sigmoid(x.clamp(-LOGIT_MAX << 2, LOGIT_MAX << 2) << 1) - (1 << 15)
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

/// [`stretch`] of the middles of the lower 2048 of 4096 equal steps: for probabilities kept in 12 bit.
static STRETCH_12: [i16; 2048] = {
    let mut table = [0; 2048];
    let mut i = 0;
    while i < 2048 {
        table[i] = stretch((i as u32) << 4 | 8) as i16;
        i += 1;
    }
    table
};

/// [`stretch`] of the least probabilities, 16 bit.
static STRETCH_TAIL: [i16; 512] = {
    let mut table = [0; 512];
    let mut i = 0;
    while i < 512 {
        table[i] = stretch(i as u32) as i16;
        i += 1;
    }
    table
};

/// Logit in Q8 of a probability of 12 bit (the middle of its step).
#[inline]
pub(super) fn stretch_12(p: u16) -> i32 {
    if p < 2048 {
        i32::from(STRETCH_12[usize::from(p)])
    } else {
        -i32::from(STRETCH_12[usize::from(4095 - p.min(4095))])
    }
}

/// Logit in Q8 of a probability of 16 bit: exact below 512 and above 65024, to 12 bit between.
#[inline]
pub(super) fn stretch_16(p: u32) -> i32 {
    let (low, sign) = if p <= 32768 { (p, 1) } else { (65536 - p.min(65536), -1) };
    let logit = if low < 512 { STRETCH_TAIL[low as usize] } else { STRETCH_12[(low >> 4).min(2047) as usize] };
    sign * i32::from(logit)
}
