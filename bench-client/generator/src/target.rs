//! A server as a child process.

pub mod cpus;
pub mod descendants;
mod endpoint;
mod guard;
mod launch;
#[cfg(target_os = "linux")]
pub mod outsiders;
mod ready;
mod run_folder;
#[cfg(target_os = "linux")]
mod unix_peers;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use self::descendants::{Role, Spared, Survivors};
use self::guard::Guard;
use self::run_folder::RunFolder;
use crate::config::{ConnectorKind, Cpus};
use crate::connector::{Endpoint, parse_url};
use crate::record::ServerEnd;
pub use endpoint::{EndpointError, endpoint};
pub use launch::{Launch, Pauses, Serving, choose_port};
pub use ready::{Waiting, answers, vacant};

/// Longest wait for the start-up line: seeding ten million accounts on a slow disk.
pub const START_TIMEOUT: Duration = Duration::from_mins(3);
/// Longest wait for a graceful stop; the server's own limit is shorter.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause between attempts to reach a server that has just been started.
const CONNECT_PAUSE: Duration = Duration::from_millis(10);
/// Longest wait for the error output of a server that did not start.
const LAST_WORDS_PATIENCE: Duration = Duration::from_secs(1);
/// Longest wait for the end of a server that is killed because nothing waits for it any more,
/// and again for what it has left behind.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause between two looks at it.
const DROP_PAUSE: Duration = Duration::from_millis(1);
/// Pause between two looks at what is being killed.
const END_PAUSE: Duration = Duration::from_millis(2);
/// Lines of the server's error output that are kept for messages.
const KEPT_LINES: usize = 20;

/// Environment variables that servers honour; a child gets none of them, its flags say
/// everything.
const SERVER_VARIABLES: [&str; 10] = [
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
];

/// Lines of the output that a failed start shows.
const SHOWN_LINES: usize = 5;

/// How to start a server, and how to stop it.
#[derive(Debug, Clone, Default)]
pub struct ServerSpec {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables that are set for it.
    pub environment: Vec<(String, String)>,
    /// Where it is started; `None` is here.
    pub directory: Option<PathBuf>,
    /// File that takes all of its output; without one the last lines of its error output are
    /// kept.
    pub output: Option<PathBuf>,
    /// It is ready only when it answers a call of `health` over this connector.
    pub health_of: Option<ConnectorKind>,
    /// It must be ready after this long; `None` is [`START_TIMEOUT`].
    pub start_timeout: Option<Duration>,
    /// What tells it to stop.
    pub stop: Stop,
    /// CPUs that it runs on; `None` is all that this program may use.
    pub cpus: Option<Cpus>,
}

/// What tells a server to stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stop {
    /// Its standard input ends: this project's own do then.
    #[default]
    EndOfInput,
    /// A signal to its process group, which must have ended `limit` later.
    Signal {
        /// Which.
        signal: Signal,
        /// Longest wait.
        limit: Duration,
    },
}

impl Stop {
    fn name(self) -> &'static str {
        match self {
            Self::EndOfInput => "end of input",
            Self::Signal { signal, .. } => signal.as_str(),
        }
    }

    fn limit(self) -> Duration {
        match self {
            Self::EndOfInput => STOP_TIMEOUT,
            Self::Signal { limit, .. } => limit,
        }
    }
}

/// A server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The program could not be run.
    #[error("cannot start {program}")]
    Spawn {
        /// The program, and where it was looked for.
        program: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It ended, or said nothing useful, before it was ready.
    #[error("the server did not start: {why}")]
    NotReady {
        /// Its last words, or what is missing.
        why: String,
        /// Whether it blamed what it was told.
        bad_arguments: bool,
        /// Whether it gave up by itself; else it was killed since it took too long.
        ended: bool,
    },
    /// The folder of its run cannot be made.
    #[error(
        "cannot make a folder for the server's data in {folder}: choose another with --data-dir"
    )]
    Folder {
        /// In which.
        folder: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// There is no free port.
    #[error("cannot find a free port for the server")]
    NoPort {
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Its address cannot be had.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Somebody else has its place.
    #[error(
        "a server already listens at {authority}, and was left alone: stop it, or choose \
         another --url"
    )]
    Occupied {
        /// Host and port.
        authority: String,
    },
}

