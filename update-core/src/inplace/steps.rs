//! The steps of an update in place: where each one's plan and container lie in the payload.

use codec_core::Error as E;
use codec_core::container::v2::{Header, MAX_HEADER_LEN};

use super::{Change, Plan};
use crate::Error;

/// Where a step lies. Offsets are those of the source that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Offset of its plan.
    pub plan: u32,
    /// Bytes of the plan.
    pub plan_len: u32,
    /// Offset of its container.
    pub container: u32,
    /// Bytes of the container, if all of them are there.
    pub container_len: u32,
    /// Head of the container.
    pub header: Header,
    /// Whether no step follows.
    pub is_last: bool,
}

/// Walks from step to step. The source fills a buffer with what it has from an offset on, as far as it has it, and says
/// how many bytes.
#[derive(Debug)]
pub struct Steps<R> {
    source: R,
    at: u32,
    count: u8,
    left: u8,
}

impl<R: FnMut(u32, &mut [u8]) -> Result<usize, Error>> Steps<R> {
    /// The steps of the payload that starts at offset `at` of `source`.
    ///
    /// # Errors
    /// [`Error::Malformed`] when there are none; those of the source.
    pub fn new(mut source: R, at: u32) -> Result<Self, Error> {
        let mut count = [0];
        if source(at, &mut count)? == 0 {
            return Err(E::Truncated { field: "n_steps", need: 1, have: 0 }.into());
        }
        let [count] = count;
        if count == 0 {
            return Err(E::OutOfRange { field: "n_steps", found: 0, limit: u8::MAX.into() }.into());
        }
        Ok(Self { source, at: at.saturating_add(1), count, left: count })
    }

    /// How many steps there are; at least one.
    pub fn count(&self) -> u8 {
        self.count
    }

    /// The next step; `None` after the last one. Its container may be cut short.
    ///
    /// # Errors
    /// [`Error::Malformed`] that names the field; those of the source.
    pub fn advance(&mut self) -> Result<Option<Place>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let plan = self.at;
        let mut head = [0; Plan::HEAD_LEN];
        let have = (self.source)(plan, &mut head)?;
        if have < Plan::HEAD_LEN {
            return Err(E::Truncated { field: "plan", need: Plan::HEAD_LEN as u64, have: have as u64 }.into());
        }
        let plan_len = Plan::len_of(&head)? as u32;
        let container = plan.saturating_add(plan_len);
        let mut bytes = [0; MAX_HEADER_LEN];
        let have = (self.source)(container, &mut bytes)?;
        let (header, header_len) = Header::parse(&bytes[..have])?;
        let container_len = (header_len as u32).saturating_add(header.payload_len);
        self.at = container.saturating_add(container_len);
        Ok(Some(Place { plan, plan_len, container, container_len, header, is_last: left == 0 }))
    }

    /// What the step at `place` changes.
    ///
    /// # Errors
    /// [`Error::Malformed`] that names the field; those of the source.
    pub fn change(&mut self, place: &Place) -> Result<Change, Error> {
        let mut bytes = [0; Plan::MAX_LEN];
        let bytes = &mut bytes[..(place.plan_len as usize).min(Plan::MAX_LEN)];
        let have = (self.source)(place.plan, bytes)?;
        let new_len = place.header.new_len;
        let plan = Plan::parse(&bytes[..have.min(bytes.len())], new_len)?;
        Ok(Change { plan, old_len: place.header.old.map_or(0, |old| old.len), new_len, is_last: place.is_last })
    }
}
