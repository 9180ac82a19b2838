//! Honest servers with a habit: what a run makes of each.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::common::{Peer, Serving, bench_client, count, directory, row, run, verdicts};
use crate::knowing_liars::{self, TRANSPORTS};
use busload_frontend::Transport;
use serde_json::{Value, json};

/// A short load on a peer of few accounts, which it seeds.
fn load(directory: &Path, peer: &Serving, connector: &str) -> Command {
    let mut command = knowing_liars::load(directory, peer, connector);
    command.args(["--accounts=200", "--reseed"]);
    command
}

/// The verdict with this code.
fn verdict<'a>(row: &'a Value, code: &str) -> Option<&'a Value> {
    let verdicts = row["verdicts"].as_array().expect("a row has verdicts");
    verdicts.iter().find(|verdict| verdict["code"] == code)
}

/// A tenth of the answers say that the transfer was done and that it was not; it was.
#[test]
fn an_answer_that_contradicts_itself_is_in_doubt() {
    for (transport, connector) in TRANSPORTS {
        for by_status in [true, false] {
            if by_status && transport == Transport::Ws {
                // There is no status.
                continue;
            }
            let answered = AtomicU64::new(0);
            let peer = Peer::new(transport, 200).answers(move |ledger, request| {
                let mut answer = ledger.answer(request);
                if request["name"] == "transfer" {
                    // This is no contradiction.
                    answer.body["error"] = Value::Null;
                    if answered.fetch_add(1, Ordering::Relaxed).is_multiple_of(10) {
                        if by_status {
                            answer.status = 500;
                        } else {
                            answer.body["error"] = json!("internal error");
                        }
                    }
                }
                answer
            });
            let peer = peer.start();
            let directory = directory();
            let ended = run(&mut load(directory.path(), &peer, connector));
            let record = ended.json();
            let row = row(&record);
            ended.expect_code(0);
            let (seen, unknown) = (peer.ledger().seen, count(&row["verify"]["unknown"]));
            assert_eq!(unknown, seen.div_ceil(10), "{row:#}");
            assert_eq!(row["contradictory_answers"], unknown);
            assert_eq!(row["verify"]["acknowledged"], seen - unknown);
            let message = verdict(row, "contradictory_answers").expect("it is said");
            assert!(
                message["message"]
                    .to_string()
                    .contains("contradicted themselves")
            );
        }
    }
}

/// The same of a control call: nothing is believed of it.
#[test]
fn a_control_call_that_contradicts_itself_has_failed() {
    let habits: [(Transport, &str, &str); 3] = [
        (Transport::Http, "status", "ok with the HTTP status 500"),
        (Transport::Http, "error", "ok beside the error 'x'"),
        (Transport::Ws, "error", "ok beside the error 'x'"),
    ];
    for (transport, habit, says) in habits {
        let peer = Peer::new(transport, 200).answers(move |ledger, request| {
            let mut answer = ledger.answer(request);
            if request["name"] == "seed" {
                match habit {
                    "status" => answer.status = 500,
                    _ => answer.body["error"] = json!("x"),
                }
            }
            answer
        });
        let peer = peer.start();
        let connector = match transport {
            Transport::Http => "sqlite_rpc",
            Transport::Ws => "sqlite_ws_rpc",
        };
        let directory = directory();
        let ended = run(&mut load(directory.path(), &peer, connector));
        assert!(ended.stderr.contains(says), "{ended:#?}");
        assert!(
            ended
                .stderr
                .contains("contradicts itself in its answer to seed")
        );
        assert_ne!(ended.code(), Some(0));
    }
}

/// Today's original compares with its environment, whatever was seeded.
#[test]
fn a_server_that_verifies_with_an_initial_balance_of_its_own_is_warned_of() {
    for (transport, connector) in TRANSPORTS {
        let peer = Peer::new(transport, 200).start();
        peer.ledger().verifies_with = Some(1_000_000_000);
        let directory = directory();
        let ended = run(&mut load(directory.path(), &peer, connector));
        let record = ended.json();
        let row = row(&record);
        assert_eq!(
            (ended.code(), &row["valid"]),
            (Some(0), &json!(true)),
            "{row:#}"
        );
        let warned = verdict(row, "own_verify_failed").expect("it is warned of");
        assert!(
            warned["message"]
                .to_string()
                .contains("seeded it with 10000000")
        );
        assert!(
            warned["remedy"]
                .to_string()
                .contains("SEED_INITIAL_BALANCE=10000000")
        );
        assert!(!warned["remedy"].to_string().contains("--reseed"));
        assert_eq!(
            row["verify"]["conserved"], true,
            "all balances were compared"
        );
    }
}

/// With three accounts of which each has one or none, all may have what they had.
#[test]
fn balances_that_are_back_do_not_make_a_row_invalid() {
    let directory = directory();
    let peer = Peer::new(Transport::Http, 3).start();
    let mut command = bench_client(directory.path());
    command.args([
        "run",
        "--json",
        "--no-null-server",
        "--warmup=0",
        "--alpha=0",
    ]);
    command.args([
        "--concurrency=3",
        "--accounts=3",
        "--initial-balance=1",
        "--reseed",
    ]);
    command.args([
        "--transfers=40",
        "--connector=sqlite_rpc",
        "--url",
        &peer.url,
    ]);
    let ended = run(&mut command);
    let record = ended.json();
    let row = row(&record);
    let ledger = peer.ledger();
    let back = ledger.balances.iter().all(|balance| *balance == 1);
    assert_eq!(row["verify"]["ledger_ok"], true, "{row:#}");
    let invalid = verdicts(row, true);
    assert_eq!(invalid, [""; 0], "back: {back}, {row:#}");
}

/// Sixteen at a time, not one after the other and not more.
#[test]
fn balances_are_read_many_at_a_time_and_not_too_many() {
    const HOLD: Duration = Duration::from_millis(300);
    for (transport, connector) in TRANSPORTS {
        let (asked, most) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
        let (began, peak) = (Instant::now(), Arc::clone(&most));
        // Requests that came in one third of the time for which each is held.
        let slot = AtomicU64::new(0);
        let peer = Peer::new(transport, 200)
            .answers(move |ledger, request| {
                if request["name"] == "getAccount" && ledger.seen > 0 {
                    let now = u64::try_from(began.elapsed().as_millis() / 100).expect("short");
                    if slot.swap(now, Ordering::Relaxed) != now {
                        asked.store(0, Ordering::Relaxed);
                    }
                    let count = asked.fetch_add(1, Ordering::Relaxed) + 1;
                    peak.fetch_max(count, Ordering::Relaxed);
                }
                ledger.answer(request)
            })
            .delays(|request| match request["name"].as_str() {
                Some("getAccount") => HOLD,
                _ => Duration::ZERO,
            });
        let peer = peer.start();
        let directory = directory();
        let mut command = load(directory.path(), &peer, connector);
        let ended = run(command.arg("--verify-inflight=16"));
        ended.expect_code(0);
        let most = most.load(Ordering::Relaxed);
        assert!((2..=16).contains(&most), "{most} at a time");
    }
}
