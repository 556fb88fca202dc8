//! The training run: epochs over shuffled files, in several threads, bit for bit repeatable.

use super::adam::{Adam, rate};
use super::data::{Chunk, Example, Lanes, Place};
use super::net::{Batch, Memory, Net, Scratch};
use serde::{Deserialize, Serialize};

/// How to train.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Seed of parameters and order.
    pub seed: u64,
    /// Times that every file is read.
    pub epochs: usize,
    /// Streams, dealt out to the threads evenly; each has one at least.
    pub lanes: usize,
    /// Bytes of every stream that one step sees.
    pub steps: usize,
    /// Largest learning rate.
    pub rate: f32,
    /// Share of the bytes whose long contexts are replaced by noise, as contexts are that training never saw.
    pub noise: f32,
    /// Share of its size that every weight loses in a step at learning rate 1.
    pub decay: f32,
    /// Threads, at least one. The result depends on their number: sums of floats are not associative.
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
    /// Bits per byte of a sample of the files held back, when it was last measured.
    pub held_back: Option<f64>,
}

/// What [`Run::step`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It learned from some bytes.
    Step,
    /// An epoch was over before this; nothing was learned.
    Epoch,
    /// The last epoch was over before this.
    Done,
}

/// Where a run stands between two steps: all that the rest of it depends on.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct State {
    parameters: Vec<f32>,
    adam: Adam,
    epoch: usize,
    seen: u64,
    loss: f64,
    workers: Vec<WorkerState>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct WorkerState {
    place: Place,
    memory: Memory,
    random: u64,
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

/// A training run, step by step.
pub struct Run<'a> {
    net: &'a Net,
    examples: &'a [Example],
    settings: Settings,
    /// Bytes of all epochs.
    all: u64,
    parameters: Vec<f32>,
    adam: Adam,
    /// Epochs that are over.
    epoch: usize,
    seen: u64,
    loss: f64,
    workers: Vec<Worker<'a>>,
}

impl<'a> Run<'a> {
    /// A run that starts with these parameters.
    pub fn new(net: &'a Net, parameters: Vec<f32>, examples: &'a [Example], settings: &Settings) -> Self {
        let settings = Settings { threads: settings.threads.max(1), ..*settings };
        let bytes: usize = examples.iter().map(|e| e.bytes.len()).sum();
        let all = (settings.epochs * bytes) as u64;
        let adam = Adam::new(parameters.len());
        let mut run =
            Self { net, examples, settings, all, parameters, adam, epoch: 0, seen: 0, loss: 0.0, workers: Vec::new() };
        run.start_epoch();
        run
    }

