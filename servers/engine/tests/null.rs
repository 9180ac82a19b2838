//! The null ledger: served as a real one in everything but the database.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use busload_engine::{
    Config, ControlCall, ControlReply, EngineError, Failure, NullLedger, NullPace, Outcome,
    Rejection, Work,
};
use busload_wire::RequestId;
use busload_wire::control::Verification;
use support::{Bank, Mail, PANIC_ACCOUNT, transfer};

/// Ten accounts of 1000 each, batches as large as can be, no timeout.
fn start(pace: NullPace, change: impl FnOnce(&mut Config)) -> Bank {
    let mut config = Config {
        batch_size: 4096,
        batch_timeout: Duration::ZERO,
        queue_transfers: 1 << 20,
        stage_timings: true,
    };
    change(&mut config);
    let ledger = NullLedger::new(10, 1000, pace).expect("they are in range");
    Bank::on(&config, Box::new(ledger)).expect("the engine starts")
}

#[test]
fn every_transfer_is_answered_once_and_in_order() {
    const VECTORS: u64 = 100;
    let bank = start(NullPace::default(), |config| config.batch_size = 16);
    let submitters = [1, 2, 3];
    // Vectors of 1 to 40 transfers: many are larger than a batch.
    let length = |vector: u64| vector * 7 % 40 + 1;
    let total: u64 = (0..VECTORS).map(length).sum();
    std::thread::scope(|scope| {
        for to in submitters {
            let engine = &bank.engine;
            scope.spawn(move || {
                let mut next = 0;
                for vector in 0..VECTORS {
                    let ids = next..next + length(vector);
                    next = ids.end;
                    let work = |id| Work::new(RequestId::new(id), transfer(0, 1, 1));
                    let refused = engine.submit(to, ids.map(work).collect());
                    assert!(refused.is_empty());
                }
            });
        }
    });
    let mut answered = BTreeMap::<u32, u64>::new();
    while answered.values().sum::<u64>() < 3 * total {
        let batch = bank.next_batch();
        let size: usize = batch.iter().map(|reply| reply.work.len()).sum();
        assert!((1..=16).contains(&size), "a batch of {size}");
        for reply in batch {
            let expected = answered.entry(reply.to).or_default();
            for one in reply.work {
                assert_eq!(one.outcome, Outcome::Committed);
                assert_eq!(one.id, RequestId::new(*expected), "to {}", reply.to);
                *expected += 1;
            }
        }
    }
    assert!(answered.values().all(|n| *n == total), "{answered:?}");
    let stats = bank.stats();
    assert_eq!((stats.committed, stats.applied), (3 * total, 0));
    assert_eq!(stats.stages.batch_size.sum, 3 * total);
    assert_eq!(stats.transfer_stages.apply_ns.count, 3 * total);
    bank.stop_cleanly();
}

#[test]
fn batches_wait_as_with_a_database() {
    let bank = start(NullPace::default(), |config| {
        config.batch_size = 4;
        config.batch_timeout = Duration::from_hours(1);
    });
    assert!(bank.submit(1, &[transfer(0, 1, 1); 3]).is_empty());
    assert!(bank.is_quiet(Duration::from_millis(50)), "three of four");
    assert!(bank.submit(2, &[transfer(0, 1, 1); 3]).is_empty());
    let batch = bank.next_batch();
    let sizes: Vec<_> = batch.iter().map(|r| (r.to, r.work.len())).collect();
    assert_eq!(sizes, [(1, 3), (2, 1)]);
    let (rest, ended) = bank.stop();
    ended.expect("it ends well");
    assert_eq!(rest.len(), 1, "what is queued is answered at the end");
    assert_eq!(rest[0].work.len(), 2);
    assert!(
        rest[0]
            .work
            .iter()
            .all(|one| one.outcome == Outcome::Committed)
    );
}

