//! Floats to packed codes, and back: all exact.

use super::{Case, Error, Random, Timed, Unit, Work};
use crate::backend::{Backend, BackendError, Bits};

const ALL: [Bits; 4] = [Bits::One, Bits::Two, Bits::Four, Bits::Eight];
const EXACT: Error = Error { found: 0.0, allowed: 0.0 };
/// Numbers that fill a GPU, and of a group of them.
const LARGE: usize = 1 << 28;
const GROUP: usize = 128;

/// Codes as numbers, and back, a bit at a time.
fn pack(bits: Bits, codes: &[i64]) -> Vec<u32> {
    let mut words = vec![0; bits.words(codes.len())];
    for (i, code) in codes.iter().enumerate() {
        for bit in 0..bits.count() {
            let at = i * bits.count() + bit;
            words[at / 32] |= ((code >> bit & 1) as u32) << (at % 32);
        }
    }
    words
}

/// The documented order, as it is written there: lanes, then pairs of them.
fn mean(x: &[f32]) -> f32 {
    fn sum(x: &[f32]) -> f32 {
        if x.len() > 1024 {
            return sum(&x.chunks(1024).map(sum).collect::<Vec<f32>>());
        }
        let of_lane = |l: usize| (0..x.len()).filter(|i| i / 4 % 32 == l).fold(0.0, |sum, i| sum + x[i].abs());
        let mut lanes: Vec<f32> = (0..32).map(of_lane).collect();
        while let Some(half) = Some(lanes.len() / 2).filter(|half| *half > 0) {
            lanes = (0..half).map(|l| lanes[l] + lanes[l + half]).collect();
        }
        lanes[0]
    }
    sum(x) / x.len() as f32
}

/// Scale and codes of a group. A quotient of f32 in f64, rounded to f32, is what f32 gives.
fn group(bits: Bits, x: &[f32]) -> (f32, Vec<i64>) {
    if bits == Bits::One {
        return (mean(x), x.iter().map(|x| i64::from(*x >= 0.0)).collect());
    }
    let largest = (1 << (bits.count() - 1)) - 1;
    let most = x.iter().map(|x| f64::from(x.abs())).fold(0.0, f64::max);
    let scale = (most / f64::from(largest)) as f32;
    let code = |x: &f32| {
        if scale == 0.0 {
            return 0;
        }
        let quotient = f64::from((f64::from(*x) / f64::from(scale)) as f32);
        let (low, rest) = (quotient.floor() as i64, quotient - quotient.floor());
        let up = rest > 0.5 || rest == 0.5 && low % 2 != 0;
        (low + i64::from(up)).clamp(-i64::from(largest), i64::from(largest))
    };
    (scale, x.iter().map(code).collect())
}

/// Codes, scales and values of `groups` groups of `each` numbers, for all `sizes`.
fn check<B: Backend>(backend: &B, random: &mut Random, sizes: &[(usize, usize)]) -> Result<Error, BackendError> {
    let mut worst = EXACT;
    for bits in ALL {
        for &(each, groups) in sizes {
            let mut x = random.floats(each * groups);
            for (i, group) in x.chunks_mut(each).enumerate() {
                match i % 5 {
                    // Halves of steps: ties. Nothing at all. Steps that are subnormal, or vanish.
                    1 => group.iter_mut().for_each(|x| *x = (*x * 254.0).round() / 2.0),
                    2 => group.fill(0.0),
                    3 => group.iter_mut().for_each(|x| *x *= 1e-42),
                    4 => group.iter_mut().for_each(|x| *x *= 3e-45),
                    _ => {}
                }
                if i % 5 == 1 {
                    group[each / 3] = -127.0;
                }
            }
            let (mut scales, mut codes) = (Vec::new(), Vec::new());
            for part in x.chunks(each) {
                let (scale, part) = group(bits, part);
                scales.push(scale);
                codes.extend(part);
            }
            let packed = pack(bits, &codes);
            let mut found = backend.upload(&vec![0xdead_beef_u32; packed.len()])?;
            let mut found_scales = backend.upload(&vec![f32::NAN; groups])?;
            backend.quantise(bits, each, &backend.upload(&x)?, &mut found, &mut found_scales)?;
            worst = worst.worst(Error::exact(&backend.download(&found)?, &packed));
            worst = worst.worst(Error::exact(&backend.download(&found_scales)?, &scales));

            let mut values = backend.upload(&vec![f32::NAN; x.len()])?;
            backend.dequantise(bits, each, &found, &found_scales, &mut values)?;
            let value = |(i, code): (usize, &i64)| {
                let code = if bits == Bits::One { 2 * code - 1 } else { *code };
                code as f32 * scales[i / each]
            };
            let expected: Vec<f32> = codes.iter().enumerate().map(value).collect();
            worst = worst.worst(Error::exact(&backend.download(&values)?, &expected));
        }
    }
    Ok(worst)
}

