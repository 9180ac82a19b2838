//! Following a measurement while it runs: interval lines, and the view in a pseudo-terminal.
//! However the program ends, the terminal is as it was.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{
    Directory, PATIENCE, Running, bench_client, directory, record, records, row, run, until,
};
use nix::errno::Errno;
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::Pid;
use serde_json::{Value, json};

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
const HIDE: &str = "\x1b[?25l";
const SHOW: &str = "\x1b[?25h";

/// A small load without a warm-up: when transfers are committed, the window is open.
const SMALL: [&str; 7] = [
    "run",
    "--warmup=0",
    "--accounts=1000",
    "--concurrency=4",
    "--interval=250ms",
    "--no-null-server",
    "--tui",
];

/// The program in a pseudo-terminal that is its standard input, output and error.
struct InTerminal {
    child: Child,
    terminal: File,
    /// The program's end of it, to ask for its modes.
    slave: OwnedFd,
    before: Termios,
    said: Arc<Mutex<Vec<u8>>>,
    directory: Directory,
}

/// What is left of it.
struct Left {
    code: Option<i32>,
    said: String,
    directory: Directory,
}

impl InTerminal {
    fn start(flags: &[&str], columns: u16, lines: u16, change: impl Fn(&mut Command)) -> Self {
        let directory = directory();
        let size = Winsize {
            ws_row: lines,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None).expect("there are pseudo-terminals");
        let before = tcgetattr(&pty.slave).expect("it is a terminal");
        let stream = || Stdio::from(pty.slave.try_clone().expect("it can be shared"));
        let program = bench_client(directory.path());
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program());
        command.args(SMALL).args(flags);
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .current_dir(directory.path())
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .stdin(stream())
            .stdout(stream())
            .stderr(stream());
        change(&mut command);
        let child = command.spawn().expect("setsid is there");
        let terminal = File::from(pty.master);
        let said = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, gathered) = (
            terminal.try_clone().expect("it can be shared"),
            Arc::clone(&said),
        );
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                let mut gathered = gathered.lock().expect("nobody panics with it");
                gathered.extend_from_slice(&bytes[..count]);
            }
        });
        Self {
            child,
            terminal,
            slave: pty.slave,
            before,
            said,
            directory,
        }
    }

    fn said(&self) -> String {
        let said = self.said.lock().expect("nobody panics with it");
        String::from_utf8_lossy(&said).into_owned()
    }

    fn press(&mut self, keys: &str) {
        self.terminal
            .write_all(keys.as_bytes())
            .expect("it is open");
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("process ids fit");
        kill(Pid::from_raw(pid), signal).expect("it runs");
    }

    /// Waits for the end of a program that says something then, and checks that the terminal is
    /// as it was.
    #[track_caller]
    fn wait(self) -> Left {
        self.wait_and(|_| {})
    }

    /// [`Self::wait`] for a program that says nothing at its end.
    #[track_caller]
    fn wait_for_code(self) -> Left {
        self.wait_and(|slave| {
            let mut slave = File::from(slave.try_clone().expect("it can be shared"));
            slave.write_all(b"\n").expect("it is open");
        })
    }

    /// Does something when the program has ended, after all that it said.
    #[track_caller]
    fn wait_and(mut self, last: impl Fn(&OwnedFd)) -> Left {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break status;
            }
            assert!(Instant::now() < deadline, "no end: {:?}", self.said());
            thread::sleep(Duration::from_millis(10));
        };
        let after = tcgetattr(&self.slave).expect("it is a terminal");
        assert_eq!(after, self.before, "out of raw mode");
        last(&self.slave);
        // The terminal hands on what it was given in its own time.
        until("the screen is left", || {
            let said = self.said();
            (said.matches(LEAVE).count() == said.matches(ENTER).count() && said.ends_with('\n'))
                .then_some(())
        });
        let said = self.said();
        assert!(!said.contains("panicked"), "{said}");
        if let Some(left) = said.rfind(LEAVE) {
            assert!(said.rfind(ENTER) < Some(left), "{said:?}");
            assert!(said.rfind(HIDE) < said.rfind(SHOW), "{said:?}");
        }
        Left {
            code: status.code(),
            said,
            directory: std::mem::replace(&mut self.directory, directory()),
        }
    }
}

impl Drop for InTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Left {
    /// The view was there, and this is what was printed after it.
    #[track_caller]
    fn after_the_view(&self) -> &str {
        assert_eq!(self.said.matches(ENTER).count(), 1, "{:?}", self.said);
        let (_, after) = self.said.split_once(LEAVE).expect("it was left");
        after
    }
}

