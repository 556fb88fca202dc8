//! GMCF version 1: the fixed layout. FORMAT.md, section 2, is normative.
//!
//! [`View`] and [`LayerView`] borrow the bytes of a container; [`Repr`] and [`LayerRepr`] are the values that [`Repr::emit`]
//! writes. [`View::new_checked`] looks at every length in the file, so the accessors of a view that it returned
//! never panic, whatever the bytes are. Payloads stay compressed here.
//!
//! ```
//! use codec_core::container::{digest::sha512, v1};
//!
//! let layers = [v1::LayerRepr {
//!     name: "w",
//!     shape: &[2],
//!     tau: 0,
//!     gamma: 0.5f32.to_bits(),
//!     dominant_scale: 8,
//!     compressed: b"a zstd frame",
//! }];
//! let hash = sha512(b"the content");
//! let container = v1::Repr { is_delta: false, original_hash: &hash, crt_residues: &[], layers: &layers };
//! let mut buffer = [0; 256];
//! let len = container.emit(&mut buffer)?;
//!
//! let view = v1::View::new_checked(&buffer[..len])?;
//! assert_eq!(view.layer("w").unwrap().compressed(), b"a zstd frame");
//! # Ok::<(), codec_core::Error>(())
//! ```

use core::ops::Range;

use crate::Error;
use crate::container::digest::SHA512_LEN;
use crate::container::packed::packed_len;
use crate::container::residue;

/// The first bytes of a file.
pub const MAGIC: [u8; 4] = *b"GMCF";
/// The version that this module reads and writes.
pub const VERSION: u32 = 1;
/// Bytes of the header before its residues.
pub const HEADER_LEN: usize = field::CRT_RESIDUES;
/// Bytes of a layer beside its name, its dimensions and its payload.
pub const LAYER_FIXED_LEN: usize = 6 * U32;
/// Most layers of a container.
pub const MAX_LAYERS: u32 = 4096;
/// Most residues of a container.
pub const MAX_RESIDUES: u32 = residue::MAX_RESIDUES as u32;
/// Most bytes of a layer's name.
pub const MAX_NAME_LEN: u32 = 255;
/// Most dimensions of a layer.
pub const MAX_DIMS: u32 = 8;
/// Most codes of a layer: its dimensions multiplied.
pub const MAX_CODES: u64 = u32::MAX as u64;

const U32: usize = size_of::<u32>();
const U64: usize = size_of::<u64>();

/// Where the header's fields stand.
mod field {
    use super::SHA512_LEN;
    use core::ops::Range;

    pub const MAGIC: Range<usize> = 0..4;
    pub const VERSION: Range<usize> = 4..8;
    pub const N_LAYERS: Range<usize> = 8..12;
    pub const IS_DELTA: Range<usize> = 12..13;
    pub const ORIGINAL_HASH: Range<usize> = 13..13 + SHA512_LEN;
    pub const N_CRT: Range<usize> = ORIGINAL_HASH.end..ORIGINAL_HASH.end + 4;
    pub const CRT_RESIDUES: usize = N_CRT.end;
}
const _: () = assert!(HEADER_LEN == 81);

/// The bytes of a version 1 container whose lengths have all been checked.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    n_layers: u32,
    is_delta: bool,
    original_hash: &'a [u8; SHA512_LEN],
    /// `n_crt` little-endian words.
    residues: &'a [[u8; U64]],
    /// Exactly the layers that the header announces, each checked.
    layers: &'a [u8],
}

impl<'a> View<'a> {
    /// Checks the header and walks through all layers.
    ///
    /// # Errors
    /// - [`Error::BadMagic`], [`Error::UnknownVersion`];
    /// - [`Error::Truncated`] when the file ends inside a field, also when a length says more than there is;
    /// - [`Error::OutOfRange`] for `is_delta` above 1, for `n_layers`, `n_crt`, `name_len` or `n_dims` above their
    ///   limits, and for bytes after the last layer (`trailing_bytes`);
    /// - [`Error::Corrupt`] for a `name` that is not UTF-8.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Error> {
        let magic = *part(bytes, field::MAGIC, "magic")?;
        if magic != MAGIC {
            return Err(Error::BadMagic { found: magic, seen: magic.len() as u8 });
        }
        let version = u32::from_le_bytes(*part(bytes, field::VERSION, "version")?);
        if version != VERSION {
            return Err(Error::UnknownVersion { found: version });
        }
        let n_layers = u32::from_le_bytes(*part(bytes, field::N_LAYERS, "n_layers")?);
        limit("n_layers", n_layers.into(), MAX_LAYERS)?;
        let [is_delta] = *part(bytes, field::IS_DELTA, "is_delta")?;
        limit("is_delta", is_delta.into(), 1)?;
        let original_hash = part(bytes, field::ORIGINAL_HASH, "original_hash")?;
        let n_crt = u32::from_le_bytes(*part(bytes, field::N_CRT, "n_crt")?);
        limit("n_crt", n_crt.into(), MAX_RESIDUES)?;

