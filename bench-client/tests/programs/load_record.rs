//! What the record of the real program says about its load: open loop, time series, time
//! budget, generator. Every number that must agree with another one is held against it.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds far below 2^52"
)]

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::common::verdicts;
use crate::common::{
    Ended, Running, Served, bench_client, count, directory, machine, number, record, row, rows,
    run, within,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bench_client::config::ConnectorKind;
use bench_client::control::ControlClient;
use bench_client::host::environment::Environment;
use bench_client::record::{Record, Row, Verdict, VerdictCode};
use bench_client::render::records::{closing, row as shown, words::CLOSED_LOOP};
use bench_client::render::write::text::{Layout, write};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};

const MS: Duration = Duration::from_millis(1);

const SHORT: [&str; 6] = [
    "--duration=1",
    "--warmup=0.2",
    "--accounts=1000",
    "--concurrency=8",
    "--threads=2",
    "--interval=200ms",
];

fn measured(directory: &Path, verb: &str, flags: &[&str]) -> Ended {
    run(bench_client(directory).arg(verb).args(SHORT).args(flags))
}

#[track_caller]
fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is no list"))
}

fn sum(list: &[Value], field: &str) -> f64 {
    list.iter().map(|entry| number(&entry[field])).sum()
}

#[track_caller]
fn close(left: f64, right: f64, share: f64) {
    assert!(
        (left - right).abs() <= share * left.abs().max(right.abs()).max(1e-9),
        "{left} and {right}"
    );
}

fn histogram(value: &Value) -> Histogram<u64> {
    let text = value.as_str().expect("a histogram is a string");
    let bytes = BASE64_STANDARD.decode(text).expect("in base64");
    Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .expect("in the form V2")
}

/// The intervals of a row are its window: every answer, every second.
#[track_caller]
fn intervals_make_up(row: &Row) {
    assert!(!row.intervals.is_empty());
    let committed: u64 = row.intervals.iter().map(|each| each.committed).sum();
    assert_eq!(committed, row.committed);
    let mut end = 0.0;
    let mut merged = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).expect("bounds");
    for interval in &row.intervals {
        close(interval.start_s, end, 1e-9);
        assert!(interval.seconds > 0.0);
        close(
            interval.tps * interval.seconds,
            interval.committed as f64,
            1e-9,
        );
        let slots =
            f64::from(row.config.load.concurrency) * row.config.load.max_inflight_per_worker as f64;
        assert!(interval.in_flight <= slots * (1.0 + 1e-9), "{interval:?}");
        let told = histogram(&json!(interval.latency_histogram));
        assert_eq!(told.len(), interval.committed);
        assert_eq!(interval.p99_ms.is_some(), told.len() >= 1_000);
        if let Some(p99) = interval.p99_ms {
            close(p99, told.value_at_quantile(0.99) as f64 / 1e6, 1e-9);
        }
        merged.add(&told).expect("the same bounds");
        end = interval.start_s + interval.seconds;
    }
    close(end, row.seconds, 1e-6);
    if row.open_loop.is_none() {
        assert_eq!(merged, histogram(&json!(row.latency_histogram)));
    }
}

/// A row as a terminal shows it.
fn described(row: &Row) -> String {
    write(&shown::document(row), Layout::default())
}

/// Twice the row, as a terminal shows several.
fn summary(row: &Row) -> String {
    let mut record = Record::new(Environment::capture(Path::new(".")));
    record.rows = vec![row.clone(), row.clone()];
    write(&closing::tables(&record), Layout::default())
}

#[track_caller]
fn typed(record: &Value) -> Vec<Row> {
    let record: Record = serde_json::from_value(record.clone()).expect("a record");
    record.rows
}

#[track_caller]
fn budget_adds_up(row: &Value) {
    let budget = &row["budget"];
    let stages = list(&budget["stages"]);
    close(sum(stages, "mean_us"), number(&budget["mean_us"]), 1e-6);
    let second = budget["second"]
        .as_object()
        .expect("a second of the writer");
    assert_eq!(second.len(), 6);
    close(second.values().map(number).sum(), 1_000.0, 1e-6);
    for (part, ms) in second {
        assert!(number(ms) >= -1.0, "{part}: {ms}");
    }
}

