//! Power cuts: the files of real runs as thousands of cuts could have left them, and file
//! systems that are stopped under a real server.
//!
//! The cases are those of `docs/reliability-evidence.md`. Where strace, root or a tool is missing,
//! a test says by name that it was skipped.

#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeSet;
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use bench_client::config::Encoding;
use bench_client::connector::{
    Connector, Endpoint, HttpConnector, Outcome, Reply, Session, WorkerId, WsConnector,
};
use bench_client::record::crash_states::ReplayReport;
use bench_client::target::{ServerProcess, ServerSpec};
use bench_client::torture::crash_states::event_history::Step;
use bench_client::torture::crash_states::expected_ledger::{
    Entry, ExpectedLedger, Faults, Progress,
};
use bench_client::torture::crash_states::record::{Event, Synced};
use bench_client::torture::crash_states::{
    EventHistory, Image, Model, Plan, Recording, Role, audit, read_image, strace_works, traced,
};
use bench_client::torture::fault::Onset;
use bench_client::torture::power_cut::{FileSystem, LoopDisk};
use busload_sqlite::inspect;
use busload_wire::{RequestId, Transfer};
use common::{
    Directory, PATIENCE, bench_client, count, directory, free_port, run, skipped, within,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const WORKERS: u32 = 6;
/// Several pages, so that the two accounts of a pair are on different ones.
const ACCOUNTS: u32 = 1_000;
/// In flight per worker.
const WINDOW: usize = 8;
/// How many crash states each replay tries, for a longer run; each then tells its counts.
const STATES_VARIABLE: &str = "BUSLOAD_CRASH_STATES";
/// Largest amount. Amounts differ, so that their sums tell which transfers are there.
const LARGEST: u64 = 997;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Http,
    Json,
    Binary,
}

impl Wire {
    fn transport(self) -> &'static str {
        if self == Self::Http { "http" } else { "ws" }
    }
}

/// How a ledger is kept.
#[derive(Debug, Clone, Copy)]
struct Kept {
    durability: &'static str,
    /// Bytes of a page; below 4096 they share a block of the disk with others.
    page_size: u32,
}

/// With the pages that so few accounts have by default.
const fn kept(durability: &'static str) -> Kept {
    Kept {
        durability,
        page_size: 4096,
    }
}

fn server(database: &Path, wire: Wire, kept: Kept) -> ServerSpec {
    let args = [
        "serve",
        wire.transport(),
        "--until-stdin-ends",
        "--port=0",
        &format!("--database={}", database.display()),
        &format!("--accounts={ACCOUNTS}"),
        "--initial-balance=1000000000",
        &format!("--durability={}", kept.durability),
        &format!("--page-size={}", kept.page_size),
        // So that checkpoints are cut too.
        "--checkpoint-kib=80",
    ];
    ServerSpec {
        program: PathBuf::from(env!("CARGO_BIN_EXE_bench-client")),
        args: args.map(str::to_owned).into(),
        ..ServerSpec::default()
    }
}

/// What one worker sent, in order, and whether it was acknowledged.
type Sent = Vec<(Transfer, bool)>;

