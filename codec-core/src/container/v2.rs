//! GMCF version 2, the air format: the header. FORMAT.md, section 6, is normative.

use super::digest::{BASE_ID_LEN, BaseId, ID_LEN, Id, OLD_ID_LEN, OldId};
use crate::entropy::number::{unzigzag, zigzag};
use crate::limits::Profile;
use crate::{Error, varint};

/// First byte of every version 2 file: `G` with its high bit set.
pub const MAGIC: u8 = 0xc7;

/// Longest header, bytes.
pub const MAX_HEADER_LEN: usize = 2 + 3 * varint::MAX_LEN + OLD_ID_LEN + BASE_ID_LEN + ID_LEN;

/// Bits of the second byte.
mod flag {
    pub const PROFILE: u8 = 0b0000_0011;
    pub const DELTA: u8 = 0b0000_0100;
    pub const CODED: u8 = 0b0000_1000;
    pub const PRIMED: u8 = 0b0001_0000;
    pub const BASE: u8 = 0b0010_0000;
    pub const SAME_LEN: u8 = 0b0100_0000;
    pub const WEIGHTS: u8 = 0b1000_0000;
    /// What a file of weights must say and may not say beside that: a coded delta of equal lengths, for any profile.
    pub const OF_WEIGHTS: u8 = WEIGHTS | CODED | DELTA | SAME_LEN;
}

/// How the payload says what the new file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The payload is the new file.
    Stored,
    /// The payload is range coded; the network starts from its prior.
    Coded,
    /// As `Coded`, after the network has learned from the whole old image.
    Primed,
    /// The payload is range coded differences of weights, of the profile `tiny` and against an old image of equal length.
    Weights,
}

/// The image that a delta was made against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Old {
    /// Length, bytes.
    pub len: u32,
    /// Identity.
    pub id: OldId,
}

/// The header, with only legal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Budget that decoding takes.
    pub profile: Profile,
    /// How the payload is coded.
    pub mode: Mode,
    /// Length of the new file, bytes.
    pub new_len: u32,
    /// The old image, for a delta.
    pub old: Option<Old>,
    /// Base model that the payload was coded with, if any.
    pub base: Option<BaseId>,
    /// Length of the payload that follows the header, bytes.
    pub payload_len: u32,
    /// Digest of the new file.
    pub digest: Id,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], Error> {
        let left = &self.bytes[self.at..];
        let taken = left.get(..len).ok_or(Error::Truncated { field, need: len as u64, have: left.len() as u64 })?;
        self.at += len;
        Ok(taken)
    }

    fn varint(&mut self, field: &'static str) -> Result<u32, Error> {
        let limit = u64::from(u32::MAX);
        varint::read(|| Ok(self.take(field, 1)?[0]), |found| Error::OutOfRange { field, found, limit })
    }
}

