//! Every gradient beside the difference quotient of the cost, and the integers beside the floats.

use super::data::Example;
use super::layers::{self, Gru, GruGradient};
use super::net::{Batch, Net, Scratch};
use super::{integer, quantise, run};
use codec_core::neural::base::Base;
use codec_core::neural::context::Features;
use codec_core::neural::shape::{Evoformer, Shape};

const SHAPE: Shape = Shape {
    gram_log2: 4,
    gram_dim: 2,
    hidden: 12,
    layers: 2,
    state: 8,
    state_dim: 5,
    evoformer: Evoformer::NONE,
    ring_log2: 8,
    index_log2: 6,
};

/// The same with an Evoformer beside the state.
const ALIGNED: Shape = Shape {
    evoformer: Evoformer { blocks: 2, channels: 8, heads: 2, window_log2: 2, pair: 4, outer: 3, transition: 12 },
    ..SHAPE
};

/// Text in which things recur, with digits that nobody can foresee.
fn text(len: usize) -> Vec<u8> {
    let digits = noise(len, 17);
    let recurring = (0..len).map(|i| b"let x = 1;\nlet yz = x + 2;\nlet x = 1;\n"[(i + i / 50) % 38]);
    let digit = |digit: f32| b'0' + ((digit + 1.0) * 5.0) as u8;
    recurring.zip(digits).map(|(byte, noise)| if byte.is_ascii_digit() { digit(noise) } else { byte }).collect()
}

/// Numbers between -1 and 1.
fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as f32 / (u32::MAX / 2) as f32 - 1.0
        })
        .collect()
}

/// Compares a gradient with difference quotients of `cost` at every place of `at`.
fn check(name: &str, at: &[f32], gradient: &[f32], cost: impl Fn(&[f32]) -> f64) {
    let mut moved = at.to_vec();
    for (i, slope) in gradient.iter().enumerate() {
        let mut quotient = |step: f32| {
            moved[i] = at[i] + step;
            let above = cost(&moved);
            moved[i] = at[i] - step;
            let below = cost(&moved);
            moved[i] = at[i];
            (above - below) / f64::from(2.0 * step)
        };
        let fits = |quotient: f64| (quotient - f64::from(*slope)).abs() < 3e-3 + 0.02 * quotient.abs();
        // A long step may cross the bend of a rectifier, a short one drowns in rounding.
        let quotients = [1e-2, 3e-3, 1e-3].map(&mut quotient);
        assert!(quotients.into_iter().any(fits), "{name}[{i}]: gradient {slope}, quotients {quotients:?}");
    }
}

/// A cost that weighs every output differently.
fn weighed(y: &[f32]) -> f64 {
    y.iter().zip(noise(y.len(), 99)).map(|(y, w)| f64::from(*y) * f64::from(w)).sum()
}

#[test]
fn linear_layers() {
    let sizes @ (n, k, m) = (3, 5, 4);
    let (x, w, b) = (noise(n * k, 1), noise(m * k, 2), noise(m, 3));
    let forward = |x: &[f32], w: &[f32], b: &[f32]| {
        let mut y = vec![0.0; n * m];
        layers::linear(x, w, Some(b), &mut y, sizes, false);
        weighed(&y)
    };
    let (mut dx, mut dw, mut db) = (vec![0.0; n * k], vec![0.0; m * k], vec![0.0; m]);
    layers::linear_back(&x, &w, &noise(n * m, 99), Some(&mut dx), &mut dw, Some(&mut db), sizes, false);
    check("x", &x, &dx, |x| forward(x, &w, &b));
    check("w", &w, &dw, |w| forward(&x, w, &b));
    check("b", &b, &db, |b| forward(&x, &w, b));
}

