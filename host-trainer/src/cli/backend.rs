//! What `--backend` says, and work on the backend that it means.

use clap::ValueEnum;

use super::CliError;
use crate::backend::cpu::Cpu;
#[cfg(cuda)]
use crate::backend::cuda::Cuda;
use crate::backend::{Backend, BackendError};

/// Where training and fitting compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendArg {
    /// The GPU where there is one, else the CPU
    Auto,
    /// Threads of this program
    Cpu,
    /// The first NVIDIA GPU
    Cuda,
}

/// Work that any backend can do.
pub(super) trait Work {
    /// What comes of it.
    type Output;

    /// Does it.
    fn on<B: Backend>(self, backend: &B) -> Result<Self::Output, BackendError>;
}

/// Does `work` where `arg` says, with so many threads on the CPU.
///
/// # Errors
/// [`CliError::Backend`]: there is no GPU, or the backend refuses. `place` says what was being done.
pub(super) fn run<W: Work>(arg: BackendArg, threads: usize, place: &str, work: W) -> Result<W::Output, CliError> {
    let refused = |source| CliError::Backend { place: place.into(), source };
    if arg != BackendArg::Cpu {
        match open() {
            Ok(gpu) => return work.on(&gpu).map_err(refused),
            Err(BackendError::Unavailable { .. }) if arg == BackendArg::Auto => {}
            Err(error) => return Err(refused(error)),
        }
    }
    work.on(&Cpu::new(threads)).map_err(refused)
}

#[cfg(cuda)]
fn open() -> Result<Cuda, BackendError> {
    Cuda::open()
}

#[cfg(not(cuda))]
fn open() -> Result<Cpu, BackendError> {
    Err(BackendError::Unavailable {
        reason: "this gmcf was built without them: that takes Linux on x86-64 and the cargo feature `cuda`".into(),
    })
}
