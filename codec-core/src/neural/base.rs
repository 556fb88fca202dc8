//! The base model as it lies in flash: a GMCF file of named integer layers that is read in place.

use super::arithmetic::{MOST_WEIGHTS, add, narrow};
use super::context::{BYTES, GRAMS};
use super::evoformer::Evoformer;
use super::rows::{LONGEST, ROWS};
use super::shape::{self, BYTE_DIMS, LANE_DIM, NODES, ROW_DIM, Shape};
use crate::Error;
use crate::container::digest::{BaseId, Id};
use crate::container::v2::{Header, Mode};

/// Most residual layers.
pub const MAX_LAYERS: usize = 4;
/// Most inputs of a layer: with them, no sum of products leaves 32 bits.
pub const MAX_INPUTS: usize = 511;
const _: () = assert!(MAX_INPUTS as i64 * (1 << 7) * (1 << 15) < 1 << 31);
/// First bytes of a model.
pub const MAGIC: [u8; 4] = *b"GMB1";
/// Entries of a codebook.
pub const CODES: usize = 16;

/// Cuts pieces off a string of bytes.
pub(super) struct Cut<'a>(&'a [u8]);

impl<'a> Cut<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What has not been cut off.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) fn take(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], Error> {
        let truncated = Error::Truncated { field, need: len as u64, have: self.0.len() as u64 };
        let (taken, rest) = self.0.split_at_checked(len).ok_or(truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    /// As many bytes, as magic and identities are.
    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(field, N)?);
        Ok(array)
    }

    fn byte(&mut self, field: &'static str) -> Result<u8, Error> {
        Ok(self.take(field, 1)?[0])
    }

    /// A byte that is at least `least` and at most `limit`.
    pub(super) fn least(&mut self, field: &'static str, least: u8, limit: u8) -> Result<u32, Error> {
        let found = self.within(field, limit)?;
        if found < u32::from(least) {
            return Err(Error::OutOfRange { field, found: found.into(), limit: least.into() });
        }
        Ok(found)
    }

    /// A byte that is at most `limit`.
    pub(super) fn within(&mut self, field: &'static str, limit: u8) -> Result<u32, Error> {
        let found = self.byte(field)?;
        if found > limit {
            return Err(Error::OutOfRange { field, found: found.into(), limit: limit.into() });
        }
        Ok(found.into())
    }
}

/// Reads the `i`th 16-bit number.
#[inline]
fn number(bytes: &[u8], i: usize) -> i16 {
    i16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]])
}

/// Rows of 8-bit codes, each times a power of two in Q11.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Embedding<'a> {
    codes: &'a [u8],
    shift: u32,
}

impl<'a> Embedding<'a> {
    pub(super) fn cut(from: &mut Cut<'a>, field: &'static str, rows: usize, columns: usize) -> Result<Self, Error> {
        let shift = from.within(field, 8)?;
        Ok(Self { codes: from.take(field, rows * columns)?, shift })
    }

    /// Writes row `row` to `to`, or adds it.
    #[inline]
    pub(crate) fn read(&self, row: usize, to: &mut [u16], add: bool) {
        let codes = &self.codes[row * to.len()..][..to.len()];
        for (to, code) in to.iter_mut().zip(codes) {
            let value = i16::from(*code as i8) << self.shift;
            *to = if add { (*to as i16).saturating_add(value) as u16 } else { value as u16 };
        }
    }
}

/// The tables of the hashed contexts: codes of 4 bits, two a byte, each table with a codebook in Q11.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grams<'a> {
    books: &'a [u8],
    codes: &'a [u8],
    log2: u32,
}

impl Grams<'_> {
    /// Writes the embedding of the context `table` with this hash.
    #[inline]
    pub(crate) fn read(&self, table: usize, hash: u32, to: &mut [u16]) {
        let entry = (table << self.log2) + (hash >> (32 - self.log2)) as usize;
        let half = to.len() / 2;
        let codes = &self.codes[entry * half..][..half];
        let book = &self.books[table * 2 * CODES..][..2 * CODES];
        for (to, code) in to.chunks_exact_mut(2).zip(codes) {
            to[0] = number(book, usize::from(code & 15)) as u16;
            to[1] = number(book, usize::from(code >> 4)) as u16;
        }
    }
}

/// A matrix of 8-bit weights; every row has a factor and a bias in Q11.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linear<'a> {
    weights: &'a [u8],
    factors: &'a [[u8; 2]],
    bias: &'a [[u8; 2]],
    columns: usize,
    shift: u32,
}

