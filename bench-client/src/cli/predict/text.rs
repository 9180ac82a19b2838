//! Predictions as people read them on a terminal.

use std::fmt::Write as _;

use bench_client::figures::{ms, rate};
use bench_client::judge::model::Costs;
use bench_client::record::{Bottleneck, Limit};
use comfy_table::{CellAlignment, Table, presets};

use super::{Answer, SyncSource};

/// A table, then what binds each of its rows and what to do about it.
pub(super) fn for_people(answers: &[Answer]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header([
        "",
        "sync us",
        "in flight",
        "batch",
        "timeout",
        "offered",
        "TPS",
        "p50 ms",
        "mean batch",
        "bottleneck",
    ]);
    let mut reasons = String::new();
    for (number, answer) in answers.iter().enumerate() {
        let Answer {
            prediction, inputs, ..
        } = answer;
        let number = number + 1;
        table.add_row([
            number.to_string(),
            format!("{:.0}", sync_us(&inputs.costs)),
            format!("{}x{}", inputs.concurrency, inputs.max_inflight_per_worker),
            inputs.batch_size.to_string(),
            format!("{} ms", inputs.batch_timeout_us / 1e3),
            inputs.offered_tps.map_or_else(|| "–".to_owned(), rate),
            rate(prediction.tps),
            ms(prediction.p50_ms),
            format!("{:.1}", prediction.mean_batch),
            prediction.limit_in_words().to_owned(),
        ]);
        let remedy = prediction.remedy.as_deref().unwrap_or_default();
        let _ = writeln!(reasons, "{number:>3}  {remedy}");
        let _ = writeln!(reasons, "     limits: {}", limits(&prediction.limits));
    }
    for column in table.column_iter_mut().take(9) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut out = format!("{table}\n\n{reasons}");
    if let Some(first) = answers.first() {
        out.push('\n');
        out.push_str(&assumptions(first));
    }
    out
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

/// What the figures rest on, and how far off they were where they could be checked.
fn assumptions(answer: &Answer) -> String {
    let sync = match answer.sync_source {
        SyncSource::Given => "given",
        SyncSource::Measured => "mean of write+fdatasync, measured now",
        SyncSource::None => "none at a commit",
    };
    let costs = match &answer.inputs.costs {
        Costs::SharedThread(costs) => format!(
            "{} us CPU per transfer and {} us for its transport on one thread",
            costs.cpu_us, costs.transport_us
        ),
        Costs::Pipelined(costs) => format!(
            "per transfer writer {:.2} us, transport {:.2} us, client {:.2} us; per batch writer \
             {:.1} us, {}",
            costs.writer_us_per_transfer,
            costs.transport.per_transfer_us,
            costs.client.per_transfer_us,
            costs.writer_us_per_batch,
            costs
                .cores
                .map_or_else(|| "cores not limited".to_owned(), |n| format!("{n} cores")),
        ),
    };
    let (low, high) = answer.p50_error;
    format!(
        "Of row 1: sync {sync}; {costs}.\n\
         Expect TPS within 20 % on nine rows of ten given the costs of the machine itself; p50 \
         was {:+.0} % to {:+.0} % off (docs/model.md).",
        low * 100.0,
        high * 100.0
    )
}