        let mut reader = Reader(&bytes[HEADER_LEN..]); // where N_CRT ends
        let residues = reader.take("crt_residues", n_crt as usize * U64)?.as_chunks().0;
        let layers = reader.0;
        for _ in 0..n_layers {
            LayerView::read(&mut reader)?;
        }
        limit("trailing_bytes", reader.0.len() as u64, 0)?;
        Ok(Self { n_layers, is_delta: is_delta == 1, original_hash, residues, layers })
    }

    /// Number of layers, at most [`MAX_LAYERS`].
    pub fn n_layers(&self) -> u32 {
        self.n_layers
    }

    /// Whether an old content is needed: the layers hold differences against it.
    pub fn is_delta(&self) -> bool {
        self.is_delta
    }

    /// SHA-512 of the rebuilt content.
    pub fn original_hash(&self) -> &'a [u8; SHA512_LEN] {
        self.original_hash
    }

    /// The residues as they stand in the file, at most [`MAX_RESIDUES`]. Whether each is below its prime is checked
    /// where they are compared.
    pub fn crt_residues(&self) -> impl ExactSizeIterator<Item = u64> + Clone + use<'a> {
        self.residues.iter().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// The layers in file order.
    pub fn layers(&self) -> Layers<'a> {
        Layers { reader: Reader(self.layers), left: self.n_layers }
    }

    /// The first layer of this name.
    pub fn layer(&self, name: &str) -> Option<LayerView<'a>> {
        self.layers().find(|layer| layer.name() == name)
    }
}

/// Iterator over the layers of a [`View`].
#[derive(Clone, Debug)]
pub struct Layers<'a> {
    reader: Reader<'a>,
    left: u32,
}

impl<'a> Iterator for Layers<'a> {
    type Item = LayerView<'a>;

    fn next(&mut self) -> Option<LayerView<'a>> {
        self.left = self.left.checked_sub(1)?;
        LayerView::read(&mut self.reader).ok() // the view has read them all before
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Layers<'_> {}

/// One layer, its payload still compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerView<'a> {
    name: &'a str,
    shape: &'a [[u8; U32]],
    tau: u32,
    gamma: u32,
    dominant_scale: u32,
    compressed: &'a [u8],
}

impl<'a> LayerView<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let name_len = reader.count("name_len", MAX_NAME_LEN)?;
        let name = reader.take("name", name_len as usize)?;
        let name = str::from_utf8(name).map_err(|_| Error::Corrupt { field: "name" })?;
        let n_dims = reader.count("n_dims", MAX_DIMS)?;
        let shape = reader.take("shape", n_dims as usize * U32)?.as_chunks().0;
        let tau = reader.u32("tau")?;
        let gamma = reader.u32("gamma")?;
        let dominant_scale = reader.u32("dominant_scale")?;
        let compressed_len = reader.u32("compressed_len")?;
        let compressed = reader.take("compressed_data", compressed_len as usize)?;
        Ok(Self { name, shape, tau, gamma, dominant_scale, compressed })
    }

    /// Its name, at most [`MAX_NAME_LEN`] bytes.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Its dimensions, outermost first, at most [`MAX_DIMS`]. None: a scalar.
    pub fn shape(&self) -> impl ExactSizeIterator<Item = u32> + Clone + use<'a> {
        self.shape.iter().map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// Raw `f32` bits of the dead zone below which the fitter dropped a difference.
    pub fn tau(&self) -> u32 {
        self.tau
    }

    /// Raw `f32` bits of the quantisation step (value = gamma x code); zero when the layer keeps floats as they are.
    pub fn gamma(&self) -> u32 {
        self.gamma
    }

    /// Bits per code, as the file says it.
    pub fn dominant_scale(&self) -> u32 {
        self.dominant_scale
    }

    /// The compressed payload.
    pub fn compressed(&self) -> &'a [u8] {
        self.compressed
    }

    /// Number of codes: the dimensions multiplied.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] (`shape`) above [`MAX_CODES`]; `found` is then cut off at `u64::MAX`.
    pub fn n_codes(&self) -> Result<u64, Error> {
        let is_empty = self.shape().any(|dim| dim == 0);
        let found = if is_empty { 0 } else { self.shape().fold(1, |n: u64, dim| n.saturating_mul(dim.into())) };
        if found > MAX_CODES {
            return Err(Error::OutOfRange { field: "shape", found, limit: MAX_CODES });
        }
        Ok(found)
    }

    /// Bytes of the payload when it is decompressed: what a caller must lend.
    ///
    /// # Errors
    /// - [`Error::OutOfRange`] (`shape`) as [`LayerView::n_codes`];
    /// - [`Error::Unknown`] (`dominant_scale`) when it is not 1, 2, 4, 8, 16 or 32.
    pub fn content_len(&self) -> Result<u64, Error> {
        match self.dominant_scale {
            // The limit of `n_codes` is that of 32 bits.
            bits @ (1 | 2 | 4 | 8 | 16 | 32) => Ok(packed_len(self.n_codes()? as u32, bits)),
            found => Err(Error::Unknown { field: "dominant_scale", found: found.into() }),
        }
    }
}