/// Waits until some intervals of the window are over.
#[track_caller]
fn measures(directory: &Path) {
    let log = directory.join(".data/busload-ws.sqlite-wal");
    until("the first transfers are committed", || {
        let length = std::fs::metadata(&log).ok()?.len();
        (length > 64 * 1024).then_some(())
    });
    thread::sleep(Duration::from_millis(900));
}

fn intervals(row: &Value) -> &[Value] {
    row["intervals"].as_array().expect("a row has intervals")
}

#[track_caller]
fn is_recorded_as_interrupted(directory: &Path) {
    let record = record(directory);
    let row = row(&record);
    assert_eq!(
        (&row["interrupted"], &row["valid"]),
        (&json!(true), &json!(true))
    );
    assert!(row["committed"].as_u64() > Some(0));
    let seconds = row["seconds"].as_f64().expect("it is a number");
    assert!(seconds < 60.0, "the window as long as it was: {seconds}");
    let intervals = intervals(row);
    assert!(intervals.len() > 1, "{intervals:?}");
    let committed: u64 = intervals
        .iter()
        .filter_map(|interval| interval["committed"].as_u64())
        .sum();
    assert_eq!(row["committed"].as_u64(), Some(committed), "all of them");
}

#[test]
fn the_report_comes_after_the_view() {
    let left = InTerminal::start(&["--duration=1"], 100, 30, |_| {}).wait();
    assert_eq!(left.code, Some(0), "{:?}", left.said);
    let report = left.after_the_view();
    let before = &left.said[..left.said.len() - report.len()];
    assert!(report.contains(" transfers per second"), "{report:?}");
    assert!(
        !before.contains("transfers per second"),
        "held back: {before:?}"
    );
    // A cell that stays as it was is not drawn again: words, not lines.
    for word in ["sqlite_ws_rpc", "TPS", "mean", "wal-full", "sync"] {
        assert!(before.contains(word), "{word} is drawn: {before:?}");
    }
    assert!(before.contains("\x1b[38;5;"), "in colour: {before:?}");
    let record = record(left.directory.path());
    assert_eq!(row(&record)["interrupted"], json!(false));
    assert_eq!(intervals(row(&record)).len(), 4);
}

#[test]
fn a_key_ends_the_window_as_a_signal_does() {
    for key in ["q", "\x03"] {
        let mut program = InTerminal::start(&["--duration=300"], 80, 24, |_| {});
        measures(program.directory.path());
        program.press(key);
        let left = program.wait();
        assert_eq!(left.code, Some(130), "{key:?}: {:?}", left.said);
        assert!(left.after_the_view().contains("VALID"), "{:?}", left.said);
        is_recorded_as_interrupted(left.directory.path());
    }
}

#[test]
fn a_signal_ends_the_window_and_the_view() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let program = InTerminal::start(&["--duration=300"], 80, 24, |_| {});
        measures(program.directory.path());
        program.signal(signal);
        let left = program.wait();
        assert_eq!(left.code, Some(130), "{signal}: {:?}", left.said);
        assert!(left.after_the_view().contains("VALID"), "{:?}", left.said);
        is_recorded_as_interrupted(left.directory.path());
    }
}

/// The server has stopped, so the first key waits for answers in vain.
#[test]
fn the_second_key_quits_at_once() {
    let mut program = InTerminal::start(&["--duration=300"], 80, 24, |_| {});
    measures(program.directory.path());
    let children = format!("/proc/{0}/task/{0}/children", program.child.id());
    let children = std::fs::read_to_string(children).expect("it runs");
    let server = children.split_whitespace().next().expect("it has a server");
    let server = Pid::from_raw(server.parse().expect("a process id"));
    kill(server, Signal::SIGSTOP).expect("it runs");
    program.press("q");
    // Sooner would be the same wish.
    thread::sleep(Duration::from_millis(800));
    program.press("q");
    let left = program.wait_for_code();
    assert_eq!(left.code, Some(130), "{:?}", left.said);
    let there = kill(server, None);
    assert_eq!(there, Err(Errno::ESRCH), "the server was not left behind");
    left.after_the_view();
    assert!(records(left.directory.path()).is_empty());
}

