//! Servers that cheat where they believe that nobody looks: they are honest for the accounts that
//! they have reason to think will be checked.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use crate::common::{
    Answer, Ended, Ledger, Peer, Serving, bench_client, directory, number, row, run, verdicts,
};
use busload_frontend::Transport;
use serde_json::{Value, json};

/// Both, and the connector that speaks each.
pub(crate) const TRANSPORTS: [(Transport, &str); 2] = [
    (Transport::Http, "sqlite_rpc"),
    (Transport::Ws, "sqlite_ws_rpc"),
];

/// A short load on a peer, even over all accounts.
pub(crate) fn load(directory: &Path, peer: &Serving, connector: &str) -> Command {
    let mut command = bench_client(directory);
    command.args(["run", "--json", "--no-null-server", "--duration=0.5"]);
    command.args(["--warmup=0", "--concurrency=4", "--alpha=0"]);
    command.args(["--url", &peer.url, "--connector", connector]);
    command
}

/// Does what is right for the accounts that were asked about before the first transfer.
fn honest_for_those_read(transport: Transport, accounts: usize) -> Serving {
    let read = Mutex::new(HashSet::new());
    let peer = Peer::new(transport, accounts).answers(move |ledger, request| {
        let mut read = read.lock().expect("nobody panicked");
        let args = &request["args"];
        match request["name"].as_str() {
            Some("getAccount") if ledger.seen == 0 => {
                read.insert(args["id"].as_u64());
                ledger.answer(request)
            }
            Some("transfer") => {
                ledger.seen += 1;
                let (from, to, amount) = Ledger::parts(args);
                if read.contains(&Some(from as u64)) {
                    ledger.balances[from] -= amount;
                }
                if read.contains(&Some(to as u64)) {
                    ledger.balances[to] += amount;
                }
                Answer::of(json!({"ok": true}))
            }
            Some("verify") => Answer::ok(json!({"skipped": true})),
            _ => ledger.answer(request),
        }
    });
    peer.start()
}

#[track_caller]
fn caught(ended: &Ended) -> Value {
    let record = ended.json();
    let row = row(&record);
    assert_eq!(
        (ended.code(), &row["valid"]),
        (Some(4), &json!(false)),
        "{row:#}"
    );
    let codes = verdicts(row, true);
    assert!(codes.contains(&"ledger_mismatch".to_owned()), "{row:#}");
    assert_eq!(row["verify"]["ledger_ok"], false, "{row:#}");
    row.clone()
}

/// What was not read is known all the same: this program has seeded it.
#[test]
fn honest_for_what_was_read_before_a_seeded_load() {
    for (transport, connector) in TRANSPORTS {
        let directory = directory();
        let peer = honest_for_those_read(transport, 10);
        let mut command = load(directory.path(), &peer, connector);
        let row = caught(&run(command.args(["--reseed", "--accounts=1000"])));
        assert_eq!(
            row["verify"]["sampled_accounts"], 1000,
            "a small ledger is checked whole"
        );
        assert_eq!(row["verify"]["balances_before"], "seeded");
        assert_eq!(row["verify"]["checked_share"], 1.0);
    }
}

/// Not all could be read in the time, and all that were read had the same balance.
#[test]
fn honest_for_what_was_read_before_a_load_that_did_not_seed() {
    for (transport, connector) in TRANSPORTS {
        let directory = directory();
        let peer = honest_for_those_read(transport, 100_000);
        let mut command = load(directory.path(), &peer, connector);
        command.args(["--accounts=100000", "--verify-read-time=200ms"]);
        let row = caught(&run(command.arg("--verify-accounts=2000")));
        assert_eq!(row["verify"]["balances_before"], "read");
        assert!(number(&row["verify"]["checked_share"]) > 0.0, "{row:#}");
    }
}

/// Every credit goes to one of the accounts behind those that are the busiest.
#[test]
fn crediting_a_wrong_account() {
    for (transport, connector) in TRANSPORTS {
        let directory = directory();
        let peer = Peer::new(transport, 10).answers(|ledger, request| {
            if request["name"] != "transfer" {
                return ledger.answer(request);
            }
            let (from, to, amount) = Ledger::parts(&request["args"]);
            ledger.seen += 1;
            ledger.balances[from] -= amount;
            let accounts = ledger.balances.len();
            ledger.balances[(to + accounts / 2) % accounts] += amount;
            Answer::of(json!({"ok": true}))
        });
        let peer = peer.start();
        let mut command = load(directory.path(), &peer, connector);
        caught(&run(command.args(["--reseed", "--accounts=20000"])));
    }
}

/// Where the money that nobody finds went: to an account that was never seeded.
#[test]
fn more_or_fewer_accounts_than_were_seeded() {
    for (change, says) in [
        (1, "more accounts than the 100"),
        (
            -1,
            "1 of 100 sampled balances are wrong, account 99 first: it is gone",
        ),
    ] {
        let directory = directory();
        let peer = Peer::new(Transport::Http, 10).answers(move |ledger, request| {
            let name = request["name"].as_str();
            if name == Some("getAccount") && change < 0 {
                // When all is done, so that no transfer misses it.
                ledger.balances.truncate(99);
            }
            let answer = ledger.answer(request);
            if name == Some("seed") && change > 0 {
                ledger.balances.push(0);
            }
            answer
        });
        let peer = peer.start();
        let mut command = load(directory.path(), &peer, "sqlite_rpc");
        command.args(["--reseed", "--accounts=100"]);
        let row = caught(&run(&mut command));
        assert!(row["verdicts"].to_string().contains(says), "{row:#}");
    }
}

/// An honest server of the same kinds is believed, seeded or not.
#[test]
fn an_honest_peer_is_believed_whoever_seeded() {
    for (transport, connector) in TRANSPORTS {
        for (flags, before, whole) in [
            (["--reseed", "--accounts=1000"], "seeded", true),
            (["--reseed", "--accounts=5000"], "seeded", false),
            (["--seed=7", "--accounts=3000"], "read", false),
        ] {
            let directory = directory();
            let peer = Peer::new(transport, 3000).start();
            let mut command = load(directory.path(), &peer, connector);
            let ended = run(command.args(flags));
            ended.expect_code(0);
            let record = ended.json();
            let row = row(&record);
            let verify = &row["verify"];
            assert_eq!(verify["ledger_ok"], true, "{row:#}");
            assert_eq!(verify["conserved"], true, "{row:#}");
            assert_eq!(verify["balances_before"], before);
            assert_eq!(verify["checked_share"] == 1.0, whole, "{row:#}");
        }
    }
}
