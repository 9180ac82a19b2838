//! A reference server as a child process.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::connector::{Target, parse_url};

/// Longest wait for the start-up line: seeding ten million accounts on a slow disk.
const START_TIMEOUT: Duration = Duration::from_mins(3);
/// Longest wait for a graceful stop; the server's own limit is shorter.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
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

/// How to start a server.
#[derive(Debug, Clone)]
pub struct ServerSpec {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

/// A server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The program could not be run.
    #[error("cannot start {program}")]
    Spawn {
        /// The program.
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
    },
}

/// A running server. It dies with this process, even when this process is killed: its
/// standard input is a pipe whose other end is here.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    stdin: Option<ChildStdin>,
    pid: u32,
    target: Target,
    announced: String,
    last_words: Arc<Mutex<VecDeque<String>>>,
}

impl ServerProcess {
    /// Starts a server and waits for its start-up line.
    ///
    /// # Errors
    /// It cannot be run, or does not get ready.
    pub async fn start(spec: &ServerSpec) -> Result<Self, TargetError> {
        let mut command = Command::new(&spec.program);
        command
            .args(&spec.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C at the terminal is for this process, which then stops the server.
            .process_group(0)
            .kill_on_drop(true);
        for variable in SERVER_VARIABLES {
            command.env_remove(variable);
        }
        let mut child = command.spawn().map_err(|source| TargetError::Spawn {
            program: shown(&spec.program),
            source,
        })?;
        let stdin = child.stdin.take();
        let pid = child.id().unwrap_or(0);
        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let listening = child.stderr.take().map(|stderr| {
            let kept = Arc::clone(&last_words);
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
        let first_line = async {
            let stdout = child.stdout.take()?;
            BufReader::new(stdout)
                .lines()
                .next_line()
                .await
                .ok()
                .flatten()
        };
        let line = tokio::time::timeout(START_TIMEOUT, first_line)
            .await
            .unwrap_or(None);
        let target = line.as_deref().and_then(announced_url);
        let (Some(line), Some(target)) = (line, target) else {
            let _ = child.start_kill();
            let status = child.wait().await.ok();
            if let Some(listening) = listening {
                let _ = listening.await;
            }
            let words = last_words.lock().unwrap_or_else(PoisonError::into_inner);
            let why = words
                .back()
                .cloned()
                .unwrap_or_else(|| "it printed no address".to_owned());
            let why = why.strip_prefix("error: ").unwrap_or(&why).to_owned();
            let bad_arguments = status.and_then(|status| status.code()) == Some(2);
            return Err(TargetError::NotReady { why, bad_arguments });
        };
        Ok(Self {
            child,
            stdin,
            pid,
            target,
            announced: line,
            last_words,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn target(&self) -> &Target {
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

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(self.describe(status))
    }

    fn describe(&self, status: ExitStatus) -> String {
        let words = self
            .last_words
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match words.back() {
            Some(line) => format!("{status}: {line}"),
            None => status.to_string(),
        }
    }

    /// Stops it gracefully, or kills it when it does not listen.
    ///
    /// # Errors
    /// It did not end well; the text says how.
    pub async fn stop(mut self) -> Result<(), String> {
        drop(self.stdin.take());
        match tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(self.describe(status)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                let _ = self.child.kill().await;
                Err(format!(
                    "it did not stop within {STOP_TIMEOUT:?} and was killed"
                ))
            }
        }
    }
}

/// The first word of a start-up line that is a URL.
fn announced_url(line: &str) -> Option<Target> {
    line.split_whitespace()
        .find_map(|word| parse_url(word).ok())
}

fn shown(program: &Path) -> String {
    program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_up_line_names_the_address() {
        let line =
            "sqlite-ws-rpc-server listening on ws://127.0.0.1:4107/rpc | durability wal-full";
        assert_eq!(announced_url(line).unwrap().authority, "127.0.0.1:4107");
        assert!(announced_url("hello").is_none());
    }
}
