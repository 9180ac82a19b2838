//! Draws per second of the workload: our alias table beside the two candidates of `rand_distr`,
//! and what it costs to build one.
//!
//! `cargo bench --bench zipf`, a little over a minute.

use std::{hint::black_box, sync::Arc, time::Duration};

use bench_client::workload::{TransferSource, Zipf};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand_distr::{Distribution, weighted::WeightedAliasIndex};
use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng};

const SEED: u64 = 42;
const ALPHAS: [f64; 2] = [0.99, 1.5];
const ACCOUNT_COUNTS: [u32; 3] = [1_000, 100_000, 10_000_000];

fn weights(account_count: u32, alpha: f64) -> Vec<f64> {
    (1..=account_count)
        .map(|k| libm::pow(f64::from(k), -alpha))
        .collect()
}

/// One draw. Successive draws are independent, so their cache misses overlap in this loop; among
/// the other work of a worker they overlap less.
fn draw(criterion: &mut Criterion) {
    for account_count in ACCOUNT_COUNTS {
        let mut group = criterion.benchmark_group(format!("draw/{account_count}"));
        group.throughput(Throughput::Elements(1));
        for alpha in ALPHAS {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(SEED);
            let zipf = Zipf::new(account_count, alpha).expect("in range");
            group.bench_function(BenchmarkId::new("busload", alpha), |bencher| {
                bencher.iter(|| zipf.sample(&mut rng));
            });
            drop(zipf);
            let alias = WeightedAliasIndex::new(weights(account_count, alpha)).expect("in range");
            group.bench_function(BenchmarkId::new("rand_distr alias f64", alpha), |bencher| {
                bencher.iter(|| alias.sample(&mut rng));
            });
            drop(alias);
            let formula = rand_distr::Zipf::new(f64::from(account_count), alpha).expect("in range");
            group.bench_function(BenchmarkId::new("rand_distr zipf", alpha), |bencher| {
                bencher.iter(|| formula.sample(&mut rng));
            });
        }
        group.finish();
    }
}

/// A whole transfer: both accounts, redraws included. Alpha 4.2 is the worst case of redrawing,
/// just below the exponent from which there is a second table.
fn pair(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pair/100000");
    group.throughput(Throughput::Elements(1));
    for alpha in [0.0, 0.99, 1.5, 4.2, 50.0] {
        let accounts = Arc::new(Zipf::new(100_000, alpha).expect("in range"));
        let mut source = TransferSource::new(accounts, SEED, 0);
        group.bench_function(BenchmarkId::from_parameter(alpha), |bencher| {
            bencher.iter(|| source.next_pair());
        });
    }
    group.finish();
}

fn build(criterion: &mut Criterion) {
    for account_count in ACCOUNT_COUNTS {
        let mut group = criterion.benchmark_group(format!("build/{account_count}"));
        group.throughput(Throughput::Elements(account_count.into()));
        group.bench_function("busload", |bencher| {
            bencher.iter(|| Zipf::new(black_box(account_count), 1.5).expect("in range"));
        });
        group.bench_function("rand_distr alias f64", |bencher| {
            bencher.iter(|| WeightedAliasIndex::new(weights(black_box(account_count), 1.5)));
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = draw, pair, build
}
criterion_main!(benches);
