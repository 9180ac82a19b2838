//! Servers that somebody else wrote, as target files: found, installed, checked, measured, and gone
//! afterwards.

mod ends;
mod examples;
mod rows;
mod servers;

use crate::common::{Served, run};
use serde_json::Value;
use servers::Folder;

#[test]
fn targets_are_listed_shown_and_installed_by_name_and_file() {
    let Some(folder) = Folder::with_python("targets_are_listed_shown_and_installed") else {
        return;
    };
    folder.write(
        "mine",
        "untested = true\n[setup]\n\
         commands = [[\"sh\", \"-c\", \"echo setting up; echo done > made\"]]\n\
         [start]\ncommand = [\"server\", \"{port}\"]\n",
    );
    let list = run(&mut folder.bench_client(&["targets", "list"]));
    list.expect_code(0);
    let line = list.stdout.lines().find(|line| line.contains("mine"));
    let line = line.expect("it is listed");
    for says in [
        "sqlite_rpc",
        "durable",
        "own file, untested",
        "a server of the tests",
    ] {
        assert!(line.contains(says), "no '{says}' in {line}");
    }
    let list = run(&mut folder.bench_client(&["targets", "list", "--json", "mine/target.toml"]));
    let list: Value = serde_json::from_str(&list.stdout).expect("JSON");
    let names: Vec<_> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(
        names.iter().filter(|name| **name == "mine").count(),
        2,
        "{names:?}"
    );

    let shown = run(&mut folder.bench_client(&["targets", "show", "mine"]));
    shown.expect_code(0);
    let text = std::fs::read_to_string(folder.path().join("mine/target.toml")).expect("text");
    assert_eq!(shown.stdout, text);

    let made = folder.path().join("mine/made");
    assert!(!made.exists(), "setup runs at install only");
    let installed = run(&mut folder.bench_client(&["targets", "install", "mine"]));
    installed.expect_code(0);
    assert!(
        installed.stderr.contains("setting up"),
        "{}",
        installed.stderr
    );
    assert!(made.exists());

    let missing = run(&mut folder.bench_client(&["targets", "show", "yours"]));
    missing
        .expect_code(2)
        .expect_one_line("there is no target 'yours'");
    folder.write(
        "broken",
        "[setup]\ncommands = [[\"false\"]]\n[start]\ncommand = [\"x\"]\n",
    );
    let broken = run(&mut folder.bench_client(&["targets", "install", "broken"]));
    broken.expect_code(2);
    assert!(
        broken.stderr.contains("target broken: cannot run false"),
        "{}",
        broken.stderr
    );
}

/// What ships is written with all its files, wherever one asks for it.
#[test]
fn a_target_that_ships_can_be_installed_anywhere() {
    let Some(folder) = Folder::with_python("a_target_that_ships_can_be_installed_anywhere") else {
        return;
    };
    let list = run(&mut folder.bench_client(&["targets", "list", "--json"]));
    let list: Value = serde_json::from_str(&list.stdout).unwrap_or_else(|_| Value::Array(vec![]));
    for target in list.as_array().expect("a list") {
        assert_eq!(target["origin"], "shipped");
        let name = target["name"].as_str().expect("a name");
        let text = run(&mut folder.bench_client(&["targets", "show", name]));
        text.expect_code(0);
        // A setup may need what is not here.
        if text.stdout.contains("[setup]") {
            continue;
        }
        let directory = folder.path().join("elsewhere");
        let directory = format!("--dir={}", directory.display());
        let installed = run(&mut folder.bench_client(&["targets", "install", name, &directory]));
        installed.expect_code(0);
        let list = run(&mut folder.bench_client(&["targets", "list", "--json", &directory]));
        assert!(
            list.stdout.contains("\"origin\": \"installed\""),
            "{}",
            list.stdout
        );
    }
}

