//! Low-rank adapters of a frozen random matrix: what they can learn of a file.

use crate::backend::check::Random;
use crate::backend::{Backend, BackendError, LowRankShape};
use crate::train::neural::adam;
use serde::Serialize;
use std::time::Instant;

/// Ranks that are tried.
pub const RANKS: [usize; 5] = [1, 2, 4, 8, 16];
/// Features of a position: inputs of the matrix.
pub const FEATURES: usize = 64;
/// Outputs of the matrix.
const BYTES: usize = 256;
/// Learning rate of Adam.
const RATE: f32 = 0.01;
/// Steps without a lower cost after which nothing improves any more.
const PATIENCE: u32 = 50;
/// A lower cost is lower by this share at least.
const LOWER: f64 = 1e-4;

/// So that the matrices are not made from the numbers that the file is made from.
const SALT: u64 = 0x6d61_7472_6978;

/// What the two matrices of an adapter start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// `up` is zero and `down` random: the adapter starts as nothing and learns.
    UpZero,
    /// Both are zero: each is the factor of the other's gradient, so nothing moves.
    BothZero,
    /// Both are random.
    BothRandom,
}

/// All of them.
pub const STARTS: [Start; 3] = [Start::UpZero, Start::BothZero, Start::BothRandom];

impl Start {
    /// As a table names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::UpZero => "up zero, down random",
            Self::BothZero => "both zero",
            Self::BothRandom => "both random",
        }
    }
}

/// What one adapter came to.
#[derive(Clone, Debug, Serialize)]
pub struct LowRank {
    /// Rank.
    pub rank: usize,
    /// What it started from.
    pub start: Start,
    /// Share of the bytes that the frozen matrix gives by itself.
    pub right_before: f64,
    /// Share of the bytes that come out right.
    pub right: f64,
    /// Whether all do.
    pub exact: bool,
    /// Largest change of any of its numbers.
    pub moved: f32,
    /// Steps of Adam until all was right, or nothing improved, or no more were allowed.
    pub iterations: u32,
    /// Seconds for this file.
    pub seconds: f64,
    /// Bytes of the adapter, f32.
    pub adapter_bytes: u64,
    /// The same for each byte of the file.
    pub bytes_per_byte: f64,
}

/// Fits an adapter of `rank` to `file`, which is not empty: byte i is the largest of `(W + up down) x_i`. `W [256, 64]` is
/// random and frozen, `x_i [64]` are random features of position i, neither of which is sent. Adam on the cross entropy.
///
/// # Errors
/// Those of the backend.
pub fn fit<B: Backend>(
    backend: &B,
    file: &[u8],
    rank: usize,
    start: Start,
    (seed, most): (u64, u32),
) -> Result<LowRank, BackendError> {
    let began = Instant::now();
    let rows = file.len();
    let shape = LowRankShape { rows, inputs: FEATURES, outputs: BYTES, rank };
    let mut random = Random::new(seed ^ SALT);
    let scale = 1.0 / (FEATURES as f32).sqrt();
    // First what is frozen, so that it is the same at every rank.
    let x = backend.upload(&random.floats(rows * FEATURES))?;
    let mut scaled = |len: usize| -> Vec<f32> { random.floats(len).iter().map(|number| number * scale).collect() };
    let (downs, ups) = (rank * FEATURES, BYTES * rank);
    let w = backend.upload(&scaled(BYTES * FEATURES))?;
    let (down_start, up_start) = (scaled(downs), scaled(ups));
    let first = match start {
        Start::UpZero => [down_start, vec![0.0; ups]],
        Start::BothZero => [vec![0.0; downs], vec![0.0; ups]],
        Start::BothRandom => [down_start, up_start],
    };
    let (mut down, mut up) = (backend.upload(&first[0])?, backend.upload(&first[1])?);
    let moments = |len| Ok::<_, BackendError>([backend.zeros::<f32>(len)?, backend.zeros(len)?]);
    let ([mut down_m, mut down_v], [mut up_m, mut up_v]) = (moments(downs)?, moments(ups)?);

    let targets = backend.upload(file)?;
    let mut inner = backend.zeros(rows * rank)?;
    let mut y = backend.zeros(rows * BYTES)?;
    let (mut costs, mut right) = (backend.zeros(rows)?, backend.zeros(rows)?);
    let mut d_y = backend.zeros(rows * BYTES)?;
    let mut d_x = backend.zeros(rows * FEATURES)?;
    let (mut d_down, mut d_up) = (backend.zeros(downs)?, backend.zeros(ups)?);

    let (mut least, mut since, mut iterations) = (f64::INFINITY, 0, 0);
    let (mut before, mut best) = (None, 0);
    loop {
        backend.low_rank(shape, 1.0, &x, &w, &down, &up, &mut inner, &mut y)?;
        backend.softmax_cross_entropy(rows, BYTES, &y, &targets, &mut costs, &mut right, &mut d_y)?;
        let hits: u64 = backend.download(&right)?.into_iter().map(u64::from).sum();
        let cost: f64 = backend.download(&costs)?.into_iter().map(f64::from).sum();
        before.get_or_insert(hits);
        best = best.max(hits);
        (least, since) = if cost < least * (1.0 - LOWER) { (cost, 0) } else { (least, since + 1) };
        if hits == rows as u64 || since >= PATIENCE || iterations == most {
            break;
        }
        backend.low_rank_gradients(shape, 1.0, &x, &w, &down, &up, &inner, &d_y, &mut d_down, &mut d_up, &mut d_x)?;
        iterations += 1;
        let step = adam::step(RATE, 0.0, iterations as i32);
        backend.adam_step(step, &d_down, &mut down_m, &mut down_v, &mut down)?;
        backend.adam_step(step, &d_up, &mut up_m, &mut up_v, &mut up)?;
    }
    let share = |hits: u64| hits as f64 / rows as f64;
    let adapter_bytes = 4 * (downs + ups) as u64;
    let parameters = [backend.download(&down)?, backend.download(&up)?].concat();
    Ok(LowRank {
        rank,
        start,
        right_before: share(before.unwrap_or(0)),
        right: share(best),
        exact: best == rows as u64,
        moved: parameters.iter().zip(first.iter().flatten()).fold(0.0, |most, (a, b)| f32::max(most, (a - b).abs())),
        iterations,
        seconds: began.elapsed().as_secs_f64(),
        adapter_bytes,
        bytes_per_byte: adapter_bytes as f64 / rows as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::Cpu;

    #[test]
    fn zeros_stay_zeros_and_a_random_start_learns() {
        let file = Random::new(5).bytes(64);
        let fit = |start, most| fit(&Cpu::new(1), &file, 8, start, (1, most)).unwrap();
        let blocked = fit(Start::BothZero, 200);
        assert_eq!((blocked.moved, blocked.iterations, blocked.right), (0.0, PATIENCE, blocked.right_before));
        let learned = fit(Start::UpZero, 200);
        assert!(learned.exact && learned.right == 1.0 && learned.moved > 0.0 && learned.iterations < 200);
        assert_eq!(learned.adapter_bytes, 4 * 8 * (256 + 64));
        // As many bytes with hardly any numbers: nothing can hold them.
        let few = Random::new(6).bytes(2048);
        let few = super::fit(&Cpu::new(1), &few, 1, Start::UpZero, (1, 20)).unwrap();
        assert!(!few.exact && few.right < 0.1, "{few:?}");
    }
}
