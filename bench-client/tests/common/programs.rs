//! The real programs as processes, every one gone at the end.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bench_client::connector::{Endpoint, parse_url};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::{PATIENCE, bench_client, until};

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Fails unless the program ended with `code`, and shows what it said.
    #[track_caller]
    pub(crate) fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(self.code(), Some(code), "{self:#?}");
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// Fails unless all that it said is the one line of an error, which holds `says` and names
    /// nothing that nobody wrote.
    #[track_caller]
    pub(crate) fn expect_one_line(&self, says: &str) {
        assert_eq!(self.stderr.lines().count(), 1, "one line: {}", self.stderr);
        assert!(self.stderr.starts_with("error: "), "{}", self.stderr);
        assert!(!self.stderr.contains("--env-"), "{}", self.stderr);
        let text = &self.stderr;
        assert!(text.contains(says), "no '{says}' in {text}");
        assert_eq!(self.stdout, "");
    }

    /// The record that `--json` printed, and nothing else.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

fn gather(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A program that runs; killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Option<thread::JoinHandle<String>>,
    stderr: Option<thread::JoinHandle<String>>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let stdout = child.stdout.take().map(gather);
        let stderr = child.stderr.take().map(gather);
        Self {
            child,
            stdout,
            stderr,
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process ids fit"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let said = self
                    .stderr
                    .take()
                    .map(|said| said.join().unwrap_or_default());
                panic!("no end within {PATIENCE:?}: {said:?}");
            }
            thread::sleep(Duration::from_millis(10));
        };
        let text = |gathered: &mut Option<thread::JoinHandle<String>>| {
            gathered
                .take()
                .and_then(|text| text.join().ok())
                .unwrap_or_default()
        };
        Ended {
            status,
            stdout: text(&mut self.stdout),
            stderr: text(&mut self.stderr),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Ended {
    Running::start(command).wait()
}

/// Whether a process is there and not a zombie.
pub(crate) fn is_alive(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .any(|line| line.starts_with("State:") && !line.contains('Z'))
}

/// The server that a running `bench-client` has started.
#[track_caller]
pub(crate) fn server_of(client: &Running) -> Pid {
    let path = format!("/proc/{0}/task/{0}/children", client.pid());
    until("the server is started", || {
        let children = std::fs::read_to_string(&path).ok()?;
        children
            .split_whitespace()
            .next()?
            .parse()
            .ok()
            .map(Pid::from_raw)
    })
}

/// `bench-client serve`, or any other program that prints its address first; killed when
/// dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) announced: String,
}

impl Served {
    /// Starts it and reads its first line.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let stderr = child.stderr.take().map(gather);
        let stdout = child.stdout.take().expect("it is piped");
        let (send, first) = std::sync::mpsc::sync_channel(1);
        thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = String::new();
            let _ = reader.read_line(&mut line);
            let _ = send.send(line);
            // Whatever else it says must find a reader.
            let _ = reader.read_to_end(&mut Vec::new());
        });
        let announced = first.recv_timeout(PATIENCE).unwrap_or_default();
        if announced.is_empty() {
            let _ = child.kill();
            let said = stderr.map(|said| said.join().unwrap_or_default());
            panic!("the server did not start: {said:?}");
        }
        Self { child, announced }
    }

    /// `bench-client serve TRANSPORT` on a free port.
    #[track_caller]
    pub(crate) fn bench_client(directory: &Path, transport: &str, flags: &[&str]) -> Self {
        let mut command = bench_client(directory);
        command
            .args(["serve", transport, "--port", "0"])
            .args(flags);
        Self::start(&mut command)
    }

    pub(crate) fn url(&self) -> String {
        let mut words = self.announced.split_whitespace();
        words
            .find(|word| word.contains("://"))
            .expect("it announces its URL")
            .to_owned()
    }

    pub(crate) fn target(&self) -> Endpoint {
        parse_url(&self.url()).expect("it announces a URL of the protocol")
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process ids fit"))
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and the exit code.
    #[track_caller]
    pub(crate) fn terminate(mut self) -> Option<i32> {
        kill(self.pid(), Signal::SIGTERM).expect("it runs");
        until("the server stops", || {
            self.child.try_wait().expect("it is our child")
        })
        .code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
