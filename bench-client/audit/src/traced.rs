//! Faults at a chosen system call of the server, made by `strace`.
//!
//! `strace` runs as a grandchild in a process group of its own (`-DD`), so that the server stays
//! a child of this program, with its own exit code, and signals for it do not reach the tracer.
//! Where it can it stops the server at the calls that are counted and at no others
//! (`--seccomp-bpf`). Not for signals: `strace` 6.1 does not deliver any in that mode.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::future::BoxFuture;
use nix::sys::signal::Signal;

use super::draw::Draw;
use super::failed_syncs::{FailedSync, failed_syncs};
use super::fault::{ExpectedExit, Fault, FaultError, Schedule};
use super::signals::send;
use crate::record::torture::{FaultKind, Moment};
use crate::target::ServerProcess;

/// How a durable write ends, whichever the server uses.
const SYNCS: &str = "fsync,fdatasync";
/// What is done to a sync that fails.
const SYNC_ERROR: &str = "error=EIO";
/// How SQLite writes.
const WRITES: &str = "pwrite64";
/// How answers are sent. Some servers use `write` for sockets, too, and what else they do with
/// it is as good a moment.
const ANSWERS: &str = "sendto,sendmsg,writev";
const ANSWERS_OF_ANY: &str = "sendto,sendmsg,writev,write";

/// Calls among which one is chosen, from the first of the process on and per second of a cycle:
/// fewer than a disk makes, so that the moment usually comes. To change one of these is to change
/// what seeds mean.
const SYNCS_PER_SECOND: u64 = 60;
const WRITES_PER_SECOND: u64 = 150;
const ANSWERS_PER_SECOND: u64 = 300;
/// Fewest calls that one is chosen from, in the shortest of cycles.
const CALLS_MIN: u64 = 20;
/// Writes with which a server opens its database, more or less: left alone, since a server that
/// cannot start has nothing to lose.
const WRITES_AT_START: u64 = 16;
/// Writes in a row that find the disk full, at most.
const FULL_WRITES_MAX: u64 = 40;
/// How much longer a slow sync takes, in milliseconds.
const SYNC_MAX_MS: u64 = 200;

/// How to call `strace` here.
#[derive(Debug, Clone)]
pub struct Tracer {
    /// Whether it can leave other calls alone.
    seccomp: bool,
    /// Where it writes what it did.
    log: PathBuf,
}

