//! Which knob to turn next, and which way.

use super::{Costs, ModelInputs};
use crate::figures::rate;
use crate::record::Bottleneck;

/// Batches of at least this share of the batch size are limited by it.
const NEARLY_FULL: f64 = 0.9;

/// `capacity` is the TPS that a closed loop of as many in flight is expected to reach.
pub(super) fn remedy(
    inputs: &ModelInputs,
    bottleneck: Bottleneck,
    mean_batch: f64,
    capacity: f64,
) -> String {
    let is_shared = matches!(inputs.costs, Costs::SharedThread(_));
    match bottleneck {
        Bottleneck::DiskSync => disk(inputs, mean_batch),
        Bottleneck::WriterCpu if is_shared => {
            "the one thread is busy: less CPU per transfer, or a server that syncs on a thread \
             of its own"
                .to_owned()
        }
        Bottleneck::WriterCpu => format!(
            "larger batches: try {}; after that only a faster core helps",
            larger_batches(inputs, mean_batch)
        ),
        Bottleneck::Database if has_statement_each(inputs, mean_batch) => {
            "the writer waits for the database, which has a statement for each transfer: \
             --apply coalesced writes a batch by one"
                .to_owned()
        }
        Bottleneck::Database => format!(
            "the writer waits for the database: try {}, so that more transfers share a commit",
            larger_batches(inputs, mean_batch)
        ),
        Bottleneck::TransportCpu => format!(
            "the server's reading and answering is busy: try {} (more transfers per message, not \
             over HTTP), or more --io-threads if cores are free",
            inflight(inputs)
        ),
        Bottleneck::Generator => format!(
            "the load generator is busy, so this is not a limit of the server: raise --threads if \
             cores are free, or try {}",
            inflight(inputs)
        ),
        Bottleneck::EmptyBusStop => format!(
            "batches wait for more transfers than are in flight: try --batch-timeout 0ms, which \
             waits for nobody, --batch-size {:.0} or less, or {}",
            inputs.in_flight(),
            inflight(inputs)
        ),
        Bottleneck::Cores => format!(
            "all cores are busy with client and server: try {} (less CPU per transfer), or run the \
             server on another machine (--url)",
            inflight(inputs)
        ),
        Bottleneck::OfferedRate => more_offered(inputs, capacity),
    }
}

/// Twice as much while that can be done; from there on the search for what can be.
fn more_offered(inputs: &ModelInputs, capacity: f64) -> String {
    let twice = 2.0 * inputs.offered_tps.unwrap_or(capacity);
    if twice <= capacity {
        return format!("the server can do more than is offered: try --rate {twice:.0}");
    }
    format!(
        "the server is expected to do at most about {} per second: sweep --find-knee --to {:.0} \
         searches the highest rate that it keeps up with",
        rate(capacity),
        ABOVE_CAPACITY * capacity
    )
}

/// A search for the knee ends above what is expected, or it would not find where p99 rises.
const ABOVE_CAPACITY: f64 = 1.25;

/// Most that the flags take.
const INFLIGHT_MAX: u64 = 16_384;
const CONCURRENCY_MAX: u64 = 100_000;
const BATCH_SIZE_MAX: u64 = 1 << 20;

/// A flag with twice what it is.
fn twice(flag: &str, present: u64, most: u64) -> String {
    format!("{flag} {}", present.saturating_mul(2).min(most))
}

fn concurrency(inputs: &ModelInputs) -> String {
    twice("--concurrency", inputs.concurrency.into(), CONCURRENCY_MAX)
}

/// Twice as many in flight.
fn inflight(inputs: &ModelInputs) -> String {
    let present = inputs.max_inflight_per_worker as u64;
    if present < INFLIGHT_MAX {
        twice("--inflight", present, INFLIGHT_MAX)
    } else {
        concurrency(inputs)
    }
}

/// The same, by one flag or another.
fn more_in_flight(inputs: &ModelInputs) -> String {
    let (one, other) = (inflight(inputs), concurrency(inputs));
    if one == other {
        one
    } else {
        format!("{one} or {other}")
    }
}

/// Twice as large, or half of what is in flight, which is what batches come to that nothing limits.
fn batch_size(inputs: &ModelInputs) -> String {
    let in_flight = u64::from(inputs.concurrency) * inputs.max_inflight_per_worker as u64;
    twice(
        "--batch-size",
        inputs.batch_size.max(in_flight / 4),
        BATCH_SIZE_MAX,
    )
}

fn larger_batches(inputs: &ModelInputs, mean_batch: f64) -> String {
    if has_full_batches(inputs, mean_batch) {
        batch_size(inputs)
    } else {
        more_in_flight(inputs)
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
        more_in_flight(inputs)
    } else if inputs.in_flight() <= inputs.seats() {
        format!(
            "{}, and {} with it",
            more_in_flight(inputs),
            batch_size(inputs)
        )
    } else {
        batch_size(inputs)
    };
    format!("more transfers for each sync: try {what}; or a faster disk")
}
