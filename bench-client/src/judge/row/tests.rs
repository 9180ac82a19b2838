//! From an observation to a row.

use busload_wire::control::{Balances, Distribution, Stats};
use busload_wire::histogram::decode_text;

use super::*;
use crate::judge::judge;
use crate::observation::fixtures::{Outcome, TICKS, Transfer, no_times, observe};
use crate::observation::{
    BeforeAndAfterStats, LedgerObservation, PacedNullServer, Sample, ServerProcess, WindowCounters,
};
use crate::record::{Stage, VerdictCode};

/// A transfer of every millisecond, each of 2 ms; one in a hundred is rejected.
fn stream() -> Vec<Transfer> {
    let transfer = |number: usize| Transfer {
        tick: number * TICKS / 1_000,
        outcome: if number % 100 == 7 {
            Outcome::Rejected("overloaded")
        } else {
            Outcome::Committed
        },
        latency_ns: 2_000_000,
        accounts: (0, 1),
    };
    (0..1_000).map(transfer).collect()
}

/// Counters of a server that has committed so many transfers, in batches of ten, each with a sync.
fn stats(committed: u64) -> Stats {
    let batches = committed / 10;
    let distribution = |count: u64, each: u64| Distribution {
        count,
        sum: count * each,
        histogram: String::new(),
    };
    let mut stats = Stats {
        committed,
        applied: committed,
        row_changes: 2 * committed,
        batches,
        batches_that_wrote: batches,
        commit_syncs: Some(batches),
        balances: Some(Balances {
            accounts: 100_000,
            total: "500".to_owned(),
            lowest: "0".to_owned(),
            digest: committed.to_string(),
        }),
        ..Stats::default()
    };
    stats.syncs.wal = batches;
    stats.bytes_written.wal = 4096 * batches;
    stats.stages.batch_size = distribution(batches, 10);
    stats.stages.wait_ns = distribution(committed, 1_000_000);
    stats.transfer_stages.sync_ns = distribution(committed, 500_000);
    stats
}

fn info() -> Info {
    serde_json::from_value(serde_json::json!({
        "server": "busload", "version": "1", "transport": "ws", "encodings": ["json"],
        "durability": "wal-full", "pragmas": {"page_size": "4096"}, "sqlite_version": "3",
        "database": "ledger", "batch_size": 10, "batch_timeout_us": 0.0, "queue_transfers": 10,
        "max_inflight_per_connection": 10, "pid": 7
    }))
    .expect("as servers say it")
}

/// An honest server under [`stream`].
fn system() -> SystemObservation {
    SystemObservation {
        url: Some("ws://127.0.0.1:4107".to_owned()),
        info: Some(info()),
        run: BeforeAndAfterStats {
            before: Some(stats(0)),
            after: Some(stats(1_980)),
        },
        window: Some(WindowCounters {
            before: Some(stats(0)),
            after: Some(stats(990)),
            between_ns: 1_000_000_000,
        }),
        process: ServerProcess {
            cpu_ns: Some(500_000_000),
            storage_bytes: Some(4096 * 198),
            ..ServerProcess::default()
        },
        ledger: LedgerObservation {
            seeded: true,
            must_differ: true,
            checked: crate::observation::CheckedBalances {
                samples: vec![Sample {
                    account: 0,
                    before: 1_000_000_000,
                    after: Some(1_000_000_000 - 1_980),
                    acknowledged_delta: -1_980,
                    unknown_debits: 0,
                    unknown_credits: 0,
                    transfers: 1_980,
                    inferred: false,
                }],
                ..crate::observation::CheckedBalances::default()
            },
            ..LedgerObservation::default()
        },
        ..SystemObservation::default()
    }
}

/// Of a closed loop by a generator that was never late, on a machine without faults.
fn quiet(transfers: &[Transfer]) -> Observation {
    let mut observation = observe(transfers);
    observation.load.offered = None;
    observation.load.loop_lag = no_times();
    observation.machines[0].environment.warnings.clear();
    observation
}

fn observation() -> Observation {
    Observation {
        system: Some(system()),
        ..quiet(&stream())
    }
}

fn codes(row: &Row) -> Vec<VerdictCode> {
    row.verdicts.iter().map(|verdict| verdict.code).collect()
}

#[test]
fn a_row_is_configuration_figures_and_judgement() {
    let (config, observation) = (RunConfig::default(), observation());
    let row = row(&config, &observation);
    assert_eq!(row.config, config);
    assert_eq!((row.committed, row.rejected), (990, 10));
    assert_eq!(row.rejected_by_reason["overloaded"], 10);
    assert!((row.tps - 990.0).abs() < 1e-9 && (row.seconds - 1.0).abs() < 1e-9);
    assert!((row.latency_ms.mean - 2.0).abs() < 1e-9);
    let histogram = decode_text(&row.latency_histogram).expect("a histogram");
    assert_eq!(histogram.len(), row.committed);
    assert_eq!(row.intervals.len(), TICKS);
    let server = row.server.as_ref().expect("it has stats");
    assert_eq!((server.commits, server.commit_syncs), (99, Some(99)));
    assert_eq!(server.storage_bytes_written, Some(4096 * 198));
    assert_eq!(row.cpu.client_s, Some(0.4));
    assert_eq!(row.cpu.server_s, Some(0.5));
    assert_eq!(
        (row.durability.as_str(), row.page_size),
        ("wal-full", Some(4096))
    );
    assert_eq!(row.verify.acknowledged, 1_980, "the warm-up's as well");
    assert_eq!(row.verify.applied, Some(1_980));
    assert_eq!(row.verify.ledger_ok, Some(true));
    let judgement = judge(&config, &observation);
    assert_eq!(judgement.verdicts, row.verdicts);
    assert_eq!(judgement.verify, row.verify);
    assert!(judgement.valid && row.valid, "{:?}", row.verdicts);
}

