//! Position memories.

use super::{Case, Error, Random, Timed, Unit, Work};
use crate::backend::memories::BYTES;
use crate::backend::{Backend, BackendError, MemoryShape};

/// Files, lengths and dimensions: one of everything; parts of tiles; more tiles than one; more columns of the projection than
/// a block holds, and a part of them; more files than blocks.
const SHAPES: [[usize; 3]; 6] = [[1, 1, 8], [3, 33, 24], [2, 70, 64], [1, 40, 136], [1, 33, 256], [270, 5, 8]];

/// Memories and what they are to say.
struct Memory {
    shape: MemoryShape,
    out: Vec<f32>,
    rows: Vec<f32>,
    targets: Vec<u8>,
}

/// What is to come out, in f64.
struct Expected {
    costs: Vec<f64>,
    right: Vec<u32>,
    bytes: Vec<u8>,
    d_rows: Vec<f64>,
    d_out: Vec<f64>,
}

impl Memory {
    fn random([files, len, dim]: [usize; 3], random: &mut Random) -> Self {
        let shape = MemoryShape { files, len, dim };
        let mut rows = random.floats(shape.numbers());
        // So that some logits are large and some positions sure.
        rows.iter_mut().for_each(|x| *x *= 4.0);
        Self { shape, out: random.floats(BYTES * dim), rows, targets: random.bytes(files * len) }
    }

    fn logits(&self, position: usize) -> Vec<f64> {
        let dim = self.shape.dim;
        let row = &self.rows[position * dim..][..dim];
        let dot = |out: &[f32]| out.iter().zip(row).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        self.out.chunks(dim).map(dot).collect()
    }

    fn cost(&self, position: usize) -> f64 {
        let logits = self.logits(position);
        logits.iter().map(|x| x.exp()).sum::<f64>().ln() - logits[usize::from(self.targets[position])]
    }

    fn expected(&self) -> Expected {
        let MemoryShape { files, len, dim } = self.shape;
        let mut e = Expected {
            costs: vec![0.0; files],
            right: vec![0; files],
            bytes: Vec::new(),
            d_rows: vec![0.0; self.rows.len()],
            d_out: vec![0.0; files * BYTES * dim],
        };
        for position in 0..files * len {
            let (file, target) = (position / len, self.targets[position]);
            let logits = self.logits(position);
            let sum: f64 = logits.iter().map(|x| x.exp()).sum();
            let best = (0..BYTES).rev().max_by(|a, b| logits[*a].total_cmp(&logits[*b])).expect("256 logits");
            e.costs[file] += self.cost(position);
            e.right[file] += u32::from(best == usize::from(target));
            e.bytes.push(best as u8);
            for (class, logit) in logits.iter().enumerate() {
                let d = logit.exp() / sum - f64::from(u8::from(class == usize::from(target)));
                for k in 0..dim {
                    e.d_rows[position * dim + k] += d * f64::from(self.out[class * dim + k]);
                    e.d_out[(file * BYTES + class) * dim + k] += d * f64::from(self.rows[position * dim + k]);
                }
            }
        }
        e
    }
}

/// The bytes by their bits: column `k` is 1 where bit `k % 8` of the byte is set, else -1.
fn natural_code(dim: usize) -> Vec<f32> {
    (0..BYTES * dim).map(|i| if i / dim >> (i % dim % 8) & 1 == 1 { 1.0 } else { -1.0 }).collect()
}

fn step<B: Backend>(b: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 1e-5 };
    for shape in SHAPES {
        let memory = Memory::random(shape, random);
        let expected = memory.expected();
        let (out, targets) = (b.upload(&memory.out)?, b.upload(&memory.targets)?);
        let mut rows = b.upload(&memory.rows)?;
        let mut costs = b.upload(&vec![f32::NAN; memory.shape.files])?;
        let mut right = b.upload(&vec![u32::MAX; memory.shape.files])?;
        b.memory_step(memory.shape, 0.75, &out, &targets, &mut rows, &mut costs, &mut right)?;
        let after: Vec<f64> = memory.rows.iter().zip(&expected.d_rows).map(|(x, d)| f64::from(*x) - 0.75 * d).collect();
        worst = worst.worst(Error::between(&b.download(&rows)?, &after, 1e-5));
        worst = worst.worst(Error::between(&b.download(&costs)?, &expected.costs, 1e-5));
        worst = worst.worst(Error::exact(&b.download(&right)?, &expected.right));
    }
    Ok(worst)
}

