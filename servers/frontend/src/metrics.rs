//! `GET /metrics`: the engine's counters as Prometheus text 0.0.4.

use busload_engine::decode_histogram;
use busload_wire::control::{Distribution, NetworkStats, Stats, TransferIds};
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
    let s = &stats.stages;
    let outcomes = [("committed", stats.committed), ("unknown", stats.unknown)]
        .map(|(name, n)| (vec![("outcome", name.to_owned())], n))
        .into_iter()
        .chain(stats.rejected.iter().map(|(code, n)| {
            (
                vec![("outcome", "rejected".to_owned()), ("reason", code.clone())],
                *n,
            )
        }))
        .chain(stats.failed.iter().map(|(code, n)| {
            (
                vec![("outcome", "failed".to_owned()), ("reason", code.clone())],
                *n,
            )
        }));
    let by_file = |what: [(&str, u64); 5]| {
        what.map(|(file, n)| (vec![("file", file.to_owned())], n))
            .to_vec()
    };
    let ids = |of: fn(&TransferIds) -> u64| stats.transfer_ids.iter().map(of).flat_map(one);
    let network = |of: fn(&NetworkStats) -> Option<u64>| {
        let known = stats.network.as_ref().and_then(of);
        known.into_iter().flat_map(one)
    };
    let remembered = stats.transfer_ids.map(|ids| {
        gauge(
            "busload_transfer_ids",
            "transfer ids remembered",
            ids.remembered,
        )
    });
    let mut families = vec![
        counter(
            "busload_transfers_total",
            "transfers answered, by outcome",
            outcomes,
        ),
        counter(
            "busload_applied_total",
            "transfers applied, by row changes (with --apply coalesced by the server's own count)",
            one(stats.applied),
        ),
        counter(
            "busload_batches_total",
            "batches committed",
            one(stats.batches),
        ),
        counter(
            "busload_batches_that_wrote_total",
            "batches that changed at least one row",
            one(stats.batches_that_wrote),
        ),
        counter(
            "busload_commit_syncs_total",
            "syncs inside commits",
            one(stats.commit_syncs),
        ),
        counter(
            "busload_syncs_total",
            "syncs, by what was synced",
            by_file([
                ("database", stats.syncs.database),
                ("wal", stats.syncs.wal),
                ("journal", stats.syncs.journal),
                ("directory", stats.syncs.directory),
                ("other", stats.syncs.other),
            ]),
        ),
        counter(
            "busload_written_bytes_total",
            "bytes written, by file",
            by_file([
                ("database", stats.bytes_written.database),
                ("wal", stats.bytes_written.wal),
                ("journal", stats.bytes_written.journal),
                ("directory", 0),
                ("other", stats.bytes_written.other),
            ]),
        ),
        counter(
            "busload_checkpoints_total",
            "checkpoints",
            one(stats.checkpoints.count),
        ),
        counter(
            "busload_checkpoint_errors_total",
            "checkpoints that failed",
            one(stats.checkpoints.errors),
        ),
        counter_of(
            "busload_checkpoint_stalled_seconds_total",
            "time in checkpoints in which no batch could be committed",
            one(stats.checkpoints.stalled_ns()),
            1e-9,
        ),
        gauge(
            "busload_log_bytes",
            "length of the write-ahead log at the end of the last checkpoint",
            stats.checkpoints.log_bytes,
        ),
        gauge(
            "busload_queue_transfers",
            "transfers waiting",
            stats.queue.depth,
        ),
        counter(
            "busload_overloaded_total",
            "transfers refused because the queue was full",
            one(stats.queue.overloaded),
        ),
        histogram(
            "busload_wait_seconds",
            "per transfer, in the queue",
            &s.wait_ns,
            &SECONDS,
            1e-9,
        ),
        histogram(
            "busload_apply_seconds",
            "per batch, applying",
            &s.apply_ns,
            &SECONDS,
            1e-9,
        ),
        histogram(
            "busload_commit_seconds",
            "per batch, commit",
            &s.commit_ns,
            &SECONDS,
            1e-9,
        ),
        histogram(
            "busload_answer_seconds",
            "per batch, answering",
            &s.answer_ns,
            &SECONDS,
            1e-9,
        ),
        histogram(
            "busload_sync_seconds",
            "per sync at commit",
            &s.sync_ns,
            &SECONDS,
            1e-9,
        ),
        histogram(
            "busload_batch_size",
            "transfers per batch",
            &s.batch_size,
            &TRANSFERS,
            1.0,
        ),
        counter(
            "busload_transfer_ids_repeated_total",
            "transfers whose id was known, answered as the first time",
            ids(|ids| ids.repeated),
        ),
        counter(
            "busload_transfer_ids_conflicts_total",
            "transfers whose id was known, of another transfer",
            ids(|ids| ids.conflicts),
        ),
        counter(
            "busload_listen_overflows_total",
            "connections that found the listen backlog full, of all servers in this network namespace",
            network(|network| network.listen_overflows),
        ),
        counter(
            "busload_refused_inputs_total",
            "connections told to come back later because unfinished requests took too much memory",
            network(|network| Some(network.refused_inputs)),
        ),
    ];
    families.extend(remembered);
    families
}

type Labelled = (Vec<(&'static str, String)>, u64);

fn one(value: u64) -> [Labelled; 1] {
    [(Vec::new(), value)]
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn counter(name: &str, help: &str, values: impl IntoIterator<Item = Labelled>) -> MetricFamily {
    counter_of(name, help, values, 1.0)
}

/// In units of `unit`.
#[expect(
    clippy::cast_precision_loss,
    reason = "the exposition format has floats only"
)]
fn counter_of(
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = Labelled>,
    unit: f64,
) -> MetricFamily {
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
    let recorded = decode_histogram(distribution);
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
