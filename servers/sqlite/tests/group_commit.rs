//! Which transfers share a batch, when it is committed, and who is refused.

mod support;

use std::time::{Duration, Instant};

use busload_engine::{ControlCall, EngineError, Failure, Outcome, Rejection, Reply};
use busload_sqlite::Durability;
use busload_wire::Transfer;
use busload_wire::histogram::decode as decode_histogram;
use support::{Bank, Config, Mail, PANIC_ACCOUNT, config, transfer};

/// A timeout that no test waits for.
const NEVER: Duration = Duration::from_hours(1);
/// Long enough for a writer that does not wait to show it.
const A_WHILE: Duration = Duration::from_millis(100);

const ONE: Transfer = transfer_const(0, 1, 1);

const fn transfer_const(from: i64, to: i64, amount: i64) -> Transfer {
    Transfer {
        from,
        to,
        amount,
        transfer_id: None,
    }
}

fn with(change: impl FnOnce(&mut Config)) -> (tempfile::TempDir, Bank) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut config = config(directory.path(), Durability::Memory);
    change(&mut config);
    let bank = Bank::start(&config);
    (directory, bank)
}

fn sizes(batch: &[Reply<u32>]) -> Vec<(u32, usize)> {
    batch
        .iter()
        .map(|reply| (reply.to, reply.work.len()))
        .collect()
}

#[test]
fn batch_size_is_an_exact_cap_and_a_vector_is_split() {
    let (_directory, bank) = with(|config| config.batch_size = 4);
    let hold = bank.hold();
    for (to, count) in [(1, 3), (2, 6), (3, 1), (4, 1)] {
        assert_eq!(bank.submit(to, &vec![ONE; count]).len(), 0);
    }
    drop(hold);
    assert_eq!(sizes(&bank.next_batch()), [(1, 3), (2, 1)]);
    assert_eq!(sizes(&bank.next_batch()), [(2, 4)]);
    assert_eq!(sizes(&bank.next_batch()), [(2, 1), (3, 1), (4, 1)]);
    let stats = bank.stats();
    assert_eq!((stats.batches, stats.committed), (3, 11));
    assert_eq!(decode_histogram(&stats.stages.batch_size).unwrap().max(), 4);
    assert_eq!(stats.stages.wait_ns.count, 11, "one wait per transfer");
    bank.stop_cleanly();
}

#[test]
fn the_writer_waits_for_a_full_batch() {
    let (_directory, bank) = with(|config| {
        config.batch_size = 4;
        config.batch_timeout = NEVER;
    });
    assert_eq!(bank.submit(1, &[ONE; 3]).len(), 0);
    assert!(bank.is_quiet(A_WHILE), "three of four: the writer waits");
    assert_eq!(bank.submit(2, &[ONE; 3]).len(), 0);
    assert_eq!(sizes(&bank.next_batch()), [(1, 3), (2, 1)]);
    assert!(
        bank.is_quiet(A_WHILE),
        "what is left over waits for the next full batch"
    );
    assert_eq!(bank.submit(3, &[ONE; 2]).len(), 0);
    assert_eq!(sizes(&bank.next_batch()), [(2, 2), (3, 2)]);
    bank.stop_cleanly();
}

#[test]
fn the_oldest_transfer_waits_no_longer_than_the_timeout() {
    let timeout = Duration::from_millis(300);
    let (_directory, bank) = with(|config| {
        config.batch_size = 4096;
        config.batch_timeout = timeout;
    });
    let began = Instant::now();
    let mut submitted = 0;
    // Ever new ones come, which must not put it off.
    let batch = loop {
        assert_eq!(bank.submit(1, &[ONE]).len(), 0);
        submitted += 1;
        if !bank.is_quiet(Duration::from_millis(10)) {
            break began.elapsed();
        }
        assert!(began.elapsed() < 40 * timeout, "put off for ever");
    };
    assert!(batch >= timeout, "after {batch:?}");
    let stats = bank.stats();
    assert!(
        stats.committed > 1 && stats.committed <= submitted,
        "{}",
        stats.committed
    );
    bank.stop_cleanly();
}

#[test]
fn a_control_call_does_not_wait_for_the_batch_before_it() {
    let (_directory, bank) = with(|config| config.batch_timeout = NEVER);
    assert_eq!(bank.submit(1, &[ONE; 3]).len(), 0);
    let call = ControlCall::GetAccount { id: 1 };
    bank.engine.control(9, None, call).unwrap();
    assert_eq!(sizes(&bank.next_batch()), [(1, 3)]);
    assert!(matches!(bank.next_mail(), Mail::Control(..)));
    bank.stop_cleanly();
}

#[test]
fn closing_does_not_wait_for_a_full_batch() {
    let (_directory, bank) = with(|config| config.batch_timeout = NEVER);
    assert_eq!(bank.submit(1, &[ONE; 3]).len(), 0);
    let (rest, result) = bank.stop();
    assert_eq!(sizes(&rest), [(1, 3)]);
    result.unwrap();
}

