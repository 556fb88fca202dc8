//! Lossless integer differences of weight layers.
//!
//! A float is not subtracted as a float: `old + (new - old)` does not give `new` back. Instead each element becomes an
//! integer *code* of the same width that keeps the order of the values ([`Element::code`]), codes are subtracted with
//! wrapping, and the little-endian difference is what a delta layer stores. Code and difference are bijections of
//! bit patterns, so NaN payloads, infinities, subnormals and negative zero come back bit for bit. No floating-point
//! instruction runs.
//!
//! ```
//! use codec_core::delta::weights::{Element, Stream};
//!
//! let (old, new) = (1.0f32.to_le_bytes(), (-0.0f32).to_le_bytes());
//! let (mut difference, mut restored) = ([0; 4], [0; 4]);
//! Stream::difference(Element::F32).update(&old, &new, &mut difference);
//! Stream::restore(Element::F32).update(&old, &difference, &mut restored);
//! assert_eq!(restored, new);
//! ```

use crate::Error;

/// Bytes of the widest element.
pub const MAX_ELEMENT_BYTES: usize = 4;

/// What one element of a layer is. All are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Two's complement code of 8 bits.
    I8,
    /// Two's complement code of 16 bits.
    I16,
    /// Two's complement code of 32 bits.
    I32,
    /// IEEE 754 binary16.
    F16,
    /// bfloat16. Its code is the same function of the bits as [`Element::F16`]'s.
    Bf16,
    /// IEEE 754 binary32.
    F32,
}

impl Element {
    /// All of them, in the order of their numbers in a file of weights.
    pub const ALL: [Self; 6] = [Self::I8, Self::I16, Self::I32, Self::F16, Self::Bf16, Self::F32];

    /// The element of a version 1 layer. `dominant_scale` is the number of bits of a code; a step `gamma` of zero (its
    /// raw `f32` bits are given) says that the layer keeps floats as they are. Of the two 16-bit floats this names
    /// [`Element::F16`]: their codes are the same.
    ///
    /// # Errors
    /// [`Error::Unknown`] (`dominant_scale`) when it is not 8, 16 or 32: layers of narrower codes have no differences.
    pub const fn of_layer(dominant_scale: u32, gamma_bits: u32) -> Result<Self, Error> {
        let keeps_floats = gamma_bits & 0x7FFF_FFFF == 0;
        match dominant_scale {
            8 => Ok(Self::I8),
            16 if keeps_floats => Ok(Self::F16),
            16 => Ok(Self::I16),
            32 if keeps_floats => Ok(Self::F32),
            32 => Ok(Self::I32),
            _ => Err(Error::Unknown { field: "dominant_scale", found: dominant_scale as u64 }),
        }
    }

    /// Bytes of one element: 1, 2 or 4.
    pub const fn bytes(self) -> usize {
        match self {
            Self::I8 => 1,
            Self::I16 | Self::F16 | Self::Bf16 => 2,
            Self::I32 | Self::F32 => 4,
        }
    }

    /// The code of an element whose bits are the low bits of `bits`; higher bits are ignored. In
    /// `-2^(w-1)..2^(w-1)` for an element of `w` bits.
    ///
    /// Floats are sign and magnitude: the magnitude bits of negative ones are inverted. Smaller values then have smaller
    /// codes, +0 is 0, -0 is -1, NaNs lie beyond the infinities. Adding 2^(w-1) gives the unsigned order-preserving
    /// image; differences are the same either way.
    pub const fn code(self, bits: u32) -> i32 {
        match self {
            Self::I8 => bits as u8 as i8 as i32,
            Self::I16 => bits as u16 as i16 as i32,
            Self::I32 => bits as i32,
            Self::F16 | Self::Bf16 => invert_negative(bits as u16 as i16 as i32, i16::MAX as i32),
            Self::F32 => invert_negative(bits as i32, i32::MAX),
        }
    }

    /// The element, in the low bits, whose code is `code` modulo 2^w; the other bits are zero.
    pub const fn element(self, code: i32) -> u32 {
        match self {
            Self::I8 => code as u8 as u32,
            Self::I16 => code as u16 as u32,
            Self::I32 => code as u32,
            Self::F16 | Self::Bf16 => invert_negative(code as i16 as i32, i16::MAX as i32) as u16 as u32,
            Self::F32 => invert_negative(code, i32::MAX) as u32,
        }
    }

    /// The wrapping difference `new - old` of two elements, as a delta layer stores it: in the low bits.
    pub const fn wrapping_difference(self, old: u32, new: u32) -> u32 {
        self.code(new).wrapping_sub(self.code(old)) as u32 & self.mask()
    }

    /// The new element from the old one and the wrapping difference.
    pub const fn restored(self, old: u32, difference: u32) -> u32 {
        self.element(self.code(old).wrapping_add(difference as i32))
    }