impl Tracer {
    /// Tries whether `strace` can make calls fail here; its log will be in `scratch`.
    ///
    /// # Errors
    /// It cannot; the text says why.
    pub fn find(scratch: &Path) -> Result<Self, String> {
        // A server may be started in another directory.
        let log = std::path::absolute(scratch)
            .map_err(|error| error.to_string())?
            .join("strace.log");
        let mut why = String::new();
        for seccomp in [true, false] {
            let tracer = Self {
                seccomp,
                log: log.clone(),
            };
            match tracer.try_out(scratch) {
                Ok(()) => return Ok(tracer),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    /// `sync --data` on a file must fail when its sync is made to.
    fn try_out(&self, scratch: &Path) -> Result<(), String> {
        let words = self.words(SYNCS, "error=EIO:when=1");
        let mut words = words.iter();
        let program = words.next().map_or("strace", String::as_str);
        let output = Command::new(program)
            .args(words)
            .args(["sync", "--data"])
            .arg(scratch)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("strace cannot be run ({error}): install it"))?;
        if !output.status.success() && self.injected() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().last().unwrap_or("it did not inject a fault");
        Err(format!("strace cannot trace here: {line}"))
    }

    /// The words before a command, with `action` done to `calls`.
    fn words(&self, calls: &str, action: &str) -> Vec<String> {
        let mut words: Vec<String> = ["strace", "-DD", "-f", "-qq"].map(String::from).into();
        let seccomp = self.seccomp && !action.starts_with("signal=");
        words.extend(seccomp.then(|| "--seccomp-bpf".to_owned()));
        // The names of files and threads are looked up at every call: only where they are asked
        // for.
        if action.starts_with(SYNC_ERROR) {
            words.extend(["-y", "-Y"].map(String::from));
        }
        words.extend(["-o".to_owned(), self.log.display().to_string()]);
        let expressions = [
            "signal=none".to_owned(),
            format!("trace={calls}"),
            format!("inject={calls}:{action}"),
        ];
        words.extend(expressions.into_iter().flat_map(|e| ["-e".to_owned(), e]));
        words
    }

    /// The words before a command whose calls are written to `trace` in full, as the reader of
    /// [`crash_states`](crate::crash_states) wants them, with these expressions (`inject=…`)
    /// added. Of strings longer than `string_max` the end is missing.
    #[must_use]
    pub(crate) fn recording(
        &self,
        calls: &str,
        string_max: usize,
        inject: &[String],
        trace: &Path,
    ) -> Vec<String> {
        let mut words: Vec<String> = ["strace", "-DD", "-f", "-qq", "-yy", "-xx", "-v", "-s"]
            .map(String::from)
            .into();
        words.push(string_max.to_string());
        words.extend(self.seccomp.then(|| "--seccomp-bpf".to_owned()));
        words.extend(["-o".to_owned(), trace.display().to_string()]);
        let expressions = ["signal=none".to_owned(), format!("trace={calls}")];
        let expressions = expressions.into_iter().chain(inject.iter().cloned());
        words.extend(expressions.flat_map(|e| ["-e".to_owned(), e]));
        words
    }

    /// What it wrote so far.
    fn log(&self) -> Vec<u8> {
        std::fs::read(&self.log).unwrap_or_default()
    }

    /// Calls of [`SYNCS`] in the log; `None` without one, since `strace` has not run then.
    fn syncs(&self) -> Option<u64> {
        let log = std::fs::read(&self.log).ok()?;
        let log = String::from_utf8_lossy(&log);
        // The end of a call that was interrupted has no parenthesis.
        Some(log.lines().filter(|line| line.contains("sync(")).count() as u64)
    }

    /// Whether the log says that something was done to a call.
    fn injected(&self) -> bool {
        let log = self.log();
        let log = String::from_utf8_lossy(&log);
        log.contains("(INJECTED)") || log.contains("(DELAYED)")
    }
}

/// A fault at a system call.
#[derive(Debug)]
pub struct TracedFault {
    kind: FaultKind,
    tracer: Tracer,
    /// Whether it is known how the server sends answers.
    own: bool,
}

impl TracedFault {
    /// The fault of this kind, `None` when it is not made at a system call. `own` is whether the
    /// server is this program's.
    #[must_use]
    pub fn new(kind: FaultKind, tracer: Tracer, own: bool) -> Option<Self> {
        let at_a_call = match kind {
            FaultKind::SyncKill
            | FaultKind::AnswerKill
            | FaultKind::Eio
            | FaultKind::Enospc
            | FaultKind::SlowSync => true,
            FaultKind::Kill | FaultKind::Term | FaultKind::PowerCut => false,
        };
        at_a_call.then_some(Self { kind, tracer, own })
    }

    /// Which calls are counted, what is done to them from which to which.
    fn choose(&self, draw: &mut Draw, cycle: Duration) -> (&'static str, String, u64, Option<u64>) {
        let mut one_of = |per_second: u64| {
            let of = (cycle.as_secs_f64() * 1e3).clamp(0.0, 1e9);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped above"
            )]
            let highest = per_second * (of as u64) / 1000;
            draw.within(1, highest.max(CALLS_MIN))
        };
        let once = |first| (first, Some(first));
        let (calls, what, (first, last)) = match self.kind {
            FaultKind::SyncKill => (
                SYNCS,
                "signal=SIGKILL".to_owned(),
                once(one_of(SYNCS_PER_SECOND)),
            ),
            FaultKind::Eio => (SYNCS, SYNC_ERROR.to_owned(), once(one_of(SYNCS_PER_SECOND))),
            FaultKind::Enospc => {
                let first = WRITES_AT_START + one_of(WRITES_PER_SECOND);
                let last = first + draw.within(0, FULL_WRITES_MAX - 1);
                (WRITES, "error=ENOSPC".to_owned(), (first, Some(last)))
            }
            FaultKind::SlowSync => {
                let delay_us = 1000 * draw.within(1, SYNC_MAX_MS);
                (SYNCS, format!("delay_exit={delay_us}"), (1, None))
            }
            _ => {
                let calls = if self.own { ANSWERS } else { ANSWERS_OF_ANY };
                let first = one_of(ANSWERS_PER_SECOND);
                (calls, "signal=SIGKILL".to_owned(), once(first))
            }
        };
        (calls, what, first, last)
    }
}

impl Fault for TracedFault {
    fn kind(&self) -> FaultKind {
        self.kind
    }