#[test]
fn the_judgement_does_not_depend_on_when_it_is_made() {
    let (config, seen) = (RunConfig::default(), observation());
    let text = serde_json::to_string(&seen).expect("it can be written");
    let read: Observation = serde_json::from_str(&text).expect("it can be read");
    let [now, later] = [&seen, &read].map(|observation| {
        serde_json::to_string(&row(&config, observation)).expect("it can be written")
    });
    assert_eq!(now, later);
}

#[test]
fn counters_of_another_process_say_nothing_and_its_ledger_does() {
    let mut observation = observation();
    observation.system.as_mut().expect("seen").replaced = true;
    let row = row(&RunConfig::default(), &observation);
    assert!(row.server.is_none() && row.budget.is_none());
    assert_eq!(row.verify.applied, None);
    assert_eq!(
        row.verify.conserved,
        Some(true),
        "the balances are the ledger's"
    );
    assert_eq!(codes(&row)[0], VerdictCode::ServerDied);
    assert!(!row.valid);
}

#[test]
fn a_process_that_wrote_nothing_to_storage_is_accused_only_where_that_is_counted() {
    let accused = |file_system: &str| {
        let mut observation = observation();
        observation
            .system
            .as_mut()
            .expect("seen")
            .process
            .storage_bytes = Some(0);
        let storage = &mut observation.machines[0].environment.storage;
        storage.file_system = Some(file_system.to_owned());
        row(&RunConfig::default(), &observation).verify.fake
    };
    assert!(accused("ext4"));
    assert!(!accused("tmpfs"));
}

#[test]
fn a_load_whose_server_was_not_looked_at_is_not_durable_by_itself() {
    let mut observation = observation();
    observation.system = None;
    let row = row(&RunConfig::default(), &observation);
    assert_eq!(
        (row.durability.as_str(), row.server_url.as_deref()),
        ("unknown", None)
    );
    assert!(codes(&row).contains(&VerdictCode::DurabilityUnknown));
    assert!(codes(&row).contains(&VerdictCode::Unverified));
}

#[test]
fn what_the_wire_takes_is_told_of_one_machine_and_not_of_two() {
    let mut observation = observation();
    observation.machines[0].paced_null_server = Some(PacedNullServer {
        mean_us: 1_600.0,
        queue_us: 0.0,
        before: stats(0),
        after: stats(100),
    });
    let wire = |observation: &Observation| {
        let budget = row(&RunConfig::default(), observation)
            .budget
            .expect("stages");
        let sum: f64 = budget.stages.iter().map(|stage| stage.mean_us).sum();
        assert!((sum - budget.mean_us).abs() < 1e-6, "{budget:?}");
        let wire = budget
            .stages
            .iter()
            .find(|stage| stage.stage == Stage::Wire);
        wire.map(|stage| stage.mean_us)
    };
    assert_eq!(wire(&observation), Some(100.0));
    let second = observation.machines[0].clone();
    observation.machines.push(second);
    assert_eq!(wire(&observation), None);
}

/// Two machines that share the load are judged as one that puts on all of it.
#[test]
fn merged_shards_are_judged_as_the_whole() {
    let stream = stream();
    let shard = |first: usize| {
        let its: Vec<Transfer> = stream.iter().skip(first).step_by(2).copied().collect();
        let mut observation = quiet(&its);
        observation.machines[0].ceiling_tps = Some(600.0);
        observation
    };
    let mut shards = [shard(0), shard(1)];
    shards[1].system = Some(system());
    let merged = Observation::merge(&shards).expect("of one window");
    let config = RunConfig::default();
    let [of_merged, of_whole] = [&merged, &observation()].map(|seen| row(&config, seen));
    assert_eq!(of_merged.committed, of_whole.committed);
    assert_eq!(of_merged.latency_ms, of_whole.latency_ms);
    assert_eq!(of_merged.verify, of_whole.verify);
    assert_eq!(of_merged.valid, of_whole.valid);
    assert_eq!(of_merged.cpu.client_s, Some(0.8), "of both");
    assert_eq!(of_merged.collision_scope, "per client thread");
    let generator = of_merged.generator.as_ref().expect("it is told");
    assert_eq!(generator.thread_cpu, [0.3, 0.3]);
    assert_eq!(generator.ceiling_tps, Some(1_200.0));
    // 990 of 1,200 is near the ceiling, and of 600 each shard alone is as well.
    assert_eq!(
        codes(&of_merged),
        [VerdictCode::NotCommitted, VerdictCode::GeneratorBound]
    );
    assert_eq!(codes(&of_whole), [VerdictCode::NotCommitted]);
}