    const fn mask(self) -> u32 {
        u32::MAX >> (32 - 8 * self.bytes())
    }
}

/// Sign and magnitude to two's complement order, and back: it is its own inverse, and keeps the sign. `magnitude` has
/// the bits of the magnitude set.
const fn invert_negative(x: i32, magnitude: i32) -> i32 {
    if x < 0 { x ^ magnitude } else { x }
}

/// A typed element, for code that holds weights rather than bytes.
///
/// `f32` is not among them on purpose: on some targets a float register turns a signalling NaN into a quiet one, so
/// take `f32` as bits through [`Element::F32`].
pub trait Weight: Copy {
    /// The element that this type is.
    const ELEMENT: Element;

    /// Its bits, in the low bits.
    fn bits(self) -> u32;

    /// The value that has these low bits.
    fn from_bits(bits: u32) -> Self;

    /// Its order-preserving code.
    fn code(self) -> i32 {
        Self::ELEMENT.code(self.bits())
    }

    /// The value with this code (modulo 2^w).
    fn from_code(code: i32) -> Self {
        Self::from_bits(Self::ELEMENT.element(code))
    }
}

impl Weight for half::f16 {
    const ELEMENT: Element = Element::F16;

    fn bits(self) -> u32 {
        self.to_bits().into()
    }

    fn from_bits(bits: u32) -> Self {
        Self::from_bits(bits as u16)
    }
}

impl Weight for half::bf16 {
    const ELEMENT: Element = Element::Bf16;

    fn bits(self) -> u32 {
        self.to_bits().into()
    }

    fn from_bits(bits: u32) -> Self {
        Self::from_bits(bits as u16)
    }
}

impl Weight for i8 {
    const ELEMENT: Element = Element::I8;

    fn bits(self) -> u32 {
        self as u8 as u32
    }

    fn from_bits(bits: u32) -> Self {
        bits as u8 as i8
    }
}

/// What one call of [`Stream::update`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes taken from *each* input.
    pub consumed: usize,
    /// Bytes put into `output`.
    pub written: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Difference,
    Restore,
}

/// Takes two streams of elements in step and writes a third: differences from old and new, or new from old and
/// differences. Chunks may end anywhere, also inside an element; chunking never changes the result.
#[derive(Clone, Debug)]
pub struct Stream {
    element: Element,
    direction: Direction,
    /// The elements at hand, as far as they have come: `filled` bytes of each, fewer than an element.
    old: [u8; MAX_ELEMENT_BYTES],
    other: [u8; MAX_ELEMENT_BYTES],
    filled: usize,
    /// A result of which `ready` bytes, its last ones, are not written yet. While it waits, `filled` is 0.
    result: [u8; MAX_ELEMENT_BYTES],
    ready: usize,
}

impl Stream {
    /// Old and new elements in, wrapping differences out.
    pub fn difference(element: Element) -> Self {
        Self::new(element, Direction::Difference)
    }

    /// Old elements and wrapping differences in, new elements out.
    pub fn restore(element: Element) -> Self {
        Self::new(element, Direction::Restore)
    }

    fn new(element: Element, direction: Direction) -> Self {
        let empty = [0; MAX_ELEMENT_BYTES];
        Self { element, direction, old: empty, other: empty, filled: 0, result: empty, ready: 0 }
    }

    /// Goes on until `output` is full or the shorter of the two inputs is used up.
    pub fn update(&mut self, old: &[u8], other: &[u8], output: &mut [u8]) -> Step {
        self.update_each(old, other, output, |_, _| {})
    }

    /// [`Stream::update`] that also shows each pair of codes `(old, new)`, in order and once: what
    /// [`Residues::push_difference`](crate::container::residue::Residues::push_difference) wants.
    pub fn update_each(&mut self, old: &[u8], other: &[u8], output: &mut [u8], mut each: impl FnMut(i32, i32)) -> Step {
        let width = self.element.bytes();
        let mut step = Step { consumed: 0, written: 0 };
        let mut inputs = old.iter().zip(other);
        loop {
            let free = &mut output[step.written..];
            let n = self.ready.min(free.len());
            free[..n].copy_from_slice(&self.result[width - self.ready..][..n]);
            self.ready -= n;
            step.written += n;
            if self.ready > 0 || step.written == output.len() {
                return step;
            }
            while self.filled < width {
                let Some((&old, &other)) = inputs.next() else { return step };
                self.old[self.filled] = old;
                self.other[self.filled] = other;
                self.filled += 1;
                step.consumed += 1;
            }
            self.filled = 0;
            self.combine(&mut each);
            self.ready = width;
        }
    }

