//! Adapters: small corrections of a base model for a family of files, read in place like the model.
//!
//! A decoder is compiled for adapters or without them: [`NoAdapter`] leaves no trace in it.

use super::arithmetic::narrow;
use super::base::{Base, Cut, MAX_INPUTS, MAX_LAYERS};
use super::coder::WEIGHTS;
use super::shape::{NODES, Shape};
use crate::Error;
use crate::container::digest::{BaseId, Hasher, Id};
use crate::container::v2::{Header, Mode};

/// First bytes of an adapter.
pub const MAGIC: [u8; 4] = *b"GMA1";
/// Largest rank of what is added to a layer.
pub const MAX_RANK: usize = 8;
/// Flag of the section `mix`.
pub const MIX: u8 = 1;
/// Flag of the section `gain`.
pub const GAIN: u8 = 2;
/// Flag of the section `low.layer`.
pub const LOW_LAYER: u8 = 4;
/// Flag of the section `low.head`.
pub const LOW_HEAD: u8 = 8;
/// Largest shift of codes that are shifted up.
pub const MAX_UP: u8 = 8;
/// Largest shift of sums that are shifted down, and of factors.
pub const MAX_DOWN: u8 = 22;
/// Longest content, bytes: of the largest network that there can be.
pub const MAX_LEN: u32 = {
    let layers = (MAX_LAYERS + 1) * MAX_INPUTS + NODES;
    (9 + 1 + WEIGHTS + 2 + 2 * layers + 6 + MAX_RANK * (3 * MAX_INPUTS + NODES)) as u32
};
/// No sum of products of 8 and 16 bits leaves 32 bits, the rounding included.
const _: () = assert!((MAX_INPUTS as i64) * (1 << 7) * (1 << 15) + (1 << (MAX_DOWN - 1)) < 1 << 31);
const _: () = assert!(MAX_RANK <= MAX_INPUTS);

/// An adapter, or the absence of any.
pub trait Adapt {
    /// Changes the last stage's weights, Q13, that the model brings.
    fn mix(&self, weights: &mut [u16]);

    /// What is done to the rows of a layer whose inputs are `x`, Q11. The layers are counted from `layer.0` on, the head
    /// comes behind the last.
    fn layer(&self, layer: usize, x: &[u16]) -> Option<Change<'_>>;
}

/// No adapter.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAdapter;

impl Adapt for NoAdapter {
    #[inline]
    fn mix(&self, _: &mut [u16]) {}

    #[inline]
    fn layer(&self, _: usize, _: &[u16]) -> Option<Change<'_>> {
        None
    }
}

impl Adapt for Option<Adapter<'_>> {
    #[inline]
    fn mix(&self, weights: &mut [u16]) {
        self.iter().for_each(|adapter| adapter.mix(weights));
    }

    #[inline]
    fn layer(&self, layer: usize, x: &[u16]) -> Option<Change<'_>> {
        self.as_ref()?.layer(layer, x)
    }
}

/// Differences of the last stage's weights.
#[derive(Clone, Copy, Debug)]
struct Mix<'a> {
    codes: &'a [u8],
    shift: u32,
}

/// A factor and a bias for every row of all layers.
#[derive(Clone, Copy, Debug)]
struct Gain<'a> {
    factors: &'a [u8],
    biases: &'a [u8],
    factor_shift: u32,
    bias_shift: u32,
}

/// A matrix of low rank that is added to a layer: `up` times `down`.
#[derive(Clone, Copy, Debug)]
struct Low<'a> {
    rank: usize,
    down: &'a [u8],
    up: &'a [u8],
    down_shift: u32,
    up_shift: u32,
}

/// An adapter, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Adapter<'a> {
    hidden: usize,
    head: usize,
    mix: Option<Mix<'a>>,
    gain: Option<Gain<'a>>,
    low_layer: Option<Low<'a>>,
    low_head: Option<Low<'a>>,
}

/// Rounds half up.
const fn rounded(sum: i32, shift: u32) -> i32 {
    (sum + (1 << (shift - 1))) >> shift
}

/// At most [`MAX_INPUTS`] products: no sum leaves 32 bits, the rounding included.
fn sum(codes: &[u8], x: &[u16]) -> i32 {
    codes.iter().zip(x).map(|(code, x)| i32::from(*code as i8) * i32::from(*x as i16)).sum()
}

impl<'a> Gain<'a> {
    fn cut(from: &mut Cut<'a>, rows: usize) -> Result<Self, Error> {
        Ok(Self {
            factor_shift: from.least("gain.factor_shift", 1, MAX_DOWN)?,
            bias_shift: from.within("gain.bias_shift", MAX_UP)?,
            factors: from.take("gain.factors", rows)?,
            biases: from.take("gain.biases", rows)?,
        })
    }
}

