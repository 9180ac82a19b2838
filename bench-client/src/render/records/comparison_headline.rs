//! What a comparison comes to, in one line.

use std::path::Path;

use super::unlike_loads::{is_judged, load_knobs};
use crate::figures::counted;
use crate::record::Row;
use crate::record::comparison::{
    Change, ComparisonRecord, GateOutcome, Metric, MetricComparison, Stopped,
};
use crate::record::sides::{Which, runs_of};
use crate::render::document::Tone;
use crate::render::ratios::{level, more, percent, share};

/// Longest name of a side in the conclusion.
const NAME_MAX: usize = 28;

/// How the conclusion is coloured: green says that something became faster and nothing slower.
pub(super) fn tone_of(record: &ComparisonRecord) -> Tone {
    let has = |wanted| {
        let mut metrics = record.metrics.iter();
        metrics.any(|one| one.change == wanted && is_judged(record, one.metric))
    };
    if !record.valid || has(Change::Slower) {
        Tone::Bad
    } else if has(Change::Faster) {
        Tone::Good
    } else {
        Tone::Plain
    }
}

/// What is said of metrics at a glance: `TPS -9.8 %, p99 +11.2 %`.
pub(super) fn listed(metrics: &[MetricComparison]) -> String {
    let each = metrics
        .iter()
        .map(|one| format!("{} {}", one.metric.title(), percent(one.ratio)));
    each.collect::<Vec<_>>().join(", ")
}

/// The conclusion in one line. It says what is proven, so the ends of intervals and no point
/// within.
#[must_use]
pub fn headline(record: &ComparisonRecord) -> String {
    let invalid = record.rows.iter().filter(|row| !row.valid).count();
    if !record.valid {
        return format!(
            "INVALID: {invalid} of {} runs cannot be trusted, so nothing is concluded",
            record.rows.len()
        );
    }
    let Some(first) = record.metrics.first() else {
        return match (record.not_compared.first(), record.stopped) {
            (Some(first), _) => format!("Nothing was compared: {}", first.why),
            // As a record has it while rounds are measured.
            (None, Stopped::Interrupted) => format!(
                "Unfinished, {} so far: it is still running, or was stopped from outside",
                counted(record.rounds.len() as u64, "round")
            ),
            (None, why) => format!("Nothing was compared: {}", stopped(why)),
        };
    };
    let with = |wanted: fn(&Change) -> bool| -> Vec<&MetricComparison> {
        let metrics = record.metrics.iter();
        let judged = metrics.filter(|one| is_judged(record, one.metric));
        judged.filter(|one| wanted(&one.change)).collect()
    };
    let names = names(record);
    let [base, candidate] = &names;
    let sure = level(first.confidence);
    let heed = not_durable(record, &names);
    let changed = with(|change| matches!(change, Change::Faster | Change::Slower));
    if !changed.is_empty() {
        let (first, others) = changed.split_at(1);
        let first = first.iter().map(|one| found_between(one, &names));
        let others = others.iter().map(|one| found(one));
        let said: Vec<String> = first.chain(others).collect();
        let load = load_knobs(record).map_or_else(String::new, |knobs| format!(" with {knobs}"));
        return format!("{}{load} ({sure}){heed}", said.join(", "));
    }
    let listed = |metrics: &[&MetricComparison]| {
        let titles: Vec<&str> = metrics.iter().map(|one| one.metric.title()).collect();
        titles.join(", ")
    };
    let open = with(|change| matches!(change, Change::Inconclusive { .. }));
    if open.is_empty() {
        let all = with(|change| matches!(change, Change::NoDifference { .. }));
        let within = all.iter().filter_map(|one| match one.change {
            Change::NoDifference { within } => Some(within),
            _ => None,
        });
        return format!(
            "No difference larger than {} between {base} and {candidate} in {} ({sure}){heed}",
            share(within.fold(0.0, f64::max)),
            listed(&all)
        );
    }
    let counts = open.iter().filter_map(|one| match one.change {
        Change::Inconclusive { more_rounds } => more_rounds,
        _ => None,
    });
    let remedy = counts.max();
    let remedy = remedy.map_or_else(String::new, |count| format!(" ({})", more(count, record)));
    format!(
        "Inconclusive between {base} and {candidate} in {}{remedy}",
        listed(&open)
    )
}

/// What figures of the sides never stand without: `; B is not durable`.
fn not_durable(record: &ComparisonRecord, names: &[String; 2]) -> String {
    let doubt = |which| runs_of(record, which).find_map(Row::durability_doubt);
    let [base, candidate] = names;
    match [doubt(Which::Base), doubt(Which::Candidate)] {
        [None, None] => String::new(),
        [Some(doubt), None] => format!("; {base} is {doubt}"),
        [None, Some(doubt)] => format!("; {candidate} is {doubt}"),
        [Some(one), Some(other)] if one == other => format!("; both are {one}"),
        [Some(one), Some(other)] => format!("; {base} is {one}, {candidate} {other}"),
    }
}

/// Why no further round was measured.
#[must_use]
pub const fn stopped(why: Stopped) -> &'static str {
    match why {
        Stopped::Rounds => "all rounds that were asked for",
        Stopped::Precision => "until the asked precision was reached",
        Stopped::TimeLimit => "until the time was over",
        Stopped::Interrupted => "stopped from outside",
        Stopped::Invalid => "stopped by an invalid run",
    }
}

