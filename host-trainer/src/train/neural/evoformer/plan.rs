//! How tokens, pairs and columns of a batch hang together.

use super::Memory;
use crate::train::neural::net::Batch;
use codec_core::neural::shape::{ALIGNED, Evoformer as Sizes};

/// How tokens, pairs and columns of a batch hang together.
#[derive(Default)]
pub(super) struct Plan {
    pub lanes: usize,
    pub window: usize,
    /// Columns of a lane.
    pub columns: usize,
    /// Rows of every column.
    pub present: Vec<u16>,
    /// Position and row of every token; first token of every position, and their number.
    pub tokens: Vec<(u32, u32)>,
    pub first: Vec<usize>,
    /// Columns that every position sees; its first pair, and their number.
    pub seen: Vec<usize>,
    pub pairs: Vec<usize>,
}

impl Plan {
    /// Column of a position.
    pub fn column(&self, position: usize) -> usize {
        position % self.lanes * self.columns + self.window - 1 + position / self.lanes
    }

    pub fn new(sizes: &Sizes, batch: &Batch<'_>, memory: &mut Memory) -> Self {
        let (n, lanes, window) = (batch.features.len(), batch.lanes, sizes.window());
        let mut plan = Self { lanes, window, columns: window - 1 + n / lanes, ..Self::default() };
        plan.present.resize(lanes * plan.columns, 0);
        for (lane, before) in memory.present.chunks_exact((window - 1).max(1)).enumerate().take(lanes) {
            plan.present[lane * plan.columns..][..before.len()].copy_from_slice(before);
        }
        for (position, features) in batch.features.iter().enumerate() {
            let present = 1 | features.found() << 1;
            let column = plan.column(position);
            plan.present[column] = present;
            plan.first.push(plan.tokens.len());
            let rows = (0..ALIGNED as u32).filter(|row| present >> row & 1 != 0);
            plan.tokens.extend(rows.map(|row| (position as u32, row)));
            let seen = &mut memory.seen[position % lanes];
            if batch.starts[position] {
                *seen = 0;
            }
            plan.pairs.push(plan.pairs.last().copied().unwrap_or(0) + plan.seen.last().copied().unwrap_or(0));
            plan.seen.push(*seen + 1);
            *seen = (*seen + 1).min(window - 1);
        }
        plan.first.push(plan.tokens.len());
        plan.pairs.push(plan.pairs.last().copied().unwrap_or(0) + plan.seen.last().copied().unwrap_or(0));
        plan
    }

    /// Position and place in the alignment (`column * rows + row`) of a token.
    pub fn place(&self, token: usize) -> (usize, usize) {
        let (position, row) = self.tokens[token];
        (position as usize, self.column(position as usize) * ALIGNED + row as usize)
    }

    /// The offsets at which the row of a token is seen by it.
    pub fn along(&self, token: usize) -> impl Iterator<Item = usize> {
        let (position, place) = self.place(token);
        let row = place % ALIGNED;
        (0..self.seen[position]).filter(move |back| self.present[place / ALIGNED - back] >> row & 1 != 0)
    }

    /// The rows that a position's column shares with the one `back` before it.
    pub fn shared(&self, position: usize, back: usize) -> impl Iterator<Item = usize> {
        let column = self.column(position);
        let both = self.present[column] & self.present[column - back];
        (0..ALIGNED).filter(move |row| both >> row & 1 != 0)
    }

    /// The token of a row at a position.
    pub fn token(&self, position: usize, row: usize) -> usize {
        let below = self.present[self.column(position)] & ((1 << row) - 1);
        self.first[position] + below.count_ones() as usize
    }
}
