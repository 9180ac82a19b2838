//! `GET /metrics`: the engine's counters as Prometheus text 0.0.4.

use std::collections::BTreeMap;

use busload_wire::control::{Distribution, NetworkStats, Stats, TransferIds};
use busload_wire::histogram::decode;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use prometheus::{Encoder as _, TextEncoder};

/// Upper bounds of the time buckets, in seconds.
const SECONDS: [f64; 14] = [
    25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 100e-3, 500e-3, 1.0,
    5.0,
];
/// Upper bounds of the batch-size buckets, in transfers.
const TRANSFERS: [f64; 12] = [
    1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1000.0, 4096.0, 16384.0, 65536.0,
];

/// The content type of the answer.
pub(crate) const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The stats in Prometheus text format.
pub(crate) fn render(stats: &Stats) -> Vec<u8> {
    let mut out = Vec::new();
    let families: Vec<MetricFamily> = families(stats)
        .into_iter()
        .filter(|family| !family.get_metric().is_empty())
        .collect();
    // Into memory, from families that are not empty: nothing can fail.
    let _ = TextEncoder::new().encode(&families, &mut out);
    out
}

#[expect(clippy::too_many_lines, reason = "a table of metrics, one entry each")]
fn families(stats: &Stats) -> Vec<MetricFamily> {
    let (s, checkpoints) = (&stats.stages, &stats.checkpoints);
    let outcome = |name: &str| vec![("outcome", name.to_owned())];
    let reasons = |name: &'static str, by_code: &BTreeMap<String, u64>| {
        let labelled = |(code, n): (&String, &u64)| {
            let reason = [("reason", code.clone())];
            ([outcome(name), reason.to_vec()].concat(), *n)
        };
        by_code.iter().map(labelled).collect::<Vec<_>>()
    };
    let outcomes = [("committed", stats.committed), ("unknown", stats.unknown)];
    let outcomes = outcomes.map(|(name, n)| (outcome(name), n)).to_vec();
    let refused = [("rejected", &stats.rejected), ("failed", &stats.failed)];
    let refused = refused.map(|(name, by_code)| reasons(name, by_code));
    let by_file = |what: [(&str, u64); 5]| {
        what.map(|(file, n)| (vec![("file", file.to_owned())], n))
            .to_vec()
    };
    let (syncs, written) = (&stats.syncs, &stats.bytes_written);
    let syncs = by_file([
        ("database", syncs.database),
        ("wal", syncs.wal),
        ("journal", syncs.journal),
        ("directory", syncs.directory),
        ("other", syncs.other),
    ]);
    let written = by_file([
        ("database", written.database),
        ("wal", written.wal),
        ("journal", written.journal),
        ("directory", 0),
        ("other", written.other),
    ]);
    let ids =
        |of: fn(&TransferIds) -> u64| stats.transfer_ids.iter().map(of).flat_map(one).collect();
    let network = |of: fn(&NetworkStats) -> Option<u64>| {
        let known = stats.network.as_ref().and_then(of);
        known.into_iter().flat_map(one).collect()
    };
    let counters = [
        (
            "transfers",
            "transfers answered, by outcome",
            [outcomes, refused.concat()].concat(),
        ),
        ("applied", APPLIED, one(stats.applied)),
        ("batches", "batches committed", one(stats.batches)),
        (
            "batches_that_wrote",
            "batches that changed at least one row",
            one(stats.batches_that_wrote),
        ),
        (
            "commit_syncs",
            "syncs inside commits",
            one(stats.commit_syncs),
        ),
        ("syncs", "syncs, by what was synced", syncs),
        ("written_bytes", "bytes written, by file", written),
        ("checkpoints", "checkpoints", one(checkpoints.count)),
        (
            "checkpoint_errors",
            "checkpoints that failed",
            one(checkpoints.errors),
        ),
        (
            "overloaded",
            "transfers refused because the queue was full",
            one(stats.queue.overloaded),
        ),
        ("transfer_ids_repeated", REPEATED, ids(|ids| ids.repeated)),
        (
            "transfer_ids_conflicts",
            CONFLICTS,
            ids(|ids| ids.conflicts),
        ),
        (
            "listen_overflows",
            LISTEN_OVERFLOWS,
            network(|it| it.listen_overflows),
        ),
        (
            "refused_inputs",
            REFUSED_INPUTS,
            network(|it| Some(it.refused_inputs)),
        ),
    ];
    let gauges = [
        ("log_bytes", LOG_BYTES, Some(checkpoints.log_bytes)),
        (
            "queue_transfers",
            "transfers waiting",
            Some(stats.queue.depth),
        ),
        (
            "transfer_ids",
            "transfer ids remembered",
            stats.transfer_ids.map(|ids| ids.remembered),
        ),
    ];
    let seconds = [
        ("wait", "per transfer, in the queue", &s.wait_ns),
        ("apply", "per batch, applying", &s.apply_ns),
        ("commit", "per batch, commit", &s.commit_ns),
        ("answer", "per batch, answering", &s.answer_ns),
        ("sync", "per sync at commit", &s.sync_ns),
    ];
    let counters = counters
        .into_iter()
        .map(|(name, help, values)| counter(&format!("{name}_total"), help, values, 1.0));
    let stalled = one(checkpoints.stalled_ns());
    let gauges = gauges
        .into_iter()
        .filter_map(|(name, help, value)| Some(gauge(name, help, value?)));
    let seconds = seconds
        .into_iter()
        .map(|(name, help, one)| histogram(&format!("{name}_seconds"), help, one, &SECONDS, 1e-9));
    counters
        .chain([counter(
            "checkpoint_stalled_seconds_total",
            STALLED,
            stalled,
            1e-9,
        )])
        .chain(gauges)
        .chain(seconds)
        .chain([histogram(
            "batch_size",
            "transfers per batch",
            &s.batch_size,
            &TRANSFERS,
            1.0,
        )])
        .collect()
}

