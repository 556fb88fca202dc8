//! Budgets: what a container may ask of a decoder.

use crate::Error;
use crate::decoder::Decoder;
use crate::neural::NoBase;

/// How much of each table the two ends use. Both must use the same; a larger decoder leaves the rest idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Words of 16 bit that the alignment map and the mixing network's contexts share: the map takes
    /// [`SEGMENT_WORDS`](crate::delta::map::SEGMENT_WORDS) for each of its segments, the contexts the rest.
    pub words: u32,
    /// Most segments of the alignment map.
    pub segments: u32,
    /// Entries of the rewriting memory, base-2 logarithm.
    pub rewrites_log2: u32,
    /// Bytes of the new file kept for matches, base-2 logarithm.
    pub history_log2: u32,
    /// Entries of the match index, base-2 logarithm.
    pub index_log2: u32,
    /// Contexts of a byte, at most 16.
    pub contexts: u32,
}

/// The named budgets. Their order is the order of their memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Profile {
    /// 16 KiB of RAM in all: Cortex-M0 class.
    Tiny = 0,
    /// 64 KiB: Cortex-M3 and M4 class.
    Small = 1,
    /// 256 KiB: Cortex-M7 class.
    Medium = 2,
    /// 16 MiB: gateways and hosts.
    Host = 3,
}

impl Profile {
    /// All profiles, smallest first.
    pub const ALL: [Self; 4] = [Self::Tiny, Self::Small, Self::Medium, Self::Host];

    /// The profile of a number.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// Name, as the command line spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Host => "host",
        }
    }

    /// RAM that a decoder of this profile may take in all: its state, its stack, the caller's buffers. Bytes.
    pub const fn ram(self) -> u32 {
        match self {
            Self::Tiny => 16 << 10,
            Self::Small => 64 << 10,
            Self::Medium => 256 << 10,
            Self::Host => 16 << 20,
        }
    }

    /// Table sizes of the profile.
    pub const fn parameters(self) -> Parameters {
        let (words, segments, rewrites_log2, history_log2, index_log2, contexts) = match self {
            Self::Tiny => (TINY_WORDS, 96, 6, 6, 4, 6),
            Self::Small => (SMALL_WORDS, 640, 8, 11, 9, 6),
            Self::Medium => (MEDIUM_WORDS, 4096, 10, 13, 13, 16),
            Self::Host => (HOST_WORDS, 65535, 14, 20, 19, 16),
        };
        Parameters { words: words as u32, segments, rewrites_log2, history_log2, index_log2, contexts }
    }
}

impl Parameters {
    /// Checks that tables of these capacities hold what the parameters ask for.
    ///
    /// # Errors
    /// [`Error::OverBudget`] that names the table.
    pub fn check(&self, capacity: &Capacity) -> Result<(), Error> {
        let tables = [
            ("words", u64::from(self.words), capacity.words),
            ("rewrites", 1 << self.rewrites_log2, capacity.rewrites),
            ("history", 1 << self.history_log2, capacity.history),
            ("index", 1 << self.index_log2, capacity.index),
        ];
        for (field, requested, limit) in tables {
            let limit = limit as u64;
            if requested > limit {
                return Err(Error::OverBudget { field, requested, limit });
            }
        }
        Ok(())
    }
}

/// Entries that a decoder's tables hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Words shared by map and contexts.
    pub words: usize,
    /// Rewriting memory.
    pub rewrites: usize,
    /// History, bytes.
    pub history: usize,
    /// Match index.
    pub index: usize,
}

const TINY_WORDS: usize = 2048;
const SMALL_WORDS: usize = 23 << 10;
/// Words of profile `medium`.
pub const MEDIUM_WORDS: usize = 94 << 10;
/// Words of profile `host`, the largest.
pub const HOST_WORDS: usize = 4544 << 10;

/// A decoder of profile `tiny`.
pub type Tiny<O, B = NoBase> = Decoder<O, TINY_WORDS, { 1 << 6 }, { 1 << 6 }, { 1 << 4 }, B>;
/// A decoder of profile `small`.
pub type Small<O, B = NoBase> = Decoder<O, SMALL_WORDS, { 1 << 8 }, { 1 << 11 }, { 1 << 9 }, B>;
/// A decoder of profile `medium`.
pub type Medium<O, B = NoBase> = Decoder<O, MEDIUM_WORDS, { 1 << 10 }, { 1 << 13 }, { 1 << 13 }, B>;
/// A decoder of profile `host`. Too large for a stack: box it.
pub type Host<O, B = NoBase> = Decoder<O, HOST_WORDS, { 1 << 14 }, { 1 << 20 }, { 1 << 19 }, B>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delta::map::SEGMENT_WORDS;
    use crate::predict::LEAST_SLOTS;

    #[test]
    fn contexts_keep_their_least_share() {
        for parameters in Profile::ALL.map(Profile::parameters) {
            assert!(parameters.segments as usize * SEGMENT_WORDS + LEAST_SLOTS <= parameters.words as usize);
        }
    }

    #[test]
    fn decoders_leave_room_for_the_stack() {
        type Old<'a> = &'a [u8];
        let sizes = [
            size_of::<Tiny<Old<'_>>>(),
            size_of::<Small<Old<'_>>>(),
            size_of::<Medium<Old<'_>>>(),
            size_of::<Host<Old<'_>>>(),
        ];
        for (profile, size) in Profile::ALL.into_iter().zip(sizes) {
            std::println!("{} {size}", profile.name());
            assert!(size + 2048 <= profile.ram() as usize, "{}: {size} bytes", profile.name());
        }
    }
}
