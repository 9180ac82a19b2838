#![allow(
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "small counts; what is passed through comes out unchanged"
)]

use std::path::Path;

use busload_sqlite::{Durability, probe};
use proptest::prelude::*;

use super::*;
use crate::article::{ARTICLE_SYNC, ARTICLE_WORKERS, ArticleRow, ROWS};
use crate::record::Reproduction;

/// The table of `docs/model.md`: `cargo test -p bench-client model -- --nocapture` prints it.
struct Held {
    name: &'static str,
    tps: f64,
    p50_ms: f64,
    batch: Option<f64>,
    predicted: Prediction,
}

impl Held {
    fn tps_error(&self) -> f64 {
        self.predicted.tps / self.tps - 1.0
    }

    fn p50_error(&self) -> f64 {
        self.predicted.p50_ms / self.p50_ms - 1.0
    }
}

fn print(title: &str, rows: &[Held]) {
    eprintln!("{title}");
    for row in rows {
        let Prediction {
            tps,
            p50_ms,
            mean_batch,
            bottleneck,
            ..
        } = row.predicted;
        eprintln!(
            "| {} | {:.0} | {tps:.0} | {:+.0} % | {:.2} | {p50_ms:.2} | {:+.0} % | {} | {mean_batch:.0} | {bottleneck:?} |",
            row.name,
            row.tps,
            row.tps_error() * 100.0,
            row.p50_ms,
            row.p50_error() * 100.0,
            row.batch
                .map_or_else(|| "–".to_owned(), |b| format!("{b:.0}")),
        );
    }
}

/// The recording that the model was made on, and one that was made after it.
const RECORDINGS: [&str; 2] = ["reproduce.json", "reproduce-2.json"];

fn recorded(recording: &str) -> Vec<Held> {
    let records = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/records");
    let path = records.join(recording);
    let text = std::fs::read_to_string(path).unwrap();
    let reproduction: Reproduction = serde_json::from_str(&text).unwrap();
    let cores = reproduction.record.environment.machine.logical_cores;
    let rows = reproduction.record.rows.iter().zip(&ROWS);
    rows.map(|(row, article)| {
        let inputs = ModelInputs::from_row(row, cores).unwrap();
        Held {
            name: article.name,
            tps: row.tps,
            p50_ms: row.latency_ms.p50.unwrap(),
            batch: row.server.as_ref().map(|server| server.mean_batch),
            predicted: predict(&inputs),
        }
    })
    .collect()
}

/// The article's server, as its rows have it.
fn article_inputs(row: &ArticleRow) -> ModelInputs {
    let syncs = PipelinedCosts::syncs_per_commit(&row.durability.to_string());
    let transport_us = match row.connector.transport() {
        "http" => 150.0,
        _ => 0.0,
    };
    ModelInputs {
        concurrency: ARTICLE_WORKERS,
        max_inflight_per_worker: row.max_inflight,
        batch_size: row.batch_size as u64,
        batch_timeout_us: row.batch_timeout.as_secs_f64() * 1e6,
        offered_tps: None,
        costs: Costs::SharedThread(SharedThreadCosts {
            sync_us: ARTICLE_SYNC.as_secs_f64() * 1e6 * syncs,
            cpu_us: 6.1,
            transport_us,
        }),
    }
}

fn article() -> Vec<Held> {
    let durable = ROWS.iter().filter(|row| !row.fake);
    durable
        .map(|row| Held {
            name: row.name,
            tps: row.tps.unwrap(),
            p50_ms: row.p50_ms.unwrap(),
            batch: None,
            predicted: predict(&article_inputs(row)),
        })
        .collect()
}

#[test]
fn recorded_rows_are_met_within_a_fifth() {
    for recording in RECORDINGS {
        let rows = recorded(recording);
        print(recording, &rows);
        assert_eq!(rows.len(), 11);
        // A row that syncs nothing is outside of what the model is about.
        let durable = &rows[1..];
        let near = durable.iter().filter(|row| row.tps_error().abs() < 0.2);
        assert!(near.count() >= 9);
        let (low, high) = pipelined::P50_ERROR;
        for row in durable {
            let error = row.p50_error();
            assert!((low..=high).contains(&error), "{}: {error}", row.name);
        }
    }
}

