//! Data, text, and code of instruction sets that are not known.

use super::{Isa, Site, Window};

/// No instruction set.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plain;

impl Isa for Plain {
    fn align(&self) -> u32 {
        1
    }

    fn site(&self, window: &Window<'_>, pc: u32) -> Site {
        // Units end where words end, so that pointers of a region stand in one unit.
        let to_word_end = 4 - (pc & 3) as isize;
        let len = (1..=to_word_end).rev().find(|&n| window.u8(n - 1).is_some()).unwrap_or(1);
        Site::plain(len as u8)
    }

    fn relocate(&self, _: &Window<'_>, _: &Site, _: u32, _: u32) -> Option<u32> {
        None
    }
}
