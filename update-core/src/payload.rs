//! The payload of an update, as it is read back from the download region.

use codec_core::Error as E;
use codec_core::container::v2::{Header, MAX_HEADER_LEN};
use embedded_storage::nor_flash::NorFlash;

use crate::Error;
use crate::download::{Download, Reader};
use crate::inplace::Plan;
use crate::manifest::MANIFEST_LEN;

/// One step of an update in place.
pub(crate) struct Step {
    pub(crate) plan: Plan,
    pub(crate) header: Header,
    /// Offset of its container in the update, manifest included.
    pub(crate) container: u32,
    /// Whether none follows.
    pub(crate) last: bool,
}

impl Step {
    /// Step number `wanted`, from 0.
    ///
    /// # Errors
    /// [`Error::Malformed`] that names the field; [`Error::Flash`].
    pub(crate) fn find<F: NorFlash>(download: &Download<'_, F>, wanted: u8) -> Result<Self, Error> {
        let read = |at: u32, buf: &mut [u8]| download.reader(at).read(buf);
        let mut at = MANIFEST_LEN as u32;
        let mut count = [0];
        read(at, &mut count)?;
        at += 1;
        if wanted >= count[0] {
            return Err(E::OutOfRange { field: "n_steps", found: wanted.into(), limit: count[0].into() }.into());
        }
        let mut number = 0;
        loop {
            let mut plan = [0; Plan::MAX_LEN];
            let have = read(at, &mut plan)?;
            let head = plan.first_chunk().filter(|_| have >= Plan::HEAD_LEN);
            let need = Plan::HEAD_LEN as u64;
            let len = Plan::len_of(head.ok_or(E::Truncated { field: "plan", need, have: have as u64 })?)?;
            let container = at.saturating_add(len as u32);
            let mut bytes = [0; MAX_HEADER_LEN];
            let have_header = read(container, &mut bytes)?;
            let (header, header_len) = Header::parse(&bytes[..have_header])?;
            if number == wanted {
                let plan = Plan::parse(&plan[..have.min(len)], header.new_len)?;
                return Ok(Self { plan, header, container, last: number + 1 == count[0] });
            }
            at = container.saturating_add(header_len as u32).saturating_add(header.payload_len);
            number += 1;
        }
    }
}

/// What the decoder takes, piece by piece.
pub(crate) struct Feed<'a, 'b, F> {
    reader: Reader<'a, F>,
    buffer: &'b mut [u8],
    start: usize,
    end: usize,
}

impl<'a, 'b, F: NorFlash> Feed<'a, 'b, F> {
    pub(crate) fn new(reader: Reader<'a, F>, buffer: &'b mut [u8]) -> Self {
        Self { reader, buffer, start: 0, end: 0 }
    }

    /// What is at hand; empty at the end only.
    pub(crate) fn rest(&mut self) -> Result<&[u8], Error> {
        if self.start == self.end {
            (self.start, self.end) = (0, self.reader.read(self.buffer)?);
        }
        Ok(&self.buffer[self.start..self.end])
    }

    pub(crate) fn took(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
    }

    pub(crate) fn is_empty(&mut self) -> Result<bool, Error> {
        Ok(self.rest()?.is_empty())
    }

    /// Nothing must follow the container.
    pub(crate) fn ended(&mut self) -> Result<(), Error> {
        let left = self.rest()?.len();
        if left > 0 {
            return Err(E::OutOfRange { field: "payload", found: left as u64, limit: 0 }.into());
        }
        Ok(())
    }
}
