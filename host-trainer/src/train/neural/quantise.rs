//! From floats to the integers of a base model: the one door.

use super::net::Net;
use codec_core::container::digest::Id;
use codec_core::container::v2::{Header, Mode};
use codec_core::limits::Profile;
use codec_core::neural::base::{CODES, MAGIC};
use codec_core::neural::coder::{GATES, INPUTS, WEIGHTS};
use codec_core::neural::context::GRAMS;

/// One in Q11.
const ONE: f32 = 2048.0;

/// Weights of the last stage before it is trained, Q13: the network leads, the contexts correct it.
pub fn untrained_mix() -> Vec<i16> {
    let mut weights = vec![0i16; WEIGHTS];
    for gate in weights.chunks_exact_mut(INPUTS).take(GATES) {
        gate.fill(600);
        (gate[0], gate[1], gate[2], gate[3]) = (6000, 0, 2000, 0);
    }
    weights
}

fn put(out: &mut Vec<u8>, number: i32) {
    let number = number.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
    out.extend_from_slice(&number.to_le_bytes());
}

/// Codes of 8 bits, each times a power of two in Q11: the smallest that holds all values but the outermost.
fn embedding(out: &mut Vec<u8>, values: &[f32]) {
    let error = |shift: u32| -> f32 {
        let step = (1 << shift) as f32 / ONE;
        values.iter().map(|v| (v - (v / step).round().clamp(-128.0, 127.0) * step).powi(2)).sum()
    };
    let shift = (0..=8).min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap_or(0);
    out.push(shift as u8);
    let step = (1 << shift) as f32 / ONE;
    out.extend(values.iter().map(|v| (v / step).round().clamp(-128.0, 127.0) as i8 as u8));
}

/// The codebook of one table: Lloyd's algorithm from the quantiles on. Ascending, Q11.
fn codebook(values: &[f32]) -> [i16; CODES] {
    if values.is_empty() {
        return [0; CODES];
    }
    let mut sorted: Vec<f32> = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let mut book: [f32; CODES] = std::array::from_fn(|i| sorted[(2 * i + 1) * sorted.len() / (2 * CODES)]);
    for _ in 0..40 {
        let mut at = 0;
        for i in 0..CODES {
            let limit = book.get(i + 1).map_or(f32::INFINITY, |next| (book[i] + next) / 2.0);
            let end = at + sorted[at..].partition_point(|v| *v < limit);
            if end > at {
                book[i] = sorted[at..end].iter().sum::<f32>() / (end - at) as f32;
            }
            at = end;
        }
    }
    book.map(|v| (v * ONE).round().clamp(f32::from(i16::MIN), f32::from(i16::MAX)) as i16)
}

fn nearest(book: &[i16; CODES], value: f32) -> u8 {
    let distance = |code: &usize| (f32::from(book[*code]) - value * ONE).abs();
    (0..CODES).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0) as u8
}

/// A matrix `[rows, columns]` whose input is in units of `2^-unit`, and its bias.
fn linear(out: &mut Vec<u8>, weights: &[f32], bias: &[f32], unit: u32) {
    let columns = weights.len() / bias.len();
    let scale = |row: &[f32]| row.iter().fold(1e-6f32, |max, w| max.max(w.abs())) / 127.0;
    let scales: Vec<f32> = weights.chunks_exact(columns).map(scale).collect();
    // What a product is to be multiplied by to be in Q11.
    let unit = ONE / (unit as f32).exp2();
    let largest = scales.iter().fold(0.0f32, |max, s| max.max(s * unit));
    let shift = ((65535.0 / largest).log2().floor() as i32).clamp(1, 40);
    out.push(shift as u8);
    for scale in &scales {
        let factor = (scale * unit * (shift as f32).exp2()).round().clamp(0.0, 65535.0) as u16;
        out.extend_from_slice(&factor.to_le_bytes());
    }
    bias.iter().for_each(|b| put(out, (b * ONE).round() as i32));
    for (row, scale) in weights.chunks_exact(columns).zip(&scales) {
        out.extend(row.iter().map(|w| (w / scale).round().clamp(-127.0, 127.0) as i8 as u8));
    }
}

