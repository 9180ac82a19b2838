//! The end of a run, as a person reads it in five seconds: the verdict, the figures, what limited
//! them and what to turn next. Everything else about the row is in [`row`](super::row).

use std::path::Path;

use super::warnings::{ON_A_SCREEN, more, named, warnings};
use super::words::{audited, joined, load_machines, next};
use crate::figures::{grouped, in_ms, rate, shared, significant};
use crate::host::environment::Environment;
use crate::record::{Bottleneck, Row, Spread, Verdict, VerdictCode};
use crate::render::document::{Facts, Line, Tone};

/// Most reasons for which a row is said to be invalid.
const REASONS_MAX: usize = 3;

/// The end of a run of one row.
pub(super) fn one_row(row: &Row, environment: &Environment) -> Facts {
    let mut facts = Facts::default();
    facts.add(word(row), headline(row));
    facts
        .0
        .append(&mut essentials(row, environment, ON_A_SCREEN).0);
    facts
}

/// What stands below the verdict of a row: of a valid one its figures, of another why it is none,
/// and what it is warned of. `rest` says where the rest of that is.
pub(super) fn essentials(row: &Row, environment: &Environment, rest: &str) -> Facts {
    let mut facts = Facts::default();
    if row.valid {
        facts.0.append(&mut figures(row, environment).0);
    } else {
        let (mut reasons, mut others) = (Facts::default(), Vec::new());
        for (place, verdict) in invalidating(row).enumerate() {
            if place < REASONS_MAX {
                let name = if place == 0 { "why" } else { "" };
                reasons.add(name, verdict.message.as_str());
            } else {
                others.push(verdict);
            }
        }
        facts.0.append(&mut reasons.0);
        facts.add_known("", more(&others, rest));
        facts.add_known("next", next(row));
        facts.add("ledger", ledger(row));
    }
    warnings(row, &mut facts, rest);
    facts
}

/// What limited a row, and what to turn next.
pub(super) fn limit_and_next(row: &Row, environment: &Environment) -> Facts {
    let mut facts = Facts::default();
    facts.add_known("limit", limit(row, environment));
    facts.add_known("next", next(row));
    facts
}

/// The figures of a row, what limited them and what to turn next.
fn figures(row: &Row, environment: &Environment) -> Facts {
    let mut facts = Facts::default();
    offered(row, &mut facts);
    facts.add("latency", latency(row));
    facts.add_known("sync", sync(row));
    facts.add_known("audited", audited(row));
    facts.add_known("load", load_machines(row));
    facts.0.append(&mut limit_and_next(row, environment).0);
    if !is_null_server(row) {
        facts.add("ledger", ledger(row));
    }
    facts
}

/// A row in one line: verdict, rate, the 99th percentile and what speaks against it.
#[must_use]
pub(super) fn one_line(row: &Row, label: Option<&str>, record: Option<&Path>) -> Line {
    let p99 = format!("p99 {}", in_ms(row.latency_ms.p99));
    let parts = [
        Some(format!(" {}/s", rate(row.tps))),
        row.durability_doubt().map(str::to_owned),
        Some(p99),
        named(&[row]),
        label.map(str::to_owned),
        record.map(|path| path.display().to_string()),
    ];
    word(row).plain(joined("  ", parts))
}

/// A row as it ends, among others: which it is of how many, where that is known, its figures, what
/// it is called, and why it is invalid if it is.
#[must_use]
pub fn row_line(row: &Row, place: Option<(usize, usize)>, label: &str) -> String {
    let place = place.map_or_else(String::new, |(number, of)| {
        let digits = of.to_string().len();
        format!("{number:>digits$} of {of}  ")
    });
    let doubt = row
        .durability_doubt()
        .map_or_else(String::new, |doubt| format!("  {doubt}"));
    let why = invalidating(row).map(|verdict| format!("\n  INVALID: {}", verdict.message));
    let warned = named(&[row]).filter(|_| row.valid);
    let warned = warned.map_or_else(String::new, |warned| format!("  {warned}"));
    format!(
        "{place}{:>9}/s  p50 {:>8}  p99 {:>8}  {label}{doubt}{warned}{}",
        rate(row.tps),
        in_ms(row.latency_ms.p50),
        in_ms(row.latency_ms.p99),
        why.collect::<String>()
    )
}

fn is_null_server(row: &Row) -> bool {
    row.says(&[VerdictCode::NullServer])
}

/// The verdict in one word.
fn word(row: &Row) -> Line {
    let line = Line::default();
    if !row.valid {
        line.mark(Tone::Bad, "INVALID")
    } else if is_null_server(row) {
        line.mark(Tone::Good, "CEILING")
    } else if row.says(&[VerdictCode::NotVerified]) {
        line.mark(Tone::Warn, "UNVERIFIED")
    } else if row.interrupted || row.says(&[VerdictCode::GeneratorBound]) {
        line.mark(Tone::Warn, "VALID")
    } else {
        line.mark(Tone::Good, "VALID")
    }
}