/// Moves money between two accounts until the server is gone or `time` is over; then waits
/// for what is in flight. An answer that is read after the onset does not count.
async fn work<C: Connector>(connector: C, worker: u32, time: Duration, onset: &Onset) -> Sent {
    let mut sent = Sent::new();
    let Ok(mut session) = connector.connect(WorkerId(worker)).await else {
        return sent;
    };
    // Over HTTP a worker's transfers keep their order only one at a time.
    let window = if C::TRANSPORT == "http" { 1 } else { WINDOW };
    let ends = tokio::time::Instant::now() + time;
    let (mut inflight, mut gone) = (0, false);
    let mut out = Vec::new();
    loop {
        while inflight < window && !gone && tokio::time::Instant::now() < ends {
            let number = sent.len() as u64 + 1;
            let amount = 1 + number * 131 * u64::from(worker + 7) % LARGEST;
            let transfer = Transfer {
                from: i64::from(worker),
                to: i64::from(ACCOUNTS - 1 - worker),
                amount: amount.cast_signed(),
                transfer_id: None,
            };
            let id = RequestId::new(number).expect("it is small");
            gone = session.submit(id, transfer).is_err();
            sent.push((transfer, false));
            inflight += 1;
        }
        if inflight == 0 || gone {
            return sent;
        }
        gone |= session.replies(&mut out).await.is_err();
        let counts = !onset.has_come();
        for Reply { id, outcome } in out.drain(..) {
            inflight -= 1;
            let at = usize::try_from(id.get()).expect("it is small") - 1;
            match outcome {
                Outcome::Committed => sent[at].1 = counts,
                // The last words of a server that sees its disk go.
                Outcome::Unknown | Outcome::Failed(_) => gone = true,
                other @ Outcome::Rejected(_) => {
                    panic!("a transfer that can be made was answered {other:?}")
                }
            }
        }
    }
}

/// All workers for this long.
async fn load(target: &Endpoint, wire: Wire, time: Duration, onset: &Onset) -> Vec<Sent> {
    let workers = (0..WORKERS).map(|worker| async move {
        let target = target.clone();
        match wire {
            Wire::Http => work(HttpConnector::new(target), worker, time, onset).await,
            Wire::Json => {
                let connector = WsConnector::new(target, Encoding::Json);
                work(connector, worker, time, onset).await
            }
            Wire::Binary => {
                let connector = WsConnector::new(target, Encoding::Binary);
                work(connector, worker, time, onset).await
            }
        }
    });
    futures_util::future::join_all(workers).await
}

fn acknowledged(sent: &[Sent]) -> u64 {
    sent.iter()
        .flatten()
        .filter(|(_, acknowledged)| *acknowledged)
        .count() as u64
}

/// Creates the ledger, so that a run begins with one that is durable.
async fn seed(database: &Path, wire: Wire, kept: Kept) {
    let server = ServerProcess::start(&server(database, wire, kept)).await;
    server.expect("it starts").stop().await.expect("it stops");
}

/// A short real run under strace, and the files that it began with.
fn recorded(wire: Wire, kept: Kept) -> (EventHistory, Image) {
    let directory = directory();
    let database = directory.path().join("a.sqlite");
    let trace = directory.path().join("trace");
    let (base, sent) = within(async {
        seed(&database, wire, kept).await;
        let base = read_image(&database).expect("the ledger can be read");
        let spec = traced(&server(&database, wire, kept), &trace);
        let server = ServerProcess::start(&spec).await.expect("it starts");
        let never = Onset::default();
        let sent = load(server.target(), wire, Duration::from_secs(1), &never).await;
        server.stop().await.expect("it stops");
        (base, sent)
    });
    let trace = std::fs::File::open(&trace).expect("strace wrote its trace");
    let recording = Recording::read(BufReader::new(trace), &database).expect("it is understood");
    let history = EventHistory::new(recording).expect("it can be judged");
    assert_eq!(
        history.acknowledged,
        acknowledged(&sent),
        "strace and the clients have seen the same answers"
    );
    assert!(history.acknowledged > 100, "too little happened");
    (history, base)
}

/// A run that was recorded, and what it began with.
struct Run {
    history: EventHistory,
    base: Image,
}

/// The runs that several tests replay; each is recorded once.
#[derive(Debug, Clone, Copy)]
enum Recorded {
    WalFull,
    WalFullHttp,
    WalNormal,
    DeleteFull,
    DeleteExtra,
    Memory,
    /// Eight pages share a block of the disk.
    WalFullPagesOf512,
    /// Four do.
    WalFullPagesOf1024,
    DeleteExtraPagesOf512,
}

