//! What the program tells: transfer records, breakdowns and bench tables, for people and as JSON.

pub mod bench;
pub mod breakdown;
pub mod causes;
pub mod format;
pub mod link;
pub mod transfer;
