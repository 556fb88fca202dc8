//! Steps of optimisers on a GPU.

use super::{Cuda, CudaBuffer};
use crate::backend::optimisers::check;
use crate::backend::{AdamStep, BackendError, Optimisers};
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
        check([gradient.len(), m.len(), v.len()], parameters.len())?;
        let n = parameters.len() as u32;
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
