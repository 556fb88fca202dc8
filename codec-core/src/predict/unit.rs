//! A unit of the new file and what is predicted of it.

use crate::reloc::Site;

/// Where a prediction comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Source {
    /// The old bytes as they stand.
    Raw = 0,
    /// An address mapped through a segment.
    Inside = 1,
    /// An address mapped by the nearest segment.
    Near = 2,
    /// An address outside the files.
    External = 3,
    /// A neighbouring word's displacement.
    Neighbour = 4,
    /// What the same unit or address became before.
    Rewrite = 5,
}

/// One unit, up to four bytes, little-endian in the low bytes of its words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    pub(crate) site: Site,
    pub(crate) source: Source,
    /// The old bytes.
    pub(crate) old: u32,
    /// First prediction.
    pub(crate) first: u32,
    /// Second prediction, when there is another.
    pub(crate) second: Option<u32>,
    /// Key of the rewriting memory, 0 when nothing is to be remembered.
    pub(crate) key: u32,
    /// Trust of the rewriting memory, when it knows the key.
    pub(crate) trust: Option<u8>,
    /// New target less old target, for addresses.
    pub(crate) displacement: u32,
    /// Bytes from the start of the segment.
    pub(crate) from_start: u32,
    /// Bytes to the end of the segment.
    pub(crate) to_end: u32,
}

impl Unit {
    /// Kind and source, 0..64.
    pub(crate) fn class(&self) -> usize {
        (self.site.kind as usize) << 3 | self.source as usize
    }
}