/// A process, its group and what else it has started: what is not waited for is killed when this
/// is dropped.
#[derive(Debug)]
struct Leader {
    child: Child,
    /// Until it has been waited for it is not to be taken for one that another server has left.
    _spared: Spared,
    /// Nothing of it is left: what has been adopted since is another server's.
    ended: bool,
    /// Of one that does not notice the end of this process by itself.
    guard: Option<Guard>,
}

impl Leader {
    fn spawn(spec: &ServerSpec) -> Result<Self, TargetError> {
        let failed = |source| TargetError::Spawn {
            program: tried(spec),
            source,
        };
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.args)
            .stdin(Stdio::piped())
            // A Ctrl-C at the terminal is for this process, which then stops the server.
            .process_group(0)
            .kill_on_drop(true);
        for variable in SERVER_VARIABLES {
            command.env_remove(variable);
        }
        command.envs(spec.environment.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &spec.directory {
            command.current_dir(directory);
        }
        if let Some(output) = &spec.output {
            let output = File::create(output).map_err(failed)?;
            command.stdout(output.try_clone().map_err(failed)?);
            command.stderr(output);
        } else {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        let spawn = || {
            descendants::spare(Role::Server, || {
                let child = command.spawn()?;
                let pid = child.id().unwrap_or(0);
                Ok((child, pid))
            })
        };
        let spawned = cpus::on(spec.cpus.as_ref(), spawn).and_then(|spawned| spawned);
        let (child, spared) = spawned.map_err(failed)?;
        Ok(Self {
            guard: match spec.stop {
                Stop::EndOfInput => None,
                Stop::Signal { .. } => child.id().and_then(|pid| Guard::of(pid).ok()),
            },
            child,
            _spared: spared,
            ended: false,
        })
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // Once it has been waited for, its id may be somebody else's.
        if let Some(group) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            // Only when it has ended is what it left behind to be found.
            let deadline = Instant::now() + DROP_TIMEOUT;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(DROP_PAUSE);
            }
        }
        descendants::end_within(DROP_TIMEOUT);
    }
}

/// A running server. It dies with this process, even when this process is killed: its
/// standard input is a pipe whose other end is here.
#[derive(Debug)]
pub struct ServerProcess {
    leader: Leader,
    stdin: Option<ChildStdin>,
    pid: u32,
    target: Endpoint,
    announced: String,
    words: LastWords,
    stop: Stop,
    /// Of a server that somebody else wrote.
    folder: Option<RunFolder>,
}

/// Where the last lines of a server's output are.
#[derive(Debug, Clone)]
enum LastWords {
    /// Its error output is read, and these are kept.
    Kept(Arc<Mutex<VecDeque<String>>>),
    /// All of its output is in a file.
    In(PathBuf),
}

impl LastWords {
    /// Latest last.
    fn lines(&self) -> Vec<String> {
        match self {
            Self::Kept(kept) => {
                let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.iter().cloned().collect()
            }
            Self::In(file) => run_folder::last_lines(file, KEPT_LINES),
        }
    }
}

/// How a server was stopped.
#[derive(Debug)]
pub struct Stopped {
    /// How it ended.
    pub end: ServerEnd,
    /// Why that is not well: it had ended by itself, or something of it does not end.
    pub failed: Option<String>,
}

impl ServerProcess {
    /// Starts a server and waits for its start-up line.
    ///
    /// # Errors
    /// It cannot be run, or does not get ready.
    pub async fn start(spec: &ServerSpec) -> Result<Self, TargetError> {
        Self::start_at(spec, None, &mut ()).await
    }

    /// Starts a server that listens at a known place, and waits until it accepts connections
    /// there; without a place, as [`start`](Self::start). Whoever stops waiting for it has it
    /// killed.
    ///
    /// # Errors
    /// It cannot be run, or does not get ready.
    pub async fn start_at(
        spec: &ServerSpec,
        place: Option<&Endpoint>,
        waiting: &mut dyn Waiting,
    ) -> Result<Self, TargetError> {
        let limit = spec.start_timeout.unwrap_or(START_TIMEOUT);
        Self::start_within(spec, place, limit, waiting).await
    }

