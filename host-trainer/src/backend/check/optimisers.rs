//! Steps of optimisers.

use super::{Case, Error, Random, Unit, Work};
use crate::backend::{AdamStep, Backend, BackendError};

const STEP: AdamStep = AdamStep { rate: 0.01, beta1: 0.9, beta2: 0.98, epsilon: 1e-8, decay: 0.05, step: 1 };

/// Some steps in f64, from moments of 0.
fn reference(gradients: &[Vec<f32>], parameters: &[f32]) -> Vec<f64> {
    let wide = |x: f32| f64::from(x);
    let [beta1, beta2] = [STEP.beta1, STEP.beta2].map(wide);
    let one = |i: usize| {
        let (mut m, mut v, mut p) = (0.0, 0.0, wide(parameters[i]));
        for (t, gradient) in (1..).zip(gradients) {
            let g = wide(gradient[i]);
            m = beta1 * m + (1.0 - beta1) * g;
            v = beta2 * v + (1.0 - beta2) * g * g;
            let (first, second) = (m / (1.0 - beta1.powi(t)), v / (1.0 - beta2.powi(t)));
            p = p * (1.0 - wide(STEP.rate) * wide(STEP.decay))
                - wide(STEP.rate) * first / (second.sqrt() + wide(STEP.epsilon));
        }
        p
    };
    (0..parameters.len()).map(one).collect()
}

fn check<B: Backend>(backend: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 1e-6 };
    for len in [1, 4, 1003] {
        let gradients: Vec<_> = (0..4).map(|_| random.floats(len)).collect();
        let start = random.floats(len);
        let (mut m, mut v) = (backend.zeros(len)?, backend.zeros(len)?);
        let mut p = backend.upload(&start)?;
        let [mut on_cpu_m, mut on_cpu_v] = [vec![0.0; len], vec![0.0; len]];
        let mut on_cpu_p = start.clone();
        for (t, gradient) in (1..).zip(&gradients) {
            let step = AdamStep { step: t, ..STEP };
            backend.adam_step(step, &backend.upload(gradient)?, &mut m, &mut v, &mut p)?;
            step.apply(gradient, &mut on_cpu_m, &mut on_cpu_v, &mut on_cpu_p);
        }
        let p = backend.download(&p)?;
        worst = worst.worst(Error::between(&p, &reference(&gradients, &start), 1e-6));
        for (found, expected) in [(p, on_cpu_p), (backend.download(&m)?, on_cpu_m), (backend.download(&v)?, on_cpu_v)] {
            worst = worst.worst(Error::exact(&found, &expected));
        }
    }
    Ok(worst)
}

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![Case {
        name: "adam_step",
        kernels: &["adam_step"],
        check,
        time: Some(|b, random| {
            const LEN: usize = 1 << 27;
            let gradient = b.upload(&random.floats(LEN))?;
            let (mut m, mut v, mut p) = (b.zeros(LEN)?, b.zeros(LEN)?, b.zeros(LEN)?);
            let work = Work { bytes: 28.0 * LEN as f64, operations: 16.0 * LEN as f64, unit: Unit::Fma };
            Ok((work, Box::new(move || b.adam_step(STEP, &gradient, &mut m, &mut v, &mut p))))
        }),
    }]
}
