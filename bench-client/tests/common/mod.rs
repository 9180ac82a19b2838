//! What the cross-process tests share: the real programs in a directory of their own, every
//! wait bounded, every child gone at the end.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its own part"
)]

mod in_process;
mod peer;
mod programs;
mod records;

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::ops::Deref;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use bench_client::config::{Measure, Pace, Shard};
use bench_client::connector::Connector;
use bench_client::load::{Load, LoadPlan, LoadResult};
use bench_client::workload::Zipf;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) use in_process::*;
pub(crate) use peer::*;
pub(crate) use programs::*;
pub(crate) use records::*;

/// The longest that any one thing may take before the test calls it a hang.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// Variables that the programs honour: none of the tester's may leak in.
const VARIABLES: [&str; 18] = [
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
    "BUSLOAD_ENGINE",
    "PGPASSWORD",
];

/// A directory of a test's own. As long as it is there the test has the machine together with
/// others, and with none that has it to [itself](machine).
pub(crate) struct Directory {
    directory: TempDir,
    _machine: Arc<File>,
}

impl Deref for Directory {
    type Target = TempDir;

    fn deref(&self) -> &TempDir {
        &self.directory
    }
}

thread_local! {
    /// The lock on the machine that this thread holds already: a second one would wait for it.
    static HELD: RefCell<Weak<File>> = const { RefCell::new(Weak::new()) };
}

/// A directory on the file system of the build: a temporary directory may be in memory.
pub(crate) fn directory() -> Directory {
    let held = HELD.with_borrow(Weak::upgrade);
    Directory {
        _machine: held.unwrap_or_else(|| lock(File::lock_shared)),
        directory: tempfile::Builder::new()
            .prefix("busload-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a directory can be made below target"),
    }
}

/// The machine to oneself, before the first [`directory`]: for what compares figures. Held until
/// dropped.
pub(crate) fn machine() -> Arc<File> {
    let held = HELD.with_borrow(Weak::upgrade);
    assert!(held.is_none(), "machine() comes before directory()");
    lock(File::lock)
}

fn lock(how: impl FnOnce(&File) -> std::io::Result<()>) -> Arc<File> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("busload-machine.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    let file = file.expect("the lock file can be made");
    how(&file).expect("the lock can be taken");
    let file = Arc::new(file);
    HELD.set(Arc::downgrade(&file));
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

/// A port of the loopback address that nobody had a moment ago. It is below those that the kernel
/// gives away by itself: no connection of another test takes it before the server does.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const PORTS: std::ops::Range<u16> = 12_000..32_000;
    let offset = u16::try_from(std::process::id() % 1000).expect("below 1000") * 20;
    for _ in PORTS {
        let taken = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(offset);
        let port = PORTS.start + taken % (PORTS.end - PORTS.start);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free");
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
        shard: Shard::WHOLE,
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