impl Recorded {
    /// The run, or `None` when `test` must be skipped.
    fn run(self, test: &str) -> Option<&'static Run> {
        static RUNS: [OnceLock<Run>; 9] = [const { OnceLock::new() }; 9];
        if let Err(why) = strace_works() {
            skipped(test, &why);
            return None;
        }
        let of = |page_size, durability| Kept {
            page_size,
            ..kept(durability)
        };
        let (wire, kept) = match self {
            Self::WalFullPagesOf512 => (Wire::Json, of(512, "wal-full")),
            Self::WalFullPagesOf1024 => (Wire::Json, of(1024, "wal-full")),
            Self::DeleteExtraPagesOf512 => (Wire::Binary, of(512, "delete-extra")),
            Self::WalFull => (Wire::Json, kept("wal-full")),
            Self::WalFullHttp => (Wire::Http, kept("wal-full")),
            Self::WalNormal => (Wire::Json, kept("wal-normal")),
            Self::DeleteFull => (Wire::Binary, kept("delete-full")),
            Self::DeleteExtra => (Wire::Binary, kept("delete-extra")),
            Self::Memory => (Wire::Json, kept("memory")),
        };
        Some(RUNS[self as usize].get_or_init(|| {
            let (history, base) = recorded(wire, kept);
            Run { history, base }
        }))
    }
}

fn replay(history: &EventHistory, base: &Image, model: Model) -> ReplayReport {
    let asked = std::env::var(STATES_VARIABLE).ok();
    let states = asked.as_deref().map(str::parse);
    let plan = Plan {
        states: states.unwrap_or(Ok(1_500)).expect("a number of states"),
        seed: 5,
        model,
        check_answers: true,
    };
    let report = audit(history, base, plan).expect("images can be made");
    assert_eq!(report.states, plan.states);
    if asked.is_some() {
        let mut counts = report.clone();
        counts.examples.truncate(1);
        let shown = serde_json::to_string(&counts).expect("it is JSON");
        let line = format!("replayed with {model:?}: {shown}\n");
        let mut stderr = std::io::stderr();
        stderr
            .write_all(line.as_bytes())
            .expect("stderr takes a line");
    }
    report
}

/// The steps that `keep` keeps.
fn without(history: &EventHistory, mut keep: impl FnMut(&Event) -> bool) -> EventHistory {
    let mut changed = history.clone();
    changed.steps.retain(|(_, step)| match step {
        Step::File(event) => keep(event),
        Step::Asked(_) | Step::Acknowledged(_) => true,
    });
    changed
}

/// A run whose syncs of `forgotten` never happened.
fn without_syncs(history: &EventHistory, forgotten: Synced) -> EventHistory {
    let mut left_out = BTreeSet::new();
    without(history, |event| match event {
        Event::SyncBegan { sync, what } if *what == forgotten => {
            left_out.insert(*sync);
            false
        }
        Event::SyncEnded { sync } => !left_out.contains(sync),
        _ => true,
    })
}

/// A run in which every answer left as soon as its request was there.
fn answered_at_once(history: &EventHistory) -> EventHistory {
    let mut changed = history.clone();
    let acknowledged: BTreeSet<Entry> = history
        .steps
        .iter()
        .filter_map(|(_, step)| match step {
            Step::Acknowledged(entry) => Some(*entry),
            _ => None,
        })
        .collect();
    let steps = history
        .steps
        .iter()
        .cloned()
        .flat_map(|(line, step)| match step {
            Step::Acknowledged(_) => vec![],
            Step::Asked(entry) if acknowledged.contains(&entry) => {
                vec![
                    (line, Step::Asked(entry)),
                    (line, Step::Acknowledged(entry)),
                ]
            }
            other => vec![(line, other)],
        });
    changed.steps = steps.collect();
    changed
}

