//! Sync baselines: what a durable write costs in a directory, what the disk allows, and two of
//! them held against each other.

use crate::disk::{Ceiling, Ceilings, Method, Pattern, SyncSeries};
use crate::figures::{UNKNOWN, known, rate_within};
use crate::record::fsync::FsyncRecord;
use crate::render::document::{Document, Table};
use crate::statistics::{Estimate, FAMILY_ERROR, Level, Ratio};

/// All of it.
#[must_use]
pub fn document(record: &FsyncRecord) -> Document {
    let Ceilings {
        method,
        append_us,
        overwrite_us,
        rows,
        withheld,
    } = &record.ceilings;
    let what = format!(
        "writes of {} bytes in {}, {} rounds in turn, latency in µs",
        record.block_bytes, record.directory, record.rounds
    );
    let alone = overwriting(&record.methods).find(|series| series.concurrency == 1);
    let mut document = match alone.and_then(|series| series.all.latency_us.p50) {
        Some(p50) if !withheld => Document::new(&format!(
            "A sync takes {p50:.1} µs in the median (fdatasync, overwriting): durable {what}"
        )),
        _ => Document::new(&format!("Durable {what}")),
    };
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
    document.say(format!(
        "TPS ceilings: syncs per commit counted in this directory; SQLite syncs by {method}, mean \
         {append_us:.1} µs when it appends (a new journal, or its removal) and \
         {overwrite_us:.1} µs when it overwrites (a reused log, the database)"
    ));
    document.table(ceilings_table(rows));
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

/// The syncs that SQLite's log makes.
fn overwriting(methods: &[SyncSeries]) -> impl Iterator<Item = &SyncSeries> {
    let of = |series: &&SyncSeries| {
        (series.all.method, series.all.pattern) == (Method::Fdatasync, Pattern::Overwrite)
    };
    methods.iter().filter(of)
}

/// Whether more streams make more syncs, for the syncs that SQLite's log makes.
fn streams(methods: &[SyncSeries]) -> Vec<String> {
    let Some(alone) = overwriting(methods).find(|series| series.concurrency == 1) else {
        return Vec::new();
    };
    let alone = rates(alone);
    let several = overwriting(methods).filter(|series| series.concurrency > 1);
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

/// A figure of an interval, with no more digits than are known.
fn known_rate(interval: Estimate, of: fn(&Estimate) -> f64) -> String {
    rate_within(of(&interval), interval.low, interval.high)
}

fn methods_table(methods: &[SyncSeries]) -> Table {
    let micros = |value: f64| format!("{value:.1}");
    let rate = |of: fn(&Estimate) -> f64| {
        move |series: &SyncSeries| known_rate(series.syncs_per_second_interval, of)
    };
    Table::of("Durable writes", methods)
        .words(0, "method", |it| it.all.method.to_string())
        .words(0, "pattern", |it| it.all.pattern.to_string())
        .number(1, "streams", |it| it.concurrency)
        .number(3, "count", |it| it.all.count)
        .number(2, "min", move |it| micros(it.all.latency_us.min))
        .number(1, "mean", move |it| micros(it.all.latency_us.mean))
        .number(0, "p50", move |it| known(it.all.latency_us.p50, micros))
        .number(1, "p99", move |it| known(it.all.latency_us.p99, micros))
        .number(2, "max", move |it| micros(it.all.latency_us.max))
        .number(0, "syncs/s", rate(|it| it.median))
        .number(1, "95 % from", rate(|it| it.low))
        .number(1, "to", rate(|it| it.high))
        .into()
}

fn ceilings_table(rows: &[Ceiling]) -> Table {
    let rate = |of: fn(&Estimate) -> f64| {
        move |row: &Ceiling| {
            let interval = row.tps_interval;
            interval.map_or_else(|| UNKNOWN.to_owned(), |interval| known_rate(interval, of))
        }
    };
    let tps = rate(|it| it.median);
    Table::of("Ceilings", rows)
        .words(0, "durability", |row| row.durability.clone())
        .number(0, "transfers/commit", |row| row.transfers_per_commit)
        .number(1, "syncs/commit", |row| {
            format!("{:.2}", row.syncs_per_commit)
        })
        .number(2, "appending", |row| {
            format!("{:.2}", row.append_syncs_per_commit)
        })
        .number(1, "sync µs", |row| {
            format!("{:.1}", row.sync_us_per_commit)
        })
        .number(0, "TPS", move |row| {
            row.tps_interval
                .map_or_else(|| "no sync".to_owned(), |_| tps(row))
        })
        .number(1, "95 % from", rate(|it| it.low))
        .number(1, "to", rate(|it| it.high))
        .into()
}
