//! `bench-client torture` as a user has it, against this program's own server: a short run of
//! every fault finds nothing. Each test names the cases that it is about
//! (docs/reliability-evidence.md).
//!
//! That it would find something is shown in `torture_liars.rs`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::common::{
    Ended, Running, bench_client, can_trace, count, directory, journals, run, skipped, until,
};
use bench_client::torture::journal::{self, Record};
use bench_client::torture::replay::replay;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// An audit with short cycles, unless the flags say how long they are.
fn torture(directory: &Path, flags: &[&str]) -> Ended {
    let mut command = bench_client(directory);
    command.args(["torture", "--json"]).args(flags);
    if !flags.iter().any(|flag| flag.starts_with("--cycle-time")) {
        command.arg("--cycle-time=0.8");
    }
    run(&mut command)
}

/// Runs an audit that must find nothing; its record.
#[track_caller]
fn clean(directory: &Path, flags: &[&str]) -> Value {
    let ended = torture(directory, flags);
    ended.expect_code(0);
    let record = ended.json();
    let none = [
        "lost",
        "applied_twice",
        "gaps",
        "refused_present",
        "unexplained",
    ];
    for class in none {
        assert_eq!(record[class], 0, "{class}: {record:#}");
    }
    assert_eq!(record["findings"], json!([]), "{record:#}");
    assert_eq!(record["valid"], true);
    assert_eq!(record["replay_matches"], true);
    assert!(count(&record["acknowledged"]) > 50, "{record:#}");
    let (unknown, there, absent) = (
        count(&record["unknown"]),
        count(&record["unknown_present"]),
        count(&record["unknown_absent"]),
    );
    assert_eq!(unknown, there + absent, "every one of them is classed");
    record
}

/// The row of a fault, which must have been injected at its moment at least once.
#[track_caller]
fn injected<'a>(record: &'a Value, fault: &str) -> &'a Value {
    let rows = record["faults"].as_array().expect("a list");
    let row = rows.iter().find(|row| row["fault"] == fault);
    let row = row.unwrap_or_else(|| panic!("{fault} is missing: {record:#}"));
    assert!(
        count(&row["injected"]) > 0,
        "{fault} never injected: {record:#}"
    );
    row
}

/// SQLite's own opinion of the database that an audit kept.
fn is_sound(record: &Value, directory: &Path) -> bool {
    let kept = record["kept"][0].as_str().expect("it was kept");
    let database = directory.join(kept).join("ledger.sqlite");
    let connection = rusqlite::Connection::open(database).expect("it is a database");
    let said: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("it can be checked");
    said == "ok"
}

#[test]
fn case_01_kill_9_loses_nothing_acknowledged() {
    for flags in [
        &["--connector=ws", "--encoding=json", "--durability=wal-full"][..],
        &["--page-size=512"],
        &["--page-size=1024"],
        &[
            "--connector=ws",
            "--encoding=binary",
            "--durability=delete-full",
        ],
        &[
            "--connector=http",
            "--encoding=json",
            "--durability=wal-full",
        ],
        &["--connector=ws", "--encoding=json", "--apply=coalesced"],
    ] {
        let directory = directory();
        let common = [
            "--faults=kill",
            "--kills=4",
            "--checkpoint-kib=80",
            "--keep",
        ];
        let record = clean(directory.path(), &[&common[..], flags].concat());
        assert_eq!(record["kills"], 4);
        injected(&record, "kill");
        assert!(count(&record["unknown"]) > 0, "killed under load");
        assert!(is_sound(&record, directory.path()));
    }
}

/// The control that must fail is called what it is, not what its pragmas look like.
#[test]
fn what_discards_its_writes_is_called_so() {
    let directory = directory();
    let mut command = bench_client(directory.path());
    let flags = [
        "torture",
        "--faults=kill",
        "--kills=1",
        "--durability=discard-writes",
        "--cycle-time=0.8",
    ];
    let ended = run(command.args(flags));
    ended.expect_code(4);
    assert!(
        ended.stdout.contains("with durability discard-writes"),
        "{}",
        ended.stdout
    );
    assert!(!ended.stdout.contains("delete-full"), "{}", ended.stdout);
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert!(lines.len() <= 12, "{}", ended.stdout);
    assert!(lines[0].starts_with("FAILED "), "{}", ended.stdout);
    assert!(
        lines[lines.len() - 1].starts_with("record "),
        "{}",
        ended.stdout
    );
}

