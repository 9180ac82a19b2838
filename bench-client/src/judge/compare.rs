//! Faster, slower, or neither: what the runs of two sides allow to say.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

use crate::figures::grouped;
use crate::record::Row;
use crate::record::comparison::{Change, Metric, MetricComparison, NoiseFloor, NotCompared, Round};
use crate::statistics::{Estimate, Level, Ratio, SPEED_SAMPLES_MIN, log_ratios};

/// What may pass as no difference unless said otherwise, as a share. An interval of twenty
/// rounds whose runs vary by 5 % is ± 5 % wide, so that narrower a promise would hardly ever be
/// kept by a comparison of minutes.
pub const EQUIVALENCE: f64 = 0.05;

/// Most rounds that are ever asked for.
pub const ROUNDS_MAX: u32 = 1_000;

/// Compares every metric of runs measured in turn. `rounds` point into `rows`; `equivalence`
/// is what may pass as no difference ([`EQUIVALENCE`]). A metric that is not above 0 in every
/// run is left out, as is what there are too few transfers for ([`not_compared`]).
#[must_use]
pub fn compare_all(
    rows: &[Row],
    rounds: &[Round],
    level: Level,
    equivalence: f64,
) -> Vec<MetricComparison> {
    let of_side = |row: fn(&Round) -> usize| {
        let rounds = rounds.iter();
        are_enough(rounds.filter_map(|round| rows.get(row(round))))
    };
    if !of_side(|round| round.base_row) || !of_side(|round| round.candidate_row) {
        return Vec::new();
    }
    let compare = |metric| {
        let pairs = pairs(metric, rows, rounds)?;
        compare_metric(metric, &pairs, level, equivalence)
    };
    Metric::ALL.into_iter().filter_map(compare).collect()
}

/// Compares every metric of a base recorded earlier with runs measured now. What the machine
/// did between the two is not covered by the intervals ([`Ratio::unpaired`]).
#[must_use]
pub fn compare_all_unpaired(
    base: &[Row],
    candidate: &[Row],
    level: Level,
    equivalence: f64,
) -> Vec<MetricComparison> {
    if !are_enough(base) || !are_enough(candidate) {
        return Vec::new();
    }
    let compare = |metric: Metric| {
        let values = |rows: &[Row]| {
            let values = rows.iter().map(|row| metric.of(row));
            values.collect::<Option<Vec<_>>>()
        };
        compare_metric_unpaired(
            metric,
            &values(base)?,
            &values(candidate)?,
            level,
            equivalence,
        )
    };
    Metric::ALL.into_iter().filter_map(compare).collect()
}

/// A metric of both runs of every round, base and candidate; `None` when it is not known of one
/// of them.
#[must_use]
pub fn pairs(metric: Metric, rows: &[Row], rounds: &[Round]) -> Option<Vec<(f64, f64)>> {
    let pair = |round: &Round| {
        let base = metric.of(rows.get(round.base_row)?)?;
        Some((base, metric.of(rows.get(round.candidate_row)?)?))
    };
    rounds.iter().map(pair).collect()
}

/// Whether the runs of a side together are enough to say anything of its speed.
fn are_enough<'a>(side: impl IntoIterator<Item = &'a Row>) -> bool {
    let committed = side.into_iter().map(|row| row.committed);
    committed.sum::<u64>() >= SPEED_SAMPLES_MIN
}

/// What is not compared, and what to do about it: a percentile that one of the runs has too few
/// transfers for, or anything of a side that has too few in all its runs.
#[must_use]
pub fn not_compared(sides: [&[&Row]; 2]) -> Vec<NotCompared> {
    let few = sides.iter().any(|side| !are_enough(side.iter().copied()));
    let runs: Vec<&Row> = sides.concat();
    let why = |metric: Metric| {
        let unknown = runs.iter().filter(|row| metric.of(row).is_none()).count();
        let why = match metric.percentile() {
            Some(percentile) if unknown > 0 => format!(
                "{unknown} of {} runs have fewer than the {} committed transfers that a {} needs",
                runs.len(),
                grouped(percentile.samples_min()),
                metric.as_str()
            ),
            _ if few => format!(
                "the runs of a side have fewer than {SPEED_SAMPLES_MIN} committed transfers \
                 together"
            ),
            _ => return None,
        };
        let why = why + ": measure longer with --duration";
        Some(NotCompared { metric, why })
    };
    Metric::ALL.into_iter().filter_map(why).collect()
}

