//! What the engine asks of a ledger and makes of what it says, held with one that says what a test
//! wants.

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use busload_engine::{
    About, BalanceSum, Batch, Config, ControlCall, ControlReply, Degradation, Ended, EngineError,
    Failure, Io, IoReader, Ledger, Monitor, Outcome, Storage,
};
use busload_wire::control::{Account, Verification};
use support::{Bank, Mail, transfer};

/// What the ledger is to do, and what was asked of it.
#[derive(Default)]
struct Script {
    /// Of each batch; those that are not named are committed.
    ends: VecDeque<Ended>,
    after_write: VecDeque<Result<(), EngineError>>,
    /// The disk is full until this many looks have passed.
    full_for_looks: usize,
    calls: Vec<&'static str>,
}

#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

impl Scripted {
    fn with<T>(&self, act: impl FnOnce(&mut Script) -> T) -> T {
        act(&mut self.0.lock().expect("nobody panicked"))
    }

    fn called(&self, name: &'static str) -> usize {
        self.with(|script| script.calls.iter().filter(|call| **call == name).count())
    }

    fn start(&self) -> Bank {
        let config = Config {
            batch_size: 4,
            batch_timeout: Duration::ZERO,
            queue_transfers: 100,
            stage_timings: true,
        };
        Bank::on(&config, Box::new(self.clone())).expect("the engine starts")
    }
}

fn in_doubt() -> EngineError {
    EngineError::InDoubt(Arc::new(io::Error::other("the disk said no")))
}

impl Storage for Scripted {
    fn about(&self) -> About {
        About {
            engine: "scripted",
            version: "1".to_owned(),
            settings: BTreeMap::new(),
            durability: "none".to_owned(),
            database: "none".to_owned(),
            apply: None,
            made_here: true,
            checkpoint_bytes: None,
            id_horizon: None,
            warnings: Vec::new(),
        }
    }

    fn io(&self) -> IoReader {
        Box::new(|| Some(Io::default()))
    }

    fn with_ledger(
        &mut self,
        serve: &mut dyn FnMut(&mut dyn Ledger) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        serve(self)
    }
}

impl Ledger for Scripted {
    fn commit(&mut self, batch: &mut Batch) -> Ended {
        let ended = self.with(|script| {
            script.calls.push("commit");
            script.ends.pop_front().unwrap_or(Ended::Committed)
        });
        batch.applied();
        batch.ended();
        for one in batch.work.iter_mut().flatten() {
            one.outcome = match ended {
                Ended::Committed => Outcome::Committed,
                Ended::RolledBack(failure) => Outcome::Failed(failure),
                Ended::InDoubt(_) | Ended::Unconfirmed => Outcome::InDoubt,
            };
        }
        ended
    }

    fn account(&mut self, _: i64) -> Result<Option<Account>, EngineError> {
        Ok(None)
    }

    fn seed(&mut self, _: i64, _: i64) -> Result<(), EngineError> {
        self.with(|script| script.calls.push("seed"));
        Ok(())
    }

    fn is_just_seeded(&mut self, _: i64, _: i64) -> Result<bool, EngineError> {
        Ok(false)
    }

    fn verify(&mut self) -> Result<Verification, EngineError> {
        Err(EngineError::NothingChanged)
    }

    fn balances(&mut self) -> Result<BalanceSum, EngineError> {
        Ok(BalanceSum::default())
    }

    fn next_look(&self) -> Option<Duration> {
        Some(Duration::from_millis(1))
    }

    fn look(&mut self, is_idle: bool, monitor: &mut Monitor) -> Result<(), EngineError> {
        self.with(|script| {
            script.calls.push(if is_idle { "idle" } else { "look" });
            if script.full_for_looks > 0 && is_idle {
                script.full_for_looks -= 1;
                if script.full_for_looks == 0 {
                    monitor.over(Degradation::StorageFull);
                }
            }
        });
        Ok(())
    }

    fn after_write(&mut self, monitor: &mut Monitor) -> Result<(), EngineError> {
        self.with(|script| {
            script.calls.push("after_write");
            if script.full_for_looks > 0 {
                monitor.began(Degradation::StorageFull, || "no room".to_owned());
            }
            script.after_write.pop_front().unwrap_or(Ok(()))
        })
    }

    fn close(&mut self, _: &mut Monitor) -> Result<(), EngineError> {
        self.with(|script| script.calls.push("close"));
        Ok(())
    }
}