/// The rate, and what it is a rate of.
pub(super) fn headline(row: &Row) -> Line {
    let (what, but) = if !row.valid {
        ("answers per second, ", "not to be quoted")
    } else if is_null_server(row) {
        (
            "answers per second, nothing stored: no server is measured faster from here",
            "",
        )
    } else if row.says(&[VerdictCode::NotVerified]) {
        ("answers per second, ", "nothing verified")
    } else if let Some(doubt) = row.durability_doubt() {
        ("transfers per second, ", doubt)
    } else {
        ("durable transfers per second", "")
    };
    let tone = if row.valid { Tone::Warn } else { Tone::Bad };
    let line = Line::default();
    let line = if row.valid && row.says(&[VerdictCode::GeneratorBound]) {
        line.mark(Tone::Warn, "at least").plain(" ")
    } else {
        line
    };
    let stopped = if row.interrupted {
        format!(", interrupted after {:.1} s", row.seconds)
    } else {
        String::new()
    };
    let line = line.strong(rate(row.tps)).plain(format!(" {what}"));
    let line = if but.is_empty() {
        line
    } else {
        line.mark(tone, but)
    };
    line.plain(stopped)
}

/// Of an open loop: what was asked for, and what came of it.
fn offered(row: &Row, facts: &mut Facts) {
    let Some(open) = &row.open_loop else { return };
    let share = open.achieved_tps / open.offered_tps * 100.0;
    let count = |what: &str, count: u64| (count > 0).then(|| format!("{} {what}", grouped(count)));
    let parts = [
        Some(format!("{} per second", rate(open.offered_tps))),
        Some(format!("{share:.1} % of it committed")),
        count("late", open.late),
        count("skipped", open.skipped),
        count("dropped", open.dropped),
    ];
    facts.add("offered", joined(" · ", parts));
}

fn latency(row: &Row) -> String {
    let latency = &row.latency_ms;
    let [p50, p95, p99] = [latency.p50, latency.p95, latency.p99].map(in_ms);
    let max = in_ms(Some(latency.max));
    let closed = row.open_loop.is_none().then(|| " · closed loop".to_owned());
    let closed = closed.unwrap_or_default();
    let figures = format!("p50\u{a0}{p50}   p95\u{a0}{p95}   p99\u{a0}{p99}   max\u{a0}{max}");
    // A figure stays with its name.
    figures + &closed
}

/// How many transfers shared a sync, and what one took.
fn sync(row: &Row) -> Option<String> {
    if is_null_server(row) {
        return None;
    }
    let server = row.server.as_ref()?;
    let Some(syncs) = server.commit_syncs.filter(|syncs| *syncs > 0) else {
        let none = server
            .commit_syncs
            .map_or("not counted by the server", |_| "none at COMMIT");
        let each = format!("{:.1} transfers per commit", server.mean_batch);
        return Some(format!("{none} · {each}"));
    };
    let each = per_sync(row)?;
    let per_second = to_f64(syncs) / row.seconds;
    let took = server.sync_us.as_ref().and_then(took);
    // Only the device's flushes vouch for what a server says of its syncs.
    let vouched = row.device.as_ref().and_then(|device| device.flushes);
    let parts = [
        Some(format!("{} transfers per sync", shared(each))),
        (row.seconds > 0.0).then(|| format!("{} per second", rate(per_second))),
        took,
        vouched
            .is_none()
            .then(|| "by the server's own account".to_owned()),
    ];
    Some(joined(" · ", parts))
}

