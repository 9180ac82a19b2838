//! What was recorded, in one or several files: comparisons, then rows.

use super::row::facts;
use super::row_table::row_table;
use super::warnings::ON_A_PAGE;
use super::words::{closed_loop, next, prediction_failed, verdict_on};
use super::{article, closing, comparison, environment, gates, headline, repetitions, summary};
use crate::figures::{counted, known, ms, rate, shared, significant};
use crate::record::load_record::{AnyRecord, ReadError, Report, Shown, Standing};
use crate::record::{Generator, Latency, OpenLoop, Prediction, Row, Spread, Stage, Verdict};
use crate::render::charts::{Chart, budget, heat, knobs, ladder, latency, rates, timeline};
use crate::render::document::{Block, Depth, Document, Line, Table, Tone};

/// The whole report: comparisons first, and nothing else when there are only comparisons.
///
/// # Errors
/// A record's histogram cannot be decoded.
pub fn document(report: &Report) -> Result<Document, ReadError> {
    let several = report.records.len() > 1;
    let compared = |record: &AnyRecord| record.comparison.is_some();
    // A comparison says itself what it found.
    let mut document = Document::new("Comparison");
    if !report.records.iter().all(compared) {
        let found = headline::of_report(report);
        (document.title, document.tone) = (found.text, found.tone);
        if let Some(subject) = headline::subject(report) {
            document.say(subject);
        }
        if report.rows().len() > 1 {
            document.say(at_a_glance(report));
        }
    }
    for record in &report.records {
        if let Some(one) = &record.comparison {
            if several {
                document.heading(format!("Comparison: {}", record.file));
            }
            document.append(comparison::document(one));
        }
    }
    // Runs of a comparison are shown round by round: rows of each alone would bury that.
    let is_run = |shown: &Shown<'_>| compared(&report.records[shown.record]);
    let (runs, rows): (Vec<_>, Vec<_>) = report.rows().into_iter().partition(is_run);
    if !rows.is_empty() {
        document.append(of_rows(report, &rows)?);
    }
    let mut every = Document::new("Every run of both sides");
    every.append(row_table(&runs, &[])).list(verdicts(&runs));
    every.append(generators(&runs)).append(each(&runs));
    for record in report.records.iter().filter(|record| compared(record)) {
        every.fold(pragmas(record), Depth::Everything);
    }
    document.fold(every, Depth::Everything);
    if let [only] = report.records.as_slice() {
        document.called(&only.record.naming);
    }
    Ok(document)
}

