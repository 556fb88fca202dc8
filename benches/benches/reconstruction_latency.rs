//! How long a device-sized decoder takes on this machine: per profile and kind of update.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use host_trainer::codec::{self, Format, Options, Profile};
use host_trainer::report::breakdown::profile_name;

fn whole_file(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reconstruction_latency/whole_file");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for update in benches::updates() {
        for profile in [Profile::Tiny, Profile::Small, Profile::Medium, Profile::Host] {
            let options = Options { profile, format: Format::V2, progress: None };
            let made = codec::compress(&update.new, Some(&update.old), &options).expect("the update compresses");
            group.throughput(Throughput::Bytes(update.new.len() as u64));
            let id = BenchmarkId::new(update.kind.name(), profile_name(profile));
            group.bench_function(id, |bencher| {
                bencher.iter(|| codec::apply(&[black_box(&made.bytes)], Some(&update.old)).expect("it applies"));
            });
        }
    }
    group.finish();
}

criterion_group!(latency, whole_file);
criterion_main!(latency);
