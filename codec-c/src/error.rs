//! The errors: their numbers, their words, and what they say of the values.

use core::ffi::c_char;

use codec_core::Error;

/// What a call returns: 0 or more when all is well, less than 0 for an error. The numbers are never reused.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum gmcf_status {
    /// The new file is complete, and its digest is right; or there was nothing to complain of.
    GMCF_DONE = 0,
    /// All input was taken; more is needed.
    GMCF_NEED_INPUT = 1,
    /// The output is full.
    GMCF_NEED_OUTPUT = 2,
    /// gmcf_link_push: send the reply, then call again with the rest.
    GMCF_SEND = 3,
    /// gmcf_link_push: send the reply, then restart the device.
    GMCF_RESTART = 4,

    /// The update ends inside `field`: so many bytes were found, so many are needed.
    GMCF_ERROR_TRUNCATED = -1,
    /// Not a GMCF file. `found` is the bytes at its start, the first one highest; `index` is how many.
    GMCF_ERROR_BAD_MAGIC = -2,
    /// The version `found` is not known to this decoder.
    GMCF_ERROR_UNKNOWN_VERSION = -3,
    /// `field` is `found`, which this decoder does not know.
    GMCF_ERROR_UNKNOWN = -4,
    /// `field` is `found`, outside its range.
    GMCF_ERROR_OUT_OF_RANGE = -5,
    /// The update was made for a larger decoder: it needs `found` of `field`, and there is `limit`.
    GMCF_ERROR_OVER_BUDGET = -6,
    /// A buffer for `field` has `found` bytes, and needs `limit`.
    GMCF_ERROR_BUFFER_TOO_SMALL = -7,
    /// The update needs an old image, and the storage is empty.
    GMCF_ERROR_OLD_MISSING = -8,
    /// The update was made against another old image. `found` and `limit`: the first `index` bytes of the identity
    /// of the one at hand, and of the one expected; the first byte is the highest.
    GMCF_ERROR_WRONG_OLD = -9,
    /// What was rebuilt is wrong: discard it. `found` and `limit` as above.
    GMCF_ERROR_DIGEST_MISMATCH = -10,
    /// Residue `index` is `found`, and should be `limit`.
    GMCF_ERROR_RESIDUE_MISMATCH = -11,
    /// Link `index` of a chain does not start where the link before it ends.
    GMCF_ERROR_CHAIN_GAP = -12,
    /// Link `index` of a chain leads back to an earlier content.
    GMCF_ERROR_CHAIN_LOOP = -13,
    /// Link `index` of a chain belongs at another place.
    GMCF_ERROR_CHAIN_ORDER = -14,
    /// `field` is damaged.
    GMCF_ERROR_CORRUPT = -15,
    /// The old image could not be read: `found` is the offset, `limit` the bytes asked for.
    GMCF_ERROR_STORAGE = -16,
    /// The decoder has already finished or failed; start a new one.
    GMCF_ERROR_FINISHED = -17,
    /// `field` needs a library that was built with more features.
    GMCF_ERROR_FEATURE_MISSING = -18,

    // From here to GMCF_ERROR_NOTHING_TO_BOOT: -32, less the number that the link and the progress record have.
    /// The flash driver failed to do what `field` says (read, write, erase): `found` is the offset, `limit` the bytes.
    GMCF_ERROR_FLASH = -33,
    /// The region `field` of the layout is `found`, which `limit` does not allow: it is too small, not aligned to erase
    /// blocks, or lies over another one.
    GMCF_ERROR_LAYOUT = -34,
    /// The update was not what it should be. Only `failure` of gmcf_info says no more than this.
    GMCF_ERROR_MALFORMED = -35,
    /// The signature is not the one of the key in slot `index`.
    GMCF_ERROR_BAD_SIGNATURE = -36,
    /// There is no key in slot `index`.
    GMCF_ERROR_NO_KEY = -37,
    /// The update is for product `found`, this is product `limit`.
    GMCF_ERROR_WRONG_PRODUCT = -38,
    /// Version, or number of a new key, is `found`; the least that is accepted is `limit`.
    GMCF_ERROR_DOWNGRADE = -39,
    /// `found` bytes are needed in `field`, which has `limit`.
    GMCF_ERROR_NO_ROOM = -40,
    /// This cannot be done in state `found`, a gmcf_state.
    GMCF_ERROR_WRONG_STATE = -41,
    /// The bytes at offset `found` do not continue those up to `limit`.
    GMCF_ERROR_GAP = -42,
    /// `field` (payload, image, block) has another digest than was signed.
    GMCF_ERROR_WRONG_DIGEST = -43,
    /// No slot holds a whole image, or the flash holds no progress record.
    GMCF_ERROR_NOTHING_TO_BOOT = -44,

    /// An error that is newer than this interface.
    GMCF_ERROR_OTHER = -63,

    /// A pointer is NULL that must not be.
    GMCF_ERROR_NULL = -64,
    /// The profile is not known, or not compiled into this library.
    GMCF_ERROR_PROFILE = -65,
    /// The memory that is lent is too small, or not aligned.
    GMCF_ERROR_MEMORY = -66,
    /// This is no decoder: it was not made by gmcf_decoder_init, or was written over.
    GMCF_ERROR_NOT_A_DECODER = -67,
    /// A buffer cannot be that long, or runs over the end of the address space.
    GMCF_ERROR_LENGTH = -68,
    /// Two of the buffers, or a buffer and what it is for, overlap.
    GMCF_ERROR_OVERLAP = -69,
    /// Called from a function that it had called itself.
    GMCF_ERROR_BUSY = -70,
    /// The library was built for a flash with other write or erase sizes.
    GMCF_ERROR_SIZES = -71,
    /// This is no updater: it was not made by gmcf_updater_open, or was written over.
    GMCF_ERROR_NOT_AN_UPDATER = -72,
    /// This is no link: it was not made by gmcf_link_init, or was written over.
    GMCF_ERROR_NOT_A_LINK = -73,
}