#[test]
fn an_error_is_seen_after_the_view() {
    let flags = ["--duration=1", "--url=ws://127.0.0.1:1"];
    let left = InTerminal::start(&flags, 80, 24, |_| {}).wait();
    assert_eq!(left.code, Some(5), "{:?}", left.said);
    assert!(
        left.after_the_view().contains("cannot connect to "),
        "{:?}",
        left.said
    );
}

#[test]
fn a_tiny_terminal_and_no_colours() {
    let left = InTerminal::start(&["--duration=1"], 20, 5, |command| {
        command.env("NO_COLOR", "1");
    })
    .wait();
    assert_eq!(left.code, Some(0), "{:?}", left.said);
    let report = left.after_the_view();
    let view = &left.said[..left.said.len() - report.len()];
    assert!(view.contains("TPS") && view.contains("now"), "{view:?}");
    assert!(!view.contains("\x1b[38;5;"), "{view:?}");
}

#[test]
fn json_on_standard_output_goes_with_the_view() {
    let out = directory();
    let path = out.path().join("record.json");
    let left = InTerminal::start(&["--duration=1", "--json"], 80, 24, |command| {
        command.stdout(File::create(&path).expect("it can be made"));
    })
    .wait_for_code();
    assert_eq!(left.code, Some(0), "{:?}", left.said);
    left.after_the_view();
    let printed = std::fs::read_to_string(&path).expect("it is there");
    let printed: Value = serde_json::from_str(&printed).expect("JSON and nothing else");
    assert_eq!(printed, record(left.directory.path()));
}

#[test]
fn without_a_terminal_there_are_lines() {
    let directory = directory();
    let ended = run(bench_client(directory.path())
        .args(SMALL)
        .arg("--duration=1"));
    ended.expect_code(0);
    assert!(!ended.stderr.contains('\x1b'), "{}", ended.stderr);
    let warning = "warning: no terminal view: standard error is not a terminal";
    assert!(ended.stderr.contains(warning), "{}", ended.stderr);
    assert_eq!(lines(&ended.stderr), 4, "{}", ended.stderr);
}

/// Interval lines in what was said.
fn lines(said: &str) -> usize {
    let is_interval = |line: &&str| line.contains(" TPS  p50 ") && line.contains(" in flight ");
    said.lines().filter(is_interval).count()
}

#[test]
fn every_interval_is_a_line_on_standard_error() {
    let directory = directory();
    let flags = SMALL.iter().filter(|flag| **flag != "--tui");
    let ended = run(bench_client(directory.path()).args(flags).args([
        "--duration=1.25",
        "--runs=2",
        "-P",
        "0.5",
    ]));
    ended.expect_code(0);
    let record = record(directory.path());
    for row in crate::common::rows(&record) {
        assert_eq!(intervals(row).len(), 3, "the last one is short");
    }
    let said: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(said.len(), 10, "{said:#?}");
    for (number, titled) in (1..).zip(said.chunks(5)) {
        assert_eq!(titled[0], format!("row {number} of 2, sqlite_ws_rpc"));
        assert_eq!(lines(&titled[1..].join("\n")), 3);
        assert!(
            titled[4].starts_with(&format!("{number} of 2 ")),
            "{titled:?}"
        );
        assert!(titled[1].starts_with("    0.5 s"), "{titled:?}");
        assert!(titled[3].starts_with("    1.2 s"), "{titled:?}");
    }
    assert!(!ended.stdout.contains("in flight 16  "), "only there");
}

#[test]
fn lines_need_intervals() {
    let directory = directory();
    let ended = run(bench_client(directory.path()).args(["run", "-P", "--no-intervals"]));
    ended.expect_code(2);
    assert!(ended.stderr.contains("--no-intervals"), "{}", ended.stderr);
}

/// What a person who has pressed Ctrl-C does not want to wait for.
#[test]
fn nothing_is_measured_after_an_interruption() {
    let directory = directory();
    let flags = SMALL
        .iter()
        .filter(|flag| !["--tui", "--no-null-server"].contains(*flag));
    let mut command = bench_client(directory.path());
    let client = Running::start(command.args(flags).args(["--duration=300", "-P"]));
    measures(directory.path());
    client.signal(Signal::SIGINT);
    let ended = client.wait();
    ended.expect_code(130);
    is_recorded_as_interrupted(directory.path());
    let record = record(directory.path());
    let row = row(&record);
    assert!(row["generator"].is_object(), "{}", row["generator"]);
    assert_eq!(row["generator"]["ceiling_tps"], Value::Null);
    assert_eq!(lines(&ended.stderr), intervals(row).len(), "also the last");
}