#[test]
fn an_open_loop_says_what_was_offered_and_from_where_latency_counts() {
    let _machine = machine();
    let directory = directory();
    let flags = ["--rate=500", "--latency-limit=10ms", "--json"];
    let ended = measured(directory.path(), "run", &flags);
    ended.expect_code(0);
    let record = record(directory.path());
    assert_eq!(ended.json(), record);
    let row = row(&record);
    let open = &row["open_loop"];
    assert_eq!(open["arrival"], "constant");
    assert_eq!(
        (&open["offered_tps"], &open["offered"]),
        (&json!(500.0), &json!(500))
    );
    assert_eq!(open["latency_limit_ms"], 10.0);
    let (late, skipped, dropped) = (&open["late"], &open["skipped"], &open["dropped"]);
    let kept = 500 - count(skipped) - count(dropped);
    close(number(&open["achieved_tps"]), kept as f64, 1e-9);
    assert!(count(late) <= kept);
    assert!(count(&open["schedule_lag_us"]["count"]) <= 500);
    assert_eq!(row["latency_ms"], row["response_ms"]);
    // Of up to 500 transfers.
    let known = [("p50", 20), ("p95", 200), ("max", 1), ("mean", 1)];
    for (quantile, _) in known.into_iter().filter(|(_, least)| kept >= *least) {
        let (service, response) = (&row["service_ms"][quantile], &row["response_ms"][quantile]);
        assert!(
            number(service) > 0.0 && number(service) <= number(response),
            "{quantile}"
        );
    }
    for quantile in ["p99", "p999"] {
        assert!(row["response_ms"][quantile].is_null(), "{quantile}");
        assert!(row["service_ms"][quantile].is_null(), "{quantile}");
    }
    assert_eq!(histogram(&row["latency_histogram"]).len(), kept);
    assert_eq!(histogram(&row["service_histogram"]).len(), kept);
    assert_eq!(
        row["max_inflight_per_worker"], 4_096,
        "the window is no limit"
    );
    budget_adds_up(row);
    let generator = &row["generator"];
    // On a busy machine what the null server reached may have been no ceiling.
    let refuted = generator.get("ceiling_refuted");
    assert!(number(refuted.unwrap_or(&generator["ceiling_tps"])) > 0.0);
    assert_eq!(list(&generator["thread_cpu"]).len(), 2);
    for share in list(&generator["thread_cpu"]) {
        assert!((0.0..=1.1).contains(&number(share)), "{share}");
    }
    assert!(number(&row["prediction"]["tps"]) > 0.0);
    assert!(row["littles_law"]["in_flight"].is_number());
    let row = &typed(&record)[0];
    assert_eq!(row.intervals.len(), 5);
    intervals_make_up(row);
    assert!(!described(row).contains(CLOSED_LOOP));
}

#[test]
fn a_closed_loop_says_what_its_latency_does_not_show() {
    let _machine = machine();
    let directory = directory();
    let ended = measured(directory.path(), "run", &["--inflight=4", "-v"]);
    ended.expect_code(0);
    assert!(ended.stdout.contains(CLOSED_LOOP), "{}", ended.stdout);
    let record = record(directory.path());
    let row = row(&record);
    for field in [
        "open_loop",
        "service_ms",
        "response_ms",
        "service_histogram",
    ] {
        assert!(row[field].is_null(), "{field}");
    }
    budget_adds_up(row);
    close(
        number(&row["budget"]["mean_us"]),
        number(&row["latency_ms"]["mean"]) * 1e3,
        1e-9,
    );
    let mut stages: Vec<_> = list(&row["budget"]["stages"])
        .iter()
        .map(|stage| stage["stage"].as_str().expect("a name"))
        .collect();
    // On a busy machine the null server may have been slower than the real one.
    if !stages.contains(&"wire") {
        let withheld = list(&row["budget"]["withheld"]);
        let why = withheld[0].as_str().expect("a sentence");
        assert!(why.starts_with("the time on the wire: "), "{why}");
        stages.insert(1, "wire");
    }
    assert_eq!(
        stages,
        [
            "client_queue",
            "wire",
            "read",
            "wait",
            "apply",
            "commit_write",
            "sync",
            "answer",
            "unexplained"
        ]
    );
    assert_eq!(row["budget"]["stages"][0]["mean_us"], 0.0, "nothing queues");
    // 32 in flight, for a second: what crosses its ends is little.
    let law = &row["littles_law"];
    close(
        number(&law["in_flight"]),
        number(&law["throughput_times_latency"]),
        0.1,
    );
    assert!(number(&law["in_flight"]) <= 32.0 + 1e-9);
    let typed = &typed(&record)[0];
    intervals_make_up(typed);
    let inflight: f64 = typed
        .intervals
        .iter()
        .map(|each| each.in_flight * each.seconds)
        .sum();
    close(inflight, number(&law["in_flight"]), 1e-6);
}

#[test]
fn without_the_null_server_and_intervals_the_record_lacks_them_and_nothing_else() {
    let _machine = machine();
    let directory = directory();
    let mut command = bench_client(directory.path());
    let flags = [
        "run",
        "--duration=0.5",
        "--warmup=0",
        "--accounts=1000",
        "--concurrency=4",
    ];
    let ended = run(command
        .args(flags)
        .args(["--no-null-server", "--no-intervals", "--json"]));
    ended.expect_code(0);
    let record = ended.json();
    let row = row(&record);
    assert_eq!(row["intervals"], json!([]));
    assert!(row["generator"]["ceiling_tps"].is_null());
    let stages = list(&row["budget"]["stages"]);
    assert!(stages.iter().all(|stage| stage["stage"] != "wire"));
    budget_adds_up(row);
}

