//! Exactly once from end to end: a transfer whose answer was lost is sent again with the same
//! id, and is applied once (docs/reliability-evidence.md, cases 5 and 7).

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bench_client::config::ConnectorKind;
use bench_client::config::Encoding;
use bench_client::config::{Measure, Resolve};
use bench_client::connector::{
    Connector, Endpoint, HttpConnector, MockAnswer, MockConnector, Outcome, Reason, Reply,
    Session as _, WorkerId, WsConnector,
};
use bench_client::control::ControlClient;
use bench_client::load::LoadPlan;
use busload_wire::control::TransferIds;
use busload_wire::{RequestId, Transfer, TransferId};
use common::{
    PATIENCE, Running, Served, bench_client, can_trace, count, directory, load, row, run, verdicts,
    within,
};
use serde_json::Value;

const MS: Duration = Duration::from_millis(1);
const INITIAL: i64 = 1000;

// The load loop, on servers in memory.

fn plan() -> LoadPlan {
    LoadPlan {
        measure: Measure::Transfers(400),
        exactly_once: Some(Resolve {
            timeout: Duration::from_secs(20),
            tries: 50,
        }),
        ..common::small_load()
    }
}

/// What came, by its id: the transfer, how many others had come before it, how often it came.
type Seen = Arc<Mutex<HashMap<u128, (Transfer, u64, u32)>>>;

/// A server that knows ids: `script` is told the number of a transfer, which it keeps when it
/// comes again, and how often it has come.
fn remembering(
    script: impl Fn(u64, u32) -> MockAnswer + Send + Sync + 'static,
) -> (MockConnector, Seen) {
    let seen = Seen::default();
    let known = Arc::clone(&seen);
    let connector = MockConnector::new(Arc::new(move |_, transfer: &Transfer| {
        let id = transfer.transfer_id.expect("every transfer has an id");
        let mut known = known.lock().expect("nobody panics");
        let others = known.len() as u64;
        let (first, number, times) = known.entry(id.to_u128()).or_insert((*transfer, others, 0));
        assert_eq!(first, transfer, "the same id, the same transfer");
        *times += 1;
        script(*number, *times)
    }));
    (connector, seen)
}

/// Of a server that may say nothing.
fn impatient() -> LoadPlan {
    LoadPlan {
        op_timeout: 60 * MS,
        ..plan()
    }
}

const COMMITTED: MockAnswer = MockAnswer::After(MS, Outcome::Committed);

#[test]
fn whatever_hides_an_outcome_it_is_found_out() {
    let unknown = MockAnswer::After(MS, Outcome::Unknown);
    for hidden in [MockAnswer::Silence, MockAnswer::Disconnect, unknown] {
        let (connector, seen) = remembering(move |number, times| match (number % 40, times) {
            (7, 1) => hidden,
            _ => COMMITTED,
        });
        let result = load(connector, impatient());
        let counts = result.whole_run();
        assert_eq!(counts.unknown, 0, "{hidden:?}");
        assert_eq!(counts.total(), counts.committed, "{hidden:?}");
        assert!(result.resolved >= 10, "{hidden:?}: {}", result.resolved);
        assert!(result.sent_again >= result.resolved);
        let seen = seen.lock().expect("nobody panics");
        assert_eq!(seen.len() as u64, counts.committed, "an id for each");
        let repeated: u32 = seen.values().map(|(_, _, times)| times - 1).sum();
        assert_eq!(u64::from(repeated), result.sent_again);
    }
}

/// Whoever waits for a lost answer waits since the beginning.
#[test]
fn latency_counts_from_the_first_submission() {
    let (connector, _) = remembering(|number, times| match (number, times) {
        (0..=3, 1) => MockAnswer::Silence,
        (_, 2) => MockAnswer::After(30 * MS, Outcome::Committed),
        _ => COMMITTED,
    });
    let result = load(connector, impatient());
    assert!(result.resolved >= 4, "{}", result.resolved);
    let slow = 90_000_000;
    let late = result.window.latency.ns.count_between(slow, u64::MAX);
    assert!(late >= 4, "{late}");
    let counts = result.window.counts;
    let service = result.window.service_sum_ns;
    assert!(service >= u128::from(4 * slow), "{counts:?}: {service}");
}

