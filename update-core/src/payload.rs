//! The payload of an update, as it is read back from the download region.

use codec_core::Error as E;
use embedded_storage::nor_flash::NorFlash;

use crate::Error;
use crate::download::{Download, Reader};
use crate::inplace::Change;
use crate::inplace::steps::Steps;
use crate::manifest::MANIFEST_LEN;

/// One step of an update in place.
pub(crate) struct Step {
    pub(crate) change: Change,
    /// Offset of its container in the update, manifest included.
    pub(crate) container: u32,
}

impl Step {
    /// Step number `wanted`, from 0.
    ///
    /// # Errors
    /// [`Error::Malformed`] that names the field; [`Error::Flash`].
    pub(crate) fn find<F: NorFlash>(download: &Download<'_, F>, wanted: u8) -> Result<Self, Error> {
        let mut steps = Steps::new(|at, buf: &mut [u8]| download.reader(at).read(buf), MANIFEST_LEN as u32)?;
        let mut number = 0;
        while let Some(place) = steps.advance()? {
            if number == wanted {
                return Ok(Self { change: steps.change(&place)?, container: place.container });
            }
            number += 1;
        }
        Err(E::OutOfRange { field: "n_steps", found: wanted.into(), limit: steps.count().into() }.into())
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
