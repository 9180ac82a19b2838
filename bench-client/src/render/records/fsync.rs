//! Sync baselines: what a durable write costs in a directory, what the disk allows, and two of
//! them held against each other.

use super::environment;
use super::headline::{day, machine};
use super::sync_figures::{in_interval, known_rate, median_round, methods_table};
use super::words::{joined, verdict_on};
use crate::disk::{Ceiling, Ceilings, Method, Pattern, SyncSeries};
use crate::figures::{grouped, in_us, known, rounded_within, significant};
use crate::record::fsync::FsyncRecord;
use crate::render::charts;
use crate::render::document::{Block, Document, Table, Tone};
use crate::statistics::{Estimate, FAMILY_ERROR, Level, Ratio};

/// What a terminal shows: the ceiling, what it rests on, and why not to rely on it.
#[must_use]
pub fn document(record: &FsyncRecord) -> Document {
    let Ceilings {
        method,
        rows,
        withheld,
        ..
    } = &record.ceilings;
    let mut document = headline(record);
    document.say(format!(
        "Durable writes of {} bytes in {}, in {} rounds in turn. The median round is the one whose \
         syncs per second are the median of all rounds, with the interval of that; p50, p99, min and max are of all writes.",
        grouped(u64::from(record.block_bytes)),
        record.directory,
        record.rounds
    ));
    let warnings = record.warnings.iter().map(|one| verdict_on(None, one));
    document.list(warnings.collect());
    document.pictures(
        "",
        charts::syncs::syncs(&record.methods).into_iter().collect(),
    );
    document.table(methods_table(&record.methods));
    for line in streams(&record.methods) {
        document.say(line);
    }
    if *withheld {
        document.say(format!(
            "TPS ceilings: withheld, since what {method} does here is not a sync"
        ));
        return document;
    }
    let took = |pattern| {
        let same = |it: &&SyncSeries| (it.all.method, it.all.pattern) == (*method, pattern);
        let round = alone(&record.methods).find(same).map(median_round);
        known(round.as_ref(), |round| in_interval(round, |it| it.median))
    };
    document.say(format!(
        "TPS ceilings: syncs per commit counted in this directory; SQLite syncs by {method}, in \
         the median round {} µs when it appends (a new journal, or its removal) and {} µs when it \
         overwrites (a reused log, the database)",
        took(Pattern::Append),
        took(Pattern::Overwrite)
    ));
    document.table(ceilings_table(rows));
    document
}

/// The same with where and how it was measured, for who was not there.
#[must_use]
pub fn report(record: &FsyncRecord) -> Document {
    let mut document = document(record);
    let environment = &record.environment;
    let storage = &environment.storage;
    let parts = [
        Some(day(environment)),
        Some(machine(environment)),
        storage.file_system.clone(),
        storage.mount_source.clone(),
    ];
    let subject = Block::Paragraph(joined(" · ", parts).into());
    document.blocks.insert(0, subject);
    document.heading("Where and how it was measured");
    document.facts(environment::facts(environment));
    document
}

/// One line: the ceiling of a transfer that shares its sync with no other.
#[must_use]
pub fn headline(record: &FsyncRecord) -> Document {
    let alone = |row: &&Ceiling| row.durability == "wal-full" && row.transfers_per_commit == 1;
    let ceiling = record.ceilings.rows.iter().find(alone);
    let Some(tps) = ceiling.and_then(|row| row.tps_interval) else {
        let mut document = Document::new("What a durable write costs: no ceiling follows");
        document.tone = Tone::Bad;
        return document;
    };
    let mut document = Document::new(&format!(
        "A sync takes {}: {} transfers per second without sharing ({} to {})",
        in_us(Some(rounded_within(
            1e6 / tps.median,
            1e6 / tps.high,
            1e6 / tps.low
        ))),
        known_rate(tps, |it| it.median),
        known_rate(tps, |it| it.low),
        known_rate(tps, |it| it.high)
    ));
    if !record.warnings.is_empty() {
        document.tone = Tone::Warn;
    }
    document
}

