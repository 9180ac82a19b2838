//! What was found, in one line, and what it was found of: the title of a page, and a line of an
//! index.

use std::collections::BTreeSet;

use super::summary::{self, per_sync};
use super::{closing, comparison_headline, words};
use crate::article::Table as Published;
use crate::figures::{in_ms, rate_within, shared};
use crate::host::environment::Environment;
use crate::record::load_record::{AnyRecord, Report, Shown, Standing, settings};
use crate::record::standing::NOT_DURABLE;
use crate::record::{KneeOutcome, Row};
use crate::render::document::{Span, Tone};

/// What was found.
pub(super) struct Found {
    /// In one line, without a full stop.
    pub(super) text: String,
    /// Whether it holds.
    pub(super) tone: Tone,
}

/// What was found, of everything in a report.
pub(super) fn of_report(report: &Report) -> Found {
    if let [only] = report.records.as_slice() {
        return of_record(report, only);
    }
    let rows = runs(report);
    let text = format!("{} records: {}", report.records.len(), best_of(&rows));
    Found {
        text,
        tone: tone(&rows),
    }
}

/// Rows that are no runs of a comparison.
fn runs(report: &Report) -> Vec<Shown<'_>> {
    let rows = report.rows().into_iter();
    let is_run = |shown: &Shown<'_>| report.records[shown.record].comparison.is_none();
    rows.filter(is_run).collect()
}

fn of_record(report: &Report, only: &AnyRecord) -> Found {
    let rows = report.rows();
    if let Some(one) = &only.comparison {
        return Found {
            text: comparison_headline::headline(one),
            tone: if one.valid { Tone::Plain } else { Tone::Bad },
        };
    }
    let record = &only.record;
    if let Some(knee) = &record.knee {
        let said = closing::knee(record).unwrap_or_default();
        let mut spans = said.0.iter();
        let is_warned = spans.any(|span| matches!(span, Span::Mark(Tone::Warn, _)));
        return Found {
            text: capitalised(&said.to_string()),
            tone: match knee.outcome {
                KneeOutcome::Found if !is_warned => Tone::Good,
                KneeOutcome::Found | KneeOutcome::AllPass | KneeOutcome::LowestFails => Tone::Warn,
            },
        };
    }
    let text = if let Some(edition) = only.edition {
        format!("{}: {}", Published::of(edition).title, best_of(&rows))
    } else if let Some(sweep) = record.sweep.as_ref().filter(|sweep| !sweep.over.is_empty()) {
        let over: Vec<&str> = sweep.over.iter().map(|axis| axis.knob.name()).collect();
        format!("Sweep of {}: {}", over.join(" and "), best_of(&rows))
    } else if let [summary] = record.summaries.as_slice() {
        let first = summary
            .rows
            .first()
            .and_then(|place| record.rows.get(*place));
        let what = first.map_or("transfers per second", |row| what(row));
        let tps = &summary.tps;
        let show = |value: f64| rate_within(value, tps.low, tps.high);
        format!(
            "{} {what} in the median of {} runs, between {} and {}",
            show(tps.median),
            tps.count,
            show(tps.low),
            show(tps.high)
        )
    } else {
        match rows.as_slice() {
            [] => "No row was measured".to_owned(),
            [only] => capitalised(&of_row(only)),
            rows => capitalised(&best_of(rows)),
        }
    };
    Found {
        text,
        tone: tone(&rows),
    }
}

/// Whether what is told of the rows holds: of one row that row, of several any.
fn tone(rows: &[Shown<'_>]) -> Tone {
    match rows {
        [only] if only.row.verdict() == "valid" => Tone::Good,
        [only] if only.row.valid => Tone::Warn,
        rows if rows.iter().any(|one| one.row.valid) => Tone::Plain,
        _ => Tone::Bad,
    }
}

/// What a row's TPS are of.
fn what(row: &Row) -> &'static str {
    let said = summary::headline(row).to_string();
    if said.contains(" durable transfers per second") {
        "durable transfers per second"
    } else {
        "transfers per second"
    }
}

/// `616,741 durable transfers per second, p99 2.25 ms, 296.0 per sync: valid`.
fn of_row(shown: &Shown<'_>) -> String {
    let row = shown.row;
    let rate = summary::headline(row).to_string();
    if !row.valid {
        return format!("{}: {rate}", row.verdict());
    }
    // What is to be heeded stands beside the rate.
    format!("{rate}, {}: valid", figures(row))
}

fn figures(row: &Row) -> String {
    let p99 = Some(format!("p99 {}", in_ms(row.latency_ms.p99)));
    let each = per_sync(row).map(|each| format!("{} per sync", shared(each)));
    words::joined(", ", [p99, each])
}

/// How far a row's transfers are shown to be durable: the further, the higher.
fn durability(row: &Row) -> u8 {
    match row.durability_doubt() {
        None => 2,
        Some(_) if row.says(&NOT_DURABLE) => 0,
        Some(_) => 1,
    }
}

/// The fastest of the rows that hold: of the durable ones, if there are any. What is not durable is
/// faster, and no answer to how fast that is.
pub(super) fn best<'r, 'a>(rows: &'r [Shown<'a>]) -> Option<&'r Shown<'a>> {
    let held = rows
        .iter()
        .filter(|one| matches!(one.standing(), Standing::Plain | Standing::AtLeast));
    held.max_by(|a, b| {
        let by_durability = durability(a.row).cmp(&durability(b.row));
        by_durability.then(a.row.tps.total_cmp(&b.row.tps))
    })
}

