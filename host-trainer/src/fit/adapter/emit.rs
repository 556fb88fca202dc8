//! From an adapter in floats to its bytes: codes that are worth what they cost.

use super::learn::{Fitted, Layer};
use codec_core::container::digest::BaseId;
use codec_core::neural::adapter::{GAIN, LOW_HEAD, LOW_LAYER, MAGIC, MAX_DOWN, MIX, rows};

/// How coarse an adapter becomes.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    /// Factors are in units of `2^-factor_shift`.
    factor_shift: u8,
    /// Biases are in units of `2^bias_shift` in Q11.
    bias_shift: u8,
    /// Largest code of the low ranks.
    largest: f32,
    /// Bits that a number must save to be sent.
    price: f32,
}

/// Levels that are tried, finest first.
pub const LEVELS: [Level; 3] = [
    Level { factor_shift: 6, bias_shift: 7, largest: 31.0, price: 3.0 },
    Level { factor_shift: 5, bias_shift: 8, largest: 15.0, price: 8.0 },
    Level { factor_shift: 4, bias_shift: 8, largest: 7.0, price: 20.0 },
];

/// Shifts of the differences of the last stage's weights that are tried.
pub const MIX_SHIFTS: [u8; 3] = [6, 7, 8];

/// The sections that change the network.
#[derive(Clone, Debug, Default)]
pub struct Network {
    flags: u8,
    bytes: Vec<u8>,
}

/// The content of an adapter.
pub fn content(base: BaseId, mix: Option<&[u8]>, network: &Network) -> Vec<u8> {
    let mut content = [&MAGIC[..], &base.0].concat();
    content.push(network.flags | if mix.is_some() { MIX } else { 0 });
    content.extend_from_slice(mix.unwrap_or(&[]));
    content.extend_from_slice(&network.bytes);
    content
}

/// The section `mix`: what leads from the weights `from` to the weights `to`, in units of `2^shift`.
pub fn mix(from: &[i16], to: &[i16], shift: u8) -> Vec<u8> {
    let unit = f32::from(1u16 << shift);
    let code = |(from, to): (&i16, &i16)| {
        // What is closer to nothing than to one unit and a bit is not sent.
        let value = (f32::from(*to) - f32::from(*from)) / unit;
        if value.abs() < 0.65 { 0 } else { value.round().clamp(-128.0, 127.0) as i8 as u8 }
    };
    [shift].into_iter().chain(from.iter().zip(to).map(code)).collect()
}

/// Bits saved by a change of parameters by `change`, when `gradient` is that at their start, in nats, and zero at the end.
fn saved(gradient: f32, change: f32) -> f32 {
    -0.5 * gradient * change * std::f32::consts::LOG2_E
}

/// The sections of `fitted`; `gradient` is that of the network as it was, in nats over the whole family.
pub fn network(fitted: &Fitted<'_>, gradient: &[f32], level: &Level) -> Network {
    let mut network = Network::default();
    if fitted.spec.gain {
        network.flags |= GAIN;
        network.bytes.extend([level.factor_shift, level.bias_shift]);
        gains(fitted, gradient, level, &mut network.bytes);
    }
    for (layer, flag) in [(fitted.layers.first(), LOW_LAYER), (fitted.layers.last(), LOW_HEAD)] {
        if let Some(layer) = layer
            && let Some(bytes) = low(fitted, layer, gradient, level)
        {
            network.flags |= flag;
            network.bytes.extend(bytes);
        }
    }
    network
}

fn gains(fitted: &Fitted<'_>, gradient: &[f32], level: &Level, out: &mut Vec<u8>) {
    let all = rows(&fitted.net.shape);
    let (mut factors, mut biases) = (vec![0u8; all], vec![0u8; all]);
    let code = |value: f32, unit: f32, slope: f32| {
        let code = (value / unit).round().clamp(-128.0, 127.0);
        if saved(slope, code * unit) < level.price { 0 } else { code as i8 as u8 }
    };
    let unit = (f32::from(level.factor_shift)).exp2().recip();
    let bias_unit = (f32::from(level.bias_shift) - 11.0).exp2();
    for layer in &fitted.layers {
        for row in 0..layer.rows {
            let at = layer.weights.start + row * layer.columns;
            let weights = gradient[at..at + layer.columns].iter().zip(&fitted.original[at..]);
            let of_bias = gradient[layer.bias.start + row];
            let slope = weights.map(|(d, w)| d * w).sum::<f32>() + of_bias * fitted.original[layer.bias.start + row];
            let i = layer.first + row;
            factors[i] = code(fitted.data[i], unit, slope);
            biases[i] = code(fitted.data[all + i], bias_unit, of_bias);
        }
    }
    out.extend(factors);
    out.extend(biases);
}

/// The low rank of one layer; `None` where no row is worth it.
fn low(fitted: &Fitted<'_>, layer: &Layer, gradient: &[f32], level: &Level) -> Option<Vec<u8>> {
    let ((down, up), rank) = (layer.low.as_ref()?, fitted.spec.rank);
    let (mut down, mut up) = (fitted.data[down.clone()].to_vec(), fitted.data[up.clone()].to_vec());
    let mut added = vec![0.0; layer.columns];
    let mut kept = 0;
    for row in 0..layer.rows {
        fitted.added(layer, row, &mut added);
        let at = layer.weights.start + row * layer.columns;
        let saved: f32 = gradient[at..].iter().zip(&added).map(|(d, a)| saved(*d, *a)).sum();
        if saved < level.price * rank as f32 {
            up[row * rank..][..rank].fill(0.0);
        } else {
            kept += 1;
        }
    }
    if kept == 0 {
        return None;
    }
    // The scale of each inner number is free: `down` fills its codes, `up` takes the rest.
    for (k, down) in down.chunks_exact_mut(layer.columns).enumerate() {
        let largest = down.iter().fold(1e-6f32, |max, v| max.max(v.abs()));
        down.iter_mut().for_each(|v| *v /= largest);
        up.iter_mut().skip(k).step_by(rank).for_each(|v| *v *= largest);
    }
    let down_shift = level.largest.log2().ceil();
    let largest = up.iter().fold(1e-6f32, |max, v| max.max(v.abs()));
    let up_shift = (level.largest / largest).log2().round().clamp(1.0, MAX_DOWN.into());
    let mut bytes = vec![rank as u8, down_shift as u8, up_shift as u8];
    bytes.extend(down.iter().map(|v| (v * level.largest).round() as i8 as u8));
    let scale = up_shift.exp2() * down_shift.exp2() / level.largest;
    bytes.extend(up.iter().map(|v| (v * scale).round().clamp(-128.0, 127.0) as i8 as u8));
    Some(bytes)
}
