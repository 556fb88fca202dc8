//! Copies: segments that stand in the stream instead of in the map. They cost the decoder no memory, and no address
//! is mapped through them.

use crate::Error;
use crate::delta::map::Segment;
use crate::entropy::Coder;
use crate::entropy::number::{self, NumberModel, unzigzag, zigzag};
use crate::entropy::range::Part;
use crate::mix::FineCounter;
use crate::predict::prior::Visitor;

/// Adaptive state of the copies' code.
#[derive(Clone, Debug)]
pub(crate) struct CopyCode {
    /// Does a copy start here? By the number of bytes inserted since the last segment.
    starts: [FineCounter; 16],
    jump: NumberModel,
    len: NumberModel,
    /// Ends of the last segment.
    new_end: u32,
    old_end: u32,
}

/// Shortest copy, bytes.
pub const LEAST: u32 = 3;

impl CopyCode {
    /// Bits that one copy takes at most.
    pub(crate) const MAX_BITS: usize = 17 + 2 * number::MAX_BITS;

    /// A code that must be started before use: all bits are zero.
    pub(crate) const fn new() -> Self {
        Self {
            starts: [FineCounter::ZERO; 16],
            jump: NumberModel::zero(),
            len: NumberModel::zero(),
            new_end: 0,
            old_end: 0,
        }
    }

    pub(crate) fn start(&mut self) {
        self.jump.start();
        self.len.start();
        (self.new_end, self.old_end) = (0, 0);
    }

    /// Walks through what the prior brings.
    pub(crate) fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.counters("copies.starts", &mut self.starts);
        self.jump.visit("copies.jump", visitor);
        self.len.visit("copies.len", visitor);
    }

    /// Notes a segment, mapped or not.
    pub(crate) fn note(&mut self, segment: &Segment) {
        self.new_end = segment.new_end();
        self.old_end = segment.old_end();
    }

    /// Old offset less new offset in the last segment, wrapping.
    pub(crate) fn shift(&self) -> u32 {
        self.old_end.wrapping_sub(self.new_end)
    }

    /// Codes whether a copy starts at `pos`, and which. It ends at most `room` bytes later.
    pub(crate) fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        plan: Option<Segment>,
        pos: u32,
        room: u32,
        old_len: u32,
    ) -> Result<Option<Segment>, Error> {
        if room < LEAST {
            return Ok(None);
        }
        coder.account(Part::Map);
        let plan = plan.filter(|p| p.new == pos);
        let run = (32 - (pos - self.new_end).leading_zeros()).min(15) as usize;
        let counter = &mut self.starts[run];
        let starts = coder.code(u32::from(plan.is_some()), counter.p().clamp(64, 65472));
        counter.learn(starts, 250);
        if starts == 0 {
            return Ok(None);
        }
        let plan = plan.unwrap_or_default();
        let jump = zigzag(plan.old.wrapping_sub(self.old_end) as i32);
        let old = self.old_end.wrapping_add(unzigzag(self.jump.code(coder, jump)) as u32);
        let len = self.len.code(coder, plan.len.wrapping_sub(LEAST)).wrapping_add(LEAST);
        if old >= old_len {
            let (found, limit) = (u64::from(old), u64::from(old_len));
            return Err(Error::OutOfRange { field: "copy.old", found, limit });
        }
        let limit = room.min(old_len - old);
        if len < LEAST || len > limit {
            let (found, limit) = (u64::from(len), u64::from(limit));
            return Err(Error::OutOfRange { field: "copy.len", found, limit });
        }
        Ok(Some(Segment { new: pos, old, len }))
    }
}
