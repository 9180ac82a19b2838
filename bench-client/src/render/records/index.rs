//! Many records on one page: what each found, every row of them with what it can be chosen by, and
//! how each benchmark changed from one record to the next.

use super::headline::{self, machine, minute};
use super::words::{batch_knobs, in_flight, mean_batch, tps, verdict};
use crate::figures::{counted, known, ms};
use crate::host::environment::Environment;
use crate::record::Row;
use crate::record::load_record::{AnyRecord, Report, Shown, names, settings};
use crate::render::charts::Chart;
use crate::render::charts::history::{Past, history};
use crate::render::document::{Block, Document, Facet, Line, Selection, Table, Tag};

/// A file among the results.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where it is, below what was asked for.
    pub file: String,
    /// The address of its own page, relative to the index; `None` where none was written.
    pub page: Option<String>,
    /// The address of the record itself, likewise; `None` where it lies elsewhere.
    pub record: Option<String>,
    /// What is in it.
    pub content: Content,
}

/// What is in a file.
#[derive(Debug, Clone)]
pub enum Content {
    /// A record with rows, or a comparison.
    Rows(Box<Report>),
    /// A record of `torture`, `audit` or `fsync`.
    Alone {
        /// What wrote it.
        verb: &'static str,
        /// What it says in one line.
        found: String,
        /// Where it was measured.
        environment: Box<Environment>,
    },
    /// Nothing that can be shown, and why.
    Unread(String),
}

impl Content {
    /// A record with rows, without what an index does not show: histograms and time series.
    #[must_use]
    pub fn of_rows(mut record: AnyRecord) -> Self {
        for row in &mut record.record.rows {
            row.latency_histogram = String::new();
            row.service_histogram = None;
            row.intervals = Vec::new();
            if let Some(server) = &mut row.server {
                server.sync_histogram = None;
            }
        }
        if let Some(comparison) = &mut record.comparison {
            // Its runs are the record's rows.
            comparison.rows = Vec::new();
        }
        Self::Rows(Box::new(Report::new(vec![record])))
    }

    /// A record without rows, which is shown as `document`.
    #[must_use]
    pub fn alone(verb: &'static str, document: &Document, environment: Environment) -> Self {
        let verdict = document.blocks.iter().find_map(|block| match block {
            Block::Verdict(line) => Some(line.to_string()),
            _ => None,
        });
        let found = match (verdict, document.is_named) {
            (Some(verdict), true) => format!("{}: {verdict}", document.title),
            (verdict, _) => verdict.unwrap_or_else(|| document.title.clone()),
        };
        Self::Alone {
            verb,
            found,
            environment: Box::new(environment),
        }
    }

    fn environment(&self) -> Option<&Environment> {
        match self {
            Self::Rows(report) => Some(&report.records[0].record.environment),
            Self::Alone { environment, .. } => Some(environment),
            Self::Unread(_) => None,
        }
    }
}

/// A row among those of all records.
struct Measured<'a> {
    entry: &'a Entry,
    environment: &'a Environment,
    /// Its place on the page of its record, from 1.
    number: usize,
    shown: Shown<'a>,
    /// What it is called among the rows of all records.
    name: String,
}

