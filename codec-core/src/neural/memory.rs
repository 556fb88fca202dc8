//! Position memories: a row of codes for every byte of a file, and a projection that reads the byte off it. FORMAT.md,
//! section 7.
//!
//! Any byte can be read by itself. What that takes beside the codes, which are read in place, is one row of values,
//! [`ROW_BYTES`], on the stack.
//!
//! ```
//! use codec_core::neural::memory::Memory;
//!
//! // Eight dimensions of one bit under the natural code: the file with its bits inverted.
//! let codes = b"abc".map(|byte| !byte);
//! let memory = Memory::new_checked(&codes, None, 3, 8, 1)?;
//! assert_eq!(memory.byte(1), b'b');
//! let mut end = [0; 2];
//! memory.read(1, &mut end)?;
//! assert_eq!(&end, b"bc");
//! # Ok::<(), codec_core::Error>(())
//! ```

use super::base::{MAX_INPUTS, dot};
use crate::Error;
use crate::container::packed::{self, Packed, packed_len};
use crate::container::v1::MAX_CODES;

/// Layer of the codes, `[len, dim]`.
pub const LAYER: &str = "memory";
/// Layer of the output projection, `[256, dim]`.
pub const OUT_LAYER: &str = "memory.out";
/// Bits of a code of the output projection.
pub const OUT_BITS: u32 = 8;
/// Values that a byte can have: rows of the output projection.
pub const BYTES: u32 = 256;
/// Most dimensions.
pub const MAX_DIM: u32 = 256;
/// RAM that reading takes at most, bytes: the values of one row, 16 bits each. The natural code needs none of it.
pub const ROW_BYTES: usize = MAX_DIM as usize * size_of::<u16>();

/// Dimensions of the natural code: bits of a byte.
const NATURAL: u32 = 8;
/// Largest magnitude of a value: 2 x -128 + 1.
const MAX_VALUE: i64 = 255;
/// No sum of products of values and output codes leaves 32 bits, nor has it more products than `dot` takes.
const _: () = assert!(MAX_DIM as i64 * MAX_VALUE * (1 << (OUT_BITS - 1)) < 1 << 31);
const _: () = assert!(MAX_DIM as usize <= MAX_INPUTS);

/// Bytes of the packed codes of a memory of `len` positions, `dim` dimensions and `bits` bits a code.
///
/// # Errors
/// - [`Error::Unknown`] (`dominant_scale`) when `bits` is not 1, 2, 4 or 8;
/// - [`Error::OutOfRange`] (`memory.dim`) when `dim` is 0 or above [`MAX_DIM`];
/// - [`Error::OutOfRange`] (`shape`) for more than [`MAX_CODES`] codes.
pub fn codes_len(len: u32, dim: u32, bits: u32) -> Result<u64, Error> {
    Ok(packed_len(count(len, dim, bits)?, bits))
}

/// Codes in all, and the checks of [`codes_len`].
fn count(len: u32, dim: u32, bits: u32) -> Result<u32, Error> {
    packed::width(bits)?;
    if dim == 0 || dim > MAX_DIM {
        let limit = u64::from(if dim == 0 { 1 } else { MAX_DIM });
        return Err(Error::OutOfRange { field: "memory.dim", found: dim.into(), limit });
    }
    let found = u64::from(len) * u64::from(dim);
    u32::try_from(found).map_err(|_| Error::OutOfRange { field: "shape", found, limit: MAX_CODES })
}

/// A position memory, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'a> {
    codes: Packed<'a>,
    /// `[256, dim]`; none for the natural code.
    out: Option<&'a [u8]>,
    len: u32,
    /// 1 to [`MAX_DIM`]; a multiple of [`NATURAL`] where there is no projection.
    dim: u32,
}

impl<'a> Memory<'a> {
    /// A memory of `len` bytes with `dim` dimensions each: the packed `codes` of `bits` bits, `[len, dim]`, and the
    /// codes of the output projection, `[256, dim]`, 8 bits each. Without a projection it is the natural code.
    ///
    /// # Errors
    /// - as [`codes_len`];
    /// - [`Error::Truncated`], [`Error::OutOfRange`] (`memory`, `memory.out`) for payloads of other lengths than these
    ///   shapes give; the natural code is no projection (`have` is 0) unless `dim` is a multiple of 8;
    /// - [`Error::OutOfRange`] (`padding`) for bits behind the last code that are not zero.
    pub fn new_checked(codes: &'a [u8], out: Option<&'a [u8]>, len: u32, dim: u32, bits: u32) -> Result<Self, Error> {
        let codes = Packed::new_checked(LAYER, codes, count(len, dim, bits)?, bits)?;
        if out.is_some() || !dim.is_multiple_of(NATURAL) {
            packed::exactly(OUT_LAYER, out.unwrap_or(&[]), packed_len(BYTES * dim, OUT_BITS))?;
        }
        Ok(Self { codes, out, len, dim })
    }