/// How many transfers shared a sync at COMMIT; `None` where none was counted.
pub(super) fn per_sync(row: &Row) -> Option<f64> {
    let server = row.server.as_ref()?;
    let syncs = server.commit_syncs.filter(|syncs| *syncs > 0)?;
    Some(server.mean_batch * to_f64(server.commits) / to_f64(syncs))
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn to_f64(count: u64) -> f64 {
    count as f64
}

/// What a sync took, in one unit.
fn took(sync: &Spread) -> Option<String> {
    let p50 = sync.p50?;
    let show: fn(f64) -> String = if p50 >= 1e3 {
        |us| in_ms(Some(us / 1e3))
    } else {
        |us| format!("{} µs", significant(us))
    };
    let p99 = sync.p99.map(|p99| format!("  p99\u{a0}{}", show(p99)));
    Some(format!("p50\u{a0}{}{}", show(p50), p99.unwrap_or_default()))
}

/// What kept the rate from being higher, and how busy the processors were.
fn limit(row: &Row, environment: &Environment) -> Option<String> {
    let limit = row.prediction.as_ref().map(|model| match model.bottleneck {
        None if row.interrupted => "not known: the run was interrupted".to_owned(),
        Some(Bottleneck::EmptyBusStop) => {
            "empty bus stop (too few in flight to fill a batch)".to_owned()
        }
        _ => model.limit_in_words(),
    });
    let cores = row.cpu.client_s.zip(row.cpu.server_s);
    let cores = cores.filter(|_| row.seconds > 0.0).map(|(client, server)| {
        // Of several machines the environment has one.
        let of = environment.machine.usable_cores;
        let of = of.filter(|_| row.shards.is_empty());
        let of = of.map_or_else(String::new, |cores| format!(" of {cores}"));
        let (client, server) = (client / row.seconds, server / row.seconds);
        format!("client {client:.2} + server {server:.2}{of} cores busy")
    });
    if limit.is_none() && cores.is_none() {
        return None;
    }
    Some(joined(" · ", [limit, cores]))
}

/// What was acknowledged against what was applied, and the balances that were read back.
fn ledger(row: &Row) -> String {
    let verify = &row.verify;
    let acknowledged = grouped(verify.acknowledged);
    let applied = match verify.applied {
        Some(applied) if applied == verify.acknowledged => {
            format!("{acknowledged} acknowledged = applied")
        }
        Some(applied) => format!("{acknowledged} acknowledged, {} applied", grouped(applied)),
        None => format!("{acknowledged} acknowledged, applied not reported"),
    };
    let right = verify.sampled_accounts - verify.sample_mismatches;
    let balances = match verify.sampled_accounts {
        0 => "no balance checked".to_owned(),
        all if right == all => format!("{} balances right", grouped(all)),
        all => format!("{} of {} balances right", grouped(right), grouped(all)),
    };
    let conserved = match verify.conserved {
        Some(true) => None,
        Some(false) => Some("money NOT conserved".to_owned()),
        None => Some("sum of balances not checked".to_owned()),
    };
    let unchanged = verify.changed == Some(false) && row.says(&[VerdictCode::NothingChanged]);
    let count = |what: &str, count: u64| (count > 0).then(|| format!("{} {what}", grouped(count)));
    let parts = [
        Some(applied),
        Some(balances),
        conserved,
        unchanged.then(|| "no balance changed".to_owned()),
        count("rejected", row.rejected),
        count("failed", row.failed),
        count("of unknown outcome", verify.unknown.max(row.unknown)),
    ];
    joined(" · ", parts)
}

fn invalidating(row: &Row) -> impl Iterator<Item = &Verdict> {
    row.verdicts.iter().filter(|verdict| verdict.invalidates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::durability::{DurabilityVerdict, RowAudit};
    use crate::record::load_record::{AnyRecord, Report};
    use crate::record::{Prediction, Record, fixtures};
    use crate::render::document::Document;
    use crate::render::write::text::{Layout, write};

    const REPRODUCTION: &str = include_str!("../../../tests/records/reproduce.json");

    fn record() -> Record {
        serde_json::from_str(REPRODUCTION).unwrap()
    }

    fn text(document: &Document, width: usize, colour: bool) -> String {
        let layout = Layout {
            width: Some(width),
            verbose: false,
            colour,
        };
        write(document, layout)
    }

    fn ended(row: &Row, record: &Record) -> Document {
        let mut document = Document::default();
        document.facts(one_row(row, &record.environment));
        document
    }

    fn warned(code: VerdictCode) -> Verdict {
        Verdict {
            code,
            invalidates: false,
            message: "a word and another ".repeat(20),
            remedy: "do this and then that ".repeat(20),
        }
    }

    #[test]
    fn every_row_begins_with_the_verdict_and_its_figures_and_a_warning_is_whole() {
        let record = record();
        for row in &record.rows {
            let mut row = row.clone();
            row.verdicts.extend([
                warned(VerdictCode::Unstable),
                warned(VerdictCode::NotSteady),
                warned(VerdictCode::HeldBack),
            ]);
            row.audit = Some(RowAudit {
                verdict: DurabilityVerdict::CannotTell,
                at: "2026-11-29T19:20:03Z".to_owned(),
            });
            let document = ended(&row, &record);
            for width in [40, 80, 100, 160] {
                let text = text(&document, width, false);
                let word = if row.valid { "VALID " } else { "INVALID " };
                assert!(text.starts_with(word), "{text}");
                let wide = text.lines().map(|line| line.chars().count()).max();
                assert!(wide <= Some(width), "{width}: {text}");
                let warned = text.lines().position(|line| line.starts_with("warning"));
                assert!(width < 80 || warned <= Some(12), "{width}: {text}");
                // At any width: it is wrapped, not cut.
                let whole = if row.valid { 20 } else { 0 };
                assert_eq!(text.matches("another").count(), whole, "{width}: {text}");
                assert_eq!(text.matches("then").count(), whole, "{width}: {text}");
            }
        }
    }

    #[test]
    fn the_figures_of_the_row_are_on_it() {
        let row = fixtures::row();
        let text = text(&ended(&row, &record()), 160, false);
        let latency = &row.latency_ms;
        let figures = [
            format!("VALID    {} durable transfers per second", rate(row.tps)),
            format!("p50 {}", in_ms(latency.p50)),
            format!("p95 {}", in_ms(latency.p95)),
            format!("p99 {}", in_ms(latency.p99)),
            format!(
                "{} acknowledged = applied",
                grouped(row.verify.acknowledged)
            ),
        ];
        for figure in figures {
            assert!(text.contains(&figure), "no {figure} in {text}");
        }
        let server = row.server.as_ref().unwrap();
        let syncs = u32::try_from(server.commit_syncs.unwrap()).unwrap();
        let per_second = format!("{} per second", rate(f64::from(syncs) / row.seconds));
        assert!(text.contains(&per_second), "{text}");
    }

    #[test]
    fn what_is_not_durable_and_what_is_a_lower_bound_is_not_called_otherwise() {
        let record = record();
        let mut row = fixtures::row();
        row.verdicts = vec![warned(VerdictCode::NotDurable)];
        let shown = text(&ended(&row, &record), 100, false);
        assert!(
            shown.contains("transfers per second, not durable"),
            "{shown}"
        );
        assert!(!shown.contains(" durable transfers"), "{shown}");
        row.verdicts = vec![warned(VerdictCode::GeneratorBound)];
        let shown = text(&ended(&row, &record), 100, false);
        assert!(shown.starts_with("VALID    at least "), "{shown}");
        row.verdicts = vec![warned(VerdictCode::NullServer)];
        let shown = text(&ended(&row, &record), 100, false);
        assert!(shown.starts_with("CEILING  "), "{shown}");
        assert!(shown.contains("nothing stored"), "{shown}");
    }

    #[test]
    fn what_to_do_next_is_the_same_on_the_screen_under_verbose_and_in_a_report() {
        let of_model = "turn this knob".to_owned();
        let mut row = fixtures::row();
        row.verdicts.clear();
        row.prediction = Some(Prediction {
            tps: row.tps,
            p50_ms: 1.0,
            mean_batch: 1.0,
            bottleneck: Some(Bottleneck::DiskSync),
            remedy: Some(of_model.clone()),
            limits: Vec::new(),
            refuted: Vec::new(),
        });
        let mut bound = row.clone();
        bound.verdicts = vec![warned(VerdictCode::GeneratorBound)];
        let of_generator = bound.verdicts[0].remedy.trim_end().to_owned();
        let record = record();
        for (row, expected) in [(row, &of_model), (bound, &of_generator)] {
            let said = |document: &Document| {
                let text = text(document, 2_000, false);
                let mut lines = text.lines().filter(|line| line.starts_with("next "));
                let next = lines.next().unwrap().trim().to_owned();
                assert_eq!(lines.next(), None, "{text}");
                next
            };
            let screen = said(&ended(&row, &record));
            assert_eq!(screen, format!("next     {expected}"));
            let verbose = said(&super::super::row::document(&row));
            assert_eq!(verbose.split_once(expected.as_str()).unwrap().1, "");
            let mut record = record.clone();
            record.rows = vec![row];
            let report = Report::new(vec![AnyRecord::of_record(record)]);
            let report = super::super::report::document(&report).unwrap();
            let whole = text(&report, 2_000, false);
            assert!(whole.contains(&screen), "{whole}");
            let other = if *expected == of_model {
                &of_generator
            } else {
                &of_model
            };
            assert!(!whole.contains(other), "{whole}");
        }
    }

    #[test]
    fn the_verdict_alone_and_what_is_wrong_are_in_colour() {
        let record = record();
        let fake = record.rows.iter().find(|row| !row.valid).unwrap();
        let shown = |row: &Row| text(&ended(row, &record), 80, true);
        assert!(shown(fake).starts_with("\u{1b}[1m\u{1b}[31mINVALID\u{1b}[0m "));
        let mut row = fixtures::row();
        row.verdicts.clear();
        assert!(shown(&row).starts_with("\u{1b}[1m\u{1b}[32mVALID\u{1b}[0m "));
        row.verdicts.push(warned(VerdictCode::Unstable));
        assert!(shown(&row).contains("\u{1b}[33mwarning\u{1b}[0m "));
    }
}
