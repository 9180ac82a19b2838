use super::*;
use crate::statistics::simulation::{Noise, SignedRank, abba, generator};

const LEVEL: f64 = 0.05;

/// Series of 400 whose interval does not hold the ratio with which they were made.
fn missed(noise: Noise, rounds: usize, ratio: f64) -> usize {
    let level = Level::new(LEVEL, 1);
    let test = SignedRank::new(rounds, level);
    let mut rng = generator(rounds as u64);
    let missed = (0..400).filter(|_| {
        let runs = noise.runs(2 * rounds, &mut rng);
        let runs: Vec<f64> = runs.iter().map(|log| 0.05 * log).collect();
        let pairs = abba(&runs, ratio);
        test.rejects(&pairs, ratio.ln()) && {
            let found = Ratio::paired(&pairs, level).unwrap();
            !(found.low..=found.high).contains(&ratio)
        }
    });
    missed.count()
}

#[test]
fn intervals_hold_the_true_ratio_as_often_as_they_say() {
    for noise in Noise::ALL {
        for ratio in [0.9, 1.1] {
            let missed = missed(noise, 15, ratio);
            // 5 % and three standard errors.
            assert!(missed <= 33, "{noise:?} {ratio}: {missed} of 400");
        }
    }
    // Not by being as wide as can be.
    assert!(missed(Noise::Normal, 15, 0.9) >= 4);
}

#[test]
fn the_estimate_is_the_median_of_walsh_averages() {
    // Means of pairs of 0, 1, 5: 0, 0.5, 1, 2.5, 3, 5.
    let pairs = [0.0, 1.0, 5.0].map(|log: f64| (1.0, log.exp()));
    let found = Ratio::paired(&pairs, Level::METRICS).unwrap();
    assert!((found.ratio.ln() - 1.75).abs() < 1e-12);
    assert!((found.confidence - 0.75).abs() < 1e-12);
    assert!(found.low <= 1.0 && found.high.ln() >= 5.0 - 1e-12);
}

#[test]
fn the_interval_is_that_of_the_tables_widened() {
    // For n = 10 at 5 %, rank 9 of the 55 averages of 1 … 10 from either end: 3 and 8. The
    // bootstrap lies inside.
    let pairs: Vec<_> = (1..=10).map(|log| (1.0, f64::from(log).exp())).collect();
    let found = Ratio::paired(&pairs, Level::new(0.05, 1)).unwrap();
    assert!((found.ratio.ln() - 5.5).abs() < 1e-12);
    assert!(
        (found.low.ln() - (5.5 - 2.5 * LINGERING)).abs() < 1e-9,
        "{found:?}"
    );
    assert!(
        (found.high.ln() - (5.5 + 2.5 * LINGERING)).abs() < 1e-9,
        "{found:?}"
    );
}

#[test]
fn the_widening_is_the_most_that_lingering_noise_asks_for() {
    let variance = |keep: f64| 1.0 + keep * (1.0 - keep) / (1.0 + keep * keep);
    let most = (0..1000)
        .map(|keep| variance(f64::from(keep) / 1000.0))
        .fold(0.0, f64::max);
    assert!((most.sqrt() - LINGERING).abs() < 1e-6);
}

#[test]
fn unpaired_sides_of_one_distribution_are_rarely_different() {
    let level = Level::new(LEVEL, 1);
    let mut rng = generator(11);
    for noise in Noise::INDEPENDENT {
        let wrong = (0..100).filter(|_| {
            let mut values: Vec<f64> = noise.runs(19, &mut rng);
            for value in &mut values {
                *value = (0.05 * *value).exp();
            }
            let found = Ratio::unpaired(&values[..8], &values[8..], level).unwrap();
            found.low > 1.0 || found.high < 1.0
        });
        let wrong = wrong.count();
        // 5 % and three standard errors.
        assert!(wrong <= 12, "{noise:?}: {wrong} of 100");
    }
}

#[test]
fn an_unpaired_ratio_is_found_and_turns_around() {
    let base = [100.0, 104.0, 98.0, 101.0, 99.0, 103.0, 97.0];
    let candidate = base.map(|value| 1.2 * value);
    let found = Ratio::unpaired(&base, &candidate, Level::METRICS).unwrap();
    assert!((found.ratio - 1.2).abs() < 1e-9);
    assert!(found.low > 1.1 && found.high < 1.3, "{found:?}");
    let turned = Ratio::unpaired(&candidate, &base, Level::METRICS).unwrap();
    assert!((turned.ratio * found.ratio - 1.0).abs() < 1e-9);
    assert!(
        (turned.low * found.high - 1.0).abs() < 0.01,
        "another bootstrap: {turned:?}"
    );
    assert_eq!(Ratio::unpaired(&[], &base, Level::METRICS), None);
    assert_eq!(Ratio::unpaired(&base, &[0.0], Level::METRICS), None);
    let one = Ratio::unpaired(&[100.0], &candidate, Level::METRICS).unwrap();
    assert!((one.confidence - 0.75).abs() < 1e-12, "2 / C(8, 1)");
}
