//! One cycle: load on a server, an interruption in the middle of it, and the server's end.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use tokio::sync::watch;

use busload_generator::with_connector;

use super::bank::{Bank, Snapshots, watch_snapshots};
use super::failed_syncs::{FailedSync, SyncOf};
use super::fault::{ExpectedExit, Fault, FaultError, Onset, Schedule};
use super::ignored_sync_errors;
use super::journal::{JournalError, JournalHandle};
use super::server_command::Wire;
use super::transfer_generator::TransferGenerator;
use super::worker::{Ends, Habits, Seen, work};
use crate::connector::Connector;
use crate::record::torture::FindingKind;
use crate::record::torture::{FaultKind, Moment};
use crate::target::ServerProcess;
use crate::target::descendants::Survivors;
#[cfg(target_os = "linux")]
use crate::target::outsiders::Outsiders;

/// Longest wait for a server that was interrupted; then it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause between two looks at whom the server is connected to, and between the first two: a
/// cycle may be short.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
const FIRST_LOOK_PAUSE: Duration = Duration::from_millis(10);

/// What a cycle needs besides the server.
pub struct Surroundings<'a> {
    /// How requests travel.
    pub wire: Wire,
    /// What workers do.
    pub habits: Habits,
    /// Where they write.
    pub journal: JournalHandle,
    /// Longest time until the interruption.
    pub cycle: Duration,
    /// What must hold of all balances.
    pub bank: &'a Bank,
    /// The server is this program's own.
    pub own: bool,
    /// Becomes true when the user ends the run.
    pub interrupted: watch::Receiver<bool>,
}

/// What happened in a cycle.
#[derive(Debug)]
pub struct Happened {
    /// What each worker saw.
    pub seen: Vec<Seen>,
    /// What the server told meanwhile.
    pub snapshots: Snapshots,
    /// How the server ended.
    pub end: End,
    /// Whom it was connected to that no kill of it reaches.
    pub outsiders: BTreeSet<String>,
    /// Why the end says nothing about the server: something of it is still there, or somebody
    /// accepts connections in its place all the same.
    pub cannot_vouch: Option<(FindingKind, String)>,
}

/// How a server ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Before it was interrupted by hand: by its wrapper's doing or its own.
    pub by_itself: bool,
    /// Its exit status; absent when it had to be killed because it did not go.
    pub status: Option<ExitStatus>,
    /// The last line of its error output.
    pub last_line: Option<String>,
    /// Whether it had been ready before.
    pub ready: bool,
    /// The user ended the cycle, before the time that was meant.
    pub cut_short: bool,
    /// Syncs that failed and after which it had to end, and did not.
    pub ignored_sync_errors: Vec<FailedSync>,
    /// What it had started and could not be killed.
    pub survivors: Option<Survivors>,
}

/// Why a cycle could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum CycleError {
    /// The ledger is not durable any more.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The interruption could not be made.
    #[error(transparent)]
    Fault(#[from] FaultError),
}

impl End {
    /// It was interrupted before it was ready.
    #[must_use]
    pub fn at_start(why: String) -> Self {
        Self {
            by_itself: true,
            status: None,
            last_line: Some(why),
            ready: false,
            cut_short: false,
            ignored_sync_errors: Vec::new(),
            survivors: None,
        }
    }

    /// In a few words, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = match self.status {
            None if !self.ready => "before it was ready".to_owned(),
            None => "killed, since it did not end".to_owned(),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exit code {code}"),
                (None, Some(signal)) => Signal::try_from(signal)
                    .map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string()),
                (None, None) => status.to_string(),
            },
        };
        if let Some(line) = &self.last_line {
            text.push_str(": ");
            text.push_str(line);
        }
        text
    }

    /// What is wrong with this end after this fault, if anything is.
    #[must_use]
    pub fn judge(&self, fault: &dyn Fault, seen: &[Seen]) -> Option<String> {
        let end = self.describe();
        if !self.ready {
            // The fault was injected while it started: it may end in any way.
            return None;
        }
        if self.status.is_none() {
            return Some(format!("it had to be {end}, after {}", fault.kind()));
        }
        let code = self.status.and_then(|status| status.code());
        match fault.expected_exit() {
            ExpectedExit::Graceful if self.by_itself => {
                Some(format!("it ended before SIGTERM: {end}"))
            }
            ExpectedExit::Graceful => (code != Some(0)).then(|| format!("after SIGTERM: {end}")),
            ExpectedExit::Refuses if self.by_itself => match code {
                None | Some(0) => Some(format!(
                    "after an I/O error it must end with an exit code above 0, or go on: {end}"
                )),
                Some(_) => {
                    let silent = seen.iter().all(|one| one.said_unknown == 0);
                    let loaded = seen.iter().any(|one| !one.sequence.entries.is_empty());
                    (silent && loaded && !only_checkpoints(&fault.failed_syncs())).then(|| {
                        "it ended after an I/O error, and no answer said that an outcome is unknown"
                            .to_owned()
                    })
                }
            },
            ExpectedExit::Refuses => None,
            ExpectedExit::Any => {
                let killed = self.status.and_then(|status| status.signal()) == Some(9);
                let meant = matches!(fault.kind(), FaultKind::SyncKill | FaultKind::AnswerKill);
                (self.by_itself && !(meant && killed)).then(|| format!("it ended by itself: {end}"))
            }
        }
    }
}

