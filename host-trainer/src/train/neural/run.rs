//! The training run: epochs over shuffled files, in several threads, bit for bit repeatable.

use super::adam::{Adam, rate};
use super::data::{Chunk, Example, Lanes};
use super::net::{Batch, Memory, Net, Scratch};

/// How to train.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Seed of parameters and order.
    pub seed: u64,
    /// Times that every file is read.
    pub epochs: usize,
    /// Streams, dealt out to the threads.
    pub lanes: usize,
    /// Bytes of every stream that one step sees.
    pub steps: usize,
    /// Largest learning rate.
    pub rate: f32,
    /// Share of the bytes whose long contexts are replaced by noise, as contexts are that training never saw.
    pub noise: f32,
    /// Share of its size that every weight loses in a step at learning rate 1.
    pub decay: f32,
    /// Threads. The result depends on their number: sums of floats are not associative.
    pub threads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { seed: 1, epochs: 2, lanes: 128, steps: 32, rate: 3e-3, noise: 0.3, decay: 0.02, threads: 1 }
    }
}

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Bytes seen so far.
    pub seen: u64,
    /// Bytes in all.
    pub all: u64,
    /// Bits per byte of the last steps, a running mean.
    pub loss: f64,
}

struct Worker<'a> {
    lanes: Lanes<'a>,
    chunk: Chunk,
    memory: Memory,
    gradient: Vec<f32>,
    scratch: Scratch,
    more: bool,
    random: u64,
}

impl Worker<'_> {
    fn random(&mut self) -> u64 {
        let mut x = self.random;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random = x;
        x
    }

    /// Replaces the long contexts of some bytes by others.
    fn disturb(&mut self, noise: f32) {
        let limit = (noise * (1u64 << 32) as f32) as u64;
        for i in 0..self.chunk.features.len() {
            let r = self.random();
            if r >> 32 >= limit {
                continue;
            }
            // Of orders 2 to 6 those from some order on, and then the words.
            let from = 1 + (r & 0xffff) as usize % 5;
            for gram in from..8 {
                if gram < 5 || r >> (20 + gram - 5) & 1 != 0 {
                    let other = self.random() as u32;
                    self.chunk.features[i].grams[gram] = other;
                }
            }
        }
    }
}

/// Bits of `nats`.
const BITS: f64 = std::f64::consts::LOG2_E;

fn shuffled(count: usize, seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    order.sort_by_key(|&i| {
        let x = (u64::from(i) ^ seed.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (x ^ x >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 3
    });
    order
}

/// Trains `parameters` on the examples; `watch` is told after every step.
pub fn train(
    net: &Net,
    parameters: &mut [f32],
    examples: &[Example],
    settings: &Settings,
    mut watch: impl FnMut(Progress),
) {
    let mut adam = Adam::new(parameters.len());
    let all = (settings.epochs * examples.iter().map(|e| e.bytes.len()).sum::<usize>()) as u64;
    let (mut seen, mut loss) = (0u64, 0.0f64);
    let lanes = settings.lanes / settings.threads;
    for epoch in 0..settings.epochs {
        let order = shuffled(examples.len(), settings.seed ^ (epoch as u64 + 1) << 32);
        let mut workers: Vec<Worker<'_>> = (0..settings.threads)
            .map(|t| {
                let order = order.iter().copied().skip(t).step_by(settings.threads).collect();
                Worker {
                    lanes: Lanes::new(examples, order, lanes),
                    chunk: Chunk::default(),
                    memory: net.memory(lanes),
                    gradient: vec![0.0; net.len()],
                    scratch: Scratch::default(),
                    more: true,
                    random: (settings.seed ^ (epoch as u64) << 32 ^ (t as u64 + 1) << 48) | 1,
                }
            })
            .collect();
        loop {
            let scale = 1.0 / (settings.threads * lanes * settings.steps) as f32;
            let current = &*parameters;
            std::thread::scope(|scope| {
                for worker in &mut workers {
                    scope.spawn(move || {
                        worker.more = worker.lanes.fill(settings.steps, &mut worker.chunk);
                        if !worker.more {
                            return;
                        }
                        worker.disturb(settings.noise);
                        worker.gradient.fill(0.0);
                        let chunk = &worker.chunk;
                        let (features, targets) = (&chunk.features, &chunk.targets);
                        let batch = Batch { features, targets, starts: &chunk.starts, lanes };
                        let gradient = Some(&mut worker.gradient[..]);
                        net.run(current, &batch, &mut worker.memory, gradient, scale, &mut worker.scratch);
                    });
                }
            });
            if workers.iter().any(|w| !w.more) {
                break;
            }
            let cost: f64 = workers.iter().flat_map(|w| &w.scratch.costs).map(|c| f64::from(*c)).sum();
            let bytes = (settings.threads * lanes * settings.steps) as u64;
            let now = cost * BITS / bytes as f64;
            loss = if seen == 0 { now } else { loss + 0.02 * (now - loss) };
            seen += bytes;
            let (first, rest) = workers.split_at_mut(1);
            for worker in rest {
                first[0].gradient.iter_mut().zip(&worker.gradient).for_each(|(a, b)| *a += b);
            }
            let rate = rate(seen as f32 / all as f32, settings.rate);
            adam.step(parameters, &first[0].gradient, rate, settings.decay);
            watch(Progress { seen, all, loss });
        }
    }
}

/// Bytes that the network alone would take for every example.
pub fn measure(net: &Net, parameters: &[f32], examples: &[Example], threads: usize) -> Vec<f64> {
    let mut sizes = vec![0.0; examples.len()];
    let share = examples.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        for (examples, sizes) in examples.chunks(share).zip(sizes.chunks_mut(share)) {
            scope.spawn(move || {
                let mut scratch = Scratch::default();
                for (example, size) in examples.iter().zip(sizes) {
                    let mut memory = net.memory(1);
                    let mut nats = 0.0;
                    for (features, targets) in example.features.chunks(4096).zip(example.bytes.chunks(4096)) {
                        let starts = vec![false; targets.len()];
                        let batch = Batch { features, targets, starts: &starts, lanes: 1 };
                        net.run(parameters, &batch, &mut memory, None, 1.0, &mut scratch);
                        nats += scratch.costs.iter().map(|c| f64::from(*c)).sum::<f64>();
                    }
                    *size = nats * BITS / 8.0;
                }
            });
        }
    });
    sizes
}