#[test]
fn case_03_no_crash_state_of_a_recorded_run_has_lost_anything() {
    let test = "case_03_no_crash_state_of_a_recorded_run_has_lost_anything";
    for recorded in [
        Recorded::WalFull,
        Recorded::WalFullHttp,
        Recorded::WalFullPagesOf512,
        Recorded::WalFullPagesOf1024,
        Recorded::DeleteExtraPagesOf512,
    ] {
        let Some(Run { history, base }) = recorded.run(test) else {
            return;
        };
        for sector_bytes in [512, 4096] {
            let report = replay(
                history,
                base,
                Model {
                    sector_bytes,
                    ..Model::STRICT
                },
            );
            assert!(report.is_clean(), "{recorded:?}: {report:#?}");
        }
    }
}

/// With a removal that is durable at once, as on a file system that is mounted for that.
#[test]
fn case_03_no_crash_state_of_a_run_with_a_rollback_journal_has_lost_anything() {
    let test = "case_03_no_crash_state_of_a_run_with_a_rollback_journal_has_lost_anything";
    if let Some(Run { history, base }) = Recorded::DeleteFull.run(test) {
        let lax = Model {
            removals_need_sync: false,
            ..Model::STRICT
        };
        let report = replay(history, base, lax);
        assert!(report.is_clean(), "{report:#?}");
    }
}

/// What commits with a rollback journal is that it is removed, and `synchronous=FULL` does not
/// sync the directory after that: SQLite's documentation says so under `EXTRA`.
#[test]
fn case_03_a_removal_that_is_not_synced_is_seen_to_come_back() {
    let test = "case_03_a_removal_that_is_not_synced_is_seen_to_come_back";
    if let Some(Run { history, base }) = Recorded::DeleteFull.run(test) {
        let report = replay(history, base, Model::STRICT);
        assert!(report.lost > 0, "{report:#?}");
        assert_eq!((report.torn, report.integrity), (0, 0), "{report:#?}");
    }
}

/// `synchronous=EXTRA` syncs the directory after the removal, so nothing comes back that was
/// acknowledged: the same model of the disk that `delete-full` loses under. The control is the
/// same run with the directory never synced.
#[test]
fn case_03_a_removal_that_is_synced_does_not_come_back() {
    let test = "case_03_a_removal_that_is_synced_does_not_come_back";
    let Some(Run { history, base }) = Recorded::DeleteExtra.run(test) else {
        return;
    };
    for sector_bytes in [512, 4096] {
        let model = Model {
            sector_bytes,
            ..Model::STRICT
        };
        assert!(model.removals_need_sync);
        let report = replay(history, base, model);
        assert!(report.is_clean(), "{report:#?}");
    }
    let forgotten = without_syncs(history, Synced::Directory);
    let report = replay(&forgotten, base, Model::STRICT);
    assert!(report.lost > 0 && report.early_answers > 0, "{report:#?}");
}

/// The positive control of the replay: a mode that makes no promise is caught.
#[test]
fn case_02_replay_of_wal_normal_must_lose() {
    let test = "case_02_replay_of_wal_normal_must_lose";
    for recorded in [Recorded::WalNormal, Recorded::Memory] {
        let Some(Run { history, base }) = recorded.run(test) else {
            return;
        };
        let report = replay(history, base, Model::STRICT);
        assert!(
            report.lost > report.states / 10,
            "{recorded:?}: {report:#?}"
        );
        assert!(
            report
                .examples
                .iter()
                .any(|example| example.contains("lost"))
        );
    }
}

/// Without a journal on the disk a torn page stays torn.
#[test]
fn case_02_replay_of_memory_must_tear() {
    let test = "case_02_replay_of_memory_must_tear";
    if let Some(Run { history, base }) = Recorded::Memory.run(test) {
        let report = replay(history, base, Model::STRICT);
        assert!(report.torn + report.integrity > 0, "{report:#?}");
    }
}

