//! Work that keeps a core busy: so much at a time, and no more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Refusal;

/// Requests with contents in memory, for each job that runs.
const SEATS: usize = 2;

/// Threads for the codec.
#[derive(Clone, Debug)]
pub(super) struct Jobs {
    running: Arc<Semaphore>,
    seats: Arc<Semaphore>,
    patience: Duration,
}

/// The right to hold contents in memory; given back when dropped.
pub(super) struct Seat {
    _permit: OwnedSemaphorePermit,
}

impl Jobs {
    pub(super) fn new(jobs: usize, patience: Duration) -> Self {
        let semaphore = |n| Arc::new(Semaphore::new(n));
        Self { running: semaphore(jobs), seats: semaphore(SEATS * jobs), patience }
    }

    /// A seat for a request that brings contents; refused when none becomes free in time.
    pub(super) async fn seat(&self) -> Result<Seat, Refusal> {
        let seat = tokio::time::timeout(self.patience, self.seats.clone().acquire_owned()).await;
        match seat {
            Ok(Ok(permit)) => Ok(Seat { _permit: permit }),
            _ => Err(Refusal::busy("as many contents as this server takes are being compressed; try again")),
        }
    }

    /// The right to keep a core busy; given back when dropped.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, String> {
        self.running.clone().acquire_owned().await.map_err(|error| error.to_string())
    }

    /// Runs `work` on a thread of its own, when there is one. Once begun it goes on, whoever still waits for it.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        let permit = self.turn().await?;
        let job = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        job.await.map_err(|error| error.to_string())
    }
}