#[test]
fn the_articles_rows_are_met_within_a_fifth() {
    let rows = article();
    print("article", &rows);
    assert_eq!(rows.len(), 10);
    let (low, high) = shared_thread::P50_ERROR;
    for row in &rows {
        let (tps, p50) = (row.tps_error(), row.p50_error());
        assert!(tps.abs() < 0.2, "{}: TPS {tps}", row.name);
        assert!((low..=high).contains(&p50), "{}: p50 {p50}", row.name);
    }
}

/// By hand, from the article's 683 µs and 6.1 µs.
#[test]
fn the_leftover_rule() {
    let predicted = |name: &str| {
        let row = ROWS.iter().find(|row| row.name == name).unwrap();
        predict(&article_inputs(row))
    };
    for (name, tps, bottleneck) in [
        ("batch 10", 13_441.0, Bottleneck::DiskSync),
        ("batch 100, in flight 1", 16_733.0, Bottleneck::EmptyBusStop),
        ("batch 100", 52_000.0, Bottleneck::DiskSync),
        ("batch 1000", 134_900.0, Bottleneck::WriterCpu),
        ("batch 4000", 155_400.0, Bottleneck::WriterCpu),
    ] {
        let found = predicted(name);
        assert!((found.tps / tps - 1.0).abs() < 0.001, "{name}: {found:?}");
        assert_eq!(found.bottleneck, Some(bottleneck), "{name}");
    }
    // 104 of 100: four are left over of 13 messages of eight, and have a sync of their own.
    assert_eq!(predicted("batch 100").mean_batch, 52.0);
    // 4 syncs of 683 us.
    let default = predicted("true default");
    assert!((default.tps - 1e6 / (4.0 * 683.0 + 156.1)).abs() < 0.01);
}

fn pipelined(
    concurrency: u32,
    inflight: usize,
    batch: u64,
    timeout_us: f64,
    sync_us: f64,
) -> ModelInputs {
    let per_message = (inflight as f64).min(batch as f64);
    ModelInputs {
        concurrency,
        max_inflight_per_worker: inflight,
        batch_size: batch,
        batch_timeout_us: timeout_us,
        offered_tps: None,
        costs: Costs::Pipelined(PipelinedCosts {
            cores: Some(2),
            ..PipelinedCosts::reference("ws", "wal-full", sync_us, per_message)
        }),
    }
}

/// Two buses at most on a slow disk: one crosses, one fills.
#[test]
fn a_slow_disk_moves_half_of_everything_at_a_time() {
    let found = predict(&pipelined(50, 8, 4096, 0.0, 100_000.0));
    assert!((found.mean_batch - 200.0).abs() < 1.0, "{found:?}");
    assert!((found.tps - 200.0 / 0.1).abs() < 20.0, "{found:?}");
    assert_eq!(found.bottleneck, Some(Bottleneck::DiskSync));
    assert!(found.remedy.as_ref().unwrap().contains("--inflight"));
}

#[test]
fn each_bottleneck_is_found_and_its_remedy_names_a_knob() {
    let plain = |inputs: ModelInputs| inputs;
    let with = |mut inputs: ModelInputs, change: fn(&mut PipelinedCosts)| {
        if let Costs::Pipelined(costs) = &mut inputs.costs {
            change(costs);
        }
        inputs
    };
    let load = || pipelined(50, 80, 4096, 0.0, 76.0);
    for (inputs, bottleneck, knob) in [
        (
            plain(pipelined(50, 8, 10, 0.0, 683.0)),
            Bottleneck::DiskSync,
            "try --batch-size 200;",
        ),
        (
            plain(pipelined(50, 1, 100, 2000.0, 76.0)),
            Bottleneck::EmptyBusStop,
            "try --batch-timeout 0ms",
        ),
        (
            with(load(), |costs| costs.cores = None),
            Bottleneck::WriterCpu,
            "--inflight 160 or --concurrency 100",
        ),
        (
            with(load(), |costs| costs.transport.per_transfer_us = 5.0),
            Bottleneck::TransportCpu,
            "--io-threads",
        ),
        (
            with(load(), |costs| costs.client.per_transfer_us = 5.0),
            Bottleneck::Generator,
            "--threads",
        ),
        (
            with(load(), |costs| costs.cores = Some(1)),
            Bottleneck::Cores,
            "another machine",
        ),
        (
            ModelInputs {
                offered_tps: Some(1000.0),
                ..load()
            },
            Bottleneck::OfferedRate,
            "try --rate 2000",
        ),
    ] {
        let found = predict(&inputs);
        assert_eq!(found.bottleneck, Some(bottleneck), "{found:?}");
        assert!(found.remedy.as_ref().unwrap().contains(knob), "{found:?}");
        assert!(
            found
                .limits
                .iter()
                .any(|limit| limit.bottleneck == bottleneck)
        );
    }
}

