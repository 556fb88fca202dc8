//! Updates for devices with one slot.
//!
//! The old image is needed until the new one is rebuilt, and there is no room for both. So the work is cut in two:
//!
//! 1. The container is decoded while the slot stays as it is. What comes out is not the new image but a *script* in the
//!    scratch area: for each block of the new image, which bytes to take from where in the old one, and the bytes that
//!    stand nowhere in it ([`script`]). The digest of the new image is checked here, before the slot is touched.
//! 2. The blocks are replaced one after the other, in an order that the host has planned ([`plan`]): a block that
//!    others still need comes after them. Where they need each other, in a cycle, the script holds the bytes. Each new
//!    block is assembled in the scratch area, checked, and only then put over the old one ([`mover`]). The scratch area
//!    has a copy of the plan, so that a download that rots meanwhile does no harm.
//!
//! Whenever the power fails, part one starts again and part two goes on. Where the script would not fit the scratch
//! area, the host makes an update of several steps, each of which turns one image into the next.

pub mod mover;
pub mod plan;
pub mod script;
pub mod steps;

pub use plan::{Change, MAX_RUNS, Plan, Run};