#[test]
fn recurrent_layer() {
    let (lanes, h) = (2, 3);
    let (projected, before) = (noise(lanes * 3 * h, 1), noise(lanes * h, 2));
    let (state, inner) = (noise(3 * h * h, 3), noise(h, 4));
    let run = |projected: &[f32], before: &[f32], state: &[f32], inner: &[f32]| {
        let (mut kept, mut after) = (vec![0.0; lanes * 4 * h], vec![0.0; lanes * h]);
        let weights = Gru { input: &[], state, bias: &[], inner };
        layers::gru(&weights, projected, before, &mut kept, &mut after, h);
        (kept, after)
    };
    let cost = |p: &[f32], b: &[f32], s: &[f32], i: &[f32]| weighed(&run(p, b, s, i).1);
    let (kept, _) = run(&projected, &before, &state, &inner);
    let (mut d_state, mut d_inner) = (vec![0.0; 3 * h * h], vec![0.0; h]);
    let (mut d_before, mut d_projected) = (noise(lanes * h, 99), vec![0.0; lanes * 3 * h]);
    let weights = Gru { input: &[], state: &state, bias: &[], inner: &inner };
    let mut to = GruGradient { input: &mut [], state: &mut d_state, bias: &mut [], inner: &mut d_inner };
    layers::gru_back(&weights, &before, &kept, &mut d_before, &mut d_projected, &mut to, h);
    check("projected", &projected, &d_projected, |p| cost(p, &before, &state, &inner));
    check("before", &before, &d_before, |b| cost(&projected, b, &state, &inner));
    check("state", &state, &d_state, |s| cost(&projected, &before, s, &inner));
    check("inner", &inner, &d_inner, |i| cost(&projected, &before, &state, i));
}

#[test]
fn tree_of_bits() {
    let (n, k) = (3, 4);
    let targets = [0x41, 0x42, 0xf0];
    let (x, w, b) = (noise(n * k, 1), noise(256 * k, 2), noise(256, 3));
    let cost = |x: &[f32], w: &[f32], b: &[f32]| {
        let mut costs = [0.0; 3];
        layers::tree(x, w, b, &targets, None, k, 1.0, &mut costs);
        costs.iter().map(|c| f64::from(*c)).sum::<f64>()
    };
    let (mut dx, mut dw, mut db) = (vec![0.0; n * k], vec![0.0; 256 * k], vec![0.0; 256]);
    layers::tree(&x, &w, &b, &targets, Some((&mut dx, &mut dw, &mut db)), k, 1.0, &mut [0.0; 3]);
    check("x", &x, &dx, |x| cost(x, &w, &b));
    check("w", &w, &dw, |w| cost(&x, w, &b));
    check("b", &b, &db, |b| cost(&x, &w, b));
}

/// Two streams, time-major, with a file that starts in the middle of one. So short a file must repeat itself soon.
struct Streams {
    features: Vec<Features>,
    targets: Vec<u8>,
    starts: Vec<bool>,
}

impl Streams {
    const LANES: usize = 2;

    fn new(shape: &Shape, steps: usize) -> Self {
        let stream = |text: &[u8]| Example::new(text.iter().copied().cycle().take(steps).collect(), shape);
        let streams = [stream(b"abcd"), stream(b"x = y\n")];
        let mut all = Self { features: Vec::new(), targets: Vec::new(), starts: Vec::new() };
        for t in 0..steps {
            for (lane, stream) in streams.iter().enumerate() {
                all.features.push(stream.features[t]);
                all.targets.push(stream.bytes[t]);
                all.starts.push(t == 0 || lane == 1 && t == 5);
            }
        }
        all
    }

    fn batch(&self, steps: std::ops::Range<usize>) -> Batch<'_> {
        let (from, to) = (steps.start * Self::LANES, steps.end * Self::LANES);
        Batch {
            features: &self.features[from..to],
            targets: &self.targets[from..to],
            starts: &self.starts[from..to],
            lanes: Self::LANES,
        }
    }
}

#[test]
fn whole_network() {
    gradients_of(SHAPE);
}

#[test]
fn whole_network_with_an_evoformer() {
    gradients_of(ALIGNED);
}

