//! A server that closes keep-alive connections while they are idle, as Node's does after 5 s.

mod common;

use std::time::Duration;

use busload_frontend::Transport;
use common::{Peer, bench_client, count, directory, record, row, run};

/// Slower than the server's patience: every transfer finds its connection closed.
#[test]
fn a_connection_that_was_closed_while_idle_costs_no_transfer() {
    let peer = Peer::new(Transport::Http, 100).closes_idle(Duration::from_millis(50));
    let peer = peer.start();
    let directory = directory();
    let ended = run(bench_client(directory.path()).args([
        "run",
        "--connector=sqlite_rpc",
        &format!("--url={}", peer.url),
        "--accounts=100",
        "--rate=5",
        "--concurrency=1",
        "--inflight=1",
        "--warmup=0.4",
        "--duration=2",
    ]));
    ended.expect_code(0);
    let record = record(directory.path());
    let row = row(&record);
    let committed = count(&row["committed"]);
    assert!(committed >= 5, "{row:#}");
    assert_eq!(
        (count(&row["failed"]), count(&row["unknown"])),
        (0, 0),
        "{row:#}"
    );
    // Those of the warm-up as well.
    assert!(count(&row["idle_reconnects"]) >= committed, "{row:#}");
    assert_eq!(row["reconnects"], 0);
    let ledger = peer.ledger();
    assert_eq!(ledger.seen, ledger.applied, "none came twice");
    assert!(ledger.applied >= committed);
}