#[test]
fn case_10_no_answer_leaves_before_the_sync_of_its_transfer() {
    let test = "case_10_no_answer_leaves_before_the_sync_of_its_transfer";
    for recorded in [
        Recorded::WalFull,
        Recorded::WalFullHttp,
        Recorded::DeleteExtra,
    ] {
        let Some(Run { history, base }) = recorded.run(test) else {
            return;
        };
        let report = replay(history, base, Model::STRICT);
        assert_eq!(
            (report.early_answers, report.unsynced_answers),
            (0, 0),
            "{recorded:?}: {report:#?}"
        );
        assert!(report.acknowledged > 100);
    }
    if let Some(Run { history, base }) = Recorded::WalNormal.run(test) {
        let report = replay(history, base, Model::STRICT);
        assert!(
            report.early_answers > report.acknowledged / 2,
            "{report:#?}"
        );
        assert!(
            report.unsynced_answers > report.acknowledged / 2,
            "{report:#?}"
        );
    }
}

/// A sound run made unsound in one way at a time: each is caught.
#[test]
fn case_36_a_server_that_answers_early_or_forgets_a_sync_is_caught() {
    let test = "case_36_a_server_that_answers_early_or_forgets_a_sync_is_caught";
    let Some(Run { history, base }) = Recorded::WalFull.run(test) else {
        return;
    };
    let early = replay(&answered_at_once(history), base, Model::STRICT);
    assert!(early.lost > 0, "{early:#?}");
    assert!(early.early_answers > early.acknowledged / 2, "{early:#?}");
    assert!(
        early.unsynced_answers > early.acknowledged / 2,
        "{early:#?}"
    );
    let unsynced = replay(
        &without_syncs(history, Synced::File(Role::Log)),
        base,
        Model::STRICT,
    );
    assert!(
        unsynced.lost > 0 && unsynced.early_answers > 0,
        "{unsynced:#?}"
    );
    let Some(Run { history, base }) = Recorded::DeleteFull.run(test) else {
        return;
    };
    // Pages are overwritten before what they held is safe.
    let unsafe_journal = without_syncs(history, Synced::File(Role::Journal));
    let report = replay(&unsafe_journal, base, Model::STRICT);
    assert!(report.torn + report.integrity > 0, "{report:#?}");
    // The commit is durable before what it commits.
    let unsafe_database = without_syncs(history, Synced::File(Role::Database));
    let lax = Model {
        removals_need_sync: false,
        ..Model::STRICT
    };
    let report = replay(&unsafe_database, base, lax);
    assert!(report.lost > 0, "{report:#?}");
}

/// The control of the replays with pages that share blocks. What a checkpoint copied and did not
/// sync is mostly in the next log again, so few states show it: it is the log's syncs that go.
#[test]
fn case_03_small_pages_without_syncs_of_the_log_are_found_missing() {
    let test = "case_03_small_pages_without_syncs_of_the_log_are_found_missing";
    let Some(Run { history, base }) = Recorded::WalFullPagesOf512.run(test) else {
        return;
    };
    let page = |image: &Image| {
        let database = image[0].as_deref().expect("it is there");
        u16::from_be_bytes([database[16], database[17]])
    };
    assert_eq!(page(base), 512, "as the file's header says");
    let forgotten = without_syncs(history, Synced::File(Role::Log));
    let report = replay(&forgotten, base, Model::STRICT);
    assert!(report.lost > 0, "{report:#?}");
}

/// A loop device with a ledger on it, and what its power cuts came to.
struct Bench {
    disk: LoopDisk,
    _directory: Directory,
    kept: Kept,
}

impl Bench {
    /// `None` when `test` must be skipped.
    fn new(test: &str, kept: Kept) -> Option<Self> {
        let kind = FileSystem::Ext4;
        if let Err(why) = kind.available() {
            skipped(test, &why);
            return None;
        }
        let directory = directory();
        let disk = match LoopDisk::create(directory.path(), kind) {
            Ok(disk) => disk,
            Err(why) => {
                skipped(test, &why.to_string());
                return None;
            }
        };
        let bench = Self {
            disk,
            _directory: directory,
            kept,
        };
        within(seed(&bench.database(), Wire::Json, kept));
        Some(bench)
    }

    fn database(&self) -> PathBuf {
        self.disk.path().join("a.sqlite")
    }

