//! Shares by exponentials.

use super::differences::{dot, gradient, wide};
use super::{Case, Error, Unit, Work};
use crate::backend::Backend;

/// Rows and columns: one number, rows that are not aligned, a part of an access, more than what is kept, more rows than warps.
const SIZES: [[usize; 2]; 5] = [[1, 1], [9, 3], [5, 64], [2, 1030], [17, 1152]];
/// Rows and columns that fill a GPU.
const LARGE: [usize; 2] = [1 << 17, 1024];

fn softmax(x: &[f64]) -> Vec<f64> {
    let highest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = x.iter().map(|x| (x - highest).exp()).sum();
    x.iter().map(|x| (x - highest).exp() / sum).collect()
}

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case {
            name: "softmax_rows [131072, 1024]",
            kernels: &["softmax_rows"],
            check: |b, random| {
                let mut worst = Error { found: 0.0, allowed: 1e-5 };
                for [rows, n] in SIZES {
                    // Scores up to 100: no exponential of them may be taken alone.
                    let x: Vec<f32> = random.floats(rows * n).iter().map(|x| 100.0 * x).collect();
                    let mut y = b.upload(&vec![f32::NAN; rows * n])?;
                    b.softmax_rows(n, &b.upload(&x)?, &mut y)?;
                    let expected: Vec<f64> = wide(&x).chunks(n).flat_map(softmax).collect();
                    worst = worst.worst(Error::between(&b.download(&y)?, &expected, 1e-5));
                }
                Ok(worst)
            },
            time: Some(|b, random| {
                let [rows, n] = LARGE;
                let (x, mut y) = (b.upload(&random.floats(rows * n))?, b.zeros(rows * n)?);
                let numbers = (rows * n) as f64;
                let work = Work { bytes: 8.0 * numbers, operations: 5.0 * numbers, unit: Unit::Fma };
                Ok((work, Box::new(move || b.softmax_rows(n, &x, &mut y))))
            }),
        },
        Case {
            name: "softmax_rows_back [131072, 1024]",
            kernels: &["softmax_rows_back"],
            check: |b, random| {
                let mut worst = Error { found: 0.0, allowed: 2e-6 };
                for [rows, n] in SIZES {
                    let (x, dy) = (wide(&random.floats(rows * n)), random.floats(rows * n));
                    let y: Vec<f32> = x.chunks(n).flat_map(softmax).map(|y| y as f32).collect();
                    let mut dx = b.upload(&vec![f32::NAN; rows * n])?;
                    b.softmax_rows_back(n, &b.upload(&y)?, &b.upload(&dy)?, &mut dx)?;
                    let found = b.download(&dx)?;
                    let (y, dy) = (wide(&y), wide(&dy));
                    let row = |(y, dy): (&[f64], &[f64])| -> Vec<f64> {
                        y.iter().zip(dy).map(|(one, d)| one * (d - dot(y, dy))).collect()
                    };
                    let expected: Vec<f64> = y.chunks(n).zip(dy.chunks(n)).flat_map(row).collect();
                    // One share is 1, whatever the score.
                    worst = worst.worst(Error::between(&found, &expected, if n == 1 { f64::INFINITY } else { 2e-6 }));
                    if n == 3 {
                        let loss = |x: &[f64]| x.chunks(n).zip(dy.chunks(n)).map(|(x, d)| dot(&softmax(x), d)).sum();
                        worst = worst.worst(Error::between(&found, &gradient(&x, loss), 2e-6));
                    }
                }
                Ok(worst)
            },
            time: Some(|b, random| {
                let [rows, n] = LARGE;
                let (y, dy) = (b.upload(&random.floats(rows * n))?, b.upload(&random.floats(rows * n))?);
                let mut dx = b.zeros(rows * n)?;
                let numbers = (rows * n) as f64;
                let work = Work { bytes: 12.0 * numbers, operations: 4.0 * numbers, unit: Unit::Fma };
                Ok((work, Box::new(move || b.softmax_rows_back(n, &y, &dy, &mut dx))))
            }),
        },
    ]
}
