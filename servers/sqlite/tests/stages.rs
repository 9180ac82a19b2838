//! What the stage timings say must be what the transfers went through.

mod support;

use std::time::{Duration, Instant};

use busload_engine::{ControlCall, ControlReply};
use busload_sqlite::Durability;
use busload_wire::control::{Distribution, Stats};
use busload_wire::histogram::decode as decode_histogram;
use support::{Bank, config, transfer};

/// How long the writer is held: far longer than the rest of a transfer's way.
const HELD: Duration = Duration::from_millis(50);

fn start(durability: Durability, batch_size: usize) -> (tempfile::TempDir, Bank) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut config = config(directory.path(), durability);
    config.batch_size = batch_size;
    let bank = Bank::start(&config);
    (directory, bank)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("short")
}

/// The distributions that the engine fills, by name.
fn distributions(stats: &Stats) -> Vec<(&'static str, &Distribution)> {
    let (s, t) = (&stats.stages, &stats.transfer_stages);
    vec![
        ("wait", &s.wait_ns),
        ("apply", &s.apply_ns),
        ("commit", &s.commit_ns),
        ("answer", &s.answer_ns),
        ("sync", &s.sync_ns),
        ("batch size", &s.batch_size),
        ("transfer apply", &t.apply_ns),
        ("transfer commit", &t.commit_write_ns),
        ("transfer sync", &t.sync_ns),
        ("transfer answer", &t.answer_ns),
    ]
}

#[test]
fn the_stages_of_one_batch_are_those_of_each_of_its_transfers() {
    for mode in [Durability::WalFull, Durability::Memory] {
        let (_directory, bank) = start(mode, 4096);
        let began = Instant::now();
        bank.apply(&[transfer(0, 1, 1); 7]);
        let took = nanos(began.elapsed());
        let stats = bank.stats();
        let (s, t) = (&stats.stages, &stats.transfer_stages);
        assert_eq!((stats.batches, s.batch_size.sum), (1, 7));
        for stage in [
            &s.wait_ns,
            &t.apply_ns,
            &t.commit_write_ns,
            &t.sync_ns,
            &t.answer_ns,
        ] {
            assert_eq!(stage.count, 7, "{mode}: once per transfer");
        }
        assert_eq!(t.apply_ns.sum, 7 * s.apply_ns.sum);
        assert_eq!(t.answer_ns.sum, 7 * s.answer_ns.sum);
        assert_eq!(t.sync_ns.sum, 7 * s.sync_ns.sum);
        assert_eq!(t.sync_ns.sum > 0, mode == Durability::WalFull);
        assert_eq!(t.commit_write_ns.sum + t.sync_ns.sum, 7 * s.commit_ns.sum);
        assert!(t.commit_write_ns.sum > 0 && t.apply_ns.sum > 0);
        let way = s.wait_ns.sum + t.apply_ns.sum + t.commit_write_ns.sum + t.sync_ns.sum;
        assert!(way <= 7 * took, "{way} ns of 7 × {took} ns");
        bank.stop_cleanly();
    }
}

#[test]
fn batches_weigh_as_much_as_they_have_transfers() {
    let (_directory, bank) = start(Durability::WalFull, 4);
    let hold = bank.hold();
    for count in [3, 6, 1, 1] {
        assert_eq!(bank.submit(1, &vec![transfer(0, 1, 1); count]).len(), 0);
    }
    drop(hold);
    bank.outcomes(11);
    let stats = bank.stats();
    let (s, t) = (&stats.stages, &stats.transfer_stages);
    assert_eq!((s.batch_size.count, s.batch_size.sum), (3, 11));
    for (per_transfer, per_batch) in [
        (t.apply_ns.sum, s.apply_ns.sum),
        (t.sync_ns.sum, s.sync_ns.sum),
        (t.commit_write_ns.sum + t.sync_ns.sum, s.commit_ns.sum),
        (t.answer_ns.sum, s.answer_ns.sum),
    ] {
        // Batches of 4, 4 and 3.
        assert!(per_transfer > 3 * per_batch && per_transfer < 4 * per_batch);
    }
    assert_eq!(decode_histogram(&t.sync_ns).expect("it is sent").len(), 11);
    bank.stop_cleanly();
}

#[test]
fn stages_add_up_to_the_time_that_the_port_measures() {
    let (_directory, bank) = start(Durability::WalFull, 4096);
    let hold = bank.hold();
    let submitted = Instant::now();
    assert_eq!(bank.submit(1, &[transfer(0, 1, 1)]).len(), 0);
    std::thread::sleep(HELD);
    drop(hold);
    bank.outcomes(1);
    let took = nanos(submitted.elapsed());
    let stats = bank.stats();
    let (s, t) = (&stats.stages, &stats.transfer_stages);
    assert!(s.wait_ns.sum >= nanos(HELD), "{}", s.wait_ns.sum);
    let way = s.wait_ns.sum + t.apply_ns.sum + t.commit_write_ns.sum + t.sync_ns.sum;
    assert!(
        (s.wait_ns.sum + 1..=took).contains(&way),
        "{way} ns of {took} ns"
    );
    bank.stop_cleanly();
}

#[test]
fn totals_are_exact_and_wait_for_nobody() {
    let (_directory, bank) = start(Durability::WalFull, 4);
    bank.apply(&[transfer(0, 1, 1); 9]);
    let full = bank.stats();
    let hold = bank.hold();
    assert_eq!(bank.submit(1, &[transfer(0, 1, 1)]).len(), 0);
    // The writer stands still: this returns all the same.
    let totals = bank.engine.totals();
    drop(hold);
    bank.outcomes(1);
    assert_eq!(totals.queue.depth, 1);
    assert_eq!((totals.committed, totals.applied), (9, 9));
    assert_eq!(totals.syncs, full.syncs);
    for ((name, light), (_, heavy)) in distributions(&totals).into_iter().zip(distributions(&full))
    {
        assert_eq!(light.histogram, "", "{name}");
        assert_eq!((light.count, light.sum), (heavy.count, heavy.sum), "{name}");
        let histogram = decode_histogram(heavy).expect(name);
        assert_eq!(histogram.len(), heavy.count, "{name}");
    }
    bank.stop_cleanly();
}

#[test]
fn balances_can_be_had_without_histograms() {
    let (_directory, bank) = start(Durability::Memory, 4096);
    let call = ControlCall::Stats { histograms: false };
    let Ok(ControlReply::Stats(snapshot)) = bank.call(call) else {
        panic!("no stats");
    };
    assert!(!snapshot.has_histograms());
    let stats = snapshot.pack();
    assert_eq!(stats.balances.expect("asked for").total, "10000");
    assert_eq!(stats.stages.wait_ns.histogram, "");
    bank.stop_cleanly();
}

#[test]
fn without_timings_the_counters_stay() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut config = config(directory.path(), Durability::WalFull);
    config.stage_timings = false;
    let bank = Bank::start(&config);
    bank.apply(&[transfer(0, 1, 1); 9]);
    let stats = bank.stats();
    assert_eq!((stats.committed, stats.applied, stats.batches), (9, 9, 1));
    assert!(stats.commit_syncs > Some(0));
    for (name, distribution) in distributions(&stats) {
        assert_eq!((distribution.count, distribution.sum), (0, 0), "{name}");
    }
    bank.stop_cleanly();
}
