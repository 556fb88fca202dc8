//! Files as the network sees them.

use super::corpus::Update;
use codec_core::neural::context::{Context, Features};
use codec_core::neural::rows::Rows;
use codec_core::neural::shape::Shape;
use serde::{Deserialize, Serialize};

/// A file and what the network is told before each of its bytes.
#[derive(Clone, Debug)]
pub struct Example {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What is known before each.
    pub features: Vec<Features>,
}

impl Example {
    /// Walks through a file.
    pub fn new(bytes: Vec<u8>, shape: &Shape) -> Self {
        let mut walk = Walk::new(shape);
        let features = bytes.iter().enumerate().map(|(at, &byte)| walk.pass(at, byte)).collect();
        Self { bytes, features }
    }

    /// Walks through what an update inserts, as a decoder does: rows are found in the end of the old file too, and each
    /// stretch starts with the eight bytes before it. (What remembers by a state of its own, does so from stretch to
    /// stretch.)
    pub fn of_update(update: &Update, shape: &Shape) -> Self {
        let mut walk = Walk::new(shape);
        let reach = 1 << shape.ring_log2;
        update.old[update.old.len().saturating_sub(reach)..].iter().for_each(|&byte| walk.push(byte));
        let (mut bytes, mut features) = (Vec::new(), Vec::new());
        for stretch in &update.inserted {
            walk.context = Context::NEW;
            let before = stretch.start.saturating_sub(8)..stretch.start;
            update.new[before].iter().for_each(|&byte| walk.push(byte));
            for at in stretch.clone() {
                bytes.push(update.new[at]);
                features.push(walk.pass(at, update.new[at]));
            }
        }
        Self { bytes, features }
    }
}

/// What is known before a byte, and what is remembered of those before.
struct Walk {
    memory: Vec<u16>,
    rows: Rows,
    context: Context,
}

impl Walk {
    fn new(shape: &Shape) -> Self {
        let mut walk = Self {
            memory: vec![0; Rows::words(shape.ring_log2, shape.index_log2)],
            rows: Rows::NEW,
            context: Context::NEW,
        };
        walk.rows.start(&mut walk.memory, shape.ring_log2, shape.index_log2);
        walk
    }

    fn push(&mut self, byte: u8) {
        self.rows.push(&mut self.memory, self.context.recent(), byte);
        self.context.push(byte);
    }

    /// What is known before the byte at `at`; goes on behind it.
    fn pass(&mut self, at: usize, byte: u8) -> Features {
        let features = self.context.features(at as u32, &self.rows, &self.memory);
        self.push(byte);
        features
    }
}

/// Streams of examples, one beside the other.
pub struct Lanes<'a> {
    examples: &'a [Example],
    order: Vec<u32>,
    place: Place,
}

/// How far the streams have come.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Place {
    /// Examples that are dealt out.
    next: usize,
    /// Example of every lane and the bytes of it that are read; `u32::MAX` before the first.
    at: Vec<(u32, u32)>,
}

impl<'a> Lanes<'a> {
    /// Streams of the examples in this order.
    pub fn new(examples: &'a [Example], order: Vec<u32>, lanes: usize) -> Self {
        Self { examples, order, place: Place { next: 0, at: vec![(u32::MAX, 0); lanes] } }
    }

    /// How far they have come.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Goes where they once were; `false`, and nothing changed, when these streams have no such place.
    pub fn restore(&mut self, place: Place) -> bool {
        let in_example = |&(example, at): &(u32, u32)| {
            (example, at) == (u32::MAX, 0)
                || self.examples.get(example as usize).is_some_and(|example| at as usize <= example.bytes.len())
        };
        let fits =
            place.next <= self.order.len() && place.at.len() == self.place.at.len() && place.at.iter().all(in_example);
        if fits {
            self.place = place;
        }
        fits
    }

    /// The next `steps` bytes of every lane, time-major; `false` when the examples are used up.
    pub fn fill(&mut self, steps: usize, to: &mut Chunk) -> bool {
        let Self { examples, order, place: Place { next, at } } = self;
        let lanes = at.len();
        to.features.resize(lanes * steps, EMPTY);
        to.targets.resize(lanes * steps, 0);
        to.starts.resize(lanes * steps, false);
        for (lane, (example, place)) in at.iter_mut().enumerate() {
            for t in 0..steps {
                while *example == u32::MAX || *place as usize == examples[*example as usize].bytes.len() {
                    let Some(&dealt) = order.get(*next) else { return false };
                    *next += 1;
                    (*example, *place) = (dealt, 0);
                }
                let (from, at) = (&examples[*example as usize], *place as usize);
                let i = t * lanes + lane;
                (to.features[i], to.targets[i], to.starts[i]) = (from.features[at], from.bytes[at], at == 0);
                *place += 1;
            }
        }
        true
    }
}

const EMPTY: Features = Features {
    grams: [0; codec_core::neural::context::GRAMS],
    bytes: [0; codec_core::neural::context::BYTES],
    lane: 0,
    above: 0,
    rows: [codec_core::neural::rows::Row { byte: 0, agree: 0 }; codec_core::neural::rows::ROWS],
};

/// A piece of all lanes.
#[derive(Default)]
pub struct Chunk {
    /// As in [`super::net::Batch`].
    pub features: Vec<Features>,
    /// Likewise.
    pub targets: Vec<u8>,
    /// Likewise.
    pub starts: Vec<bool>,
}
