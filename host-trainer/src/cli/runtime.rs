//! Work that waits for stores and networks.

use std::future::Future;

use super::CliError;

/// Runs `work` to its end, on as many threads as there are cores.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| CliError::Internal { what: format!("no threads can be started: {error}") })?;
    runtime.block_on(work)
}
