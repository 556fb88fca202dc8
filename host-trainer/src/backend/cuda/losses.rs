//! Losses on a GPU.

use super::{Cuda, CudaBuffer};
use crate::backend::losses::check;
use crate::backend::{BackendError, Losses};
use ptx::kernels::loss::NARROW;
use ptx::list::launch;

impl Losses for Cuda {
    fn softmax_cross_entropy(
        &self,
        n: usize,
        classes: usize,
        logits: &CudaBuffer<f32>,
        targets: &CudaBuffer<u8>,
        costs: &mut CudaBuffer<f32>,
        right: &mut CudaBuffer<u32>,
        d_logits: &mut CudaBuffer<f32>,
    ) -> Result<(), BackendError> {
        check(n, classes, [logits.len(), d_logits.len(), targets.len(), costs.len(), right.len()])?;
        if n == 0 {
            return Ok(());
        }
        let (logits, targets) = (logits.address(), targets.address());
        let (costs, right, d_logits) = (costs.address(), right.address(), d_logits.address());
        let narrow = classes <= NARROW as usize;
        let loss: fn(_, _, _, _, _, _, _) -> _ =
            if narrow { launch::softmax_cross_entropy_narrow } else { launch::softmax_cross_entropy };
        let loss = loss(n as u32, classes as u32, logits, targets, costs, right, d_logits);
        // SAFETY: the lengths have been checked.
        unsafe { self.launch(&loss) }
    }
}
