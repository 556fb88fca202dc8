//! Every gradient beside the difference quotient of the cost, and the integers beside the floats.

use super::data::Example;
use super::layers::{self, Gru, GruGradient};
use super::net::{Batch, Net, Scratch};
use super::{integer, quantise, run};
use codec_core::neural::base::Base;
use codec_core::neural::shape::Shape;

const SHAPE: Shape =
    Shape { gram_log2: 4, gram_dim: 2, hidden: 12, layers: 2, state: 8, state_dim: 5, ring_log2: 8, index_log2: 6 };

/// Text in which things recur.
fn text(len: usize) -> Vec<u8> {
    (0..len).map(|i| b"let x = 1;\nlet yz = x + 2;\nlet x = 1;\n"[(i + i / 50) % 38]).collect()
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

/// The whole network, over two lanes, with a file that starts in the middle of one.
#[test]
fn whole_network() {
    let net = Net::new(SHAPE);
    let parameters = net.init(7);
    let (steps, lanes) = (20, 2);
    // So short a file must repeat itself soon.
    let stream = |text: &[u8]| Example::new(text.iter().copied().cycle().take(steps).collect(), &SHAPE);
    let streams = [stream(b"abcd"), stream(b"x = y\n")];
    let (mut features, mut targets, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    for t in 0..steps {
        for (lane, stream) in streams.iter().enumerate() {
            features.push(stream.features[t]);
            targets.push(stream.bytes[t]);
            starts.push(t == 0 || lane == 1 && t == 5);
        }
    }
    let batch = Batch { features: &features, targets: &targets, starts: &starts, lanes };
    let mut scratch = Scratch::default();
    let mut gradient = vec![0.0; net.len()];
    let mut memory = net.memory(lanes);
    net.run(&parameters, &batch, &mut memory, Some(&mut gradient), 1.0, &mut scratch);
    // Only a few of each tensor: a run costs the same for each.
    for tensor in &net.tensors {
        let used = tensor.at.clone().filter(|&i| gradient[i] != 0.0);
        let some: Vec<usize> = used.step_by((tensor.at.len() / 40).max(1)).take(25).collect();
        assert!(!some.is_empty(), "{} is never used", tensor.name);
        let at: Vec<f32> = some.iter().map(|&i| parameters[i]).collect();
        let slopes: Vec<f32> = some.iter().map(|&i| gradient[i]).collect();
        check(&tensor.name, &at, &slopes, |values| {
            let mut moved = parameters.clone();
            some.iter().zip(values).for_each(|(&i, v)| moved[i] = *v);
            let mut scratch = Scratch::default();
            net.run(&moved, &batch, &mut net.memory(lanes), None, 1.0, &mut scratch);
            scratch.costs.iter().map(|c| f64::from(*c)).sum()
        });
    }
}

/// A network that has learned costs the same in integers, but for a little.
#[test]
fn integers_cost_what_floats_cost() {
    let net = Net::new(SHAPE);
    let mut parameters = net.init(3);
    let examples = [Example::new(text(3000), &SHAPE), Example::new(text(2000), &SHAPE)];
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