#[test]
fn without_a_timeout_nothing_waits() {
    let (_directory, bank) = with(|_| {});
    assert_eq!(bank.apply(&[ONE]), [Outcome::Committed]);
    bank.stop_cleanly();
}

#[test]
fn a_control_call_sees_every_transfer_before_it_and_at_most_a_batch_with_later_ones() {
    let (_directory, bank) = with(|config| config.batch_size = 2);
    let hold = bank.hold();
    for _ in 0..5 {
        assert_eq!(bank.submit(1, &[ONE; 3]).len(), 0);
        let call = ControlCall::GetAccount { id: 1 };
        bank.engine.control(9, None, call).unwrap();
    }
    drop(hold);
    let (mut credited, mut seen) = (0, Vec::new());
    while seen.len() < 5 {
        match bank.next_mail() {
            Mail::Batch(batch) => credited += batch.iter().map(|r| r.work.len()).sum::<usize>(),
            Mail::Control(_, Ok(busload_engine::ControlReply::Account(Some(account)))) => {
                assert_eq!(account.balance, (1000 + credited).to_string());
                seen.push(credited);
            }
            other => panic!("{other:?}"),
        }
    }
    // After 3, 6, 9, 12 and 15, at the end of the batch of two in which the last of them is.
    assert_eq!(seen, [4, 6, 10, 12, 15]);
    bank.stop_cleanly();
}

/// docs/reliability-evidence.md, case 21.
#[test]
fn a_rejected_transfer_leaves_its_batch_alone() {
    let (_directory, bank) = with(|_| {});
    let outcomes = bank.apply(&[
        transfer(0, 1, 400),
        transfer(0, 1, 601),
        transfer(0, 99, 600),
        transfer(0, 0, 1),
        transfer(0, 2, 600),
        transfer(0, 2, 1),
        transfer(-1, 0, 1),
        transfer(2, 0, 1600),
    ]);
    let rejected = Outcome::Rejected;
    assert_eq!(
        outcomes,
        [
            Outcome::Committed,
            rejected(Rejection::InsufficientFunds),
            rejected(Rejection::AccountMissing),
            rejected(Rejection::InvalidTransfer),
            Outcome::Committed,
            rejected(Rejection::InsufficientFunds),
            rejected(Rejection::AccountMissing),
            Outcome::Committed,
        ]
    );
    assert_eq!(bank.balances(3), [1600, 1400, 0]);
    assert_eq!(bank.stats().batches, 1);
    bank.stop_cleanly();
}

/// docs/reliability-evidence.md, case 26.
#[test]
fn what_does_not_fit_the_queue_is_refused_at_once_and_never_applied() {
    let (directory, bank) = with(|config| config.queue_transfers = 5);
    let hold = bank.hold();
    assert_eq!(bank.submit(1, &[ONE; 3]).len(), 0);
    let refused = bank.submit(
        2,
        &[
            transfer(2, 3, 1),
            transfer(2, 3, 2),
            transfer(4, 5, 7),
            transfer(6, 7, 9),
        ],
    );
    let overloaded = Outcome::Failed(Failure::Overloaded);
    assert_eq!(
        refused.iter().map(|one| one.outcome).collect::<Vec<_>>(),
        [overloaded; 2]
    );
    assert_eq!(
        refused[0].transfer,
        transfer(4, 5, 7),
        "the last ones of the vector"
    );
    assert_eq!(refused[1].id.map(busload_wire::RequestId::get), Some(3));
    assert_eq!(bank.submit(3, &[transfer(8, 9, 1)])[0].outcome, overloaded);
    let before = bank.engine.stats();
    assert_eq!(
        (
            before.queue.depth,
            before.queue.peak,
            before.queue.overloaded
        ),
        (5, 5, 3)
    );
    drop(hold);
    assert_eq!(bank.outcomes(5), [Outcome::Committed; 5]);
    // There is room again.
    assert_eq!(bank.apply(&[ONE; 5]), [Outcome::Committed; 5]);
    assert_eq!(
        bank.balances(10),
        [992, 1008, 997, 1003, 1000, 1000, 1000, 1000, 1000, 1000]
    );
    let stats = bank.stats();
    assert_eq!((stats.committed, stats.applied), (10, 10));
    assert_eq!(stats.failed.get("overloaded"), Some(&3));
    assert_eq!((stats.queue.depth, stats.queue.peak), (0, 5));
    bank.stop_cleanly();
    drop(directory);
}

#[test]
fn control_calls_are_bounded_too() {
    let (_directory, bank) = with(|_| {});
    let hold = bank.hold();
    let queued = (0..10_000)
        .take_while(|_| bank.engine.control(9, None, ControlCall::Verify).is_ok())
        .count();
    assert_eq!(queued, 1024);
    let refused = bank.engine.control(9, None, ControlCall::Verify);
    assert!(matches!(refused, Err(EngineError::Overloaded)));
    assert_eq!(
        bank.submit(1, &[ONE]).len(),
        0,
        "transfers have their own bound"
    );
    drop(hold);
    assert_eq!(
        bank.outcomes(1),
        [Outcome::Committed],
        "and wait for no call that has not begun"
    );
    for _ in 0..queued {
        assert!(matches!(bank.next_mail(), Mail::Control(..)));
    }
    bank.stop_cleanly();
}

