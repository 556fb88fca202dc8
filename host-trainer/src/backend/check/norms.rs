//! Norms of rows.

use super::differences::{dot, gradient, wide};
use super::{Case, Error, Random, Timed, Unit, Work};
use crate::backend::{Backend, BackendError};

const EPSILON: f32 = 1e-3;
/// Rows and columns: one number, rows that are not aligned, a part of an access, more than what is kept, more rows than warps.
const SIZES: [[usize; 2]; 7] = [[1, 1], [9, 3], [77, 20], [5, 64], [3, 130], [2, 1030], [17, 1152]];
/// Rows and columns that fill a GPU: wide rows and narrow ones.
const LARGE: [[usize; 2]; 2] = [[1 << 17, 1024], [1 << 21, 64]];

/// Mean and factor of a row.
fn moments(x: &[f64]) -> [f64; 2] {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
    [mean, (variance + f64::from(EPSILON)).sqrt().recip()]
}

/// A layer norm's row.
fn layer_norm(x: &[f64], scale: &[f64], shift: &[f64]) -> Vec<f64> {
    let [mean, factor] = moments(x);
    x.iter().zip(scale.iter().zip(shift)).map(|(x, (scale, shift))| (x - mean) * factor * scale + shift).collect()
}

/// An RMS norm's factor of a row.
fn rms(x: &[f64]) -> f64 {
    (dot(x, x) / x.len() as f64 + f64::from(EPSILON)).sqrt().recip()
}

fn check_layer_norm<B: Backend>(b: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 2e-6 };
    for [rows, n] in SIZES {
        // Far from zero, where a variance by squares would be lost.
        let x: Vec<f32> = random.floats(rows * n).iter().map(|x| x + 10.0).collect();
        let (scale, shift) = (random.floats(n), random.floats(n));
        let (mut y, mut kept) = (b.upload(&vec![f32::NAN; rows * n])?, b.upload(&vec![f32::NAN; 2 * rows])?);
        b.layer_norm(n, EPSILON, &b.upload(&x)?, &b.upload(&scale)?, &b.upload(&shift)?, &mut y, &mut kept)?;
        let (x, scale, shift) = (wide(&x), wide(&scale), wide(&shift));
        let expected: Vec<f64> = x.chunks(n).flat_map(|x| layer_norm(x, &scale, &shift)).collect();
        // What x lost to rounding at 10 is in the reference too; the rounding of the mean is not.
        worst = worst.worst(Error::between(&b.download(&y)?, &expected, 2e-5));
        let expected: Vec<f64> = x.chunks(n).flat_map(moments).collect();
        worst = worst.worst(Error::between(&b.download(&kept)?, &expected, 2e-6));
    }
    Ok(worst)
}

fn check_layer_norm_back<B: Backend>(b: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 5e-6 };
    for [rows, n] in SIZES {
        let (x, scale, dy) = (random.floats(rows * n), random.floats(n), random.floats(rows * n));
        let kept: Vec<f32> = wide(&x).chunks(n).flat_map(moments).map(|x| x as f32).collect();
        let mut dx = b.upload(&vec![f32::NAN; rows * n])?;
        let (mut d_scale, mut d_shift) = (b.upload(&vec![f32::NAN; n])?, b.upload(&vec![f32::NAN; n])?);
        let inputs = [b.upload(&x)?, b.upload(&scale)?, b.upload(&kept)?, b.upload(&dy)?];
        let [on_x, on_scale, on_kept, on_dy] = &inputs;
        b.layer_norm_back(n, on_x, on_scale, on_kept, on_dy, &mut dx, &mut d_scale, &mut d_shift)?;
        let (x, scale, dy) = (wide(&x), wide(&scale), wide(&dy));
        let (mut all, mut scales, mut shifts) = (Vec::new(), vec![0.0; n], vec![0.0; n]);
        for (x, dy) in x.chunks(n).zip(dy.chunks(n)) {
            let [mean, factor] = moments(x);
            let normal: Vec<f64> = x.iter().map(|x| (x - mean) * factor).collect();
            let d: Vec<f64> = dy.iter().zip(&scale).map(|(dy, scale)| dy * scale).collect();
            let (sum, products) = (d.iter().sum::<f64>(), dot(&d, &normal));
            all.extend((0..n).map(|i| factor * (d[i] - (sum + normal[i] * products) / n as f64)));
            for i in 0..n {
                scales[i] += dy[i] * normal[i];
                shifts[i] += dy[i];
            }
        }
        if n > 1 {
            // The norm of one number is 0, and so are its gradients: what is left is rounding.
            worst = worst.worst(Error::between(&b.download(&dx)?, &all, 5e-6));
            worst = worst.worst(Error::between(&b.download(&d_scale)?, &scales, 5e-6));
        }
        worst = worst.worst(Error::between(&b.download(&d_shift)?, &shifts, 1e-6));
        if n == 3 {
            let loss = |x: &[f64]| -> f64 {
                x.chunks(n).zip(dy.chunks(n)).map(|(x, dy)| dot(&layer_norm(x, &scale, &vec![0.0; n]), dy)).sum()
            };
            worst = worst.worst(Error::between(&b.download(&dx)?, &gradient(&x, loss), 5e-6));
        }
    }
    Ok(worst)
}

fn check_rms_norm<B: Backend>(b: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 1e-6 };
    for [rows, n] in SIZES {
        let x = random.floats(rows * n);
        let (mut y, mut factors) = (b.upload(&vec![f32::NAN; rows * n])?, b.upload(&vec![f32::NAN; rows])?);
        b.rms_norm(n, EPSILON, &b.upload(&x)?, &mut y, &mut factors)?;
        let x = wide(&x);
        let expected: Vec<f64> = x.chunks(n).flat_map(|x| x.iter().map(|one| one * rms(x))).collect();
        worst = worst.worst(Error::between(&b.download(&y)?, &expected, 1e-6));
        let expected: Vec<f64> = x.chunks(n).map(rms).collect();
        worst = worst.worst(Error::between(&b.download(&factors)?, &expected, 1e-6));
    }
    Ok(worst)
}

