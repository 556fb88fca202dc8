//! Position memories without training: a projection that nobody learned holds a file just as well.

use crate::data::noise;

/// A random output projection, `[256, dim]`.
pub fn projection(dim: u32, seed: u64) -> Vec<i8> {
    noise(256 * dim as usize, seed).into_iter().map(u8::cast_signed).collect()
}

/// Codes by which `out` reads `content`: each row is that of its byte, in fewer bits.
pub fn memorise(content: &[u8], out: &[i8], dim: u32, bits: u32) -> Vec<i8> {
    let row = |byte: &u8| &out[usize::from(*byte) * dim as usize..][..dim as usize];
    content.iter().flat_map(row).map(|code| code >> (8 - bits)).collect()
}

/// Codes of one bit by which the natural code reads `content`: 8 for each byte.
pub fn natural(content: &[u8]) -> Vec<i8> {
    content.iter().flat_map(|byte| (0..8).map(move |k| (byte >> k & 1).cast_signed() - 1)).collect()
}
