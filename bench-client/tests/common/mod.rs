//! What the cross-process tests share: the real programs in a directory of their own, every
//! wait bounded, every child gone at the end.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bench_client::connector::{Connector, Target, parse_url};
use bench_client::load::{Load, LoadPlan, LoadResult, Measure, Pace};
use bench_client::workload::Zipf;
use busload_engine::{Config, Durability};
use busload_frontend::{Access, Limits, Server, Settings, Transport};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// The longest that any one thing may take before the test calls it a hang.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// Variables that the programs honour: none of the tester's may leak in.
const VARIABLES: [&str; 16] = [
    "SQLITE_FILE",
    "SQLITE_MODE",
    "SQLITE_RPC_PORT",
    "SQLITE_WS_RPC_PORT",
    "SQLITE_WS_RPC_BATCH_SIZE",
    "SQLITE_WS_RPC_BATCH_MS",
    "SQLITE_WS_RPC_BATCHING",
    "SQLITE_WS_RPC_GROUP_COMMIT",
    "SEED_ACCOUNTS",
    "SEED_INITIAL_BALANCE",
    "MAX_INFLIGHT_PER_WORKER",
    "SQLITE_RPC_URL",
    "SQLITE_WS_RPC_URL",
    "RUST_BACKTRACE",
    "BENCH_PIPELINED",
    "GITHUB_STEP_SUMMARY",
];

/// A directory on the file system of the build: a temporary directory may be in memory.
pub(crate) fn directory() -> TempDir {
    tempfile::Builder::new()
        .prefix("busload-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("a directory can be made below target")
}

/// The machine to oneself, among all test binaries that ask for it. Held until dropped.
pub(crate) fn machine() -> File {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("busload-machine.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    let file = file.expect("the lock file can be made");
    file.lock().expect("the lock can be taken");
    file
}

/// A command of `bench-client` in `directory`, with none of the tester's settings.
pub(crate) fn bench_client(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench-client"));
    command.current_dir(directory).stdin(Stdio::null());
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// A port of the loopback address that nobody had a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it is bound").port()
}

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

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
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

/// Waits until `what` gives something.
#[track_caller]
pub(crate) fn until<T>(why: &str, mut what: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = what() {
            return value;
        }
        assert!(
            Instant::now() < deadline,
            "waited {PATIENCE:?} in vain: {why}"
        );
        thread::sleep(Duration::from_millis(10));
    }
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

    pub(crate) fn target(&self) -> Target {
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

/// Files below `directory`, records by default place.
pub(crate) fn records(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory.join("results/runs")) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    // A record that is being written has another name until it is whole.
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.sort();
    files
}

/// The one record of a run.
#[track_caller]
pub(crate) fn record(directory: &Path) -> Value {
    let files = records(directory);
    assert_eq!(files.len(), 1, "{files:?}");
    let text = std::fs::read_to_string(&files[0]).expect("it can be read");
    serde_json::from_str(&text).expect("a record is JSON")
}

/// The rows of a record.
#[track_caller]
pub(crate) fn rows(record: &Value) -> &[Value] {
    record["rows"].as_array().expect("a record has rows")
}

/// The one row of a record.
#[track_caller]
pub(crate) fn row(record: &Value) -> &Value {
    let rows = rows(record);
    assert_eq!(rows.len(), 1);
    &rows[0]
}

/// The codes of a row's verdicts that make it invalid, or of the others.
pub(crate) fn verdicts(row: &Value, invalidating: bool) -> Vec<String> {
    let verdicts = row["verdicts"].as_array().expect("a row has verdicts");
    verdicts
        .iter()
        .filter(|verdict| verdict["invalidates"] == invalidating)
        .map(|verdict| {
            verdict["code"]
                .as_str()
                .expect("a verdict has a code")
                .to_owned()
        })
        .collect()
}

/// The settings of a server in this process: port 0, a database in `directory`.
pub(crate) fn settings(directory: &Path, transport: Transport) -> Settings {
    Settings {
        transport,
        listen: ([127, 0, 0, 1], 0).into(),
        engine: Config {
            database: directory.join(format!("{}.sqlite", transport.as_str())),
            fresh: false,
            durability: Durability::WalFull,
            batch_size: 4096,
            batch_timeout: Duration::ZERO,
            queue_transfers: 1 << 20,
            seed_accounts: 1000,
            seed_balance: 1_000_000,
            initial_balance: None,
            cache_kib: 8192,
            checkpoint_pages: 4000,
            id_horizon: Duration::from_hours(1),
            max_ids: 1 << 20,
            stage_timings: true,
            checkpoint_mode: busload_engine::CheckpointMode::Background,
            log_limit_bytes: 1 << 34,
            probe_interval: std::time::Duration::from_millis(20),
            busy_wait: std::time::Duration::ZERO,
        },
        null: None,
        limits: Limits::standard(),
        access: Access::standard(),
    }
}

/// A server in this process, on a thread and a runtime of its own.
pub(crate) struct InProcess {
    pub(crate) target: Target,
    stop: Option<oneshot::Sender<bool>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl InProcess {
    pub(crate) fn start(settings: Settings) -> Self {
        let (send, started) = std::sync::mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            runtime().block_on(async move {
                let server = Server::start(&settings).expect("the server starts");
                send.send(server.url()).expect("the test waits");
                let (graceful, shutdown) = oneshot::channel::<()>();
                let run = server.run(async {
                    let _ = shutdown.await;
                });
                tokio::pin!(run);
                let gracefully = tokio::select! {
                    _ = &mut run => return,
                    how = stopped => how.unwrap_or(false),
                };
                // Else everything is dropped where it stands, as if the process died.
                if gracefully {
                    let _ = graceful.send(());
                    run.await.expect("it stops without an error");
                }
            });
        });
        let url = started
            .recv_timeout(PATIENCE)
            .expect("the server starts in time");
        let target = parse_url(&url).expect("a server's URL is of the protocol");
        Self {
            target,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn end(&mut self, gracefully: bool) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(gracefully);
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the server panicked");
        }
    }

    /// Drops its connections and everything else, without a word to anybody.
    pub(crate) fn die(mut self) {
        self.end(false);
    }

    /// Stops it gracefully.
    pub(crate) fn stop(mut self) {
        self.end(true);
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.end(false);
    }
}

/// A number of a record.
#[track_caller]
pub(crate) fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

/// A count of a record.
#[track_caller]
pub(crate) fn count(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no count"))
}

/// A runtime of one thread.
pub(crate) fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime can be started")
}

