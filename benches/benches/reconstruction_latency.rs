//! How long a device-sized decoder takes on this machine, per profile and kind of update: until its first byte of
//! output, and for the whole file.

use std::hint::black_box;
use std::time::Duration;

use benches::Update;
use codec_core::decoder::Decoder;
use codec_core::limits;
use codec_core::storage::ReadAt;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use host_trainer::codec::{self, Format, Options, Profile};
use host_trainer::fit::encode::with_big_stack;
use host_trainer::report::breakdown::profile_name;

/// An update and its container for one profile.
struct Case {
    update: Update,
    profile: Profile,
    container: Vec<u8>,
}

impl Case {
    fn id(&self) -> BenchmarkId {
        BenchmarkId::new(self.update.kind.name(), profile_name(self.profile))
    }
}

fn cases() -> Vec<Case> {
    let updates = benches::updates().into_iter();
    let all = updates.flat_map(|update| Profile::ALL.map(|profile| (update.clone(), profile)));
    all.map(|(update, profile)| {
        let options = Options { profile, format: Format::V2, base: None, progress: None };
        let made = codec::compress(&update.new, Some(&update.old), &options).expect("the update compresses");
        Case { update, profile, container: made.bytes }
    })
    .collect()
}

/// Feeds a new decoder until it writes: header, the old image's identity, map, and with a primed network the whole old
/// image once more come before. Never inlined, so that each profile's decoder has a stack frame of its own.
#[inline(never)]
fn until_written<O: ReadAt, const A: usize, const B: usize, const C: usize, const D: usize>(
    make: impl FnOnce() -> Decoder<O, A, B, C, D>,
    container: &[u8],
) -> u8 {
    let mut decoder = Box::new(make());
    let mut rest = container;
    let mut byte = [0];
    loop {
        let step = decoder.update(rest, &mut byte).expect("the container is right");
        if step.written > 0 {
            return byte[0];
        }
        rest = &rest[step.consumed..];
        assert!(!rest.is_empty(), "nothing was written");
    }
}

/// The first byte of the rebuilt file, all of the container being there. The decoder's tables are set up each time.
fn first_byte(case: &Case) -> u8 {
    let (old, container) = (&case.update.old[..], &case.container[..]);
    match case.profile {
        Profile::Tiny => until_written(|| limits::Tiny::new(old), container),
        Profile::Small => until_written(|| limits::Small::new(old), container),
        Profile::Medium => until_written(|| limits::Medium::new(old), container),
        Profile::Host => with_big_stack(|| until_written(|| limits::Host::new(old), container)),
    }
}

fn latency(criterion: &mut Criterion) {
    let cases = cases();
    let mut group = criterion.benchmark_group("reconstruction_latency/first_byte");
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    for case in &cases {
        assert_eq!(first_byte(case), case.update.new[0]);
        group.bench_function(case.id(), |bencher| bencher.iter(|| first_byte(black_box(case))));
    }
    group.finish();

    let mut group = criterion.benchmark_group("reconstruction_latency/whole_file");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for case in &cases {
        group.throughput(Throughput::Bytes(case.update.new.len() as u64));
        group.bench_function(case.id(), |bencher| {
            let old = Some(&case.update.old[..]);
            bencher.iter(|| codec::apply(&[black_box(&case.container)], old).expect("it applies"));
        });
    }
    group.finish();
}

criterion_group!(benches, latency);
criterion_main!(benches);
