//! Repetitions of the same row, taken together.

use crate::figures::{UNKNOWN, ms, rate};
use crate::record::Summary;
use crate::record::load_record::{Report, Shown};
use crate::render::document::{Document, Line, Table};
use crate::render::records::words::{said, verdict_on};
use crate::statistics::Estimate;

/// One figure of rows that were repeated.
struct Figure<'a> {
    label: &'a str,
    title: &'static str,
    of: u32,
    estimate: Option<Estimate>,
    show: fn(f64) -> String,
}

/// What all runs of a row are called, of whom this one has its number.
pub(super) fn of_all_runs(label: &str) -> &str {
    label
        .rsplit_once(", run ")
        .map_or(label, |(label, _)| label)
}

/// Medians with their intervals, and what is to be thought of them. `rows` are those of the
/// report whose summaries are shown.
pub(super) fn document(report: &Report, rows: &[Shown<'_>]) -> Document {
    let mut figures = Vec::new();
    let mut warnings = Vec::new();
    for (place, record) in report.records.iter().enumerate() {
        let rows: Vec<&Shown<'_>> = rows.iter().filter(|one| one.record == place).collect();
        for summary in &record.record.summaries {
            let first = summary.rows.first().and_then(|place| rows.get(*place));
            let label = first.map_or(UNKNOWN, |shown| shown.label);
            let label = of_all_runs(label);
            let repetition = first.and_then(|shown| shown.row.repetition);
            let figure = |title, estimate, show| Figure {
                label,
                title,
                of: repetition.map_or(0, |repetition| repetition.of),
                estimate,
                show,
            };
            figures.extend([
                figure("TPS", Some(summary.tps), rate),
                figure("p50 ms", summary.p50_ms, ms),
                figure("p95 ms", summary.p95_ms, ms),
                figure("p99 ms", summary.p99_ms, ms),
            ]);
            let warning = summary.warning.as_ref();
            warnings.extend(warning.map(|warning| verdict_on(Some(label), warning)));
        }
    }
    let mut document = Document::default();
    if figures.is_empty() {
        return document;
    }
    document.heading("Repetitions").table(table(&figures));
    if warnings.is_empty() {
        document.say("No median spreads too wide to conclude from.");
    }
    document.list(warnings);
    document
}

fn interval(figure: &Figure<'_>, one: &Estimate) -> String {
    format!("{} to {}", (figure.show)(one.low), (figure.show)(one.high))
}

fn table(figures: &[Figure<'_>]) -> Table {
    let of = |show: fn(&Figure<'_>, &Estimate) -> String| {
        move |figure: &Figure<'_>| figure.estimate.as_ref().map(|one| show(figure, one))
    };
    Table::of("Repetitions", figures)
        .words(0, "row", |figure| figure.label)
        .words(0, "figure", |figure| figure.title)
        .number(0, "median", of(|figure, one| (figure.show)(one.median)))
        .number(0, "interval", of(interval))
        // Rounded down: 93.75 % is not 94 %.
        .number(
            1,
            "confidence",
            of(|_, one| format!("{:.0} %", (one.confidence * 100.0).floor())),
        )
        .number(
            2,
            "variation",
            of(|_, one| format!("{:.1} %", one.variation * 100.0)),
        )
        .number(3, "runs", |figure| match &figure.estimate {
            None => "too few transfers in a run".to_owned(),
            Some(one) if figure.of > one.count => format!("{} of {}", one.count, figure.of),
            Some(one) => one.count.to_string(),
        })
        .into()
}

/// How many of many summaries spread too wide, and what to do about the widest; `None` when
/// none does.
pub(super) fn widest(summaries: &[Summary]) -> Option<Line> {
    let warned: Vec<_> = summaries
        .iter()
        .filter_map(|summary| Some((summary.tps.half_width(), summary.warning.as_ref()?)))
        .collect();
    let (_, warning) = warned.iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
    let message = format!(
        "{} of {} medians spread too wide to conclude from, the widest: {}",
        warned.len(),
        summaries.len(),
        warning.message
    );
    Some(said(false, None, &message, &warning.remedy))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::host::environment::Environment;
    use crate::judge::summarise;
    use crate::record::fixtures::row;
    use crate::record::{Record, Repetition};
    use crate::render::records::closing::tables as closing;
    use crate::render::write::text::{Layout, write};

    /// A record of repetitions with these TPS; their latencies go the other way.
    fn repeated(tps: &[f64]) -> Record {
        let mut record = Record::new(Environment::capture(Path::new(".")));
        let of = u32::try_from(tps.len()).unwrap();
        record.rows.extend((1..).zip(tps).map(|(number, &tps)| {
            let mut row = row();
            row.tps = tps;
            row.latency_ms.p50 = Some(1e5 / tps);
            row.repetition = Some(Repetition { number, of });
            row
        }));
        record.summaries = summarise(&record.rows);
        record
    }

    #[test]
    fn a_median_stands_beside_its_interval() {
        let mut record = repeated(&[1000.0, 1010.0, 990.0, 1005.0, 995.0, 1002.0]);
        let text = write(&closing(&record), Layout::default());
        let line = text.lines().find(|line| line.contains(" 990 to "));
        let cells: Vec<&str> = line.unwrap().split_whitespace().skip(1).collect();
        let expected = [
            "TPS", "1,001", "990", "to", "1,010", "95", "%", "0.7", "%", "6",
        ];
        assert_eq!(cells, expected, "{text}");
        assert!(text.contains("No median spreads too wide"), "{text}");
        assert_eq!(widest(&record.summaries), None);
        record.rows[1].valid = false;
        record.rows[2].interrupted = true;
        record.summaries = summarise(&record.rows);
        let text = write(&closing(&record), Layout::default());
        assert!(text.contains("4 of 6"), "{text}");
    }

    #[test]
    fn a_wide_spread_is_said_once_for_many() {
        let warning = widest(&repeated(&[1000.0]).summaries).unwrap();
        assert!(
            warning.to_string().starts_with("warning: 1 of 1 medians"),
            "{warning:?}"
        );
    }
}
