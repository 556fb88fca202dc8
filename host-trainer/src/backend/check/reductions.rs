//! Sums and maxima.

use super::{Case, Error, Random, Timed, Unit, Work};
use crate::backend::{Backend, BackendError, Reduction};

/// Rows and columns of a matrix that fills a GPU.
const LARGE: [usize; 2] = [1 << 16, 1 << 12];
const ALL: usize = LARGE[0] * LARGE[1];

/// Numbers from 0 to 1: a sum that is not small beside its terms.
fn positive(random: &mut Random, len: usize) -> Vec<f32> {
    random.floats(len).into_iter().map(f32::abs).collect()
}

fn reduce<B: Backend>(backend: &B, random: &mut Random, reduction: Reduction) -> Result<Error, BackendError> {
    let allowed = if reduction == Reduction::Max { 0.0 } else { 1e-6 };
    let mut worst = Error { found: 0.0, allowed };
    for len in [1, 3, 1003, 30_000, 100_003] {
        let mut x = positive(random, len);
        if reduction == Reduction::Max {
            // All below 0, the largest alone.
            x.iter_mut().for_each(|x| *x = -1.0 - *x);
            x[len / 2] = -0.75;
        }
        let wide = x.iter().map(|x| f64::from(*x));
        let expected = match reduction {
            Reduction::Sum => wide.sum(),
            Reduction::Squares => wide.map(|x| x * x).sum(),
            Reduction::Max => -0.75,
        };
        let mut out = backend.upload(&[f32::NAN])?;
        backend.reduce(reduction, &backend.upload(&x)?, &mut out)?;
        worst = worst.worst(Error::between(&backend.download(&out)?, &[expected], allowed));
    }
    Ok(worst)
}

fn time_reduce<'a, B: Backend>(
    backend: &'a B,
    random: &mut Random,
    reduction: Reduction,
) -> Result<Timed<'a>, BackendError> {
    let (x, mut out) = (backend.upload(&random.floats(ALL))?, backend.zeros(1)?);
    let work = Work { bytes: 4.0 * ALL as f64, operations: ALL as f64, unit: Unit::Fma };
    Ok((work, Box::new(move || backend.reduce(reduction, &x, &mut out))))
}

/// Sums of a matrix, by rows or by columns.
type Sums<B> = fn(
    &B,
    [usize; 2],
    &<B as crate::backend::Device>::Buffer<f32>,
    &mut <B as crate::backend::Device>::Buffer<f32>,
) -> Result<(), BackendError>;

fn sums<B: Backend>(backend: &B, random: &mut Random, by_row: bool, operation: Sums<B>) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 1e-6 };
    for [rows, columns] in [[1, 1], [5, 3], [9, 1000], [17, 1537], [300, 17], [1100, 36], [600, 64]] {
        let x = positive(random, rows * columns);
        let mut expected = vec![0.0; if by_row { rows } else { columns }];
        for (i, x) in x.iter().enumerate() {
            expected[if by_row { i / columns } else { i % columns }] += f64::from(*x);
        }
        let mut out = backend.upload(&vec![f32::NAN; expected.len()])?;
        operation(backend, [rows, columns], &backend.upload(&x)?, &mut out)?;
        worst = worst.worst(Error::between(&backend.download(&out)?, &expected, 1e-6));
    }
    Ok(worst)
}

fn time_sums<'a, B: Backend>(
    backend: &'a B,
    random: &mut Random,
    len: usize,
    operation: Sums<B>,
) -> Result<Timed<'a>, BackendError> {
    let (x, mut out) = (backend.upload(&random.floats(ALL))?, backend.zeros(len)?);
    let work = Work { bytes: 4.0 * ALL as f64, operations: ALL as f64, unit: Unit::Fma };
    Ok((work, Box::new(move || operation(backend, LARGE, &x, &mut out))))
}

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case {
            name: "sum",
            kernels: &["reduce_sum"],
            check: |b, random| reduce(b, random, Reduction::Sum),
            time: Some(|b, random| time_reduce(b, random, Reduction::Sum)),
        },
        Case {
            name: "sum of squares",
            kernels: &["reduce_squares", "reduce_sum"],
            check: |b, random| reduce(b, random, Reduction::Squares),
            time: Some(|b, random| time_reduce(b, random, Reduction::Squares)),
        },
        Case {
            name: "max",
            kernels: &["reduce_max"],
            check: |b, random| reduce(b, random, Reduction::Max),
            time: Some(|b, random| time_reduce(b, random, Reduction::Max)),
        },
        Case {
            name: "row sums",
            kernels: &["row_sums"],
            check: |b, random| sums(b, random, true, B::row_sums),
            time: Some(|b, random| time_sums(b, random, LARGE[0], B::row_sums)),
        },
        Case {
            name: "column sums",
            kernels: &["column_sums"],
            check: |b, random| sums(b, random, false, B::column_sums),
            time: Some(|b, random| time_sums(b, random, LARGE[1], B::column_sums)),
        },
    ]
}
