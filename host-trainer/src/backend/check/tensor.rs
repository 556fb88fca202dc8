//! Products of matrices of bfloat16 and of signed bytes.

use super::{Case, Error, Random, Timed, Unit, Work};
use crate::backend::{Backend, BackendError, Product};

/// m, n, k of a product that fills a GPU.
const EDGE: usize = 8192;

/// One entry alone; less than a piece; rows that no copy of 16 bytes reaches; some tiles; more terms than a pipeline has
/// stages.
const SIZES: [[usize; 3]; 6] = [[1, 1, 1], [1, 8, 16], [7, 70, 37], [130, 264, 80], [128, 256, 64], [16, 24, 464]];

/// The value of bfloat16 bits.
fn value(bits: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(bits) << 16))
}

fn bf16<B: Backend>(backend: &B, random: &mut Random, product: Product) -> Result<Error, BackendError> {
    // Tensor cores cut sums off where an f32 would be rounded.
    const ALLOWED: f64 = 1e-5;
    let mut worst = Error { found: 0.0, allowed: ALLOWED };
    for [m, n, k] in SIZES {
        let numbers = |random: &mut Random, len: usize| -> Vec<u16> {
            random.floats(len).into_iter().map(|x| (x.to_bits() >> 16) as u16).collect()
        };
        let (a, b) = (numbers(random, m * k), numbers(random, k * n));
        let mut c = backend.upload(&vec![f32::NAN; m * n])?;
        backend.matmul_bf16(product, [m, n, k], &backend.upload(&a)?, &backend.upload(&b)?, &mut c)?;
        let left =
            |i: usize, l: usize| value(if product == Product::LeftTransposed { a[l * m + i] } else { a[i * k + l] });
        let right =
            |l: usize, j: usize| value(if product == Product::RightTransposed { b[j * k + l] } else { b[l * n + j] });
        let entry = |at: usize| (0..k).map(|l| left(at / n, l) * right(l, at % n)).sum();
        let expected: Vec<f64> = (0..m * n).map(entry).collect();
        worst = worst.worst(Error::between(&backend.download(&c)?, &expected, ALLOWED));
    }
    Ok(worst)
}

fn time_bf16<'a, B: Backend>(backend: &'a B, random: &mut Random, product: Product) -> Result<Timed<'a>, BackendError> {
    let operand = |random: &mut Random| {
        let mut bits = backend.zeros::<u16>(EDGE * EDGE)?;
        backend.to_bf16(&backend.upload(&random.floats(EDGE * EDGE))?, &mut bits)?;
        Ok(bits)
    };
    let (a, b) = (operand(random)?, operand(random)?);
    let mut c = backend.zeros(EDGE * EDGE)?;
    let work = Work { bytes: 8.0 * (EDGE * EDGE) as f64, operations: 2.0 * (EDGE as f64).powi(3), unit: Unit::Bf16 };
    Ok((work, Box::new(move || backend.matmul_bf16(product, [EDGE; 3], &a, &b, &mut c))))
}

fn signed(random: &mut Random, len: usize) -> Vec<i8> {
    random.bytes(len).into_iter().map(|x| x as i8).collect()
}

fn i8<B: Backend>(backend: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 0.0 };
    for [m, n, k] in SIZES {
        let (a, b) = (signed(random, m * k), signed(random, n * k));
        let mut c = backend.upload(&vec![i32::MIN; m * n])?;
        backend.matmul_i8([m, n, k], &backend.upload(&a)?, &backend.upload(&b)?, &mut c)?;
        let entry = |at: usize| (0..k).map(|l| i32::from(a[at / n * k + l]) * i32::from(b[at % n * k + l])).sum();
        let expected: Vec<i32> = (0..m * n).map(entry).collect();
        worst = worst.worst(Error::exact(&backend.download(&c)?, &expected));
    }
    Ok(worst)
}

/// The bfloat16 nearest to `x`, of the two between which it lies the even one where both are as near.
fn nearest(x: f32) -> u16 {
    let (low, exact) = ((x.to_bits() >> 16) as u16, f64::from(x));
    if x.is_infinite() || value(low) == exact {
        return low;
    }
    // Beyond the largest lies what would be the next power of two.
    let next = if value(low + 1).is_infinite() { 2.0f64.powi(128).copysign(exact) } else { value(low + 1) };
    let (below, above) = ((exact - value(low)).abs(), (next - exact).abs());
    if below < above || below == above && low.is_multiple_of(2) { low } else { low + 1 }
}

fn conversion<B: Backend>(backend: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 0.0 };
    for len in [1, 8, 1003, 4096] {
        // Ties, the largest numbers, the smallest, and any others.
        let special = [0.0, -0.0, 1.003_906_3, 1.011_718_8, f32::MAX, f32::MIN, f32::INFINITY, 1e-45, -1e-40];
        let any = (0..len).map(|_| f32::from_bits(random.word())).map(|x| if x.is_nan() { 1.0 } else { x });
        let x: Vec<f32> = special.into_iter().chain(any).take(len).collect();
        let mut out = backend.upload(&vec![0x7fff_u16; len])?;
        backend.to_bf16(&backend.upload(&x)?, &mut out)?;
        let expected: Vec<u16> = x.iter().map(|x| nearest(*x)).collect();
        worst = worst.worst(Error::exact(&backend.download(&out)?, &expected));
    }
    let mut out = backend.zeros(2)?;
    backend.to_bf16(&backend.upload(&[f32::NAN, f32::from_bits(0xff80_0001)])?, &mut out)?;
    let nan: Vec<bool> = backend.download(&out)?.into_iter().map(|x| value(x).is_nan()).collect();
    Ok(worst.worst(Error::exact(&nan, &[true, true])))
}

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case {
            name: "matmul bf16",
            kernels: &["matmul_bf16_plain"],
            check: |b, random| bf16(b, random, Product::Plain),
            time: Some(|b, random| time_bf16(b, random, Product::Plain)),
        },
        Case {
            name: "matmul bf16, right transposed",
            kernels: &["matmul_bf16"],
            check: |b, random| bf16(b, random, Product::RightTransposed),
            time: Some(|b, random| time_bf16(b, random, Product::RightTransposed)),
        },
        Case {
            name: "matmul bf16, left transposed",
            kernels: &["matmul_bf16_left"],
            check: |b, random| bf16(b, random, Product::LeftTransposed),
            time: Some(|b, random| time_bf16(b, random, Product::LeftTransposed)),
        },
        Case {
            name: "matmul i8",
            kernels: &["matmul_i8"],
            check: i8,
            time: Some(|b, random| {
                let operand = |random: &mut Random| b.upload(&signed(random, EDGE * EDGE));
                let (x, y) = (operand(random)?, operand(random)?);
                let mut c = b.zeros(EDGE * EDGE)?;
                let bytes = 6.0 * (EDGE * EDGE) as f64;
                let work = Work { bytes, operations: 2.0 * (EDGE as f64).powi(3), unit: Unit::Int8 };
                Ok((work, Box::new(move || b.matmul_i8([EDGE; 3], &x, &y, &mut c))))
            }),
        },
        Case {
            name: "to_bf16",
            kernels: &["to_bf16"],
            check: conversion,
            time: Some(|b, random| {
                const LEN: usize = 1 << 28;
                let x = b.upload(&random.floats(LEN))?;
                let mut out = b.zeros(LEN)?;
                let work = Work { bytes: 6.0 * LEN as f64, operations: 0.0, unit: Unit::Fma };
                Ok((work, Box::new(move || b.to_bf16(&x, &mut out))))
            }),
        },
    ]
}