use gmcf_status::*;

/// Bytes of a field's name, with the 0 at its end.
pub const GMCF_FIELD_BYTES: usize = 24;

/// Bytes of an identity that an error tells.
const ID_BYTES: u32 = 4;

/// What was refused, and why.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct gmcf_error {
    /// One of `gmcf_status`; 0 when nothing was refused.
    pub code: i32,
    /// Which link of a chain, which residue or which key; of values that are bytes, how many; otherwise 0.
    pub index: u32,
    /// What was found, as the code explains it; otherwise 0.
    pub found: u64,
    /// What was allowed, needed or expected, as the code explains it; otherwise 0.
    pub limit: u64,
    /// The name that the format's description gives to the field. Empty when the error is not about a field.
    pub field: [c_char; GMCF_FIELD_BYTES],
}

/// Number of an error of the decoder.
pub(crate) fn code(error: &Error) -> gmcf_status {
    match error {
        Error::Truncated { .. } => GMCF_ERROR_TRUNCATED,
        Error::BadMagic { .. } => GMCF_ERROR_BAD_MAGIC,
        Error::UnknownVersion { .. } => GMCF_ERROR_UNKNOWN_VERSION,
        Error::Unknown { .. } => GMCF_ERROR_UNKNOWN,
        Error::OutOfRange { .. } => GMCF_ERROR_OUT_OF_RANGE,
        Error::OverBudget { .. } => GMCF_ERROR_OVER_BUDGET,
        Error::BufferTooSmall { .. } => GMCF_ERROR_BUFFER_TOO_SMALL,
        Error::OldMissing => GMCF_ERROR_OLD_MISSING,
        Error::WrongOld { .. } => GMCF_ERROR_WRONG_OLD,
        Error::DigestMismatch { .. } => GMCF_ERROR_DIGEST_MISMATCH,
        Error::ResidueMismatch { .. } => GMCF_ERROR_RESIDUE_MISMATCH,
        Error::ChainGap { .. } => GMCF_ERROR_CHAIN_GAP,
        Error::ChainLoop { .. } => GMCF_ERROR_CHAIN_LOOP,
        Error::ChainOrder { .. } => GMCF_ERROR_CHAIN_ORDER,
        Error::Corrupt { .. } => GMCF_ERROR_CORRUPT,
        Error::Storage { .. } => GMCF_ERROR_STORAGE,
        Error::Finished => GMCF_ERROR_FINISHED,
        Error::FeatureMissing { .. } => GMCF_ERROR_FEATURE_MISSING,
        // The enum may grow; a test holds this table to what it has now.
        _ => GMCF_ERROR_OTHER,
    }
}

