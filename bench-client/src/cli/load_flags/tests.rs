use std::time::Duration;

use bench_client::config::{Arrival, ConfirmedReads, Encoding};
use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    load: LoadFlags,
}

fn flags(words: &[&str]) -> LoadFlags {
    let words = ["program"].iter().chain(words);
    Program::try_parse_from(words).unwrap().load
}

fn rows(words: &[&str]) -> Vec<RunConfig> {
    let directory = tempfile::tempdir().unwrap();
    let directory = format!("--data-dir={}", directory.path().display());
    let words: Vec<&str> = words.iter().copied().chain([directory.as_str()]).collect();
    flags(&words).rows().unwrap()
}

fn refused(words: &[&str]) -> String {
    flags(words).rows().unwrap_err().to_string()
}

#[test]
fn engines_are_a_list_and_the_hosts_of_one_are_not() {
    let engines = |words: &[&str]| -> Vec<String> {
        let rows = rows(words);
        let servers = rows.iter().map(|row| row.target.server().unwrap());
        servers.map(|server| server.engine.to_string()).collect()
    };
    let (one, two) = ("postgres://me@one/a", "postgres://me@one,two/a");
    let list = format!("--engine=sqlite,{two},{one}");
    assert_eq!(engines(&[&list]), ["sqlite", "postgres", "postgres"]);
    assert_eq!(engines(&[&format!("--engine={two}")]), ["postgres"]);
    assert_eq!(flags(&[&format!("--engine={two}")]).list(), None);
    assert_eq!(flags(&[&list]).list(), Some("engine"));
}

#[test]
fn a_list_of_any_knob_makes_a_row_of_each_value() {
    let combinations: Vec<_> = rows(&[
        "--batch-size=7,9",
        "--alpha=0,1",
        "--durability=memory,wal-full",
    ])
    .iter()
    .map(|row| {
        let server = row.target.server().unwrap();
        (
            row.workload.alpha,
            server.batch_size.unwrap(),
            row.target.durability().unwrap(),
        )
    })
    .collect();
    assert_eq!(
        combinations,
        [
            (0.0, 7, "memory"),
            (0.0, 7, "wal-full"),
            (0.0, 9, "memory"),
            (0.0, 9, "wal-full"),
            (1.0, 7, "memory"),
            (1.0, 7, "wal-full"),
            (1.0, 9, "memory"),
            (1.0, 9, "wal-full"),
        ]
    );
}

#[test]
fn the_connector_and_the_rate_choose_what_is_in_flight() {
    let inflight = |words: &[&str]| -> Vec<usize> {
        let rows = rows(words).into_iter();
        rows.map(|row| row.load.max_inflight_per_worker).collect()
    };
    assert_eq!(inflight(&[]), [16]);
    assert_eq!(inflight(&["--connector=sqlite_rpc,sqlite_ws_rpc"]), [1, 16]);
    assert_eq!(inflight(&["--rate=10"]), [4_096]);
    assert_eq!(inflight(&["--connector=sqlite_rpc", "--rate=10"]), [16]);
    assert_eq!(inflight(&["--inflight=1,8"]), [1, 8]);
    let foreign = ["--connector=spacetimedb", "--url=ws://127.0.0.1:1/db"];
    let row = flags(&foreign).rows().unwrap().remove(0);
    assert_eq!(row.load.max_inflight_per_worker, 16_384);
    assert_eq!(row.encoding, Encoding::BsatnV3);
    assert_eq!(row.confirmed_reads, Some(ConfirmedReads::On));
}

#[test]
fn the_window_is_ten_seconds_unless_something_else_is_said() {
    let row = |words: &[&str]| rows(words).remove(0);
    assert_eq!(row(&[]).load.window, Some(Duration::from_secs(10)));
    assert_eq!(
        row(&["--duration=500ms"]).load.window,
        Some(Duration::from_millis(500))
    );
    let counted = row(&["--transfers=7"]).load;
    assert_eq!((counted.window, counted.transfers), (None, Some(7)));
    assert_eq!(row(&["--rate=10"]).load.arrival, Some(Arrival::Constant));
    assert_eq!(row(&["--encoding=binary"]).encoding, Encoding::Binary);
}

