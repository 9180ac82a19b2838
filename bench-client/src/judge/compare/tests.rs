#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "small counts"
)]

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
            let spread = |count: usize| student_half_width(&pairs[..count]);
            let stop = looks.clone().find(|count| spread(*count) <= 0.06);
            let pairs = &pairs[..stop.unwrap_or(*looks.end())];
            SignedRank::new(pairs.len(), LEVEL).rejects(pairs, 0.0)
                && is_claim(compare(Metric::P99, pairs).change)
        };
        wrong += usize::from((0..4).any(wrong_metric));
    }
    assert!(wrong <= 26, "{wrong} of {comparisons}");
}

/// Half the width of Student's interval, which is near the real one and takes microseconds.
fn student_half_width(pairs: &[(f64, f64)]) -> f64 {
    let logs = log_ratios(pairs).unwrap();
    let count = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / count;
    let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
    3.4 * (squares / (count - 1.0) / count).sqrt()
}

/// Comparisons out of 60 that find a ratio between runs of normal noise.
fn found(ratio: f64, spread: f64, rounds: usize, change: Change) -> usize {
    let mut rng = generator(7);
    let comparisons = (0..60).filter(|_| {
        let runs = Noise::Normal.runs(2 * rounds, &mut rng);
        let runs: Vec<f64> = runs.iter().map(|log| spread * log).collect();
        compare(Metric::Tps, &abba(&runs, ratio)).change == change
    });
    comparisons.count()
}

#[test]
fn a_tenth_is_seen_through_noise_of_a_twentieth() {
    let slower = found(0.9, 0.05, 20, Change::Slower);
    assert!(slower >= 57, "{slower} of 60");
    let faster = found(1.1, 0.05, 20, Change::Faster);
    assert!(faster >= 57, "{faster} of 60");
}

#[test]
fn the_smallest_effect_is_seen_as_often_as_it_says() {
    let pair_spread = 0.05 * std::f64::consts::SQRT_2;
    for rounds in [10, 20] {
        let effect = smallest_effect(pair_spread, rounds, LEVEL, 0.9).unwrap();
        let seen = found((-effect).exp(), 0.05, rounds as usize, Change::Slower);
        // 90 % and three standard errors to either side.
        assert!(
            (46..60).contains(&seen),
            "{rounds} rounds, {effect}: {seen} of 60"
        );
    }
}

/// Pairs without luck: log ratios at quantiles of a normal distribution.
fn even_pairs(rounds: u32, ratio: f64, spread: f64) -> Vec<(f64, f64)> {
    let normal = statrs::distribution::Normal::standard();
    let pair = |round| {
        let quantile = (f64::from(round) + 0.5) / f64::from(rounds);
        (
            100.0,
            100.0 * ratio * (spread * normal.inverse_cdf(quantile)).exp(),
        )
    };
    (0..rounds).map(pair).collect()
}

#[test]
fn direction_belongs_to_the_metric() {
    let lower = even_pairs(20, 0.9, 0.02);
    assert_eq!(compare(Metric::Tps, &lower).change, Change::Slower);
    assert_eq!(compare(Metric::P50, &lower).change, Change::Faster);
    let higher = even_pairs(20, 1.1, 0.02);
    assert_eq!(compare(Metric::Tps, &higher).change, Change::Faster);
    assert_eq!(compare(Metric::P99, &higher).change, Change::Slower);
}

#[test]
fn fewer_rounds_than_the_level_needs_say_nothing_but_how_many_it_needs() {
    for rounds in 1..10 {
        let same = vec![(100.0, 50.0); rounds];
        let found = compare(Metric::Tps, &same);
        let more_rounds = Some(10 - rounds as u32);
        assert_eq!(found.change, Change::Inconclusive { more_rounds });
        assert!(!has_full_confidence(&found, LEVEL));
        assert!(!is_precise(&[found], 1.0, LEVEL));
    }
    let enough = compare(Metric::Tps, &[(100.0, 50.0); 10]);
    assert_eq!(enough.change, Change::Slower);
    assert!(has_full_confidence(&enough, LEVEL));
    assert!(is_precise(&[enough], 0.02, LEVEL));
    assert!(!is_precise(&[], 0.02, LEVEL));
}

#[test]
fn narrow_intervals_around_no_change_prove_that_there_is_none() {
    let found = compare(Metric::Tps, &even_pairs(20, 1.001, 0.03));
    let Change::NoDifference { within } = found.change else {
        panic!("{found:?}");
    };
    assert!(within > 0.01 && within <= EQUIVALENCE, "{within}");
    assert!(within >= found.high - 1.0 && within >= 1.0 - found.low);
    let equal = compare(Metric::Tps, &[(100.0, 100.0); 12]);
    assert_eq!(equal.change, Change::NoDifference { within: 0.0 });
}

#[test]
fn the_rounds_that_are_asked_for_are_enough_or_nearly() {
    for (ratio, spread) in [(0.95, 0.1), (1.0, 0.1), (1.03, 0.08)] {
        let few = compare(Metric::Tps, &even_pairs(12, ratio, spread));
        let Change::Inconclusive {
            more_rounds: Some(more),
        } = few.change
        else {
            panic!("{few:?}");
        };
        let then = compare(Metric::Tps, &even_pairs(12 + more * 5 / 4, ratio, spread));
        let undecided = matches!(then.change, Change::Inconclusive { .. });
        assert!(!undecided, "{ratio} {spread}: {more} more, {then:?}");
        let half = compare(Metric::Tps, &even_pairs(12 + more / 2, ratio, spread));
        let undecided = matches!(half.change, Change::Inconclusive { .. });
        assert!(undecided, "{ratio} {spread}: {more} more, {half:?}");
    }
    let hopeless = compare(Metric::Tps, &even_pairs(12, 1.0, 3.0));
    assert_eq!(hopeless.change, Change::Inconclusive { more_rounds: None });
}

