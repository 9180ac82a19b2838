//! Servers as processes of their own, and bare sockets to speak to them.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test crate uses its own part"
)]

mod wire;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};
use tempfile::TempDir;
pub(crate) use wire::*;

/// Far longer than anything takes: only so that a test which would hang fails instead.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_mins(5);
pub(crate) const HTTP: &str = env!("CARGO_BIN_EXE_sqlite-rpc-server");
pub(crate) const WS: &str = env!("CARGO_BIN_EXE_sqlite-ws-rpc-server");
/// What a server may need more after an attack than before it.
pub(crate) const FLAT_KIB: u64 = 24 * 1024;
/// What each account starts with.
pub(crate) const INITIAL_BALANCE: i64 = 10_000_000;

/// A server as a process of its own; killed when dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) directory: Arc<TempDir>,
    pub(crate) is_ws: bool,
    /// Its first line.
    pub(crate) announced: String,
    /// What it prints after that.
    printed: Option<JoinHandle<String>>,
}

/// A directory on a real disk.
pub(crate) fn directory() -> TempDir {
    tempfile::Builder::new()
        .prefix("busload-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .expect("a directory can be made below target")
}

/// The command line of a server with 100 accounts in `a.sqlite`. What it says on standard
/// error is in the file `stderr` beside it.
pub(crate) fn command(
    wrapper: &[&str],
    program: &str,
    directory: &TempDir,
    flags: &[&str],
) -> Command {
    let words = [wrapper, &[program][..]].concat();
    let mut command = Command::new(words[0]);
    let stderr = File::options()
        .create(true)
        .append(true)
        .open(directory.path().join("stderr"))
        .expect("the directory is ours");
    command
        .args(&words[1..])
        .current_dir(directory.path())
        .args(["--port=0", "--database=a.sqlite", "--accounts=100"])
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr);
    command
}

impl Server {
    pub(crate) fn start(program: &str, flags: &[&str]) -> Self {
        Self::start_in(program, Arc::new(directory()), flags)
    }

    /// On the database that another one left there, if one did.
    pub(crate) fn start_in(program: &str, directory: Arc<TempDir>, flags: &[&str]) -> Self {
        Self::start_under(&[], program, directory, flags)
    }

    /// By a program that becomes the server: its process id is the server's.
    pub(crate) fn start_under(
        wrapper: &[&str],
        program: &str,
        directory: Arc<TempDir>,
        flags: &[&str],
    ) -> Self {
        let place = Arc::clone(&directory);
        Self::try_start_under(wrapper, program, directory, flags).unwrap_or_else(|ended| {
            let said = std::fs::read_to_string(place.path().join("stderr"));
            panic!("no address: {ended}, {said:?}")
        })
    }

    /// The same for one that may end before it has announced itself: how it ended then.
    pub(crate) fn try_start_under(
        wrapper: &[&str],
        program: &str,
        directory: Arc<TempDir>,
        flags: &[&str],
    ) -> Result<Self, ExitStatus> {
        let mut child = command(wrapper, program, &directory, flags)
            .spawn()
            .expect("the server can be started");
        let mut announced = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        stdout
            .read_line(&mut announced)
            .expect("it announces itself");
        let address = announced
            .split("://")
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        let Some(address) = address.and_then(|address| address.parse().ok()) else {
            let _ = child.kill();
            return Err(child.wait().expect("it is our child"));
        };
        let printed = thread::spawn(move || {
            let mut text = String::new();
            let _ = stdout.read_to_string(&mut text);
            text
        });
        Ok(Self {
            child,
            address,
            directory,
            is_ws: program == WS,
            announced,
            printed: Some(printed),
        })
    }

    pub(crate) fn http() -> Self {
        Self::start(HTTP, &[])
    }