/// How many rows there are, and the fastest of those that hold.
fn best_of(rows: &[Shown<'_>]) -> String {
    let invalid = rows.iter().filter(|one| !one.row.valid).count();
    let invalid = match invalid {
        0 => String::new(),
        count => format!("; {count} of {} rows INVALID", rows.len()),
    };
    match best(rows) {
        Some(best) => {
            let rate = summary::headline(best.row).to_string();
            let rate = if best.standing() == Standing::AtLeast {
                rate
            } else {
                format!("at best {rate}")
            };
            format!("{rate}, {} ({}){invalid}", figures(best.row), best.label)
        }
        None => format!("{} rows{invalid}", rows.len()),
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters
        .next()
        .map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + characters.as_str()
}

/// What was measured, where and when: what all rows have in common.
pub(super) fn subject(report: &Report) -> Option<String> {
    let rows = runs(report);
    let first = rows.first()?;
    let all: Vec<_> = rows.iter().map(|one| settings(one.row)).collect();
    let measured: Vec<&Environment> = report
        .records
        .iter()
        .filter(|one| one.comparison.is_none())
        .map(|one| &one.record.environment)
        .collect();
    let each = |of: fn(&Environment) -> String| -> Vec<String> {
        let values: BTreeSet<String> = measured.iter().map(|one| of(one)).collect();
        values.into_iter().collect()
    };
    let mut parts = match each(day).as_slice() {
        [first, .., last] => vec![format!("{first} to {last}")],
        days => days.to_vec(),
    };
    if let [only] = each(machine).as_slice() {
        parts.push(only.clone());
    }
    let common = settings(first.row).into_iter().enumerate();
    let common = common.filter(|(place, (knob, text))| {
        let same = all.iter().all(|one| one[*place].1 == *text);
        same && *knob != "seed" && !text.is_empty()
    });
    parts.extend(common.map(|(_, (_, text))| text));
    Some(parts.join(" · "))
}

/// The machine in a few words.
pub(super) fn machine(environment: &Environment) -> String {
    let machine = &environment.machine;
    let model = machine
        .cpu_model
        .as_deref()
        .map_or("unknown processor", str::trim);
    match machine.usable_cores {
        Some(1) => format!("{model}, 1 core"),
        Some(cores) => format!("{model}, {cores} cores"),
        None => model.to_owned(),
    }
}

/// The day on which it was measured, UTC.
pub(super) fn day(environment: &Environment) -> String {
    environment.started_at.chars().take(10).collect()
}

/// The same with the minute: several records share a day.
pub(super) fn minute(environment: &Environment) -> String {
    let at: String = environment.started_at.chars().take(16).collect();
    at.replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Record, Verdict, VerdictCode, fixtures};

    fn report(change: impl Fn(&mut Record)) -> Report {
        let text = include_str!("../../../tests/records/reproduce.json");
        let mut record: Record = serde_json::from_str(text).unwrap();
        record.rows = vec![fixtures::row()];
        change(&mut record);
        Report::new(vec![AnyRecord::of_record(record)])
    }

    #[test]
    fn one_row_says_its_rate_its_p99_and_what_shared_a_sync() {
        let found = of_report(&report(|_| {}));
        let row = fixtures::row();
        let begins = format!(
            "{} durable transfers per second, p99 ",
            crate::figures::rate(row.tps)
        );
        assert!(found.text.starts_with(&begins), "{}", found.text);
        assert!(found.text.ends_with(" per sync: valid"), "{}", found.text);
        let invalid = of_report(&report(|record| record.rows[0].valid = false));
        assert!(invalid.text.starts_with("INVALID: "), "{}", invalid.text);
        assert!(
            invalid.text.ends_with("not to be quoted"),
            "{}",
            invalid.text
        );
        assert_eq!(invalid.tone, Tone::Bad);
    }

    #[test]
    fn of_several_rows_the_best_that_holds_is_named() {
        let found = of_report(&report(|record| {
            let mut faster = fixtures::row();
            faster.tps *= 2.0;
            faster.valid = false;
            let mut slower = fixtures::row();
            slower.tps /= 2.0;
            slower.config.load.max_inflight_per_worker = 3;
            record.rows.extend([faster, slower]);
        }));
        let best = crate::figures::rate(fixtures::row().tps);
        assert!(
            found.text.starts_with(&format!("At best {best} durable")),
            "{}",
            found.text
        );
        assert!(
            found.text.ends_with("; 1 of 3 rows INVALID"),
            "{}",
            found.text
        );
    }

    #[test]
    fn what_is_not_durable_is_no_headline_beside_what_is() {
        let best = |durable: bool| {
            of_report(&report(|record| {
                let mut memory = fixtures::row();
                memory.tps *= 9.0;
                memory.durability = "memory".to_owned();
                memory.verdicts.push(Verdict {
                    code: VerdictCode::NotDurable,
                    invalidates: false,
                    message: String::new(),
                    remedy: String::new(),
                });
                record.rows.push(memory.clone());
                if !durable {
                    record.rows[0] = memory;
                }
            }))
        };
        let slower = crate::figures::rate(fixtures::row().tps);
        let text = best(true).text;
        let begins = format!("At best {slower} durable transfers per second");
        assert!(text.starts_with(&begins), "{text}");
        let text = best(false).text;
        assert!(
            text.contains(" transfers per second, not durable"),
            "{text}"
        );
    }

    #[test]
    fn the_subject_is_what_all_rows_have_in_common() {
        let one = subject(&report(|_| {})).unwrap();
        assert!(
            one.contains("wal-full") && one.contains("2026-11-21"),
            "{one}"
        );
        let several = subject(&report(|record| {
            let mut other = fixtures::row();
            other.durability = "wal-normal".to_owned();
            record.rows.push(other);
        }));
        assert!(!several.unwrap().contains("wal-"));
    }
}