impl<'a> Linear<'a> {
    const EMPTY: Self = Self { weights: &[], factors: &[], bias: &[], columns: 0, shift: 1 };

    pub(super) fn cut(from: &mut Cut<'a>, field: &'static str, rows: usize, columns: usize) -> Result<Self, Error> {
        let shift = from.within(field, 40)?.max(1);
        Ok(Self {
            factors: from.take(field, 2 * rows)?.as_chunks().0,
            bias: from.take(field, 2 * rows)?.as_chunks().0,
            weights: from.take(field, rows * columns)?,
            columns,
            shift,
        })
    }

    /// The sum of a row's products, in the units of the bias; halves are rounded up.
    #[inline]
    fn scaled(&self, sum: i32, factor: [u8; 2], bias: [u8; 2]) -> i32 {
        let (factor, bias) = (u16::from_le_bytes(factor), i16::from_le_bytes(bias));
        match self.shift {
            // The factor shifted up has 31 bits at most, so the upper word of the product has 31.
            shift @ 17..=32 => {
                let factor = u32::from(factor) << (32 - shift);
                ((i64::from(sum) * i64::from(factor) + (1 << 31)) >> 32) as i32 + i32::from(bias)
            }
            shift => shifted(i64::from(sum) * i64::from(factor), shift, bias),
        }
    }

    /// Row `row` times `x`, in the units of the bias.
    #[inline]
    pub(crate) fn row(&self, row: usize, x: &[u16]) -> i32 {
        let weights = &self.weights[row * self.columns..][..self.columns];
        self.scaled(dot(weights, x), self.factors[row], self.bias[row])
    }

    /// Hands the rows from `first` on, as many as there are places in `to`, times `x`, to `take`, each with its number
    /// behind `first` and its place.
    #[inline]
    pub(super) fn rows(&self, first: usize, x: &[u16], to: &mut [u16], mut take: impl FnMut(usize, &mut u16, i32)) {
        let weights = self.weights[first * self.columns..].chunks_exact(self.columns.max(1));
        let scales = self.factors[first..].iter().zip(&self.bias[first..]);
        for (i, ((to, weights), (factor, bias))) in to.iter_mut().zip(weights).zip(scales).enumerate() {
            take(i, to, self.scaled(dot(weights, x), *factor, *bias));
        }
    }

    /// Writes the rows from `first` on, times `x`, to `to`.
    pub(super) fn write_from(&self, first: usize, x: &[u16], to: &mut [u16]) {
        self.rows(first, x, to, |_, to, y| *to = narrow(y));
    }

    /// Writes all rows.
    pub(super) fn write(&self, x: &[u16], to: &mut [u16]) {
        self.write_from(0, x, to);
    }

    /// Writes all rows, 0 for those below.
    pub(super) fn write_rectified(&self, x: &[u16], to: &mut [u16]) {
        self.rows(0, x, to, |_, to, y| *to = narrow(y.max(0)));
    }

    /// Adds all rows to `to`.
    pub(super) fn add(&self, x: &[u16], to: &mut [u16]) {
        self.rows(0, x, to, |_, to, y| add(to, y));
    }
}