    /// Bytes that it holds.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether it holds none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All codes, row by row.
    pub fn codes(&self) -> impl Iterator<Item = i8> + use<'a> {
        self.codes.codes()
    }

    /// Byte `i`; 0 from [`Memory::len`] on.
    pub fn byte(&self, i: u32) -> u8 {
        if i >= self.len {
            return 0;
        }
        match self.out {
            Some(out) => self.projected(i, out),
            None => self.natural(i),
        }
    }

    /// Fills `to` with the bytes from `at` on.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] (`memory`) when that goes beyond [`Memory::len`]; nothing is written then.
    pub fn read(&self, at: u32, to: &mut [u8]) -> Result<(), Error> {
        let found = u64::from(at) + to.len() as u64;
        if found > self.len.into() {
            return Err(Error::OutOfRange { field: LAYER, found, limit: self.len.into() });
        }
        for (i, to) in (at..).zip(to) {
            *to = self.byte(i);
        }
        Ok(())
    }

    /// Values of the row of byte `i`, odd numbers.
    #[inline]
    fn values(&self, i: u32) -> impl Iterator<Item = i32> + use<'a> {
        let codes = self.codes.from(u64::from(i) * u64::from(self.dim)).take(self.dim as usize);
        codes.map(|code| 2 * i32::from(code) + 1)
    }

    /// The byte whose row of `out` gives the largest product with that of byte `i`, the smallest of several.
    fn projected(&self, i: u32, out: &[u8]) -> u8 {
        let mut row = [0; ROW_BYTES / size_of::<u16>()];
        let row = &mut row[..self.dim as usize];
        for (to, value) in row.iter_mut().zip(self.values(i)) {
            *to = value as u16;
        }
        let (mut best, mut byte) = (i32::MIN, 0);
        for (c, codes) in (0..=u8::MAX).zip(out.chunks_exact(row.len())) {
            let product = dot(codes, row);
            if product > best {
                (best, byte) = (product, c);
            }
        }
        byte
    }

    /// Likewise under the natural code. Each bit of the byte has a sum of its own, and is set where that is positive:
    /// where it is zero both values of the bit give the same product, and 0 is the smaller.
    fn natural(&self, i: u32) -> u8 {
        let mut sums = [0; NATURAL as usize];
        for (k, value) in self.values(i).enumerate() {
            sums[k % sums.len()] += value;
        }
        sums.iter().rev().fold(0, |byte, sum| byte << 1 | u8::from(*sum > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte 1 is against all the rest as far as 32 bits are asked for at all.
    #[test]
    fn extremes_stay_inside() {
        let mut out = [0x7f; 256 * MAX_DIM as usize];
        out[MAX_DIM as usize..2 * MAX_DIM as usize].fill(0x80);
        let codes = [[0x80; MAX_DIM as usize], [0x7f; MAX_DIM as usize]];
        let memory = Memory::new_checked(codes.as_flattened(), Some(&out), 2, MAX_DIM, 8).unwrap();
        assert_eq!((memory.byte(0), memory.byte(1)), (1, 0));
    }

    /// Without a projection, and with the projection that the natural code stands for: also where sums are zero.
    #[test]
    fn the_natural_code_is_a_projection() {
        let out: Vec<u8> = (0..256 * 16).map(|i| if i >> 4 >> (i & 7) & 1 == 1 { 1 } else { 0xff }).collect();
        let codes: Vec<u8> = (0..2 * 256).map(|i: u32| (i.wrapping_mul(0x9e37_79b1) >> 21) as u8).collect();
        for (bits, len) in [(1, 256), (2, 128), (4, 64), (8, 32)] {
            let memory = Memory::new_checked(&codes, None, len, 16, bits).unwrap();
            let projected = Memory::new_checked(&codes, Some(&out), len, 16, bits).unwrap();
            assert!((0..len).all(|i| memory.byte(i) == projected.byte(i)), "{bits}");
        }
    }

    #[test]
    fn beyond_the_end() {
        let memory = Memory::new_checked(&[0; 3], None, 3, 8, 1).unwrap();
        assert_eq!((memory.byte(2), memory.byte(3), memory.byte(u32::MAX)), (0xff, 0, 0));
        let mut to = [7; 2];
        let refused = Error::OutOfRange { field: "memory", found: 4, limit: 3 };
        assert_eq!((memory.read(2, &mut to), to), (Err(refused), [7; 2]));
        assert_eq!(memory.read(3, &mut []), Ok(()));
        let none = Memory::new_checked(&[], None, 0, 8, 1).unwrap();
        assert!(none.is_empty() && none.byte(0) == 0);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |codes: &[u8], out: Option<&[u8]>, len, dim, bits| {
            Memory::new_checked(codes, out, len, dim, bits).map(|memory| memory.len())
        };
        let range = |field, found, limit| Err(Error::OutOfRange { field, found, limit });
        let truncated = |field, need, have| Err(Error::Truncated { field, need, have });
        let out = [0; 256 * 5];
        assert_eq!(check(&[0; 5], Some(&out), 1, 5, 8), Ok(1));
        assert_eq!(check(&[0; 2], Some(&out), 2, 5, 1), Ok(2));
        assert_eq!(check(&[], None, 1, 0, 8), range("memory.dim", 0, 1));
        assert_eq!(check(&[], None, 1, 257, 8), range("memory.dim", 257, 256));
        assert_eq!(check(&[], None, u32::MAX, 256, 1), range("shape", (1 << 40) - 256, u32::MAX.into()));
        assert_eq!(check(&[], None, 1, 8, 3), Err(Error::Unknown { field: "dominant_scale", found: 3 }));
        assert_eq!(check(&[0; 4], Some(&out), 1, 5, 8), truncated("memory", 5, 4));
        assert_eq!(check(&[0; 6], Some(&out), 1, 5, 8), range("memory", 6, 5));
        assert_eq!(check(&[0x20], Some(&out), 1, 5, 1), range("padding", 1, 0));
        assert_eq!(check(&[0; 5], None, 1, 5, 8), truncated("memory.out", 1280, 0));
        assert_eq!(check(&[0; 5], Some(&out[1..]), 1, 5, 8), truncated("memory.out", 1280, 1279));
        assert_eq!(check(&[0; 4], Some(&out), 1, 4, 8), range("memory.out", 1280, 1024));
        assert_eq!(check(&[0; 8], Some(&[]), 1, 8, 8), truncated("memory.out", 2048, 0));
    }
}
