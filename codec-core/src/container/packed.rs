//! Codes of 1, 2, 4 or 8 bits, packed without gaps: FORMAT.md, section 2.3.
//!
//! ```
//! use codec_core::container::packed::{Packed, pack};
//!
//! let mut bytes = [0; 2];
//! pack(&[1, -2, 7], 4, &mut bytes)?;
//! assert_eq!(bytes, [0xe1, 0x07]);
//! let packed = Packed::new_checked("w", &bytes, 3, 4)?;
//! assert!(packed.codes().eq([1, -2, 7]));
//! # Ok::<(), codec_core::Error>(())
//! ```

use core::slice::Iter;

use crate::Error;

/// Bytes of `codes` codes of `bits` bits each.
pub const fn packed_len(codes: u32, bits: u32) -> u64 {
    (codes as u64 * bits as u64).div_ceil(8)
}

/// Packed codes whose length and padding have been checked.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    bytes: &'a [u8],
    /// 1, 2, 4 or 8.
    bits: u32,
    codes: u32,
}

impl<'a> Packed<'a> {
    /// `codes` codes of `bits` bits each, the payload of the layer `field`.
    ///
    /// # Errors
    /// - [`Error::Unknown`] (`dominant_scale`) when `bits` is not 1, 2, 4 or 8;
    /// - [`Error::Truncated`] or [`Error::OutOfRange`] (`field`) for fewer or more bytes than the codes take;
    /// - [`Error::OutOfRange`] (`padding`) for bits behind the last code that are not zero.
    pub fn new_checked(field: &'static str, bytes: &'a [u8], codes: u32, bits: u32) -> Result<Self, Error> {
        width(bits)?;
        exactly(field, bytes, packed_len(codes, bits))?;
        let used = (u64::from(codes) * u64::from(bits) % 8) as u32;
        let padding = bytes.last().filter(|_| used > 0).map_or(0, |last| last >> used);
        if padding != 0 {
            return Err(Error::OutOfRange { field: "padding", found: padding.into(), limit: 0 });
        }
        Ok(Self { bytes, bits, codes })
    }

    /// Bits of a code.
    pub const fn bits(&self) -> u32 {
        self.bits
    }

    /// All codes.
    pub fn codes(&self) -> impl Iterator<Item = i8> + use<'a> {
        self.from(0).take(self.codes as usize)
    }

    /// The codes from `first` on, and behind the last one zeros: the padding.
    #[inline]
    pub(crate) fn from(&self, first: u64) -> Codes<'a> {
        // A code does not reach over the end of a byte.
        let at = first * u64::from(self.bits);
        let mut bytes = self.bytes.get((at >> 3) as usize..).unwrap_or(&[]).iter();
        let used = at as u32 & 7;
        let begun = if used == 0 { None } else { bytes.next() };
        let (byte, left) = begun.map_or((0, 0), |byte| (byte >> used, 8 - used));
        Codes { bytes, byte, left, bits: self.bits }
    }
}

/// Iterator over packed codes.
#[derive(Clone, Debug)]
pub(crate) struct Codes<'a> {
    bytes: Iter<'a, u8>,
    /// The byte at hand, what has been read of it shifted out: `left` bits are valid.
    byte: u8,
    left: u32,
    bits: u32,
}

impl Iterator for Codes<'_> {
    type Item = i8;

    #[inline]
    fn next(&mut self) -> Option<i8> {
        if self.left == 0 {
            (self.byte, self.left) = (*self.bytes.next()?, 8);
        }
        let above = 8 - self.bits;
        let code = (self.byte << above) as i8 >> above;
        self.byte = (u32::from(self.byte) >> self.bits) as u8;
        self.left -= self.bits;
        Some(code)
    }
}

/// Packs codes into `bytes`, all of which are written. A layer's payload has [`packed_len`] bytes.
///
/// # Errors
/// - [`Error::Unknown`] (`dominant_scale`) when `bits` is not 1, 2, 4 or 8;
/// - [`Error::BufferTooSmall`] (`codes`);
/// - [`Error::OutOfRange`] (`codes`) for a code that does not fit `bits` bits: its magnitude is `found`.
pub fn pack(codes: &[i8], bits: u32, bytes: &mut [u8]) -> Result<(), Error> {
    width(bits)?;
    let per_byte = 8 / bits as usize;
    let (need, have) = (codes.len().div_ceil(per_byte) as u64, bytes.len() as u64);
    if need > have {
        return Err(Error::BufferTooSmall { field: "codes", need, have });
    }
    bytes.fill(0);
    let above = 8 - bits;
    for (to, codes) in bytes.iter_mut().zip(codes.chunks(per_byte)) {
        for &code in codes.iter().rev() {
            if code << above >> above != code {
                let limit = 1 << (bits - 1);
                return Err(Error::OutOfRange { field: "codes", found: code.unsigned_abs().into(), limit });
            }
            *to = (u32::from(*to) << bits) as u8 | (code.cast_unsigned() << above >> above);
        }
    }
    Ok(())
}

