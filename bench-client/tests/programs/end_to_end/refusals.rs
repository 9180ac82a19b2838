//! Flags and variables that cannot be.

use std::net::TcpListener;

use crate::common::directory;
use crate::end_to_end::refused;

/// Arguments that cannot be, and a word that the one line must hold.
const REFUSED: &[(&[&str], &str)] = &[
    (&["run", "--connector=mysql"], "sqlite_ws_rpc"),
    (&["run", "--connector="], "--connector"),
    (
        &["run", "--connector=sqlite_rpc,,sqlite_ws_rpc"],
        "--connector",
    ),
    (&["run", "--batch-size=0"], "--batch-size"),
    (&["run", "--batch-size=1,0"], "--batch-size"),
    (&["run", "--batch-size=1048577"], "--batch-size"),
    (&["run", "--batch-timeout=2"], "unit"),
    (&["run", "--batch-timeout=-1ms"], "--batch-timeout"),
    (&["run", "--batch-timeout=61s"], "60s"),
    (&["run", "--alpha=-1"], "--alpha"),
    (&["run", "--alpha=NaN"], "--alpha"),
    (&["run", "--alpha=inf"], "--alpha"),
    (&["run", "--alpha=1.5,x"], "--alpha"),
    (&["run", "--accounts=1"], "--accounts"),
    (&["run", "--accounts=10000001"], "--accounts"),
    (&["run", "--concurrency=0"], "--concurrency"),
    (&["run", "--inflight=0"], "--inflight"),
    (&["run", "--inflight=16385"], "--inflight"),
    (&["run", "--duration=0"], "--duration"),
    (&["run", "--duration=-3"], "--duration"),
    (&["run", "--duration=NaN"], "--duration"),
    (&["run", "--duration=1e99"], "--duration"),
    (&["run", "--warmup=-1"], "--warmup"),
    (&["run", "--transfers=0"], "--transfers"),
    (&["run", "--transfers=5", "--duration=5"], "--duration"),
    (&["run", "--amount=0"], "--amount"),
    (&["run", "--amount=-1"], "--amount"),
    (&["run", "--amount=9223372036854775808"], "--amount"),
    (&["run", "--initial-balance=-1"], "--initial-balance"),
    (
        &["run", "--initial-balance=9223372036854775807"],
        "--initial-balance",
    ),
    (&["run", "--threads=0"], "--threads"),
    (&["run", "--seed=-1"], "--seed"),
    (&["run", "--timeout=0s"], "--timeout"),
    (&["run", "--durability=hopeful"], "wal-full"),
    (&["run", "--queue=0"], "--queue"),
    (
        &[
            "run",
            "--connector=sqlite_rpc",
            "--url=wss://localhost:4107",
        ],
        "--url wss://… is for --connector sqlite_ws_rpc, and sqlite_rpc speaks http",
    ),
    (
        &[
            "run",
            "--connector=sqlite_ws_rpc",
            "--url=http://localhost:4103",
        ],
        "--url http://… is for --connector sqlite_rpc, and sqlite_ws_rpc speaks ws",
    ),
    (&["run", "--encoding=xml"], "--encoding"),
    (
        &["run", "--encoding=binary", "--connector=sqlite_rpc"],
        "sqlite_ws_rpc",
    ),
    (
        &[
            "run",
            "--encoding=binary",
            "--connector=sqlite_ws_rpc,sqlite_rpc",
        ],
        "sqlite_ws_rpc",
    ),
    (
        &[
            "run",
            "--concurrency=50000",
            "--connector=sqlite_rpc",
            "--inflight=16384",
        ],
        "ulimit",
    ),
    (
        &[
            "run",
            "--url=ws://127.0.0.1:1",
            "--connector=sqlite_rpc,sqlite_ws_rpc",
        ],
        "--url",
    ),
    (
        &["run", "--url=ws://127.0.0.1:1", "--durability=memory"],
        "--durability",
    ),
    (
        &["run", "--url=ws://127.0.0.1:1", "--batch-size=5"],
        "--batch-size",
    ),
    (&["run", "--url=ftp://127.0.0.1:1"], "ftp"),
    (
        &["run", "--url=ws://127.0.0.1:1", "--ca=no/such"],
        "no/such",
    ),
    (&["run", "--token-file=no/such"], "--url"),
    (
        &["run", "--url=ws://127.0.0.1:1", "--token-file=no/such"],
        "no/such",
    ),
    (
        &["serve", "ws", "--port=0", "--token-file=no/such"],
        "no/such",
    ),
    (
        &["serve", "http", "--port=0", "--tls-cert=no/such"],
        "--tls-key",
    ),
    (&["run", "--url=nonsense"], "nonsense"),
    (&["run", "--url="], "URL"),
    (&["run", "--reseed"], "--url"),
    (&["run", "--data-dir=file/below"], "--data-dir"),
    (&["run", "--data-dir=file"], "file"),
    (&["run", "--data-dir=/proc"], "/proc"),
    (&["run", "--frobnicate"], "--frobnicate"),
    (&["run", "surplus"], "surplus"),
    (&["run", "--duratoin=3"], "--duration"),
    (&["frobnicate"], "frobnicate"),
    (&["serve", "smtp"], "smtp"),
    (&["serve", "ws", "--port=70000"], "--port"),
    (&["serve", "ws", "--listen=nowhere"], "such as 127.0.0.1"),
    // Negative values are values, and refused as such: by what they may be.
    (
        &["serve", "ws", "--port", "-1"],
        "'--port <PORT>': -1 is not in",
    ),
    (
        &["serve", "http", "--batch-timeout", "-1ms"],
        "'--batch-timeout <TIME>': write a duration that is not negative",
    ),
    (
        &["run", "--seed", "-1"],
        "'--seed <N>': write a whole number from 0",
    ),
    (
        &["run", "--alpha", "-1"],
        "'--alpha <ALPHA>': write a number from 0",
    ),
    (
        &["torture", "--kills", "-1"],
        "'--kills <N>': write a whole number from 1 to 1,000,000",
    ),
    (
        &["serve", "ws", "--port=0", "--batch-size=0"],
        "--batch-size",
    ),
    (
        &["serve", "ws", "--port=0", "--database=file/below/a.sqlite"],
        "cannot create the directory file/below",
    ),
    (&["serve", "http", "--port=0", "--database=."], "directory"),
    (&["serve", "http", "--port=0", "--data-dir=file"], "file"),
    (&["fsync", "--count=0"], "--count"),
    (&["fsync", "--data-dir=file/below"], "--data-dir"),
];