const APPLIED: &str =
    "transfers applied, by row changes (with --apply coalesced by the server's own count)";
const REPEATED: &str = "transfers whose id was known, answered as the first time";
const CONFLICTS: &str = "transfers whose id was known, of another transfer";
const LISTEN_OVERFLOWS: &str =
    "connections that found the listen backlog full, of all servers in this network namespace";
const REFUSED_INPUTS: &str =
    "connections told to come back later because unfinished requests took too much memory";
const LOG_BYTES: &str = "length of the write-ahead log at the end of the last checkpoint";
const STALLED: &str = "time in checkpoints in which no batch could be committed";

type Labelled = (Vec<(&'static str, String)>, u64);

fn one(value: u64) -> Vec<Labelled> {
    vec![(Vec::new(), value)]
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(format!("busload_{name}"));
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

/// In units of `unit`.
#[expect(
    clippy::cast_precision_loss,
    reason = "the exposition format has floats only"
)]
fn counter(name: &str, help: &str, values: Vec<Labelled>, unit: f64) -> MetricFamily {
    let metrics = values.into_iter().map(|(labels, value)| {
        let mut metric = Metric::default();
        let labels = labels.into_iter().map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value);
            pair
        });
        metric.set_label(labels.collect());
        let mut counter = Counter::default();
        counter.set_value(value as f64 * unit);
        metric.set_counter(counter);
        metric
    });
    family(name, help, MetricType::COUNTER, metrics.collect())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the exposition format has floats only"
)]
fn gauge(name: &str, help: &str, value: u64) -> MetricFamily {
    let mut metric = Metric::default();
    let mut gauge = Gauge::default();
    gauge.set_value(value as f64);
    metric.set_gauge(gauge);
    family(name, help, MetricType::GAUGE, vec![metric])
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounds are small positive constants; the exposition format has floats only"
)]
fn histogram(
    name: &str,
    help: &str,
    distribution: &Distribution,
    bounds: &[f64],
    unit: f64,
) -> MetricFamily {
    let recorded = decode(distribution);
    let mut histogram = Histogram::default();
    histogram.set_sample_count(distribution.count);
    histogram.set_sample_sum(distribution.sum as f64 * unit);
    let buckets = bounds.iter().map(|bound| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        let up_to = (bound / unit).round() as u64;
        let count = recorded
            .as_ref()
            .map_or(0, |recorded| recorded.count_between(0, up_to));
        bucket.set_cumulative_count(count);
        bucket
    });
    histogram.set_bucket(buckets.collect());
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    family(name, help, MetricType::HISTOGRAM, vec![metric])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_labels_are_rendered() {
        let stats = Stats {
            committed: 7,
            rejected: [("insufficient_funds".to_owned(), 3)].into(),
            ..Stats::default()
        };
        let text = String::from_utf8(render(&stats)).unwrap();
        assert!(
            text.contains("busload_transfers_total{outcome=\"committed\"} 7"),
            "{text}"
        );
        assert!(
            text.contains(
                "busload_transfers_total{outcome=\"rejected\",reason=\"insufficient_funds\"} 3"
            ),
            "{text}"
        );
        assert!(
            text.contains("# TYPE busload_sync_seconds histogram"),
            "{text}"
        );
        assert!(!text.contains("transfer_ids"), "{text}");
    }

    #[test]
    fn transfer_ids_are_shown_by_a_server_that_remembers_them() {
        let stats = Stats {
            transfer_ids: Some(TransferIds {
                remembered: 5,
                repeated: 6,
                conflicts: 7,
            }),
            ..Stats::default()
        };
        let text = String::from_utf8(render(&stats)).unwrap();
        for line in [
            "busload_transfer_ids 5",
            "busload_transfer_ids_repeated_total 6",
            "busload_transfer_ids_conflicts_total 7",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{text}");
        }
    }
}
