//! Steps of optimisers on a GPU.

use super::{Cuda, CudaBuffer, counted};
use crate::backend::{AdamStep, BackendError, Optimisers, expect};
use ptx::list::launch;

impl Optimisers for Cuda {
    fn adam_step(
        &self,
        step: AdamStep,
        gradient: &CudaBuffer<f32>,
        m: &mut CudaBuffer<f32>,
        v: &mut CudaBuffer<f32>,
        parameters: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        expect("length of the gradient", gradient.len(), parameters.len())?;
        expect("length of m", m.len(), parameters.len())?;
        expect("length of v", v.len(), parameters.len())?;
        let n = counted("number of parameters", parameters.len())?;
        let [first_scale, second_scale] = step.scales();
        let launch = launch::adam_step(
            n,
            step.rate,
            step.beta1,
            step.beta2,
            first_scale,
            second_scale,
            step.epsilon,
            step.decay,
            gradient.address(),
            m.address(),
            v.address(),
            parameters.address(),
        );
        // SAFETY: all buffers have as many numbers.
        unsafe { self.launch(&launch) }
    }
}
