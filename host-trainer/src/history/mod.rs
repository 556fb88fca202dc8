//! What a fleet follows: named contents and folders, their versions, and the statements that are signed for each.

mod brief;
mod log;
mod name;
mod statement;

pub use brief::Brief;
pub use log::{History, NotNext};
pub use name::{MAX_NAME, Name, NameError, Version};
pub use statement::{Kind, MAX_STATEMENT, Signature, Signed, Statement, StatementError};
