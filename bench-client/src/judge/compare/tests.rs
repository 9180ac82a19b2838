use proptest::prelude::*;

use super::*;
use crate::statistics::simulation::{Noise, SignedRank, abba, generator};
use crate::statistics::smallest_effect;

const LEVEL: Level = Level::METRICS;

fn compare(metric: Metric, pairs: &[(f64, f64)]) -> MetricComparison {
    compare_metric(metric, pairs, LEVEL, EQUIVALENCE).unwrap()
}

fn is_claim(change: Change) -> bool {
    matches!(change, Change::Faster | Change::Slower)
}

/// Comparisons of equal sides, of so many, in which any of four metrics is called faster or
/// slower. The metrics have nothing to do with each other, which is the worst case.
fn false_claims(noise: Noise, rounds: usize, comparisons: u64) -> usize {
    let mut rng = generator(rounds as u64);
    let test = SignedRank::new(rounds, LEVEL);
    let wrong = (0..comparisons).filter(|_| {
        let series = [(); 4].map(|()| noise.runs(2 * rounds, &mut rng));
        series.into_iter().any(|runs| {
            let runs: Vec<f64> = runs.iter().map(|log| 0.05 * log).collect();
            let pairs = abba(&runs, 1.0);
            test.rejects(&pairs, 0.0) && is_claim(compare(Metric::Tps, &pairs).change)
        })
    });
    wrong.count()
}

#[test]
fn equal_sides_are_hardly_ever_called_different() {
    for noise in Noise::ALL {
        for rounds in [10, 21] {
            let wrong = false_claims(noise, rounds, 2_000);
            eprintln!("{noise:?} {rounds} {wrong}");
            // 1 % and three standard errors of it.
            assert!(wrong <= 33, "{noise:?}, {rounds} rounds: {wrong} of 2000");
        }
    }
}

#[test]
fn stopping_at_a_precision_does_not_pick_out_false_claims() {
    // Noise in which a few looks suffice, or many, or no number does in time.
    let mut wrong = 0;
    let (comparisons, looks) = (1_500, 10..=24);
    let mut rng = generator(5);
    for place in 0..comparisons {
        let noise = Noise::ALL[place % Noise::ALL.len()];
        let wrong_metric = |_: u8| {
            let runs = noise.runs(2 * looks.end(), &mut rng);
            let runs: Vec<f64> = runs.iter().map(|log| 0.05 * log).collect();
            let pairs = abba(&runs, 1.0);
            let spread = |count: usize| signed_rank_width(&pairs[..count]);
            let stop = looks.clone().find(|count| spread(*count) <= 0.06);
            let pairs = &pairs[..stop.unwrap_or(*looks.end())];
            SignedRank::new(pairs.len(), LEVEL).rejects(pairs, 0.0)
                && is_claim(compare(Metric::P99, pairs).change)
        };
        wrong += usize::from((0..4).map(wrong_metric).any(|wrong| wrong));
    }
    assert!(wrong <= 26, "{wrong} of {comparisons}");
}

/// Half the width of the interval of the signed-rank test alone, at fewest rounds the whole
/// range: like the united one's, and in microseconds.
fn signed_rank_width(pairs: &[(f64, f64)]) -> f64 {
    let mut logs: Vec<f64> = pairs
        .iter()
        .map(|(base, candidate)| (candidate / base).ln())
        .collect();
    logs.sort_unstable_by(f64::total_cmp);
    let deviation = {
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
        (squares / (logs.len() - 1) as f64).sqrt()
    };
    3.4 * deviation / (logs.len() as f64).sqrt()
}