#[test]
fn each_rate_is_a_row() {
    let _machine = machine();
    let directory = directory();
    let flags = [
        "--rate=200,400.5",
        "--arrival=poisson",
        "--duration=0.5",
        "--no-null-server",
        "--json",
    ];
    let mut command = bench_client(directory.path());
    command.args(["run", "--warmup=0.1", "--accounts=1000", "--concurrency=3"]);
    let ended = run(command.args(flags));
    ended.expect_code(0);
    let record = ended.json();
    let rates: Vec<_> = rows(&record)
        .iter()
        .map(|row| {
            (
                number(&row["open_loop"]["offered_tps"]),
                &row["open_loop"]["arrival"],
            )
        })
        .collect();
    let poisson = json!("poisson");
    assert_eq!(rates, [(200.0, &poisson), (400.5, &poisson)]);
    for row in typed(&record) {
        intervals_make_up(&row);
    }
}

#[test]
fn the_ceiling_is_labelled_as_no_servers_tps() {
    let _machine = machine();
    let directory = directory();
    let ended = measured(directory.path(), "ceiling", &["--json"]);
    ended.expect_code(0);
    let record = ended.json();
    let row = row(&record);
    assert_eq!(
        (&row["durability"], &row["valid"]),
        (&json!("null"), &json!(true))
    );
    assert!(verdicts(row, false).contains(&"null_server".to_owned()));
    assert!(verdicts(row, true).is_empty());
    assert!(number(&row["tps"]) > 0.0);
    assert!(row["generator"]["ceiling_tps"].is_null(), "it is its own");
    let row = &typed(&record)[0];
    intervals_make_up(row);
    assert!(described(row).contains("of the null server (nothing stored)"));
    assert!(summary(row).contains("null server: nothing stored"));

    // The same figure of a row whose generator was the limit.
    let mut bound = row.clone();
    bound.verdicts = vec![Verdict {
        code: VerdictCode::GeneratorBound,
        invalidates: false,
        message: "the generator may be the limit".to_owned(),
        remedy: "raise --threads".to_owned(),
    }];
    assert!(described(&bound).contains("or more (GENERATOR-BOUND)"));
    assert!(summary(&bound).contains("generator-bound"));
    bound.verdicts.clear();
    assert!(!described(&bound).contains("or more"));
    assert!(!summary(&bound).contains("bound"));
}

#[test]
fn flags_that_mean_nothing_are_refused() {
    let directory = directory();
    let refused: [&[&str]; 12] = [
        &["--latency-limit=10ms"],
        &["--arrival=poisson"],
        &["--rate=0"],
        &["--rate=-1"],
        &["--rate=nan"],
        &["--rate=inf"],
        &["--rate=1e12"],
        &["--rate=100,"],
        &["--rate=100", "--arrival=sometimes"],
        &["--rate=100", "--latency-limit=0s"],
        &["--interval=1ms"],
        &["--no-intervals", "--interval=1s"],
    ];
    for flags in refused {
        let ended = run(bench_client(directory.path()).arg("run").args(flags));
        ended.expect_code(2);
        assert!(
            !ended.stderr.is_empty() && ended.stdout.is_empty(),
            "{flags:?}"
        );
    }
}

/// A null server that takes this long for each batch, and a client for its counters.
fn null_server(directory: &Path, sync: &str) -> Served {
    let sync = format!("--null-sync={sync}");
    let flags = ["--null-server", "--accounts=1000", &sync];
    Served::bench_client(directory, "ws", &flags)
}

/// Waits until the server has answered something.
#[track_caller]
fn answers(server: &Served) {
    within(async {
        let mut control = ControlClient::new(ConnectorKind::SqliteWsRpc, server.target());
        loop {
            let stats = control.totals().await.expect("it answers");
            if stats.is_some_and(|stats| stats.committed > 0) {
                return;
            }
            tokio::time::sleep(10 * MS).await;
        }
    });
}

fn load_on(directory: &Path, server: &Served, flags: &[&str]) -> Running {
    let mut command = bench_client(directory);
    command
        .args(["run", "--accounts=1000", "--warmup=0", "--no-verify"])
        .args(["--no-null-server", "--interval=100ms"])
        .args(["--url", &server.url()])
        .args(flags);
    Running::start(&mut command)
}