#[test]
fn the_rules_that_need_no_balance_hold() {
    let bank = start(NullPace::default(), |_| ());
    let missing = Outcome::Rejected(Rejection::AccountMissing);
    let invalid = Outcome::Rejected(Rejection::InvalidTransfer);
    let outcomes = bank.apply(&[
        transfer(0, 9, 1),
        transfer(0, 10, 1),
        transfer(-1, 0, 1),
        transfer(10, 0, 1),
        transfer(3, 3, 1),
        transfer(99, 99, 1),
        transfer(0, 1, 0),
        transfer(0, 1, i64::MAX),
    ]);
    assert_eq!(
        outcomes,
        [
            Outcome::Committed,
            missing,
            missing,
            missing,
            invalid,
            invalid,
            invalid,
            Outcome::Committed
        ]
    );
    let stats = bank.stats();
    assert_eq!((stats.committed, stats.rejected["account_missing"]), (2, 3));
    bank.stop_cleanly();
}

#[test]
fn the_pace_is_kept_and_shown_but_nothing_is_synced() {
    let pace = NullPace {
        apply: Duration::from_micros(500),
        sync: Duration::from_millis(10),
    };
    let bank = start(pace, |config| config.batch_size = 4);
    bank.apply(&[transfer(0, 1, 1); 8]);
    let stats = bank.stats();
    let (s, t) = (&stats.stages, &stats.transfer_stages);
    assert_eq!((stats.batches, s.sync_ns.count), (2, 2));
    assert!(s.apply_ns.sum >= 2 * 4 * 500_000, "{}", s.apply_ns.sum);
    assert!(s.sync_ns.sum >= 2 * 10_000_000, "{}", s.sync_ns.sum);
    assert_eq!(s.commit_ns.sum, s.sync_ns.sum);
    assert_eq!(t.sync_ns.sum, 4 * s.sync_ns.sum);
    assert_eq!((t.commit_write_ns.count, t.commit_write_ns.sum), (8, 0));
    assert_eq!((stats.commit_syncs, stats.syncs.total()), (Some(0), 0));
    assert_eq!((stats.batches_that_wrote, stats.applied), (0, 0));
    assert_eq!(stats.bytes_written.total(), 0);
    bank.stop_cleanly();
}

#[test]
fn without_a_pace_nothing_is_spent_on_syncs() {
    let bank = start(NullPace::default(), |_| ());
    bank.apply(&[transfer(0, 1, 1); 8]);
    let stats = bank.stats();
    assert_eq!(
        (stats.stages.sync_ns.count, stats.stages.commit_ns.sum),
        (0, 0)
    );
    bank.stop_cleanly();
}

#[test]
fn control_calls_are_answered_as_of_a_ledger_in_which_nothing_moves() {
    let bank = start(NullPace::default(), |_| ());
    bank.apply(&[transfer(0, 1, 7)]);
    assert_eq!((bank.balance(0), bank.balance(10)), (Some(1000), None));
    let verified = bank.verify();
    assert!(matches!(
        verified,
        Ok(Verification::Skipped { skipped: true })
    ));
    let before = bank.stats().balances.expect("asked for");
    assert_eq!((before.accounts, before.total.as_str()), (10, "10000"));
    // The digest is the one that a real ledger of these balances has (busload-sqlite's
    // tests/files.rs).
    assert_eq!(before.digest, "a519151ba92a468f");

    let seed = |accounts| ControlCall::Seed {
        accounts,
        initial_balance: 5,
        may_wipe: true,
    };
    assert!(matches!(bank.call(seed(20)), Ok(ControlReply::Seeded)));
    assert_eq!((bank.balance(19), bank.balance(20)), (Some(5), None));
    assert_eq!(bank.apply(&[transfer(19, 0, 1)]), [Outcome::Committed]);
    assert!(matches!(
        bank.call(seed(1)),
        Err(EngineError::SeedOutOfRange { .. })
    ));
    assert_eq!(bank.engine.totals().committed, 2);
    bank.stop_cleanly();
}

#[test]
fn a_null_writer_that_dies_leaves_nobody_waiting() {
    let bank = start(NullPace::default(), |config| config.batch_size = 1);
    let hold = bank.hold();
    let doomed = transfer(PANIC_ACCOUNT, PANIC_ACCOUNT, 1);
    assert!(bank.submit(1, &[doomed]).is_empty());
    assert!(bank.submit(2, &[transfer(0, 1, 1)]).is_empty());
    drop(hold);
    let refused = bank.outcomes(1);
    assert_eq!(refused, [Outcome::Failed(Failure::ShuttingDown)]);
    assert!(matches!(bank.next_mail(), Mail::Stopped));
    assert!(matches!(bank.writer.join(), Err(EngineError::Writer(_))));
}