/// `product / 2^shift` and the bias, saturating.
#[cold]
#[inline(never)]
fn shifted(product: i64, shift: u32, bias: i16) -> i32 {
    let y = ((product + (1 << (shift - 1))) >> shift) + i64::from(bias);
    y.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// Sum of products of numbers with a sign, of at most [`MAX_INPUTS`]. Most of what a model costs is this loop.
#[inline(never)]
pub(super) fn dot(weights: &[u8], x: &[u16]) -> i32 {
    if cfg!(all(halves, target_endian = "little")) { dot_by_halves(weights, x) } else { dot_by_numbers(weights, x) }
}

#[inline(always)]
fn product(weight: u8, x: u16) -> i32 {
    i32::from(weight as i8) * i32::from(x as i16)
}

/// Of what is left of a row behind its last sixteen.
#[inline]
fn dot_of_rest(weights: &[u8], x: &[u16]) -> i32 {
    let ((weights, last_weights), (x, last_x)) = (weights.as_chunks::<4>(), x.as_chunks::<4>());
    let mut sum = 0;
    for (weights, x) in weights.iter().zip(x) {
        sum += four_by_numbers(weights, x);
    }
    for (weight, x) in last_weights.iter().zip(last_x) {
        sum += product(*weight, *x);
    }
    sum
}

#[inline(always)]
fn four_by_numbers([a, b, c, d]: &[u8; 4], [i, j, k, l]: &[u16; 4]) -> i32 {
    product(*a, *i) + product(*b, *j) + product(*c, *k) + product(*d, *l)
}

/// Sixteen at a time.
#[inline]
fn dot_by_numbers(weights: &[u8], x: &[u16]) -> i32 {
    let x = &x[..weights.len()];
    let ((weights, last_weights), (x, last_x)) = (weights.as_chunks::<16>(), x.as_chunks::<16>());
    let mut sum = dot_of_rest(last_weights, last_x);
    for (weights, x) in weights.iter().zip(x) {
        let [a, b, c, d]: &[[u8; 4]; 4] = bytemuck::must_cast_ref(weights);
        let [i, j, k, l]: &[[u16; 4]; 4] = bytemuck::must_cast_ref(x);
        sum += four_by_numbers(a, i);
        sum += four_by_numbers(b, j);
        sum += four_by_numbers(c, k);
        sum += four_by_numbers(d, l);
    }
    sum
}

/// Eight at a time, for processors that multiply halves of registers in one instruction, and add the product to 64
/// bits. Little endian.
#[inline]
fn dot_by_halves(weights: &[u8], x: &[u16]) -> i32 {
    let x = &x[..weights.len()];
    let ((weights, last_weights), (x, last_x)) = (weights.as_chunks::<8>(), x.as_chunks::<8>());
    let mut sum = i64::from(dot_of_rest(last_weights, last_x)) << 8;
    for (weights, x) in weights.iter().zip(x) {
        // Read whole, or the compiler would take them apart.
        let [a, b] = bytemuck::must_cast::<[u8; 8], [u32; 2]>(*weights);
        let [i, j, k, l] = bytemuck::must_cast::<[u16; 8], [u32; 4]>(*x);
        add_four_by_halves(&mut sum, a, i, j);
        add_four_by_halves(&mut sum, b, k, l);
    }
    // At most 2^9 products of 2^22 each.
    (sum >> 8) as i32
}

/// Four weights are two registers of two halves, 256 times what they are. One product is written in 64 bits, since the
/// compiler takes an instruction more for it otherwise.
#[inline(always)]
fn add_four_by_halves(sum: &mut i64, weights: u32, first: u32, second: u32) {
    const UPPER: u32 = 0xff00_ff00;
    let low = |pair: u32| i32::from(pair as u16 as i16);
    let high = |pair: u32| pair as i32 >> 16;
    let (even, odd) = (weights << 8 & UPPER, weights & UPPER);
    *sum += i64::from(low(second)) * i64::from(high(even));
    *sum += i64::from(high(odd) * high(second));
    *sum += i64::from(low(even) * low(first));
    *sum += i64::from(low(odd) * high(first));
}

/// The recurrent layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recurrent<'a> {
    pub(crate) embed: Embedding<'a>,
    pub(crate) input: Linear<'a>,
    pub(crate) state: Linear<'a>,
}

/// Most channels of an Evoformer, a multiple of 4; the norm takes no more.
const MAX_CHANNELS: usize = 256;
/// Most blocks.
const MAX_BLOCKS: u8 = 64;
/// Most channels of outer products, whose inputs are their squares.
const MAX_OUTER: u8 = 22;
const _: () = assert!(MAX_OUTER as usize * MAX_OUTER as usize <= MAX_INPUTS && MAX_CHANNELS <= MAX_INPUTS);

