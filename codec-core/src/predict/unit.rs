//! A unit of the new file and what is predicted of it.

use crate::reloc::{IsaKind, Kind, Site};

/// Where a prediction comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The old bytes as they stand.
    Raw,
    /// An address mapped through a segment.
    Inside,
    /// An address mapped by the nearest segment.
    Near,
    /// An address outside the files.
    External,
    /// A neighbouring word's displacement.
    Neighbour,
    /// What the same unit or address became before.
    Rewrite,
}

/// One unit, up to four bytes, little-endian in the low bytes of its words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    pub(crate) site: Site,
    /// How code is read there.
    pub(crate) isa: IsaKind,
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
    /// Whether a literal load reads the unit.
    pub(crate) literal: bool,
    /// Bytes to the end of the segment.
    pub(crate) to_end: u32,
}

impl Unit {
    /// Whether nothing speaks against the old bytes: no address, no memory of a rewriting, no segment's edge.
    pub(crate) fn is_clean(&self) -> bool {
        (self.site.kind == Kind::Plain || (self.first == self.old && matches!(self.source, Source::Inside)))
            && self.trust.is_none()
            && self.to_end >= 16
    }

    /// Kind and source, 0..[`CLASSES`].
    pub(crate) fn class(&self) -> usize {
        let group = match self.site.kind {
            Kind::Plain => return usize::from(self.source == Source::Rewrite),
            Kind::Call => 0,
            Kind::Jump => 1,
            Kind::Branch => 2,
            Kind::Literal | Kind::PcAddress => 3,
            Kind::AbsAddress => 4,
            Kind::Pointer => 5,
        };
        let source = match self.source {
            Source::Raw | Source::Inside => 0,
            Source::Near => 1,
            Source::External => 2,
            Source::Neighbour => 3,
            Source::Rewrite => 4,
        };
        2 + group * 5 + source
    }
}

/// Number of [`Unit::class`]es.
pub(crate) const CLASSES: usize = 32;