#[test]
fn a_recorded_row_leads_back_to_itself_by_its_flags() {
    for words in [
        vec![],
        vec![
            "--rate=5000",
            "--latency-limit=7ms",
            "--no-intervals",
            "--no-verify",
        ],
        vec![
            "--exactly-once",
            "--resolve-tries=3",
            "--transfers=100",
            "--page-size=512",
        ],
        vec![
            "--batch-timeout=1.5ms",
            "--no-stage-timings",
            "--timeout=3s",
            "--alpha=0.99",
        ],
    ] {
        let row = rows(&words).remove(0);
        let again = LoadFlags::default().with(row.to_flags());
        assert_eq!(again.row().unwrap(), row, "{words:?}");
    }
    // Where it is, is private.
    let url = ("url".to_owned(), Some("ws://127.0.0.1:1/db".to_owned()));
    for two in [
        ["--encoding=bsatn_v2", "--reseed"],
        ["--confirmed-reads=off", "--reseed"],
    ] {
        let words = [
            "--connector=spacetimedb",
            "--url=ws://127.0.0.1:1/db",
            two[0],
            two[1],
        ];
        let row = flags(&words).rows().unwrap().remove(0);
        let again = LoadFlags::default().with(row.to_flags());
        assert_eq!(again.with([url.clone()]).row().unwrap(), row, "{words:?}");
    }
}

#[test]
fn what_does_not_go_together_is_refused_with_a_remedy() {
    for (words, says) in [
        (vec!["--arrival=poisson"], "give a --rate"),
        (
            vec!["--connector=sqlite_rpc", "--encoding=binary"],
            "needs --connector sqlite_ws_rpc",
        ),
        (vec!["--url=http://127.0.0.1:1"], "name the other connector"),
        (
            vec!["--url=ws://127.0.0.1:1", "--queue=5"],
            "--queue is for a server that this program",
        ),
        (
            vec![
                "--url=ws://127.0.0.1:1",
                "--connector=sqlite_rpc,sqlite_ws_rpc",
            ],
            "one connector",
        ),
        (
            vec!["--target=sqlite_ws_rpc", "--target-args=--batch-size 10"],
            "says how the server is started",
        ),
        (
            vec!["--target-args=--batch-size 10"],
            "--target-args goes with a --target",
        ),
        (vec!["--token-file=/nowhere"], "goes with --url"),
        (vec!["--reseed"], "goes with --url"),
        (
            vec!["--initial-balance=9000000000000000000"],
            "lower --initial-balance",
        ),
        (
            vec!["--apply=coalesced", "--durability=discard-writes"],
            "leave it out",
        ),
    ] {
        let error = refused(&words);
        assert!(error.contains(says), "{words:?}: {error}");
    }
}

#[test]
fn a_flag_has_its_earlier_name_for_one_version_more() {
    let of = |words: &[&str]| rows(words).remove(0).compared();
    for (earlier, now) in [
        ("--seconds=3", "--duration=3"),
        ("--connectors=sqlite_rpc", "--connector=sqlite_rpc"),
        ("--targets=sqlite_rpc", "--target=sqlite_rpc"),
        ("--max-inflight-per-worker=7", "--inflight=7"),
        ("--op-timeout=3s", "--timeout=3"),
        ("--keep-db", "--keep"),
    ] {
        assert_eq!(of(&[earlier]), of(&[now]), "{earlier}");
    }
    assert_eq!(rows(&["--connectors=http,ws"]).len(), 2);
}

#[test]
fn quantities_are_written_as_people_write_them() {
    let row = rows(&["-c", "2k", "-d", "500ms", "-r", "5k", "--warmup=1"]).remove(0);
    assert_eq!(row.load.concurrency, 2_000);
    assert_eq!(row.load.window, Some(Duration::from_millis(500)));
    assert_eq!(row.load.rate, Some(5_000.0));
    assert_eq!(row.load.warmup, Duration::from_secs(1));
    let counted = rows(&["-n", "1M", "--timeout=2m", "--batch-size=1k,2k"]);
    assert_eq!(counted.len(), 2);
    assert_eq!(counted[1].load.transfers, Some(1_000_000));
    assert_eq!(counted[1].load.op_timeout, Duration::from_mins(2));
    assert_eq!(counted[1].target.server().unwrap().batch_size, Some(2_000));
    for flag in ["--batch-timeout=2", "--latency-limit=10"] {
        let said = Program::try_parse_from(["program", flag]).unwrap_err();
        assert!(said.to_string().contains("with a unit"), "{said}");
    }
}
