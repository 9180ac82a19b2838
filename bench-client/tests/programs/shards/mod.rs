//! Several load machines as several processes: one load, judged once. The machines are processes
//! on loopback, network namespaces, and a process whose clock is wrong; where a tool for one of
//! them is missing, its test says by name that it was passed over.

mod documented;
mod namespaces;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::common::{
    Running, Served, bench_client, count, directory, machine, row, run, skipped, until, within,
};
use bench_client::config::ConnectorKind;
use bench_client::control::ControlClient;
use bench_client::observation::ShardRecord;
use jiff::{Timestamp, ToSpan as _};
use nix::sys::signal::Signal;
use serde_json::Value;

/// An open loop that the server keeps up with: which transfers it sends is fixed by its flags.
const LOAD: [&str; 7] = [
    "--reseed",
    "--accounts=1000",
    "--alpha=0.8",
    "--concurrency=6",
    "--rate=400",
    "--warmup=0.5",
    "--no-null-server",
];

/// A moment some seconds ahead, as `--start-at` has it.
fn ahead(time: Duration) -> String {
    let millis = i64::try_from(time.as_millis()).expect("a few seconds");
    (Timestamp::now() + millis.milliseconds()).to_string()
}

fn shard(directory: &Path, url: &str, part: (u32, u32), start: &str) -> Command {
    shard_for("1", directory, url, part, start)
}

fn shard_for(
    seconds: &str,
    directory: &Path,
    url: &str,
    (index, of): (u32, u32),
    start: &str,
) -> Command {
    let mut command = bench_client(directory);
    command.arg("run").args(LOAD).arg(format!("--url={url}"));
    command.arg(format!("--seconds={seconds}"));
    command.arg(format!("--shard={index}/{of}"));
    command.arg(format!("--start-at={start}"));
    command.arg(format!("--output={index}.json"));
    command
}

fn merge(directory: &Path, url: &str, files: &[&str]) -> Command {
    let mut command = bench_client(directory);
    command.arg("merge").args(files).arg(format!("--url={url}"));
    command
}

fn serve(directory: &Path) -> Served {
    Served::bench_client(
        directory,
        "ws",
        &["--seed-accounts=10", "--database=a.sqlite"],
    )
}

/// A digest of all balances.
fn balances(served: &Served) -> String {
    let asked = within(async {
        let mut control = ControlClient::new(ConnectorKind::SqliteWsRpc, served.target());
        control.stats(true).await
    });
    let stats = asked.expect("an answer").expect("stats");
    stats.balances.expect("balances").digest
}

fn read(directory: &Path, file: &str) -> ShardRecord {
    let text = std::fs::read_to_string(directory.join(file)).expect("it can be read");
    serde_json::from_str(&text).expect("it is a shard")
}

fn dropped_by(shard: &ShardRecord) -> u64 {
    let seen = shard.observation.as_ref().expect("it ended");
    seen.load.offered.as_ref().expect("an open loop").dropped
}

/// A run whose every transfer was sent. A generator that is woken after the end of the window, by
/// a machine that paused, does not send what was due just before.
fn nothing_dropped<T>(mut measured: impl FnMut() -> (T, u64)) -> T {
    let mut runs = (0..5).map(|_| measured());
    let (run, _) = runs
        .find(|(_, dropped)| *dropped == 0)
        .expect("of five runs one sends all that was due");
    run
}

