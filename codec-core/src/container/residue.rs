//! CRT residues: a linear check of all codes of a container.
//!
//! `crt_residues[j]` is the sum over all codes `x_i` of `x_i * g_j^i mod p_j`. The position `i`
//! runs on over all layers in file order, and codes are signed integers. The primes `p_j` are the 64
//! largest below 2^61; `g_j` is a primitive root of `p_j` (see [`generator`]).
//!
//! The sum is linear, so for two contents of the same layout `residues(old) + residues(delta) =
//! residues(new)`: a chain of deltas can be checked by adding a few integers, before anything is
//! rebuilt. **For that to be exact, the code of a difference is the true integer `new - old`**, one bit
//! wider than a code, and never the wrapped difference that the payload stores. A payload's
//! difference `d` and the true difference `D` are the same modulo 2^width, so a reader that holds the old
//! code knows `D`: it restores the new code and subtracts ([`Residues::push_difference`]).
//!
//! Residues are no protection against an attacker, who can make codes collide at will: the digest is.
//!
//! ```
//! use codec_core::container::residue::{check_sum, Residues};
//!
//! let (old, new) = ([100i32, -7, 127], [100, 9, -128]);
//! let (mut a, mut d, mut b) = (Residues::<2>::new(), Residues::<2>::new(), Residues::<2>::new());
//! for (&x, &y) in old.iter().zip(&new) {
//!     a.push(x.into());
//!     d.push_difference(x, y); // -255 for the last, which an int8 payload stores as 1
//!     b.push(y.into());
//! }
//! check_sum(a.values(), d.values(), b.values())?;
//! # Ok::<(), codec_core::Error>(())
//! ```

use crate::Error;

/// Most residues that a container may carry.
pub const MAX_RESIDUES: usize = 64;

/// Every prime is `2^PRIME_BITS - c` for a small `c`.
const PRIME_BITS: u32 = 61;
const MASK: u64 = (1 << PRIME_BITS) - 1;

/// Where the search for primitive roots starts: the first 60 fractional bits of e - 2, so that nobody picked it.
/// Roots this large keep two neighbouring small errors from cancelling.
const GENERATOR_BASE: u64 = 0x0B7E_1516_28AE_D2A6;

/// `(2^61 - p_j, g_j - GENERATOR_BASE)`. The tests prove each prime and each root.
#[rustfmt::skip]
const TABLE: [(u16, u8); MAX_RESIDUES] = [
    (1, 0), (31, 1), (45, 1), (229, 6), (259, 0), (283, 0), (339, 2), (391, 0),
    (403, 2), (465, 0), (531, 3), (579, 0), (675, 2), (759, 6), (799, 3), (819, 2),
    (829, 1), (843, 0), (859, 1), (939, 2), (985, 2), (1015, 0), (1153, 7), (1195, 0),
    (1215, 2), (1281, 2), (1299, 0), (1351, 3), (1371, 2), (1425, 1), (1489, 0), (1525, 4),
    (1533, 0), (1543, 1), (1609, 6), (1621, 0), (1669, 1), (1741, 3), (1753, 1), (1813, 0),
    (1845, 0), (1849, 1), (1855, 6), (1863, 1), (1869, 1), (1909, 6), (1921, 0), (1923, 1),
    (1945, 4), (1959, 0), (2023, 2), (2083, 1), (2115, 1), (2133, 1), (2185, 1), (2371, 3),
    (2373, 0), (2383, 2), (2385, 0), (2401, 1), (2539, 0), (2551, 1), (2595, 0), (2605, 0),
];

/// One modulus `2^61 - c`. All values that enter and leave its methods are below it.
#[derive(Clone, Copy)]
struct Modulus {
    c: u64,
}

impl Modulus {
    /// The modulus of residue `j`, which is below [`MAX_RESIDUES`].
    const fn of(j: usize) -> Self {
        Self { c: TABLE[j].0 as u64 }
    }

    const fn value(self) -> u64 {
        MASK + 1 - self.c
    }

    /// `x mod p` for `x < 2 p`.
    const fn once(self, x: u64) -> u64 {
        if x >= self.value() { x - self.value() } else { x }
    }

    const fn add(self, a: u64, b: u64) -> u64 {
        self.once(a + b) // below 2^62
    }

    const fn negate(self, a: u64) -> u64 {
        if a == 0 { 0 } else { self.value() - a }
    }