/// A transfer takes 150 ms. Of one transfer the first client thread has it and the other has
/// none; of 21 they have eleven and ten: one thread ends intervals before the other.
#[test]
fn a_counted_window_keeps_the_intervals_of_the_thread_that_ends_last() {
    let _machine = machine();
    for transfers in [1, 21] {
        let directory = directory();
        let server = null_server(directory.path(), "150ms");
        let transfers_flag = format!("--transfers={transfers}");
        let flags = [
            "--threads=2",
            "--concurrency=2",
            "--inflight=1",
            "--json",
            &transfers_flag,
        ];
        let ended = load_on(directory.path(), &server, &flags).wait();
        ended.expect_code(0);
        let row = &typed(&ended.json())[0];
        assert_eq!(row.committed, transfers);
        assert!(row.seconds >= 0.15, "{}", row.seconds);
        intervals_make_up(row);
    }
}

/// What is due in the window and what is answered in it are not the same transfers here: the
/// latency of an open loop is of the former.
#[test]
fn the_latency_of_an_open_loop_is_of_what_was_due_in_the_window() {
    let _machine = machine();
    let directory = directory();
    let server = null_server(directory.path(), "300ms");
    let flags = [
        "--rate=200",
        "--concurrency=2",
        "--inflight=64",
        "--duration=1",
        "--json",
    ];
    let ended = load_on(directory.path(), &server, &flags).wait();
    ended.expect_code(0);
    let row = &typed(&ended.json())[0];
    let open = row.open_loop.as_ref().expect("under --rate");
    assert_eq!(open.offered, 200);
    let kept = open.offered - open.skipped - open.dropped;
    assert!(kept > row.committed, "some are answered in the drain");
    assert_eq!(histogram(&json!(row.latency_histogram)).len(), kept);
    assert_eq!(Some(row.latency_ms), row.response_ms);
    let told = histogram(&json!(row.latency_histogram));
    let p50 = told.value_at_quantile(0.5) as f64 / 1e6;
    close(row.latency_ms.p50.unwrap(), p50, 1e-9);
    intervals_make_up(row);
}

/// Stopped while a batch is under way.
#[test]
fn an_interrupted_window_is_the_sum_of_its_intervals() {
    let _machine = machine();
    let directory = directory();
    let server = null_server(directory.path(), "400ms");
    let flags = [
        "--threads=2",
        "--concurrency=4",
        "--inflight=2",
        "--duration=300",
        "--json",
    ];
    let client = load_on(directory.path(), &server, &flags);
    answers(&server);
    thread::sleep(450 * MS);
    client.signal(Signal::SIGINT);
    let ended = client.wait();
    ended.expect_code(130);
    let row = &typed(&ended.json())[0];
    assert!(row.interrupted && row.committed > 0);
    assert!(row.seconds < 100.0);
    intervals_make_up(row);
}

/// A real stall: the server's process is stopped for half a second of four.
fn with_a_stall(flags: &[&str]) -> (String, Row) {
    let directory = directory();
    let server = null_server(directory.path(), "0s");
    let load = ["--duration=4", "--concurrency=2", "--inflight=4", "-v"];
    let client = load_on(directory.path(), &server, &[&load, flags].concat());
    answers(&server);
    thread::sleep(700 * MS);
    kill(server.pid(), Signal::SIGSTOP).expect("it runs");
    thread::sleep(500 * MS);
    kill(server.pid(), Signal::SIGCONT).expect("it is there");
    let ended = client.wait();
    ended.expect_code(0);
    (ended.stdout, typed(&record(directory.path()))[0].clone())
}

/// An eighth of the time: the slowest hundredth of all transfers is the slowest 2/25 of those
/// that came meanwhile, and waited 460 ms or more.
#[test]
fn a_stopped_server_shows_in_an_open_loop_only() {
    let _machine = machine();
    let (_, open) = with_a_stall(&["--rate=500"]);
    assert!(open.latency_ms.p99 >= Some(440.0), "{:?}", open.latency_ms);
    let service = open.service_ms.expect("under --rate");
    assert!(
        service.p99.unwrap() < 250.0 && service.max >= 440.0,
        "{service:?}"
    );
    intervals_make_up(&open);
    assert_eq!(open.intervals.len(), 40);
    let silent: Vec<_> = open
        .intervals
        .iter()
        .filter(|each| each.committed == 0)
        .collect();
    assert!((3..=6).contains(&silent.len()), "{silent:#?}");
    for interval in silent {
        close(interval.seconds, 0.1, 1e-6);
        close(interval.in_flight, 8.0, 0.01);
    }

    let (said, closed) = with_a_stall(&[]);
    assert!(
        closed.latency_ms.p99.unwrap() < 250.0,
        "{:?}",
        closed.latency_ms
    );
    assert!(closed.latency_ms.max >= 440.0, "{:?}", closed.latency_ms);
    assert!(said.contains(CLOSED_LOOP), "{said}");
    intervals_make_up(&closed);
}