/// Whether no commit's outcome can be in doubt: what a checkpoint copies is in the log.
fn only_checkpoints(failed: &[FailedSync]) -> bool {
    !failed.is_empty() && failed.iter().all(|sync| sync.of == SyncOf::Checkpoint)
}

/// Puts the load on, interrupts the server and waits for its end.
///
/// # Errors
/// The journal is broken, or the interruption could not be made. The server is dead all the
/// same.
pub async fn run(
    server: &mut ServerProcess,
    fault: &mut dyn Fault,
    schedule: &Schedule,
    generators: &mut [TransferGenerator],
    around: &Surroundings<'_>,
) -> Result<Happened, CycleError> {
    let (tell_gone, gone) = watch::channel(false);
    let target = server.target().clone();
    let mut control = around.wire.control(&target);
    let server_at = target.authority.clone();
    let onset = fault.onset();
    let load = async {
        let Wire {
            connector,
            encoding,
        } = around.wire;
        with_connector!(connector, encoding, target, |connector| {
            load(&connector, generators, around, &gone, &onset).await
        })
    };
    let interruption = async {
        let end = interrupt(server, fault, schedule, around).await;
        tell_gone.send_replace(true);
        end
    };
    let snapshots = watch_snapshots(&mut control, around.bank, gone.clone());
    let outsiders = watch_outsiders(server_at, gone.clone());
    let (seen, end, snapshots, outsiders) = tokio::join!(load, interruption, snapshots, outsiders);
    Ok(Happened {
        seen: seen?,
        snapshots,
        end: end?,
        outsiders,
        cannot_vouch: None,
    })
}

/// Sees whom the server is connected to, until it is gone.
#[cfg(target_os = "linux")]
async fn watch_outsiders(server_at: String, mut gone: watch::Receiver<bool>) -> BTreeSet<String> {
    let mut outsiders = Outsiders::of(&server_at);
    let mut pause = FIRST_LOOK_PAUSE;
    loop {
        let looking = tokio::task::spawn_blocking(move || {
            outsiders.look();
            outsiders
        });
        // It does not panic; if it did, nothing would have been seen.
        outsiders = match looking.await {
            Ok(outsiders) => outsiders,
            Err(_) => return BTreeSet::new(),
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = LOOK_INTERVAL,
            _ = gone.wait_for(|gone| *gone) => return outsiders.found(),
        }
    }
}

#[cfg(not(target_os = "linux"))]
async fn watch_outsiders(_: String, _: watch::Receiver<bool>) -> BTreeSet<String> {
    BTreeSet::new()
}

async fn load<C: Connector>(
    connector: &C,
    generators: &mut [TransferGenerator],
    around: &Surroundings<'_>,
    gone: &watch::Receiver<bool>,
    onset: &Onset,
) -> Result<Vec<Seen>, JournalError> {
    let workers = generators.iter_mut().map(|generator| {
        let journal = around.journal.clone();
        let ends = Ends {
            gone: gone.clone(),
            onset: onset.clone(),
        };
        work(connector, generator, journal, around.habits, ends)
    });
    join_all(workers).await.into_iter().collect()
}

