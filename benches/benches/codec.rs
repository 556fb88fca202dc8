//! The codec's parts, each alone: range coder, mixing network, relocation, alignment; and what it takes to fit one file.

use std::hint::black_box;
use std::time::Duration;

use benches::Update;
use codec_core::entropy::range::{Coder, RangeDecoder, RangeEncoder};
use codec_core::mix::mixer::{Mixer, WEIGHT_ONE};
use codec_core::reloc::address::AddressModel;
use codec_core::reloc::thumb::Thumb;
use codec_core::reloc::{Isa, IsaKind, Window};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use host_trainer::align::Aligner;
use host_trainer::align::path::Costs;
use host_trainer::align::suffix::SuffixIndex;
use host_trainer::backend::cpu::Cpu;
use host_trainer::bench::stats::Kind;
use host_trainer::codec::{Format, Options, Profile};
use host_trainer::fit::file::{self, shortest};
use host_trainer::fit::memory::{DIMS, fit, fit_all};

const DECISIONS: usize = 1 << 16;
/// Length of the file that is fitted, bytes.
const FITTED: usize = 512;

/// A fixed xorshift32 sequence.
fn xorshift() -> impl FnMut() -> u32 {
    let mut state = 0x9e37_79b9_u32;
    move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    }
}

/// Bits with the probability that the coder is told: `(bit, p)`, p in 1/65536.
fn decisions() -> Vec<(u32, u32)> {
    let mut next = xorshift();
    (0..DECISIONS)
        .map(|_| {
            // Skewed to the edges, as after good predictions.
            let p = if next() & 3 == 0 { (next() >> 16).clamp(1, 65535) } else { 64 + (next() & 255) };
            (u32::from(next() >> 16 < p), p)
        })
        .collect()
}

fn range_coder(criterion: &mut Criterion) {
    let decisions = decisions();
    let mut group = criterion.benchmark_group("codec/range_coder");
    group.throughput(Throughput::Elements(DECISIONS as u64)).measurement_time(Duration::from_secs(2));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            let mut bytes = 0_u32;
            let mut coder = RangeEncoder::new(|byte| bytes += u32::from(black_box(byte) != 0));
            for &(bit, p) in &decisions {
                coder.code(bit, p);
            }
            let _sink = coder.finish();
            bytes
        });
    });
    let mut payload = Vec::new();
    let mut coder = RangeEncoder::new(|byte| payload.push(byte));
    for &(bit, p) in &decisions {
        coder.code(bit, p);
    }
    let _sink = coder.finish();
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            let mut coder = RangeDecoder::<256>::new();
            let (mut rest, mut ones) = (&payload[..], 0);
            for &(_, p) in &decisions {
                if coder.buffered() < 8 {
                    rest = &rest[coder.push(rest)..];
                }
                ones += coder.code(0, p);
            }
            ones
        });
    });
    group.finish();
}

fn mixer(criterion: &mut Criterion) {
    const INPUTS: usize = 8;
    let decisions = decisions();
    let mut group = criterion.benchmark_group("codec/mixer");
    group.throughput(Throughput::Elements(DECISIONS as u64)).measurement_time(Duration::from_secs(2));
    group.bench_function("mix_and_learn", |bencher| {
        let mut mixer = Mixer::<INPUTS, 16>::new(WEIGHT_ONE / INPUTS as i16);
        bencher.iter(|| {
            let mut sum = 0;
            for &(bit, p) in &decisions {
                let logit = (p as i32 >> 5) - 1024;
                let inputs: [i32; INPUTS] = core::array::from_fn(|input| logit >> (input & 3));
                sum ^= mixer.mix(&inputs, (p & 15) as usize);
                mixer.learn(&inputs, bit, 5, 0);
            }
            sum
        });
    });
    group.finish();
}

/// The bundled near update: Thumb code.
fn near() -> Update {
    benches::updates().into_iter().find(|update| update.kind == Kind::Near).expect("a near update is bundled")
}

fn relocation(criterion: &mut Criterion) {
    let update = near();
    let mut group = criterion.benchmark_group("codec/relocation");
    group.throughput(Throughput::Bytes(update.old.len() as u64)).measurement_time(Duration::from_secs(2));
    group.bench_function("thumb", |bencher| {
        bencher.iter(|| {
            let (mut at, mut sum) = (0, 0);
            while at + 4 <= update.old.len() {
                let window = Window::new(black_box(&update.old), at);
                let site = Thumb.site(&window, at as u32);
                let moved = Thumb.relocate(&window, &site, at as u32 + 8, site.target.wrapping_add(16));
                sum ^= moved.unwrap_or(0);
                at += usize::from(site.len.max(2));
            }
            sum
        });
    });
    group.finish();
}

/// What the encoder does before it codes: the suffix array, one pass of the path search, and all passes with the votes
/// for link addresses between them. Throughput is of the new file.
fn alignment(criterion: &mut Criterion) {
    let Update { old, new, .. } = near();
    let mut group = criterion.benchmark_group("codec/alignment");
    group.throughput(Throughput::Bytes(new.len() as u64)).sample_size(10).measurement_time(Duration::from_secs(3));
    group.bench_function("suffix_array", |bencher| bencher.iter(|| SuffixIndex::new(black_box(&old)).start(0)));
    group.bench_function("one_pass", |bencher| {
        let plain = AddressModel::new(IsaKind::Plain);
        bencher.iter(|| Aligner::new(black_box(&old), &new, Costs::default()).align(&plain, &[]));
    });
    group.bench_function("thumb_one_region", |bencher| {
        let thumb = AddressModel::new(IsaKind::Thumb);
        bencher.iter(|| Aligner::new(black_box(&old), &new, Costs::default()).find(&thumb, 1));
    });
    group.finish();
}

/// A file of random bytes, on one thread: the position memory of 64 dimensions alone, and all that `gmcf fit FILE` tries.
/// Throughput is of files.
fn fitting(criterion: &mut Criterion) {
    let mut next = xorshift();
    let file: Vec<u8> = (0..FITTED).map(|_| (next() >> 24) as u8).collect();
    let backend = Cpu::new(1);
    let options = Options { profile: Profile::Small, format: Format::V2, base: None, progress: None };
    let mut group = criterion.benchmark_group("codec/fit_512_bytes");
    group.throughput(Throughput::Elements(1)).measurement_time(Duration::from_secs(3));
    group.bench_function("memory_of_64", |bencher| bencher.iter(|| fit(&backend, &[black_box(&file)], 64)));
    group.bench_function("every_way", |bencher| {
        bencher.iter(|| {
            let residual = file::residual(&file, None, &options).expect("any file has one");
            let mut candidates = vec![file::stored_memory(&file).expect("any file is one"), residual];
            let least = shortest(&candidates).map(|best| candidates[best].bytes);
            for dim in DIMS {
                fit_all(&backend, &[black_box(&file)], dim, |_, rows| {
                    candidates.extend(file::memories(&file, dim, rows, least).expect("memories of this file"));
                })
                .expect("the CPU is always there");
            }
            shortest(&candidates)
        });
    });
    group.finish();
}

criterion_group!(parts, range_coder, mixer, relocation, alignment, fitting);
criterion_main!(parts);