/// Checks the bits of a packed code.
pub(crate) const fn width(bits: u32) -> Result<(), Error> {
    match bits {
        1 | 2 | 4 | 8 => Ok(()),
        found => Err(Error::Unknown { field: "dominant_scale", found: found as u64 }),
    }
}

/// Checks that a payload has `need` bytes.
pub(crate) fn exactly(field: &'static str, bytes: &[u8], need: u64) -> Result<(), Error> {
    let have = bytes.len() as u64;
    if have < need {
        return Err(Error::Truncated { field, need, have });
    }
    if have > need {
        return Err(Error::OutOfRange { field, found: have, limit: need });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code of every width, from every place on.
    #[test]
    fn what_is_packed_is_read() {
        for bits in [1, 2, 4, 8] {
            let half = 1i32 << (bits - 1);
            let codes: Vec<i8> = (-half..half).chain(-half..0).map(|code| code as i8).collect();
            let mut bytes = vec![0xa5; packed_len(codes.len() as u32, bits) as usize];
            pack(&codes, bits, &mut bytes).unwrap();
            let packed = Packed::new_checked("w", &bytes, codes.len() as u32, bits).unwrap();
            for first in 0..codes.len() {
                assert!(packed.from(first as u64).take(codes.len() - first).eq(codes[first..].iter().copied()));
            }
            assert!(packed.codes().eq(codes.iter().copied()));
            assert!(packed.from(u64::from(u32::MAX)).next().is_none());
        }
    }

    /// The table in FORMAT.md: bits, codes, bytes in hex, in columns.
    #[test]
    fn the_table_in_the_format_document() {
        let document = include_str!("../../FORMAT.md");
        let table = document.split("```packed\n").nth(1).unwrap().split("```").next().unwrap();
        for row in table.lines().skip(1) {
            let (bits, rest) = row.split_once("     ").unwrap();
            let (codes, hex) = rest.rsplit_once("   ").unwrap();
            let codes: Vec<i8> = codes.split_whitespace().map(|code| code.parse().unwrap()).collect();
            let hex: Vec<u8> = hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
            let bits = bits.parse().unwrap();
            let mut bytes = vec![0; packed_len(codes.len() as u32, bits) as usize];
            pack(&codes, bits, &mut bytes).unwrap();
            assert_eq!(bytes, hex, "{row}");
            let packed = Packed::new_checked("w", &hex, codes.len() as u32, bits).unwrap();
            assert!(packed.codes().eq(codes), "{row}");
        }
        assert_eq!(table.lines().count(), 5);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |bytes: &[u8], codes, bits| Packed::new_checked("w", bytes, codes, bits).map(|_| ());
        assert_eq!(check(&[0x1f], 5, 1), Ok(()));
        assert_eq!(check(&[0x3f], 5, 1), Err(Error::OutOfRange { field: "padding", found: 1, limit: 0 }));
        assert_eq!(check(&[0, 0x10], 3, 4), Err(Error::OutOfRange { field: "padding", found: 1, limit: 0 }));
        assert_eq!(check(&[0], 3, 4), Err(Error::Truncated { field: "w", need: 2, have: 1 }));
        assert_eq!(check(&[0; 3], 3, 4), Err(Error::OutOfRange { field: "w", found: 3, limit: 2 }));
        assert_eq!(check(&[], 0, 2), Ok(()));
        assert_eq!(check(&[], 0, 16), Err(Error::Unknown { field: "dominant_scale", found: 16 }));
        for (code, bits) in [(1, 1), (-2, 1), (2, 2), (-3, 2), (8, 4), (-9, 4)] {
            let found = u64::from(i8::unsigned_abs(code));
            let refused = Error::OutOfRange { field: "codes", found, limit: 1 << (bits - 1) };
            assert_eq!(pack(&[0, code], bits, &mut [0; 2]), Err(refused));
        }
        let small = Error::BufferTooSmall { field: "codes", need: 2, have: 1 };
        assert_eq!(pack(&[0; 3], 4, &mut [0]), Err(small));
    }
}