impl gmcf_error {
    /// No error. Not a constant: that would lie in the flash, 48 bytes of zeros.
    #[inline]
    pub(crate) fn none() -> Self {
        Self { code: 0, index: 0, found: 0, limit: 0, field: field("") }
    }

    /// The same as C sees it.
    pub(crate) fn new(error: &Error) -> Self {
        let (name, index, found, limit) = match *error {
            Error::Truncated { field, need, have } | Error::BufferTooSmall { field, need, have } => {
                (field, 0, have, need)
            }
            Error::BadMagic { found, seen } => {
                // Of `found`, the first `seen` bytes.
                let bytes = u32::from_be_bytes(found).checked_shr(32u32.saturating_sub(8 * u32::from(seen)));
                ("", seen.into(), bytes.unwrap_or(0).into(), 0)
            }
            Error::UnknownVersion { found } => ("", 0, found.into(), 0),
            Error::Unknown { field, found } => (field, 0, found, 0),
            Error::OutOfRange { field, found, limit } => (field, 0, found, limit),
            Error::OverBudget { field, requested, limit } => (field, 0, requested, limit),
            Error::WrongOld { expected, found } | Error::DigestMismatch { expected, found } => {
                ("", ID_BYTES, u32::from_be_bytes(found).into(), u32::from_be_bytes(expected).into())
            }
            Error::ResidueMismatch { index, expected, found } => ("", index, found, expected),
            Error::ChainGap { index } | Error::ChainLoop { index } | Error::ChainOrder { index } => ("", index, 0, 0),
            Error::Corrupt { field } | Error::FeatureMissing { field, .. } => (field, 0, 0, 0),
            Error::Storage { offset, len } => ("", 0, offset.into(), len.into()),
            _ => ("", 0, 0, 0),
        };
        Self { code: code(error) as i32, index, found, limit, field: field(name) }
    }
}

/// A name as C has it, cut where it is too long.
pub(crate) fn field(name: &str) -> [c_char; GMCF_FIELD_BYTES] {
    let mut field = [0; GMCF_FIELD_BYTES];
    // The last place stays 0.
    for (place, &byte) in field[..GMCF_FIELD_BYTES - 1].iter_mut().zip(name.as_bytes()) {
        *place = byte as c_char;
    }
    field
}

/// Which values of an error follow its words, one bit for each.
mod values {
    pub(super) const INDEX: u8 = 1;
    /// What was found, and likewise under another name.
    pub(super) const FOUND: u8 = 1 << 1;
    pub(super) const OFFSET: u8 = 1 << 2;
    /// The limit, under one of these names.
    pub(super) const LIMIT: u8 = 1 << 3;
    pub(super) const NEEDED: u8 = 1 << 4;
    pub(super) const EXPECTED: u8 = 1 << 5;
    pub(super) const BYTES: u8 = 1 << 6;
    /// Found and limit are bytes: in hex.
    pub(super) const HEX: u8 = 1 << 7;

    /// The names, in the order of the bits, each ended by a 0.
    pub(super) const NAMES: [&[u8; 12]; 7] = [
        b", index \0\0\0\0",
        b", found \0\0\0\0",
        b", offset \0\0\0",
        b", limit \0\0\0\0",
        b", needed \0\0\0",
        b", expected \0",
        b", bytes \0\0\0\0",
    ];
}

