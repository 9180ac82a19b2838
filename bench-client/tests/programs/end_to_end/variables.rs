//! Environment variables, those of the original benchmark first of all.

use serde_json::json;

use crate::common::{Served, bench_client, directory, record, row, rows, run, within};
use crate::end_to_end::{balances, books, control};

/// A run of which only the record is wanted.
const BRIEF: [&str; 5] = [
    "run",
    "--duration=0.4",
    "--warmup=0",
    "--concurrency=3",
    "--json",
];

#[test]
fn the_originals_variables_are_honoured() {
    let directory = directory();
    let mut command = bench_client(directory.path());
    command.args(BRIEF).arg("--keep");
    command.envs([
        ("SQLITE_MODE", "realistic_fast"),
        ("SQLITE_FILE", "ledgers/mine.sqlite"),
        ("SQLITE_WS_RPC_BATCH_SIZE", "7"),
        ("SQLITE_WS_RPC_BATCH_MS", "0.5"),
        ("SEED_ACCOUNTS", "321"),
        ("SEED_INITIAL_BALANCE", "1000"),
        ("MAX_INFLIGHT_PER_WORKER", "3"),
    ]);
    let ended = run(&mut command);
    let record = ended.expect_code(0).json();
    let row = row(&record);
    assert_eq!(row["durability"], "wal-normal");
    assert_eq!(
        (&row["batch_size"], &row["batch_timeout_us"]),
        (&json!(7), &json!(500.0))
    );
    assert_eq!(
        (&row["accounts"], &row["max_inflight_per_worker"]),
        (&json!(321), &json!(3))
    );
    let kept = balances(&directory.path().join("ledgers/mine.sqlite"));
    assert_eq!((kept.len(), kept.iter().sum::<i64>()), (321, 321_000));
    assert!(
        !directory.path().join(".data").exists(),
        "SQLITE_FILE says where"
    );
}

#[test]
fn flags_go_before_variables() {
    let directory = directory();
    let mut command = bench_client(directory.path());
    command.args(BRIEF);
    command.args([
        "--durability=memory",
        "--batch-size=9",
        "--batch-timeout=2ms",
        "--accounts=99",
    ]);
    command.args(["--inflight=2"]);
    command.envs([
        ("SQLITE_MODE", "baseline"),
        ("SQLITE_WS_RPC_BATCH_SIZE", "7"),
        ("SQLITE_WS_RPC_BATCH_MS", "0.5"),
        ("SQLITE_WS_RPC_GROUP_COMMIT", "0"),
        ("SEED_ACCOUNTS", "321"),
        ("MAX_INFLIGHT_PER_WORKER", "3"),
    ]);
    let ended = run(&mut command);
    let record = ended.expect_code(0).json();
    let row = row(&record);
    assert_eq!(
        (&row["durability"], &row["batch_size"]),
        (&json!("memory"), &json!(9))
    );
    assert_eq!(
        (&row["batch_timeout_us"], &row["accounts"]),
        (&json!(2000.0), &json!(99))
    );
    assert_eq!(row["max_inflight_per_worker"], 2);
}

/// Every mode of the original by what SQLite reads back; group commit switched off.
#[test]
fn serve_honours_the_originals_variables() {
    let modes = [
        (
            "baseline",
            "delete-full",
            Some(("SQLITE_WS_RPC_BATCHING", "0")),
            1,
        ),
        (
            "default",
            "delete-full",
            Some(("SQLITE_WS_RPC_GROUP_COMMIT", "false")),
            1,
        ),
        (
            "realistic",
            "wal-full",
            Some(("SQLITE_WS_RPC_BATCH_SIZE", "0")),
            1_048_576,
        ),
        (
            "realistic_fast",
            "wal-normal",
            Some(("SQLITE_WS_RPC_BATCH_SIZE", "64")),
            64,
        ),
        ("realistic_cached", "wal-normal", None, 4096),
        (
            "fastest",
            "memory",
            Some(("SQLITE_WS_RPC_GROUP_COMMIT", "1")),
            4096,
        ),
        ("Wal-Full", "wal-full", None, 4096),
    ];
    for (mode, durability, further, batch) in modes {
        let directory = directory();
        let mut command = bench_client(directory.path());
        command.args(["serve", "ws"]).envs(further).envs([
            ("SQLITE_MODE", mode),
            ("SQLITE_WS_RPC_PORT", "0"),
            ("SQLITE_FILE", "named.sqlite"),
            ("SEED_ACCOUNTS", "12"),
            ("SEED_INITIAL_BALANCE", "5"),
        ]);
        let served = Served::start(&mut command);
        let line = &served.announced;
        assert!(
            line.contains(&format!("durability {durability} ")),
            "{mode}: {line}"
        );
        assert!(
            line.contains(&format!("batch size {batch},")),
            "{mode}: {line}"
        );
        assert!(
            line.contains("sqlite 3.") && line.contains("journal_mode="),
            "{line}"
        );
        let (accounts, total, _) = books(&served);
        assert_eq!((accounts, total.as_str()), (12, "60"));
        assert!(directory.path().join("named.sqlite").exists());
        assert_eq!(served.terminate(), Some(0));
    }
}

#[test]
fn the_invalid_pragma_of_the_original_is_warned_of() {
    let directory = directory();
    let mut command = bench_client(directory.path());
    command.args([
        "run",
        "--duration=0.4",
        "--warmup=0",
        "--accounts=50",
        "--concurrency=1",
    ]);
    let ended = run(command.env("SQLITE_MODE", "realistic_cached"));
    ended.expect_code(0);
    assert!(ended.stderr.starts_with("warning: ") && ended.stderr.contains("NORMAL"));
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    let record = record(directory.path());
    assert_eq!(row(&record)["durability"], "wal-normal");
}

#[test]
fn urls_come_from_the_environment_too() {
    let directory = directory();
    let http = Served::bench_client(directory.path(), "http", &["--accounts=100"]);
    let ws = Served::bench_client(directory.path(), "ws", &["--accounts=100"]);
    let mut command = bench_client(directory.path());
    command.args([
        "run",
        "--duration=0.4",
        "--warmup=0",
        "--concurrency=2",
        "--accounts=100",
    ]);
    command.args(["--connector=sqlite_rpc,sqlite_ws_rpc", "--json"]);
    // As the original's clients: the path does not matter, http stands for ws.
    let url = ws
        .url()
        .replace("ws://", "http://")
        .replace("/rpc", "/elsewhere?x=y");
    let with_secrets = http.url().replace("://", "://user:secret@") + "?key=secret";
    command.envs([("SQLITE_RPC_URL", with_secrets), ("SQLITE_WS_RPC_URL", url)]);
    let ended = run(&mut command);
    let record = ended.expect_code(0).json();
    assert!(!ended.stdout.contains("secret"), "{}", ended.stdout);
    for (row, served, name) in [
        (&rows(&record)[0], &http, "sqlite-rpc-server 0.1.0"),
        (&rows(&record)[1], &ws, "sqlite-ws-rpc-server 0.1.0"),
    ] {
        assert_eq!(
            row["server_url"],
            format!("{}/rpc", served.url().trim_end_matches("/rpc"))
        );
        assert_eq!(row["server_name"], name);
    }
    assert_eq!(rows(&record).len(), 2);
    for (row, served) in rows(&record).iter().zip([&http, &ws]) {
        assert!(
            row["target"]["server"].is_null(),
            "no server of our own was started"
        );
        let stats = within(async { control(served).stats(false).await });
        let committed = stats.expect("an answer").expect("stats").committed;
        assert_eq!(row["verify"]["acknowledged"], committed);
    }
}