    /// One cut under load: how many were acknowledged, and what is wrong.
    fn cut(&self, after: Duration) -> (u64, Faults) {
        let before = inspect(&self.database()).expect("a sound ledger").balances;
        let sent = within(self.load_and_cut(after));
        self.disk.revive().expect("it can be mounted again");
        let found = inspect(&self.database()).expect("a ledger after the cut");
        assert!(found.complaints.is_empty(), "{:?}", found.complaints);
        let mut ledger = ExpectedLedger::default();
        let mut entries = Vec::new();
        for (connection, (transfer, acknowledged)) in (0..)
            .zip(&sent)
            .flat_map(|(n, sent)| sent.iter().map(move |one| (n, one)))
        {
            let entry = ledger.ask(connection, transfer).expect("private pairs");
            entries.push((entry, *acknowledged));
        }
        let mut progress = Progress::new(&ledger);
        for (entry, acknowledged) in entries {
            progress.asked(entry);
            if acknowledged {
                progress.acknowledged(entry);
            }
        }
        (
            acknowledged(&sent),
            ledger.judge(&before, &found.balances, &progress),
        )
    }

    async fn load_and_cut(&self, after: Duration) -> Vec<Sent> {
        let spec = server(&self.database(), Wire::Json, self.kept);
        let mut server = ServerProcess::start(&spec).await.expect("it starts");
        let target = server.target().clone();
        let pid = Pid::from_raw(i32::try_from(server.pid()).expect("process ids fit"));
        let onset = Onset::default();
        let cutter = async {
            tokio::time::sleep(after).await;
            self.disk
                .cut(&onset)
                .expect("the file system can be stopped");
            kill(pid, Signal::SIGKILL).expect("it runs");
        };
        let (sent, ()) = tokio::join!(load(&target, Wire::Json, PATIENCE, &onset), cutter);
        while server.ended().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        sent
    }
}

/// How long the load is on before cut number `n`.
fn patience(n: u64) -> Duration {
    Duration::from_millis(120 + 61 * (n * 5 % 8))
}

#[test]
fn case_02_power_cuts_lose_nothing() {
    let small = [512, 1024].map(|page_size| Kept {
        page_size,
        ..kept("wal-full")
    });
    for kept in [kept("wal-full"), kept("delete-extra")]
        .into_iter()
        .chain(small)
    {
        let Some(bench) = Bench::new("case_02_power_cuts_lose_nothing", kept) else {
            return;
        };
        for n in 0..4 {
            let (acknowledged, faults) = bench.cut(patience(n));
            assert!(faults.none(), "{kept:?}, cut {n}: {faults:?}");
            assert!(acknowledged > 0, "{kept:?}, cut {n}: too little");
        }
    }
}

/// The positive control of the power cuts.
#[test]
fn case_02_power_cuts_of_wal_normal_must_lose() {
    let test = "case_02_power_cuts_of_wal_normal_must_lose";
    let Some(bench) = Bench::new(test, kept("wal-normal")) else {
        return;
    };
    // A cut right after a checkpoint finds all of it synced.
    let lost = (0..12).any(|n| {
        let (_, faults) = bench.cut(patience(n));
        assert_eq!(
            (faults.twice, faults.gaps, faults.torn),
            (0, 0, 0),
            "{faults:?}"
        );
        faults.lost > 0
    });
    assert!(
        lost,
        "12 power cuts have lost nothing of a server that does not sync at commit"
    );
}

