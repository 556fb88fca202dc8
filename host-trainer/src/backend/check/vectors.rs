//! Vectors.

use super::{Case, Error, Unit, Work};
use crate::backend::Backend;

/// Numbers of a vector that fills a GPU.
const LARGE: usize = 1 << 28;

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![Case {
        name: "scaled_add [1003]",
        kernels: &["scaled_add"],
        check: |b, random| {
            let (x, y) = (random.floats(1003), random.floats(1003));
            let (on_device, mut sum) = (b.upload(&x)?, b.upload(&y)?);
            b.scaled_add(3.5, &on_device, &mut sum)?;
            let expected: Vec<f64> = x.iter().zip(&y).map(|(x, y)| 3.5 * f64::from(*x) + f64::from(*y)).collect();
            Ok(Error::between(&b.download(&sum)?, &expected, 1e-7))
        },
        time: Some(|b, random| {
            let x = b.upload(&random.floats(LARGE))?;
            let mut y = b.zeros(LARGE)?;
            let work = Work { bytes: 12.0 * LARGE as f64, operations: 2.0 * LARGE as f64, unit: Unit::Fma };
            Ok((work, Box::new(move || b.scaled_add(1.5, &x, &mut y))))
        }),
    }]
}