/// A base model, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    pub(crate) shape: Shape,
    pub(crate) grams: Grams<'a>,
    pub(crate) bytes: [Embedding<'a>; BYTES],
    pub(crate) lane: Embedding<'a>,
    pub(crate) row_bytes: Embedding<'a>,
    pub(crate) row_agree: Embedding<'a>,
    pub(crate) recurrent: Option<Recurrent<'a>>,
    pub(crate) evoformer: Option<Evoformer<'a>>,
    pub(crate) layers: [Linear<'a>; MAX_LAYERS + 1],
    pub(crate) head: Linear<'a>,
    pub(crate) mix: &'a [u8],
}

/// Checks the digest of a base model's file.
///
/// # Errors
/// [`Error::DigestMismatch`] when it is damaged; those of [`Header::parse`].
pub fn verify(file: &[u8]) -> Result<(), Error> {
    let (header, len) = Header::parse(file)?;
    let found = Id::of(&file[len..]);
    if found != header.digest {
        return Err(Error::DigestMismatch { expected: header.digest.old().0, found: found.old().0 });
    }
    Ok(())
}

/// Sizes of the Evoformer: its blocks, and the rest only if there are any.
fn evoformer_shape(from: &mut Cut<'_>) -> Result<shape::Evoformer, Error> {
    let blocks = from.within("evoformer.blocks", MAX_BLOCKS)? as usize;
    if blocks == 0 {
        return Ok(shape::Evoformer::NONE);
    }
    let shape = shape::Evoformer {
        blocks,
        channels: 4 * from.least("evoformer.channels", 1, (MAX_CHANNELS / 4) as u8)? as usize,
        heads: from.least("evoformer.heads", 1, 16)? as usize,
        window_log2: from.within("evoformer.window", MOST_WEIGHTS.ilog2() as u8)?,
        pair: 2 * from.least("evoformer.pair", 1, 64)? as usize,
        outer: from.least("evoformer.outer", 1, MAX_OUTER)? as usize,
        transition: 4 * from.least("evoformer.transition", 1, (MAX_INPUTS / 4) as u8)? as usize,
    };
    if !shape.channels.is_multiple_of(shape.heads) {
        // Every head has as many channels.
        return Err(Error::Corrupt { field: "evoformer.heads" });
    }
    Ok(shape)
}

impl<'a> Base<'a> {
    /// Opens a base model: a GMCF version 2 file, stored as it is, whose content is the model. Its identity is what the
    /// header promises; [`verify`] checks that.
    ///
    /// # Errors
    /// Those of [`Header::parse`] and [`Base::parse`]; [`Error::Corrupt`] when the file is no stored model.
    pub fn open(file: &'a [u8]) -> Result<(Self, BaseId), Error> {
        let (header, len) = Header::parse(file)?;
        let model = &file[len..];
        if header.mode != Mode::Stored || header.old.is_some() || model.len() as u64 != u64::from(header.new_len) {
            return Err(Error::Corrupt { field: "base" });
        }
        Ok((Self::parse(model)?, header.digest.base()))
    }

    /// Reads the layers of a model.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::OutOfRange`] for sizes that no decoder supports, [`Error::Corrupt`] when something
    /// stands behind the last layer.
    pub fn parse(model: &'a [u8]) -> Result<Self, Error> {
        let mut from = Cut(model);
        let magic = from.array("magic")?;
        if magic != MAGIC {
            return Err(Error::BadMagic { found: magic, seen: 4 });
        }
        let shape = Shape {
            gram_log2: from.least("gram_log2", 1, 16)?,
            gram_dim: 2 * from.within("gram_dim", 32)? as usize,
            hidden: 4 * from.within("hidden", (MAX_INPUTS / 4) as u8)? as usize,
            layers: from.within("layers", MAX_LAYERS as u8)? as usize,
            state: 4 * from.within("state", 96)? as usize,
            state_dim: from.within("state_dim", 64)? as usize,
            evoformer: evoformer_shape(&mut from)?,
            ring_log2: from.least("ring_log2", 5, 15)?,
            index_log2: from.least("index_log2", 1, 15)?,
        };
        if shape.inputs() > MAX_INPUTS {
            return Err(Error::OutOfRange { field: "inputs", found: shape.inputs() as u64, limit: MAX_INPUTS as u64 });
        }
        let grams = Grams {
            books: from.take("embed.gram", GRAMS * 2 * CODES)?,
            codes: from.take("embed.gram", (GRAMS << shape.gram_log2) * shape.gram_dim / 2)?,
            log2: shape.gram_log2,
        };
        let mut byte = |dim| Embedding::cut(&mut from, "embed.byte", 256, dim);
        let [a, b, c, d] = BYTE_DIMS;
        let bytes = [byte(a)?, byte(b)?, byte(c)?, byte(d)?];
        let lane = Embedding::cut(&mut from, "embed.lane", 4, LANE_DIM)?;
        let row_bytes = Embedding::cut(&mut from, "embed.row.byte", 256, ROW_DIM)?;
        let row_agree = Embedding::cut(&mut from, "embed.row.agree", ROWS * LONGEST as usize, ROW_DIM)?;
        let recurrent = if shape.state > 0 {
            Some(Recurrent {
                embed: Embedding::cut(&mut from, "gru.embed", 256, shape.state_dim)?,
                input: Linear::cut(&mut from, "gru.input", 3 * shape.state, shape.state_dim)?,
                state: Linear::cut(&mut from, "gru.state", 3 * shape.state, shape.state)?,
            })
        } else {
            None
        };
        let evoformer = if shape.evoformer.blocks > 0 { Some(Evoformer::cut(&mut from, &shape)?) } else { None };
        let mut layers = [Linear::EMPTY; MAX_LAYERS + 1];
        for (i, layer) in layers.iter_mut().enumerate().take(shape.layers + 1) {
            let columns = if i == 0 { shape.inputs() } else { shape.hidden };
            *layer = Linear::cut(&mut from, "layer", shape.hidden, columns)?;
        }
        let head = Linear::cut(&mut from, "head", NODES, shape.hidden)?;
        let mix = from.take("mix", super::coder::MIX_BYTES)?;
        if !from.0.is_empty() {
            return Err(Error::Corrupt { field: "base" });
        }
        Ok(Self { shape, grams, bytes, lane, row_bytes, row_agree, recurrent, evoformer, layers, head, mix })
    }

    /// Sizes of the network.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The widest row of the largest numbers, of either sign: what saturates does not wrap, and nothing overflows.
    #[test]
    fn rows_saturate() {
        for (weight, input, bias, expected) in [(0x80, i16::MIN, 0x7f, i32::MAX), (0x80, i16::MAX, 0x80, i32::MIN)] {
            let weights = [weight; MAX_INPUTS];
            let layer =
                Linear { weights: &weights, factors: &[[0xff; 2]], bias: &[[bias; 2]], columns: MAX_INPUTS, shift: 1 };
            assert_eq!(layer.row(0, &[input.cast_unsigned(); MAX_INPUTS]), expected);
        }
    }

    /// Both ways to the same sum: all lengths, whatever the numbers are, the largest of them too.
    #[test]
    fn sums_are_the_same_by_halves() {
        let mut random = 1u32;
        let mut next = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random >> 16
        };
        for len in (0..40).chain([MAX_INPUTS]) {
            let weights: Vec<u8> = (0..len).map(|_| next() as u8).collect();
            let x: Vec<u16> = (0..=len).map(|_| next() as u16).collect();
            for x in [&x[..len], &x[1..]] {
                assert_eq!(dot_by_halves(&weights, x), dot_by_numbers(&weights, x), "{len}");
            }
        }
        for (weight, x) in [(0x80, 0x8000), (0x80, 0x7fff), (0x7f, 0x8000), (0x7f, 0x7fff)] {
            let (weights, x) = ([weight; MAX_INPUTS], [x; MAX_INPUTS]);
            assert_eq!(dot_by_halves(&weights, &x), dot_by_numbers(&weights, &x));
        }
    }

    /// Whichever way the factor is applied.
    #[test]
    fn factors_are_exact() {
        let mut random = 7u32;
        let mut next = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random
        };
        for shift in 1..=40 {
            let layer = Linear { shift, ..Linear::EMPTY };
            let extremes = [(i32::MIN, u16::MAX, i16::MIN), (i32::MAX, u16::MAX, i16::MAX), (-1, 1, 0), (0, 0, 0)];
            let random = (0..200).map(|_| (next() as i32, (next() >> 16) as u16, (next() >> 16) as i16));
            for (sum, factor, bias) in extremes.into_iter().chain(random.collect::<Vec<_>>()) {
                let exact = shifted(i64::from(sum) * i64::from(factor), shift, bias);
                assert_eq!(
                    layer.scaled(sum, factor.to_le_bytes(), bias.to_le_bytes()),
                    exact,
                    "{shift} {sum} {factor}"
                );
            }
        }
    }

    /// Rounds to the nearest, halves up.
    #[test]
    fn rows_round() {
        let layer = |weight: &'static [u8]| Linear {
            weights: weight,
            factors: &[[1, 0]],
            bias: &[[0, 0]],
            columns: 1,
            shift: 2,
        };
        let rows = [0, 1, 2, 5, 6].map(|x| layer(&[1]).row(0, &[x]));
        assert_eq!(rows, [0, 0, 1, 1, 2]);
        assert_eq!([1, 2, 3, 6].map(|x| layer(&[0xff]).row(0, &[x])), [0, 0, -1, -1]);
    }
}