/// What a row is in some respect.
type Respect = fn(&Measured<'_>) -> String;

/// By what rows can be chosen.
const FACETS: [(&str, Respect); 4] = [
    ("target", |one| one.shown.row.config.subject()),
    ("durability", |one| one.shown.row.durability_and_apply()),
    ("in flight", |one| in_flight(one.shown.row)),
    ("machine", |one| machine(one.environment)),
];
/// Columns that are said once where they say the same of every row.
const COMMON: [&str; 4] = ["target", "durability", "machine", "revision"];
/// Which of them every record has.
const MACHINE: usize = 3;

/// All of them, the latest first.
#[must_use]
pub fn document(entries: &[Entry]) -> Document {
    let mut read: Vec<(&Entry, &Environment)> = entries
        .iter()
        .filter_map(|entry| Some((entry, entry.content.environment()?)))
        .collect();
    read.sort_by(|a, b| b.1.started_at.cmp(&a.1.started_at));
    let rows = measured(&read);
    let mut document = Document::new(&format!(
        "Results of {} with {}",
        counted(read.len() as u64, "record"),
        counted(rows.len() as u64, "row")
    ));
    if entries.iter().all(|entry| entry.page.is_none()) {
        let line = Line::from("Without a page for each record: ");
        document.say(
            line.code("--output-dir DIR")
                .plain(" writes them beside an index."),
        );
    }
    let selection = selection(&read, &rows);
    if !selection.blocks.is_empty() {
        document.push(Block::Selection(selection));
    }
    document.pictures("One benchmark over time", histories(&rows));
    let unread = entries.iter().filter_map(|entry| match &entry.content {
        Content::Unread(why) => Some(Line::default().code(&entry.file).plain(format!(": {why}"))),
        _ => None,
    });
    let unread: Vec<Line> = unread.collect();
    if !unread.is_empty() {
        document.heading("Not shown").list(unread);
    }
    document
}

/// The rows of all records; the runs of a comparison are on its own page.
fn measured<'a>(read: &[(&'a Entry, &'a Environment)]) -> Vec<Measured<'a>> {
    let mut all = Vec::new();
    for (entry, environment) in read {
        let Content::Rows(report) = &entry.content else {
            continue;
        };
        if report.records[0].comparison.is_some() {
            continue;
        }
        all.extend(report.rows().into_iter().map(|shown| Measured {
            entry,
            environment,
            number: shown.number,
            shown,
            name: String::new(),
        }));
    }
    let rows: Vec<&Row> = all.iter().map(|one| one.shown.row).collect();
    for (one, name) in all.iter_mut().zip(names(&rows)) {
        one.name = name;
    }
    all
}

fn selection(read: &[(&Entry, &Environment)], rows: &[Measured<'_>]) -> Selection {
    let mut facets = FACETS.map(|(name, of)| {
        let values = rows.iter().map(of);
        Facet {
            name,
            values: values.collect(),
        }
    });
    let machines = read.iter().map(|(_, environment)| machine(environment));
    facets[MACHINE].values.extend(machines);
    for facet in &mut facets {
        facet.values.sort_by_key(|text| natural(text));
        facet.values.dedup();
    }
    let place = |facet: usize, value: &String| -> Option<Tag> {
        let values = &facets[facet].values;
        Some((facet, values.iter().position(|one| one == value)?))
    };
    let of_row = |one: &Measured<'_>| -> Vec<Tag> {
        let tags = FACETS.iter().enumerate();
        tags.filter_map(|(facet, (_, of))| place(facet, &of(one)))
            .collect()
    };
    // A record is of everything that its rows are of.
    let of_record = |(entry, environment): &(&Entry, &Environment)| -> Vec<Tag> {
        let own = rows.iter().filter(|one| std::ptr::eq(one.entry, *entry));
        let mut tags: Vec<Tag> = own.flat_map(of_row).collect();
        tags.extend(place(MACHINE, &machine(environment)));
        tags.sort_unstable();
        tags.dedup();
        tags
    };
    let mut blocks = Vec::new();
    let mut with = |title: &str, mut table: Table| {
        if table.rows.is_empty() {
            return;
        }
        let common = match table.rows.len() {
            1 => Vec::new(),
            _ => table.take_common(&COMMON),
        };
        let common = common.iter().map(|(_, cell)| cell.to_string());
        let common = common.collect::<Vec<_>>().join(" · ");
        blocks.push(Block::Heading(title.to_owned()));
        if !common.is_empty() {
            blocks.push(Block::Paragraph(format!("All: {common}.").into()));
        }
        blocks.push(Block::Table(table));
    };
    with("Records", records(read, of_record));
    with("Rows", all_rows(rows, of_row));
    Selection {
        facets: facets.into(),
        blocks,
    }
}

/// In the order of the numbers in a text: `50×8` before `50×16`.
fn natural(text: &str) -> Vec<(u64, String)> {
    let parts = text.split_inclusive(|character: char| !character.is_ascii_digit());
    parts
        .map(|part| {
            let digits = part.trim_end_matches(|character: char| !character.is_ascii_digit());
            (digits.parse().unwrap_or(0), part[digits.len()..].to_owned())
        })
        .collect()
}

fn led_to(entry: &Entry, words: &str, anchor: &str) -> Line {
    match &entry.page {
        Some(page) => Line::default().link(words, format!("{page}{anchor}")),
        None => words.into(),
    }
}

fn revision(environment: &Environment) -> String {
    environment.program.git_revision.chars().take(7).collect()
}

fn verb(entry: &Entry) -> &str {
    match &entry.content {
        Content::Alone { verb, .. } => verb,
        Content::Rows(report) => {
            let record = &report.records[0];
            if record.comparison.is_some() {
                return "compare";
            }
            let command = record.record.environment.command_line.get(1);
            command.map_or("run", String::as_str)
        }
        Content::Unread(_) => "",
    }
}

fn records(
    read: &[(&Entry, &Environment)],
    tags: impl Fn(&(&Entry, &Environment)) -> Vec<Tag>,
) -> Table {
    let found = |entry: &Entry| match &entry.content {
        Content::Rows(report) => {
            let found = headline::of_report(report).text;
            let title = report.records[0].record.naming.title.as_deref();
            title.map_or(found.clone(), |title| format!("{title}: {found}"))
        }
        Content::Alone { found, .. } => found.clone(),
        Content::Unread(why) => why.clone(),
    };
    Table::of("Records", read)
        .prose(0, "found", move |(entry, _)| {
            led_to(entry, &found(entry), "")
        })
        .words(2, "by", |(entry, _)| verb(entry).to_owned())
        .words(1, "measured", |(_, environment)| minute(environment))
        .words(2, "machine", |(_, environment)| machine(environment))
        .words(3, "revision", |(_, environment)| revision(environment))
        .words(2, "record", |(entry, _)| match &entry.record {
            Some(address) => Line::default().link(&entry.file, address.clone()),
            None => entry.file.as_str().into(),
        })
        .tagged(tags)
        .into()
}

fn all_rows(rows: &[Measured<'_>], tags: impl Fn(&Measured<'_>) -> Vec<Tag>) -> Table {
    Table::of("Rows of all records", rows)
        .words(0, "row", |one| {
            led_to(one.entry, &one.name, &format!("#row-{}", one.number))
        })
        .number(0, "TPS", |one| tps(&one.shown))
        .words(0, "verdict", |one| verdict(&one.shown))
        .number(2, "p50 ms", |one| known(one.shown.row.latency_ms.p50, ms))
        .number(1, "p99 ms", |one| known(one.shown.row.latency_ms.p99, ms))
        .words(2, "limit", |one| {
            let model = one.shown.row.prediction.as_ref()?;
            Some(model.limit_in_words())
        })
        .number(3, "per commit", |one| mean_batch(one.shown.row))
        .words(2, "target", FACETS[0].1)
        .words(2, "durability", FACETS[1].1)
        .number(2, "in flight", FACETS[2].1)
        .number(2, "batch", |one| batch_knobs(one.shown.row))
        .words(2, "measured", |one| minute(one.environment))
        .words(3, "revision", |one| revision(one.environment))
        .words(3, "machine", FACETS[MACHINE].1)
        .words(4, "record", |one| one.entry.file.as_str())
        .invalid(|one| !one.shown.row.valid)
        .tagged(tags)
        .into()
}

/// What makes rows of several records measurements of one benchmark: the fingerprint of what they
/// were measured with, without which they are compared with nothing, and what they are called.
fn benchmark(row: &Row) -> Option<(String, String)> {
    let fingerprint = row.fingerprint.clone().filter(|text| !text.is_empty())?;
    Some((fingerprint, row.config.name.clone().unwrap_or_default()))
}

/// A chart for each benchmark that more than one record has.
fn histories(rows: &[Measured<'_>]) -> Vec<Chart> {
    let mut benchmarks: Vec<(_, Vec<&Measured<'_>>)> = Vec::new();
    // They come with the latest first.
    for one in rows.iter().rev() {
        let Some(key) = benchmark(one.shown.row) else {
            continue;
        };
        match benchmarks.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(one),
            None => benchmarks.push((key, vec![one])),
        }
    }
    benchmarks.retain(|(_, members)| {
        let first = members[0].entry;
        members.iter().any(|one| !std::ptr::eq(one.entry, first))
    });
    // What makes the benchmarks unlike each other is what each is called, unless it has a name.
    let all: Vec<_> = benchmarks
        .iter()
        .map(|(_, members)| settings(members[0].shown.row))
        .collect();
    let differs = |place: usize| all.iter().any(|one| one[place] != all[0][place]);
    let charts = benchmarks
        .iter()
        .zip(&all)
        .map(|(((_, name), members), set)| {
            let said = |wanted: &dyn Fn(usize) -> bool| {
                let set = set.iter().enumerate();
                let set = set.filter(|(place, (knob, text))| {
                    *knob != "seed" && !text.is_empty() && wanted(*place)
                });
                set.map(|(_, (_, text))| text.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let title = match name.as_str() {
                "" if all.len() > 1 => said(&differs),
                "" => members[0].shown.row.config.subject(),
                name => name.to_owned(),
            };
            history(&title, &said(&|_| true), &past(members))
        });
    charts.collect()
}

/// Rows by the records that they are of.
fn past<'a>(members: &[&Measured<'a>]) -> Vec<Past<'a>> {
    let mut past: Vec<Past<'_>> = Vec::new();
    for one in members {
        let file = one.entry.file.as_str();
        match past.last_mut().filter(|last| last.file == file) {
            Some(last) => last.rows.push(one.shown.row),
            None => past.push(Past {
                at: one.environment.started_at.as_str(),
                revision: revision(one.environment),
                file,
                rows: vec![one.shown.row],
            }),
        }
    }
    past
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use crate::render::write::{html, markdown};

    fn entry(file: &str, change: impl Fn(&mut Record)) -> Entry {
        let text = include_str!("../../../tests/records/reproduce.json");
        let mut record = AnyRecord::parse(file.to_owned(), text).unwrap();
        change(&mut record.record);
        Entry {
            file: file.to_owned(),
            page: Some(file.replace(".json", ".html")),
            record: Some(file.to_owned()),
            content: Content::of_rows(record),
        }
    }

    fn one_row(file: &str, at: &str, tps: f64) -> Entry {
        entry(file, |record| {
            record.environment.started_at = at.to_owned();
            record.rows.drain(..1);
            record.rows.truncate(1);
            record.rows[0].tps = tps;
            record.rows[0].fingerprint = Some("abc".to_owned());
        })
    }

    #[test]
    fn records_and_rows_lead_to_their_pages_and_can_be_chosen() {
        let unread = Entry {
            file: "old.json".to_owned(),
            page: None,
            record: None,
            content: Content::Unread("is of <version> 1".to_owned()),
        };
        let document = document(&[entry("a/b.json", |_| {}), unread]);
        assert_eq!(document.title, "Results of 1 record with 11 rows");
        let page = html::write(&document).unwrap();
        for expected in [
            "<a href=\"a/b.html\">The article&#39;s table",
            "<a href=\"a/b.html#row-3\">",
            "<a href=\"a/b.json\">a/b.json</a>",
            "durability<select><option>all</option>",
            "<code class=\"flag\">old.json</code>: is of &lt;version&gt; 1",
        ] {
            let plain = expected.replace("&#39;", "'");
            assert!(
                page.contains(expected) || page.contains(&plain),
                "{expected}: {page}"
            );
        }
        let tagged = page.matches("<tr class=\"").count();
        assert_eq!(tagged, 12, "every row of both tables");
        let text = markdown::write(&document);
        assert!(text.contains("(<a/b.html#row-3>)"), "{text}");
    }

    #[test]
    fn a_benchmark_of_several_records_has_its_history() {
        let (old, new) = ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z");
        let entries = [
            one_row("new.json", new, 200.0),
            one_row("old.json", old, 100.0),
        ];
        let document = document(&entries);
        let charts = document.blocks.iter().find_map(|block| match block {
            Block::Pictures(_, charts) => Some(charts),
            _ => None,
        });
        let [only] = charts.unwrap().as_slice() else {
            panic!("one benchmark: {document:?}");
        };
        let files: Vec<String> = only
            .data
            .rows
            .iter()
            .map(|row| row[4].to_string())
            .collect();
        assert_eq!(files, ["old.json", "new.json"], "the oldest first");
        let alone = super::document(&entries[..1]);
        assert!(
            !alone
                .blocks
                .iter()
                .any(|one| matches!(one, Block::Pictures(..)))
        );
    }

    #[test]
    fn values_are_in_the_order_of_their_numbers() {
        let mut values = ["50×16", "50×8", "8×1", "a"].map(str::to_owned);
        values.sort_by_key(|text| natural(text));
        assert_eq!(values, ["a", "8×1", "50×8", "50×16"]);
    }
}
