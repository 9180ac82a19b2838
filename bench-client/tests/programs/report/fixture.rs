//! A record in which everything that can be measured was measured. Its figures are made up:
//! they are chosen so that each chart has something to draw.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bench_client::config::Arrival;
use bench_client::config::RunConfig;
use bench_client::record::series::Interval;
use bench_client::record::{
    BeforeAndAfter, Bottleneck, Budget, Cpu, Generator, Latency, Limit, LittlesLaw, OpenLoop,
    Prediction, Record, Repetition, Row, SecondBudget, ServerRow, Spread, Stage, StageTime,
    Summary, Verdict, VerdictCode, Verification,
};
use bench_client::statistics::{Estimate, Percentile, SteadyState};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};

/// Latencies in nanoseconds around a median, with a tail.
pub(crate) fn histogram(median_ns: u64, count: u64) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_max(60_000_000_000, 3).expect("the bounds are right");
    for place in 0..count {
        // A value for each share of the distribution: no randomness, so no surprise.
        let share = (place * 1_000 / count + 1) as f64 / 1_001.0;
        let factor = 0.6 + 0.8 * share + 0.01 / (1.0 - share);
        histogram
            .record((median_ns as f64 * factor) as u64)
            .expect("inside of the bounds");
    }
    histogram
}

pub(crate) fn encoded(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .expect("a histogram can be written");
    BASE64_STANDARD.encode(bytes)
}

fn latency(histogram: &Histogram<u64>) -> Latency {
    let at = |percentile: Percentile| Some(percentile.of(histogram)? as f64 / 1e6);
    Latency {
        p50: at(Percentile::P50),
        p95: at(Percentile::P95),
        p99: at(Percentile::P99),
        p999: at(Percentile::P999),
        max: histogram.max() as f64 / 1e6,
        mean: histogram.mean() / 1e6,
    }
}

fn spread(p50: f64) -> Spread {
    Spread {
        count: 1_000,
        mean: p50 * 1.1,
        p50: Some(p50),
        p99: Some(p50 * 3.0),
        max: p50 * 9.0,
    }
}

fn interval(place: u32, tps: f64, median_ns: u64) -> Interval {
    let stalled = place % 4 == 3;
    let tps = if stalled { tps * 0.4 } else { tps };
    let latencies = histogram(median_ns * if stalled { 3 } else { 1 }, 500);
    let quantiles = latency(&latencies);
    Interval {
        start_s: f64::from(place),
        seconds: 1.0,
        committed: tps as u64,
        tps,
        p50_ms: quantiles.p50,
        p95_ms: quantiles.p95,
        p99_ms: quantiles.p99,
        max_ms: quantiles.max,
        in_flight: 800.0,
        mean_batch: Some(400.0),
        syncs_per_second: Some(tps / 400.0),
        sync_us: Some(150.0),
        checkpoints: Some(u64::from(stalled)),
        checkpoint_ms: Some(if stalled { 700.0 } else { 0.0 }),
        checkpoint_stalled_ms: Some(if stalled { 600.0 } else { 0.0 }),
        client_cpu: Some(0.7),
        server_cpu: Some(0.9),
        latency_histogram: encoded(&latencies),
    }
}

fn budget(mean_us: f64, unexplained: f64) -> Budget {
    let share = |stage, part: f64| StageTime {
        stage,
        mean_us: mean_us * part,
        p50_us: Some(mean_us * part * 0.9),
        p99_us: Some(mean_us * part * 2.5),
    };
    Budget {
        mean_us,
        stages: vec![
            share(Stage::ClientQueue, 0.05),
            share(Stage::Wire, 0.15 - unexplained),
            share(Stage::Wait, 0.35),
            share(Stage::Apply, 0.15),
            share(Stage::CommitWrite, 0.05),
            share(Stage::Sync, 0.2),
            share(Stage::Answer, 0.05),
            share(Stage::Unexplained, unexplained),
        ],
        second: Some(SecondBudget {
            sync_ms: 300.0,
            commit_write_ms: 100.0,
            apply_ms: 400.0,
            answer_ms: 50.0,
            checkpoint_ms: 20.0,
            idle_ms: 130.0,
        }),
        withheld: Vec::new(),
    }
}