    /// 2^61 = c (mod p), so the high part folds onto the low part.
    const fn multiply(self, a: u64, b: u64) -> u64 {
        let product = a as u128 * b as u128; // below 2^122
        let folded = (product & MASK as u128) + (product >> PRIME_BITS) * self.c as u128; // below 2^74
        let low = folded as u64 & MASK;
        let high = (folded >> PRIME_BITS) as u64; // below 2^13
        self.once(low + high * self.c) // below 2^61 + 2^25, so below 2 p
    }

    /// `code mod p`, in `0..p`.
    const fn code(self, code: i64) -> u64 {
        let magnitude = code.unsigned_abs();
        let folded = self.once((magnitude & MASK) + (magnitude >> PRIME_BITS) * self.c);
        if code < 0 { self.negate(folded) } else { folded }
    }
}

/// The prime `p_j`; `None` from [`MAX_RESIDUES`] on.
pub const fn prime(j: usize) -> Option<u64> {
    if j < MAX_RESIDUES { Some(Modulus::of(j).value()) } else { None }
}

/// The factor `g_j`: the smallest primitive root of `p_j` from `0x0B7E151628AED2A6` on; `None` from
/// [`MAX_RESIDUES`] on. Its powers repeat only after `p_j - 1` (about 2^61) codes.
pub const fn generator(j: usize) -> Option<u64> {
    if j < MAX_RESIDUES { Some(GENERATOR_BASE + TABLE[j].1 as u64) } else { None }
}

/// Accumulates the first `N` residues of a stream of codes, in 16 bytes a residue. `N` is at most [`MAX_RESIDUES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Residues<const N: usize> {
    /// `sum x_k * g_j^k mod p_j` over the codes so far.
    sums: [u64; N],
    /// `g_j^i mod p_j` for the next position `i`.
    powers: [u64; N],
}

impl<const N: usize> Residues<N> {
    /// The residues of no codes at all: zeros.
    pub const fn new() -> Self {
        const { assert!(N <= MAX_RESIDUES, "there are only 64 primes") };
        Self { sums: [0; N], powers: [1; N] }
    }

    /// Takes in the next code.
    pub fn push(&mut self, code: i64) {
        for (j, (sum, power)) in self.sums.iter_mut().zip(&mut self.powers).enumerate() {
            let modulus = Modulus::of(j);
            *sum = modulus.add(*sum, modulus.multiply(modulus.code(code), *power));
            *power = modulus.multiply(*power, GENERATOR_BASE + u64::from(TABLE[j].1));
        }
    }

    /// Takes in the next code of a delta: the true difference `new - old`, which does not wrap.
    pub fn push_difference(&mut self, old: i32, new: i32) {
        self.push(i64::from(new) - i64::from(old));
    }

    /// The residues of all codes so far, each in `0..p_j`.
    pub const fn values(&self) -> &[u64; N] {
        &self.sums
    }

    /// Compares with the residues that a container promises.
    ///
    /// # Errors
    /// - [`Error::OutOfRange`] (`n_crt`) when `promised` holds more than `N` residues: they were not computed;
    /// - [`Error::ResidueMismatch`] for the first residue that differs.
    pub fn check(&self, promised: impl IntoIterator<Item = u64>) -> Result<(), Error> {
        for (j, expected) in promised.into_iter().enumerate() {
            let Some(&found) = self.sums.get(j) else {
                return Err(Error::OutOfRange { field: "n_crt", found: j as u64 + 1, limit: N as u64 });
            };
            if expected != found {
                return Err(Error::ResidueMismatch { index: j as u32, expected, found });
            }
        }
        Ok(())
    }
}

impl<const N: usize> Default for Residues<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// `old + delta mod p_j`.
///
/// # Errors
/// [`Error::OutOfRange`] when `j` is no residue (`n_crt`), or `old` or `delta` is no residue of `p_j` (`crt_residues`).
pub fn add(j: usize, old: u64, delta: u64) -> Result<u64, Error> {
    if j >= MAX_RESIDUES {
        return Err(Error::OutOfRange { field: "n_crt", found: j as u64 + 1, limit: MAX_RESIDUES as u64 });
    }
    let modulus = Modulus::of(j);
    for found in [old, delta] {
        if found >= modulus.value() {
            return Err(Error::OutOfRange { field: "crt_residues", found, limit: modulus.value() - 1 });
        }
    }
    Ok(modulus.add(old, delta))
}