fn check_positions<B: Backend>(backend: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = EXACT;
    for bits in ALL {
        for len in [1, 31, 32, 1003, 4096] {
            let step = 0.037_f32;
            // From beyond the least code to beyond the largest, steps themselves among them.
            let reach = step * (1 << bits.count()) as f32;
            let mut x: Vec<f32> = random.floats(len).into_iter().map(|x| x * reach).collect();
            x.iter_mut().step_by(7).for_each(|x| *x = (*x / step).round() * step);
            let half = 1i64 << (bits.count() - 1);
            let quotient = |x: &f32| f64::from((f64::from(*x) / f64::from(step)) as f32);
            let codes: Vec<i64> = x.iter().map(|x| (quotient(x).floor() as i64).clamp(-half, half - 1)).collect();
            let packed = pack(bits, &codes);
            let mut found = backend.upload(&vec![0xdead_beef_u32; packed.len()])?;
            backend.position_codes(bits, step, &backend.upload(&x)?, &mut found)?;
            worst = worst.worst(Error::exact(&backend.download(&found)?, &packed));

            let mut values = backend.upload(&vec![f32::NAN; len])?;
            backend.position_values(bits, step, &found, &mut values)?;
            let expected: Vec<f32> = codes.iter().map(|code| (*code as f32 + 0.5) * step).collect();
            worst = worst.worst(Error::exact(&backend.download(&values)?, &expected));
        }
    }
    Ok(worst)
}

fn work(bits: Bits, scales: usize) -> Work {
    let bytes = (4 * LARGE + 4 * bits.words(LARGE) + 4 * scales) as f64;
    Work { bytes, operations: 2.0 * LARGE as f64, unit: Unit::Fma }
}

fn time<'a, B: Backend>(backend: &'a B, random: &mut Random, bits: Bits) -> Result<Timed<'a>, BackendError> {
    let x = backend.upload(&random.floats(LARGE))?;
    let (mut codes, mut scales) = (backend.zeros(bits.words(LARGE))?, backend.zeros(LARGE / GROUP)?);
    let work = work(bits, LARGE / GROUP);
    Ok((work, Box::new(move || backend.quantise(bits, GROUP, &x, &mut codes, &mut scales))))
}

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case {
            name: "quantise, dequantise",
            kernels: &["quantise_1", "quantise_2", "quantise_4", "quantise_8", "dequantise"],
            check: |b, random| check(b, random, &[(32, 1), (32, 37), (64, 5), (128, 20), (256, 7), (1024, 2)]),
            time: Some(|b, random| time(b, random, Bits::Four)),
        },
        Case {
            name: "quantise to one bit",
            kernels: &["quantise_1", "magnitudes", "group_scales", "quantise_by"],
            check: |b, random| {
                let x = random.floats(4096);
                let (mut codes, mut scale) = (b.zeros(128)?, b.zeros(1)?);
                b.quantise(Bits::One, 4096, &b.upload(&x)?, &mut codes, &mut scale)?;
                let mean = x.iter().map(|x| f64::from(x.abs())).sum::<f64>() / 4096.0;
                Ok(Error::between(&b.download(&scale)?, &[mean], 1e-6))
            },
            time: Some(|b, random| time(b, random, Bits::One)),
        },
        Case {
            name: "quantise, odd and long groups",
            kernels: &["magnitudes", "group_scales", "quantise_by"],
            check: |b, random| check(b, random, &[(96, 3), (1056, 3), (4128, 5)]),
            time: Some(|b, random| {
                let x = b.upload(&random.floats(LARGE))?;
                let (mut codes, mut scale) = (b.zeros(LARGE / 32)?, b.zeros(1)?);
                // The scale is known only when all has been read: it is read again.
                let work = Work { bytes: work(Bits::One, 1).bytes + 4.0 * LARGE as f64, ..work(Bits::One, 1) };
                Ok((work, Box::new(move || b.quantise(Bits::One, LARGE, &x, &mut codes, &mut scale))))
            }),
        },
        Case {
            name: "dequantise",
            kernels: &["dequantise"],
            check: |b, random| check(b, random, &[(32, 5), (160, 6)]),
            time: Some(|b, random| {
                let codes: Vec<u32> = (0..Bits::Four.words(LARGE)).map(|_| random.word()).collect();
                let (codes, scales) = (b.upload(&codes)?, b.upload(&random.floats(LARGE / GROUP))?);
                let mut out = b.zeros(LARGE)?;
                let work = work(Bits::Four, LARGE / GROUP);
                Ok((work, Box::new(move || b.dequantise(Bits::Four, GROUP, &codes, &scales, &mut out))))
            }),
        },
        Case {
            name: "position codes and values",
            kernels: &["position_codes", "position_values"],
            check: check_positions,
            time: Some(|b, random| {
                let x = b.upload(&random.floats(LARGE))?;
                let mut codes = b.zeros(Bits::Four.words(LARGE))?;
                Ok((work(Bits::Four, 0), Box::new(move || b.position_codes(Bits::Four, 0.1, &x, &mut codes))))
            }),
        },
    ]
}