/// Compares a metric of base and candidate, measured in pairs next to each other in time.
/// `None` without pairs, or when a value is not finite or not above 0.
///
/// The candidate is faster or slower when the whole interval of [`Ratio::paired`] lies on one
/// side of 1, however little that is. It makes no difference when the interval lies within 1 ÷
/// (1 + `equivalence`) and 1 + `equivalence`; then and only then is "no difference" proven
/// (Schuirmann, *A comparison of the two one-sided tests procedure*, 1987). Else the runs say
/// nothing, as they do below [`Level::rounds_min`], whatever they show.
#[must_use]
pub fn compare_metric(
    metric: Metric,
    pairs: &[(f64, f64)],
    level: Level,
    equivalence: f64,
) -> Option<MetricComparison> {
    let ratio = Ratio::paired(pairs, level)?;
    let (base, candidate): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let rounds = u32::try_from(pairs.len()).ok()?;
    let relative_width = |rounds: u32, confidence: f64| {
        student(confidence, rounds.checked_sub(1)?).map(|t| t / f64::from(rounds).sqrt())
    };
    let design = Design {
        runs: rounds,
        runs_min: Some(level.rounds_min()),
        relative_width: &relative_width,
    };
    let change = change(metric, &ratio, level, equivalence, &design);
    comparison(metric, &base, &candidate, ratio, change)
}

/// Compares a metric of a base recorded earlier with runs of a candidate now. As
/// [`compare_metric`], by [`Ratio::unpaired`]; the rounds that it may ask for are further runs
/// of the candidate.
#[must_use]
pub fn compare_metric_unpaired(
    metric: Metric,
    base: &[f64],
    candidate: &[f64],
    level: Level,
    equivalence: f64,
) -> Option<MetricComparison> {
    let ratio = Ratio::unpaired(base, candidate, level)?;
    let recorded = u32::try_from(base.len()).ok()?;
    let relative_width = |runs: u32, confidence: f64| {
        let degrees = (recorded + runs).checked_sub(2)?;
        let inverses = 1.0 / f64::from(recorded) + 1.0 / f64::from(runs);
        student(confidence, degrees).map(|t| t * inverses.sqrt())
    };
    let design = Design {
        runs: u32::try_from(candidate.len()).ok()?,
        runs_min: level.runs_min(recorded, ROUNDS_MAX),
        relative_width: &relative_width,
    };
    let change = change(metric, &ratio, level, equivalence, &design);
    comparison(metric, base, candidate, ratio, change)
}

/// Whether the intervals of these metrics are all at least as narrow as this share to either
/// side, at their full confidence: where `--until-precision` stops. Not for none.
///
/// It looks at widths and never at where the intervals lie, so looking after each round does
/// not pick out favourable moments (the tests hold that against the promise).
#[must_use]
pub fn is_precise(metrics: &[MetricComparison], precision: f64, level: Level) -> bool {
    let precise = |metric: &MetricComparison| {
        has_full_confidence(metric, level) && metric.half_width() <= precision
    };
    !metrics.is_empty() && metrics.iter().all(precise)
}

/// Whether there were enough rounds for an interval of the level's confidence.
#[must_use]
pub fn has_full_confidence(metric: &MetricComparison, level: Level) -> bool {
    metric.confidence >= level.confidence() - 1e-12
}

/// What each metric does between runs of the same side: for each round and the next, the two
/// neighbouring runs where the order turns around. Metrics without two such pairs are left out.
#[must_use]
pub fn noise_floors(rows: &[Row], rounds: &[Round], level: Level) -> Vec<NoiseFloor> {
    let neighbours = same_side(rounds);
    let floor = |metric: Metric| {
        let pair = |&(first, second): &(usize, usize)| {
            let first = metric.of(rows.get(first)?)?;
            Some((first, metric.of(rows.get(second)?)?))
        };
        let pairs: Option<Vec<(f64, f64)>> = neighbours.iter().map(pair).collect();
        noise_floor(metric, &pairs?, rounds.len(), level)
    };
    Metric::ALL.into_iter().filter_map(floor).collect()
}

/// The noise floor of one metric from pairs of neighbouring runs of the same side, for a
/// comparison of so many rounds, or of [`Level::rounds_min`] if that is more. `None` with fewer
/// than two pairs, or when a value is not finite or not above 0.
///
/// It is what an A/A comparison would have given, at no cost: turning every second pair around,
/// as [`same_side`] does, makes of the neighbours an ABBA series of their own. The half width
/// of its interval is carried over to the number of rounds by Student's quantile and the root
/// of the number, as there are fewer of these pairs than rounds.
#[must_use]
pub fn noise_floor(
    metric: Metric,
    pairs: &[(f64, f64)],
    rounds: usize,
    level: Level,
) -> Option<NoiseFloor> {
    let mut distances = log_ratios(pairs)?;
    let count = u32::try_from(pairs.len())
        .ok()
        .filter(|count| *count >= 2)?;
    let ratio = Ratio::paired(pairs, level)?;
    for distance in &mut distances {
        *distance = distance.abs();
    }
    let rounds = u32::try_from(rounds).ok()?.max(level.rounds_min());
    let relative = |count: u32, confidence: f64| {
        student(confidence, count - 1).map(|t| t / f64::from(count).sqrt())
    };
    let carried = relative(rounds, level.confidence())? / relative(count, ratio.confidence)?;
    Some(NoiseFloor {
        metric,
        pairs: count,
        typical: Estimate::of(&distances)?.median,
        smallest_effect: Some((ratio.half_width().ln_1p() * carried).exp_m1()),
    })
}