/// Three machines send what one would: all balances are the same afterwards, and the row has the
/// sums.
#[test]
#[expect(clippy::too_many_lines, reason = "one figure after another")]
fn shards_put_on_the_load_of_one_machine_and_are_judged_together() {
    let _alone = machine();
    let place = directory();
    let directory = place.path();
    let served = serve(directory);
    let url = served.url();
    let (alone, expected) = nothing_dropped(|| {
        let mut alone = bench_client(directory);
        alone.args(["run", "--json", "--seconds=1"]).args(LOAD);
        let alone = run(alone.arg(format!("--url={url}")));
        let alone = row(&alone.expect_code(0).json()).clone();
        let dropped = count(&alone["open_loop"]["dropped"]);
        ((alone, balances(&served)), dropped)
    });
    let files = ["2.json", "0.json", "1.json"];
    let (ended, shards) = nothing_dropped(|| {
        let start = ahead(Duration::from_secs(4));
        // The first comes last: the others wait until it has seeded.
        let mut running: Vec<Running> = [1, 2]
            .map(|index| Running::start(&mut shard(directory, &url, (index, 3), &start)))
            .into();
        std::thread::sleep(Duration::from_millis(300));
        running.push(Running::start(
            shard(directory, &url, (0, 3), &start).arg("--json"),
        ));
        let ended: Vec<_> = running.into_iter().map(Running::wait).collect();
        let shards = files.map(|file| read(directory, file));
        let dropped = shards.iter().map(dropped_by).sum();
        ((ended, shards), dropped)
    });
    for ended in &ended {
        ended.expect_code(0);
    }
    assert!(
        ended[0].stdout.contains("nothing is judged"),
        "{}",
        ended[0].stdout
    );
    let printed: ShardRecord = serde_json::from_str(&ended[2].stdout).expect("the shard alone");
    assert_eq!(balances(&served), expected, "the same transfers");

    assert_eq!(printed.shard, shards[1].shard);
    let merged = run(merge(directory, &url, &files).arg("--json"));
    let record = merged.expect_code(0).json();
    let merged = row(&record);
    assert_eq!(merged["valid"], true, "{merged:#}");
    let seen = |shard: &ShardRecord| shard.observation.clone().expect("it ended").load;
    let sum = |of: fn(&bench_client::observation::LoadObservation) -> u64| -> u64 {
        shards.iter().map(|shard| of(&seen(shard))).sum()
    };
    assert_eq!(
        count(&merged["committed"]),
        sum(|load| load.window.counts.committed)
    );
    let acknowledged = sum(|load| load.whole_run().committed);
    assert_eq!(count(&merged["verify"]["acknowledged"]), acknowledged);
    assert_eq!(count(&merged["verify"]["applied"]), acknowledged);
    assert_eq!(count(&alone["verify"]["acknowledged"]), acknowledged);
    assert_eq!(merged["verify"]["ledger_ok"], true);
    assert_eq!(count(&merged["verify"]["sampled_accounts"]), 1_000);
    assert_eq!(
        merged["open_loop"]["offered"],
        alone["open_loop"]["offered"]
    );
    let parts = merged["shards"].as_array().expect("the machines");
    let numbers: Vec<u64> = parts.iter().map(|part| count(&part["index"])).collect();
    assert_eq!(numbers, [0, 1, 2]);
    for part in parts {
        assert!(count(&part["committed"]) > 50, "{part}");
        assert_eq!(count(&part["clock"]["round_trips"]), 100);
        assert!(count(&part["opened_after_us"]) < 10_000, "{part}");
    }
    // One machine looked at the server for all of them.
    assert!(count(&merged["server"]["commits"]) > 0, "{merged:#}");
    assert_eq!(merged["intervals"].as_array().map(Vec::len), Some(1));
    assert_eq!(merged["intervals"][0]["committed"], merged["committed"]);

    let screen = run(&mut merge(directory, &url, &files));
    let said = &screen.expect_code(0).stdout;
    assert!(said.contains("3 machines"), "{said}");

    let twice = run(&mut merge(
        directory,
        &url,
        &["0.json", "1.json", "2.json", "0.json"],
    ));
    twice
        .expect_code(2)
        .expect_one_line("shard 0 is in 0.json and in 0.json");
    let missing = run(&mut merge(directory, &url, &["0.json", "2.json"]));
    missing
        .expect_code(2)
        .expect_one_line("shard 1 of 3 is missing: ");
    let absent = run(&mut merge(
        directory,
        &url,
        &["0.json", "gone.json", "2.json"],
    ));
    let says = "shard 1 of 3 is missing (there is no file gone.json)";
    absent.expect_code(2).expect_one_line(says);
    let report = run(bench_client(directory).args(["report", "--format=md", "0.json"]));
    report
        .expect_code(2)
        .expect_one_line("`bench-client merge` makes a record of all of them");
    // The ledger has moved on: the whole is judged again, and found wrong.
    let mut more = bench_client(directory);
    more.args([
        "run",
        "--seconds=0.3",
        "--warmup=0",
        "--no-null-server",
        "--accounts=1000",
    ]);
    run(more.arg(format!("--url={url}"))).expect_code(0);
    let late = run(&mut merge(directory, &url, &files));
    assert!(late.expect_code(4).stdout.contains("INVALID"), "{late:?}");
    served.kill();
    let nobody = run(&mut merge(directory, &url, &files));
    nobody.expect_code(5).expect_one_line("connect");
}

