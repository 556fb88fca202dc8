//! The network in integers: activations in Q11, the recurrent state in Q15, weights of 8 bit, sums of 32.

use super::adapter::Adapt;
use super::arithmetic::{Carve, narrow, signed};
use super::base::Base;
use super::context::Features;
use super::evoformer::{self, Evoformer};
use super::rows::LONGEST;
use super::shape::{BYTE_DIMS, LANE_DIM, ROW_DIM, Shape};
use crate::mix::logistic::{sigmoid, tanh};

/// Words of memory that the activations of a network take.
pub const fn words(shape: &Shape) -> usize {
    recent(shape) + evoformer::words(shape)
}

/// Words of all but the Evoformer.
const fn recent(shape: &Shape) -> usize {
    shape.inputs() + 2 * shape.hidden + 2 * shape.state
}

/// Forgets the recurrent state and the Evoformer's columns.
pub(crate) fn reset(base: &Base<'_>, memory: &mut [u16]) {
    memory[..2 * base.shape.state].fill(0);
    Evoformer::reset(&mut memory[recent(&base.shape)..]);
}

/// Takes the last byte into the recurrent state.
pub(crate) fn recur(base: &Base<'_>, memory: &mut [u16], byte: u8) {
    let Some(recurrent) = &base.recurrent else { return };
    let (h, e) = (base.shape.state, base.shape.state_dim);
    let (state, rest) = memory.split_at_mut(h);
    let (next, rest) = rest.split_at_mut(h);
    let embedded = &mut rest[..e];
    recurrent.embed.read(usize::from(byte), embedded, false);
    for (i, next) in next.iter_mut().enumerate() {
        // Products with the state carry its bias; those of the inputs theirs.
        let gate = |g: usize| (recurrent.input.row(g * h + i, embedded), recurrent.state.row(g * h + i, state));
        let ((rx, rh), (zx, zh), (nx, nh)) = (gate(0), gate(1), gate(2));
        let (r, z) = (sigmoid(rx.saturating_add(rh)), sigmoid(zx.saturating_add(zh)));
        let inside = ((i64::from(r) * i64::from(nh)) >> 15) as i32;
        let n = tanh(nx.saturating_add(inside));
        let before = i32::from(state[i] as i16);
        *next = narrow(n + ((z * (before - n) + (1 << 14)) >> 15));
    }
    state.copy_from_slice(next);
}

/// Runs the network; what [`head`] reads stays in the memory.
pub(crate) fn run(base: &Base<'_>, adapter: &impl Adapt, memory: &mut [u16], features: &Features) {
    let shape = &base.shape;
    let (memory, columns) = memory.split_at_mut(recent(shape));
    let (state, rest) = memory.split_at_mut(2 * shape.state);
    let (x, rest) = rest.split_at_mut(shape.inputs());
    let (embedded, further) = x.split_at_mut(shape.embedded());
    let (recurrent, aligned) = further.split_at_mut(shape.state);
    let mut left = Carve(&mut *embedded);
    let grams = left.next(features.grams.len() * shape.gram_dim);
    for (i, (hash, to)) in features.grams.iter().zip(grams.chunks_exact_mut(shape.gram_dim.max(1))).enumerate() {
        base.grams.read(i, *hash, to);
    }
    for ((table, byte), dim) in base.bytes.iter().zip(features.bytes).zip(BYTE_DIMS) {
        table.read(usize::from(byte), left.next(dim), false);
    }
    base.lane.read(usize::from(features.lane), left.next(LANE_DIM), false);
    for (i, row) in features.rows.iter().enumerate() {
        let to = left.next(ROW_DIM);
        base.row_agree.read(i * LONGEST as usize + usize::from(row.agree), to, false);
        if row.agree > 0 {
            base.row_bytes.read(usize::from(row.byte), to, true);
        }
    }
    for (x, state) in recurrent.iter_mut().zip(&state[..shape.state]) {
        *x = (*state as i16 >> 4) as u16;
    }
    if let Some(evoformer) = &base.evoformer {
        evoformer.column(shape, columns, embedded, features.found(), aligned);
    }
    let (a, b) = rest[..2 * shape.hidden].split_at_mut(shape.hidden);
    let change = adapter.layer(0, x);
    let changed = |i, y| change.as_ref().map_or(y, |change| change.row(i, y));
    base.layers[0].rows(0, x, a, |i, a, y| *a = narrow(changed(i, y).max(0)));
    for (at, layer) in base.layers[..=shape.layers].iter().enumerate().skip(1) {
        let change = adapter.layer(at, a);
        let changed = |i, y| change.as_ref().map_or(y, |change| change.row(i, y));
        layer.rows(0, a, b, |i, b, y| *b = narrow(changed(i, y).max(0).saturating_add(signed(a[i]))));
        a.copy_from_slice(b);
    }
}

/// Logit (Q11) that the decision at `node` is a 1.
#[inline]
pub(crate) fn head(base: &Base<'_>, adapter: &impl Adapt, memory: &[u16], node: u32) -> i32 {
    let shape = &base.shape;
    let at = 2 * shape.state + shape.inputs();
    let (row, x) = (node as usize & 255, &memory[at..at + shape.hidden]);
    let y = base.head.row(row, x);
    adapter.layer(shape.layers + 1, x).map_or(y, |change| change.row(row, y))
}
