//! How long a comparison must be: draws comparisons of other lengths from the rounds of recorded
//! ones and says how many of them call the candidate slower or faster.
//!
//! `cargo run --release --example comparison_power -- [RATIO] RECORD…`
//!
//! The records are of `bench-client compare` with the same two sides. Rounds are drawn with
//! replacement (Efron & Tibshirani, *An Introduction to the Bootstrap*, 1993), so what rounds of
//! one comparison have in common is not in it. With a RATIO such as 0.95 every round's TPS of
//! the candidate is scaled by the same factor first, so that all rounds together have this ratio
//! of TPS, and only TPS is judged.
//!
//! `cargo run --release --example comparison_power -- equal RECORD…` instead compares each side
//! with itself, of which none may be called slower or faster: of rounds in ABBA order, runs of
//! one side that are neighbours in time are pairs.

use std::ffi::OsStr;
use std::io::Write as _;

use anyhow::Context as _;
use bench_client::judge::compare::{compare_metric, pairs};
use bench_client::record::comparison::{Change, ComparisonRecord, Metric, Round};
use bench_client::statistics::{Level, Ratio};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

/// Rounds of the comparisons that are drawn: 28 take two minutes by default.
const LENGTHS: [usize; 9] = [14, 28, 42, 49, 56, 63, 70, 84, 112];
/// Comparisons that are drawn for each length: a share of 90 % is then known within 3 % (one
/// standard error is √(0.9 · 0.1 / 400)).
const DRAWS: usize = 400;
/// No metric is claimed to be equal here.
const EQUIVALENCE: f64 = 0.0;

fn main() -> anyhow::Result<()> {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let first = arguments.first().and_then(|first| first.to_str());
    let equal = first == Some("equal");
    let asked = first.and_then(|first| first.parse::<f64>().ok());
    if equal || asked.is_some() {
        arguments.remove(0);
    }
    let records = arguments
        .iter()
        .map(|path| read(path))
        .collect::<anyhow::Result<Vec<_>>>()?;
    anyhow::ensure!(
        !records.is_empty(),
        "name the records of comparisons, as scripts/compare-power.sh leaves them"
    );
    if equal {
        sides_with_themselves(&records)
    } else {
        other_lengths(&records, asked)
    }
}

fn read(path: &OsStr) -> anyhow::Result<ComparisonRecord> {
    let shown = path.to_string_lossy();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{shown} is not the record of a comparison"))
}

/// Neighbouring runs of one side, as pairs whose order alternates like that of ABBA rounds.
fn neighbours(metric: Metric, record: &ComparisonRecord, candidate: bool) -> Vec<(f64, f64)> {
    let run = |round: &Round| {
        let row = if candidate {
            round.candidate_row
        } else {
            round.base_row
        };
        metric.of(&record.rows[row])
    };
    // A round that began with the other side ends with this one, and the next begins with it.
    let meets = |two: &[Round]| two[0].base_first == candidate && two[1].base_first != candidate;
    let found = record.rounds.windows(2).filter(|two| meets(two));
    found
        .enumerate()
        .filter_map(|(number, two)| {
            let (first, second) = (run(&two[0])?, run(&two[1])?);
            Some(if number % 2 == 0 {
                (first, second)
            } else {
                (second, first)
            })
        })
        .collect()
}

fn sides_with_themselves(records: &[ComparisonRecord]) -> anyhow::Result<()> {
    let (mut compared, mut rounds) = (0, 0);
    let mut called = [0; 4];
    for record in records {
        for candidate in [false, true] {
            let pairs = neighbours(Metric::Tps, record, candidate).len();
            // Fewer can call nothing.
            if pairs < Level::METRICS.rounds_min() as usize {
                continue;
            }
            compared += 1;
            rounds += pairs;
            for (metric, called) in Metric::ALL.into_iter().zip(&mut called) {
                let pairs = neighbours(metric, record, candidate);
                *called += usize::from(is_called(metric, &pairs));
            }
        }
    }
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{compared} comparisons of a side with itself, {rounds} rounds in all; called slower or faster:"
    )?;
    for (metric, called) in Metric::ALL.into_iter().zip(called) {
        writeln!(out, "{} {called} of {compared}", metric.as_str())?;
    }
    Ok(())
}

fn other_lengths(records: &[ComparisonRecord], asked: Option<f64>) -> anyhow::Result<()> {
    let mut pooled: [Vec<(f64, f64)>; 4] = Default::default();
    for record in records {
        for (metric, pool) in Metric::ALL.into_iter().zip(&mut pooled) {
            // A percentile that a run is too short for has no pairs.
            pool.extend(pairs(metric, &record.rows, &record.rounds).unwrap_or_default());
        }
    }
    let found = Ratio::paired(&pooled[0], Level::METRICS).context("a run had no throughput")?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} rounds, ratio of TPS {:.3}",
        pooled[0].len(),
        found.ratio
    )?;
    let mut metrics = &Metric::ALL[..];
    if let Some(asked) = asked {
        for (_, candidate) in &mut pooled[0] {
            *candidate *= asked / found.ratio;
        }
        metrics = &metrics[..1];
        writeln!(out, "scaled to {asked}")?;
    }
    writeln!(out, "called slower or faster:")?;
    for length in LENGTHS {
        write!(out, "{length:>4} rounds:")?;
        for (&metric, pool) in metrics.iter().zip(&pooled) {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(length as u64);
            let called = (0..DRAWS)
                .filter(|_| is_called(metric, &drawn(pool, length, &mut rng)))
                .count();
            write!(out, "  {} {called} of {DRAWS}", metric.as_str())?;
        }
        writeln!(out)?;
        out.flush()?;
    }
    Ok(())
}

fn drawn(pool: &[(f64, f64)], length: usize, rng: &mut Xoshiro256PlusPlus) -> Vec<(f64, f64)> {
    let mut place = || {
        // Far fewer rounds than 2^32: the bias of the remainder is nothing.
        usize::try_from(rng.next_u64() % pool.len() as u64).unwrap_or(0)
    };
    (0..length).map(|_| pool[place()]).collect()
}

fn is_called(metric: Metric, pairs: &[(f64, f64)]) -> bool {
    let judged = compare_metric(metric, pairs, Level::METRICS, EQUIVALENCE);
    judged.is_some_and(|metric| matches!(metric.change, Change::Slower | Change::Faster))
}