/// A machine that dies is named, and so is one that is stopped; nothing is made of the rest.
#[test]
fn a_dead_shard_is_reported_and_not_averaged_away() {
    let place = directory();
    let directory = place.path();
    let served = serve(directory);
    let url = served.url();
    let start = ahead(Duration::from_secs(3));
    let begin = |index| Running::start(&mut shard_for("3", directory, &url, (index, 3), &start));
    let [survivor, stopped, killed] = [0, 1, 2].map(begin);
    let applied = || {
        let asked = within(async {
            let mut control = ControlClient::new(ConnectorKind::SqliteWsRpc, served.target());
            control.totals().await
        });
        asked.expect("an answer").expect("stats").applied
    };
    // In the middle of the window.
    until("the load is on", || (applied() > 400).then_some(()));
    killed.signal(Signal::SIGKILL);
    stopped.signal(Signal::SIGINT);
    stopped.wait().expect_code(130);
    survivor.wait().expect_code(0);
    assert_eq!(killed.wait().code(), None, "it was killed");
    let merged = |files: [&str; 3]| run(&mut merge(directory, &url, &files));
    // Of the one that was killed there is its beginning.
    assert!(read(directory, "2.json").observation.is_none());
    let ended = merged(["0.json", "1.json", "2.json"]);
    ended
        .expect_code(4)
        .expect_one_line("shard 1 of 3 ended early, after ");
    assert!(
        ended.stderr.contains("it was interrupted"),
        "{}",
        ended.stderr
    );
    std::fs::copy(directory.join("0.json"), directory.join("1.json")).expect("a copy");
    let text = std::fs::read_to_string(directory.join("1.json")).expect("it can be read");
    let text = text.replace(r#""index":0"#, r#""index":1"#);
    std::fs::write(directory.join("1.json"), text).expect("it can be written");
    let ended = merged(["0.json", "1.json", "2.json"]);
    ended
        .expect_code(4)
        .expect_one_line("shard 2 of 3 did not end (2.json was written when");
}

/// Its own clock is an hour wrong, and it starts with the others all the same.
#[test]
fn a_machine_whose_clock_is_wrong_starts_with_the_others() {
    const NAME: &str = "a_machine_whose_clock_is_wrong_starts_with_the_others";
    let wrong = |command: &Command| {
        let mut faked = Command::new("faketime");
        faked.args(["--exclude-monotonic", "-f", "-3600s"]);
        faked.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => faked.env(name, value),
                None => faked.env_remove(name),
            };
        }
        if let Some(place) = command.get_current_dir() {
            faked.current_dir(place);
        }
        faked
    };
    let now = wrong(Command::new("date").arg("+%s")).output();
    let now = now
        .ok()
        .and_then(|said| String::from_utf8(said.stdout).ok());
    let now: Option<i64> = now.and_then(|text| text.trim().parse().ok());
    if now.is_none_or(|now| now > Timestamp::now().as_second() - 3_000) {
        skipped(NAME, "faketime is not there, or does not work");
        return;
    }
    let place = directory();
    let directory = place.path();
    let served = serve(directory);
    let url = served.url();
    let start = ahead(Duration::from_secs(3));
    let late = Running::start(&mut wrong(&shard(directory, &url, (1, 2), &start)));
    let right = Running::start(&mut shard(directory, &url, (0, 2), &start));
    late.wait().expect_code(0);
    right.wait().expect_code(0);
    let merged = run(merge(directory, &url, &["0.json", "1.json"]).arg("--json"));
    let record = merged.expect_code(0).json();
    let merged = row(&record);
    let offset = |index: usize| merged["shards"][index]["clock"]["offset_us"].as_i64();
    let offsets = (
        offset(0).expect("it is told"),
        offset(1).expect("it is told"),
    );
    assert!(offsets.0.abs() < 10_000_000 / 2, "{offsets:?}");
    assert!((offsets.1 - 3_600_000_000).abs() < 5_000_000, "{offsets:?}");
    for part in merged["shards"].as_array().expect("the machines") {
        assert!(count(&part["opened_after_us"]) < 10_000, "{part}");
    }
    assert_eq!(merged["verify"]["ledger_ok"], true, "{merged:#}");
}

