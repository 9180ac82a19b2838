//! A comparison in words: what all its forms say alike.

use crate::record::comparison::{
    Change, ComparisonRecord, GateOutcome, MetricComparison, Side, Stopped,
};

/// By how much a ratio differs from 1: `-9.8 %`.
#[must_use]
pub fn percent(ratio: f64) -> String {
    // What would be minus zero is zero.
    let share = (ratio - 1.0) * 100.0;
    if share.abs() < 0.005 {
        return "0.00 %".to_owned();
    }
    if share.abs() < 1.0 {
        format!("{share:+.2} %")
    } else {
        format!("{share:+.1} %")
    }
}

/// A share that has no direction: `2.1 %`.
#[must_use]
pub fn share(share: f64) -> String {
    if share.abs() < 0.01 {
        format!("{:.2} %", share * 100.0)
    } else {
        format!("{:.1} %", share * 100.0)
    }
}

/// A confidence level without needless digits: `95 %`, `98.75 %`.
#[must_use]
pub fn level(confidence: f64) -> String {
    let text = format!("{:.2}", confidence * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn rounds(count: u32) -> String {
    format!("{count} round{}", if count == 1 { "" } else { "s" })
}

/// What can be said of a metric.
#[must_use]
pub fn change(change: Change) -> String {
    match change {
        Change::Faster => "faster".to_owned(),
        Change::Slower => "slower".to_owned(),
        Change::NoDifference { within } => format!("no difference larger than {}", share(within)),
        Change::Inconclusive {
            more_rounds: Some(more),
        } => format!("inconclusive: about {} more", rounds(more)),
        Change::Inconclusive { more_rounds: None } => "inconclusive".to_owned(),
    }
}

/// How a gate ended.
#[must_use]
pub const fn outcome(outcome: GateOutcome) -> &'static str {
    match outcome {
        GateOutcome::Failed => "FAILED",
        GateOutcome::Passed => "passed",
        GateOutcome::Undecided => "undecided",
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

/// What is said of the metrics with such a change: `TPS -9.8 %, p99 +11.2 %`.
fn listed(metrics: &[&MetricComparison]) -> String {
    let each = metrics
        .iter()
        .map(|one| format!("{} {}", one.metric.title(), percent(one.ratio)));
    each.collect::<Vec<_>>().join(", ")
}

/// The conclusion in one line.
#[must_use]
pub fn headline(record: &ComparisonRecord) -> String {
    let invalid = record.rows.iter().filter(|row| !row.valid).count();
    if !record.valid {
        return format!(
            "INVALID: {invalid} of {} runs cannot be trusted, so nothing is concluded",
            record.rows.len()
        );
    }
    if record.metrics.is_empty() {
        let why = match record.not_compared.first() {
            Some(first) => &first.why,
            None => stopped(record.stopped),
        };
        return format!("Nothing was compared: {why}");
    }
    let with = |wanted: fn(&Change) -> bool| -> Vec<&MetricComparison> {
        let metrics = record.metrics.iter();
        metrics.filter(|one| wanted(&one.change)).collect()
    };
    let slower = with(|change| matches!(change, Change::Slower));
    let faster = with(|change| matches!(change, Change::Faster));
    let open = with(|change| matches!(change, Change::Inconclusive { .. }));
    match (slower.is_empty(), faster.is_empty()) {
        (false, true) => format!("Slower: {}", listed(&slower)),
        (true, false) => format!("Faster: {}", listed(&faster)),
        (false, false) => format!(
            "Mixed: slower in {}; faster in {}",
            listed(&slower),
            listed(&faster)
        ),
        (true, true) if open.is_empty() => {
            let within = record.metrics.iter().filter_map(|one| match one.change {
                Change::NoDifference { within } => Some(within),
                _ => None,
            });
            format!(
                "No difference larger than {}",
                share(within.fold(0.0, f64::max))
            )
        }
        (true, true) => {
            let names: Vec<&str> = open.iter().map(|one| one.metric.title()).collect();
            let more = open.iter().filter_map(|one| match one.change {
                Change::Inconclusive { more_rounds } => more_rounds,
                _ => None,
            });
            let remedy = more.max().map_or_else(String::new, |more| {
                format!(" (about {} more)", rounds(more))
            });
            format!("Inconclusive in {}{remedy}", names.join(", "))
        }
    }
}

/// How the gates ended, in one line; `None` without gates.
#[must_use]
pub fn gates(record: &ComparisonRecord) -> Option<String> {
    let count = |outcome| {
        let gates = record.gates.iter();
        gates.filter(|gate| gate.outcome == outcome).count()
    };
    let all = record.gates.len();
    let failed = count(GateOutcome::Failed);
    let undecided = count(GateOutcome::Undecided);
    let rest = if undecided > 0 {
        format!(", {undecided} undecided")
    } else {
        String::new()
    };
    match (all, failed) {
        (0, _) => None,
        (_, 0) => Some(format!(
            "no gate failed: {} of {all} passed{rest}",
            count(GateOutcome::Passed)
        )),
        (_, failed) => Some(format!("{failed} of {all} gates FAILED{rest}")),
    }
}

/// A side with where its figures are from.
#[must_use]
pub fn side(side: &Side) -> String {
    match &side.baseline {
        Some(baseline) => format!("{} (baseline {baseline})", side.label),
        None => side.label.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_read_as_signed_percentages() {
        for (ratio, text) in [
            (0.902, "-9.8 %"),
            (1.0, "0.00 %"),
            (0.999_99, "0.00 %"),
            (1.004, "+0.40 %"),
            (1.5, "+50.0 %"),
        ] {
            assert_eq!(percent(ratio), text);
        }
        assert_eq!(share(0.021), "2.1 %");
        assert_eq!(share(0.0042), "0.42 %");
        assert_eq!(level(0.9875), "98.75 %");
        assert_eq!(level(0.95), "95 %");
    }

    #[test]
    fn a_change_says_what_it_would_take() {
        let inconclusive = |more_rounds| change(Change::Inconclusive { more_rounds });
        assert_eq!(inconclusive(None), "inconclusive");
        assert_eq!(inconclusive(Some(1)), "inconclusive: about 1 round more");
        assert_eq!(inconclusive(Some(9)), "inconclusive: about 9 rounds more");
        let same = change(Change::NoDifference { within: 0.02 });
        assert_eq!(same, "no difference larger than 2.0 %");
    }
}