/// Checks `old + delta = new` over the residues that all three slices hold. A shorter slice is checked as far as it
/// goes; an empty one proves nothing.
///
/// # Errors
/// - [`Error::OutOfRange`] as [`add`] gives it;
/// - [`Error::ResidueMismatch`] for the first residue that does not add up: `new`'s is `expected`, the sum is `found`.
pub fn check_sum(old: &[u64], delta: &[u64], new: &[u64]) -> Result<(), Error> {
    for (j, ((&old, &delta), &expected)) in old.iter().zip(delta).zip(new).enumerate() {
        let found = add(j, old, delta)?;
        if found != expected {
            return Err(Error::ResidueMismatch { index: j as u32, expected, found });
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn multiply(a: u64, b: u64, p: u64) -> u64 {
        (u128::from(a) * u128::from(b) % u128::from(p)) as u64
    }

    fn power(mut base: u64, mut exponent: u64, p: u64) -> u64 {
        let mut result = 1 % p;
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = multiply(result, base, p);
            }
            base = multiply(base, base, p);
            exponent >>= 1;
        }
        result
    }

    /// Miller-Rabin. These twelve bases decide every integer below 3.3e24 (Sorenson and Webster, 2015), so this is a
    /// proof for 64-bit integers.
    fn is_prime(n: u64) -> bool {
        const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
        if n < 2 || BASES.iter().any(|&b| n != b && n.is_multiple_of(b)) {
            return false;
        }
        if BASES.contains(&n) {
            return true;
        }
        let twos = (n - 1).trailing_zeros();
        BASES.iter().all(|&base| {
            let mut x = power(base, (n - 1) >> twos, n);
            x == 1
                || (0..twos).any(|_| {
                    let hit = x == n - 1;
                    x = multiply(x, x, n);
                    hit
                })
        })
    }

    fn gcd(mut a: u64, mut b: u64) -> u64 {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    }

    /// Pollard's rho (Brent's batching of the gcd) down to primes.
    fn prime_factors(n: u64, out: &mut Vec<u64>) {
        if n == 1 {
            return;
        }
        if is_prime(n) {
            out.push(n);
            return;
        }
        let small = (2..1000).find(|&d| n.is_multiple_of(d));
        let divisor = small.unwrap_or_else(|| {
            (1..)
                .find_map(|c| {
                    let step = |x: u64| ((u128::from(multiply(x, x, n)) + c) % u128::from(n)) as u64;
                    let (mut slow, mut fast) = (2, 2);
                    loop {
                        let (mut batch, restart) = (1, (slow, fast));
                        for _ in 0..256 {
                            slow = step(slow);
                            fast = step(step(fast));
                            let product = multiply(batch, slow.abs_diff(fast), n);
                            if product == 0 {
                                break;
                            }
                            batch = product;
                        }
                        let divisor = gcd(batch, n);
                        if divisor > 1 && divisor < n {
                            return Some(divisor);
                        }
                        if slow == fast {
                            (slow, fast) = restart;
                            for _ in 0..=256 {
                                slow = step(slow);
                                fast = step(step(fast));
                                let divisor = gcd(slow.abs_diff(fast), n);
                                if divisor > 1 && divisor < n {
                                    return Some(divisor);
                                }
                            }
                            return None; // the whole cycle in one: take another polynomial
                        }
                    }
                })
                .unwrap()
        });
        prime_factors(divisor, out);
        prime_factors(n / divisor, out);
    }

    #[test]
    fn the_primality_test_itself() {
        let small: Vec<u64> = (0..60).filter(|&n| is_prime(n)).collect();
        assert_eq!(small, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59]);
        assert!(!is_prime(3_215_031_751)); // strong pseudoprime to 2, 3, 5 and 7
        assert!(!is_prime(3_825_123_056_546_413_051)); // ... and to 2 to 23
        assert!(is_prime((1 << 61) - 1));
    }

    #[test]
    fn the_moduli_are_the_largest_primes_below_2_to_61() {
        let largest = (0..).map(|i| (1u64 << 61) - 1 - i).filter(|&n| is_prime(n)).take(MAX_RESIDUES);
        for (j, p) in largest.enumerate() {
            assert_eq!(prime(j), Some(p));
        }
        assert_eq!(prime(MAX_RESIDUES), None);
    }

    #[test]
    fn the_generators_are_the_first_primitive_roots_from_the_base_on() {
        for j in 0..MAX_RESIDUES {
            let (p, g) = (prime(j).unwrap(), generator(j).unwrap());
            let mut factors = Vec::new();
            prime_factors(p - 1, &mut factors);
            assert_eq!(factors.iter().fold(1u128, |n, &q| n * u128::from(q)), u128::from(p - 1));
            let is_root = |g| factors.iter().all(|&q| power(g, (p - 1) / q, p) != 1);
            assert_eq!((GENERATOR_BASE..).find(|&g| is_root(g)), Some(g), "residue {j}");
        }
        assert_eq!(generator(MAX_RESIDUES), None);
    }

    /// SplitMix64: enough randomness for tests.
    pub(crate) fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    #[test]
    fn fast_arithmetic_agrees_with_division() {
        let mut seed = 1;
        for j in 0..MAX_RESIDUES {
            let (modulus, p) = (Modulus::of(j), prime(j).unwrap());
            let edges = [0, 1, 2, p / 2, p - 2, p - 1];
            let values: Vec<u64> = edges.into_iter().chain((0..40).map(|_| random(&mut seed) % p)).collect();
            for &a in &values {
                for &b in &values {
                    assert_eq!(modulus.multiply(a, b), multiply(a, b, p));
                    assert_eq!(u128::from(modulus.add(a, b)), (u128::from(a) + u128::from(b)) % u128::from(p));
                }
            }
            let codes = [0, 1, -1, i64::MIN, i64::MAX, p as i64, -(p as i64), i64::from(i32::MIN)];
            for code in codes.into_iter().chain((0..100).map(|_| random(&mut seed) as i64)) {
                assert_eq!(i128::from(modulus.code(code)), i128::from(code).rem_euclid(i128::from(p)));
            }
        }
    }

    #[test]
    fn residues_follow_their_definition() {
        let mut seed = 2;
        let codes: Vec<i64> = (0..200).map(|_| random(&mut seed) as i64).collect();
        let mut residues = Residues::<MAX_RESIDUES>::new();
        codes.iter().for_each(|&x| residues.push(x));
        for (j, &value) in residues.values().iter().enumerate() {
            let (p, g) = (prime(j).unwrap(), generator(j).unwrap());
            let sum = codes
                .iter()
                .enumerate()
                .fold(0i128, |sum, (i, &x)| (sum + i128::from(x) * i128::from(power(g, i as u64, p))) % i128::from(p));
            assert_eq!(i128::from(value), sum.rem_euclid(i128::from(p)));
        }
        residues.check(*residues.values()).unwrap();
    }

    /// The property that chains rest on, at every width, with differences that wrap in the payload.
    #[test]
    fn differences_add_up_however_they_wrap() {
        let mut seed = 3;
        for width in [8, 16, 32] {
            let mut next = || ((random(&mut seed) as i32) << (32 - width)) >> (32 - width);
            let versions: [Vec<i32>; 3] = core::array::from_fn(|_| (0..500).map(|_| next()).collect());
            let whole = |codes: &[i32]| {
                let mut r = Residues::<3>::new();
                codes.iter().for_each(|&x| r.push(x.into()));
                *r.values()
            };
            let delta = |old: &[i32], new: &[i32]| {
                let mut r = Residues::<3>::new();
                old.iter().zip(new).for_each(|(&x, &y)| r.push_difference(x, y));
                *r.values()
            };
            let [a, b, c] = &versions;
            check_sum(&whole(a), &delta(a, b), &whole(b)).unwrap();
            check_sum(&delta(a, b), &delta(b, c), &delta(a, c)).unwrap(); // a squashed chain
            assert!(matches!(
                check_sum(&whole(a), &delta(a, b), &whole(c)),
                Err(Error::ResidueMismatch { index: 0, .. })
            ));
        }
    }

    #[test]
    fn one_changed_code_is_seen() {
        let mut reference = Residues::<1>::new();
        (0..100).for_each(|i| reference.push(i));
        for changed in 0..100 {
            let mut residues = Residues::<1>::new();
            (0..100).for_each(|i| residues.push(if i == changed { i + 1 } else { i }));
            assert!(residues.check(*reference.values()).is_err());
        }
    }

    #[test]
    fn foreign_residues_are_refused() {
        let p = prime(0).unwrap();
        assert_eq!(add(0, p, 0), Err(Error::OutOfRange { field: "crt_residues", found: p, limit: p - 1 }));
        assert_eq!(add(0, p - 1, 2), Ok(1));
        assert_eq!(add(64, 0, 0), Err(Error::OutOfRange { field: "n_crt", found: 65, limit: 64 }));
        let residues = Residues::<1>::new();
        assert_eq!(residues.check([0, 0]), Err(Error::OutOfRange { field: "n_crt", found: 2, limit: 1 }));
    }
}
