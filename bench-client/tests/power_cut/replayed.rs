//! The files of real runs as thousands of cuts could have left them.

use std::collections::BTreeSet;
use std::io::{BufReader, Write as _};
use std::sync::OnceLock;
use std::time::Duration;

use bench_client::record::crash_states::ReplayReport;
use bench_client::target::ServerProcess;
use bench_client::torture::crash_states::event_history::Step;
use bench_client::torture::crash_states::expected_ledger::Entry;
use bench_client::torture::crash_states::record::{Event, Synced};
use bench_client::torture::crash_states::{
    EventHistory, Image, Model, Plan, Recording, Role, audit, read_image, strace_works, traced,
};
use bench_client::torture::fault::Onset;

use crate::common::{directory, skipped, within};
use crate::load::{Kept, Wire, acknowledged, kept, load, seed, server};

/// How many crash states each replay tries, for a longer run; each then tells its counts.
const STATES_VARIABLE: &str = "BUSLOAD_CRASH_STATES";
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