#[test]
fn a_check_has_a_line_for_each_method_and_says_what_a_missing_one_costs() {
    let Some(folder) = Folder::with_python("a_check_has_a_line_for_each_method") else {
        return;
    };
    folder.write_python("honest", "true", "");
    let checked = run(&mut folder.bench_client(&["targets", "check", "honest"]));
    checked.expect_code(0);
    for says in [
        "pass     seed",
        "pass     transfer",
        "pass     transfer, refused",
        "pass     verify",
        "missing  info",
        "missing  stats                    syncs and batches cannot be counted",
        "missing  transfer_id              --exactly-once",
        "pass     stop",
        "honest can be measured; 3 of the protocol missing",
    ] {
        assert!(
            checked.stdout.contains(says),
            "no '{says}' in {}",
            checked.stdout
        );
    }
    folder.expect_nothing_left();
    assert_eq!(folder.data(), [""; 0].map(std::path::PathBuf::from));

    // It answers ok to everything.
    let script = "import http.server as h, sys\n\
        class H(h.BaseHTTPRequestHandler):\n\
        \x20 protocol_version = 'HTTP/1.1'\n\
        \x20 def do_POST(self):\n\
        \x20  self.rfile.read(int(self.headers['content-length']))\n\
        \x20  self.send_response(200)\n\
        \x20  self.send_header('content-length', '11')\n\
        \x20  self.end_headers()\n\
        \x20  self.wfile.write(b'{\"ok\":true}')\n\
        h.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()";
    std::fs::write(folder.path().join("yes.py"), script).expect("written");
    folder.write(
        "yes",
        "[start]\ncommand = [\"python3\", \"../yes.py\", \"{port}\"]\n",
    );
    let checked = run(&mut folder.bench_client(&["targets", "check", "yes", "--json"]));
    checked.expect_code(1);
    let lines = checked.json();
    let failed = lines
        .as_array()
        .expect("a list")
        .iter()
        .filter(|line| line["verdict"] == "fail");
    assert!(failed.count() > 0, "{lines:#}");
}

/// Without a target it is the protocol of the transfer servers that is checked.
#[test]
fn a_server_at_a_url_is_checked_without_a_target() {
    let folder = Folder::new();
    for transport in ["http", "ws"] {
        let served = Served::bench_client(folder.path(), transport, &["--allow-seed"]);
        let url = format!("--url={}", served.url());
        let checked = run(&mut folder.bench_client(&["targets", "check", &url, "--reseed"]));
        checked.expect_code(0);
        let end = checked.stdout.lines().last().expect("a line");
        assert!(end.ends_with("has all of the protocol"), "{end}");
    }
    let nothing = run(&mut folder.bench_client(&["targets", "check"]));
    nothing.expect_code(2);
    assert!(nothing.stderr.contains("NAME|FILE"), "{}", nothing.stderr);
}

/// Whoever wrote the server is to see what to mend.
#[test]
fn a_failed_line_has_what_was_sent_expected_and_answered() {
    let Some(folder) = Folder::with_python("a_failed_line_has_what_was_sent") else {
        return;
    };
    let check = |name: &str, from: &str, to: &str| {
        folder.write_changed_python(name, from, to);
        let checked = run(&mut folder.bench_client(&["targets", "check", name]));
        checked.expect_code(i32::from(name != "words"));
        checked.stdout
    };
    let balance = check(
        "numbers",
        "\"balance\": str(found[0])",
        "\"balance\": found[0]",
    );
    let words = check("words", "\"account_missing\"", "\"no such account\"");
    let info = "{\"info\": lambda: {\"server\": \"mine\", \"version\": 3}, ";
    let partial = check("partial", "METHODS = {", &format!("METHODS = {info}"));
    for (shown, says) in [
        (&balance, "balance is 1000000 (must be text)"),
        (
            &balance,
            "\n  sent     {\"name\":\"getAccount\",\"args\":{\"id\":0}}\n  expected \
             {\"ok\":true,\"result\":{\"id\":0,\"balance\":\"1000000\"}}\n  came     \
             {\"ok\": true, \"result\": {\"id\": 0, \"balance\": 1000000}}\n",
        ),
        (&words, "missing  transfer, error codes"),
        (
            &words,
            "\n  expected {\"ok\":false,\"error\":\"account_missing\"}\n  came     \
             {\"ok\": false, \"error\": \"no such account\"}\n",
        ),
        (&partial, "FAIL     info"),
        (
            &partial,
            "version is 3 (must be text), transport is missing (text)",
        ),
        (
            &partial,
            "pid is missing (a whole number); or answer unknown_method",
        ),
    ] {
        assert!(shown.contains(says), "no '{says}' in {shown}");
    }
    let checked = run(&mut folder.bench_client(&["targets", "check", "numbers", "--json"]));
    let lines = checked.json();
    let line = lines
        .as_array()
        .and_then(|lines| lines.get(2))
        .expect("a line");
    assert_eq!(
        line["sent"],
        "{\"name\":\"getAccount\",\"args\":{\"id\":0}}"
    );
    assert!(
        line["came"].is_string() && line["expected"].is_string(),
        "{line}"
    );
    assert_eq!(lines[0]["sent"], Value::Null, "a line that passed");
}