async fn interrupt(
    server: &mut ServerProcess,
    fault: &mut dyn Fault,
    schedule: &Schedule,
    around: &Surroundings<'_>,
) -> Result<End, FaultError> {
    let longest = match schedule.moment {
        Moment::Time { after_ms } => Duration::from_millis(after_ms),
        Moment::Call { .. } => around.cycle,
    };
    let mut interrupted = around.interrupted.clone();
    let stopped = async {
        if interrupted.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let (mut by_itself, cut_short) = tokio::select! {
        _ = server.wait() => (true, false),
        () = tokio::time::sleep(longest) => (false, false),
        () = stopped => (false, true),
    };
    let mut ignored = Vec::new();
    if !by_itself && !cut_short {
        (by_itself, ignored) =
            ignored_sync_errors::find(server, fault, &around.interrupted, around.own).await;
    }
    let injected = if by_itself {
        Ok(())
    } else {
        fault.inject(server).await
    };
    let status = match tokio::time::timeout(END_TIMEOUT, server.wait()).await {
        Ok(status) => status.ok(),
        Err(_) => None,
    };
    let left = server.end().await;
    injected?;
    Ok(End {
        by_itself,
        status,
        last_line: status
            .is_none_or(has_last_words)
            .then(|| last_line(server))
            .flatten(),
        ready: true,
        cut_short,
        ignored_sync_errors: ignored,
        survivors: left.err(),
    })
}

/// Whether what a server said last may be about its end: not when it was killed, or all is well.
fn has_last_words(status: ExitStatus) -> bool {
    !status.success() && status.signal() != Some(Signal::SIGKILL as i32)
}

/// What the server said last. Its tracer writes to the same place, and is not asked.
fn last_line(server: &ServerProcess) -> Option<String> {
    let lines = server.last_lines();
    lines
        .into_iter()
        .rev()
        .find(|line| !line.starts_with("strace: "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Entry, Sequence};
    use crate::signals::SignalFault;

    fn end(raw: i32, by_itself: bool) -> End {
        End {
            by_itself,
            status: Some(ExitStatus::from_raw(raw)),
            last_line: None,
            ready: true,
            cut_short: false,
            ignored_sync_errors: Vec::new(),
            survivors: None,
        }
    }

    const KILLED: i32 = 9;
    const OK: i32 = 0;
    const FAILED: i32 = 5 << 8;

    struct Pretended(FaultKind, ExpectedExit, Vec<SyncOf>);

    impl Fault for Pretended {
        fn kind(&self) -> FaultKind {
            self.0
        }
        fn schedule(&mut self, _: &mut super::super::draw::Draw, cycle: Duration) -> Schedule {
            Schedule::after(cycle)
        }
        fn expected_exit(&self) -> ExpectedExit {
            self.1
        }
        fn failed_syncs(&self) -> Vec<FailedSync> {
            let failed = |of: &SyncOf| FailedSync {
                file: "ledger".into(),
                of: *of,
                later: 0,
            };
            self.2.iter().map(failed).collect()
        }
        fn inject<'a>(
            &'a mut self,
            _: &'a mut ServerProcess,
        ) -> futures_util::future::BoxFuture<'a, Result<(), FaultError>> {
            Box::pin(std::future::ready(Ok(())))
        }
    }

    #[test]
    fn a_killed_server_may_not_end_before() {
        let kill = SignalFault::kill();
        assert_eq!(end(KILLED, false).judge(&kill, &[]), None);
        assert!(end(OK, true).judge(&kill, &[]).is_some());
        let at_sync = Pretended(FaultKind::SyncKill, ExpectedExit::Any, vec![]);
        assert_eq!(end(KILLED, true).judge(&at_sync, &[]), None);
        assert!(end(FAILED, true).judge(&at_sync, &[]).is_some());
    }

    #[test]
    fn a_terminated_server_ends_with_nought() {
        let term = SignalFault::term();
        assert_eq!(end(OK, false).judge(&term, &[]), None);
        for wrong in [end(FAILED, false), end(KILLED, false), end(OK, true)] {
            assert!(wrong.judge(&term, &[]).is_some(), "{wrong:?}");
        }
        let stuck = End {
            status: None,
            ..end(OK, false)
        };
        assert!(stuck.judge(&term, &[]).is_some());
    }

    #[test]
    fn after_an_error_at_a_sync_somebody_is_told() {
        let at =
            |failed: &[SyncOf]| Pretended(FaultKind::Eio, ExpectedExit::Refuses, failed.to_vec());
        let eio = at(&[SyncOf::Log]);
        let transfer = busload_wire::Transfer {
            from: 0,
            to: 1,
            amount: 1,
            transfer_id: None,
        };
        let entry = Entry {
            number: 1,
            transfer,
            answer: None,
        };
        let seen = |said_unknown| {
            [Seen {
                sequence: Sequence {
                    entries: vec![entry],
                },
                said_unknown,
                ..Seen::default()
            }]
        };
        assert_eq!(end(FAILED, true).judge(&eio, &seen(1)), None);
        assert!(end(FAILED, true).judge(&eio, &seen(0)).is_some());
        assert!(end(OK, true).judge(&eio, &seen(1)).is_some());
        assert!(end(KILLED, true).judge(&eio, &seen(1)).is_some());
        assert_eq!(end(KILLED, false).judge(&eio, &seen(0)), None, "never hit");
        // What a checkpoint copies is in the log: no outcome is in doubt.
        let checkpoint = at(&[SyncOf::Checkpoint, SyncOf::Checkpoint]);
        assert_eq!(end(FAILED, true).judge(&checkpoint, &seen(0)), None);
        assert!(end(OK, true).judge(&checkpoint, &seen(0)).is_some());
        for failed in [&[][..], &[SyncOf::Checkpoint, SyncOf::Log]] {
            assert!(end(FAILED, true).judge(&at(failed), &seen(0)).is_some());
        }
    }

    #[test]
    fn ends_are_described() {
        assert_eq!(end(FAILED, true).describe(), "exit code 5");
        assert_eq!(end(KILLED, true).describe(), "SIGKILL");
    }
}
