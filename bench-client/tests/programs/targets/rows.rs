//! Rows of servers that somebody else wrote.

use busload_frontend::Transport;
use serde_json::{Value, json};

use crate::common::{InProcess, row, run, settings, within};
use crate::targets::servers::Folder;

#[test]
fn a_row_says_whose_server_it_is_and_nothing_of_where() {
    let Some(folder) = Folder::with_python("a_row_says_whose_server_it_is") else {
        return;
    };
    folder.write_python("mine", "true", "");
    let ended = folder.run(&["--target=mine", "--json"]);
    ended.expect_code(0);
    let record = ended.json();
    let row = row(&record);
    assert_eq!(row["valid"], true, "{row:#}");
    assert_eq!(row["connector"], "sqlite_rpc");
    let target = &row["target"];
    assert_eq!(
        (&target["kind"], &target["about"]["name"]),
        (&json!("command"), &json!("mine"))
    );
    assert_eq!(target["about"]["durability"], "durable");
    assert_eq!(target["about"]["labels"], json!({"runtime": "python"}));
    let version = target["about"]["version"].as_str().expect("it was asked");
    assert!(version.starts_with("Python 3"), "{version}");
    for hidden in ["start", "url", "data_dir", "approach"] {
        assert_eq!(target[hidden], "redacted");
    }
    let path = folder.path().display().to_string();
    let shown = serde_json::to_string(&row).expect("JSON");
    assert!(!shown.contains(&path), "{path} is in the row");

    // What is asked of the disk and of the process is there as for a server of our own.
    assert!(
        row["sync_baseline"]["before"].is_object(),
        "{}",
        row["sync_baseline"]
    );
    assert!(row["cpu"]["server_s"].as_f64().expect("CPU time") > 0.0);
    assert!(row["verify"]["conserved"] == true, "{}", row["verify"]);
    let end = &row["server_end"];
    assert_eq!(
        (&end["asked_by"], &end["signal"]),
        (&json!("SIGTERM"), &json!("SIGTERM"))
    );
    folder.expect_nothing_left();
    assert_eq!(
        folder.data().len(),
        0,
        "a fresh folder, and gone: {:?}",
        folder.data()
    );

    let shown = folder.run(&["--target=mine", "-v"]);
    shown.expect_code(0);
    assert!(
        shown
            .stdout
            .contains("mine (json), durability promised: durable"),
        "{}",
        shown.stdout
    );
    folder.run(&["--target=mine", "--keep"]).expect_code(0);
    let kept = folder.data();
    assert!(
        kept.iter().any(|path| path.join("ledger.sqlite").exists()),
        "{kept:?}"
    );
}

/// Its ledger is not in the folder of the run: it has the right accounts, and in them what an
/// earlier run has moved.
#[test]
fn a_ledger_that_an_earlier_run_left_is_wiped() {
    let folder = Folder::new();
    let program = env!("CARGO_BIN_EXE_bench-client");
    let ledger = folder.path().join("kept.sqlite");
    let start = format!(
        "[start]\ncommand = [{program:?}, \"serve\", \"http\", \"--port\", \"{{port}}\", \
         \"--database\", {ledger:?}, \"--allow-seed\"]\n"
    );
    folder.write("kept", &start);
    for _ in 0..2 {
        let ended = folder.run(&["--targets=kept", "--json"]);
        ended.expect_code(0);
        assert_eq!(row(&ended.json())["valid"], true);
    }
    assert!(ledger.exists());
}

#[test]
fn sides_and_benchmarks_have_the_names_of_their_targets() {
    let Some(folder) = Folder::with_python("sides_and_benchmarks_have_names") else {
        return;
    };
    folder.write_python("one", "true", "");
    folder.write_python("two", "true", "");
    let compared = run(&mut folder.bench_client(&[
        "compare",
        "one",
        "./two",
        "--rounds=2",
        "--duration=0.3",
        "--warmup=0.1",
        "--accounts=1000",
        "--concurrency=4",
        "--output=both.json",
    ]));
    compared.expect_code(0);
    assert!(compared.stdout.contains("server"), "{}", compared.stdout);
    let text = std::fs::read_to_string(folder.path().join("both.json")).expect("a record");
    let record: Value = serde_json::from_str(&text).expect("JSON");
    let differences = record["differences"].to_string();
    assert!(
        differences.contains("\"one\"") && differences.contains("\"two\""),
        "{record:#}"
    );
    // Those of gobench have no connector: its sides must have the same names.
    for format in ["junit", "bmf", "md"] {
        let report = run(&mut folder.bench_client(&["report", "both.json", "--format", format]));
        report.expect_code(0);
        assert!(report.stdout.contains("two"), "{format}: {}", report.stdout);
    }
    folder.expect_nothing_left();

    let both = folder.run(&["--target=sqlite_rpc,one", "--json"]);
    both.expect_code(0);
    let record = both.json();
    let rows = record["rows"].as_array().expect("rows");
    let kinds: Vec<&Value> = rows.iter().map(|row| &row["target"]["kind"]).collect();
    assert_eq!(kinds, ["built-in", "command"]);
    assert_ne!(rows[0]["fingerprint"], rows[1]["fingerprint"]);
}