/// A refusal of the repetition says nothing about the first time.
#[test]
fn a_refused_repetition_is_sent_again() {
    let refusals = [
        Outcome::Failed(Some(Reason::Overloaded)),
        Outcome::Failed(Some(Reason::StorageFull)),
        Outcome::Rejected(Reason::InvalidRequest),
    ];
    let (connector, _) = remembering(move |number, times| match (number % 50, times) {
        (7, 1) => MockAnswer::After(MS, Outcome::Unknown),
        (_, 2..=4) => MockAnswer::After(MS, refusals[times as usize - 2]),
        _ => COMMITTED,
    });
    let result = load(connector, plan());
    let counts = result.whole_run();
    assert_eq!(counts.total(), counts.committed);
    assert!(result.resolved >= 7);
    assert_eq!(result.sent_again, 4 * result.resolved);
}

/// A first answer is an answer: only what is unknown is sent again.
#[test]
fn a_first_refusal_is_final() {
    let refused = Outcome::Failed(Some(Reason::Overloaded));
    let (connector, seen) = remembering(move |_, times| {
        assert_eq!(times, 1);
        MockAnswer::After(MS, refused)
    });
    let result = load(connector, plan());
    assert_eq!(result.whole_run().failed()["overloaded"], 400);
    assert_eq!((result.resolved, result.sent_again), (0, 0));
    assert_eq!(seen.lock().expect("nobody panics").len(), 400);
}

#[test]
fn following_a_transfer_ends_with_the_tries_or_the_time() {
    let never = |_, _| MockAnswer::After(MS, Outcome::Unknown);
    let bounded = |timeout, tries| LoadPlan {
        measure: Measure::Transfers(24),
        exactly_once: Some(Resolve { timeout, tries }),
        ..plan()
    };
    let few = load(remembering(never).0, bounded(PATIENCE, 2));
    assert_eq!((few.whole_run().unknown, few.resolved), (24, 0));
    assert_eq!(few.sent_again, 48);
    let short = load(remembering(never).0, bounded(100 * MS, 1000));
    assert_eq!((short.whole_run().unknown, short.resolved), (24, 0));
    assert!(
        (24..24 * 20).contains(&short.sent_again),
        "{}",
        short.sent_again
    );
}

#[test]
fn without_exactly_once_there_are_no_ids_and_no_repetitions() {
    let connector = MockConnector::new(Arc::new(|number, transfer: &Transfer| {
        assert_eq!(transfer.transfer_id, None);
        match number {
            7 => MockAnswer::After(MS, Outcome::Unknown),
            _ => COMMITTED,
        }
    }));
    let plan = LoadPlan {
        exactly_once: None,
        ..plan()
    };
    let result = load(connector, plan);
    assert_eq!(result.whole_run().unknown, 1);
    assert_eq!((result.resolved, result.sent_again), (0, 0));
}

// Real servers, killed.

fn transfer(id: u128, amount: i64) -> Transfer {
    Transfer {
        from: 0,
        to: 1,
        amount,
        transfer_id: Some(TransferId::from_u128(id)),
    }
}

fn request(id: u64) -> RequestId {
    RequestId::new(id).expect("it is small")
}

/// Sends transfers one after another; `None` for one with which the session broke.
async fn send<C: Connector>(connector: C, transfers: &[Transfer]) -> Vec<Option<Outcome>> {
    let mut session = connector.connect(WorkerId(0)).await.expect("a session");
    let mut outcomes = Vec::new();
    for (number, transfer) in (1..).zip(transfers) {
        let sent = session.submit(request(number), *transfer);
        sent.expect("the session is open");
        let mut replies = Vec::new();
        let answered = session.replies(&mut replies).await;
        let outcome = replies.first().map(|Reply { outcome, .. }| *outcome);
        assert!(outcome.is_some() || answered.is_err());
        outcomes.push(outcome);
    }
    outcomes
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Http,
    Json,
    Binary,
}

impl Way {
    const ALL: [Self; 3] = [Self::Http, Self::Json, Self::Binary];