impl<'a> Low<'a> {
    fn cut(from: &mut Cut<'a>, rows: usize, columns: usize) -> Result<Self, Error> {
        let rank = from.least("low.rank", 1, MAX_RANK as u8)? as usize;
        Ok(Self {
            rank,
            down_shift: from.least("low.down_shift", 1, MAX_DOWN)?,
            up_shift: from.least("low.up_shift", 1, MAX_DOWN)?,
            down: from.take("low.down", rank * columns)?,
            up: from.take("low.up", rows * rank)?,
        })
    }

    /// `down` times `x`, Q11.
    fn inner(&self, x: &[u16]) -> [u16; MAX_RANK] {
        let mut inner = [0; MAX_RANK];
        for (to, codes) in inner.iter_mut().zip(self.down.chunks_exact(x.len().max(1))) {
            *to = narrow(rounded(sum(codes, x), self.down_shift));
        }
        inner
    }
}

/// What an adapter does to the rows of one layer.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    gain: Option<Gain<'a>>,
    /// The layer's first row among all.
    first: usize,
    low: Option<(Low<'a>, [u16; MAX_RANK])>,
}

impl Change<'_> {
    /// Row `row`, which gave `y`, Q11.
    pub fn row(&self, row: usize, y: i32) -> i32 {
        let mut sum_of_all = i64::from(y);
        if let Some(gain) = &self.gain {
            let code = |codes: &[u8]| i64::from(codes[self.first + row] as i8);
            let shift = gain.factor_shift;
            sum_of_all += (i64::from(y) * code(gain.factors) + (1 << (shift - 1))) >> shift;
            sum_of_all += code(gain.biases) << gain.bias_shift;
        }
        if let Some((low, inner)) = &self.low {
            let up = &low.up[row * low.rank..][..low.rank];
            sum_of_all += i64::from(rounded(sum(up, inner), low.up_shift));
        }
        sum_of_all.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
    }
}

impl<'a> Adapter<'a> {
    /// Opens an adapter of a base model, both whole, stored GMCF version 2 files, and gives the identity of the two.
    /// Identities are what the headers promise.
    ///
    /// # Errors
    /// Those of [`Base::open`] and [`Adapter::parse`]; [`Error::Corrupt`] when the adapter is no stored file.
    pub fn open(base: &'a [u8], file: &'a [u8]) -> Result<(Base<'a>, Self, BaseId), Error> {
        let (model, id) = Base::open(base)?;
        let (header, len) = Header::parse(file)?;
        let content = &file[len..];
        if header.mode != Mode::Stored || header.old.is_some() || content.len() as u64 != u64::from(header.new_len) {
            return Err(Error::Corrupt { field: "adapter" });
        }
        let adapter = Self::parse(content, model.shape(), id)?;
        Ok((model, adapter, identity(&Header::parse(base)?.0.digest, &header.digest)))
    }

    /// Reads an adapter's content; `base` is the model that it shall belong to.
    ///
    /// # Errors
    /// [`Error::Unknown`] of `adapter.base_id` when it belongs to another; [`Error::BadMagic`], [`Error::Truncated`],
    /// [`Error::OutOfRange`]; [`Error::Corrupt`] when something stands behind the last section.
    pub fn parse(content: &'a [u8], shape: &Shape, base: BaseId) -> Result<Self, Error> {
        let (found, mut from) = cut_base(content)?;
        if found != base {
            return Err(Error::Unknown { field: "adapter.base_id", found: found.number() });
        }
        let flags = from.within("adapter.flags", MIX | GAIN | LOW_LAYER | LOW_HEAD)? as u8;
        let has = |flag| flags & flag != 0;
        let (hidden, head) = (shape.hidden, shape.layers + 1);
        let mix = |from: &mut Cut<'a>| {
            let shift = from.within("mix.shift", MAX_UP)?;
            Ok(Mix { shift, codes: from.take("mix", WEIGHTS)? })
        };
        let adapter = Self {
            hidden,
            head,
            mix: has(MIX).then(|| mix(&mut from)).transpose()?,
            gain: has(GAIN).then(|| Gain::cut(&mut from, rows(shape))).transpose()?,
            low_layer: has(LOW_LAYER).then(|| Low::cut(&mut from, hidden, shape.inputs())).transpose()?,
            low_head: has(LOW_HEAD).then(|| Low::cut(&mut from, NODES, hidden)).transpose()?,
        };
        if !from.rest().is_empty() {
            return Err(Error::Corrupt { field: "adapter" });
        }
        Ok(adapter)
    }

    fn mix(&self, weights: &mut [u16]) {
        if let Some(mix) = &self.mix {
            for (weight, code) in weights.iter_mut().zip(mix.codes) {
                *weight = (*weight as i16).saturating_add(i16::from(*code as i8) << mix.shift) as u16;
            }
        }
    }

    fn layer(&self, layer: usize, x: &[u16]) -> Option<Change<'_>> {
        let low = match layer {
            0 => self.low_layer,
            _ if layer == self.head => self.low_head,
            _ => None,
        };
        if self.gain.is_none() && low.is_none() {
            return None;
        }
        let low = low.map(|low| (low, low.inner(x)));
        Some(Change { gain: self.gain, first: layer * self.hidden, low })
    }
}