/// A cut of a disk on which the ledger is not shows nothing, and says so.
#[test]
fn case_36_a_ledger_that_is_not_on_the_disk_that_is_cut() {
    let test = "case_36_a_ledger_that_is_not_on_the_disk_that_is_cut";
    let audited = |words: &str| {
        let directory = directory();
        let port = free_port();
        let server = env!("CARGO_BIN_EXE_bench-client");
        let serve = format!("{server} serve ws --port {port} --until-stdin-ends");
        let ended = run(bench_client(directory.path()).args([
            "torture",
            "--faults=power-cut",
            "--cuts=2",
            "--states=0",
            "--cycle-time=1",
            "--concurrency=2",
            "--json",
            "--reseed",
            &format!("--server-command=env NOT_USED={{database}} {serve} {words}"),
            &format!("--url=ws://127.0.0.1:{port}"),
        ]));
        if let Some((_, why)) = ended.stderr.split_once("skipped power-cut: no cuts") {
            skipped(test, why.lines().next().unwrap_or_default());
            return None;
        }
        Some(ended)
    };
    let Some(ended) = audited("--database elsewhere.sqlite") else {
        return;
    };
    ended.expect_code(4);
    let record = ended.json();
    let found = record["findings"].as_array().expect("a list");
    for (finding, cycle) in found.iter().zip(1..) {
        assert_eq!(
            (&finding["kind"], &finding["cycle"], &finding["fails"]),
            (&"ledger_elsewhere".into(), &cycle.into(), &true.into())
        );
    }
    assert_eq!(found.len(), 2, "{record:#}");
    assert!(count(&record["acknowledged"]) > 0, "{record:#}");
    assert_eq!(
        (&record["valid"], &record["lost"]),
        (&false.into(), &0.into())
    );
    // The same with the ledger in its place.
    let ended = audited("--database {database}").expect("as before");
    ended.expect_code(0);
    assert!(count(&ended.json()["acknowledged"]) > 0);
}

/// `bench-client torture` with power cuts alone; `None` when they cannot be made here.
fn audited(
    test: &str,
    file_system: &str,
    durability: &str,
    cuts: u64,
) -> Option<(Option<i32>, Value)> {
    let load = ["--cycle-time=0.5", "--concurrency=4"];
    audited_with(test, file_system, durability, cuts, &load)
}

/// The same with these flags as well.
fn audited_with(
    test: &str,
    file_system: &str,
    durability: &str,
    cuts: u64,
    more: &[&str],
) -> Option<(Option<i32>, Value)> {
    let directory = directory();
    let flags = [
        "torture",
        "--faults=power-cut",
        &format!("--cuts={cuts}"),
        &format!("--file-system={file_system}"),
        "--states=0",
        &format!("--durability={durability}"),
        "--json",
    ];
    let ended = run(bench_client(directory.path()).args(flags).args(more));
    if let Some((_, why)) = ended.stderr.split_once("skipped power-cut: ") {
        skipped(test, why.lines().next().unwrap_or_default());
        return None;
    }
    assert_ne!(ended.code(), Some(2), "{ended:#?}");
    Some((ended.code(), ended.json()))
}

#[test]
fn case_02_torture_finds_nothing_lost_by_power_cuts() {
    let test = "case_02_torture_finds_nothing_lost_by_power_cuts";
    let Some((code, record)) = audited(test, "ext4", "wal-full", 3) else {
        return;
    };
    assert_eq!(record["file_system"], "ext4");
    assert_eq!(record["crash_states"], Value::Null);
    assert_eq!(
        (code, &record["cuts"], &record["lost"]),
        (Some(0), &3.into(), &0.into())
    );
    assert_eq!(count(&record["faults"][0]["injected"]), 3, "{record:#}");
    assert!(count(&record["acknowledged"]) > 100, "{record:#}");
}

/// In short cycles the log is still growing. A sync that returns while the file system is being
/// stopped may have lost what it says is durable: an answer that follows it does not count.
#[test]
fn case_02_torture_finds_nothing_lost_by_power_cuts_of_short_cycles() {
    let test = "case_02_torture_finds_nothing_lost_by_power_cuts_of_short_cycles";
    let load = ["--cycle-time=0.2", "--concurrency=4"];
    let Some((code, record)) = audited_with(test, "ext4", "wal-full", 20, &load) else {
        return;
    };
    assert_eq!(
        (code, &record["lost"], &record["replay_matches"]),
        (Some(0), &0.into(), &true.into()),
        "{record:#}"
    );
    assert_eq!(count(&record["faults"][0]["injected"]), 20, "{record:#}");
    assert!(count(&record["acknowledged"]) > 0, "{record:#}");
}