/// What the future comes to, which must not hang.
#[track_caller]
pub(crate) fn within<T>(future: impl Future<Output = T>) -> T {
    let bounded = async { tokio::time::timeout(PATIENCE, future).await };
    runtime().block_on(bounded).expect("nothing hangs")
}

/// Puts a load on whatever the connector leads to, and waits for its end.
#[track_caller]
pub(crate) fn load(connector: impl Connector, plan: LoadPlan) -> LoadResult {
    within(async {
        let load = Load::connect(connector, plan).await.expect("it connects");
        let _ = load.start();
        load.finish().await.expect("it ends")
    })
}

/// Says that a test was passed over. Not by `eprintln`, which the test harness keeps to itself
/// when a test passes.
pub(crate) fn skipped(name: &str, why: &str) {
    let line = format!("skipped {}::{name}: {why}\n", env!("CARGO_CRATE_NAME"));
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("stderr takes a line");
}

/// Whether `strace` can make faults here; else the test says that it was passed over.
pub(crate) fn can_trace(name: &str) -> bool {
    let probe = Command::new("strace")
        .args(["-qq", "-e", "trace=none", "true"])
        .output();
    let can = probe.is_ok_and(|output| output.status.success());
    if !can {
        skipped(name, "strace cannot trace");
    }
    can
}

/// A small closed loop of the load loop's own tests; each changes what it is about.
pub(crate) fn small_load() -> LoadPlan {
    LoadPlan {
        workers: 4,
        max_inflight: 3,
        threads: 1,
        pace: Pace::Closed,
        zipf: Arc::new(Zipf::new(1000, 1.0).expect("a distribution")),
        amount: 1,
        seed: 1,
        warmup: Duration::ZERO,
        measure: Measure::For(Duration::from_millis(100)),
        op_timeout: Duration::from_secs(10),
        exactly_once: None,
        interval: None,
    }
}