    /// A run that goes on from `state`: what comes of it is bit for bit what an uninterrupted run gives.
    ///
    /// # Errors
    /// The name of a field of the state that is not of a run with this network, examples and settings.
    pub fn resume(
        net: &'a Net,
        examples: &'a [Example],
        settings: &Settings,
        state: State,
    ) -> Result<Self, &'static str> {
        let mut run = Self::new(net, state.parameters, examples, settings);
        let ensure = |fits: bool, field: &'static str| if fits { Ok(()) } else { Err(field) };
        ensure(run.parameters.len() == net.len(), "parameters")?;
        ensure(state.epoch <= run.settings.epochs, "epoch")?;
        let step = run.bytes_a_step();
        ensure(state.seen <= run.all && state.seen.is_multiple_of(step), "seen")?;
        ensure(state.adam.fits(net.len(), state.seen / step), "adam")?;
        (run.adam, run.epoch, run.seen, run.loss) = (state.adam, state.epoch, state.seen, state.loss);
        run.start_epoch();
        ensure(state.workers.len() == run.workers.len(), "workers")?;
        for (worker, saved) in run.workers.iter_mut().zip(state.workers) {
            ensure(worker.lanes.restore(saved.place), "place")?;
            ensure(worker.memory.fits(&saved.memory), "memory")?;
            (worker.memory, worker.random) = (saved.memory, saved.random);
        }
        Ok(run)
    }

    /// Where the run stands.
    pub fn state(&self) -> State {
        let save = |worker: &Worker<'_>| WorkerState {
            place: worker.lanes.place().clone(),
            memory: worker.memory.clone(),
            random: worker.random,
        };
        State {
            parameters: self.parameters.clone(),
            adam: self.adam.clone(),
            epoch: self.epoch,
            seen: self.seen,
            loss: self.loss,
            workers: self.workers.iter().map(save).collect(),
        }
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        Progress { seen: self.seen, all: self.all, loss: self.loss, held_back: None }
    }

    /// Parameters as they are now.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// Whether the last epoch is over.
    pub fn is_done(&self) -> bool {
        self.epoch >= self.settings.epochs
    }

    /// Streams of each thread.
    fn lanes(&self) -> usize {
        (self.settings.lanes / self.settings.threads).max(1)
    }

    fn bytes_a_step(&self) -> u64 {
        (self.settings.threads * self.lanes() * self.settings.steps) as u64
    }

    fn start_epoch(&mut self) {
        let (lanes, epoch, Settings { seed, threads, .. }) = (self.lanes(), self.epoch as u64, self.settings);
        let order = shuffled(self.examples.len(), seed ^ (epoch + 1) << 32);
        let worker = |t: usize| Worker {
            lanes: Lanes::new(self.examples, order.iter().copied().skip(t).step_by(threads).collect(), lanes),
            chunk: Chunk::default(),
            memory: self.net.memory(lanes),
            gradient: vec![0.0; self.net.len()],
            scratch: Scratch::default(),
            more: true,
            random: (seed ^ epoch << 32 ^ (t as u64 + 1) << 48) | 1,
        };
        self.workers = (0..threads).map(worker).collect();
    }

    /// Learns from the next bytes of all streams.
    pub fn step(&mut self) -> Event {
        if self.is_done() {
            return Event::Done;
        }
        let (lanes, bytes) = (self.lanes(), self.bytes_a_step());
        let (net, settings, current) = (self.net, &self.settings, &self.parameters[..]);
        std::thread::scope(|scope| {
            for worker in &mut self.workers {
                scope.spawn(move || {
                    worker.more = worker.lanes.fill(settings.steps, &mut worker.chunk);
                    if !worker.more {
                        return;
                    }
                    worker.disturb(settings.noise);
                    worker.gradient.fill(0.0);
                    let Chunk { features, targets, starts } = &worker.chunk;
                    let batch = Batch { features, targets, starts, lanes };
                    let gradient = Some(&mut worker.gradient[..]);
                    net.run(current, &batch, &mut worker.memory, gradient, 1.0 / bytes as f32, &mut worker.scratch);
                });
            }
        });
        if self.workers.iter().any(|worker| !worker.more) {
            self.epoch += 1;
            self.start_epoch();
            return Event::Epoch;
        }
        let cost: f64 = self.workers.iter().flat_map(|w| &w.scratch.costs).map(|c| f64::from(*c)).sum();
        let now = cost * BITS / bytes as f64;
        self.loss = if self.seen == 0 { now } else { self.loss + 0.02 * (now - self.loss) };
        self.seen += bytes;
        let (first, rest) = self.workers.split_at_mut(1);
        for worker in rest {
            first[0].gradient.iter_mut().zip(&worker.gradient).for_each(|(a, b)| *a += b);
        }
        let rate = rate(self.seen as f32 / self.all as f32, self.settings.rate);
        self.adam.step(&mut self.parameters, &first[0].gradient, rate, self.settings.decay);
        Event::Step
    }
}

/// Trains `parameters` on the examples, without a stop; `watch` is told after every step.
pub fn train(
    net: &Net,
    parameters: &mut [f32],
    examples: &[Example],
    settings: &Settings,
    mut watch: impl FnMut(Progress),
) {
    let mut run = Run::new(net, parameters.to_vec(), examples, settings);
    loop {
        match run.step() {
            Event::Step => watch(run.progress()),
            Event::Epoch => {}
            Event::Done => break,
        }
    }
    parameters.copy_from_slice(run.parameters());
}

/// A number for every item, in several threads; each thread has one `S` for all its items.
pub(super) fn spread<T: Sync, S: Default>(
    items: &[T],
    threads: usize,
    each: impl Fn(&T, &mut S) -> f64 + Sync,
) -> Vec<f64> {
    let (each, mut numbers) = (&each, vec![0.0; items.len()]);
    let share = items.len().div_ceil(threads.max(1)).max(1);
    std::thread::scope(|scope| {
        for (items, numbers) in items.chunks(share).zip(numbers.chunks_mut(share)) {
            scope.spawn(move || {
                let mut own = S::default();
                numbers.iter_mut().zip(items).for_each(|(number, item)| *number = each(item, &mut own));
            });
        }
    });
    numbers
}

