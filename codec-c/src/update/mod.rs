//! The device's side of updates: what boots, what is received, what is installed, and the link to the host.

mod boot;
mod error;
mod flash;
mod layout;
mod link;
mod lodger;
mod updater;

pub use boot::*;
pub use flash::*;
pub use layout::*;
pub use link::*;
pub use updater::*;