/// The words for every number, and which values follow them. The last one stands for numbers that are not here.
const TABLE: &[(gmcf_status, &str, u8)] = {
    use values::*;
    &[
        (GMCF_DONE, "done", 0),
        (GMCF_NEED_INPUT, "more input is needed", 0),
        (GMCF_NEED_OUTPUT, "the output is full", 0),
        (GMCF_ERROR_TRUNCATED, "the update ends early", FOUND | NEEDED),
        (GMCF_ERROR_BAD_MAGIC, "not a GMCF file", FOUND | HEX),
        (GMCF_ERROR_UNKNOWN_VERSION, "unknown version", FOUND),
        (GMCF_ERROR_UNKNOWN, "unknown value", FOUND),
        (GMCF_ERROR_OUT_OF_RANGE, "out of range", FOUND | LIMIT),
        (GMCF_ERROR_OVER_BUDGET, "over budget", FOUND | LIMIT),
        (GMCF_ERROR_BUFFER_TOO_SMALL, "buffer too small", FOUND | NEEDED),
        (GMCF_ERROR_OLD_MISSING, "the old image is needed", 0),
        (GMCF_ERROR_WRONG_OLD, "wrong old image", FOUND | EXPECTED | HEX),
        (GMCF_ERROR_DIGEST_MISMATCH, "digest mismatch", FOUND | EXPECTED | HEX),
        (GMCF_ERROR_RESIDUE_MISMATCH, "residue mismatch", INDEX | FOUND | EXPECTED),
        (GMCF_ERROR_CHAIN_GAP, "gap in the chain", INDEX),
        (GMCF_ERROR_CHAIN_LOOP, "loop in the chain", INDEX),
        (GMCF_ERROR_CHAIN_ORDER, "chain out of order", INDEX),
        (GMCF_ERROR_CORRUPT, "damaged", 0),
        (GMCF_ERROR_STORAGE, "old image unreadable", OFFSET | BYTES),
        (GMCF_ERROR_FINISHED, "decoder has ended", 0),
        (GMCF_ERROR_FEATURE_MISSING, "not in this build", 0),
        (GMCF_ERROR_NULL, "null pointer", 0),
        (GMCF_ERROR_PROFILE, "profile not in this build", 0),
        (GMCF_ERROR_MEMORY, "memory too small or not aligned", 0),
        (GMCF_ERROR_NOT_A_DECODER, "not a decoder", 0),
        (GMCF_ERROR_LENGTH, "impossible length", 0),
        (GMCF_ERROR_OVERLAP, "buffers overlap", 0),
        (GMCF_ERROR_BUSY, "busy", 0),
        #[cfg(feature = "update")]
        (GMCF_SEND, "a reply is to be sent", 0),
        #[cfg(feature = "update")]
        (GMCF_RESTART, "the device is to restart", 0),
        #[cfg(feature = "update")]
        (GMCF_ERROR_FLASH, "flash failed", OFFSET | BYTES),
        #[cfg(feature = "update")]
        (GMCF_ERROR_LAYOUT, "wrong layout", FOUND | LIMIT),
        #[cfg(feature = "update")]
        (GMCF_ERROR_MALFORMED, "damaged update", 0),
        #[cfg(feature = "update")]
        (GMCF_ERROR_BAD_SIGNATURE, "bad signature", INDEX),
        #[cfg(feature = "update")]
        (GMCF_ERROR_NO_KEY, "no such key", INDEX),
        #[cfg(feature = "update")]
        (GMCF_ERROR_WRONG_PRODUCT, "for another product", FOUND | EXPECTED),
        #[cfg(feature = "update")]
        (GMCF_ERROR_DOWNGRADE, "not newer", FOUND | NEEDED),
        #[cfg(feature = "update")]
        (GMCF_ERROR_NO_ROOM, "no room", FOUND | LIMIT),
        #[cfg(feature = "update")]
        (GMCF_ERROR_WRONG_STATE, "not in this state", FOUND),
        #[cfg(feature = "update")]
        (GMCF_ERROR_GAP, "gap in the payload", FOUND | EXPECTED),
        #[cfg(feature = "update")]
        (GMCF_ERROR_WRONG_DIGEST, "other digest than signed", 0),
        #[cfg(feature = "update")]
        (GMCF_ERROR_NOTHING_TO_BOOT, "no whole image", 0),
        #[cfg(feature = "update")]
        (GMCF_ERROR_SIZES, "flash sizes of another build", 0),
        #[cfg(feature = "update")]
        (GMCF_ERROR_NOT_AN_UPDATER, "not an updater", 0),
        #[cfg(feature = "update")]
        (GMCF_ERROR_NOT_A_LINK, "not a link", 0),
        (GMCF_ERROR_OTHER, "unknown error", 0),
    ]
};

/// The table as it lies in the flash, without pointers. Of each entry: the number as an `i8`, the values, the words, 0.
static WORDS: [u8; WORDS_LEN] = {
    let mut bytes = [0; WORDS_LEN];
    let (mut at, mut entry) = (0, 0);
    while entry < TABLE.len() {
        let (number, words, values) = TABLE[entry];
        assert!(number as i32 == number as i32 as i8 as i32);
        bytes[at] = number as i32 as u8;
        bytes[at + 1] = values;
        let mut i = 0;
        while i < words.len() {
            bytes[at + 2 + i] = words.as_bytes()[i];
            i += 1;
        }
        at += words.len() + 3;
        entry += 1;
    }
    bytes
};