    fn schedule(&mut self, draw: &mut Draw, cycle: Duration) -> Schedule {
        let (calls, what, first, last) = self.choose(draw, cycle);
        let when = match last {
            Some(last) if last == first => format!("when={first}"),
            Some(last) => format!("when={first}..{last}"),
            None => format!("when={first}+"),
        };
        // What the log says must be about this cycle.
        let _ = std::fs::remove_file(&self.tracer.log);
        Schedule {
            wrapper: self.tracer.words(calls, &format!("{what}:{when}")),
            moment: Moment::Call {
                calls: calls.to_owned(),
                first,
                last,
            },
        }
    }

    fn expected_exit(&self) -> ExpectedExit {
        match self.kind {
            // A full disk is no reason to stop, unless not even the rollback can be written. A
            // sync that failed is one, unless it was a checkpoint's.
            FaultKind::Eio | FaultKind::Enospc => ExpectedExit::Refuses,
            _ => ExpectedExit::Any,
        }
    }

    fn inject<'a>(
        &'a mut self,
        server: &'a mut ServerProcess,
    ) -> BoxFuture<'a, Result<(), FaultError>> {
        Box::pin(std::future::ready(send(self.kind, server, Signal::SIGKILL)))
    }

    fn failed_syncs(&self) -> Vec<FailedSync> {
        match self.kind {
            FaultKind::Eio => failed_syncs(&self.tracer.log()),
            _ => Vec::new(),
        }
    }

    fn syncs(&self) -> Option<u64> {
        match self.kind {
            FaultKind::SyncKill | FaultKind::Eio | FaultKind::SlowSync => self.tracer.syncs(),
            _ => None,
        }
    }

    fn was_injected(&self, by_itself: bool) -> bool {
        match self.kind {
            // Without its log strace has not run, and the server ended of that.
            FaultKind::SyncKill | FaultKind::AnswerKill => by_itself && self.tracer.log.exists(),
            _ => self.tracer.injected(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: FaultKind) -> TracedFault {
        let tracer = Tracer {
            seccomp: true,
            log: PathBuf::from("strace.log"),
        };
        TracedFault::new(kind, tracer, true).unwrap()
    }

    #[test]
    fn a_seed_replays_the_moments() {
        for kind in [
            FaultKind::SyncKill,
            FaultKind::AnswerKill,
            FaultKind::Eio,
            FaultKind::Enospc,
            FaultKind::SlowSync,
        ] {
            let aims = |seed| {
                let mut draw = Draw::new(seed, 0);
                [(); 8].map(|()| fault(kind).schedule(&mut draw, Duration::from_secs(2)))
            };
            assert_eq!(aims(1), aims(1));
            assert_ne!(aims(1), aims(2));
        }
    }

    #[test]
    fn syncs_are_drawn_from_the_first_on_and_more_of_them_for_longer_cycles() {
        for (cycle_ms, last) in [(100, 20), (1000, 60), (3340, 200)] {
            let drawn = |seed| {
                let mut draw = Draw::new(seed, 0);
                let cycle = Duration::from_millis(cycle_ms);
                match fault(FaultKind::SyncKill).schedule(&mut draw, cycle).moment {
                    Moment::Call { first, .. } => first,
                    Moment::Time { .. } => panic!("it is at a call"),
                }
            };
            let all: std::collections::BTreeSet<u64> = (0..20 * last).map(drawn).collect();
            assert_eq!(all, (1..=last).collect(), "{cycle_ms} ms");
        }
    }

    #[test]
    fn signals_are_not_left_to_seccomp() {
        for (kind, seccomp) in [
            (FaultKind::SyncKill, false),
            (FaultKind::AnswerKill, false),
            (FaultKind::Eio, true),
        ] {
            let schedule = fault(kind).schedule(&mut Draw::new(1, 0), Duration::ZERO);
            let there = schedule.wrapper.iter().any(|word| word == "--seccomp-bpf");
            assert_eq!(there, seccomp, "{kind}");
        }
    }

    #[test]
    fn the_words_say_what_the_moment_says() {
        let mut draw = Draw::new(1, 0);
        let Schedule { wrapper, moment } =
            fault(FaultKind::Enospc).schedule(&mut draw, Duration::ZERO);
        let Moment::Call { calls, first, last } = moment else {
            panic!("{moment:?}");
        };
        let last = last.unwrap();
        let first_possible = WRITES_AT_START + 1;
        assert!((first_possible..=WRITES_AT_START + CALLS_MIN).contains(&first) && last >= first);
        let expected = if last == first {
            format!("inject={calls}:error=ENOSPC:when={first}")
        } else {
            format!("inject={calls}:error=ENOSPC:when={first}..{last}")
        };
        assert_eq!(wrapper.last(), Some(&expected));
        assert_eq!(wrapper[0], "strace");
    }
}
