//! Products of matrices.

use super::{Case, Error, Random, Unit, Work};
use crate::backend::{Backend, BackendError, Product};

/// The product in f64.
fn reference(product: Product, [m, n, k]: [usize; 3], a: &[f32], b: &[f32]) -> Vec<f64> {
    let left =
        |i: usize, l: usize| f64::from(if product == Product::LeftTransposed { a[l * m + i] } else { a[i * k + l] });
    let right =
        |l: usize, j: usize| f64::from(if product == Product::RightTransposed { b[j * k + l] } else { b[l * n + j] });
    let entry = |at: usize| (0..k).map(|l| left(at / n, l) * right(l, at % n)).sum();
    (0..m * n).map(entry).collect()
}

fn check<B: Backend>(backend: &B, random: &mut Random, product: Product) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 1e-6 };
    for [m, n, k] in [[1, 1, 1], [3, 70, 5], [64, 64, 16], [130, 67, 129]] {
        let (a, b) = (random.floats(m * k), random.floats(k * n));
        let mut c = backend.upload(&vec![f32::NAN; m * n])?;
        backend.matmul(product, [m, n, k], &backend.upload(&a)?, &backend.upload(&b)?, &mut c)?;
        let expected = reference(product, [m, n, k], &a, &b);
        worst = worst.worst(Error::between(&backend.download(&c)?, &expected, 1e-6));
    }
    Ok(worst)
}

fn time<'a, B: Backend>(
    backend: &'a B,
    random: &mut Random,
    product: Product,
) -> Result<super::Timed<'a>, BackendError> {
    const EDGE: usize = 4096;
    let (a, b) = (backend.upload(&random.floats(EDGE * EDGE))?, backend.upload(&random.floats(EDGE * EDGE))?);
    let mut c = backend.zeros(EDGE * EDGE)?;
    let work = Work { bytes: 12.0 * (EDGE * EDGE) as f64, operations: 2.0 * (EDGE as f64).powi(3), unit: Unit::Fma };
    Ok((work, Box::new(move || backend.matmul(product, [EDGE; 3], &a, &b, &mut c))))
}

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case {
            name: "matmul f32",
            kernels: &["matmul_f32"],
            check: |b, random| check(b, random, Product::Plain),
            time: Some(|b, random| time(b, random, Product::Plain)),
        },
        Case {
            name: "matmul f32, right transposed",
            kernels: &["matmul_f32"],
            check: |b, random| check(b, random, Product::RightTransposed),
            time: Some(|b, random| time(b, random, Product::RightTransposed)),
        },
        Case {
            name: "matmul f32, left transposed",
            kernels: &["matmul_f32"],
            check: |b, random| check(b, random, Product::LeftTransposed),
            time: Some(|b, random| time(b, random, Product::LeftTransposed)),
        },
    ]
}