fn forward<B: Backend>(b: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 1e-5 };
    for shape in SHAPES {
        let memory = Memory::random(shape, random);
        let expected = memory.expected();
        let (out, targets, rows) = (b.upload(&memory.out)?, b.upload(&memory.targets)?, b.upload(&memory.rows)?);
        let mut costs = b.upload(&vec![f32::NAN; memory.shape.files])?;
        let mut right = b.upload(&vec![u32::MAX; memory.shape.files])?;
        b.memory_cost(memory.shape, &out, &targets, &rows, &mut costs, &mut right)?;
        worst = worst.worst(Error::between(&b.download(&costs)?, &expected.costs, 1e-5));
        worst = worst.worst(Error::exact(&b.download(&right)?, &expected.right));
        let wrong: Vec<u8> = expected.bytes.iter().map(|byte| !byte).collect();
        let mut bytes = b.upload(&wrong)?;
        b.memory_read(memory.shape, &out, &rows, &mut bytes)?;
        worst = worst.worst(Error::exact(&b.download(&bytes)?, &expected.bytes));
    }
    Ok(worst)
}

fn gradients<B: Backend>(b: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 1e-5 };
    for shape in SHAPES {
        let memory = Memory::random(shape, random);
        let expected = memory.expected();
        let (out, targets, rows) = (b.upload(&memory.out)?, b.upload(&memory.targets)?, b.upload(&memory.rows)?);
        let mut d_rows = b.upload(&vec![f32::NAN; memory.rows.len()])?;
        let mut d_out = b.upload(&vec![f32::NAN; expected.d_out.len()])?;
        b.memory_gradients(memory.shape, &out, &targets, &rows, &mut d_rows, &mut d_out)?;
        worst = worst.worst(Error::between(&b.download(&d_rows)?, &expected.d_rows, 1e-5));
        worst = worst.worst(Error::between(&b.download(&d_out)?, &expected.d_out, 1e-5));
    }
    Ok(worst)
}

/// The gradient beside differences of costs in f64.
fn differences<B: Backend>(b: &B, random: &mut Random) -> Result<Error, BackendError> {
    const STEP: f32 = 1.0 / 1024.0;
    let mut memory = Memory::random([1, 2, 8], random);
    let (out, targets, rows) = (b.upload(&memory.out)?, b.upload(&memory.targets)?, b.upload(&memory.rows)?);
    let mut d_rows = b.upload(&vec![f32::NAN; memory.rows.len()])?;
    let mut d_out = b.upload(&vec![f32::NAN; memory.out.len()])?;
    b.memory_gradients(memory.shape, &out, &targets, &rows, &mut d_rows, &mut d_out)?;
    // A parameter of `list`, moved to both sides; the distance is that of the numbers in f32.
    let mut slope = |list: fn(&mut Memory) -> &mut Vec<f32>, i: usize| {
        let at = list(&mut memory)[i];
        let mut side = |to: f32| {
            list(&mut memory)[i] = to;
            memory.cost(0) + memory.cost(1)
        };
        let difference = side(at + STEP) - side(at - STEP);
        side(at);
        difference / (f64::from(at + STEP) - f64::from(at - STEP))
    };
    let of_rows: Vec<f64> = (0..16).map(|i| slope(|memory| &mut memory.rows, i)).collect();
    let of_out: Vec<f64> = (0..8 * BYTES).map(|i| slope(|memory| &mut memory.out, i)).collect();
    let rows = Error::between(&b.download(&d_rows)?, &of_rows, 1e-4);
    Ok(rows.worst(Error::between(&b.download(&d_out)?, &of_out, 1e-4)))
}

