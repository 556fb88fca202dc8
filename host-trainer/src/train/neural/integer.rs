//! What the network in integers makes of files, without the contexts and the last stage.

use super::run::spread;
use codec_core::mix::squash;
use codec_core::neural::base::Base;
use codec_core::neural::coder::Neural;

/// Bytes that the network in integers alone would take.
pub fn cost(base: Base<'_>, bytes: &[u8]) -> f64 {
    let mut neural = Neural::new(base);
    let mut memory = vec![0; neural.words()];
    neural.start(&mut memory);
    neural.enter(&mut memory, 0, 0);
    let mut bits = 0.0;
    for (at, byte) in bytes.iter().enumerate() {
        neural.think(&mut memory, at as u32);
        let mut node = 1;
        for k in (0..8).rev() {
            let p = f64::from(squash(neural.logit(&memory, node))) / 65536.0;
            let bit = u32::from(*byte) >> k & 1;
            bits -= if bit == 1 { p } else { 1.0 - p }.log2();
            node = node << 1 | bit;
        }
        neural.push(&mut memory, *byte);
    }
    bits / 8.0
}

/// Bytes that it would take for every file.
pub fn measure(base: Base<'_>, files: &[Vec<u8>], threads: usize) -> Vec<f64> {
    spread(files, threads, |file, _: &mut ()| cost(base, file))
}