    fn transport(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Json | Self::Binary => "ws",
        }
    }

    /// Which of the server's messages is the first answer to a transfer: on a WebSocket the
    /// handshake comes before it.
    fn first_answer(self) -> u32 {
        match self {
            Self::Http => 1,
            Self::Json | Self::Binary => 2,
        }
    }

    fn send(self, target: Endpoint, transfers: &[Transfer]) -> Vec<Option<Outcome>> {
        match self {
            Self::Http => within(send(HttpConnector::new(target), transfers)),
            Self::Json => within(send(WsConnector::new(target, Encoding::Json), transfers)),
            Self::Binary => within(send(WsConnector::new(target, Encoding::Binary), transfers)),
        }
    }

    fn control(self, target: Endpoint) -> ControlClient {
        match self {
            Self::Http => ControlClient::new(ConnectorKind::SqliteRpc, target),
            Self::Json | Self::Binary => ControlClient::new(ConnectorKind::SqliteWsRpc, target),
        }
    }
}

const LEDGER: [&str; 3] = [
    "--database=a.sqlite",
    "--accounts=10",
    "--initial-balance=1000",
];

/// A server that dies in the place of writing its first answer to a transfer.
fn dies_before_its_answer(directory: &Path, way: Way) -> Served {
    let fault = format!(
        "inject=sendto:error=EPIPE:signal=SIGKILL:when={}",
        way.first_answer()
    );
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o", "trace", "-e", "trace=sendto"])
        .args(["-e", &fault, "--", env!("CARGO_BIN_EXE_bench-client")])
        .args(["serve", way.transport(), "--port=0", "--until-stdin-ends"])
        .args(LEDGER)
        .current_dir(directory)
        // Ends with the test, whatever becomes of strace.
        .stdin(Stdio::piped());
    Served::start(&mut command)
}

/// The balances of the two accounts, and what is remembered of ids.
async fn books(mut control: ControlClient) -> ([i64; 2], Option<TransferIds>) {
    let info = control.info().await.expect("an answer").expect("info");
    assert_eq!(info.exactly_once, Some(true));
    assert_eq!(info.id_horizon_seconds, Some(600.0));
    let mut balances = [0; 2];
    for (account, balance) in (0..).zip(&mut balances) {
        let answer = control.balance(account).await.expect("an answer");
        *balance = answer.expect("the account is there");
    }
    let stats = control.totals().await.expect("an answer");
    (balances, stats.expect("stats").transfer_ids)
}

/// docs/reliability-evidence.md, case 5.
#[test]
fn a_server_that_dies_after_the_commit_and_before_the_answer() {
    if !can_trace("a_server_that_dies_after_the_commit_and_before_the_answer") {
        return;
    }
    for (way, next_way) in Way::ALL.into_iter().zip(Way::ALL.into_iter().rev()) {
        let directory = directory();
        let dying = dies_before_its_answer(directory.path(), way);
        let lost = way.send(dying.target(), &[transfer(7, 5)]);
        assert!(
            matches!(lost[..], [None | Some(Outcome::Unknown)]),
            "{way:?}: {lost:?}"
        );
        dying.kill();
        let trace = std::fs::read_to_string(directory.path().join("trace"));
        let trace = trace.expect("strace wrote its trace");
        assert!(trace.contains("killed by SIGKILL"), "{way:?}: {trace}");

        // The ids are the database's, whatever the server speaks.
        let served = Served::bench_client(directory.path(), next_way.transport(), &LEDGER);
        let look = || within(books(next_way.control(served.target())));
        let ids = |repeated, conflicts| {
            Some(TransferIds {
                remembered: 1,
                repeated,
                conflicts,
            })
        };
        let moved = [INITIAL - 5, INITIAL + 5];
        assert_eq!(look(), (moved, ids(0, 0)), "{way:?}");
        let again = [transfer(7, 5), transfer(7, 6), transfer(7, 5)];
        let outcomes = next_way.send(served.target(), &again);
        let conflict = Outcome::Rejected(Reason::Conflict);
        assert_eq!(
            outcomes,
            [Outcome::Committed, conflict, Outcome::Committed].map(Some),
            "{way:?}, then {next_way:?}"
        );
        assert_eq!(look(), (moved, ids(2, 1)), "{way:?}");
        assert_eq!(served.terminate(), Some(0));
    }
}