/// One step from nothing, with the natural code, and every byte is known.
fn from_nothing<B: Backend>(b: &B, random: &mut Random) -> Result<Error, BackendError> {
    let mut worst = Error { found: 0.0, allowed: 0.0 };
    for dim in [8, 64, 256] {
        let shape = MemoryShape { files: 2, len: 50, dim };
        let mut bytes = random.bytes(100);
        // Equal logits say 0.
        (bytes[3], bytes[60], bytes[99]) = (0, 0, 0);
        let zeros = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == 0).count() as u32;
        let (out, targets) = (b.upload(&natural_code(dim))?, b.upload(&bytes)?);
        let mut rows = b.zeros(shape.numbers())?;
        let (mut costs, mut right) = (b.upload(&[f32::NAN; 2])?, b.upload(&[u32::MAX; 2])?);
        b.memory_step(shape, 1.0, &out, &targets, &mut rows, &mut costs, &mut right)?;
        worst = worst.worst(Error::between(&b.download(&costs)?, &[50.0 * 256f64.ln(); 2], 1e-6));
        worst = worst.worst(Error::exact(&b.download(&right)?, &[zeros(&bytes[..50]), zeros(&bytes[50..])]));
        b.memory_cost(shape, &out, &targets, &rows, &mut costs, &mut right)?;
        worst = worst.worst(Error::exact(&b.download(&right)?, &[50, 50]));
        let mut said = b.zeros(100)?;
        b.memory_read(shape, &out, &rows, &mut said)?;
        worst = worst.worst(Error::exact(&b.download(&said)?, &bytes));
    }
    Ok(worst)
}

/// 4096 files of 512 bytes, 64 numbers for a byte.
const LARGE: MemoryShape = MemoryShape { files: 4096, len: 512, dim: 64 };

/// What it takes when each number of the rows is read or written `times`, with so many products.
fn work(times: usize, products: usize) -> Work {
    let positions = LARGE.files * LARGE.len;
    let operations = 2.0 * (positions * BYTES * LARGE.dim * products) as f64;
    Work { bytes: (4 * times * LARGE.numbers() + positions) as f64, operations, unit: Unit::Fma }
}

fn time_step<'a, B: Backend>(b: &'a B, random: &mut Random) -> Result<Timed<'a>, BackendError> {
    let memory = Memory::random([LARGE.files, LARGE.len, LARGE.dim], random);
    let (out, targets, mut rows) = (b.upload(&memory.out)?, b.upload(&memory.targets)?, b.upload(&memory.rows)?);
    let (mut costs, mut right) = (b.zeros(LARGE.files)?, b.zeros(LARGE.files)?);
    let run = move || b.memory_step(LARGE, 1e-3, &out, &targets, &mut rows, &mut costs, &mut right);
    Ok((work(2, 2), Box::new(run)))
}

fn time_read<'a, B: Backend>(b: &'a B, random: &mut Random) -> Result<Timed<'a>, BackendError> {
    let memory = Memory::random([LARGE.files, LARGE.len, LARGE.dim], random);
    let (out, rows) = (b.upload(&memory.out)?, b.upload(&memory.rows)?);
    let mut bytes = b.zeros(LARGE.files * LARGE.len)?;
    Ok((work(1, 1), Box::new(move || b.memory_read(LARGE, &out, &rows, &mut bytes))))
}

fn time_gradients<'a, B: Backend>(b: &'a B, random: &mut Random) -> Result<Timed<'a>, BackendError> {
    let memory = Memory::random([LARGE.files, LARGE.len, LARGE.dim], random);
    let (out, targets, rows) = (b.upload(&memory.out)?, b.upload(&memory.targets)?, b.upload(&memory.rows)?);
    let (mut d_rows, mut d_out) = (b.zeros(LARGE.numbers())?, b.zeros(LARGE.files * memory.out.len())?);
    let run = move || b.memory_gradients(LARGE, &out, &targets, &rows, &mut d_rows, &mut d_out);
    Ok((work(2, 3), Box::new(run)))
}

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case {
            name: "memory_step",
            kernels: &["memory_step", "memory_counts"],
            check: step,
            time: Some(|b, random| time_step(b, random)),
        },
        Case {
            name: "memory_cost, memory_read",
            kernels: &["memory_forward", "memory_counts"],
            check: forward,
            time: Some(|b, random| time_read(b, random)),
        },
        Case {
            name: "memory_gradients",
            kernels: &["memory_step", "memory_out_gradient"],
            check: gradients,
            time: Some(|b, random| time_gradients(b, random)),
        },
        Case {
            name: "memory_gradients beside differences",
            kernels: &["memory_step", "memory_out_gradient"],
            check: differences,
            time: None,
        },
        Case {
            name: "memory_step from nothing",
            kernels: &["memory_step", "memory_forward", "memory_counts"],
            check: from_nothing,
            time: None,
        },
    ]
}