#[test]
fn a_command_is_a_target_by_itself() {
    let Some(folder) = Folder::with_python("a_command_is_a_target_by_itself") else {
        return;
    };
    let server = crate::targets::servers::example("python").join("server.py");
    std::fs::copy(server, folder.path().join("short.py")).expect("copied");
    let command = "--server-command=python3 short.py {port} {database}";
    let ended = folder.run(&[command, "--connector=sqlite_rpc", "--json"]);
    ended.expect_code(0);
    let record = ended.json();
    let about = &row(&record)["target"]["about"];
    assert_eq!(
        (&about["name"], &about["durability"]),
        (&json!("short"), &json!("not told"))
    );
}

/// Of a bare command it is not known which transport its server speaks.
#[test]
fn a_server_that_speaks_http_and_is_approached_by_websocket_is_recognised() {
    let name = "a_server_that_speaks_http_and_is_approached_by_websocket_is_recognised";
    let Some(folder) = Folder::with_python(name) else {
        return;
    };
    let server = crate::targets::servers::example("python").join("server.py");
    let server = server.display();
    let command = format!("--server-command=python3 {server} {{port}} {{database}}");
    let of_command = folder.run(&[&command]);
    let running = InProcess::start(settings(folder.path(), Transport::Http));
    let of_url = folder.run(&[&format!("--url=ws://{}", running.target.authority)]);
    for ended in [of_command, of_url] {
        ended.expect_code(5).expect_one_line(
            "if it speaks HTTP, its connector is sqlite_rpc: --connector sqlite_rpc, and http:// in \
             a URL",
        );
    }
}

#[test]
fn a_server_that_runs_already_is_wiped_only_when_asked() {
    let Some(folder) = Folder::with_python("a_server_that_runs_already_is_wiped_only_when_asked")
    else {
        return;
    };
    let directory = crate::common::directory();
    let served = InProcess::start(settings(directory.path(), Transport::Http));
    let url = served.target.url("http");
    folder.write("there", &format!("[connect]\nurl = \"{url}\"\n"));
    let balance = |account| {
        within(async {
            let mut control = bench_client::control::ControlClient::new(
                bench_client::config::ConnectorKind::SqliteRpc,
                served.target.clone(),
            );
            control.balance(account).await.expect("an answer")
        })
    };
    let ended = folder.run(&["--target=there", "--amount=1000", "--json"]);
    ended.expect_code(0);
    let record = ended.json();
    assert_eq!(row(&record)["target"]["about"]["name"], "there");
    assert_eq!(row(&record)["target"]["url"], "redacted");
    let touched = (0..1000).find(|account| balance(*account) != Some(1_000_000));
    let touched = touched.expect("money was moved");
    let before = balance(touched);
    let checked = run(&mut folder.bench_client(&["targets", "check", "there"]));
    checked.expect_code(0);
    assert!(
        checked.stdout.contains("skipped  seed"),
        "{}",
        checked.stdout
    );
    assert!(before.is_some());
    let total = || (0..1000).filter_map(balance).sum::<i64>();
    assert_eq!(total(), 1_000_000_000, "it is the same ledger");
    let wiped = folder.run(&["--target=there", "--reseed", "--initial-balance=5000"]);
    wiped.expect_code(0);
    assert_eq!(total(), 5_000_000);
}

#[test]
fn server_and_client_are_kept_on_their_cpus() {
    let Some(folder) = Folder::with_python("server_and_client_are_kept_on_their_cpus") else {
        return;
    };
    let all = std::fs::read_to_string("/proc/self/status").expect("text");
    let all = all
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let all: bench_client::config::Cpus = all.expect("a line").trim().parse().expect("a set");
    let all: Vec<usize> = all.numbers().collect();
    let [first, .., last] = all[..] else {
        crate::common::skipped(
            "server_and_client_are_kept_on_their_cpus",
            "there is one CPU",
        );
        return;
    };
    folder.write_python("mine", "grep Cpus_allowed_list /proc/$$/status > cpus", "");
    let ended = folder.run(&[
        "--target=mine",
        &format!("--server-cpus={first}"),
        &format!("--client-cpus={last}"),
        "--json",
    ]);
    ended.expect_code(0);
    let cpus = std::fs::read_to_string(folder.path().join("mine/cpus")).expect("noted");
    assert_eq!(
        cpus.split_whitespace().last(),
        Some(first.to_string().as_str())
    );
    let record = ended.json();
    let row = row(&record);
    assert_eq!(row["server_cpus"], first.to_string());
    assert_eq!(row["client_cpus"], last.to_string());
}

#[test]
fn a_target_is_audited_like_any_server() {
    let Some(folder) = Folder::with_python("a_target_is_audited_like_any_server") else {
        return;
    };
    folder.write_python("mine", "true", "");
    let ended = run(&mut folder.bench_client(&[
        "torture",
        "--target=mine",
        "--faults=kill",
        "--kills=2",
        "--cycle-time=0.5",
        "--concurrency=4",
        "--inflight=1",
        "--json",
    ]));
    ended.expect_code(0);
    let record = ended.json();
    assert_eq!(record["kills"], 2, "{record:#}");
    assert_eq!(
        (&record["lost"], &record["applied_twice"]),
        (&json!(0), &json!(0))
    );
    folder.expect_nothing_left();
}