/// Bytes that the network alone would take for every example.
pub fn measure(net: &Net, parameters: &[f32], examples: &[Example], threads: usize) -> Vec<f64> {
    spread(examples, threads, |example, scratch: &mut Scratch| {
        let mut memory = net.memory(1);
        let mut nats = 0.0;
        for (features, targets) in example.features.chunks(4096).zip(example.bytes.chunks(4096)) {
            let starts = vec![false; targets.len()];
            let batch = Batch { features, targets, starts: &starts, lanes: 1 };
            net.run(parameters, &batch, &mut memory, None, 1.0, scratch);
            nats += scratch.costs.iter().map(|c| f64::from(*c)).sum::<f64>();
        }
        nats * BITS / 8.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec_core::neural::shape::{Evoformer, Shape};

    const SHAPE: Shape = Shape {
        gram_log2: 4,
        gram_dim: 2,
        hidden: 8,
        layers: 1,
        state: 4,
        state_dim: 4,
        evoformer: Evoformer { blocks: 1, channels: 4, heads: 1, window_log2: 2, pair: 2, outer: 2, transition: 4 },
        ring_log2: 8,
        index_log2: 6,
    };

    fn examples() -> Vec<Example> {
        let text = |i: usize| (0..150 + 20 * i).map(|at| b"let x = 1;\nlet yz = x + 2;\n"[(at + i) % 27]).collect();
        (0..12).map(|i| Example::new(text(i), &SHAPE)).collect()
    }

    fn finish(run: &mut Run<'_>) {
        while run.step() != Event::Done {}
    }

    /// Wherever a run is cut, through its file form: in the first epoch, right before and after its end, in the last.
    #[test]
    fn a_resumed_run_ends_like_an_uninterrupted_one() {
        let (net, examples) = (Net::new(SHAPE), examples());
        let settings = Settings { epochs: 2, lanes: 4, steps: 16, threads: 2, ..Settings::default() };
        let mut whole = Run::new(&net, net.init(5), &examples, &settings);
        let mut cuts = vec![whole.state()];
        while whole.step() != Event::Done {
            cuts.push(whole.state());
        }
        assert!(cuts.len() > 50 && whole.is_done(), "{}", cuts.len());
        for cut in cuts.iter().step_by(9).chain(cuts.last()) {
            let bytes = postcard::to_extend(cut, Vec::new()).unwrap();
            let read: State = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(read, *cut);
            let mut rest = Run::resume(&net, &examples, &settings, read).unwrap();
            finish(&mut rest);
            assert_eq!(rest.state(), whole.state());
        }
        // All of it matters: another start of the random numbers, and the end is another one.
        let mut other = cuts[10].clone();
        other.workers[0].random ^= 2;
        let mut rest = Run::resume(&net, &examples, &settings, other).unwrap();
        finish(&mut rest);
        assert_ne!(rest.parameters(), whole.parameters());
    }

    #[test]
    fn states_of_other_runs_are_refused() {
        let (net, examples) = (Net::new(SHAPE), examples());
        let settings = Settings { epochs: 2, lanes: 4, steps: 16, threads: 2, ..Settings::default() };
        let mut run = Run::new(&net, net.init(5), &examples, &settings);
        (0..5).for_each(|_| assert_eq!(run.step(), Event::Step));
        let good = run.state();
        let refused = |change: &dyn Fn(&mut State)| {
            let mut state = good.clone();
            change(&mut state);
            Run::resume(&net, &examples, &settings, state).err()
        };
        assert_eq!(refused(&|_| {}), None);
        assert_eq!(refused(&|state| state.parameters.truncate(9)), Some("parameters"));
        assert_eq!(refused(&|state| state.epoch = 3), Some("epoch"));
        assert_eq!(refused(&|state| state.seen += 1), Some("seen"));
        assert_eq!(refused(&|state| state.seen += 64), Some("adam"));
        assert_eq!(refused(&|state| state.workers.truncate(1)), Some("workers"));
        assert_eq!(refused(&|state| state.workers[0].memory.recurrent.push(0.0)), Some("memory"));
        let fewer = Run::resume(&net, &examples[..2], &settings, good.clone()).err();
        assert!(matches!(fewer, Some("seen" | "place")), "{fewer:?}");
        let other = Run::resume(&net, &examples, &Settings { lanes: 8, ..settings }, good.clone()).err();
        assert!(other.is_some());
    }

    /// Too little for a step ends, and says so by having seen nothing.
    #[test]
    fn too_little_for_a_step_ends() {
        let (net, examples) = (Net::new(SHAPE), examples());
        let settings = Settings { lanes: 64, ..Settings::default() };
        let mut run = Run::new(&net, net.init(5), &examples, &settings);
        finish(&mut run);
        assert_eq!(run.progress().seen, 0);
    }
}
