//! A sync baseline for people: what a durable write costs, and what the disk allows.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use crate::disk::{Ceiling, Ceilings, Method, Pattern, SyncSeries};
use crate::figures::{known, rate_within};
use crate::record::fsync::FsyncRecord;
use crate::statistics::{Estimate, FAMILY_ERROR, Level, Ratio};

/// All of it.
#[must_use]
pub fn describe(record: &FsyncRecord) -> String {
    let Ceilings {
        method,
        append_us,
        overwrite_us,
        rows,
        withheld,
    } = &record.ceilings;
    let mut text = format!(
        "Durable writes of {} bytes in {}, {} rounds in turn, latency in µs\n{}\n",
        record.block_bytes,
        record.directory,
        record.rounds,
        methods_table(&record.methods),
    );
    for line in streams(&record.methods) {
        let _ = writeln!(text, "{line}");
    }
    if *withheld {
        let _ = write!(
            text,
            "\nTPS ceilings: withheld, since what {method} does here is no sync"
        );
        return text;
    }
    let _ = write!(
        text,
        "\nTPS ceilings: syncs per commit counted in this directory; SQLite syncs by {method},\n\
         mean {append_us:.1} µs when it appends (a new journal, or its removal) and \
         {overwrite_us:.1} µs when it overwrites (a reused log, the database)\n{}",
        ceilings_table(rows),
    );
    text
}

/// Each series that both have: syncs per second, and the ratio B ÷ A with its interval.
#[must_use]
pub fn compare(base: &FsyncRecord, candidate: &FsyncRecord) -> String {
    let header = [
        "method",
        "pattern",
        "streams",
        "A syncs/s",
        "B syncs/s",
        "B ÷ A",
        "from",
        "to",
    ];
    let mut both = Vec::new();
    for b in &candidate.methods {
        let same = |a: &&SyncSeries| {
            (a.all.method, a.all.pattern, a.concurrency)
                == (b.all.method, b.all.pattern, b.concurrency)
        };
        both.extend(base.methods.iter().find(same).map(|a| (a, b)));
    }
    let level = Level::new(FAMILY_ERROR, u32::try_from(both.len()).unwrap_or(u32::MAX));
    let rows = both.iter().map(|(a, b)| {
        let ratio = Ratio::unpaired(&rates(a), &rates(b), level);
        let figure =
            |of: fn(&Ratio) -> f64| known(ratio.as_ref().map(of), |value| format!("{value:.2}"));
        let [a_rate, b_rate] =
            [a, b].map(|side| interval(&side.syncs_per_second_interval)[0].clone());
        vec![
            b.all.method.to_string(),
            b.all.pattern.to_string(),
            b.concurrency.to_string(),
            a_rate,
            b_rate,
            figure(|it| it.ratio),
            figure(|it| it.low),
            figure(|it| it.high),
        ]
    });
    let confidence = 100.0 * (1.0 - FAMILY_ERROR);
    format!(
        "{}\nThe intervals of B ÷ A hold for all rows together with {confidence:.0} % where both \
         sides have {} rounds or more",
        aligned(&header, rows, 2),
        level.rounds_min(),
    )
}

fn rates(series: &SyncSeries) -> Vec<f64> {
    let rounds = series.rounds.iter();
    rounds.map(|round| round.syncs_per_second).collect()
}

/// Whether more streams make more syncs, for the syncs that SQLite's log makes.
fn streams(methods: &[SyncSeries]) -> Vec<String> {
    let of = |series: &&SyncSeries| {
        (series.all.method, series.all.pattern) == (Method::Fdatasync, Pattern::Overwrite)
    };
    let mut found = methods.iter().filter(of);
    let Some(alone) = found.clone().find(|series| series.concurrency == 1) else {
        return Vec::new();
    };
    let alone = rates(alone);
    let several = found.by_ref().filter(|series| series.concurrency > 1);
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

fn methods_table(methods: &[SyncSeries]) -> Table {
    let header = [
        "method",
        "pattern",
        "streams",
        "count",
        "min",
        "mean",
        "p50",
        "p99",
        "max",
        "syncs/s",
        "95 % from",
        "to",
    ];
    let rows = methods.iter().map(|entry| {
        let all = &entry.all;
        let latency = &all.latency_us;
        let micros = |value: f64| format!("{value:.1}");
        let [rate, low, high] = interval(&entry.syncs_per_second_interval);
        vec![
            all.method.to_string(),
            all.pattern.to_string(),
            entry.concurrency.to_string(),
            all.count.to_string(),
            micros(latency.min),
            micros(latency.mean),
            known(latency.p50, micros),
            known(latency.p99, micros),
            micros(latency.max),
            rate,
            low,
            high,
        ]
    });
    aligned(&header, rows, 2)
}

/// The median and its interval, none with more digits than are known.
fn interval(estimate: &Estimate) -> [String; 3] {
    let Estimate {
        median, low, high, ..
    } = *estimate;
    [median, low, high].map(|value| rate_within(value, low, high))
}

fn ceilings_table(rows: &[Ceiling]) -> Table {
    let header = [
        "durability",
        "transfers/commit",
        "syncs/commit",
        "appending",
        "sync µs",
        "TPS",
        "95 % from",
        "to",
    ];
    let rows = rows.iter().map(|row| {
        let none = || ["no sync".to_owned(), String::new(), String::new()];
        let [tps, low, high] = row.tps_interval.as_ref().map_or_else(none, interval);
        vec![
            row.durability.clone(),
            row.transfers_per_commit.to_string(),
            format!("{:.2}", row.syncs_per_commit),
            format!("{:.2}", row.append_syncs_per_commit),
            format!("{:.1}", row.sync_us_per_commit),
            tps,
            low,
            high,
        ]
    });
    aligned(&header, rows, 1)
}

/// A table without rules whose first columns are text and the others numbers.
fn aligned(header: &[&str], rows: impl Iterator<Item = Vec<String>>, text_columns: usize) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_header(header)
        .add_rows(rows);
    for column in table.column_iter_mut().skip(text_columns) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