const WORDS_LEN: usize = {
    let (mut len, mut entry) = (0, 0);
    while entry < TABLE.len() {
        len += TABLE[entry].1.len() + 3;
        entry += 1;
    }
    len
};

/// The values of `code`, then its words and what follows them in the flash.
fn entry(code: i32) -> (u8, &'static [u8]) {
    let mut rest: &'static [u8] = &WORDS;
    while let [number, values, words @ ..] = rest {
        let len = words.iter().take_while(|&&byte| byte != 0).count();
        match words.get(len + 1..) {
            Some(next) if i32::from(*number as i8) != code && !next.is_empty() => rest = next,
            _ => return (*values, words),
        }
    }
    (0, &[0])
}

/// A few words for a code that a function of this interface returned; never NULL, never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn gmcf_error_text(code: i32) -> *const c_char {
    entry(code).1.as_ptr().cast()
}

/// Writes what `error` says to `buffer`, and a 0 behind it: code, field and values in words.
///
/// As much as fits into `len` bytes is written; nothing when `len` is 0 or a pointer is NULL. Returns the bytes of the
/// whole text without the 0, as snprintf does.
///
/// # Safety
/// `error` points to a gmcf_error, and `buffer` to `len` bytes that can be written; or they are NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmcf_error_format(error: *const gmcf_error, buffer: *mut c_char, len: usize) -> usize {
    if buffer.is_null() || error.is_null() || len > isize::MAX as usize || !error.is_aligned() {
        return 0;
    }
    // SAFETY: as the caller promised; neither is NULL, and the length is one that a slice can have. The bytes may not
    // be set yet, so they are not called bytes.
    let (error, place) = unsafe { (&*error, core::slice::from_raw_parts_mut(buffer.cast(), len)) };
    let mut text = Text { place, len: 0 };
    text.error(error);
    text.end()
}

/// A text in somebody else's memory. `core::fmt` would take ten times the flash.
struct Text<'a> {
    place: &'a mut [core::mem::MaybeUninit<u8>],
    /// Of the whole text, whether it fits or not.
    len: usize,
}

impl Text<'_> {
    fn byte(&mut self, byte: u8) {
        // The last place is for the 0.
        if self.len + 1 < self.place.len() {
            self.place[self.len].write(byte);
        }
        self.len += 1;
    }

    /// Up to a 0, or the end.
    fn put(&mut self, text: &[u8]) {
        text.iter().take_while(|&&byte| byte != 0).for_each(|&byte| self.byte(byte));
    }

    fn decimal(&mut self, mut value: u64) {
        let mut digits = [0; 20];
        for place in digits.iter_mut().rev() {
            *place = b'0' + (value % 10) as u8;
            value /= 10;
        }
        let zeros = digits[..19].iter().take_while(|&&digit| digit == b'0').count();
        self.put(&digits[zeros..]);
    }

    /// The lowest `bytes` bytes in hex, highest first.
    fn hex(&mut self, value: u64, bytes: u32) {
        for nibble in (0..2 * bytes.min(8)).rev() {
            self.byte(b"0123456789abcdef"[(value >> (4 * nibble)) as usize & 15]);
        }
    }

    fn error(&mut self, error: &gmcf_error) {
        let (values, words) = entry(error.code);
        self.put(words);
        if error.field[0] != 0 {
            self.put(b": `");
            error.field.iter().take_while(|&&byte| byte != 0).for_each(|&byte| self.byte(byte as u8));
            self.byte(b'`');
        }
        for (bit, name) in values::NAMES.iter().enumerate() {
            if values & (1 << bit) == 0 {
                continue;
            }
            self.put(*name);
            match 1 << bit {
                values::INDEX => self.decimal(error.index.into()),
                values::FOUND if values & values::HEX != 0 => self.hex(error.found, error.index),
                values::EXPECTED if values & values::HEX != 0 => self.hex(error.limit, error.index),
                values::FOUND | values::OFFSET => self.decimal(error.found),
                _ => self.decimal(error.limit),
            }
        }
    }

    /// Puts the 0 behind the text, and says how long that is.
    fn end(self) -> usize {
        let last = self.place.len().saturating_sub(1);
        if let Some(place) = self.place.get_mut(self.len.min(last)) {
            place.write(0);
        }
        self.len
    }
}

#[cfg(test)]
mod tests;
#[cfg(all(test, feature = "update"))]
pub(crate) use tests::{formatted, variants};