    pub(crate) fn ws() -> Self {
        Self::start(WS, &[])
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        prepare(&stream);
        stream
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process ids fit"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    /// What the kernel tells of it (proc(5)).
    pub(crate) fn proc(&self, file: &str) -> String {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id()));
        text.expect("it runs")
    }

    fn status_kib(&self, field: &str) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        number.expect("the kernel tells")
    }

    /// The most memory it has ever used, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    /// The memory it uses, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The processor time it has used, to a hundredth of a second.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        let (_, fields) = stat.rsplit_once(')').expect("the name is in brackets");
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // Fields 14 and 15 of proc(5); the third is the first after the name.
        let ticks: f64 = [11, 12]
            .map(|at| fields[at].parse::<f64>().expect("a count"))
            .iter()
            .sum();
        let per_second = sysconf(SysconfVar::CLK_TCK)
            .expect("it is known")
            .expect("it is set");
        #[expect(clippy::cast_precision_loss, reason = "it is 100")]
        Duration::from_secs_f64(ticks / per_second as f64)
    }

    /// The numbers of the files and sockets that it has open.
    fn open_files(&self) -> Vec<usize> {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        let number = |name: std::ffi::OsString| name.to_str()?.parse().ok();
        open.expect("it runs")
            .filter_map(|file| number(file.ok()?.file_name()))
            .collect()
    }

    /// How many files and sockets it has open.
    pub(crate) fn descriptors(&self) -> usize {
        self.open_files().len()
    }

    /// The number that the next file would have.
    pub(crate) fn next_descriptor(&self) -> usize {
        let open = self.open_files();
        (0..=open.len())
            .find(|number| !open.contains(number))
            .expect("one of them is free")
    }

    /// Bytes that the kernel holds for a client which has not taken them; `None` when there is
    /// no such connection any more.
    pub(crate) fn unsent(&self, client: SocketAddr) -> Option<u64> {
        // Fields of proc_net_tcp(5): number, local address, remote address, state, queues.
        let ports = [self.address, client].map(|address| format!(":{:04X}", address.port()));
        let table = self.proc("net/tcp");
        table.lines().find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (waiting, _) = fields.get(4)?.split_once(':')?;
            let ours = fields[1].ends_with(&ports[0]) && fields[2].ends_with(&ports[1]);
            ours.then(|| u64::from_str_radix(waiting, 16).ok())?
        })
    }

    /// What it has said on standard error.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("stderr")).expect("it is there")
    }

    /// Waits for its end; the exit code, `None` after a signal.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code();
            }
            assert!(began.elapsed() < ANSWER_TIMEOUT, "it does not stop");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGTERM; the exit code and how long it took.
    pub(crate) fn terminate(mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        self.signal(Signal::SIGTERM);
        (self.ended(), began.elapsed())
    }

    /// SIGTERM; the exit code, and everything that it said.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        self.signal(Signal::SIGTERM);
        let code = self.ended();
        let printed = self.printed.take().map(JoinHandle::join);
        let printed = printed.expect("it runs").expect("it is read");
        (code, format!("{}{printed}{}", self.announced, self.said()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Time limits and no delays.
pub(crate) fn prepare(stream: &TcpStream) {
    stream
        .set_read_timeout(Some(ANSWER_TIMEOUT))
        .expect("it can be set");
    stream
        .set_write_timeout(Some(ANSWER_TIMEOUT))
        .expect("it can be set");
    stream.set_nodelay(true).expect("it can be set");
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < ANSWER_TIMEOUT, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Whether tests that CI runs scaled down have the sizes and times of the list of cases
/// (docs/reliability-evidence.md): when `BUSLOAD_LONG` is 1.
pub(crate) fn is_full_size() -> bool {
    std::env::var_os("BUSLOAD_LONG").is_some_and(|value| value == "1")
}

/// Says, past the test harness, which test passed over its work and why.
pub(crate) fn skip(name: &str, why: &str) {
    tell(&format!("skipped {name}"), why);
}

/// Says, past the test harness, what size a test had or what it counted.
pub(crate) fn tell(name: &str, what: &str) {
    let line = format!("{name}: {what}\n");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("stderr takes a line");
}

/// Whether a program is there and works, when called so.
pub(crate) fn works(words: &[&str]) -> bool {
    let output = Command::new(words[0]).args(&words[1..]).output();
    output.is_ok_and(|output| output.status.success())
}