#[test]
fn a_recorded_base_asks_for_runs_of_the_candidate() {
    let unpaired = |base: &[f64], candidate: &[f64]| {
        compare_metric_unpaired(Metric::Tps, base, candidate, LEVEL, EQUIVALENCE).unwrap()
    };
    let base: Vec<f64> = (0..8).map(|run| 100.0 + f64::from(run)).collect();
    let slower: Vec<f64> = base.iter().map(|value| 0.8 * value).collect();
    assert_eq!(unpaired(&base, &slower).change, Change::Slower);
    assert_eq!(unpaired(&slower, &base).change, Change::Faster);
    // 2 / C(12, 4) = 0.004, 2 / C(13, 5) = 0.0016.
    let few = unpaired(&base, &slower[..4]).change;
    assert_eq!(
        few,
        Change::Inconclusive {
            more_rounds: Some(1)
        }
    );
    let single = unpaired(&base[..1], &slower).change;
    assert_eq!(
        single,
        Change::Inconclusive {
            more_rounds: Some(791)
        }
    );
}

fn round(base_row: usize, candidate_row: usize) -> Round {
    Round {
        base_row,
        candidate_row,
        base_first: base_row < candidate_row,
    }
}

#[test]
fn neighbours_of_the_same_side_are_found_and_every_second_is_turned_around() {
    // A B, B A, A B, B A.
    let abba = [round(0, 1), round(3, 2), round(4, 5), round(7, 6)];
    assert_eq!(same_side(&abba), [(1, 2), (4, 3), (5, 6)]);
    // A B, A B: neighbours are of different sides.
    assert_eq!(same_side(&[round(0, 1), round(2, 3)]), []);
    assert_eq!(same_side(&[]), []);
}

#[test]
fn the_noise_floor_is_what_equal_sides_show() {
    let spread = 0.05;
    let floor = noise_floor(Metric::P99, &even_pairs(19, 1.0, spread), 20, LEVEL).unwrap();
    assert_eq!((floor.metric, floor.pairs), (Metric::P99, 19));
    // The median of |normal| is 0.674 of its deviation.
    assert!((floor.typical - 0.674 * spread).abs() < 0.003, "{floor:?}");
    let compared = compare(Metric::P99, &even_pairs(20, 1.0, spread));
    let near = floor.smallest_effect.unwrap() / compared.half_width();
    assert!((0.9..1.1).contains(&near), "{near}");
    assert!(
        (pair_spread(&floor) / spread - 1.0).abs() < 0.1,
        "{floor:?}"
    );
    // Few pairs are carried over to the rounds that the level needs.
    let few = noise_floor(Metric::P99, &even_pairs(4, 1.0, spread), 5, LEVEL).unwrap();
    assert!(
        (0.03..0.3).contains(&few.smallest_effect.unwrap()),
        "{few:?}"
    );
    assert_eq!(noise_floor(Metric::P99, &[(1.0, 1.0)], 2, LEVEL), None);
    assert_eq!(noise_floor(Metric::P99, &[(1.0, 0.0); 3], 4, LEVEL), None);
}

const fn reversed(change: Change) -> Change {
    match change {
        Change::Faster => Change::Slower,
        Change::Slower => Change::Faster,
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_unit_does_not_matter_and_sides_can_be_swapped(
        pairs in prop::collection::vec((50.0..150.0_f64, 40.0..120.0_f64), 1..16),
        unit in 0.001..1000.0_f64,
    ) {
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
        let plain = compare(Metric::P95, &pairs);
        prop_assert!(plain.low <= plain.ratio && plain.ratio <= plain.high);
        let scaled: Vec<_> = pairs.iter().map(|(a, b)| (a * unit, b * unit)).collect();
        let scaled = compare(Metric::P95, &scaled);
        prop_assert!(near(plain.ratio, scaled.ratio));
        prop_assert!(near(plain.low, scaled.low) && near(plain.high, scaled.high));
        prop_assert_eq!(is_claim(plain.change), is_claim(scaled.change));
        let swapped: Vec<_> = pairs.iter().map(|(a, b)| (*b, *a)).collect();
        let swapped = compare(Metric::P95, &swapped);
        prop_assert!(near(plain.ratio, 1.0 / swapped.ratio));
        prop_assert!(near(plain.low, 1.0 / swapped.high) && near(plain.high, 1.0 / swapped.low));
        let kind = std::mem::discriminant::<Change>;
        prop_assert_eq!(kind(&plain.change), kind(&reversed(swapped.change)));
        // What the signed-rank test does not reject is never a claim.
        if !SignedRank::new(pairs.len(), LEVEL).rejects(&pairs, 0.0) {
            prop_assert!(!is_claim(plain.change));
        }
    }

    #[test]
    fn more_of_the_same_narrows_the_interval(
        pairs in prop::collection::vec((50.0..150.0_f64, 40.0..120.0_f64), 12..20),
    ) {
        let once = compare(Metric::Tps, &pairs);
        let twice = compare(Metric::Tps, &pairs.repeat(2));
        prop_assert!(twice.half_width() < once.half_width());
    }
}

#[test]
fn what_is_not_above_zero_is_not_compared() {
    for pairs in [
        vec![],
        vec![(0.0, 1.0)],
        vec![(1.0, f64::NAN)],
        vec![(1.0, -1.0)],
    ] {
        assert_eq!(
            compare_metric(Metric::Tps, &pairs, LEVEL, EQUIVALENCE),
            None
        );
    }
}