#[test]
fn a_batch_in_doubt_is_answered_so_and_ends_the_engine() {
    let ledger = Scripted::default();
    ledger.with(|script| script.ends.push_back(Ended::InDoubt(in_doubt())));
    let bank = ledger.start();
    let hold = bank.hold();
    assert!(bank.submit(1, &[transfer(0, 1, 1); 6]).is_empty());
    drop(hold);
    let outcomes = bank.outcomes(6);
    assert_eq!(outcomes[..4], [Outcome::InDoubt; 4]);
    let behind = Outcome::Failed(Failure::ShuttingDown);
    assert_eq!(outcomes[4..], [behind; 2], "they were never begun");
    assert!(matches!(bank.next_mail(), Mail::Stopped));
    let totals = bank.engine.totals();
    assert_eq!((totals.unknown, totals.failed["shutting_down"]), (4, 2));
    let error = bank.writer.join().expect_err("it stopped");
    assert!(error.stops_the_engine() && error.to_string().contains("the disk said no"));
    assert_eq!(ledger.called("after_write"), 0, "nothing is tried again");
    assert_eq!(ledger.called("close"), 0);
}

#[test]
fn a_full_disk_refuses_transfers_until_the_ledger_says_that_it_is_over() {
    let ledger = Scripted::default();
    ledger.with(|script| {
        let full = Ended::RolledBack(Failure::StorageFull);
        script.ends.push_back(full);
        script.full_for_looks = 50;
    });
    let bank = ledger.start();
    let full = Outcome::Failed(Failure::StorageFull);
    assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [full]);
    assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [full]);
    assert_eq!(ledger.called("commit"), 1, "the second was not begun");
    assert_eq!(bank.engine.health(), [Degradation::StorageFull]);
    while !bank.engine.health().is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
    let told = [true, false].map(|began| (Degradation::StorageFull, began));
    assert_eq!(bank.notices(), told, "of each change once");
    assert_eq!(bank.engine.totals().failed["storage_full"], 2);
    bank.stop_cleanly();
    assert_eq!(ledger.called("close"), 1);
}

#[test]
fn a_seeding_is_answered_before_what_followed_from_it_ends_the_engine() {
    let ledger = Scripted::default();
    ledger.with(|script| script.after_write.push_back(Err(in_doubt())));
    let bank = ledger.start();
    let seed = |may_wipe| ControlCall::Seed {
        accounts: 2,
        initial_balance: 1,
        may_wipe,
    };
    assert!(matches!(
        bank.call(seed(false)),
        Err(EngineError::MustNotWipe)
    ));
    assert_eq!(ledger.called("seed"), 0);
    assert!(matches!(bank.call(seed(true)), Ok(ControlReply::Seeded)));
    assert!(matches!(bank.next_mail(), Mail::Stopped));
    assert!(matches!(bank.writer.join(), Err(EngineError::InDoubt(_))));
}

#[test]
fn a_ledger_is_looked_after_when_nothing_comes() {
    let ledger = Scripted::default();
    let bank = ledger.start();
    while ledger.called("idle") < 3 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(ledger.called("commit"), 0);
    bank.stop_cleanly();
}

/// What stores the ledger is another process there: it has not lost track of it.
#[test]
fn a_batch_that_is_not_confirmed_is_in_doubt_and_the_engine_goes_on() {
    let ledger = Scripted::default();
    ledger.with(|script| script.ends.push_back(Ended::Unconfirmed));
    let bank = ledger.start();
    assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::InDoubt]);
    assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
    let totals = bank.engine.totals();
    assert_eq!(
        (totals.unknown, totals.committed, totals.batches),
        (1, 1, 1)
    );
    bank.stop_cleanly();
}

#[test]
fn one_of_several_writers_that_ends_in_doubt_ends_them_all() {
    let ledger = Scripted::default();
    ledger.with(|script| script.ends.push_back(Ended::InDoubt(in_doubt())));
    let config = Config {
        batch_size: 1,
        batch_timeout: Duration::ZERO,
        queue_transfers: 100,
        stage_timings: true,
    };
    let writers = (0..3).map(|_| -> Box<dyn Storage> { Box::new(ledger.clone()) });
    let bank = Bank::on_several(&config, writers.collect()).expect("the engine starts");
    assert!(bank.submit(1, &[transfer(0, 1, 1); 20]).is_empty());
    let outcomes = bank.outcomes(20);
    let count = |of: Outcome| outcomes.iter().filter(|one| **one == of).count();
    let behind = count(Outcome::Committed) + count(Outcome::Failed(Failure::ShuttingDown));
    assert_eq!((count(Outcome::InDoubt), behind), (1, 19), "{outcomes:?}");
    assert!(matches!(bank.next_mail(), Mail::Stopped));
    assert!(matches!(bank.writer.join(), Err(EngineError::InDoubt(_))));
}
