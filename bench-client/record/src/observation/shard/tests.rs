//! What all shards of a run left, and everything that keeps it from being one load.

use std::time::Duration;

use super::super::ShardPart;
use super::super::fixtures::{Outcome, TICK_NS, TICKS, Transfer, machine, observe};
use super::*;
use crate::record::ClockOffset;

fn transfers(count: usize, from: u32) -> Vec<Transfer> {
    let transfer = |number: usize| Transfer {
        tick: number % TICKS,
        outcome: Outcome::Committed,
        latency_ns: 1_000_000 + number as u64 * 7_919,
        accounts: (from, from + 1),
    };
    (0..count).map(transfer).collect()
}

/// Shards of one load, each with so many transfers.
fn shards(counts: &[usize]) -> Vec<ShardFile> {
    let of = u32::try_from(counts.len()).unwrap();
    let mut config = RunConfig::default();
    config.load.window = Some(Duration::from_nanos(TICKS as u64 * TICK_NS));
    let shard = |(index, count): (u32, &usize)| {
        let shard = Shard { index, of };
        let mut observation = observe(&transfers(*count, index));
        observation.machines[0].shard = Some(ShardPart {
            shard,
            window_start_unix_us: observation.load.window_start_unix_us,
            committed: *count as u64,
            clock: Some(ClockOffset {
                offset_us: 5,
                round_trip_us: 80,
                round_trips: 100,
            }),
        });
        ShardFile {
            name: format!("{index}.json"),
            record: Some(ShardRecord {
                shard_version: SHARD_VERSION,
                shard,
                start_at_unix_us: 1_700_000_000_000_000,
                environment: machine().environment,
                config: config.clone(),
                observation: Some(observation),
            }),
        }
    };
    (0..).zip(counts).map(shard).collect()
}

fn record(file: &mut ShardFile) -> &mut ShardRecord {
    file.record.as_mut().unwrap()
}

#[track_caller]
fn refused(files: Vec<ShardFile>, of_the_run: bool, says: &str) {
    let error = Shards::merge(files).unwrap_err();
    assert_eq!(error.is_of_the_run(), of_the_run, "{error}");
    let text = error.to_string();
    assert!(text.contains(says), "no '{says}' in {text}");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn all_shards_are_one_load_in_whatever_order_they_are_named() {
    let mut files = shards(&[300, 200, 100]);
    let whole = Shards::merge(files.clone()).unwrap();
    assert_eq!(whole.observation.load.window.counts.committed, 600);
    assert_eq!(whole.observation.load.window.latency.count(), 600);
    assert_eq!(whole.observation.machines.len(), 3);
    let changes = whole.observation.load.account_changes.as_ref().unwrap();
    assert_eq!(changes[&1].acknowledged.debits, 200);
    assert_eq!(changes[&1].acknowledged.credits, 300);
    files.rotate_left(1);
    let again = Shards::merge(files).unwrap().observation;
    assert_eq!(again.load.window, whole.observation.load.window);
}

#[test]
fn what_is_written_is_read_back_and_small() {
    let files = shards(&[50]);
    let text = serde_json::to_string(files[0].record.as_ref().unwrap()).unwrap();
    assert!(
        text.contains(
            r#""account_changes":{"0":{"acknowledged":[50,0]},"1":{"acknowledged":[0,50]}}"#
        ),
        "{text}"
    );
    let read = ShardFile::parse("0.json".to_owned(), &text).unwrap();
    let again = serde_json::to_string(&read.record).unwrap();
    assert_eq!(again, text);
    let parse = |text: &str| ShardFile::parse("a".to_owned(), text).unwrap_err();
    assert!(matches!(
        parse(&text[..text.len() / 2]),
        ReadError::CutOff { .. }
    ));
    assert!(matches!(parse("{}"), ReadError::NoShard { .. }));
    let newer = text.replace("\"shard_version\":1", "\"shard_version\":2");
    assert!(matches!(parse(&newer), ReadError::Newer { found: 2, .. }));
}

#[test]
fn a_missing_or_doubled_shard_is_refused_by_its_number() {
    refused(Vec::new(), false, "name at least one");
    let mut files = shards(&[9, 9, 9]);
    let second = files.remove(1);
    refused(files.clone(), false, "shard 1 of 3 is missing: ");
    files[1].record = None;
    refused(
        files.clone(),
        false,
        "shards 1, 2 of 3 are missing (there is no file 2.json)",
    );
    let mut doubled = shards(&[9, 9, 9]);
    doubled[2] = ShardFile {
        name: "again.json".to_owned(),
        ..second
    };
    refused(doubled, false, "shard 1 is in 1.json and in again.json");
}

#[test]
fn shards_of_unlike_runs_are_refused() {
    type Change = fn(&mut ShardRecord);
    let changes: [(Change, &str); 8] = [
        (
            |it| it.config.load.rate = Some(5e3),
            "differ in --rate (closed loop and 5000)",
        ),
        (
            |it| it.config.workload.seed = 7,
            "differ in --seed (1 and 7)",
        ),
        (
            |it| it.config.load.window = Some(Duration::from_secs(9)),
            "differ in --duration",
        ),
        (
            |it| {
                it.config.target = crate::config::Target::Null {
                    server: busload_frontend::cli::ServerConfig::default(),
                }
            },
            "differ in targets",
        ),
        (|it| it.start_at_unix_us += 1, "differ in --start-at"),
        (|it| it.shard.of = 3, "differ in --shard (of 2 and 3)"),
        (
            |it| it.environment.program.git_revision.push('x'),
            "differ in versions",
        ),
        (
            |it| {
                let part = it.observation.as_mut().unwrap().machines[0].shard.as_mut();
                part.unwrap().clock = None;
            },
            "differ in clocks",
        ),
    ];
    for (change, says) in changes {
        let mut files = shards(&[9, 9]);
        change(record(&mut files[1]));
        refused(files, false, says);
    }
}

#[test]
fn windows_that_are_not_the_same_are_refused() {
    let mut files = shards(&[9, 9]);
    let later = record(&mut files[1]).observation.as_mut().unwrap();
    later.load.window_start_unix_us += 20_000;
    refused(files, false, "began 20000 µs apart");
}

/// It is reported by its number, and not averaged away.
#[test]
fn a_dead_shard_is_a_failed_run() {
    let mut files = shards(&[9, 9]);
    record(&mut files[1]).observation = None;
    refused(
        files,
        true,
        "shard 1 of 2 did not end (1.json was written when it began)",
    );
    let stopped = |change: fn(&mut Observation)| {
        let mut files = shards(&[9, 9]);
        let seen = record(&mut files[1]).observation.as_mut().unwrap();
        seen.load.window_ns /= 4;
        change(seen);
        files
    };
    refused(
        stopped(|_| {}),
        true,
        "shard 1 of 2 ended early, after 0.2 of 1.0 s: ",
    );
    let interrupted = stopped(|seen| seen.load.interrupted = true);
    refused(interrupted, true, "of 1.0 s (it was interrupted)");
    let gave_up = stopped(|seen| {
        seen.load.gave_up = 3;
        seen.load.errors = vec!["no route".to_owned()];
    });
    refused(gave_up, true, "(3 of its workers gave up: no route)");
}