/// docs/reliability-evidence.md, case 32.
#[test]
fn what_is_queued_at_closing_is_answered_and_what_comes_later_is_refused() {
    let (directory, bank) = with(|config| config.batch_size = 2);
    let hold = bank.hold();
    assert_eq!(bank.submit(1, &[ONE; 5]).len(), 0);
    bank.engine
        .control(9, None, ControlCall::GetAccount { id: 1 })
        .unwrap();
    bank.engine.close();
    let refused = bank.submit(2, &[ONE; 2]);
    let shutting_down = Outcome::Failed(Failure::ShuttingDown);
    assert_eq!(
        refused.iter().map(|one| one.outcome).collect::<Vec<_>>(),
        [shutting_down; 2]
    );
    let late = bank.engine.control(9, None, ControlCall::Verify);
    assert!(matches!(late, Err(EngineError::ShuttingDown)));
    drop(hold);
    assert_eq!(bank.outcomes(5), [Outcome::Committed; 5]);
    assert!(matches!(bank.next_mail(), Mail::Control(_, Ok(_))));
    assert!(matches!(bank.next_mail(), Mail::Stopped));
    bank.writer.join().unwrap();
    drop(bank.engine);
    let balances = support::balances_in(&directory.path().join("ledger.sqlite"));
    assert_eq!(balances[..2], [995, 1005]);
}

#[test]
fn an_engine_that_is_dropped_still_answers_what_is_queued() {
    let (_directory, bank) = with(|_| {});
    let hold = bank.hold();
    assert_eq!(bank.submit(1, &[ONE; 5]).len(), 0);
    drop(hold);
    let Bank { engine, writer, .. } = bank;
    drop(engine);
    writer.join().unwrap();
}

/// A front end that waits for the writer must hear of its end, whatever the end was.
#[test]
fn a_writer_that_panics_refuses_what_is_queued_and_says_that_it_stopped() {
    let (directory, bank) = with(|config| config.batch_size = 1);
    let hold = bank.hold();
    assert_eq!(
        bank.submit(1, &[transfer(PANIC_ACCOUNT, 1, 1), ONE, ONE])
            .len(),
        0
    );
    bank.engine.control(9, None, ControlCall::Verify).unwrap();
    drop(hold);
    let shutting_down = Outcome::Failed(Failure::ShuttingDown);
    assert_eq!(bank.outcomes(1), [shutting_down]);
    assert_eq!(bank.outcomes(1), [shutting_down]);
    let refused = bank.next_mail();
    assert!(
        matches!(refused, Mail::Control(_, Err(EngineError::ShuttingDown))),
        "{refused:?}"
    );
    assert!(matches!(bank.next_mail(), Mail::Stopped));
    assert_eq!(bank.submit(1, &[ONE])[0].outcome, shutting_down);
    let error = bank.writer.join().unwrap_err();
    assert!(
        matches!(&error, EngineError::Writer(what) if what.contains("as the test wished")),
        "{error}"
    );
    drop(bank.engine);
    let balances = support::balances_in(&directory.path().join("ledger.sqlite"));
    assert_eq!(balances, [1000; 10]);
}

#[test]
fn a_seeding_replaces_every_account_and_the_ledger_goes_on() {
    let (_directory, bank) = with(|_| {});
    assert_eq!(bank.apply(&[ONE]), [Outcome::Committed]);
    let seed = |accounts, initial_balance| {
        bank.call(ControlCall::Seed {
            accounts,
            initial_balance,
            may_wipe: true,
        })
    };
    for (accounts, balance) in [
        (1, 5),
        (0, 5),
        (-1, 5),
        (10_000_001, 5),
        (2, -1),
        (i64::MAX, 0),
    ] {
        let error = seed(accounts, balance).unwrap_err();
        assert!(
            matches!(error, EngineError::SeedOutOfRange { .. }),
            "{error}"
        );
    }
    assert_eq!(
        bank.balances(2),
        [999, 1001],
        "a refused seeding changes nothing"
    );
    seed(3, i64::MAX).unwrap();
    assert!(matches!(bank.verify(), Err(EngineError::NothingChanged)));
    assert_eq!(bank.balance(3), None);
    assert_eq!(bank.balances(3), [i64::MAX; 3]);
    assert_eq!(
        bank.apply(&[ONE, transfer(0, 3, 1)]),
        [
            Outcome::Rejected(Rejection::BalanceOverflow),
            Outcome::Rejected(Rejection::AccountMissing)
        ]
    );
    seed(2, 5).unwrap();
    assert_eq!(bank.apply(&[transfer(1, 0, 5)]), [Outcome::Committed]);
    assert_eq!(bank.balances(2), [10, 0]);
    bank.verify().unwrap();
    bank.stop_cleanly();
}