/// Nothing is synced there, and a kill loses nothing all the same: what was written is in the page
/// cache.
#[test]
fn kills_alone_do_not_vouch_for_a_server_that_does_not_sync() {
    let directory = directory();
    let mut command = bench_client(directory.path());
    let flags = [
        "torture",
        "--faults=kill",
        "--kills=2",
        "--durability=memory",
        "--cycle-time=0.8",
    ];
    let ended = run(command.args(flags));
    ended.expect_code(0);
    for said in [
        "; no power cut was tested",
        "the server synced 0 times (fsync, fdatasync) while it answered",
        "a power cut may lose",
        "kills alone cannot show it: add power-cut to --faults",
    ] {
        let shown = ended
            .stdout
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(shown.contains(said), "{said}: {}", ended.stdout);
    }
}

/// A free port is chosen once, and is the same at each start.
#[test]
fn a_server_command_with_a_port_of_this_program_s_choice_needs_no_url() {
    let program = env!("CARGO_BIN_EXE_bench-client");
    for transport in ["ws", "http"] {
        let directory = directory();
        let command = format!(
            "--server-command={program} serve {transport} --port {{port}} --database {{database}}"
        );
        let connector = format!("--connector={transport}");
        let flags = [
            "--faults=kill",
            "--kills=2",
            "--reseed",
            "--title=Mine",
            &command,
            &connector,
        ];
        let record = clean(directory.path(), &flags);
        assert_eq!(record["title"], "Mine");
        assert_eq!(record["server"]["own"], false);
        assert_eq!(record["server"]["transport"], transport);
        assert!(record["syncs"]["syncs"].as_u64() > Some(0), "{record:#}");
    }
}

/// What a kill left without an answer is sent again with its id: it is answered, and there once.
#[test]
fn case_05_what_is_unknown_is_resolved_by_sending_it_again() {
    for flags in [
        ["--connector=ws", "--encoding=json"],
        ["--connector=ws", "--encoding=binary"],
        ["--connector=http", "--encoding=json"],
    ] {
        let directory = directory();
        let common = ["--faults=kill", "--kills=4", "--exactly-once"];
        let record = clean(directory.path(), &[&common[..], &flags[..]].concat());
        let once = &record["exactly_once"];
        assert_eq!(once["unresolved"], 0, "{once:#}");
        assert!(count(&once["resolved"]) > 0, "{once:#}");
        for (resolved, found) in [
            ("resolved", "unknown"),
            ("resolved_committed", "unknown_present"),
            ("resolved_applied", "unknown_absent"),
        ] {
            assert_eq!(once[resolved], record[found], "{resolved}: {record:#}");
        }
    }
}

#[test]
fn case_04_killed_at_the_nth_sync() {
    if !can_trace("case_04_killed_at_the_nth_sync") {
        return;
    }
    let directory = directory();
    let flags = ["--faults=sync-kill", "--kills=5", "--keep"];
    let record = clean(directory.path(), &flags);
    let row = injected(&record, "sync-kill");
    assert!(count(&row["injected"]) >= 3, "{record:#}");
    assert!(is_sound(&record, directory.path()));
}

/// What was committed and not answered is there, and the client does not claim to know.
#[test]
fn case_05_killed_after_the_commit_and_before_the_answer() {
    if !can_trace("case_05_killed_after_the_commit_and_before_the_answer") {
        return;
    }
    for transport in ["ws", "http"] {
        let directory = directory();
        let transport = format!("--connector={transport}");
        let flags = ["--faults=answer-kill", "--kills=5", &transport];
        let record = clean(directory.path(), &flags);
        let row = injected(&record, "answer-kill");
        assert!(count(&row["unknown_present"]) > 0, "{record:#}");
    }
}