#[test]
fn what_cannot_be_is_said_in_one_line() {
    let directory = directory();
    let here = directory.path();
    std::fs::write(here.join("file"), "x").expect("it can be written");
    for (flags, says) in REFUSED {
        refused(here, &[], flags, 2, says);
    }
}

#[test]
fn variables_are_refused_by_their_own_names() {
    let directory = directory();
    let here = directory.path();
    for (variable, value) in [
        ("SQLITE_MODE", "nonsense"),
        ("SQLITE_MODE", ""),
        ("SEED_ACCOUNTS", "1"),
        ("SEED_ACCOUNTS", "many"),
        ("SEED_INITIAL_BALANCE", "-1"),
        ("MAX_INFLIGHT_PER_WORKER", "-1"),
        ("MAX_INFLIGHT_PER_WORKER", "16385"),
        ("SQLITE_WS_RPC_BATCH_SIZE", "x"),
        ("SQLITE_WS_RPC_BATCH_MS", "-1"),
        ("SQLITE_WS_RPC_BATCH_MS", "NaN"),
        ("SQLITE_WS_RPC_BATCHING", "perhaps"),
        ("SQLITE_WS_RPC_GROUP_COMMIT", "2"),
    ] {
        refused(here, &[(variable, value)], &["run"], 2, variable);
        if variable != "MAX_INFLIGHT_PER_WORKER" {
            refused(
                here,
                &[(variable, value)],
                &["serve", "ws", "--port=0"],
                2,
                variable,
            );
        }
    }
    refused(
        here,
        &[("SQLITE_WS_RPC_URL", "gopher://x")],
        &["run"],
        2,
        "gopher",
    );
    refused(
        here,
        &[("SQLITE_RPC_PORT", "x")],
        &["serve", "http"],
        2,
        "SQLITE_RPC_PORT",
    );
    refused(
        here,
        &[("SQLITE_WS_RPC_PORT", "70000")],
        &["serve", "ws"],
        2,
        "SQLITE_WS_RPC_PORT",
    );
    // What a person wrote goes before what was inherited, also in the blame.
    refused(
        here,
        &[("SEED_ACCOUNTS", "7")],
        &["run", "--accounts=0"],
        2,
        "--accounts",
    );
}

#[test]
fn a_port_in_use_is_refused() {
    let directory = directory();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    for transport in ["http", "ws"] {
        refused(
            directory.path(),
            &[],
            &["serve", transport, "--port", &port],
            2,
            "--port",
        );
    }
    assert!(
        !directory.path().join(".data/busload-ws.sqlite").exists(),
        "and nothing is seeded"
    );
}
