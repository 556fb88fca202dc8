//! The content server, its client and what works beside them, as real processes.
#![cfg(feature = "fleet")]

mod backend;
mod client;
mod hostile;
mod kill;
mod page;
mod precompute;
mod processes;
mod s3;
mod server;
mod store;
mod two_servers;

/// Runs `work` to its end.
fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}