/// The batch of the failed sync is answered as unknown, and the server goes: both are judged by
/// the audit (`unexpected_end`).
#[test]
fn case_06_an_error_at_a_sync() {
    if !can_trace("case_06_an_error_at_a_sync") {
        return;
    }
    for durability in ["wal-full", "delete-full", "delete-extra"] {
        let directory = directory();
        let durability = format!("--durability={durability}");
        let record = clean(
            directory.path(),
            &["--faults=eio", "--kills=4", &durability],
        );
        injected(&record, "eio");
        let cycles = record["cycles"].as_array().expect("a list");
        let stopped = cycles.iter().filter(|cycle| {
            let ended = cycle["ended"].as_str().unwrap_or_default();
            ended.starts_with("exit code 5")
        });
        assert!(stopped.count() > 0, "{record:#}");
    }
}

#[test]
fn case_09_snapshots_under_load_obey_the_rules_of_a_bank() {
    let directory = directory();
    let flags = ["--faults=kill", "--kills=3", "--cycle-time=1.5"];
    let ended = run(bench_client(directory.path())
        .args(["torture", "--json"])
        .args(flags));
    ended.expect_code(0);
    let record = ended.json();
    assert!(count(&record["snapshots"]) > 0, "{record:#}");
    assert_eq!(
        record["replay_matches"], true,
        "the ledger gives the balances"
    );
}

#[test]
fn case_11_a_full_disk_for_a_while() {
    if !can_trace("case_11_a_full_disk_for_a_while") {
        return;
    }
    let directory = directory();
    let record = clean(directory.path(), &["--faults=enospc", "--kills=4"]);
    let row = injected(&record, "enospc");
    assert!(
        count(&row["refused"]) > 0,
        "storage_full was answered: {record:#}"
    );
}

