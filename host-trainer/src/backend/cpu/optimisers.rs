//! Steps of optimisers on the CPU.

use super::Cpu;
use crate::backend::optimisers::check;
use crate::backend::{AdamStep, BackendError, Optimisers};

impl Optimisers for Cpu {
    fn adam_step(
        &self,
        step: AdamStep,
        gradient: &Vec<f32>,
        m: &mut Vec<f32>,
        v: &mut Vec<f32>,
        parameters: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        check([gradient.len(), m.len(), v.len()], parameters.len())?;
        let share = parameters.len().div_ceil(self.threads).max(1);
        let moments = m.chunks_mut(share).zip(v.chunks_mut(share));
        let parts = parameters.chunks_mut(share).zip(gradient.chunks(share)).zip(moments);
        std::thread::scope(|scope| {
            for ((parameters, gradient), (m, v)) in parts {
                scope.spawn(move || step.apply(gradient, m, v, parameters));
            }
        });
        Ok(())
    }
}