fn check_rms_norm_back<B: Backend>(b: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 2e-6 };
    for [rows, n] in SIZES {
        let (x, dy, before) = (random.floats(rows * n), random.floats(rows * n), random.floats(rows * n));
        let x = wide(&x);
        let y: Vec<f32> = x.chunks(n).flat_map(|x| x.iter().map(|one| (one * rms(x)) as f32)).collect();
        let factors: Vec<f32> = x.chunks(n).map(|x| rms(x) as f32).collect();
        let mut dx = b.upload(&before)?;
        b.rms_norm_back(n, &b.upload(&y)?, &b.upload(&factors)?, &b.upload(&dy)?, &mut dx)?;
        let mut expected = wide(&before);
        let rows = x.chunks(n).zip(wide(&dy).chunks(n).map(<[f64]>::to_vec).collect::<Vec<_>>());
        for (dx, (x, dy)) in expected.chunks_mut(n).zip(rows) {
            let factor = rms(x);
            let mean = dot(x, &dy) * factor / n as f64;
            (0..n).for_each(|i| dx[i] += factor * (dy[i] - x[i] * factor * mean));
        }
        worst = worst.worst(Error::between(&b.download(&dx)?, &expected, 2e-6));
    }
    Ok(worst)
}

fn time_layer_norm<'a, B: Backend>(b: &'a B, random: &mut Random, size: usize) -> Result<Timed<'a>, BackendError> {
    let [rows, n] = LARGE[size];
    let x = b.upload(&random.floats(rows * n))?;
    let (scale, shift) = (b.upload(&random.floats(n))?, b.upload(&random.floats(n))?);
    let (mut y, mut kept) = (b.zeros(rows * n)?, b.zeros(2 * rows)?);
    let numbers = (rows * n) as f64;
    let work = Work { bytes: 8.0 * numbers, operations: 8.0 * numbers, unit: Unit::Fma };
    Ok((work, Box::new(move || b.layer_norm(n, EPSILON, &x, &scale, &shift, &mut y, &mut kept))))
}

fn time_layer_norm_back<'a, B: Backend>(b: &'a B, random: &mut Random, size: usize) -> Result<Timed<'a>, BackendError> {
    let [rows, n] = LARGE[size];
    let (x, dy) = (b.upload(&random.floats(rows * n))?, b.upload(&random.floats(rows * n))?);
    let (scale, kept) = (b.upload(&random.floats(n))?, b.upload(&random.floats(2 * rows))?);
    let (mut dx, mut d_scale, mut d_shift) = (b.zeros(rows * n)?, b.zeros(n)?, b.zeros(n)?);
    let numbers = (rows * n) as f64;
    let work = Work { bytes: 12.0 * numbers, operations: 14.0 * numbers, unit: Unit::Fma };
    let run = move || b.layer_norm_back(n, &x, &scale, &kept, &dy, &mut dx, &mut d_scale, &mut d_shift);
    Ok((work, Box::new(run)))
}

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case {
            name: "layer_norm [131072, 1024]",
            kernels: &["layer_norm", "layer_norm_narrow"],
            check: check_layer_norm,
            time: Some(|b, random| time_layer_norm(b, random, 0)),
        },
        Case {
            name: "layer_norm [2097152, 64]",
            kernels: &["layer_norm", "layer_norm_narrow"],
            check: check_layer_norm,
            time: Some(|b, random| time_layer_norm(b, random, 1)),
        },
        Case {
            name: "layer_norm_back [131072, 1024]",
            kernels: &["layer_norm_back", "layer_norm_back_narrow", "norm_sums"],
            check: check_layer_norm_back,
            time: Some(|b, random| time_layer_norm_back(b, random, 0)),
        },
        Case {
            name: "layer_norm_back [2097152, 64]",
            kernels: &["layer_norm_back", "layer_norm_back_narrow", "norm_sums"],
            check: check_layer_norm_back,
            time: Some(|b, random| time_layer_norm_back(b, random, 1)),
        },
        Case {
            name: "rms_norm [131072, 1024]",
            kernels: &["rms_norm"],
            check: check_rms_norm,
            time: Some(|b, random| {
                let [rows, n] = LARGE[0];
                let x = b.upload(&random.floats(rows * n))?;
                let (mut y, mut factors) = (b.zeros(rows * n)?, b.zeros(rows)?);
                let numbers = (rows * n) as f64;
                let work = Work { bytes: 8.0 * numbers, operations: 3.0 * numbers, unit: Unit::Fma };
                Ok((work, Box::new(move || b.rms_norm(n, EPSILON, &x, &mut y, &mut factors))))
            }),
        },
        Case {
            name: "rms_norm_back [131072, 1024]",
            kernels: &["rms_norm_back"],
            check: check_rms_norm_back,
            time: Some(|b, random| {
                let [rows, n] = LARGE[0];
                let (y, dy) = (b.upload(&random.floats(rows * n))?, b.upload(&random.floats(rows * n))?);
                let (factors, mut dx) = (b.upload(&random.floats(rows))?, b.zeros(rows * n)?);
                let numbers = (rows * n) as f64;
                let work = Work { bytes: 16.0 * numbers, operations: 6.0 * numbers, unit: Unit::Fma };
                Ok((work, Box::new(move || b.rms_norm_back(n, &y, &factors, &dy, &mut dx))))
            }),
        },
    ]
}