/// A mounted file system; unmounted when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a directory can be made");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at)
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then(|| Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// The write-ahead log cannot grow to where it is checkpointed until somebody makes room.
#[test]
fn case_11_a_full_file_system_and_room_again() {
    let name = "case_11_a_full_file_system_and_room_again";
    let directory = directory();
    let Some(mounted) = Mounted::tmpfs(&directory.path().join("small"), "2m") else {
        skipped(name, "needs root to mount a tmpfs");
        return;
    };
    let ballast = mounted.0.join("ballast");
    std::fs::write(&ballast, vec![1; 1_600_000]).expect("there is room for it");
    let record = directory.path().join("record.json");
    let audit = Running::start(bench_client(directory.path()).args([
        "torture",
        "--faults=kill",
        "--kills=6",
        "--cycle-time=1.5",
        "--database=small/ledger.sqlite",
        "--output=record.json",
        "--keep",
    ]));
    until("it is full", || {
        let refused = journals(directory.path()).into_iter().any(|journal| {
            let records = std::fs::read_to_string(journal).unwrap_or_default();
            records.contains(" failed:storage_full ")
        });
        refused.then_some(())
    });
    std::fs::remove_file(&ballast).expect("it is there");
    audit.wait().expect_code(0);
    let text = std::fs::read_to_string(record).expect("it was written");
    let record: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(
        (&record["lost"], &record["applied_twice"]),
        (&json!(0), &json!(0))
    );
    assert!(count(&record["refused"]) > 0, "it was full: {record:#}");
    let last = &record["cycles"][5];
    assert_eq!(last["refused"], 0, "there is room again: {record:#}");
    assert!(count(&last["acknowledged"]) > 0, "{record:#}");
}

/// Every sync takes up to 200 ms longer: answers wait for it, and nothing else happens.
#[test]
fn case_13_slow_syncs() {
    if !can_trace("case_13_slow_syncs") {
        return;
    }
    let directory = directory();
    let flags = ["--faults=slow-sync", "--kills=3", "--cycle-time=1.5"];
    let record = clean(directory.path(), &flags);
    injected(&record, "slow-sync");
}

/// Everything that was applied is answered, and the exit code is 0: judged by the audit.
#[test]
fn case_32_sigterm_under_load() {
    for transport in ["ws", "http"] {
        let directory = directory();
        let transport = format!("--connector={transport}");
        let record = clean(
            directory.path(),
            &["--faults=term", "--kills=4", &transport],
        );
        let row = injected(&record, "term");
        assert_eq!(row["unknown_present"], 0, "{record:#}");
        assert_eq!(row["injected"], 4);
    }
}

/// A control group of the test's own; removed when dropped.
struct Group {
    directory: PathBuf,
    /// Tells how often the kernel has killed in it.
    events: &'static str,
}

impl Group {
    /// Where memory can be limited: version 2, or the memory hierarchy of version 1.
    fn make(limit_bytes: u64) -> Option<Self> {
        let name = format!("busload-test-{}", std::process::id());
        let places = [
            ("/sys/fs/cgroup", "memory.max", "memory.events"),
            (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.oom_control",
            ),
        ];
        places.into_iter().find_map(|(root, limit, events)| {
            // The controller must be there: its files are in every group.
            let directory = Path::new(root).join(&name);
            std::fs::create_dir(&directory).ok()?;
            let group = Self { directory, events };
            let limit = group.directory.join(limit);
            (limit.exists() && std::fs::write(limit, limit_bytes.to_string()).is_ok())
                .then_some(group)
        })
    }

    fn kills(&self) -> u64 {
        let events = std::fs::read_to_string(self.directory.join(self.events));
        let events = events.unwrap_or_default();
        let kills = events
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "));
        kills.map_or(0, |kills| kills.trim().parse().expect("a count"))
    }

    /// A line for a shell that moves it into the group.
    fn join(&self) -> String {
        format!("echo $$ > {}/cgroup.procs", self.directory.display())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Processes that were killed leave it a moment later.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.directory).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// As `kill -9`, and by surprise: somebody else in the server's control group takes all memory,
/// and the kernel kills the server, which volunteers.
#[test]
fn case_34_a_memory_limit_is_as_kill_9() {
    const LIMIT: u64 = 64 << 20;
    let name = "case_34_a_memory_limit_is_as_kill_9";
    let Some(group) = Group::make(LIMIT) else {
        skipped(name, "needs root and a memory control group");
        return;
    };
    let directory = directory();
    let port = crate::common::free_port();
    let command = format!(
        "sh -c 'echo 1000 > /proc/self/oom_score_adj; {}; exec {} serve ws --port {port} \
         --database {{database}}'",
        group.join(),
        env!("CARGO_BIN_EXE_bench-client"),
    );
    let audit = Running::start(bench_client(directory.path()).args([
        "torture",
        "--json",
        "--faults=kill",
        "--kills=2",
        "--cycle-time=20",
        "--seed=3",
        &format!("--server-command={command}"),
        &format!("--url=ws://127.0.0.1:{port}"),
        "--reseed",
    ]));
    until("the load is on", || {
        let found = std::fs::read_dir(directory.path().join(".data")).ok()?;
        let path = found.flatten().next()?.path().join("journal.1");
        let journal = std::fs::read_to_string(&path).ok()?;
        journal.contains("\nanswer ").then_some(())
    });
    let twice = 2 * LIMIT;
    let takes = format!("head -c {twice} /dev/zero | tail -c {twice} | sleep 3");
    let mut glutton = Command::new("sh");
    glutton.args(["-c", &format!("{}; {takes}", group.join())]);
    let glutton = Running::start(&mut glutton);
    until("the kernel kills", || (group.kills() > 0).then_some(()));
    drop(glutton);
    let ended = audit.wait();
    ended.expect_code(0);
    let record = ended.json();
    let first = &record["cycles"][0];
    assert_eq!(
        first["injected"], false,
        "it was not the audit's kill: {record:#}"
    );
    assert_eq!(first["ended"], "SIGKILL", "{record:#}");
    assert!(count(&first["acknowledged"]) > 0);
    assert_eq!(
        (&record["lost"], &record["applied_twice"]),
        (&json!(0), &json!(0))
    );
}

#[test]
fn a_seed_replays_the_plan() {
    let plan = |seed: &str| {
        let directory = directory();
        let flags = ["--faults=kill,term", "--kills=4", "--cycle-time=0.3", seed];
        let ended = run(bench_client(directory.path())
            .args(["torture", "--json"])
            .args(flags));
        let record = ended.expect_code(0).json();
        let cycles = record["cycles"].as_array().expect("a list").clone();
        let plan = cycles
            .iter()
            .map(|cycle| (cycle["fault"].clone(), cycle["moment"].clone()));
        plan.collect::<Vec<_>>()
    };
    assert_eq!(plan("--seed=5"), plan("--seed=5"));
    assert_ne!(plan("--seed=5"), plan("--seed=6"));
}

/// Nothing is synced there, so nothing happens at a sync.
#[test]
fn a_fault_that_cannot_strike_is_told_of() {
    if !can_trace("a_fault_that_cannot_strike_is_told_of") {
        return;
    }
    let directory = directory();
    let flags = ["--faults=sync-kill", "--kills=2", "--durability=memory"];
    let record = torture(directory.path(), &flags).json();
    let warnings = record["warnings"].as_array().expect("a list");
    let warnings = warnings.iter().filter_map(Value::as_str);
    let told =
        warnings.filter(|one| one.starts_with("sync-kill was injected in none of its 2 cycles"));
    assert_eq!(told.count(), 1, "{record:#}");
}

/// The harness is killed as well: its journal can be read, and everything it says was
/// acknowledged is in the database.
#[test]
fn the_journal_survives_the_harness() {
    let directory = directory();
    let audit = Running::start(bench_client(directory.path()).args([
        "torture",
        "--faults=kill",
        "--kills=3",
        "--cycle-time=30",
        "--seed=2",
    ]));
    let place = until("the load is on", || {
        let found = std::fs::read_dir(directory.path().join(".data")).ok()?;
        let place = found.flatten().next()?.path();
        let size = std::fs::metadata(place.join("journal.1")).ok()?.len();
        (size > 200_000).then_some(place)
    });
    let server = crate::common::server_of(&audit);
    audit.signal(Signal::SIGKILL);
    audit.wait();
    until("the server follows", || {
        (!crate::common::is_alive(server)).then_some(())
    });
    let mut contents = journal::read(&place.join("journal.1")).expect("it is a journal");
    let connection = rusqlite::Connection::open(place.join("ledger.sqlite")).expect("it opens");
    let mut statement = connection
        .prepare("SELECT balance FROM accounts ORDER BY id")
        .expect("there are accounts");
    let balances = statement
        .query_map([], |row| row.get(0))
        .expect("they can be read")
        .collect::<Result<Vec<Option<i64>>, _>>()
        .expect("they are numbers");
    assert_eq!(
        replay(&contents.records, true, &[]).counts.sent,
        0,
        "not settled"
    );
    contents
        .records
        .push(Record::Balances { cycle: 2, balances });
    let replayed = replay(&contents.records, true, &[]);
    let counts = replayed.counts;
    assert!(counts.acknowledged > 100, "{counts:?}");
    assert_eq!(
        (
            counts.lost,
            counts.applied_twice,
            counts.gaps,
            counts.unexplained
        ),
        (0, 0, 0, 0)
    );
    assert!(replayed.matches());
}

#[test]
fn without_strace_its_faults_are_skipped_by_name() {
    let directory = directory();
    let audit = |faults: &str| {
        run(bench_client(directory.path())
            .env("PATH", "/nonexistent")
            .args(["torture", "--json", "--kills=1", "--cycle-time=0.8", faults]))
    };
    let ended = audit("--faults=eio,kill,sync-kill");
    let record = ended.expect_code(0).json();
    let skipped = record["skipped"].as_array().expect("a list").clone();
    let names: Vec<_> = skipped.iter().map(|one| one["fault"].clone()).collect();
    assert_eq!(names, ["sync-kill", "eio"]);
    assert!(
        ended.stderr.contains("skipped eio: strace cannot be run"),
        "{}",
        ended.stderr
    );
    audit("--faults=eio").expect_code(2);
}