/// Eight pages share a block of the file system.
#[test]
fn case_02_torture_finds_nothing_lost_by_power_cuts_of_small_pages() {
    let test = "case_02_torture_finds_nothing_lost_by_power_cuts_of_small_pages";
    let load = ["--cycle-time=0.4", "--page-size=512", "--checkpoint-kib=80"];
    let Some((code, record)) = audited_with(test, "ext4", "wal-full", 6, &load) else {
        return;
    };
    assert_eq!(
        (code, &record["lost"], &record["gaps"], &record["valid"]),
        (Some(0), &0.into(), &0.into(), &true.into()),
        "{record:#}"
    );
    assert!(count(&record["acknowledged"]) > 0, "{record:#}");
}

/// What commits with a rollback journal is that it is removed, which `synchronous=FULL` does not
/// sync: with one transfer at a time nothing else does either, until the next one begins.
#[test]
fn case_02_torture_of_delete_full_must_find_losses() {
    let test = "case_02_torture_of_delete_full_must_find_losses";
    let alone = ["--cycle-time=0.3", "--concurrency=1", "--inflight=1"];
    let Some((code, record)) = audited_with(test, "ext4", "delete-full", 20, &alone) else {
        return;
    };
    assert_eq!(code, Some(4), "{record:#}");
    assert!(count(&record["lost"]) > 0, "{record:#}");
}

#[test]
fn case_02_torture_of_wal_normal_must_find_losses() {
    let test = "case_02_torture_of_wal_normal_must_find_losses";
    let Some((code, record)) = audited(test, "ext4", "wal-normal", 10) else {
        return;
    };
    assert_eq!(code, Some(4), "{record:#}");
    assert!(count(&record["lost"]) > 0, "{record:#}");
}

/// The same on another file system, with its own log and its own order of writing back.
#[test]
fn case_02_torture_finds_nothing_lost_by_power_cuts_of_xfs() {
    let test = "case_02_torture_finds_nothing_lost_by_power_cuts_of_xfs";
    let Some((code, record)) = audited(test, "xfs", "wal-full", 3) else {
        return;
    };
    assert_eq!(
        (code, &record["file_system"], &record["lost"]),
        (Some(0), &"xfs".into(), &0.into())
    );
    assert_eq!(count(&record["faults"][0]["injected"]), 3, "{record:#}");
    assert!(count(&record["acknowledged"]) > 100, "{record:#}");
}

#[test]
fn case_02_torture_of_wal_normal_on_xfs_must_find_losses() {
    let test = "case_02_torture_of_wal_normal_on_xfs_must_find_losses";
    let Some((code, record)) = audited(test, "xfs", "wal-normal", 10) else {
        return;
    };
    assert_eq!(code, Some(4), "{record:#}");
    assert!(count(&record["lost"]) > 0, "{record:#}");
}

/// However its owner goes, nothing stays mounted.
#[test]
fn a_loop_disk_leaves_nothing_behind() {
    let Some(bench) = Bench::new("a_loop_disk_leaves_nothing_behind", kept("wal-full")) else {
        return;
    };
    let mounted = |path: &Path| {
        let mounts = std::fs::read_to_string("/proc/self/mounts").expect("they can be listed");
        mounts.contains(&path.display().to_string())
    };
    let path = bench.disk.path().to_owned();
    assert!(mounted(&path));
    // A process that still has a file open, as a server that does not die.
    let held = std::fs::File::open(bench.database()).expect("it is there");
    let cut = bench.disk.cut(&Onset::default());
    cut.expect("the file system can be stopped");
    let Bench { disk, .. } = bench;
    let panicked = std::panic::catch_unwind(move || {
        let _disk = disk;
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(panicked.is_err());
    assert!(!mounted(&path) && !path.exists());
    drop(held);
}