#[test]
fn a_target_file_to_begin_with_is_written_once() {
    let folder = Folder::new();
    let init =
        |words: &[&str]| run(&mut folder.bench_client(&[&["targets", "init"], words].concat()));
    let command = "--command=./serve --port {port}";
    let written = init(&["mine", "--connector=sqlite_ws_rpc", command]);
    written.expect_code(0);
    assert_eq!(written.stdout.trim(), "./mine/target.toml");
    assert!(
        written.stderr.contains("targets check ./mine/target.toml"),
        "{}",
        written.stderr
    );
    let file = folder.path().join("mine/target.toml");
    let text = std::fs::read_to_string(&file).expect("it is there");
    assert!(
        text.contains("command = [\"./serve\", \"--port\", \"{port}\"]"),
        "{text}"
    );
    // By its name where targets are, which this folder is here.
    let list = run(&mut folder.bench_client(&["targets", "list", "--json"]));
    assert!(
        list.stdout.contains("\"name\": \"mine\""),
        "{}",
        list.stdout
    );
    for (words, says) in [
        (
            &["mine"][..],
            "./mine/target.toml exists: edit it, or give another name or --dir",
        ),
        (&["Mine"], "'Mine' is not a name"),
        (
            &["other", "--command=./serve"],
            "--command needs {port} in it",
        ),
        (
            &["other", "--command=./serve {prot} {port}"],
            "'{prot}' is not a placeholder",
        ),
    ] {
        init(words).expect_code(2).expect_one_line(says);
    }
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), text);
    assert!(!folder.path().join("other").exists() && !folder.path().join("Mine").exists());
}

#[test]
fn what_is_wrong_with_a_target_file_is_said_in_one_line() {
    let Some(folder) = Folder::with_python("what_is_wrong_with_a_target_file") else {
        return;
    };
    folder.write("key", "colour = \"red\"\n[start]\ncommand = [\"x\"]\n");
    folder.write("hole", "[start]\ncommand = [\"x\", \"{prot}\"]\n");
    for (target, says) in [
        ("key", "key/target.toml, line 6: unknown field 'colour'"),
        (
            "./hole/target.toml",
            "./hole/target.toml: start.command: '{prot}' is not a placeholder",
        ),
    ] {
        for words in [
            vec!["run", "--target", target],
            vec!["compare", "sqlite_rpc", target],
            vec!["sweep", "--over", "alpha=0,1", "--target", target],
            vec!["torture", "--target", target],
            vec!["targets", "check", target],
            vec!["targets", "show", target],
        ] {
            let ended = run(&mut folder.bench_client(&words));
            ended.expect_code(2).expect_one_line(says);
        }
    }
    folder.write("good", "[start]\ncommand = [\"x\"]\n");
    for (words, says) in [
        (
            vec!["--target=good", "--connector=sqlite_rpc"],
            "says its own connector",
        ),
        (
            vec!["--target=good", "--queue=5"],
            "--queue is a knob of this program's own",
        ),
        (
            vec!["--target=good", "--reseed"],
            "a fresh ledger for each run",
        ),
        (
            vec!["--target=good", "--url=http://127.0.0.1:1"],
            "says itself where it listens",
        ),
        (
            vec!["--target=good", "--server-command=x"],
            "--server-command",
        ),
        (vec!["--server-command=x y"], "needs --url"),
        (vec!["--server-command=a 'b {port}"], "quotation mark"),
        (vec!["--server-cpus=1023"], "there is no CPU 1023"),
        (vec!["--target=postgres"], "there is no target 'postgres'"),
    ] {
        let ended = folder.run(&words);
        ended.expect_code(2).expect_one_line(says);
    }
}