/// docs/reliability-evidence.md, case 7: many connections at once, and after a kill.
#[test]
fn the_same_ids_from_many_connections_at_once() {
    let directory = directory();
    let transfers: Vec<_> = (0..40).map(|n| transfer(n % 10, 1)).collect();
    let served = Served::bench_client(directory.path(), "ws", &LEDGER);
    within(async {
        let sessions = (0..8).map(|number| {
            let encoding = [Encoding::Json, Encoding::Binary][number % 2];
            send(WsConnector::new(served.target(), encoding), &transfers)
        });
        for outcomes in futures_util::future::join_all(sessions).await {
            assert_eq!(outcomes, [Some(Outcome::Committed); 40]);
        }
    });
    served.kill();
    let served = Served::bench_client(directory.path(), "http", &LEDGER);
    let outcomes = Way::Http.send(served.target(), &transfers);
    assert_eq!(outcomes, [Some(Outcome::Committed); 40]);
    let (balances, ids) = within(books(Way::Http.control(served.target())));
    assert_eq!(balances, [INITIAL - 10, INITIAL + 10], "ten ids");
    assert_eq!(ids.map(|ids| ids.repeated), Some(40));
    assert_eq!(served.terminate(), Some(0));
}

// The command.

/// A short run at a URL.
fn run_at(directory: &Path, url: &str, connector: &str, flags: &[&str]) -> Command {
    let mut command = bench_client(directory);
    command
        .args(["run", "--json", "--exactly-once", "--no-null-server"])
        .args(["--connector", connector, "--url", url])
        .args(["--accounts=200", "--warmup=0", "--concurrency=8"])
        .args(flags);
    command
}

fn once(record: &Value) -> &Value {
    &row(record)["exactly_once"]
}

/// Whether transfers are committed, or are soon.
fn is_under_load(way: Way, target: Endpoint) -> bool {
    within(async {
        let mut control = way.control(target);
        for _ in 0..500 {
            let stats = control.totals().await.expect("an answer");
            if stats.expect("stats").committed > 0 {
                return true;
            }
            tokio::time::sleep(10 * MS).await;
        }
        false
    })
}

#[test]
fn a_run_resolves_all_unknowns_of_a_server_that_is_killed_again_and_again() {
    for (way, connector, encoding) in [
        (Way::Binary, "sqlite_ws_rpc", "binary"),
        (Way::Http, "sqlite_rpc", "json"),
    ] {
        let transport = way.transport();
        let directory = directory();
        let ledger = ["--database=a.sqlite", "--accounts=200"];
        let mut served = Served::bench_client(directory.path(), transport, &ledger);
        let url = served.url();
        let port = url.rsplit(':').next().and_then(|it| it.split('/').next());
        let port = format!("--port={}", port.expect("a URL with a port"));
        let encoding = format!("--encoding={encoding}");
        let flags = ["--duration=3", &encoding];
        let client = Running::start(&mut run_at(directory.path(), &url, connector, &flags));
        let mut kills = 0;
        // A slow machine may be at the end of the window before the last of them.
        while kills < 3 && is_under_load(way, served.target()) {
            std::thread::sleep(200 * MS);
            served.kill();
            kills += 1;
            let mut again = bench_client(directory.path());
            again.args(["serve", transport, &port]).args(ledger);
            served = Served::start(&mut again);
        }
        assert!(kills > 0, "nothing was tested");
        let ended = client.wait();
        // What was measured is not one server.
        let record = ended.expect_code(4).json();
        let row = row(&record);
        assert_eq!(verdicts(row, true), ["server_died"], "{row:#}");
        assert!(count(&once(&record)["resolved"]) > 0, "{row:#}");
        assert_eq!(once(&record)["unknown"], 0, "{row:#}");
        assert!(count(&once(&record)["sent_again"]) >= count(&once(&record)["resolved"]));
        assert_eq!(
            row["failed"],
            row["failed_by_reason"].as_object().map_or(0, |by| {
                // Over HTTP what finds nobody listening was not sent.
                by.get("not_sent").map_or(0, count)
            })
        );
        let verify = &row["verify"];
        assert_eq!(verify["unknown"], 0, "{verify:#}");
        assert_eq!(verify["conserved"], true, "{verify:#}");
        assert_eq!(verify["ledger_ok"], true, "{verify:#}");
        // Every account: none was paid twice, none not at all.
        assert_eq!(verify["sampled_accounts"], 200, "{verify:#}");
        assert_eq!(verify["sample_mismatches"], 0, "{verify:#}");
        // Another process counts from its own beginning.
        assert!(verify["applied"].is_null() && row["server"].is_null());
        assert_eq!(served.terminate(), Some(0));
    }
}