/// The layers of trained parameters, all but the last stage's weights, which come behind them.
pub fn layers(net: &Net, parameters: &[f32]) -> Vec<u8> {
    let shape = &net.shape;
    let mut model = MAGIC.to_vec();
    model.extend([shape.gram_log2 as u8, (shape.gram_dim / 2) as u8, (shape.hidden / 4) as u8, shape.layers as u8]);
    model.extend([(shape.state / 4) as u8, shape.state_dim as u8]);
    let e = &shape.evoformer;
    model.push(e.blocks as u8);
    if e.blocks > 0 {
        model.extend([(e.channels / 4) as u8, e.heads as u8, e.window_log2 as u8, (e.pair / 2) as u8]);
        model.extend([e.outer as u8, (e.transition / 4) as u8]);
    }
    model.extend([shape.ring_log2 as u8, shape.index_log2 as u8]);
    let part = |name: &str| {
        let tensor = net.tensors.iter().find(|t| t.name == name).expect("every network has this tensor");
        &parameters[tensor.at.clone()]
    };
    let grams = part("embed.gram");
    let tables: Vec<&[f32]> =
        (0..GRAMS).map(|i| &grams[i * grams.len() / GRAMS..(i + 1) * grams.len() / GRAMS]).collect();
    let books: Vec<[i16; CODES]> = tables.iter().map(|table| codebook(table)).collect();
    books.iter().flatten().for_each(|value| put(&mut model, i32::from(*value)));
    for (table, book) in tables.iter().zip(&books) {
        model.extend(table.chunks_exact(2).map(|two| nearest(book, two[0]) | nearest(book, two[1]) << 4));
    }
    for name in ["embed.byte.0", "embed.byte.1", "embed.byte.2", "embed.byte.3"] {
        embedding(&mut model, part(name));
    }
    for name in ["embed.lane", "embed.row.byte", "embed.row.agree"] {
        embedding(&mut model, part(name));
    }
    if shape.state > 0 {
        embedding(&mut model, part("gru.embed"));
        linear(&mut model, part("gru.input"), part("gru.bias"), 11);
        let mut inner = vec![0.0; 2 * shape.state];
        inner.extend_from_slice(part("gru.inner"));
        linear(&mut model, part("gru.state"), &inner, 15);
    }
    let aligned = net.tensors.iter().filter(|tensor| tensor.name.starts_with("evoformer"));
    for tensor in aligned {
        match tensor.name.strip_suffix(".weight") {
            Some(name) => linear(&mut model, part(&tensor.name), part(&format!("{name}.bias")), 11),
            None if tensor.name.ends_with(".bias") => {}
            None => embedding(&mut model, part(&tensor.name)),
        }
    }
    for i in 0..=shape.layers {
        linear(&mut model, part(&format!("layer.{i}.weight")), part(&format!("layer.{i}.bias")), 11);
    }
    linear(&mut model, part("head.weight"), part("head.bias"), 11);
    model
}

/// The base model of layers and the last stage's weights: a GMCF file that holds it as it is.
///
/// # Errors
/// [`codec_core::Error::OutOfRange`] when it is too long for a container; never for a shape that can be parsed.
pub fn seal(layers: &[u8], mix: &[i16]) -> Result<Vec<u8>, codec_core::Error> {
    let mut model = layers.to_vec();
    mix.iter().for_each(|number| model.extend_from_slice(&number.to_le_bytes()));
    let (digest, len) = (Id::of(&model), model.len() as u32);
    let header = Header {
        profile: Profile::Tiny,
        mode: Mode::Stored,
        new_len: len,
        old: None,
        base: None,
        payload_len: len,
        digest,
    };
    Ok([&header.emit()?[..], &model].concat())
}
