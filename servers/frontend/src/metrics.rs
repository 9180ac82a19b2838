//! `GET /metrics`: the engine's counters as Prometheus text 0.0.4.

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

pub(crate) const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

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

/// What each metric is, below `busload_`.
const HELP: &str = "
transfers_total: transfers answered, by outcome
applied_total: transfers applied, by row changes (with --apply coalesced by the server's own count)
batches_total: batches committed
batches_that_wrote_total: batches that changed at least one row
commit_syncs_total: syncs inside commits
syncs_total: syncs, by what was synced
written_bytes_total: bytes written, by file
checkpoints_total: checkpoints
checkpoint_errors_total: checkpoints that failed
checkpoint_stalled_seconds_total: time in checkpoints in which no batch could be committed
log_bytes: length of the write-ahead log at the end of the last checkpoint
queue_transfers: transfers waiting
retries_total: transactions begun anew because they met another one
overloaded_total: transfers refused because the queue was full
wait_seconds: per transfer, in the queue
apply_seconds: per batch, applying
commit_seconds: per batch, commit
answer_seconds: per batch, answering
sync_seconds: per sync at commit
batch_size: transfers per batch
transfer_ids_repeated_total: transfers whose id was known, answered as the first time
transfer_ids_conflicts_total: transfers whose id was known, of another transfer
listen_overflows_total: connections that found the listen backlog full, of all servers in this \
network namespace
refused_inputs_total: connections told to come back later because unfinished requests took too \
much memory
transfer_ids: transfer ids remembered
";

fn families(stats: &Stats) -> Vec<MetricFamily> {
    let (s, checkpoints) = (&stats.stages, &stats.checkpoints);
    let (syncs, written) = (&stats.syncs, &stats.bytes_written);
    // What is not told is no count of 0.
    let is_told = stats.commit_syncs.is_some();
    let ids = |of: fn(&TransferIds) -> u64| stats.transfer_ids.iter().map(of).flat_map(one);
    let network = |of: fn(&NetworkStats) -> Option<u64>| {
        let known = stats.network.as_ref().and_then(of);
        known.into_iter().flat_map(one)
    };
    let remembered = stats.transfer_ids.map(|ids| ids.remembered);
    let mut families = vec![
        counter("transfers_total", outcomes(stats)),
        counter("applied_total", one(stats.applied)),
        counter("batches_total", one(stats.batches)),
        counter("batches_that_wrote_total", one(stats.batches_that_wrote)),
        counter(
            "commit_syncs_total",
            stats.commit_syncs.into_iter().flat_map(one),
        ),
        counter(
            "syncs_total",
            by_file([
                ("database", syncs.database),
                ("wal", syncs.wal),
                ("journal", syncs.journal),
                ("directory", syncs.directory),
                ("other", syncs.other),
            ])
            .into_iter()
            .filter(|_| is_told),
        ),
        counter(
            "written_bytes_total",
            by_file([
                ("database", written.database),
                ("wal", written.wal),
                ("journal", written.journal),
                ("directory", 0),
                ("other", written.other),
            ])
            .into_iter()
            .filter(|_| is_told),
        ),
        counter("checkpoints_total", one(checkpoints.count)),
        counter("checkpoint_errors_total", one(checkpoints.errors)),
        counter_of(
            "checkpoint_stalled_seconds_total",
            one(checkpoints.stalled_ns()),
            1e-9,
        ),
        gauge("log_bytes", checkpoints.log_bytes),
        gauge("queue_transfers", stats.queue.depth),
        counter("retries_total", one(stats.retries)),
        counter("overloaded_total", one(stats.queue.overloaded)),
        seconds("wait_seconds", &s.wait_ns),
        seconds("apply_seconds", &s.apply_ns),
        seconds("commit_seconds", &s.commit_ns),
        seconds("answer_seconds", &s.answer_ns),
        seconds("sync_seconds", &s.sync_ns),
        histogram("batch_size", &s.batch_size, &TRANSFERS, 1.0),
        counter("transfer_ids_repeated_total", ids(|ids| ids.repeated)),
        counter("transfer_ids_conflicts_total", ids(|ids| ids.conflicts)),
        counter("listen_overflows_total", network(|it| it.listen_overflows)),
        counter(
            "refused_inputs_total",
            network(|it| Some(it.refused_inputs)),
        ),
    ];
    families.extend(remembered.map(|n| gauge("transfer_ids", n)));
    families
}

fn outcomes(stats: &Stats) -> Vec<Labelled> {
    let outcome = |name: &str| ("outcome", name.to_owned());
    let known = [("committed", stats.committed), ("unknown", stats.unknown)];
    let mut all = known.map(|(name, n)| (vec![outcome(name)], n)).to_vec();
    for (name, by_code) in [("rejected", &stats.rejected), ("failed", &stats.failed)] {
        for (code, n) in by_code {
            all.push((vec![outcome(name), ("reason", code.clone())], *n));
        }
    }
    all
}

fn by_file(what: [(&str, u64); 5]) -> [Labelled; 5] {
    what.map(|(file, n)| (vec![("file", file.to_owned())], n))
}

type Labelled = (Vec<(&'static str, String)>, u64);

fn one(value: u64) -> [Labelled; 1] {
    [(Vec::new(), value)]
}

fn family(name: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut texts = HELP.lines().filter_map(|line| line.split_once(": "));
    let help = texts.find(|(of, _)| *of == name);
    debug_assert!(help.is_some(), "{name} is explained");
    let mut family = MetricFamily::default();
    family.set_name(format!("busload_{name}"));
    family.set_help(help.map_or_else(String::new, |(_, text)| text.to_owned()));
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn counter(name: &str, values: impl IntoIterator<Item = Labelled>) -> MetricFamily {
    counter_of(name, values, 1.0)
}

fn seconds(name: &str, distribution: &Distribution) -> MetricFamily {
    histogram(name, distribution, &SECONDS, 1e-9)
}

/// In units of `unit`.
#[expect(
    clippy::cast_precision_loss,
    reason = "the exposition format has floats only"
)]
fn counter_of(name: &str, values: impl IntoIterator<Item = Labelled>, unit: f64) -> MetricFamily {
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
    family(name, MetricType::COUNTER, metrics.collect())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the exposition format has floats only"
)]
fn gauge(name: &str, value: u64) -> MetricFamily {
    let mut metric = Metric::default();
    let mut gauge = Gauge::default();
    gauge.set_value(value as f64);
    metric.set_gauge(gauge);
    family(name, MetricType::GAUGE, vec![metric])
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounds are small positive constants; the exposition format has floats only"
)]
fn histogram(name: &str, distribution: &Distribution, bounds: &[f64], unit: f64) -> MetricFamily {
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
    family(name, MetricType::HISTOGRAM, vec![metric])
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