impl Header {
    /// Reads the header at the start of `bytes`; returns it and its length.
    ///
    /// # Errors
    /// [`Error::Truncated`] when more bytes are needed (never for [`MAX_HEADER_LEN`] of them), [`Error::BadMagic`],
    /// [`Error::Unknown`] for flags of the future, [`Error::OutOfRange`].
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), Error> {
        let mut r = Reader { bytes, at: 0 };
        let magic = r.take("magic", 1)?[0];
        if magic != MAGIC {
            // Only the magic's own byte, so that the error does not depend on how the input is cut.
            return Err(Error::BadMagic { found: [magic, 0, 0, 0], seen: 1 });
        }
        let flags = r.take("flags", 1)?[0];
        let mode = match (flags & flag::CODED != 0, flags & flag::PRIMED != 0, flags & flag::BASE != 0) {
            _ if flags == flag::OF_WEIGHTS => Some(Mode::Weights),
            _ if flags & flag::WEIGHTS != 0 => None,
            (false, false, false) => Some(Mode::Stored),
            (true, false, _) => Some(Mode::Coded),
            (true, true, false) => Some(Mode::Primed),
            _ => None,
        };
        let profile =
            Profile::from_id(flags & flag::PROFILE).filter(|_| flags & flag::DELTA != 0 || flags & flag::SAME_LEN == 0);
        let (Some(mode), Some(profile)) = (mode, profile) else {
            return Err(Error::Unknown { field: "flags", found: u64::from(flags) });
        };
        let new_len = r.varint("new_len")?;
        let old = if flags & flag::DELTA != 0 {
            let same = flags & flag::SAME_LEN != 0;
            let difference = if same { 0 } else { i64::from(unzigzag(r.varint("old_len")?)) };
            if difference == 0 && !same {
                return Err(Error::OutOfRange { field: "old_len", found: 0, limit: 1 });
            }
            let len = i64::from(new_len) + difference;
            let limit = u64::from(u32::MAX);
            let len =
                u32::try_from(len).map_err(|_| Error::OutOfRange { field: "old_len", found: len as u64, limit })?;
            let mut id = [0; OLD_ID_LEN];
            id.copy_from_slice(r.take("old_id", OLD_ID_LEN)?);
            Some(Old { len, id: OldId(id) })
        } else {
            None
        };
        let base = if flags & flag::BASE != 0 {
            let mut id = [0; BASE_ID_LEN];
            id.copy_from_slice(r.take("base_id", BASE_ID_LEN)?);
            Some(BaseId(id))
        } else {
            None
        };
        let payload_len = match mode {
            Mode::Stored => new_len,
            Mode::Coded | Mode::Primed | Mode::Weights => r.varint("payload_len")?,
        };
        let mut digest = [0; ID_LEN];
        digest.copy_from_slice(r.take("digest", ID_LEN)?);
        Ok((Self { profile, mode, new_len, old, base, payload_len, digest: Id(digest) }, r.at))
    }

    /// The header's bytes.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when the two lengths differ by 2 GiB or more; [`Error::Unknown`] (`flags`) for what
    /// [`Mode::Weights`] excludes.
    pub fn emit(&self) -> Result<heapless::Vec<u8, MAX_HEADER_LEN>, Error> {
        let mut out = heapless::Vec::new();
        let mut flags = self.profile as u8;
        match self.mode {
            Mode::Stored => {}
            Mode::Coded => flags |= flag::CODED,
            Mode::Primed => flags |= flag::CODED | flag::PRIMED,
            Mode::Weights => flags |= flag::CODED | flag::WEIGHTS,
        }
        if let Some(old) = self.old {
            flags |= flag::DELTA;
            if old.len == self.new_len {
                flags |= flag::SAME_LEN;
            }
        }
        if self.base.is_some() {
            flags |= flag::BASE;
        }
        if self.mode == Mode::Weights && flags != flag::OF_WEIGHTS {
            return Err(Error::Unknown { field: "flags", found: flags.into() });
        }
        let mut put = |bytes: &[u8]| {
            let need = bytes.len() as u64;
            out.extend_from_slice(bytes).map_err(|_| Error::BufferTooSmall { field: "header", need, have: 0 })
        };
        put(&[MAGIC, flags])?;
        put(&varint::emit(self.new_len))?;
        if let Some(old) = self.old {
            let difference = i64::from(old.len) - i64::from(self.new_len);
            let difference = i32::try_from(difference).map_err(|_| Error::OutOfRange {
                field: "old_len",
                found: u64::from(old.len),
                limit: i32::MAX as u64,
            })?;
            if difference != 0 {
                put(&varint::emit(zigzag(difference)))?;
            }
            put(&old.id.0)?;
        }
        if let Some(base) = self.base {
            put(&base.0)?;
        }
        if self.mode != Mode::Stored {
            put(&varint::emit(self.payload_len))?;
        }
        put(&self.digest.0)?;
        Ok(out)
    }
}