/// The values of a layer, for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerRepr<'a> {
    /// At most [`MAX_NAME_LEN`] bytes.
    pub name: &'a str,
    /// At most [`MAX_DIMS`] dimensions, outermost first.
    pub shape: &'a [u32],
    /// Raw `f32` bits.
    pub tau: u32,
    /// Raw `f32` bits; zero when the layer keeps floats as they are.
    pub gamma: u32,
    /// Bits per code.
    pub dominant_scale: u32,
    /// The compressed payload, at most `u32::MAX` bytes.
    pub compressed: &'a [u8],
}

impl LayerRepr<'_> {
    fn check(&self) -> Result<(), Error> {
        limit("name_len", self.name.len() as u64, MAX_NAME_LEN)?;
        limit("n_dims", self.shape.len() as u64, MAX_DIMS)?;
        limit("compressed_len", self.compressed.len() as u64, u32::MAX)
    }

    fn buffer_len(&self) -> u64 {
        (LAYER_FIXED_LEN + self.name.len() + self.shape.len() * U32) as u64 + self.compressed.len() as u64
    }

    fn emit(&self, writer: &mut Writer<'_>) {
        writer.u32(self.name.len() as u32);
        writer.bytes(self.name.as_bytes());
        writer.u32(self.shape.len() as u32);
        self.shape.iter().for_each(|&dim| writer.u32(dim));
        writer.u32(self.tau);
        writer.u32(self.gamma);
        writer.u32(self.dominant_scale);
        writer.u32(self.compressed.len() as u32);
        writer.bytes(self.compressed);
    }
}

/// The values of a container, for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr<'a> {
    /// Whether the layers hold differences against an old content.
    pub is_delta: bool,
    /// SHA-512 of the rebuilt content.
    pub original_hash: &'a [u8; SHA512_LEN],
    /// At most [`MAX_RESIDUES`].
    pub crt_residues: &'a [u64],
    /// At most [`MAX_LAYERS`].
    pub layers: &'a [LayerRepr<'a>],
}

impl Repr<'_> {
    /// Bytes that [`Repr::emit`] writes.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a length above its limit: `n_layers`, `n_crt`, `name_len`, `n_dims`, `compressed_len`.
    pub fn buffer_len(&self) -> Result<u64, Error> {
        limit("n_layers", self.layers.len() as u64, MAX_LAYERS)?;
        limit("n_crt", self.crt_residues.len() as u64, MAX_RESIDUES)?;
        let header = (HEADER_LEN + self.crt_residues.len() * U64) as u64;
        self.layers.iter().try_fold(header, |len, layer| {
            layer.check()?;
            Ok(len + layer.buffer_len())
        })
    }

    /// Writes the container to the start of `buffer` and returns its length in bytes. Nothing is written on an error.
    ///
    /// # Errors
    /// - as [`Repr::buffer_len`];
    /// - [`Error::BufferTooSmall`] (`container`).
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        let (need, have) = (self.buffer_len()?, buffer.len() as u64);
        if need > have {
            return Err(Error::BufferTooSmall { field: "container", need, have });
        }
        let mut writer = Writer { buffer, at: 0 };
        writer.bytes(&MAGIC);
        writer.u32(VERSION);
        writer.u32(self.layers.len() as u32);
        writer.bytes(&[self.is_delta.into()]);
        writer.bytes(self.original_hash);
        writer.u32(self.crt_residues.len() as u32);
        self.crt_residues.iter().for_each(|residue| writer.bytes(&residue.to_le_bytes()));
        self.layers.iter().for_each(|layer| layer.emit(&mut writer));
        Ok(writer.at)
    }
}

/// What is left of the input. A failed read leaves it unchanged.
#[derive(Clone, Debug)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], Error> {
        let truncated = Error::Truncated { field, need: len as u64, have: self.0.len() as u64 };
        let (taken, rest) = self.0.split_at_checked(len).ok_or(truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, Error> {
        let bytes = part(self.take(field, U32)?, 0..U32, field)?;
        Ok(u32::from_le_bytes(*bytes))
    }

    /// A number of things that must not be above `max`.
    fn count(&mut self, field: &'static str, max: u32) -> Result<u32, Error> {
        let found = self.u32(field)?;
        limit(field, found.into(), max)?;
        Ok(found)
    }
}

/// Writes into a buffer whose length has been checked.
struct Writer<'a> {
    buffer: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.buffer[self.at..][..bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }
}

/// The `N` bytes that stand at `range`.
fn part<'a, const N: usize>(bytes: &'a [u8], range: Range<usize>, field: &'static str) -> Result<&'a [u8; N], Error> {
    let have = bytes.len().saturating_sub(range.start) as u64;
    let part = bytes.get(range).and_then(|part| part.try_into().ok());
    part.ok_or(Error::Truncated { field, need: N as u64, have })
}

fn limit(field: &'static str, found: u64, limit: u32) -> Result<(), Error> {
    if found > u64::from(limit) {
        return Err(Error::OutOfRange { field, found, limit: limit.into() });
    }
    Ok(())
}
