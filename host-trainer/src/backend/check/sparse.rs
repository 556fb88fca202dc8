//! Masks of sparse matrices: exact.

use super::{Case, Error, Random, Timed, Unit, Work};
use crate::backend::{Backend, BackendError, Sparsity};

/// Numbers that fill a GPU.
const LARGE: usize = 1 << 28;

/// Which numbers stay, by sorting.
fn kept(sparsity: Sparsity, x: &[f32]) -> Vec<bool> {
    match sparsity {
        Sparsity::Magnitude(least) => x.iter().map(|x| *x >= least || *x <= -least).collect(),
        Sparsity::TwoOfFour => {
            let mut kept = vec![false; x.len()];
            for start in (0..x.len()).step_by(4) {
                let mut order: Vec<usize> = (start..start + 4).collect();
                // A stable sort: of equal ones the first stays first.
                order.sort_by(|i, j| x[*j].abs().total_cmp(&x[*i].abs()));
                order[..2].iter().for_each(|i| kept[*i] = true);
            }
            kept
        }
    }
}

fn check<B: Backend>(backend: &B, random: &mut Random, sparsity: Sparsity) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 0.0 };
    let lengths: &[usize] = if sparsity == Sparsity::TwoOfFour { &[4, 1004, 4096] } else { &[1, 33, 1003, 4096] };
    for len in lengths {
        // Few different magnitudes: ties everywhere, some at the threshold.
        let mut x: Vec<f32> = random.floats(*len).into_iter().map(|x| (x * 4.0).round() / 4.0).collect();
        x.iter_mut().skip(len / 2).for_each(|x| *x *= random.floats(1)[0]);
        let kept = kept(sparsity, &x);
        let expected: Vec<u32> = x.iter().zip(&kept).map(|(x, kept)| if *kept { x.to_bits() } else { 0 }).collect();
        let mut bits = vec![0u32; len.div_ceil(32)];
        kept.iter().enumerate().for_each(|(i, kept)| bits[i / 32] |= u32::from(*kept) << (i % 32));
        let mut values = backend.upload(&vec![f32::NAN; *len])?;
        let mut mask = backend.upload(&vec![0xdead_beef_u32; bits.len()])?;
        backend.sparse_mask(sparsity, &backend.upload(&x)?, &mut values, &mut mask)?;
        let found: Vec<u32> = backend.download(&values)?.into_iter().map(f32::to_bits).collect();
        worst = worst.worst(Error::exact(&found, &expected));
        worst = worst.worst(Error::exact(&backend.download(&mask)?, &bits));
    }
    Ok(worst)
}

fn time<'a, B: Backend>(backend: &'a B, random: &mut Random, sparsity: Sparsity) -> Result<Timed<'a>, BackendError> {
    let x = backend.upload(&random.floats(LARGE))?;
    let (mut values, mut mask) = (backend.zeros(LARGE)?, backend.zeros(LARGE / 32)?);
    let work = Work { bytes: 8.125 * LARGE as f64, operations: LARGE as f64, unit: Unit::Fma };
    Ok((work, Box::new(move || backend.sparse_mask(sparsity, &x, &mut values, &mut mask))))
}

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case {
            name: "sparse mask, two of four",
            kernels: &["sparse_two_of_four"],
            check: |b, random| check(b, random, Sparsity::TwoOfFour),
            time: Some(|b, random| time(b, random, Sparsity::TwoOfFour)),
        },
        Case {
            name: "sparse mask, magnitude",
            kernels: &["sparse_threshold"],
            check: |b, random| check(b, random, Sparsity::Magnitude(0.25)),
            time: Some(|b, random| time(b, random, Sparsity::Magnitude(0.25))),
        },
    ]
}