fn gradients_of(shape: Shape) {
    let net = Net::new(shape);
    let mut parameters = net.init(7);
    // Away from zero, where rectifiers bend and norms are steep.
    for tensor in net.tensors.iter().filter(|tensor| tensor.name.starts_with("evoformer")) {
        let noise = noise(tensor.at.len(), 5);
        parameters[tensor.at.clone()].iter_mut().zip(noise).for_each(|(p, noise)| *p += 0.3 * noise);
    }
    let streams = Streams::new(&shape, 20);
    let batch = streams.batch(0..20);
    let mut scratch = Scratch::default();
    let mut gradient = vec![0.0; net.len()];
    net.run(&parameters, &batch, &mut net.memory(Streams::LANES), Some(&mut gradient), 1.0, &mut scratch);
    // Only a few of each tensor: a run costs the same for each.
    for tensor in &net.tensors {
        let used = tensor.at.clone().filter(|&i| gradient[i] != 0.0);
        let some: Vec<usize> = used.step_by((tensor.at.len() / 40).max(1)).take(25).collect();
        assert!(!some.is_empty(), "{} is never used", tensor.name);
        let cost = |i: usize, step: f32| -> f64 {
            let mut moved = parameters.clone();
            moved[i] += step;
            let mut scratch = Scratch::default();
            net.run(&moved, &batch, &mut net.memory(Streams::LANES), None, 1.0, &mut scratch);
            scratch.costs.iter().map(|c| f64::from(*c)).sum()
        };
        // How far the quotients lie from the gradient, as a share of its length (some have none, as a bias that softmax takes no note
        // of); with long steps a rectifier bends on the
        // way, short ones drown in rounding.
        let shares = [1e-2, 3e-3, 1e-3, 3e-4].map(|step| {
            let (mut apart, mut length) = (0.0, 0.0);
            for &i in &some {
                let quotient = (cost(i, step) - cost(i, -step)) / f64::from(2.0 * step);
                apart += (quotient - f64::from(gradient[i])).powi(2);
                length += quotient.powi(2);
            }
            apart.sqrt() / (length.sqrt() + 0.03)
        });
        assert!(shares.into_iter().any(|share| share < 0.03), "{}: off by {shares:?}", tensor.name);
    }
}

/// What a batch costs does not depend on where the one before it ended.
#[test]
fn memory_is_carried_on() {
    let net = Net::new(ALIGNED);
    let (parameters, streams) = (net.init(7), Streams::new(&ALIGNED, 20));
    let costs = |cuts: &[usize]| -> Vec<f32> {
        let (mut memory, mut scratch, mut costs) = (net.memory(Streams::LANES), Scratch::default(), Vec::new());
        for cut in cuts.windows(2) {
            net.run(&parameters, &streams.batch(cut[0]..cut[1]), &mut memory, None, 1.0, &mut scratch);
            costs.extend_from_slice(&scratch.costs);
        }
        costs
    };
    let whole = costs(&[0, 20]);
    for cuts in [&[0, 1, 2, 20][..], &[0, 6, 7, 15, 20]] {
        let differ = costs(cuts).iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(differ < 1e-4, "{cuts:?}: {differ}");
    }
}

/// A network that has learned costs the same in integers, but for a little.
#[test]
fn integers_cost_what_floats_cost() {
    learned_costs(SHAPE);
}

/// Without hashed contexts: tables of so few entries lose too much in 4 bits.
#[test]
fn integers_cost_what_floats_cost_with_an_evoformer() {
    learned_costs(Shape { gram_dim: 0, ..ALIGNED });
    let alone = Evoformer { blocks: 1, channels: 16, ..ALIGNED.evoformer };
    learned_costs(Shape { gram_dim: 0, state: 0, layers: 0, evoformer: alone, ..SHAPE });
}

fn learned_costs(shape: Shape) {
    let net = Net::new(shape);
    let mut parameters = net.init(3);
    let examples = [Example::new(text(3000), &shape), Example::new(text(2000), &shape)];
    let settings = run::Settings { epochs: 2, lanes: 2, steps: 16, rate: 1e-2, ..run::Settings::default() };
    run::train(&net, &mut parameters, &examples, &settings, |_| {});
    let float: f64 = run::measure(&net, &parameters, &examples, 1).iter().sum();
    let layers = quantise::layers(&net, &parameters);
    let file = quantise::seal(&layers, &quantise::untrained_mix()).unwrap();
    let (base, _) = Base::open(&file).unwrap();
    let integer: f64 = examples.iter().map(|e| integer::cost(base, &e.bytes)).sum();
    assert!(float < 2500.0, "nothing was learned: {float}");
    assert!((integer / float - 1.0).abs() < 0.02, "float {float}, integers {integer}");
}