/// Less than the capacity: what is offered is what is done, at a latency of a few syncs.
#[test]
fn an_open_loop_does_what_is_offered_until_it_cannot() {
    let capacity = predict(&pipelined(50, 40, 4096, 0.0, 76.0)).tps;
    let at = |offered: f64| {
        predict(&ModelInputs {
            offered_tps: Some(offered),
            ..pipelined(50, 40, 4096, 0.0, 76.0)
        })
    };
    let low = at(1_000.0);
    assert_eq!(low.tps, 1_000.0);
    assert!(low.p50_ms > 0.1 && low.p50_ms < 0.5, "{low:?}");
    assert!(low.remedy.unwrap().ends_with("try --rate 2000"));
    // Beyond the capacity no rate is named but the end of a search.
    let near = at(0.6 * capacity).remedy.unwrap();
    assert!(!near.contains("--rate"), "{near}");
    let to = format!("sweep --find-knee --to {:.0} ", 1.25 * capacity);
    assert!(near.contains(&to), "{near}");
    let half = at(capacity / 2.0);
    assert_eq!(half.tps, capacity / 2.0);
    assert!(half.p50_ms > low.p50_ms);
    let above = at(capacity * 2.0);
    assert_eq!(above.tps, capacity);
    assert_ne!(above.bottleneck, Some(Bottleneck::OfferedRate));
    // The timeout is waited for when nobody fills the bus.
    let waiting = predict(&ModelInputs {
        offered_tps: Some(10_000.0),
        ..pipelined(50, 40, 4096, 2_000.0, 76.0)
    });
    assert!((1.0..1.8).contains(&waiting.p50_ms), "{waiting:?}");
}

/// Costs apart from the sync, knobs, timeout.
fn any_inputs() -> impl Strategy<Value = ModelInputs> {
    let knobs = (1_u32..2_000, 1_usize..200, 1_u64..10_000, 0.0..5_000.0_f64);
    let costs = (
        0.0..10_000.0_f64,
        0.05..50.0_f64,
        0.05..50.0_f64,
        0.05..50.0_f64,
        1.0..200.0_f64,
        0.0..100.0_f64,
        prop::option::of(1_u32..9),
        any::<bool>(),
        prop::option::of(1.0..1e6_f64),
    );
    (knobs, costs).prop_map(|((workers, inflight, batch, timeout), costs)| {
        let (sync_us, writer, transport, client, batch_us, wake, cores, shared, offered) = costs;
        let mut inputs = pipelined(workers, inflight, batch, timeout, sync_us);
        inputs.offered_tps = offered;
        if shared {
            inputs.costs = Costs::SharedThread(SharedThreadCosts {
                sync_us,
                cpu_us: writer,
                transport_us: transport,
            });
        } else if let Costs::Pipelined(costs) = &mut inputs.costs {
            costs.writer_us_per_transfer = writer;
            costs.writer_us_per_batch = batch_us;
            costs.transport.per_transfer_us = transport;
            costs.transport.per_wake_us = wake;
            costs.client.per_transfer_us = client;
            costs.cores = cores;
        }
        inputs
    })
}

