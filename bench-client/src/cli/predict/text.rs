//! Predictions as people read them.

use std::fmt::Write as _;

use bench_client::figures::{UNKNOWN, ms, rate};
use bench_client::judge::model::Costs;
use bench_client::record::{Bottleneck, Limit};
use bench_client::render::document::{Document, Table};

use super::from_record::Basis;
use super::{Answer, SyncSource};

/// A table, then what binds each of its rows and what to do about it.
pub(super) fn document(answers: &[Answer], basis: Option<&Basis>) -> Document {
    let numbered: Vec<(usize, &Answer)> = (1..).zip(answers).collect();
    let mut document = Document::default();
    document.table(
        Table::of("Predictions", &numbered)
            .number(0, "", |(number, _)| *number)
            .number(0, "sync µs", |(_, one)| {
                format!("{:.0}", sync_us(&one.inputs.costs))
            })
            .number(2, "in flight", |(_, one)| {
                format!(
                    "{}×{}",
                    one.inputs.concurrency, one.inputs.max_inflight_per_worker
                )
            })
            .number(2, "batch", |(_, one)| one.inputs.batch_size)
            .number(3, "timeout ms", |(_, one)| {
                (one.inputs.batch_timeout_us / 1e3).to_string()
            })
            .number(3, "offered", |(_, one)| one.inputs.offered_tps.map(rate))
            .number(0, "predicted TPS", |(_, one)| rate(one.prediction.tps))
            .number(0, "predicted p50 ms", |(_, one)| ms(one.prediction.p50_ms))
            .number(1, "per commit", |(_, one)| {
                format!("{:.1}", one.prediction.mean_batch)
            })
            .words(1, "bottleneck", |(_, one)| one.prediction.limit_in_words()),
    );
    let reasons = numbered.iter().flat_map(|(number, one)| {
        let remedy = one.prediction.remedy.as_deref().unwrap_or(UNKNOWN);
        let limits = limits(&one.prediction.limits);
        [
            format!("{number}: {remedy}").into(),
            format!("limits: {limits}").into(),
        ]
    });
    document.list(reasons.collect());
    if let Some(first) = answers.first() {
        document.say(assumptions(first));
        let (low, high) = first.p50_error;
        document.say(format!(
            "Given the costs of a row of this machine, measured in the same minute, TPS is within \
             20 % on nine rows of ten, and p50 was {:+.0} % to {:+.0} % off (docs/model.md). What no \
             flag gives is {}.",
            low * 100.0,
            high * 100.0,
            match (basis, &first.inputs.costs) {
                (Some(basis), _) => format!("of {}", basis.called),
                (None, Costs::SharedThread(_)) => "the article's".to_owned(),
                (None, Costs::Pipelined(_)) =>
                    "of the rows of results/2026-11-21-vm-2core".to_owned(),
            }
        ));
    }
    document
}

fn limits(limits: &[Limit]) -> String {
    let each = limits
        .iter()
        .map(|limit| format!("{} {}", limit.bottleneck, rate(limit.tps)));
    let mut line = each.collect::<Vec<_>>().join(", ");
    let of = |what| limits.iter().find(|limit| limit.bottleneck == what);
    if let (Some(sync), Some(cpu)) = (of(Bottleneck::DiskSync), of(Bottleneck::WriterCpu)) {
        let both = 1.0 / (1.0 / sync.tps + 1.0 / cpu.tps);
        let _ = write!(
            line,
            " (disk sync and writer CPU are one thread: together {})",
            rate(both)
        );
    }
    line
}

fn sync_us(costs: &Costs) -> f64 {
    match costs {
        Costs::SharedThread(costs) => costs.sync_us,
        Costs::Pipelined(costs) => costs.sync_us,
    }
}

/// What the figures rest on.
fn assumptions(answer: &Answer) -> String {
    let sync = match answer.sync_source {
        SyncSource::Given => "given",
        SyncSource::Measured => "mean of write+fdatasync, measured now",
        SyncSource::Recorded => "as recorded",
        SyncSource::None => "none at a commit",
    };
    let costs = match &answer.inputs.costs {
        Costs::SharedThread(costs) => format!(
            "{} µs CPU per transfer and {} µs for its transport on one thread",
            costs.cpu_us, costs.transport_us
        ),
        Costs::Pipelined(costs) => format!(
            "per transfer writer {:.2} µs, transport {:.2} µs, client {:.2} µs; per batch writer \
             {:.1} µs, {}",
            costs.writer_us_per_transfer,
            costs.transport.per_transfer_us,
            costs.client.per_transfer_us,
            costs.writer_us_per_batch,
            costs
                .cores
                .map_or_else(|| "cores not limited".to_owned(), |n| format!("{n} cores")),
        ),
    };
    format!("Of row 1: sync {sync}; {costs}.")
}