/// Each series that both have: syncs per second, and the ratio B ÷ A with its interval.
#[must_use]
pub fn comparison(base: &FsyncRecord, candidate: &FsyncRecord) -> Document {
    type Compared<'a> = (&'a SyncSeries, &'a SyncSeries, Option<Ratio>);
    let mut both = Vec::new();
    for b in &candidate.methods {
        let same = |a: &&SyncSeries| {
            (a.all.method, a.all.pattern, a.concurrency)
                == (b.all.method, b.all.pattern, b.concurrency)
        };
        both.extend(base.methods.iter().find(same).map(|a| (a, b)));
    }
    let level = Level::new(FAMILY_ERROR, u32::try_from(both.len()).unwrap_or(u32::MAX));
    let rows: Vec<_> = both
        .into_iter()
        .map(|(a, b)| (a, b, Ratio::unpaired(&rates(a), &rates(b), level)))
        .collect();
    let figure = |of: fn(&Ratio) -> f64| {
        move |(.., ratio): &Compared<'_>| {
            known(ratio.as_ref().map(of), |value| format!("{value:.2}"))
        }
    };
    let syncs = |side: &SyncSeries| known_rate(side.syncs_per_second_interval, |it| it.median);
    let mut document = Document::new("Two sync baselines, B ÷ A");
    document.table(
        Table::of("Syncs per second", &rows)
            .words(0, "method", |(_, b, _)| b.all.method.to_string())
            .words(0, "pattern", |(_, b, _)| b.all.pattern.to_string())
            .number(1, "streams", |(_, b, _)| b.concurrency)
            .number(0, "A syncs/s", move |(a, ..)| syncs(a))
            .number(0, "B syncs/s", move |(_, b, _)| syncs(b))
            .number(0, "B ÷ A", figure(|it| it.ratio))
            .number(0, "from", figure(|it| it.low))
            .number(0, "to", figure(|it| it.high)),
    );
    document.say(format!(
        "The intervals of B ÷ A hold for all rows together with {:.0} % where both sides have {} \
         rounds or more. The two were not measured in turn: what the machine did between them \
         looks like a difference between the sides.",
        100.0 * (1.0 - FAMILY_ERROR),
        level.rounds_min()
    ));
    document
}

fn rates(series: &SyncSeries) -> Vec<f64> {
    let rounds = series.rounds.iter();
    rounds.map(|round| round.syncs_per_second).collect()
}

/// The series of one stream.
fn alone(methods: &[SyncSeries]) -> impl Iterator<Item = &SyncSeries> {
    methods.iter().filter(|series| series.concurrency == 1)
}

/// Whether these are the syncs that SQLite's log makes.
fn is_overwriting(series: &SyncSeries) -> bool {
    (series.all.method, series.all.pattern) == (Method::Fdatasync, Pattern::Overwrite)
}

/// Whether more streams make more syncs, for the syncs that SQLite's log makes.
fn streams(methods: &[SyncSeries]) -> Vec<String> {
    let Some(alone) = alone(methods).find(|it| is_overwriting(it)) else {
        return Vec::new();
    };
    let alone = rates(alone);
    let several = methods
        .iter()
        .filter(|it| is_overwriting(it) && it.concurrency > 1);
    let several = several.filter_map(|series| {
        let rounds = alone.iter().copied().zip(rates(series));
        let ratio = Ratio::paired(&rounds.collect::<Vec<_>>(), Level::METRICS)?;
        Some(format!(
            "{} streams of fdatasync that overwrite make {:.2} times the syncs of one ({:.2} to \
             {:.2})",
            series.concurrency, ratio.ratio, ratio.low, ratio.high
        ))
    });
    several.collect()
}

fn ceilings_table(rows: &[Ceiling]) -> Table {
    let rate = |of: fn(&Estimate) -> f64| {
        move |row: &Ceiling| known(row.tps_interval, |interval| known_rate(interval, of))
    };
    let tps = rate(|it| it.median);
    Table::of("Ceilings", rows)
        .words(0, "durability", |row| row.durability.clone())
        .number(0, "transfers/commit", |row| row.transfers_per_commit)
        .number(0, "TPS", move |row| {
            row.tps_interval
                .map_or_else(|| "no sync".to_owned(), |_| tps(row))
        })
        .number(2, "95 % from", rate(|it| it.low))
        .number(2, "to", rate(|it| it.high))
        .number(3, "syncs/commit", |row| {
            format!("{:.2}", row.syncs_per_commit)
        })
        .number(4, "appending", |row| {
            format!("{:.2}", row.append_syncs_per_commit)
        })
        .number(2, "median round µs", |row| {
            let transfers = f64::from(row.transfers_per_commit);
            known(row.tps_interval, |tps| {
                let [middle, low, high] =
                    [tps.median, tps.high, tps.low].map(|tps| transfers * 1e6 / tps);
                significant(rounded_within(middle, low, high))
            })
        })
        .into()
}
