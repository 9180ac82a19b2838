//! The hot paths of client and servers, timed. Elements are transfers.
//!
//! `cargo bench -p busload-benches --bench hot_path`, about a minute and a half. How many
//! instructions they take, which other programs on the machine do not move, is counted by the
//! program `instructions`.

use std::path::PathBuf;
use std::time::Duration;

use busload_benches::Setup;
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn hot_path(c: &mut Criterion) {
    // On the disk that is to be measured: a temporary directory may be memory.
    let setup = Setup {
        directory: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
        null_sync: Duration::ZERO,
    };
    let mut group = c.benchmark_group("hot_path");
    group.sampling_mode(SamplingMode::Flat);
    for path in busload_benches::all() {
        group.throughput(Throughput::Elements(path.transfers as u64));
        let name = path.name.clone();
        // Set up only if it is asked for, and once.
        let (mut path, mut turn) = (Some(path), None);
        group.bench_function(name, |bencher| {
            if let Some(path) = path.take() {
                turn = Some(path.open(&setup));
            }
            let turn = turn.as_mut().expect("opened above");
            bencher.iter(turn);
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = hot_path
}
criterion_main!(benches);
