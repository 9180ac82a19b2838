//! Figures of a disk's syncs, each with no more digits than its rounds agree on.

use crate::disk::SyncSeries;
use crate::figures::{known, rate_within, rounded_within, significant};
use crate::render::document::Table;
use crate::statistics::Estimate;

/// What a sync takes in the median round, in microseconds: the time that makes its syncs per
/// second, so that the two belong together.
pub(in crate::render) fn median_round(series: &SyncSeries) -> Estimate {
    let rate = series.syncs_per_second_interval;
    let us = |rate: f64| f64::from(series.concurrency) * 1e6 / rate;
    Estimate {
        median: us(rate.median),
        low: us(rate.high),
        high: us(rate.low),
        ..rate
    }
}

/// A time of an interval, with no more digits than are known.
pub(in crate::render) fn in_interval(interval: &Estimate, of: fn(&Estimate) -> f64) -> String {
    significant(rounded_within(of(interval), interval.low, interval.high))
}

/// What a series is of.
pub(in crate::render) fn name(series: &SyncSeries) -> String {
    let streams = match series.concurrency {
        1 => String::new(),
        several => format!(", {several} streams"),
    };
    format!("{}, {}{streams}", series.all.method, series.all.pattern)
}

/// A figure of an interval, with no more digits than are known.
pub(super) fn known_rate(interval: Estimate, of: fn(&Estimate) -> f64) -> String {
    rate_within(of(&interval), interval.low, interval.high)
}

/// A row for each series.
pub(in crate::render) fn methods_table(methods: &[SyncSeries]) -> Table {
    let rate = |of: fn(&Estimate) -> f64| {
        move |series: &SyncSeries| known_rate(series.syncs_per_second_interval, of)
    };
    let several = methods.iter().any(|it| it.concurrency > 1);
    Table::of("Durable writes", methods)
        .words(0, "method", |it| it.all.method.to_string())
        .words(0, "pattern", |it| it.all.pattern.to_string())
        .number(1, "streams", |it| several.then_some(it.concurrency))
        .number(0, "median round µs", |it| {
            in_interval(&median_round(it), |it| it.median)
        })
        .number(0, "syncs/s", rate(|it| it.median))
        .number(2, "95 % from", rate(|it| it.low))
        .number(2, "to", rate(|it| it.high))
        .number(2, "p50 µs", |it| known(it.all.latency_us.p50, significant))
        .number(3, "p99 µs", |it| known(it.all.latency_us.p99, significant))
        .number(4, "min µs", |it| significant(it.all.latency_us.min))
        .number(4, "max µs", |it| significant(it.all.latency_us.max))
        .number(5, "writes", |it| it.all.count)
        .into()
}