/// A row of which everything is known.
#[expect(clippy::too_many_lines, reason = "one field after another")]
pub(crate) fn row(tps: f64, median_ns: u64) -> Row {
    // A prime, so that no percentile falls between two counts.
    let latencies = histogram(median_ns, 4_999);
    let quantiles = latency(&latencies);
    Row {
        config: RunConfig::default(),
        transport: "ws".to_owned(),
        server_url: Some("ws://127.0.0.1:4107/rpc".to_owned()),
        server_name: Some("sqlite-ws-rpc-server 0.1.0".to_owned()),
        durability: "wal-full".to_owned(),
        apply: None,
        batch_size: Some(4_096),
        batch_timeout_us: Some(0.0),
        page_size: Some(4096),
        seconds: 8.0,
        tps,
        committed: (tps * 8.0) as u64,
        rejected: 0,
        rejected_by_reason: BTreeMap::new(),
        failed: 0,
        failed_by_reason: BTreeMap::new(),
        unknown: 0,
        latency_ms: quantiles,
        latency_histogram: encoded(&latencies),
        service_ms: None,
        response_ms: None,
        service_histogram: None,
        open_loop: None,
        repetition: None,
        shards: Vec::new(),
        fingerprint: None,
        audit: None,
        intervals: (0..8)
            .map(|place| interval(place, tps, median_ns))
            .collect(),
        collision_rate: 0.3,
        collision_scope: "global".to_owned(),
        server: Some(ServerRow {
            commits: 1_000,
            commits_that_wrote: 1_000,
            syncs: Some(1_010),
            commit_syncs: Some(1_000),
            mean_batch: 400.0,
            batch: Some(spread(400.0)),
            wait_us: Some(spread(700.0)),
            apply_us: Some(spread(300.0)),
            commit_us: Some(spread(250.0)),
            answer_us: Some(spread(20.0)),
            sync_us: Some(spread(150.0)),
            sync_histogram: Some(encoded(&histogram(150_000, 3_000))),
            bytes_written: Some(100_000_000),
            checkpoints: Some(2),
            checkpoint_ms: Some(1_400.0),
            checkpoint_stalled_ms: Some(1_200.0),
            queue_peak: 800,
            listen_overflows: Some(0),
            peak_memory_bytes: Some(50_000_000),
            storage_bytes_written: Some(110_000_000),
            checkpoint_bytes: Some(16 << 20),
            sqlite_version: "3.54.1".to_owned(),
            pragmas: BTreeMap::from([("synchronous".to_owned(), "2".to_owned())]),
            engine: None,
            writers: None,
            ordered: None,
            retries: 0,
            leftovers: None,
        }),
        device: None,
        server_preload: None,
        server_end: None,
        stalls: None,
        processor_speed: None,
        cpu: Cpu {
            client_s: Some(5.0),
            server_s: Some(7.0),
            steal_s: Some(0.1),
            client_throttled: None,
            server_throttled: None,
        },
        sync_baseline: BeforeAndAfter {
            before: None,
            after: None,
        },
        verify: Verification {
            conserved: Some(true),
            changed: Some(true),
            ledger_ok: Some(true),
            applied: Some(0),
            ..Verification::default()
        },
        reconnects: 0,
        late_answers: 0,
        contradictory_answers: 0,
        idle_reconnects: 0,
        exactly_once: None,
        errors: Vec::new(),
        interrupted: false,
        budget: Some(budget(median_ns as f64 / 1e3, 0.03)),
        prediction: Some(Prediction {
            tps: tps * 1.08,
            p50_ms: quantiles.p50.expect("enough of them") * 0.9,
            mean_batch: 420.0,
            bottleneck: Some(Bottleneck::WriterCpu),
            remedy: Some("the writer is busy: larger batches change little".to_owned()),
            limits: vec![Limit {
                bottleneck: Bottleneck::WriterCpu,
                tps: tps * 1.08,
            }],
            refuted: Vec::new(),
        }),
        generator: Some(Generator {
            thread_cpu: vec![0.4, 0.6],
            event_loop_lag_us: Some(spread(30.0)),
            ceiling_tps: Some(1_500_000.0),
            ceiling_refuted: None,
        }),
        littles_law: Some(LittlesLaw {
            in_flight: 799.0,
            throughput_times_latency: Some(797.0),
        }),
        steady_state: Some(SteadyState {
            transient_seconds: 0.0,
            transient_ratio: 1.0,
            steady: true,
        }),
        window_edges: None,
        stand_still: None,
        verdicts: Vec::new(),
        valid: true,
    }
}