    async fn start_within(
        spec: &ServerSpec,
        place: Option<&Endpoint>,
        limit: Duration,
        waiting: &mut dyn Waiting,
    ) -> Result<Self, TargetError> {
        let mut leader = Leader::spawn(spec)?;
        let child = &mut leader.child;
        let stdin = child.stdin.take();
        let pid = child.id().unwrap_or(0);
        let kept = Arc::new(Mutex::new(VecDeque::new()));
        let words = match &spec.output {
            Some(file) => LastWords::In(file.clone()),
            None => LastWords::Kept(Arc::clone(&kept)),
        };
        let listening = child.stderr.take().map(|stderr| {
            tokio::spawn(async move {
                let mut lines = BufReader::new(stderr).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    if kept.len() == KEPT_LINES {
                        kept.pop_front();
                    }
                    kept.push_back(line);
                }
            })
        });
        let stdout = child.stdout.take().map(|out| BufReader::new(out).lines());
        let mut missing = String::new();
        let ready = async {
            match (place, stdout) {
                (Some(place), stdout) => {
                    drain(stdout);
                    ready::wait(place, spec.health_of, child, &mut missing, waiting).await
                }
                (None, Some(mut stdout)) => {
                    let line = loop {
                        tokio::select! {
                            line = stdout.next_line() => break line.ok().flatten()?,
                            () = tokio::time::sleep(ready::TELL_INTERVAL) => {
                                waiting.still("it has not said where it listens");
                            }
                        }
                    };
                    drain(Some(stdout));
                    let target = announced_url(&line)?;
                    Some((line, target))
                }
                (None, None) => None,
            }
        };
        let ready = tokio::time::timeout(limit, ready).await;
        let in_time = ready.is_ok();
        let Some((announced, target)) = ready.unwrap_or(None) else {
            if let Ok(group) = i32::try_from(pid).map(Pid::from_raw)
                && child.id().is_some()
            {
                let _ = killpg(group, Signal::SIGKILL);
            }
            let status = child.wait().await.ok();
            if let Some(listening) = listening {
                // What it has started may hold its error output open.
                let _ = tokio::time::timeout(LAST_WORDS_PATIENCE, listening).await;
            }
            let late = (!in_time).then_some((limit, missing.as_str()));
            let bad_arguments = status.and_then(|status| status.code()) == Some(2);
            return Err(TargetError::NotReady {
                why: why_not_ready(place, late, status, &words),
                // Of a server that is not ours the number says nothing.
                bad_arguments: bad_arguments && spec.output.is_none(),
                ended: in_time,
            });
        };
        Ok(Self {
            leader,
            stdin,
            pid,
            target,
            announced,
            words,
            stop: spec.stop,
            folder: None,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn target(&self) -> &Endpoint {
        &self.target
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The line it started with.
    #[must_use]
    pub fn announced(&self) -> &str {
        &self.announced
    }

    /// Sends a signal to it and to every process it has started. No error when there is none.
    ///
    /// # Errors
    /// The signal may not be sent.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let Ok(group) = i32::try_from(self.pid).map(Pid::from_raw) else {
            return Ok(());
        };
        match killpg(group, signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it, or a process that it has started, is still there.
    #[must_use]
    pub fn has_group(&self) -> bool {
        let group = i32::try_from(self.pid).map(Pid::from_raw);
        group.is_ok_and(|group| killpg(group, None) != Err(Errno::ESRCH))
    }

    /// Waits for its end. Cancel-safe.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.leader.child.wait().await
    }

    /// The last lines of its error output, latest last.
    #[must_use]
    pub fn last_lines(&self) -> Vec<String> {
        self.words.lines()
    }

    /// File with all of its output, if it has one.
    #[must_use]
    pub fn output(&self) -> Option<&Path> {
        self.folder.as_ref().map(RunFolder::output)
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.leader.child.try_wait().ok().flatten()?;
        Some(self.describe(status))
    }

    fn describe(&self, status: ExitStatus) -> String {
        match self.words.lines().last() {
            Some(line) => format!("{status}: {line}"),
            None => status.to_string(),
        }
    }

    /// Stops it gracefully, or kills it when it does not listen. Nothing that it has started is
    /// left.
    ///
    /// # Errors
    /// It did not end well; the text says how.
    pub async fn stop(self) -> Result<(), String> {
        self.finish().await.failed.map_or(Ok(()), Err)
    }

    /// The same, and how it ended. The folder of its run is cleared up.
    pub async fn finish(mut self) -> Stopped {
        let gone = self.ended();
        let began = Instant::now();
        match self.stop {
            _ if gone.is_some() => {}
            Stop::EndOfInput => drop(self.stdin.take()),
            Stop::Signal { signal, .. } => {
                let _ = self.signal(signal);
            }
        }
        let limit = self.stop.limit();
        // What a server of this project leaves behind is a wrapper's, which nobody has told.
        let in_time = match self.stop {
            Stop::EndOfInput => tokio::time::timeout(limit, self.wait()).await.is_ok(),
            Stop::Signal { .. } => tokio::time::timeout(limit, self.gone()).await.is_ok(),
        };
        let left = descendants::living_beside(self.pid);
        let survivors = self.end().await.err();
        let status = self.leader.child.try_wait().ok().flatten();
        let signal = status.and_then(|status| status.signal());
        let signal = signal.and_then(|number| Signal::try_from(number).ok());
        let end = ServerEnd {
            asked_by: gone.is_none().then(|| self.stop.name().to_owned()),
            exit_code: status.and_then(|status| status.code()),
            signal: signal.map(|signal| signal.as_str().to_owned()),
            seconds: began.elapsed().as_secs_f64(),
            killed_after_seconds: (!in_time).then_some(limit.as_secs_f64()),
            left,
        };
        let failed = match (self.stop, status) {
            _ if survivors.is_some() => survivors.map(|left| left.to_string()),
            _ if gone.is_some() => gone,
            (Stop::EndOfInput, _) if !in_time => Some(format!(
                "it did not stop within {STOP_TIMEOUT:?} and was killed"
            )),
            (Stop::EndOfInput, Some(status)) if !status.success() => Some(self.describe(status)),
            // How one of somebody else's ends that was told to is its own affair.
            _ => None,
        };
        if let Some(folder) = self.folder.take() {
            folder.close(failed.is_none() && in_time);
        }
        Stopped { end, failed }
    }

    /// Waits for its end and that of its whole group.
    async fn gone(&mut self) {
        let _ = self.wait().await;
        while !descendants::living_beside(self.pid).is_empty() {
            tokio::time::sleep(END_PAUSE).await;
        }
    }

    /// Kills it and all that it has started, in its process group or out of it, and waits until
    /// nothing of it is left.
    ///
    /// # Errors
    /// Something of it does not end.
    pub async fn end(&mut self) -> Result<(), Survivors> {
        let deadline = Instant::now() + descendants::END_TIMEOUT;
        loop {
            let _ = self.signal(Signal::SIGKILL);
            let _ = tokio::time::timeout(END_PAUSE, self.wait()).await;
            // Those of the group that were adopted count as being there until they are waited for.
            let mut left = descendants::end_some();
            if self.has_group() {
                left.push(format!("process group {}", self.pid));
            }
            if left.is_empty() {
                self.leader.ended = true;
                self.leader.guard = None;
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Survivors(left));
            }
            tokio::time::sleep(END_PAUSE).await;
        }
    }
}

/// Reads and forgets what a server prints: it must never be stopped by a full pipe.
fn drain(lines: Option<Lines<BufReader<ChildStdout>>>) {
    if let Some(mut lines) = lines {
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    }
}

/// Why a server did not get ready: `late` has how long was waited, and for what, when it did not
/// end by itself.
fn why_not_ready(
    place: Option<&Endpoint>,
    late: Option<(Duration, &str)>,
    status: Option<ExitStatus>,
    words: &LastWords,
) -> String {
    let lines = words.lines();
    let last = lines.last();
    let last = last.map(|line| line.strip_prefix("error: ").unwrap_or(line).to_owned());
    let Some(Endpoint { authority, .. }) = place else {
        return last.unwrap_or_else(|| "it printed no address".to_owned());
    };
    let what = if let Some((limit, missing)) = late {
        format!("it was not ready within {limit:?}: {missing}")
    } else {
        let status = status.map_or_else(String::new, |status| format!(" ({status})"));
        format!("it ended{status} before anything accepted connections at {authority}")
    };
    match (words, last) {
        (LastWords::In(_), None) => format!("{what}; it printed nothing"),
        (LastWords::In(file), Some(_)) => {
            let lines = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
            let output = file.display();
            format!(
                "{what}; its output is in {output} and ends with: {}",
                lines.join(" | ")
            )
        }
        (LastWords::Kept(_), Some(last)) if late.is_some() => {
            format!("{what}; its last line: {last}")
        }
        (LastWords::Kept(_), Some(last)) => last,
        (LastWords::Kept(_), None) => what,
    }
}

/// The first word of a start-up line that is a URL.
fn announced_url(line: &str) -> Option<Endpoint> {
    line.split_whitespace()
        .find_map(|word| parse_url(word).ok())
}

/// A program as it was written, and where it was looked for.
fn tried(spec: &ServerSpec) -> String {
    let by_path = match spec.program.components().count() {
        1 => ", which was looked for in PATH",
        _ => "",
    };
    let place = spec.directory.as_ref();
    let place = place.map_or_else(String::new, |place| format!(", in {}", place.display()));
    format!("'{}'{by_path}{place}", spec.program.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_started_is_named_with_where_it_was_looked_for() {
        let said = |program: &str, directory: Option<&str>| {
            tried(&ServerSpec {
                program: program.into(),
                directory: directory.map(PathBuf::from),
                ..ServerSpec::default()
            })
        };
        assert_eq!(
            said("node server.js", Some("/srv")),
            "'node server.js', which was looked for in PATH, in /srv"
        );
        assert_eq!(said("/opt/a/server", None), "'/opt/a/server'");
    }

    #[test]
    fn the_start_up_line_names_the_address() {
        let line =
            "sqlite-ws-rpc-server listening on ws://127.0.0.1:4107/rpc | durability wal-full";
        assert_eq!(announced_url(line).unwrap().authority, "127.0.0.1:4107");
        assert!(announced_url("hello").is_none());
    }

    async fn refused(words: &[&str], limit: Duration) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let place = Endpoint::plain(&listener.local_addr().unwrap().to_string());
        drop(listener);
        let spec = ServerSpec {
            program: PathBuf::from(words[0]),
            args: words[1..].iter().map(|word| (*word).to_owned()).collect(),
            ..ServerSpec::default()
        };
        let started = ServerProcess::start_within(&spec, Some(&place), limit, &mut ()).await;
        let said = started.unwrap_err().to_string();
        assert!(said.contains(&place.authority), "{said}");
        said
    }

    #[tokio::test]
    async fn a_place_where_nobody_answers_is_named() {
        let said = refused(&["sleep", "60"], Duration::from_millis(200)).await;
        assert!(said.contains("within 200ms"), "{said}");
        let said = refused(&["true"], Duration::from_mins(1)).await;
        assert!(said.contains("it ended (exit status: 0)"), "{said}");
    }

    #[tokio::test]
    async fn whoever_stops_waiting_has_it_killed_with_its_group() {
        let place = Endpoint::plain("127.0.0.1:9");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        let script = format!("sleep 60 & echo $! > '{}'; wait", file.display());
        let spec = ServerSpec {
            program: PathBuf::from("sh"),
            args: vec!["-c".to_owned(), script],
            ..ServerSpec::default()
        };
        let nobody = &mut ();
        let waiting = ServerProcess::start_at(&spec, Some(&place), nobody);
        let begun = async {
            loop {
                let pid = std::fs::read_to_string(&file).unwrap_or_default();
                if let Ok(pid) = pid.trim().parse::<i32>() {
                    return pid;
                }
                tokio::time::sleep(CONNECT_PAUSE).await;
            }
        };
        let pid = tokio::select! {
            started = waiting => panic!("{started:?}"),
            pid = begun => pid,
        };
        let runs = || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
            let status = status.unwrap_or_default();
            let state = status.lines().find(|line| line.starts_with("State:"));
            state.is_some_and(|state| !state.contains('Z'))
        };
        for _ in 0..500 {
            if !runs() {
                return;
            }
            tokio::time::sleep(CONNECT_PAUSE).await;
        }
        panic!("{pid} is still there");
    }
}
