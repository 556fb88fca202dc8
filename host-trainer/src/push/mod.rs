//! Sends an update to a device: the host's end of [`update_core::link`].
//!
//! [`Sender`] is the protocol, without clock or stream. [`run()`] drives it over a [`port::Port`], connects again when
//! the connection is lost, and follows the device through its restart.

mod clock;
mod error;
mod flight;
pub mod port;
mod run;
mod sender;

pub use error::PushError;
pub use run::{Choice, Outcome, Report, rotate, run};
pub use sender::{Action, Sender, Settings, Task, Traffic, Update, chunk_len};

use update_core::manifest::MANIFEST_LEN;

/// Splits an update file into what is signed and what follows; `None` when it is too short.
#[must_use]
pub fn split(file: &[u8]) -> Option<Update<'_>> {
    let (manifest, payload) = file.split_first_chunk::<MANIFEST_LEN>()?;
    Some(Update { manifest, payload })
}
