//! The end of a run of one row or several: their table, and what is said of all of them.

use std::path::Path;

use super::row_table::row_table;
use super::summary::{one_line, one_row};
use super::warnings::{named, said_of};
use super::{gates, repetitions};
use crate::record::comparison::GateOutcome;
use crate::record::load_record::{AnyRecord, Report, Shown};
use crate::record::naming::Naming;
use crate::record::{Record, Row};
use crate::render::document::{Document, Facts, Line, Tone};

/// What a person called a record, and said of it.
#[must_use]
pub fn about(naming: &Naming) -> Document {
    let mut facts = Facts::default();
    facts.add_known("title", naming.title.as_deref());
    facts.add_known("note", naming.note.as_deref());
    let mut document = Document::default();
    document.facts(facts);
    document
}

/// The end of a run: of one row its figures, of several a table and what is said of them.
/// `record` is where the record is, if it stays.
#[must_use]
pub fn rows(record: &Record, path: Option<&Path>) -> Document {
    let mut document = tables(record);
    let mut facts = match record.rows.as_slice() {
        [row] => one_row(row, &record.environment),
        rows => said_of(&rows.iter().collect::<Vec<_>>()),
    };
    let report = of_record(record);
    facts
        .0
        .append(&mut gates::facts(&record.gates, &report.rows()).0);
    facts.add_known("record", path.map(|path| path.display().to_string()));
    document.facts(facts);
    document
}

/// The same in a line for each row, for each gate that did not pass, and for the knee.
#[must_use]
pub fn in_lines(record: &Record, path: Option<&Path>) -> Document {
    let mut document = Document::default();
    let report = of_record(record);
    let rows = report.rows();
    let label = |shown: &Shown<'_>| (rows.len() > 1).then(|| shown.label.to_owned());
    let lines = rows.iter().map(|shown| {
        let label = label(shown);
        one_line(shown.row, label.as_deref(), path)
    });
    let gates = { &record.gates }.iter();
    let gates = gates.filter(|gate| gate.outcome != GateOutcome::Passed);
    let gates = gates.map(|gate| {
        let said = gates::said(gate, &rows);
        gates::marked(gate).plain(format!(" {said}"))
    });
    document.list(lines.chain(gates).chain(knee(record)).collect());
    document
}

/// The knee of a search, with what its rows are warned of.
#[must_use]
pub fn knee(record: &Record) -> Option<Line> {
    let knee = record.knee.as_ref()?;
    let at = knee.passes.iter().flat_map(|point| &point.rows);
    let rows: Vec<&Row> = at.filter_map(|&place| record.rows.get(place)).collect();
    let line = Line::from(knee.to_string());
    Some(match named(&rows) {
        Some(warned) => line.plain("; ").mark(Tone::Warn, warned),
        None => line,
    })
}

/// A record that is in no file yet.
fn of_record(record: &Record) -> Report {
    Report::new(vec![AnyRecord::of_record(record.clone())])
}

