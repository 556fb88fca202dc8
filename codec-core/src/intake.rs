//! What every decoder does with a container, whatever its payload means: reads the header byte by byte, counts the payload,
//! and checks at the end that it was all of it and led to the promised file.

use crate::Error;
use crate::container::digest::Hasher;
use crate::container::v2::{Header, MAX_HEADER_LEN};
use crate::entropy::RangeDecoder;

/// How far a container has been taken in. All its bits are zero at first.
#[derive(Debug)]
pub(crate) struct Intake {
    header: heapless::Vec<u8, MAX_HEADER_LEN>,
    /// At most one; not an `Option`, whose `None` need not be zero bits.
    parsed: heapless::Vec<Header, 1>,
    /// Bytes of the payload taken so far.
    taken: u32,
    /// Likewise. Of all that was rebuilt.
    digest: heapless::Vec<Hasher, 1>,
}

impl Intake {
    pub const fn new() -> Self {
        Self { header: heapless::Vec::new(), parsed: heapless::Vec::new(), taken: 0, digest: heapless::Vec::new() }
    }

    /// The header, once it was accepted.
    pub fn header(&self) -> Option<&Header> {
        self.parsed.first()
    }

    /// Takes the next byte of the header, and tells it when that was the last one.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn read(&mut self, byte: u8) -> Result<Option<Header>, Error> {
        self.header.push(byte).map_err(|_| Error::Corrupt { field: "header" })?;
        match Header::parse(&self.header) {
            Ok((header, _)) => Ok(Some(header)),
            Err(Error::Truncated { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Accepts the header: the payload follows.
    #[inline]
    pub fn accept(&mut self, header: Header) -> Result<(), Error> {
        let full = Error::Corrupt { field: "header" };
        self.parsed.push(header).map_err(|_| full)?;
        self.digest.push(Hasher::new()).map_err(|_| full)
    }

    /// Bytes of the payload that were not taken.
    #[inline]
    pub fn left(&self) -> u32 {
        self.parsed.first().map_or(0, |header| header.payload_len) - self.taken
    }

    /// Takes `n` bytes of the payload, of those that are [left](Self::left), off the input.
    #[inline]
    pub fn take(&mut self, input: &mut &[u8], n: usize) {
        let available: &[u8] = input;
        *input = &available[n..];
        self.taken += n as u32;
    }

    /// Moves input into the coder's buffer; says whether the next `piece` bytes, or all that is left, are there.
    #[inline]
    pub fn fill<const N: usize>(&mut self, coder: &mut RangeDecoder<N>, input: &mut &[u8], piece: usize) -> bool {
        coder.buffered() >= piece || self.left() == 0 || self.refill(coder, input, piece)
    }

    /// Not inlined: one piece in many comes here.
    #[inline(never)]
    fn refill<const N: usize>(&mut self, coder: &mut RangeDecoder<N>, input: &mut &[u8], piece: usize) -> bool {
        let left = self.left();
        let n = coder.push(&input[..input.len().min(left as usize)]);
        self.take(input, n);
        n as u32 == left || coder.buffered() >= piece
    }

    /// Notes what was rebuilt.
    #[inline]
    pub fn rebuilt(&mut self, bytes: &[u8]) {
        if let Some(digest) = self.digest.first_mut() {
            digest.update(bytes);
        }
    }

    /// All is rebuilt: the payload must be what its writer leaves behind, no byte more (`ended` says whether the coder
    /// thinks so), and the digest right.
    #[inline]
    pub fn complete(&mut self, ended: bool) -> Result<(), Error> {
        let (Some(header), Some(digest)) = (self.parsed.first(), self.digest.pop()) else {
            return Err(Error::Finished);
        };
        if self.taken != header.payload_len || !ended {
            return Err(Error::Corrupt { field: "payload" });
        }
        let found = digest.finish();
        if found != header.digest {
            return Err(Error::DigestMismatch { expected: header.digest.old().0, found: found.old().0 });
        }
        Ok(())
    }

    /// What is missing where there is no more input.
    pub fn missing(&self) -> Error {
        match self.parsed.first() {
            Some(header) => {
                let (need, have) = (u64::from(header.payload_len), u64::from(self.taken));
                Error::Truncated { field: "payload", need, have }
            }
            None => {
                let (need, have) = (self.header.len() as u64 + 1, self.header.len() as u64);
                Error::Truncated { field: "header", need, have }
            }
        }
    }
}