/// Holds noise floors against the comparison beside them: one that says that a smaller effect
/// than was seen cannot be seen is wrong about this comparison, and says it no more.
pub fn hold_against(floors: &mut [NoiseFloor], metrics: &[MetricComparison]) {
    for floor in floors {
        let seen = metrics.iter().find(|one| {
            one.metric == floor.metric && matches!(one.change, Change::Faster | Change::Slower)
        });
        if let Some(seen) = seen {
            let effect = seen.ratio.ln().abs().exp_m1();
            floor.smallest_effect = floor.smallest_effect.filter(|least| effect >= *least);
        }
    }
}

/// Standard deviation of the log ratios of pairs, as [`smallest_effect`] and [`rounds_for`] ask
/// for it: a normal distribution's median distance from 0 is 0.6745 of it. Unlike the standard
/// deviation itself, outliers hardly move it.
///
/// [`smallest_effect`]: crate::statistics::smallest_effect
/// [`rounds_for`]: crate::statistics::rounds_for
#[must_use]
pub fn pair_spread(floor: &NoiseFloor) -> f64 {
    floor.typical / 0.674_489_750_196_081_7
}

/// The rows of neighbouring runs of the same side. In ABBA order, the second run of a round and
/// the first of the next are of the same side, which alternates. Every second pair is turned
/// around, so that drift has opposite signs in successive pairs as it has in the rounds.
#[must_use]
pub fn same_side(rounds: &[Round]) -> Vec<(usize, usize)> {
    let alternating = rounds.windows(2).filter_map(|neighbours| {
        let [one, next] = neighbours else { return None };
        match (one.base_first, next.base_first) {
            (true, false) => Some((one.candidate_row, next.candidate_row)),
            (false, true) => Some((next.base_row, one.base_row)),
            _ => None,
        }
    });
    alternating.collect()
}

/// How the width of an interval depends on the number of runs.
struct Design<'a> {
    /// Rounds, or runs of the candidate.
    runs: u32,
    /// Fewest with which anything can be said; `None` when no number would do.
    runs_min: Option<u32>,
    /// Half width after so many runs at a confidence, in units of what stays the same.
    relative_width: &'a dyn Fn(u32, f64) -> Option<f64>,
}

fn comparison(
    metric: Metric,
    base: &[f64],
    candidate: &[f64],
    ratio: Ratio,
    change: Change,
) -> Option<MetricComparison> {
    Some(MetricComparison {
        metric,
        base: Estimate::of(base)?,
        candidate: Estimate::of(candidate)?,
        ratio: ratio.ratio,
        low: ratio.low,
        high: ratio.high,
        confidence: ratio.confidence,
        change,
    })
}

fn change(
    metric: Metric,
    ratio: &Ratio,
    level: Level,
    equivalence: f64,
    design: &Design<'_>,
) -> Change {
    if design.runs_min.is_none_or(|least| design.runs < least) {
        let more_rounds = design.runs_min.map(|least| {
            let likely = runs_needed(ratio, level, equivalence, design).unwrap_or(least);
            likely.max(least) - design.runs
        });
        return Change::Inconclusive { more_rounds };
    }
    let (more, less) = if metric.more_is_better() {
        (Change::Faster, Change::Slower)
    } else {
        (Change::Slower, Change::Faster)
    };
    if ratio.low > 1.0 {
        more
    } else if ratio.high < 1.0 {
        less
    } else if ratio.high <= 1.0 + equivalence && ratio.low >= 1.0 / (1.0 + equivalence) {
        Change::NoDifference {
            within: (ratio.high - 1.0).max(1.0 - ratio.low),
        }
    } else {
        let needed = runs_needed(ratio, level, equivalence, design);
        Change::Inconclusive {
            more_rounds: needed.map(|runs| runs - design.runs),
        }
    }
}

/// Runs after which the interval, around the ratio that was found, likely excludes 1 or lies
/// within the equivalence, whichever comes first; more than there are. Intervals narrow with
/// the root of the number of runs and with Student's quantile for so many. `None` above
/// [`ROUNDS_MAX`].
fn runs_needed(ratio: &Ratio, level: Level, equivalence: f64, design: &Design<'_>) -> Option<u32> {
    let effect = ratio.ratio.ln().abs();
    let enough = effect.max(equivalence.ln_1p() - effect);
    let now = (ratio.high / ratio.low).ln() / 2.0;
    let unit = now / (design.relative_width)(design.runs, ratio.confidence)?;
    let narrow = |runs: u32| {
        (design.relative_width)(runs, level.confidence()).is_some_and(|width| width * unit < enough)
    };
    let (mut without, mut with) = (design.runs, ROUNDS_MAX);
    if without >= with || !narrow(with) {
        return None;
    }
    while with - without > 1 {
        let middle = u32::midpoint(without, with);
        if narrow(middle) {
            with = middle;
        } else {
            without = middle;
        }
    }
    Some(with)
}

/// Student's two-sided quantile; `None` without a degree of freedom.
fn student(confidence: f64, degrees: u32) -> Option<f64> {
    let student = StudentsT::new(0.0, 1.0, f64::from(degrees)).ok()?;
    Some(student.inverse_cdf(f64::midpoint(1.0, confidence)))
}

#[cfg(test)]
mod tests;