fn with_sync(inputs: &ModelInputs, sync_us: f64) -> ModelInputs {
    let mut inputs = inputs.clone();
    match &mut inputs.costs {
        Costs::SharedThread(costs) => costs.sync_us = sync_us,
        Costs::Pipelined(costs) => costs.sync_us = sync_us,
    }
    inputs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_limit_is_exceeded(inputs in any_inputs()) {
        let found = predict(&inputs);
        prop_assert!(found.tps.is_finite() && found.tps > 0.0, "{found:?}");
        prop_assert!(found.p50_ms.is_finite() && found.p50_ms > 0.0, "{found:?}");
        prop_assert!(!found.limits.is_empty());
        for limit in &found.limits {
            prop_assert!(found.tps <= limit.tps * (1.0 + 1e-9), "{limit:?} {found:?}");
        }
        prop_assert!(found.limits.is_sorted_by(|a, b| a.tps <= b.tps));
        let most = inputs.in_flight().min(inputs.batch_size as f64);
        let leftover = inputs.max_inflight_per_worker as f64;
        prop_assert!(found.mean_batch >= 0.5, "{found:?}");
        prop_assert!(found.mean_batch <= most + leftover, "{found:?}");
        // Little's law: nobody is in flight who was not sent.
        let in_flight = found.tps * found.p50_ms / 1e3;
        prop_assert!(in_flight <= inputs.in_flight() * (1.0 + 1e-9), "{found:?}");
    }

    #[test]
    fn a_slower_sync_never_helps(inputs in any_inputs(), more in 1.0..5_000.0_f64) {
        let mut inputs = inputs;
        // With a timeout a slower sync can: who waited for it need not wait for passengers.
        inputs.batch_timeout_us = 0.0;
        let sync_us = match &inputs.costs {
            Costs::SharedThread(costs) => costs.sync_us,
            Costs::Pipelined(costs) => costs.sync_us,
        };
        let (fast, slow) = (predict(&inputs), predict(&with_sync(&inputs, sync_us + more)));
        prop_assert!(slow.tps <= fast.tps * (1.0 + 1e-6), "{fast:?} {slow:?}");
    }

    /// While the disk is what limits and everything else has a third to spare, give or take a
    /// few percent: where it has not, fuller buses come in larger crowds.
    #[test]
    fn more_seats_never_hurt_a_busy_writer(inputs in any_inputs(), more in 1_u64..5_000) {
        let mut inputs = inputs;
        inputs.batch_timeout_us = 0.0;
        inputs.offered_tps = None;
        // A longer sync and a smaller bus, so that enough cases are of that kind.
        inputs.batch_size = inputs.batch_size.isqrt();
        let Costs::Pipelined(costs) = &mut inputs.costs else {
            // With leftovers it can: 100 seats at eight per message are worse than 96.
            inputs.max_inflight_per_worker = 1;
            inputs.batch_size = inputs.batch_size.min(inputs.concurrency.into());
            let few = predict(&inputs);
            inputs.batch_size = (inputs.batch_size + more).min(inputs.concurrency.into());
            prop_assert!(predict(&inputs).tps >= few.tps * (1.0 - 1e-9));
            return Ok(());
        };
        costs.sync_us *= 4.0;
        let few = predict(&inputs);
        let writer = few.limits.iter().filter(|limit| {
            matches!(limit.bottleneck, Bottleneck::DiskSync | Bottleneck::WriterCpu)
        });
        let busy: f64 = writer.map(|limit| few.tps / limit.tps).sum();
        let spare = few.limits.iter().all(|limit| {
            matches!(limit.bottleneck, Bottleneck::DiskSync | Bottleneck::WriterCpu)
                || limit.tps > 1.5 * few.tps
        });
        prop_assume!(busy > 0.999 && few.bottleneck == Some(Bottleneck::DiskSync) && spare);
        inputs.batch_size += more;
        let many = predict(&inputs);
        prop_assert!(many.tps >= few.tps * 0.95, "{few:?} {many:?}");
    }
}

/// The constants of the model are what is counted here, mode by mode.
#[cfg(target_os = "linux")]
#[test]
fn syncs_per_commit_are_those_that_the_probe_counts() {
    let directory = tempfile::tempdir().unwrap();
    for mode in Durability::ALL {
        let counted = probe::syncs_per_commit(directory.path(), mode, 4).unwrap();
        let name = mode.as_str();
        assert_eq!(
            (
                PipelinedCosts::syncs_per_commit(name),
                PipelinedCosts::appending_syncs_per_commit(name)
            ),
            (counted.total(), counted.appending()),
            "{mode}"
        );
    }
}