/// What cannot be is said before anything is asked of a server.
#[test]
fn what_a_shard_cannot_be_is_refused_in_one_line() {
    let place = directory();
    let refused = |flags: &[&str], says: &str| {
        let mut command = bench_client(place.path());
        command
            .args(["run", "--shard=1/2", "--start-at=4102444800"])
            .args(flags);
        run(&mut command).expect_code(2).expect_one_line(says);
        assert!(
            !place.path().join("results").exists(),
            "no record: {flags:?}"
        );
    };
    let url = "--url=ws://127.0.0.1:1";
    refused(&[], "--shard needs a server that outlives all shards");
    refused(&[url], "--shard needs --reseed");
    for (flag, says) in [
        ("--rate=100,200", "leave out lists"),
        ("--runs=2", "--runs repeats a row on one machine"),
        ("--tui", "--tui shows a whole row"),
        ("--verbose", "give it to merge"),
        ("--save-baseline=a", "give it to merge"),
        ("--fail-if=tps<1", "give it to merge"),
        ("--title=part", "give them to merge"),
        ("--fail-on=fake", "give it to merge"),
        (
            "--transfers=10",
            "--transfers ends at another time on each machine",
        ),
        ("--concurrency=1", "shard 1 of 2 has none of the 1 workers"),
    ] {
        refused(&[url, "--reseed", flag], says);
    }
    let ended = |words: &[&str]| {
        let mut command = bench_client(place.path());
        run(command.args(words).env_remove("JOB_COMPLETION_INDEX"))
    };
    let alone = ended(&["run", "--shard=0/2"]);
    alone.expect_code(2).expect_one_line("--start-at");
    let index = ended(&["run", "--shard=index/2", "--start-at=4102444800"]);
    index.expect_code(2).expect_one_line("JOB_COMPLETION_INDEX");
    let form = ended(&["run", "--shard=2/2", "--start-at=4102444800"]);
    form.expect_code(2).expect_one_line("is not I/N");
    let ceiling = ended(&["ceiling", "--shard=0/2", "--start-at=4102444800"]);
    ceiling.expect_code(2).expect_one_line("--shard is for run");
    let passed = {
        let served = serve(place.path());
        let url = format!("--url={}", served.url());
        ended(&[
            "run",
            &url,
            "--reseed",
            "--shard=0/1",
            "--start-at=2026-01-01T00:00:00Z",
        ])
    };
    passed.expect_code(2);
    assert!(
        passed.stderr.contains("by the server's clock"),
        "{}",
        passed.stderr
    );
}

/// The pod's number is the shard's.
#[test]
fn a_pod_of_an_indexed_job_knows_its_number() {
    let place = directory();
    let served = serve(place.path());
    let start = ahead(Duration::from_secs(2));
    let mut command = bench_client(place.path());
    command
        .arg("run")
        .args(LOAD)
        .arg(format!("--url={}", served.url()));
    command.args([
        "--shard=index/1",
        "--output=pod.json",
        "--seconds=1",
        "--quiet",
        "--json",
    ]);
    command
        .arg(format!("--start-at={start}"))
        .env("JOB_COMPLETION_INDEX", "0");
    let ended = run(&mut command);
    let printed: Value = ended.expect_code(0).json();
    assert_eq!(
        ended.stderr, "",
        "a pod's log is the shard and nothing else"
    );
    assert_eq!(
        (&printed["shard"]["index"], &printed["shard"]["of"]),
        (&0.into(), &1.into())
    );
    assert!(place.path().join("pod.json").exists());
    let merged = run(merge(place.path(), &served.url(), &["pod.json"]).arg("--quiet"));
    assert!(
        merged.expect_code(0).stdout.starts_with("VALID"),
        "{merged:?}"
    );
}
