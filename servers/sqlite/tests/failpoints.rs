//! The process ends at a chosen place of the writer, and the next start decides what counts.
//! Each test runs itself again as the process that dies.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use busload_engine::{EngineError, Outcome};
use busload_sqlite::Durability;
use support::{Bank, Config, balances_in, config, transfer};

/// Set in the process that dies: the directory to work in.
const DIRECTORY_VARIABLE: &str = "BUSLOAD_FAILPOINT_DIRECTORY";
/// The batch at which it dies, counted from 1; a batch is one transfer.
const AT: i64 = 5;

fn one_by_one(directory: &Path) -> Config {
    Config {
        batch_size: 1,
        ..config(directory, Durability::WalFull)
    }
}

/// Dies at `failpoint` in batch [`AT`]; `acknowledged` were answered then, and `applied` are in
/// the ledger.
fn dies_at(failpoint: &str, name: &str, acknowledged: i64, applied: i64) {
    if let Some(directory) = std::env::var_os(DIRECTORY_VARIABLE) {
        let directory = PathBuf::from(directory);
        let bank = Bank::start(&one_by_one(&directory));
        for n in 1.. {
            assert_eq!(bank.apply(&[transfer(0, 1, 1)]), [Outcome::Committed]);
            // Whole or not at all: the process may die in the middle of this.
            std::fs::write(directory.join("new"), n.to_string()).expect("written");
            std::fs::rename(directory.join("new"), directory.join("acknowledged"))
                .expect("renamed");
        }
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let scenario = format!("{failpoint}={}*off->return", AT - 1);
    let output = Command::new(std::env::current_exe().expect("the test knows its own path"))
        .args(["--exact", name, "--nocapture"])
        .env(DIRECTORY_VARIABLE, directory.path())
        .env("FAILPOINTS", scenario)
        .stdin(Stdio::null())
        .output()
        .expect("the test runs itself");
    assert!(!output.status.success(), "it was to die");
    let told = std::fs::read_to_string(directory.path().join("acknowledged")).expect("written");
    let told: i64 = told.parse().expect("a number");
    // After the answer the other thread may or may not have got to telling.
    assert!((acknowledged - 1..=acknowledged).contains(&told), "{told}");
    let bank = Bank::start(&one_by_one(directory.path()));
    assert_eq!(bank.balance(1), Some(1000 + applied));
    bank.stop_cleanly();
    assert_eq!(
        balances_in(&directory.path().join("ledger.sqlite"))
            .iter()
            .sum::<i64>(),
        10_000
    );
}

#[test]
fn before_commit_nothing_of_the_batch_is_there() {
    let name = "before_commit_nothing_of_the_batch_is_there";
    dies_at("before-commit", name, AT - 1, AT - 1);
}

/// docs/reliability-evidence.md, case 5, as far as the engine goes: the client does not know, the
/// ledger does.
#[test]
fn case_05_after_commit_the_batch_is_there_and_nobody_was_told() {
    let name = "case_05_after_commit_the_batch_is_there_and_nobody_was_told";
    dies_at("after-commit", name, AT - 1, AT);
}

#[test]
fn after_the_answer_the_batch_is_there() {
    dies_at(
        "after-answer",
        "after_the_answer_the_batch_is_there",
        AT,
        AT,
    );
}

/// A panic of the writer is no way to an answer that is not so.
#[test]
fn a_panic_after_commit_answers_nobody_of_the_batch() {
    let scenario = fail::FailScenario::setup();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bank = Bank::start(&one_by_one(directory.path()));
    if std::env::var_os(DIRECTORY_VARIABLE).is_some() {
        return;
    }
    fail::cfg("after-commit", "2*off->panic").expect("a scenario");
    assert_eq!(bank.submit(1, &[transfer(0, 1, 1); 5]).len(), 0);
    let (answered, ended) = bank.stop();
    fail::remove("after-commit");
    scenario.teardown();
    let outcomes: Vec<Outcome> = answered
        .iter()
        .flat_map(|reply| &reply.work)
        .map(|one| one.outcome)
        .collect();
    let shutting_down = Outcome::Failed(busload_engine::Failure::ShuttingDown);
    assert_eq!(
        outcomes,
        [
            Outcome::Committed,
            Outcome::Committed,
            shutting_down,
            shutting_down
        ]
    );
    assert!(matches!(ended, Err(EngineError::Writer(_))));
    assert_eq!(
        balances_in(&directory.path().join("ledger.sqlite"))[1],
        1003
    );
}
