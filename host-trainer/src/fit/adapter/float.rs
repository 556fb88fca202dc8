//! From the integers of a base model back to floats: where the fitting starts.

use crate::train::neural::net::Net;
use codec_core::neural::base::CODES;
use codec_core::neural::coder::WEIGHTS;
use codec_core::neural::context::GRAMS;

/// One in Q11.
const ONE: f32 = 2048.0;

/// Reads a model that has been parsed: it has what its sizes promise.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    fn numbers(&mut self, len: usize) -> Vec<i16> {
        self.take(2 * len).chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect()
    }

    /// Weights `[rows, columns]` whose input is in units of `2^-unit`, and the bias.
    fn linear(&mut self, weights: &mut [f32], rows: usize, unit: i32) -> Vec<f32> {
        let shift = i32::from(self.take(1)[0].max(1));
        let factors = self.numbers(rows);
        let bias = self.numbers(rows).iter().map(|b| f32::from(*b) / ONE).collect();
        let columns = weights.len() / rows.max(1);
        for (row, factor) in weights.chunks_exact_mut(columns.max(1)).zip(factors) {
            let scale = f32::from(factor.cast_unsigned()) * ((unit - 11 - shift) as f32).exp2();
            let codes = self.take(columns);
            row.iter_mut().zip(codes).for_each(|(w, code)| *w = f32::from(*code as i8) * scale);
        }
        bias
    }
}

/// The parameters of the network that `model`, the content of a base model's file, holds, and the weights of its last
/// stage.
pub fn parameters(net: &Net, model: &[u8]) -> (Vec<f32>, Vec<i16>) {
    let shape = &net.shape;
    let sizes = if shape.evoformer.blocks > 0 { 19 } else { 13 };
    let mut from = Reader(&model[sizes..]);
    let mut data = vec![0.0; net.len()];
    let at = |name: &str| {
        let tensor = net.tensors.iter().find(|t| t.name == name).expect("every network has this tensor");
        (tensor.at.clone(), tensor.dims)
    };
    for tensor in &net.tensors {
        let to = tensor.at.clone();
        match tensor.name.as_str() {
            "embed.gram" => {
                let books = from.numbers(GRAMS * CODES);
                let table = to.len() / GRAMS;
                for (i, to) in data[to].chunks_exact_mut(table.max(1)).enumerate() {
                    let value = |code: u8| f32::from(books[i * CODES + usize::from(code)]) / ONE;
                    for (two, codes) in to.chunks_exact_mut(2).zip(from.take(table / 2)) {
                        (two[0], two[1]) = (value(codes & 15), value(codes >> 4));
                    }
                }
            }
            "gru.input" => {
                let bias = from.linear(&mut data[to], tensor.dims.0, 11);
                data[at("gru.bias").0].copy_from_slice(&bias);
            }
            "gru.state" => {
                let bias = from.linear(&mut data[to], tensor.dims.0, 15);
                data[at("gru.inner").0].copy_from_slice(&bias[2 * shape.state..]);
            }
            "gru.bias" | "gru.inner" => {}
            name if name.ends_with(".bias") => {}
            name => match name.strip_suffix(".weight") {
                Some(name) => {
                    let bias = from.linear(&mut data[to], tensor.dims.0, 11);
                    data[at(&format!("{name}.bias")).0].copy_from_slice(&bias);
                }
                None => {
                    let step = f32::from(1u16 << from.take(1)[0].min(8)) / ONE;
                    let codes = from.take(to.len());
                    data[to].iter_mut().zip(codes).for_each(|(v, code)| *v = f32::from(*code as i8) * step);
                }
            },
        }
    }
    (data, from.numbers(WEIGHTS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SHIPPED;
    use crate::train::neural::{SIZES, quantise};
    use codec_core::container::v2::Header;
    use codec_core::neural::base::Base;

    /// The floats of a shipped model are those of its integers: a network is the same either way.
    #[test]
    fn a_shipped_model_in_floats_is_the_same_network() {
        use crate::train::neural::data::Example;
        use crate::train::neural::{integer, run};
        let text = b"{\n  \"name\": \"pump-7\",\n  \"version\": \"1.4.2\"\n}\n".to_vec();
        for shipped in &SHIPPED {
            let (base, _) = Base::open(shipped.file).unwrap();
            let net = Net::new(*base.shape());
            let (data, mix) = parameters(&net, &shipped.file[Header::parse(shipped.file).unwrap().1..]);
            assert!(mix.len() == WEIGHTS && mix.iter().any(|w| *w != 0));
            let float: f64 = run::measure(&net, &data, &[Example::new(text.clone(), &net.shape)], 1).iter().sum();
            let exact = integer::cost(base, &text);
            assert!((float - exact).abs() < 0.02 * exact, "{}: {float} {exact}", shipped.name);
        }
    }

    /// Of every shape that can be trained, layers are read where they stand.
    #[test]
    fn every_shape_is_read_whole() {
        for (name, shape, _) in SIZES.into_iter().take(5) {
            let net = Net::new(shape);
            let before = net.init(3);
            let file = quantise::seal(&quantise::layers(&net, &before), &quantise::untrained_mix()).unwrap();
            let (after, mix) = parameters(&net, &file[Header::parse(&file).unwrap().1..]);
            assert_eq!(mix, quantise::untrained_mix(), "{name}");
            for tensor in &net.tensors {
                let (before, after) = (&before[tensor.at.clone()], &after[tensor.at.clone()]);
                let error: f32 = before.iter().zip(after).map(|(a, b)| (a - b).powi(2)).sum();
                let all: f32 = before.iter().map(|a| a.powi(2)).sum();
                assert!(error <= 0.03 * all, "{name} {}: {error} of {all}", tensor.name);
            }
        }
    }
}