fn open_row(offered: f64, achieved: f64, median_ns: u64) -> Row {
    let mut row = row(achieved, median_ns);
    let service = histogram(900_000, 5_000);
    row.service_ms = Some(latency(&service));
    row.service_histogram = Some(encoded(&service));
    row.response_ms = Some(row.latency_ms);
    row.open_loop = Some(OpenLoop {
        arrival: Arrival::Poisson,
        offered_tps: offered,
        offered: (offered * 8.0) as u64,
        achieved_tps: achieved,
        latency_limit_ms: Some(100.0),
        late: 12,
        skipped: 3,
        dropped: ((offered - achieved) * 8.0) as u64,
        schedule_lag_us: Some(spread(8.0)),
    });
    row
}

pub(crate) fn verdict(code: &str, invalidates: bool, message: &str) -> Verdict {
    let code: VerdictCode =
        serde_json::from_value(code.into()).expect("a verdict is called like that");
    Verdict {
        code,
        invalidates,
        message: message.to_owned(),
        remedy: "what to do <about> it & why".to_owned(),
    }
}

fn estimate(median: f64) -> Estimate {
    Estimate {
        count: 3,
        median,
        low: median * 0.95,
        high: median * 1.04,
        confidence: 0.95,
        variation: 0.03,
    }
}

/// What a hostile reader might put into a name.
pub(crate) const HOSTILE: &str = "<script>alert(\"x\")</script> | 'quoted', & more";

/// All kinds of rows: repetitions, an invalid one, sweeps over alpha, over the rate and over
/// batch size by in flight. `environment` is that of a record of the program.
pub(crate) fn record(environment: &str) -> Record {
    let environment = serde_json::from_str(environment).expect("it is an environment");
    let mut record = Record::new(environment);
    for number in 1..=3 {
        let mut row = row(300_000.0 + 5_000.0 * f64::from(number), 2_500_000);
        row.config.name = Some("baseline".to_owned());
        row.repetition = Some(Repetition { number, of: 3 });
        record.push(row);
    }
    record.summaries.push(Summary {
        rows: vec![0, 1, 2],
        tps: estimate(310_000.0),
        p50_ms: Some(estimate(2.4)),
        p95_ms: Some(estimate(3.4)),
        p99_ms: Some(estimate(5.4)),
        warning: Some(verdict("unstable", false, "the interval is wide")),
    });
    let mut invalid = row(42_000.0, 1_000_000);
    invalid.config.name = Some(HOSTILE.to_owned());
    invalid.valid = false;
    invalid.verify.fake = true;
    invalid.verdicts = vec![verdict("fake", true, "0 syncs <b>at</b> commit")];
    invalid.budget = Some(budget(1_000.0, -0.12));
    record.push(invalid);
    for (name, code) in [
        ("pushed", "generator_bound"),
        ("no database", "null_server"),
    ] {
        let mut row = row(1_200_000.0, 700_000);
        row.config.name = Some(name.to_owned());
        row.verdicts = vec![verdict(code, false, "the client threads were busy")];
        record.push(row);
    }
    for (alpha, tps) in [
        (0.0, 350_000.0),
        (0.8, 330_000.0),
        (1.5, 290_000.0),
        (2.5, 150_000.0),
    ] {
        let mut row = row(tps, 3_000_000);
        row.config.workload.alpha = alpha;
        row.batch_size = Some(1_000);
        row.collision_rate = alpha / 3.0;
        row.intervals.clear();
        record.push(row);
    }
    for (offered, achieved, median) in [
        (20_000.0, 20_000.0, 900_000),
        (100_000.0, 99_900.0, 1_100_000),
        (300_000.0, 270_000.0, 80_000_000),
    ] {
        record.push(open_row(offered, achieved, median));
    }
    for size in [10, 100, 1_000] {
        for in_flight in [1, 8, 40] {
            let mut row = row(1_000.0 * (size * in_flight) as f64 / 10.0, 2_000_000);
            row.batch_size = Some(size as u64);
            row.config.load.max_inflight_per_worker = in_flight;
            row.batch_timeout_us = Some(2_000.0);
            row.intervals.clear();
            row.budget = None;
            record.push(row);
        }
    }
    record
}
