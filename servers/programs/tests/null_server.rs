//! The null server as a process: what it says of itself, and that it stores nothing.

#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

const ANSWER_TIMEOUT: Duration = Duration::from_mins(5);
const HTTP: &str = env!("CARGO_BIN_EXE_sqlite-rpc-server");
const WS: &str = env!("CARGO_BIN_EXE_sqlite-ws-rpc-server");

/// Killed when dropped.
struct Server {
    child: Child,
    _stdout: BufReader<ChildStdout>,
    line: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(program: &str, directory: &Path, flags: &[&str]) -> Server {
    let mut child = Command::new(program)
        .current_dir(directory)
        .args(["--port=0", "--accounts=100", "--null-server"])
        .args(flags)
        .env_remove("SQLITE_FILE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server can be started");
    let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("it announces itself");
    Server {
        child,
        _stdout: stdout,
        line,
    }
}

impl Server {
    /// One call over HTTP on a connection of its own.
    fn call(&self, request: &Value) -> Value {
        let authority = self.line.split('/').nth(2).expect("an address");
        let mut stream = TcpStream::connect(authority).expect("it listens");
        stream
            .set_read_timeout(Some(ANSWER_TIMEOUT))
            .expect("it can be set");
        let body = request.to_string();
        write!(
            stream,
            "POST /rpc HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    }
}

#[test]
fn a_null_server_answers_without_a_file_and_says_so() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = start(
        HTTP,
        directory.path(),
        &["--null-apply=550ns", "--null-sync=2ms"],
    );
    assert!(
        server
            .line
            .contains("durability null (answers without a database)"),
        "{}",
        server.line
    );
    let info = server.call(&json!({"name": "info"}))["result"].clone();
    assert_eq!(info["server"], "sqlite-rpc-server");
    assert_eq!(info["durability"], "null");
    assert_eq!(info["database"], "none");
    assert_eq!(info["pragmas"], json!({}));
    assert_eq!(info["apply"], Value::Null, "it applies nothing");
    let transfer = json!({"name": "transfer", "args": {"from_id": 0, "to_id": 99, "amount": 1}});
    assert_eq!(server.call(&transfer), json!({"ok": true}));
    let verified = server.call(&json!({"name": "verify"}));
    assert_eq!(verified["result"], json!({"skipped": true}));
    let stats = server.call(&json!({"name": "stats"}))["result"].clone();
    assert_eq!(
        (&stats["committed"], &stats["applied"]),
        (&json!(1), &json!(0))
    );
    let slept = stats["transfer_stages"]["sync_ns"]["sum"].as_u64();
    assert!(slept.expect("a number") >= 2_000_000, "{slept:?}");
    let files = directory.path().read_dir().expect("it is there").count();
    assert_eq!(files, 0, "not even a data directory");
}

#[test]
fn a_null_server_stops_when_it_is_told() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut server = start(WS, directory.path(), &[]);
    assert!(server.line.contains("ws://"), "{}", server.line);
    let pid = i32::try_from(server.child.id()).expect("process ids fit");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
    let status = server.child.wait().expect("it is our child");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn timings_can_be_switched_off() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = start(HTTP, directory.path(), &["--no-stage-timings"]);
    let transfer = json!({"name": "transfer", "args": {"from_id": 0, "to_id": 99, "amount": 1}});
    assert_eq!(server.call(&transfer), json!({"ok": true}));
    let stats = json!({"name": "stats", "args": {"histograms": false}});
    let stats = server.call(&stats)["result"].clone();
    assert_eq!(
        (&stats["committed"], &stats["batches"]),
        (&json!(1), &json!(1))
    );
    for stage in ["read_ns", "apply_ns", "reply_ns"] {
        let counted = &stats["transfer_stages"][stage]["count"];
        assert_eq!(counted, &json!(0), "{stage}");
    }
}

#[test]
fn the_null_servers_flags_need_the_null_server() {
    for program in [HTTP, WS] {
        for flags in [
            ["--null-apply=550ns", "--port=0"],
            ["--null-sync=80us", "--port=0"],
            ["--null-server", "--null-sync=80"],
            ["--null-server", "--null-apply=2m"],
        ] {
            let output = Command::new(program)
                .args(flags)
                .current_dir(env!("CARGO_TARGET_TMPDIR"))
                .stdin(Stdio::null())
                .output()
                .expect("it can be started");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{flags:?}: {said}");
            assert!(said.contains("--null-"), "{flags:?}: {said}");
            assert!(output.stdout.is_empty(), "{flags:?}");
        }
    }
}
