//! Calls that are not transfers: what one connection may ask of the writer, and that the
//! transfers of others do not wait for it.

#![cfg(target_os = "linux")]

mod support;

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use support::{
    FIN, INITIAL_BALANCE, Server, TEXT, ask, frame, read_answer, socket, transfer_between,
};

/// Calls that one connection has sent and that are not answered.
const WINDOW: u64 = 300;
const TRANSFERS: u64 = 10;
/// Beyond it the transfers are taken for stuck, and the flood ends.
const TOO_MANY: u64 = 2 * TRANSFERS * WINDOW;

/// Each answer is followed by another call, so that the window stays full. A transfer that is
/// queued behind the window waits for all of it; one that is not waits for one call or two, and
/// what is left of the bound is for the client's way to its next transfer.
#[test]
fn transfers_do_not_wait_for_the_calls_of_another_connection() {
    for call in [
        r#""stats","args":{"balances":true,"histograms":false}"#,
        r#""verify""#,
    ] {
        let server = Server::ws();
        let mut payer = socket(&server);
        // So large that reading all balances takes longer than a transfer's way to the server.
        let seed = br#"{"id":1,"name":"seed","args":{"accounts":20000,"initialBalance":10000000}}"#;
        assert_eq!(ask(&mut payer, seed)["ok"], true);
        assert_eq!(
            ask(&mut payer, transfer_between(1, 1, 0).as_bytes())["ok"],
            true
        );
        let mut caller = socket(&server);
        let request = format!("{{\"id\":1,\"name\":{call}}}");
        let request = frame(FIN | TEXT, request.as_bytes());
        let window = request.repeat(usize::try_from(WINDOW).expect("small"));
        caller.write_all(&window).expect("it reads");
        let answered = AtomicU64::new(0);
        thread::scope(|scope| {
            let flood = scope.spawn(|| {
                while answered.fetch_add(1, Ordering::SeqCst) < TOO_MANY {
                    assert_eq!(read_answer(&mut caller)["ok"], true);
                    caller.write_all(&request).expect("it reads");
                }
            });
            for id in 0..TRANSFERS {
                let one = transfer_between(id, 1, 0);
                assert_eq!(ask(&mut payer, one.as_bytes())["ok"], true);
            }
            // Ends the flood.
            let calls = answered.fetch_add(TOO_MANY, Ordering::SeqCst);
            flood.join().expect("every call is answered");
            let bound = TRANSFERS * WINDOW / 2;
            assert!(
                calls < bound,
                "{call}: {calls} calls before {TRANSFERS} transfers"
            );
        });
    }
}

/// On one connection a call sees what was sent before it, and nothing that was sent after it.
#[test]
fn on_one_connection_calls_and_transfers_keep_their_order() {
    const ROUNDS: i64 = 100;
    let server = Server::ws();
    let mut stream = socket(&server);
    let mut all = Vec::new();
    for round in 0..ROUNDS.unsigned_abs() {
        let account = format!(
            "{{\"id\":{},\"name\":\"getAccount\",\"args\":{{\"id\":0}}}}",
            1000 + round
        );
        all.extend(frame(FIN | TEXT, transfer_between(round, 1, 0).as_bytes()));
        all.extend(frame(FIN | TEXT, account.as_bytes()));
    }
    stream.write_all(&all).expect("it reads");
    let mut seen = Vec::new();
    for _ in 0..2 * ROUNDS {
        let answer = read_answer(&mut stream);
        assert_eq!(answer["ok"], true, "{answer}");
        if let Some(balance) = answer["result"]["balance"].as_str() {
            seen.push(balance.parse::<i64>().expect("a number") - INITIAL_BALANCE);
        }
    }
    assert!(seen.into_iter().eq(1..=ROUNDS));
}