    /// Makes `result` from the two elements at hand. Bytes beyond the element are zero and stay so.
    fn combine(&mut self, each: &mut impl FnMut(i32, i32)) {
        let (old, other) = (u32::from_le_bytes(self.old), u32::from_le_bytes(self.other));
        let (new, result) = match self.direction {
            Direction::Difference => (other, self.element.wrapping_difference(old, other)),
            Direction::Restore => {
                let new = self.element.restored(old, other);
                (new, new)
            }
        };
        each(self.element.code(old), self.element.code(new));
        self.result = result.to_le_bytes();
    }

    /// Ends the layer.
    ///
    /// # Errors
    /// - [`Error::Truncated`] when the inputs ended inside an element;
    /// - [`Error::BufferTooSmall`] when a result still waits for [`Stream::update`] with more output.
    pub fn finish(self) -> Result<(), Error> {
        if self.ready > 0 {
            return Err(Error::BufferTooSmall { field: "weights", need: self.ready as u64, have: 0 });
        }
        if self.filled > 0 {
            let (need, have) = (self.element.bytes() as u64, self.filled as u64);
            return Err(Error::Truncated { field: "weights", need, have });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::residue::tests::random;

    fn round_trips(element: Element, old: u32, new: u32) {
        let difference = element.wrapping_difference(old, new);
        assert_eq!(difference & !element.mask(), 0);
        assert_eq!(element.restored(old, difference), new, "{element:?} {old:08x} -> {new:08x}");
        let (from, to) = (i64::from(element.code(old)), i64::from(element.code(new)));
        assert_eq!((to - from) as u32 & element.mask(), difference, "wraps to the payload's code");
    }

    #[test]
    fn every_pair_of_bytes() {
        for old in 0..=255 {
            assert_eq!(Element::I8.code(old), i32::from(old as u8 as i8));
            for new in 0..=255 {
                round_trips(Element::I8, old, new);
            }
        }
    }

    #[test]
    fn every_half_against_many() {
        let corners = [0, 1, 0x03FF, 0x0400, 0x7BFF, 0x7C00, 0x7C01, 0x7E00, 0x7F80, 0x7F81, 0x7FFF];
        let mut seed = 4;
        for element in [Element::F16, Element::Bf16, Element::I16] {
            for new in 0..=0xFFFF {
                assert_eq!(element.element(element.code(new)), new);
                for corner in corners {
                    round_trips(element, corner, new);
                    round_trips(element, corner | 0x8000, new);
                }
                for _ in 0..8 {
                    round_trips(element, random(&mut seed) as u16 as u32, new);
                }
            }
        }
    }

    #[test]
    fn words_at_random_and_in_the_corners() {
        let corners = [0, 1, 0x007F_FFFF, 0x0080_0000, 0x3F80_0000, 0x7F7F_FFFF, 0x7F80_0000, 0x7F80_0001, 0x7FC0_0000];
        let corners: Vec<u32> = corners.into_iter().flat_map(|c| [c, c | 1 << 31, c ^ 0x7FFF_FFFF]).collect();
        let mut seed = 5;
        for element in [Element::F32, Element::I32] {
            for &old in &corners {
                corners.iter().for_each(|&new| round_trips(element, old, new));
            }
            for _ in 0..200_000 {
                let both = random(&mut seed);
                round_trips(element, both as u32, (both >> 32) as u32);
            }
        }
    }

    #[test]
    fn codes_keep_the_order_of_values() {
        let mut seed = 6;
        for _ in 0..100_000 {
            let bits = random(&mut seed);
            let (a, b) = (bits as u32, (bits >> 32) as u32);
            let codes = Element::F32.code(a).cmp(&Element::F32.code(b));
            assert_eq!(codes, f32::from_bits(a).total_cmp(&f32::from_bits(b)));
            let (a, b) = (half::f16::from_bits(a as u16), half::f16::from_bits(b as u16));
            assert_eq!(Weight::code(a).cmp(&Weight::code(b)), a.total_cmp(&b));
            let (a, b) = (half::bf16::from_bits(a.to_bits()), half::bf16::from_bits(b.to_bits()));
            assert_eq!(Weight::code(a).cmp(&Weight::code(b)), a.total_cmp(&b));
        }
        assert_eq!(Element::F32.code((-0.0f32).to_bits()), -1);
        assert_eq!(<i8 as Weight>::from_code(Weight::code(-128i8)), -128);
        assert_eq!(half::f16::from_code(Weight::code(half::f16::NEG_ZERO)).to_bits(), 0x8000);
    }

    /// Why differences are not taken on floats.
    #[test]
    fn a_float_difference_would_lose_bits() {
        let (old, new) = (1.0e8f32, 1.0f32);
        assert_ne!((old + (new - old)).to_bits(), new.to_bits());
        round_trips(Element::F32, old.to_bits(), new.to_bits());
    }

    fn run(mut stream: Stream, old: &[u8], other: &[u8], chunks: [usize; 3]) -> Vec<u8> {
        let [a, b, room] = chunks;
        let (mut at, mut result, mut buffer) = (0, Vec::new(), vec![0xA5; room]);
        loop {
            let (old, other) = (&old[at..], &other[at..]);
            let step = stream.update(&old[..a.min(old.len())], &other[..b.min(other.len())], &mut buffer);
            at += step.consumed;
            result.extend_from_slice(&buffer[..step.written]);
            if step == (Step { consumed: 0, written: 0 }) {
                stream.finish().unwrap();
                return result;
            }
        }
    }

    #[test]
    fn chunking_does_not_matter() {
        let mut seed = 7;
        let mut bytes = |n| (0..n).map(|_| random(&mut seed) as u8).collect::<Vec<u8>>();
        let (old, new) = (bytes(48), bytes(48));
        for element in Element::ALL {
            let difference = run(Stream::difference(element), &old, &new, [48, 48, 48]);
            assert_eq!(difference.len(), new.len());
            for a in [1, 2, 3, 5, 48] {
                for b in [1, 3, 4, 7, 48] {
                    for room in [1, 2, 3, 4, 9, 48] {
                        assert_eq!(run(Stream::difference(element), &old, &new, [a, b, room]), difference);
                        assert_eq!(run(Stream::restore(element), &old, &difference, [a, b, room]), new);
                    }
                }
            }
        }
    }

    #[test]
    fn both_directions_show_the_same_codes() {
        let old: Vec<u8> = [1.5f32, -0.0, f32::NAN].iter().flat_map(|x| x.to_le_bytes()).collect();
        let new: Vec<u8> = [-1.5f32, 0.0, f32::NEG_INFINITY].iter().flat_map(|x| x.to_le_bytes()).collect();
        let (mut difference, mut restored) = ([0; 12], [0; 12]);
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        Stream::difference(Element::F32).update_each(&old, &new, &mut difference, |a, b| forward.push((a, b)));
        Stream::restore(Element::F32).update_each(&old, &difference, &mut restored, |a, b| backward.push((a, b)));
        assert_eq!(restored[..], new[..]);
        assert_eq!(forward, backward);
        assert_eq!(forward[1], (-1, 0));
    }

    #[test]
    fn layers_that_end_inside_an_element_are_refused() {
        let mut stream = Stream::difference(Element::F32);
        assert_eq!(stream.update(&[1, 2, 3], &[4, 5, 6], &mut [0; 8]), Step { consumed: 3, written: 0 });
        assert_eq!(stream.finish(), Err(Error::Truncated { field: "weights", need: 4, have: 3 }));
        let mut stream = Stream::difference(Element::F16);
        assert_eq!(stream.update(&[1, 2], &[4, 5], &mut [0; 1]), Step { consumed: 2, written: 1 });
        assert_eq!(stream.finish(), Err(Error::BufferTooSmall { field: "weights", need: 1, have: 0 }));
    }

    #[test]
    fn elements_of_layers() {
        let step = 0.5f32.to_bits();
        let expected = [(8, 0, Element::I8), (16, step, Element::I16), (32, step, Element::I32)];
        let floats = [(16, 0, Element::F16), (32, (-0.0f32).to_bits(), Element::F32), (8, step, Element::I8)];
        for (bits, gamma, element) in expected.into_iter().chain(floats) {
            assert_eq!(Element::of_layer(bits, gamma), Ok(element));
        }
        for found in [0, 1, 2, 4, 64] {
            let refused = Error::Unknown { field: "dominant_scale", found: found.into() };
            assert_eq!(Element::of_layer(found, 1), Err(refused));
        }
    }

    /// The table in FORMAT.md: `element  old  new  old code  new code  stored difference`, all hex but the codes.
    #[test]
    fn the_table_in_the_format_document() {
        let document = include_str!("../../FORMAT.md");
        let table = document.split("```weights\n").nth(1).unwrap().split("```").next().unwrap();
        let mut rows = 0;
        for row in table.lines().skip(1) {
            let cells: Vec<&str> = row.split_whitespace().collect();
            let element = *Element::ALL.iter().find(|e| format!("{e:?}").to_lowercase() == cells[0]).unwrap();
            let hex = |cell: &str| u32::from_str_radix(cell, 16).unwrap();
            let (old, new) = (hex(cells[1]), hex(cells[2]));
            assert_eq!(element.code(old), cells[3].parse::<i32>().unwrap(), "{row}");
            assert_eq!(element.code(new), cells[4].parse::<i32>().unwrap(), "{row}");
            let stored = element.wrapping_difference(old, new).to_le_bytes();
            let stored: String = stored[..element.bytes()].iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(stored, cells[5], "{row}");
            rows += 1;
        }
        assert!(rows >= 6);
    }
}