/// The rows, if there are several, and what repetitions of them come to.
#[must_use]
pub fn tables(record: &Record) -> Document {
    let report = of_record(record);
    let rows = report.rows();
    let mut document = Document::default();
    if rows.len() > 1 {
        document.append(row_table(&rows, &gates::metrics(&record.gates)));
    }
    document.append(repetitions::document(&report, &rows));
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConnectorKind;
    use crate::figures::{in_ms, rate};
    use crate::record::comparison::{GateResult, Metric};
    use crate::record::{Knee, KneeOutcome, KneePoint, Verdict, VerdictCode, fixtures};
    use crate::render::records::summary;
    use crate::render::records::warnings::named_rows;
    use crate::render::write::text::{Layout, write};

    const REPRODUCTION: &str = include_str!("../../../tests/records/reproduce.json");

    fn record() -> Record {
        serde_json::from_str(REPRODUCTION).unwrap()
    }

    fn text(document: &Document, width: usize) -> String {
        let layout = Layout {
            width: Some(width),
            verbose: false,
            colour: false,
        };
        write(document, layout)
    }

    /// Where the table has to leave out columns, what a gate is about is not among them.
    #[test]
    fn what_gates_is_a_column() {
        let mut record = record();
        let wide = text(&tables(&record), 200);
        assert!(wide.contains("p95 ms "), "{wide}");
        assert!(!text(&tables(&record), 80).contains("p95 ms "));
        record.gates = vec![GateResult {
            gate: "p95>5ms".to_owned(),
            metric: Metric::P95,
            outcome: GateOutcome::Passed,
            message: String::new(),
            rows: vec![0],
        }];
        for width in [60, 80] {
            let shown = text(&tables(&record), width);
            assert!(shown.contains("p95 ms "), "{shown}");
        }
    }

    #[test]
    fn rows_in_lines_have_their_label_and_of_one_there_is_none() {
        let mut record = record();
        let path = Path::new("a.json");
        let lines = text(&in_lines(&record, Some(path)), 160);
        assert_eq!(lines.lines().count(), record.rows.len());
        let name = record.rows[1].config.name.clone().unwrap();
        assert!(lines.lines().nth(1).unwrap().contains(&name), "{lines}");
        record.rows.truncate(1);
        let row = &record.rows[0];
        let (tps, p99) = (rate(row.tps), in_ms(row.latency_ms.p99));
        let line = text(&in_lines(&record, Some(path)), 160);
        let begins = format!("INVALID {tps}/s  p99 {p99}  ");
        let mut verdicts = row.verdicts.iter();
        let why = verdicts.find(|verdict| verdict.invalidates).unwrap();
        let why = begins + why.code.in_words();
        assert!(line.starts_with(&why), "{line}");
        assert!(line.ends_with("  a.json"), "{line}");
    }

    #[test]
    fn a_line_has_the_names_of_what_is_warned_of() {
        let mut record = record();
        let warned = |code| Verdict {
            code,
            invalidates: false,
            message: String::new(),
            remedy: String::new(),
        };
        record.rows = vec![fixtures::row()];
        record.rows[0].verdicts = [
            VerdictCode::ShortWindow,
            VerdictCode::Environment,
            VerdictCode::GeneratorBound,
            VerdictCode::NotDurable,
        ]
        .map(warned)
        .into();
        let point = |rows| KneePoint {
            rate: 5_000.0,
            p99_ms: Some(2.0),
            achieved_tps: 5_000.0,
            why: None,
            rows,
        };
        record.knee = Some(Knee {
            from_tps: 1.0,
            to_tps: 9_000.0,
            p99_limit_ms: 10.0,
            achieved_share_min: 0.99,
            outcome: KneeOutcome::AllPass,
            passes: Some(point(vec![0])),
            fails: None,
        });
        let names = "warning: short window, generator-bound";
        let lines = text(&in_lines(&record, None), 400);
        let lines: Vec<&str> = lines.lines().collect();
        assert!(lines[0].contains("not durable  p99 "), "{lines:?}");
        assert!(lines[0].ends_with(names), "{lines:?}");
        let knee = format!("; {names}");
        assert!(lines[1].starts_with("no knee found"), "{lines:?}");
        assert!(lines[1].ends_with(&knee), "{lines:?}");
        let row_line = summary::row_line(&record.rows[0], None, "a row");
        assert!(
            row_line.ends_with(&format!("a row  not durable  {names}")),
            "{row_line}"
        );
    }

    #[test]
    fn gates_stand_above_the_record_and_only_those_that_did_not_pass_among_lines() {
        let mut record = record();
        let gate = |gate: &str, metric, outcome, row: usize| GateResult {
            gate: gate.to_owned(),
            metric,
            outcome,
            message: "as said".to_owned(),
            rows: vec![row],
        };
        let passed = |row| gate("tps<1", Metric::Tps, GateOutcome::Passed, row);
        record.rows.retain(|row| row.valid);
        record.rows.truncate(1);
        let failed = gate("p99>1us", Metric::P99, GateOutcome::Failed, 0);
        record.gates = vec![passed(0), failed];
        let path = Path::new("a.json");
        let shown = text(&rows(&record, Some(path)), 80);
        let last: Vec<&str> = shown.lines().rev().take(3).collect();
        assert!(last[0].starts_with("record   a.json"), "{shown}");
        assert!(last[1].starts_with("FAILED   p99>1us: as said"), "{shown}");
        assert!(last[2].starts_with("passed   tps<1: as said"), "{shown}");
        let lines = text(&in_lines(&record, Some(path)), 160);
        assert_eq!(lines.lines().count(), 2, "{lines}");
        assert!(lines.contains("\nFAILED p99>1us: as said"), "{lines}");
        // Of several rows the gate says which it is of, and many that passed are counted.
        let mut other = record.rows[0].clone();
        other.config.load.max_inflight_per_worker = 77;
        record.rows.push(other);
        record.gates = vec![passed(0), passed(1)];
        let shown = text(&rows(&record, None), 200);
        assert!(shown.contains(" #2: as said"), "{shown}");
        record.gates = (0..6).map(|place| passed(place % 2)).collect();
        let shown = text(&rows(&record, None), 200);
        assert!(shown.ends_with("passed   6 gates"), "{shown}");
    }

    #[test]
    fn what_is_set_alike_stands_once_above_the_table() {
        let mut record = record();
        record.rows.truncate(2);
        record.rows[1].config = record.rows[0].config.clone();
        let shown = text(&tables(&record), 200);
        let (of_all, table) = shown.split_once("\n\n").unwrap();
        let alpha = format!("alpha {}", record.rows[0].config.workload.alpha);
        assert!(
            of_all.starts_with("all rows ") && of_all.contains(&alpha),
            "{of_all}"
        );
        assert!(!table.contains("alpha"), "{table}");
        record.rows[1].config.workload.alpha = 1.75;
        let shown = text(&tables(&record), 200);
        assert!(!shown.contains(&alpha) && shown.contains("1.75"), "{shown}");
    }

    #[test]
    fn of_several_rows_each_kind_of_warning_is_said_once() {
        let mut record = record();
        record.rows.truncate(3);
        for row in &mut record.rows {
            row.verdicts = vec![Verdict {
                code: VerdictCode::Unstable,
                invalidates: false,
                message: "a word".to_owned(),
                remedy: "do this".to_owned(),
            }];
        }
        let connectors = [
            ConnectorKind::SqliteRpc,
            ConnectorKind::SqliteWsRpc,
            ConnectorKind::SqliteRpc,
        ];
        for row in &mut record.rows {
            row.config.connector = connectors[1];
        }
        let shown = text(&rows(&record, None), 120);
        assert_eq!(shown.matches("3 of 3 rows: a word").count(), 1, "{shown}");
        for (row, connector) in record.rows.iter_mut().zip(connectors) {
            row.config.connector = connector;
        }
        record.rows[2].verdicts[0].message = "another".to_owned();
        let shown = text(&rows(&record, None), 120);
        assert_eq!(
            shown.matches("3 of 3 rows: e.g. a word").count(),
            1,
            "{shown}"
        );
        // Rows that are not all are named as in the table.
        for row in &mut record.rows {
            row.config.name = None;
        }
        record.rows[0].verdicts.clear();
        let report = of_record(&record);
        let labels: Vec<&str> = report.rows().iter().map(|one| one.label).collect();
        let shown = text(&rows(&record, None), 400);
        let said = format!("2 of 3 rows ({}; {}): e.g. a word", labels[1], labels[2]);
        assert!(shown.contains(&said), "{said}: {shown}");
        let many = ["batch 1, run 1", "batch 2, run 1", "batch 1, run 2"].map(str::to_owned);
        let many: Vec<&String> = many.iter().collect();
        assert_eq!(named_rows(&many), " (batch 1; batch 2)");
        let long = ["x", "y", "z"].map(|letter| letter.repeat(40));
        let long: Vec<&String> = long.iter().collect();
        assert_eq!(named_rows(&long), format!(" ({}; …)", long[0]));
    }
}
