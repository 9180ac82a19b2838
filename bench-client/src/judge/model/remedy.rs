//! Which knob to turn next, and which way.

use super::{Costs, ModelInputs};
use crate::record::Bottleneck;

/// Batches of at least this share of the batch size are limited by it.
const NEARLY_FULL: f64 = 0.9;

pub(super) fn remedy(inputs: &ModelInputs, bottleneck: Bottleneck, mean_batch: f64) -> String {
    let is_shared = matches!(inputs.costs, Costs::SharedThread(_));
    match bottleneck {
        Bottleneck::DiskSync => disk(inputs, mean_batch),
        Bottleneck::WriterCpu if is_shared => {
            "the one thread is busy: less CPU per transfer, or a server that syncs on a thread \
             of its own"
                .to_owned()
        }
        Bottleneck::WriterCpu if has_full_batches(inputs, mean_batch) => {
            "the writer is busy: raise --batch-size, so that more transfers share what a batch \
             costs; after that only a faster core helps"
                .to_owned()
        }
        Bottleneck::WriterCpu => {
            "the writer is busy: raise --inflight or --concurrency, so that more \
             transfers share what a batch costs; after that only a faster core helps"
                .to_owned()
        }
        Bottleneck::Database if has_statement_each(inputs, mean_batch) => {
            "the writer waits for the database, which has a statement for each transfer: \
             --apply coalesced writes a batch by one"
                .to_owned()
        }
        Bottleneck::Database => format!(
            "the writer waits for the database: {}, so that more transfers share a commit",
            if has_full_batches(inputs, mean_batch) {
                "raise --batch-size"
            } else {
                "raise --inflight or --concurrency"
            }
        ),
        Bottleneck::TransportCpu => {
            "the server's reading and answering is busy: raise --inflight (more \
             transfers per message, not over HTTP), or --io-threads if cores are free"
                .to_owned()
        }
        Bottleneck::Generator => {
            "the load generator is busy, so this is not a limit of the server: raise --threads if \
             cores are free, or --inflight"
                .to_owned()
        }
        Bottleneck::EmptyBusStop => format!(
            "batches wait for more transfers than are in flight: lower --batch-timeout (0ms waits \
             for nobody), lower --batch-size to {:.0} or less, or raise \
             --inflight",
            inputs.in_flight()
        ),
        Bottleneck::Cores => "all cores are busy with client and server: raise --inflight (less \
             CPU per transfer), or run the server on another machine (--url)"
            .to_owned(),
        Bottleneck::OfferedRate => {
            "the server can do more than is offered: raise --rate".to_owned()
        }
    }
}

fn has_full_batches(inputs: &ModelInputs, mean_batch: f64) -> bool {
    mean_batch >= NEARLY_FULL * inputs.seats()
}

/// What each transfer costs is more than what they share.
fn has_statement_each(inputs: &ModelInputs, mean_batch: f64) -> bool {
    let Costs::Pipelined(costs) = &inputs.costs else {
        return false;
    };
    let each = costs.writer_us_per_transfer * mean_batch;
    costs.is_database_elsewhere && each > costs.service(mean_batch) / 2.0
}

fn disk(inputs: &ModelInputs, mean_batch: f64) -> String {
    let shared = matches!(inputs.costs, Costs::SharedThread(_));
    let what = if shared && inputs.in_flight() < inputs.seats()
        || !has_full_batches(inputs, mean_batch) && !shared
    {
        "raise --inflight or --concurrency"
    } else if inputs.in_flight() <= inputs.seats() {
        "raise --inflight or --concurrency, and --batch-size with them"
    } else {
        "raise --batch-size"
    };
    format!(
        "the writer sleeps in the sync: {what}, so that more transfers share one; or a faster disk"
    )
}
