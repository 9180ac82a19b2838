//! Other people's files, files that a person named, and files that are in use.

use crate::common::{Served, bench_client, directory, run};
use crate::end_to_end::{balances, books, refused};

#[test]
fn a_file_of_somebody_elses_is_left_alone() {
    let directory = directory();
    let here = directory.path();
    std::fs::write(here.join("text.sqlite"), "Dear diary, ".repeat(1000)).expect("written");
    let connection = rusqlite::Connection::open(here.join("other.sqlite")).expect("made");
    connection
        .execute_batch("CREATE TABLE cats(name TEXT); INSERT INTO cats VALUES ('Tom')")
        .expect("sql");
    let narrow = rusqlite::Connection::open(here.join("narrow.sqlite")).expect("made");
    narrow
        .execute_batch("CREATE TABLE accounts(iban TEXT, euros REAL)")
        .expect("sql");
    drop((connection, narrow));
    for file in ["text.sqlite", "other.sqlite", "narrow.sqlite"] {
        let before = std::fs::read(here.join(file)).expect("it can be read");
        refused(
            here,
            &[("SQLITE_FILE", file)],
            &["run", "--duration=0.4", "--warmup=0"],
            2,
            file,
        );
        refused(
            here,
            &[("SQLITE_FILE", file)],
            &["serve", "ws", "--port=0"],
            2,
            file,
        );
        let fresh = ["serve", "http", "--port=0", "--reseed", "--database", file];
        refused(here, &[], &fresh, 2, file);
        let after = std::fs::read(here.join(file)).expect("it is still there");
        assert!(before == after, "{file} was changed");
    }
}

/// A file that a person named is that person's: wiped when told to, never removed.
#[test]
fn a_named_database_is_wiped_only_when_asked_and_never_removed() {
    let directory = directory();
    let file = directory.path().join("mine.sqlite");
    let named = [("SQLITE_FILE", "mine.sqlite")];
    let base = [
        "run",
        "--duration=0.4",
        "--warmup=0",
        "--concurrency=2",
        "--accounts=50",
        "--seed=1",
        "--initial-balance=1000",
    ];
    let client = |flags: &[&str]| {
        run(bench_client(directory.path())
            .envs(named)
            .args(base)
            .args(flags))
    };
    client(&[]).expect_code(0);
    let first = balances(&file);
    assert_eq!((first.len(), first.iter().sum::<i64>()), (50, 50_000));
    let ended = client(&[]);
    ended.expect_code(2);
    ended.expect_one_line("--reseed");
    assert_eq!(balances(&file), first, "and it is as it was");
    client(&["--reseed", "--durability=wal-normal"]).expect_code(0);
    let second = balances(&file);
    assert_eq!((second.len(), second.iter().sum::<i64>()), (50, 50_000));

    // Somebody else's file is not even wiped when asked.
    let other = directory.path().join("other.sqlite");
    let connection = rusqlite::Connection::open(&other).expect("made");
    connection
        .execute_batch("CREATE TABLE cats(name TEXT)")
        .expect("sql");
    drop(connection);
    let before = std::fs::read(&other).expect("it can be read");
    let mut command = bench_client(directory.path());
    let ended = run(command
        .env("SQLITE_FILE", "other.sqlite")
        .args(base)
        .arg("--reseed"));
    ended.expect_code(2);
    ended.expect_one_line("");
    assert!(std::fs::read(&other).expect("it is still there") == before);
}

#[test]
fn a_database_that_a_server_has_open_is_refused() {
    for (transport, connector) in [("http", "sqlite_rpc"), ("ws", "sqlite_ws_rpc")] {
        let directory = directory();
        let here = directory.path();
        let mut served = Served::bench_client(here, transport, &["--accounts=100"]);
        let before = books(&served);
        let connector = format!("--connector={connector}");
        refused(
            here,
            &[],
            &["run", "--accounts=100", &connector],
            2,
            "another server",
        );
        refused(
            here,
            &[],
            &["serve", transport, "--port=0"],
            2,
            "another server",
        );
        assert!(served.is_alive());
        assert_eq!(books(&served), before, "and it has its database still");
        assert_eq!(served.terminate(), Some(0));
        // The lock goes with the server, however it went.
        let served = Served::bench_client(here, transport, &[]);
        served.kill();
        let served = Served::bench_client(here, transport, &[]);
        assert_eq!(books(&served), before);
    }
}
