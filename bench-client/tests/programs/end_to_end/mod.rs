//! The main job as a user sees it: the real binary, in a directory of its own, from its
//! arguments to its exit code, its record and what it leaves behind.

mod at_url;
mod databases;
mod endings;
mod refusals;
mod results;
mod variables;

use std::path::Path;

use crate::common::{Ended, Served, bench_client, run, within};
use bench_client::config::ConnectorKind;
use bench_client::control::ControlClient;

/// A load that takes a moment and not seconds.
const SHORT: [&str; 8] = [
    "--duration=0.5",
    "--warmup=0.2",
    "--accounts=1000",
    "--concurrency=8",
    "--seed=7",
    "--amount=1",
    "--threads=1",
    "--timeout=15s",
];

fn short_run(directory: &Path, flags: &[&str]) -> Ended {
    run(bench_client(directory).arg("run").args(SHORT).args(flags))
}

/// All balances of a database that nobody has open.
fn balances(database: &Path) -> Vec<i64> {
    let connection = rusqlite::Connection::open(database).expect("it is a database");
    let mut statement = connection
        .prepare("SELECT balance FROM accounts ORDER BY id")
        .expect("it is a ledger");
    let rows = statement
        .query_map([], |row| row.get(0))
        .expect("it can be read");
    rows.collect::<Result<_, _>>()
        .expect("balances are integers")
}

fn control(served: &Served) -> ControlClient {
    if served.url().starts_with("http") {
        ControlClient::new(ConnectorKind::SqliteRpc, served.target())
    } else {
        ControlClient::new(ConnectorKind::SqliteWsRpc, served.target())
    }
}

/// Number of accounts, their sum and their digest.
fn books(served: &Served) -> (u64, String, String) {
    let stats = within(async { control(served).stats(true).await });
    let balances = stats
        .expect("an answer")
        .expect("stats")
        .balances
        .expect("balances");
    (balances.accounts, balances.total, balances.digest)
}

/// A run that cannot be: the exit code, one line that holds `says`, and no record.
#[track_caller]
fn refused(directory: &Path, variables: &[(&str, &str)], flags: &[&str], code: i32, says: &str) {
    let mut command = bench_client(directory);
    command.args(flags).envs(variables.iter().copied());
    let ended = run(&mut command);
    assert_eq!(
        ended.code(),
        Some(code),
        "{variables:?} {flags:?}: {ended:?}"
    );
    ended.expect_one_line(says);
    assert!(
        !directory.join("results").exists(),
        "{flags:?} left a record"
    );
}