fn of_rows(report: &Report, rows: &[Shown<'_>]) -> Result<Document, ReadError> {
    let mut document = Document::default();
    if let [only] = rows {
        let environment = &report.records[only.record].record.environment;
        document.facts(summary::essentials(only.row, environment, ON_A_PAGE));
    } else if let Some(best) = headline::best(rows)
        && let measured = &report.records[best.record].record
        && measured.sweep.is_some()
    {
        document.facts(summary::limit_and_next(best.row, &measured.environment));
    }
    for (place, record) in report.records.iter().enumerate() {
        let of_it = rows.iter().filter(|one| one.record == place);
        let of_it: Vec<Shown<'_>> = of_it.copied().collect();
        document.facts(gates::facts(&record.record.gates, &of_it));
    }
    for reproduction in report.records.iter().filter_map(AnyRecord::reproduction) {
        document.list(article::reading(&reproduction));
    }
    document.pictures("What was found", findings(report, rows));
    let gates = report.records.iter().flat_map(|one| &one.record.gates);
    let metrics: Vec<_> = gates.map(|gate| gate.metric).collect();
    document.heading("Rows").append(row_table(rows, &metrics));
    if rows.iter().any(|shown| shown.row.open_loop.is_none()) {
        document.say(closed_loop());
    }
    for reproduction in report.records.iter().filter_map(AnyRecord::reproduction) {
        document.append(article::of_peers(&reproduction));
    }
    let said = verdicts(rows);
    let mut remedies = Document::default();
    if !said.is_empty() {
        remedies.heading("Verdicts and remedies").list(said);
    }
    // Of one row they are few, and what its figures are worth.
    let (before, after) = match rows {
        [_] => (remedies, Document::default()),
        _ => (Document::default(), remedies),
    };
    document.append(before);
    document.pictures("Distributions and time", distributions(report, rows)?);
    document.append(after);
    document.append(open_loop(rows));
    document.append(repetitions::document(report, rows));
    document.append(budgets(rows));
    document.append(generators(rows));
    document.heading("Where and how it was measured");
    for record in report.records.iter().filter(|one| one.comparison.is_none()) {
        let measured = &record.record;
        document.subheading(record.file.as_str());
        if report.records.len() > 1 {
            document.append(closing::about(&measured.naming));
        }
        document.facts(environment::facts(&measured.environment));
        document.fold(pragmas(record), Depth::Later);
    }
    document.fold(each(rows), Depth::Everything);
    Ok(document)
}

/// Rows of a record with other pragmas than the record's.
fn pragmas(record: &AnyRecord) -> Document {
    environment::other_pragmas(&record.record.environment, &record.record.rows)
}

/// Everything about each row.
fn each(rows: &[Shown<'_>]) -> Document {
    let mut each = Document::new("Everything about each row");
    for shown in rows {
        each.subheading(shown.label).facts(facts(shown.row));
    }
    each
}

fn at_a_glance(report: &Report) -> Line {
    let rows = report.rows();
    let count = |standing| rows.iter().filter(|one| one.standing() == standing).count();
    let files = report.records.iter().map(|record| record.file.as_str());
    let files = files.collect::<Vec<_>>().join(", ");
    let mut line = Line::from(format!("{} rows of {files}.", rows.len()));
    let invalid = count(Standing::Invalid);
    if invalid > 0 {
        line = line
            .plain(" ")
            .mark(Tone::Bad, format!("{invalid} INVALID"));
        line = line.plain(": not to be quoted.");
    }
    let bound = count(Standing::AtLeast);
    if bound > 0 {
        line = line
            .plain(" ")
            .mark(Tone::Warn, counted(bound as u64, "lower bound"));
        line = line.plain(" (marked \"at least\"): the load generator may have been the limit, and not the server.");
    }
    line
}

/// What was found: the knobs that were turned, or the rows beside each other.
fn findings(report: &Report, rows: &[Shown<'_>]) -> Vec<Chart> {
    let mut charts = Vec::new();
    charts.extend(rates::rates(report, rows));
    charts.extend(knobs::sweeps(rows));
    charts.extend(heat::heat_maps(rows));
    // Where a knob was turned the rows are the places of its chart.
    if charts.is_empty() || rows.iter().any(|one| one.row.config.name.is_some()) {
        charts.extend(ladder::ladder(report, rows));
        charts.extend(ladder::predictions(rows));
    }
    charts
}

/// How latencies and syncs are distributed, and how rows went from second to second.
fn distributions(report: &Report, rows: &[Shown<'_>]) -> Result<Vec<Chart>, ReadError> {
    let mut charts = latency::spectra(report, rows)?;
    charts.extend(latency::syncs(report, rows)?);
    charts.extend(timeline::timelines(rows));
    Ok(charts)
}

/// What is said of the rows, each thing once with all rows of which it is said.
fn verdicts(rows: &[Shown<'_>]) -> Vec<Line> {
    let mut said: Vec<(Line, Vec<&str>, Said<'_>)> = Vec::new();
    for shown in rows {
        let verdicts = shown.row.verdicts.iter();
        // What a verdict says to do is said with it.
        let next = next(shown.row);
        let next = next.filter(|next| verdicts.clone().all(|one| one.remedy != *next));
        let said_of_row = verdicts
            .map(Said::Verdict)
            .chain(shown.row.prediction.as_ref().map(Said::Model))
            .chain(next.map(Said::Next));
        for one in said_of_row {
            let Some(line) = one.of(None) else { continue };
            match said.iter_mut().find(|(known, ..)| *known == line) {
                Some((_, whom, _)) => whom.push(shown.label),
                None => said.push((line, vec![shown.label], one)),
            }
        }
    }
    let all = rows.len();
    let lines = said
        .into_iter()
        .filter_map(|(line, whom, one)| match whom.len() {
            _ if all == 1 => Some(line),
            count if count == all && all > 2 => one.of(Some(&format!("all {all} rows"))),
            _ => one.of(Some(&whom.join("; "))),
        });
    lines.collect()
}

/// What can be said of a row.
#[derive(Clone, Copy)]
enum Said<'a> {
    Verdict(&'a Verdict),
    Model(&'a Prediction),
    Next(&'a str),
}

impl Said<'_> {
    fn of(self, whom: Option<&str>) -> Option<Line> {
        match self {
            Self::Verdict(verdict) => Some(verdict_on(whom, verdict)),
            Self::Model(model) => prediction_failed(whom, model),
            Self::Next(remedy) => {
                let whom = whom.map_or_else(String::new, |whom| format!(", {whom}"));
                Some(format!("next{whom}: {remedy}.").into())
            }
        }
    }
}

fn p99(spread: Option<Spread>) -> String {
    known(spread.and_then(|spread| spread.p99), significant)
}

fn open_loop(rows: &[Shown<'_>]) -> Document {
    type Open<'a> = (Shown<'a>, &'a OpenLoop);
    let open = rows
        .iter()
        .filter_map(|shown| Some((*shown, shown.row.open_loop.as_ref()?)));
    let open: Vec<Open<'_>> = open.collect();
    let mut document = Document::default();
    if open.is_empty() {
        return document;
    }
    let latency = |of: fn(&Row) -> Option<Latency>| {
        move |(shown, _): &Open<'_>| known(of(shown.row).and_then(|latency| latency.p99), ms)
    };
    document.heading("Open loop");
    document.say("Latency counts from the intended start. Service time counts from sending.");
    document.table(
        Table::of("Open loop", &open)
            .words(0, "row", |(shown, _)| shown.label)
            .number(0, "offered TPS", |(_, open)| rate(open.offered_tps))
            .number(0, "of offered", |(_, open)| {
                format!("{:.1} %", open.achieved_tps / open.offered_tps * 100.0)
            })
            .number(2, "late", |(_, open)| open.late)
            .number(2, "skipped", |(_, open)| open.skipped)
            .number(1, "dropped", |(_, open)| open.dropped)
            .number(0, "response p99 ms", latency(|row| row.response_ms))
            .number(3, "service p99 ms", latency(|row| row.service_ms))
            .number(4, "schedule lag p99 µs", |(_, open)| {
                p99(open.schedule_lag_us)
            }),
    );
    document
}

/// Where the time goes, side by side.
fn budgets(rows: &[Shown<'_>]) -> Document {
    let with = budget::with_budget(rows);
    let mut stages: Vec<Stage> = Vec::new();
    for time in with.iter().flat_map(|(_, budget)| &budget.stages) {
        if !stages.contains(&time.stage) {
            stages.push(time.stage);
        }
    }
    let mut document = Document::default();
    if with.is_empty() {
        return document;
    }
    document.heading("Time budget");
    document.say("Means per transfer in µs: the stages add up to the mean latency.");
    let table = Table::of("Time budget", &with)
        .words(0, "row", |(shown, _)| shown.label)
        .number(0, "mean", |(_, budget)| significant(budget.mean_us));
    document.table(stages.iter().fold(table, |table, stage| {
        table.number(0, stage.in_words(), |(_, budget)| {
            let time = budget.stages.iter().find(|time| time.stage == *stage);
            time.map(|time| significant(time.mean_us))
        })
    }));
    let withheld = with.iter().flat_map(|(shown, budget)| {
        let each = budget.withheld.iter();
        each.map(|what| format!("Withheld, {}: {what}.", shown.label).into())
    });
    document.list(withheld.collect());
    let transfers = budget::transfers(rows).into_iter();
    document.pictures("", transfers.collect());
    if let Some(chart) = budget::seconds(rows) {
        document.push(Block::Chart(Box::new(chart)));
    }
    document
}

/// The ceiling of the generator, or what was taken for one and was none.
fn null_server(generator: &Generator) -> String {
    match generator.ceiling_refuted {
        Some(reached) => format!("no ceiling ({})", rate(reached)),
        None => known(generator.ceiling_tps, rate),
    }
}

/// Whether the generator was the limit, and whether the figures agree with each other.
fn generators(rows: &[Shown<'_>]) -> Document {
    let mut document = Document::default();
    let known = |row: &Row| {
        row.generator.is_some() || row.littles_law.is_some() || row.steady_state.is_some()
    };
    let with: Vec<Shown<'_>> = rows.iter().filter(|one| known(one.row)).copied().collect();
    if with.is_empty() {
        return document;
    }
    let generator = |of: fn(&Generator) -> Option<String>| {
        move |shown: &Shown<'_>| shown.row.generator.as_ref().and_then(of)
    };
    document.heading("The generator, and checks of the figures");
    document.table(
        Table::of("The generator", &with)
            .words(0, "row", |shown| shown.label)
            .number(
                0,
                "busiest client thread",
                generator(|one| {
                    let busiest = one.thread_cpu.iter().copied().reduce(f64::max);
                    busiest.map(|share| format!("{:.0} %", share * 100.0))
                }),
            )
            .number(
                2,
                "event loop lag p99 µs",
                generator(|one| Some(p99(one.event_loop_lag_us))),
            )
            .number(2, "schedule lag p99 µs", |shown| {
                shown
                    .row
                    .open_loop
                    .as_ref()
                    .map(|open| p99(open.schedule_lag_us))
            })
            .number(
                0,
                "null server TPS",
                generator(|one| Some(null_server(one))),
            )
            .number(1, "in flight", |shown| {
                shown.row.littles_law.map(|law| shared(law.in_flight))
            })
            .number(1, "answers/s × service time", |shown| {
                shown.row.littles_law.map(|law| {
                    let product = law.throughput_times_latency;
                    product.map_or_else(|| "window too short".to_owned(), shared)
                })
            })
            .number(3, "steady from", |shown| {
                shown.row.steady_state.map(|state| {
                    if state.steady {
                        "the start".to_owned()
                    } else {
                        format!("{:.1} s on", state.transient_seconds)
                    }
                })
            }),
    );
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::load_record::names;
    use crate::record::{LittlesLaw, fixtures};

    #[test]
    fn a_window_that_is_too_short_for_littles_law_says_so() {
        let rows = [Some(12.5), None].map(|product| {
            let mut row = fixtures::row();
            row.littles_law = Some(LittlesLaw {
                in_flight: 12.0,
                throughput_times_latency: product,
            });
            row
        });
        let labels = names(&rows.iter().collect::<Vec<_>>());
        let shown = rows.iter().zip(&labels).map(|(row, label)| Shown {
            record: 0,
            number: 1,
            label,
            row,
            article: None,
        });
        let document = generators(&shown.collect::<Vec<_>>());
        let Some(Block::Table(table)) = document.blocks.last() else {
            panic!("a table: {document:?}");
        };
        let mut titles = table.columns.iter().map(|column| column.title.as_str());
        let place = titles.position(|title| title == "answers/s × service time");
        let cells = table.rows.iter().map(|row| row[place.unwrap()].to_string());
        assert_eq!(cells.collect::<Vec<_>>(), ["12.5", "window too short"]);
    }
}