/// Base and candidate by what tells them apart, or as A and B where that is long.
fn names(record: &ComparisonRecord) -> [String; 2] {
    let labels = [&record.base.label, &record.candidate.label];
    let [base, candidate] =
        labels.map(|label| label.split_inclusive([',', ' ']).collect::<Vec<_>>());
    let both = base.iter().zip(&candidate);
    let common = both.take_while(|(one, other)| one == other).count();
    let own = [base[common..].concat(), candidate[common..].concat()];
    let short = if own.iter().all(|name| !name.is_empty()) {
        own
    } else {
        labels.map(Clone::clone)
    };
    let short = short.map(|name| {
        let file = Path::new(&name);
        let is_file = name.contains('/') || file.extension().is_some_and(|it| it == "toml");
        let is_file = is_file && !name.contains([' ', '=', ',']);
        let stem = file.file_stem().filter(|_| is_file);
        stem.map_or(name.clone(), |stem| stem.to_string_lossy().into_owned())
    });
    let [one, other] = &short;
    if one == other || short.iter().any(|name| name.chars().count() > NAME_MAX) {
        ["A".to_owned(), "B".to_owned()]
    } else {
        short
    }
}

/// A metric that changed, of sides by their names.
fn found_between(one: &MetricComparison, [base, candidate]: &[String; 2]) -> String {
    let metric = one.metric.title();
    match (extent(one), one.metric) {
        (Extent::Percent(share), Metric::Tps) => {
            let faster = if one.low > 1.0 { "faster" } else { "slower" };
            format!("{candidate} is {share} {faster} than {base} in {metric}")
        }
        (Extent::Times(times), Metric::Tps) => {
            format!("{candidate} is {times} as fast as {base} in {metric}")
        }
        (Extent::Percent(share), _) => {
            let longer = longer(one);
            format!("{candidate}'s {metric} is {share} {longer} than {base}'s")
        }
        (Extent::Times(times), _) => format!("{candidate}'s {metric} is {times} {base}'s"),
    }
}

/// A metric that changed, where the sides were named already; it is a percentile, since
/// throughput comes first.
fn found(one: &MetricComparison) -> String {
    let metric = one.metric.title();
    match extent(one) {
        Extent::Percent(share) => format!("{metric} {share} {}", longer(one)),
        Extent::Times(times) => format!("{metric} {times} as long"),
    }
}

fn longer(one: &MetricComparison) -> &'static str {
    if one.low > 1.0 { "longer" } else { "shorter" }
}

/// How far apart the sides are at least and at most.
enum Extent {
    /// `4 to 7 %`.
    Percent(String),
    /// `1.06 to 8.1 times`.
    Times(String),
}

fn extent(one: &MetricComparison) -> Extent {
    let (low, high) = (one.low, one.high);
    if low < 0.5 || high > 2.0 {
        let digits = |ratio: f64| match ratio {
            x if x >= 10.0 => format!("{x:.0}"),
            x if x >= 2.0 => format!("{x:.1}"),
            x if x >= 0.1 => format!("{x:.2}"),
            x => format!("{x:.3}"),
        };
        return Extent::Times(format!("{} to {} times", digits(low), digits(high)));
    }
    let ends = [low, high].map(|ratio| (ratio - 1.0).abs() * 100.0);
    let (least, most) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
    let decimals = match most - least {
        width if width >= 2.9 && least >= 2.0 => 0,
        width if width >= 0.3 && least >= 0.1 => 1,
        _ => 2,
    };
    Extent::Percent(format!("{least:.decimals$} to {most:.decimals$} %"))
}

/// How the gates ended, in one line; `None` without gates.
#[must_use]
pub fn gates(record: &ComparisonRecord) -> Option<String> {
    let count = |outcome| {
        let gates = record.gates.iter();
        gates.filter(|gate| gate.outcome == outcome).count()
    };
    let all = record.gates.len();
    let (passed, failed) = (count(GateOutcome::Passed), count(GateOutcome::Failed));
    let undecided = count(GateOutcome::Undecided);
    let rest = if undecided > 0 {
        format!(", {undecided} undecided")
    } else {
        String::new()
    };
    let gates = if all == 1 { "gate" } else { "gates" };
    match (all, failed) {
        (0, _) => None,
        (_, 0) if passed == 0 => Some(format!("no gate could be decided: {undecided} undecided")),
        (_, 0) => Some(format!("{passed} of {all} {gates} passed{rest}")),
        (_, failed) => Some(format!("{failed} of {all} {gates} FAILED{rest}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(low: f64, high: f64) -> String {
        let one = |metric| MetricComparison {
            metric,
            base: estimate(),
            candidate: estimate(),
            ratio: (low * high).sqrt(),
            low,
            high,
            confidence: 0.9975,
            change: Change::Slower,
        };
        let names = ["py".to_owned(), "node".to_owned()];
        found_between(&one(Metric::Tps), &names) + "; " + &found(&one(Metric::P50))
    }

    fn estimate() -> crate::statistics::Estimate {
        crate::statistics::Estimate::of(&[1.0]).unwrap()
    }

    #[test]
    fn what_is_said_are_the_ends_of_the_interval() {
        for (low, high, expected) in [
            (
                1.06,
                8.1,
                "node is 1.06 to 8.1 times as fast as py in TPS; p50 1.06 to 8.1 times as long",
            ),
            (
                0.93,
                0.96,
                "node is 4 to 7 % slower than py in TPS; p50 4 to 7 % shorter",
            ),
            (
                1.002,
                1.051,
                "node is 0.2 to 5.1 % faster than py in TPS; p50 0.2 to 5.1 % longer",
            ),
            (
                0.0123,
                0.72,
                "node is 0.012 to 0.72 times as fast as py in TPS; \
                 p50 0.012 to 0.72 times as long",
            ),
        ] {
            assert_eq!(said(low, high), expected);
        }
    }
}