#[test]
fn a_run_on_a_server_of_its_own_is_valid() {
    let directory = directory();
    for flags in [
        ["--connector=sqlite_ws_rpc", "--encoding=binary"],
        ["--connector=sqlite_ws_rpc", "--encoding=json"],
        ["--connector=sqlite_rpc", "--encoding=json"],
    ] {
        let mut command = bench_client(directory.path());
        command
            .args(["run", "--exactly-once", "--duration=0.5", "--warmup=0.1"])
            .args(["--accounts=1000", "--id-horizon=2min", "--max-ids=1000000"])
            .args(["--resolve-timeout=5s", "--resolve-tries=7", "--json"])
            .args(flags);
        let record = run(&mut command).expect_code(0).json();
        let row = row(&record);
        assert_eq!(once(&record)["resolve_timeout_seconds"], 5.0);
        assert_eq!(once(&record)["resolve_tries"], 7);
        assert_eq!(once(&record)["resolved"], 0, "{row:#}");
        assert_eq!(row["verify"]["applied"], row["verify"]["acknowledged"]);
        let ceilings = ["ceiling_tps", "ceiling_refuted"].map(|name| &row["generator"][name]);
        assert!(ceilings.iter().any(|it| it.is_number()), "{row:#}");
    }
    let mut plain = bench_client(directory.path());
    plain.args([
        "run",
        "--transfers=200",
        "--warmup=0",
        "--no-null-server",
        "-v",
    ]);
    let ended = run(&mut plain);
    assert!(!ended.expect_code(0).stdout.contains("resolved"));
    let mut shown = bench_client(directory.path());
    shown
        .args(["run", "--transfers=200", "--warmup=0", "--no-null-server"])
        .args(["--exactly-once", "-v"]);
    let ended = run(&mut shown);
    let said = &ended.expect_code(0).stdout;
    assert!(said.contains("0 resolved, 0 stay unknown"), "{said}");
}

#[test]
fn a_server_that_forgets_is_refused_before_the_load() {
    let directory = directory();
    let refusals: [(&[&str], &[&str], &str); 3] = [
        (&["--null-server"], &[], "exactly_once"),
        (&["--durability=discard-writes"], &[], "exactly_once"),
        (&["--id-horizon=20s"], &["--timeout=1s"], "--id-horizon"),
    ];
    for (server, client, why) in refusals {
        let accounts = "--accounts=200";
        let flags = [server, &[accounts, "--database=a.sqlite", "--reseed"]].concat();
        let served = Served::bench_client(directory.path(), "ws", &flags);
        let mut command = run_at(directory.path(), &served.url(), "sqlite_ws_rpc", client);
        let ended = run(&mut command);
        let said = &ended.expect_code(2).stderr;
        assert!(said.contains(why) && said.lines().count() == 1, "{said}");
        let stats = within(async { Way::Json.control(served.target()).totals().await });
        let stats = stats.expect("an answer").expect("stats");
        assert_eq!(stats.committed, 0, "nothing was sent");
        served.kill();
    }
    // Shorter bounds fit.
    let flags = ["--id-horizon=20s", "--accounts=200"];
    let served = Served::bench_client(directory.path(), "ws", &flags);
    let bounds = ["--timeout=1s", "--resolve-timeout=5s", "--transfers=50"];
    let mut command = run_at(directory.path(), &served.url(), "sqlite_ws_rpc", &bounds);
    run(&mut command).expect_code(0);
}

#[test]
fn bad_bounds_are_bad_arguments() {
    let directory = directory();
    for flags in [
        ["--resolve-timeout=5s", "--transfers=1"],
        ["--resolve-tries=5", "--transfers=1"],
        ["--exactly-once", "--resolve-timeout=0s"],
        ["--exactly-once", "--resolve-tries=0"],
        ["--exactly-once", "--id-horizon=0s"],
        ["--exactly-once", "--max-ids=0"],
    ] {
        let mut command = bench_client(directory.path());
        command.arg("run").args(flags);
        run(&mut command).expect_code(2);
    }
    for flag in [
        "--id-horizon=10x",
        "--id-horizon=200h",
        "--max-ids=300000000",
    ] {
        let mut command = bench_client(directory.path());
        command.args(["serve", "ws", flag]);
        run(&mut command).expect_code(2);
    }
}
