//! A PostgreSQL of a test's own: its own directory, port and socket, started and stopped here.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test crate uses its own part"
)]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, chown};
use tempfile::TempDir;

#[path = "programs.rs"]
mod programs;

use programs::other_user;
pub(crate) use programs::{Programs, is_required, programs, programs_for_standbys, skipped};

/// Far longer than a start, or a recovery, takes here.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// The role that everything is done as.
pub(crate) const USER: &str = "bank";

/// Gives a directory to the user that it runs as.
pub(crate) fn give(path: &Path) {
    if let Some(user) = other_user() {
        chown(path, Some(user.uid), Some(user.gid)).expect("root may");
    }
}

/// A directory that it may write to.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    give(directory.path());
    directory
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// A database that runs, until this is dropped.
pub(crate) struct Database {
    programs: Programs,
    /// Of its socket and log, and of its data unless that is elsewhere.
    directory: TempDir,
    data: PathBuf,
    pub(crate) port: u16,
    settings: Vec<String>,
    process: Option<Child>,
}

impl Database {
    /// With these settings, as `name=value`, beside PostgreSQL's own defaults.
    pub(crate) fn start(programs: &Programs, settings: &[&str]) -> Self {
        let directory = directory();
        let data = directory.path().join("data");
        Self::start_in(programs, directory, data, settings)
    }

    /// With its data in this directory, which is made.
    pub(crate) fn start_on(programs: &Programs, data: PathBuf, settings: &[&str]) -> Self {
        Self::start_in(programs, directory(), data, settings)
    }

    fn start_in(programs: &Programs, directory: TempDir, data: PathBuf, settings: &[&str]) -> Self {
        let made = programs
            .start("initdb")
            .args([
                "--no-sync",
                "--no-instructions",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
            ])
            .args(["-U", USER, "-D"])
            .arg(&data)
            .output()
            .expect("initdb starts");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        Self::started(programs, directory, data, settings)
    }

    /// A standby of `primary`, which must let it replicate.
    pub(crate) fn standby_of(primary: &Self, name: &str, settings: &[&str]) -> Self {
        let directory = directory();
        let copied = primary
            .programs
            .start("pg_basebackup")
            .args([
                "--no-sync",
                "-h",
                "127.0.0.1",
                "-U",
                USER,
                "-c",
                "fast",
                "-X",
                "stream",
                "-R",
            ])
            .args(["-p", &primary.port.to_string(), "-D"])
            .arg(directory.path().join("data"))
            .output()
            .expect("pg_basebackup starts");
        assert!(
            copied.status.success(),
            "{}",
            String::from_utf8_lossy(&copied.stderr)
        );
        let from = format!(
            "primary_conninfo=host=127.0.0.1 port={} user={USER} application_name={name}",
            primary.port
        );
        let settings: Vec<&str> = settings.iter().copied().chain([from.as_str()]).collect();
        let data = directory.path().join("data");
        Self::started(&primary.programs, directory, data, &settings)
    }

    fn started(programs: &Programs, directory: TempDir, data: PathBuf, settings: &[&str]) -> Self {
        let mut database = Self {
            programs: programs.clone(),
            directory,
            data,
            port: free_port(),
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
            process: None,
        };
        database.run();
        database
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// Starts it, again after a crash, and waits until it answers.
    pub(crate) fn run(&mut self) {
        assert!(
            self.runs_within(START_TIMEOUT),
            "it does not start: {}",
            self.log()
        );
    }

    /// The same, of one that may have lost too much to start.
    pub(crate) fn runs_within(&mut self, limit: Duration) -> bool {
        let began = Instant::now();
        while began.elapsed() < limit {
            let log = fs::File::options()
                .create(true)
                .append(true)
                .open(self.directory.path().join("log"))
                .expect("a log");
            let mut command = self.programs.start("postgres");
            command
                .arg("-D")
                .arg(&self.data)
                .arg("-k")
                .arg(self.directory.path());
            command.args([
                "-p",
                &self.port.to_string(),
                "-c",
                "listen_addresses=127.0.0.1",
            ]);
            for setting in &self.settings {
                command.args(["-c", setting]);
            }
            command.stdout(log.try_clone().expect("a file")).stderr(log);
            self.process = Some(command.spawn().expect("postgres starts"));
            // Ends by itself while processes of a crashed one are still there.
            while self.is_running() && began.elapsed() < limit {
                if self.answers() {
                    return true;
                }
                thread::sleep(Duration::from_millis(20));
            }
            thread::sleep(Duration::from_millis(50));
        }
        false
    }

    fn is_running(&mut self) -> bool {
        let Some(process) = &mut self.process else {
            return false;
        };
        let is_running = process.try_wait().expect("it is ours").is_none();
        if !is_running {
            self.process = None;
        }
        is_running
    }

    fn answers(&self) -> bool {
        let ready = self
            .programs
            .start("pg_isready")
            .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
            .status();
        ready.expect("pg_isready starts").success()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// What a ledger is told.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port)
    }

    /// The first column of the first row, as psql shows it.
    pub(crate) fn ask(&self, sql: &str) -> String {
        let asked = self
            .programs
            .start("psql")
            .args(["-X", "-A", "-t", "-q", "-U", USER, "-d", "postgres", "-h"])
            .arg(self.directory.path())
            .args([
                "-v",
                "ON_ERROR_STOP=1",
                "-p",
                &self.port.to_string(),
                "-c",
                sql,
            ])
            .output()
            .expect("psql starts");
        assert!(
            asked.status.success(),
            "{sql}: {}",
            String::from_utf8_lossy(&asked.stderr)
        );
        String::from_utf8_lossy(&asked.stdout).trim().to_owned()
    }

    /// From here on it wants one over TCP.
    pub(crate) fn want_password(&self, password: &str) {
        self.ask(&format!("ALTER ROLE {USER} PASSWORD '{password}'"));
        let rules = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(self.data().join("pg_hba.conf"), rules).expect("written");
        self.ask("SELECT pg_reload_conf()");
        thread::sleep(Duration::from_millis(300));
    }

    /// The process that all others are children of.
    pub(crate) fn pid(&self) -> i32 {
        let process = self.process.as_ref().expect("it runs");
        i32::try_from(process.id()).expect("a process id")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it is ours");
    }

    /// `kill -9`, of the one process or of one that serves a connection of busload's.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait();
    }

    /// After somebody else killed it.
    pub(crate) fn killed(&mut self) {
        self.wait();
    }

    fn wait(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.wait().expect("it is ours");
        }
    }

    /// Processes that serve the ledger's connections.
    pub(crate) fn backends(&self) -> Vec<i32> {
        let pids = self.ask("SELECT pid FROM pg_stat_activity WHERE application_name = 'busload'");
        pids.lines()
            .map(|pid| pid.parse().expect("a process id"))
            .collect()
    }

    /// A standby takes over.
    pub(crate) fn promote(&self) {
        assert_eq!(self.ask("SELECT pg_promote(true, 60)"), "t");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.process.is_some() {
            // At once: there is nothing to keep.
            self.signal(Signal::SIGQUIT);
            self.wait();
        }
    }
}