/// Rows of all layers, the head's included.
pub const fn rows(shape: &Shape) -> usize {
    (shape.layers + 1) * shape.hidden + NODES
}

/// The base model that an adapter's content names.
///
/// # Errors
/// [`Error::Truncated`]; [`Error::BadMagic`] when it is no adapter.
pub fn base_of(content: &[u8]) -> Result<BaseId, Error> {
    Ok(cut_base(content)?.0)
}

fn cut_base(content: &[u8]) -> Result<(BaseId, Cut<'_>), Error> {
    let mut from = Cut::new(content);
    let magic = from.array("magic")?;
    if magic != MAGIC {
        return Err(Error::BadMagic { found: magic, seen: 4 });
    }
    Ok((BaseId(from.array("adapter.base_id")?), from))
}

/// Identity by which containers name a base model together with an adapter.
pub fn identity(base: &Id, adapter: &Id) -> BaseId {
    let mut hasher = Hasher::new();
    hasher.update(&base.0);
    hasher.update(&adapter.0);
    hasher.finish().base()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIDDEN: usize = 4;

    fn gain(factor: u8, bias: u8, factor_shift: u32) -> Change<'static> {
        let (factors, biases) = ([factor; HIDDEN], [bias; HIDDEN]);
        let leak = |codes: [u8; HIDDEN]| -> &'static [u8] { std::vec::Vec::from(codes).leak() };
        let gain = Gain { factors: leak(factors), biases: leak(biases), factor_shift, bias_shift: 8 };
        Change { gain: Some(gain), first: 0, low: None }
    }

    /// The largest numbers of either sign saturate; halves round up.
    #[test]
    fn rows_saturate_and_round() {
        assert_eq!(gain(0x7f, 0x7f, 1).row(3, i32::MAX), i32::MAX);
        assert_eq!(gain(0x7f, 0x80, 1).row(3, i32::MIN), i32::MIN);
        assert_eq!(gain(0x80, 0x80, 1).row(0, i32::MAX), i32::MIN);
        assert_eq!([1, 2, 3, -1, -2, -3].map(|y| gain(1, 0, 2).row(0, y)), [1, 3, 4, -1, -2, -4]);
        assert_eq!(gain(0, 0xff, 7).row(2, 1000), 1000 - 256);
    }

    #[test]
    fn low_ranks_are_products_of_two_matrices() {
        // Rank 2 over 3 inputs, 4 rows.
        let down = [1, 2, 3, 0xff, 0, 4];
        let up = [1, 0, 0, 1, 2, 0xfe, 0x80, 0x7f];
        let low = Low { rank: 2, down: &down, up: &up, down_shift: 1, up_shift: 2 };
        let x = [10, 20, 30u16];
        let inner = low.inner(&x);
        assert_eq!(inner[..3], [70, 55, 0]);
        let change = Change { gain: None, first: 0, low: Some((low, inner)) };
        // 70/4 = 17.5, 55/4 = 13.75, (140 - 110)/4 = 7.5, (-8960 + 6985)/4 = -493.75
        assert_eq!([0, 1, 2, 3].map(|row| change.row(row, 100)), [118, 114, 108, -394]);
    }

    #[test]
    fn extremes_of_low_ranks_stay_inside() {
        let (down, up) = ([0x80; MAX_RANK * MAX_INPUTS], [0x80; MAX_RANK]);
        for down_shift in [1, MAX_DOWN.into()] {
            let low = Low { rank: MAX_RANK, down: &down, up: &up, down_shift, up_shift: MAX_DOWN.into() };
            for x in [i16::MIN, i16::MAX] {
                let inner = low.inner(&[x.cast_unsigned(); MAX_INPUTS]);
                assert!(inner.iter().all(|x| *x == inner[0]) && inner[0] != 0);
                Change { gain: None, first: 0, low: Some((low, inner)) }.row(0, i32::MAX);
            }
        }
    }
}
