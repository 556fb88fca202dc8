//! What the tests across the crates share: the bundled pairs, a decoder of any profile in any chunking, containers
//! that lie, position memories, and a radio link in bad weather. The fuzz targets use it too.

pub mod craft;
pub mod data;
pub mod device;
pub mod flash;
pub mod link;
pub mod memory;
pub mod rig;
