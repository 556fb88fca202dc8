//! Losses.

use super::{Case, Error, Random, Timed, Unit, Work};
use crate::backend::{Backend, BackendError};

fn check<B: Backend>(b: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 1e-5 };
    for [n, classes] in [[1, 1], [9, 2], [13, 33], [17, 128], [20, 256], [5, 1001], [3, 1024]] {
        let mut logits = random.floats(n * classes);
        logits.iter_mut().for_each(|x| *x *= 20.0);
        // Of a row of equal ones the first is the largest.
        logits[..classes].fill(-3.0);
        let mut targets: Vec<u8> = (0..n).map(|_| (random.word() as usize % classes.min(256)) as u8).collect();
        targets[0] = 0;
        let (mut costs, mut right, mut d_logits) = (Vec::new(), Vec::new(), Vec::new());
        for (row, target) in logits.chunks(classes).zip(&targets) {
            let sum: f64 = row.iter().map(|x| f64::from(*x).exp()).sum();
            let target = usize::from(*target);
            let first = (0..classes).rev().max_by(|a, b| row[*a].total_cmp(&row[*b]));
            costs.push(sum.ln() - f64::from(row[target]));
            right.push(u32::from(first == Some(target)));
            let softmax = |(i, x): (usize, &f32)| f64::from(*x).exp() / sum - f64::from(u8::from(i == target));
            d_logits.extend(row.iter().enumerate().map(softmax));
        }
        let (on_device, targets) = (b.upload(&logits)?, b.upload(&targets)?);
        let (mut found, mut count) = (b.upload(&vec![f32::NAN; n])?, b.upload(&vec![u32::MAX; n])?);
        let mut d = b.upload(&vec![f32::NAN; n * classes])?;
        b.softmax_cross_entropy(n, classes, &on_device, &targets, &mut found, &mut count, &mut d)?;
        // Of one class there is nothing to lose: 0 exactly.
        worst = worst.worst(Error::between(&b.download(&found)?, &costs, 1e-5));
        worst = worst.worst(Error::exact(&b.download(&count)?, &right));
        worst = worst.worst(Error::between(&b.download(&d)?, &d_logits, 1e-5));
    }
    Ok(worst)
}

fn time<'a, B: Backend>(b: &'a B, random: &mut Random) -> Result<Timed<'a>, BackendError> {
    const N: usize = 1 << 20;
    const CLASSES: usize = 256;
    let (logits, targets) = (b.upload(&random.floats(N * CLASSES))?, b.upload(&random.bytes(N))?);
    let (mut costs, mut right, mut d_logits) = (b.zeros(N)?, b.zeros(N)?, b.zeros(N * CLASSES)?);
    // Of a logit: the largest, the difference, the power, the sum, the share.
    let work =
        Work { bytes: (8 * N * CLASSES + 9 * N) as f64, operations: 5.0 * (N * CLASSES) as f64, unit: Unit::Fma };
    let run = move || b.softmax_cross_entropy(N, CLASSES, &logits, &targets, &mut costs, &mut right, &mut d_logits);
    Ok((work, Box::new(run)))
}

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![Case {
        name: "softmax_cross_entropy",
        kernels: &["softmax_cross_entropy", "softmax_cross_entropy_narrow"],
        check,
        time: Some(|b, random| time(b, random)),
    }]
}
