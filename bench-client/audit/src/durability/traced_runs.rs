//! The runs under `strace`, and what each of them shows.

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::watch;

use super::asking::{Asked, Limits, ask};
use super::coverage::{Coverage, Gap, many_at_a_time, one_at_a_time};
use super::recording::{OTHER_CALLS, Recording, STRING_MAX, SYNC_CALLS, WRITE_CALLS};
use super::restart::{seed_if_forgotten, there_after_restart};
use super::verdict::{self, Seen};
use super::{Audited, CONNECTIONS, Plan, WINDOW, halt};
use crate::audit::TortureError;
use crate::crash_states::load;
use crate::record::durability::{Check, CheckKind, CheckOutcome, PerAcknowledgement, WatchedWith};
use crate::target::ServerProcess;
use crate::traced::Tracer;

/// Longest time in which the transfers of one run are made.
const TIME: Duration = Duration::from_secs(20);
/// The same when many are in flight.
const SHARED_TIME: Duration = Duration::from_secs(3);
/// After the last answer: a sync or a write that comes later is seen.
const IDLE: Duration = Duration::from_millis(1500);
/// How much longer each sync takes.
const DELAY: Duration = Duration::from_millis(100);
/// Longest of such delays, for a server that answers slowly by itself.
const DELAY_MAX: Duration = Duration::from_secs(2);
/// Transfers while syncs take longer: fewest that show something, and most.
const SLOWED_MIN: usize = 3;
const SLOWED_MAX: u32 = 12;
/// Longest time in which they are made.
const SLOWED_TIME: Duration = Duration::from_secs(30);
/// The sync that fails is this many after those that a thread makes at its start.
const SYNCS_BEFORE_FAILURE: u64 = 4;
/// Transfers in which it is waited for.
const FAILING_MAX: u32 = 400;
/// A server that needs more syncs to start than it did before is given so many times as many.
const FAILING_TRIES: u64 = 3;

/// What a run leaves: its trace as it was read, and what the client saw.
struct Run {
    recording: Recording,
    asked: Asked,
}

/// Everything at hand while runs are made.
pub(super) struct Runs<'a> {
    plan: &'a Plan,
    tracer: &'a Tracer,
    interrupted: &'a watch::Receiver<bool>,
    checks: Vec<Check>,
    /// What nobody can tell of a trace of this server, and why.
    unseen: Option<String>,
    /// Something was written in the run that ended with a signal to stop.
    writes_at_the_end: Option<bool>,
}

pub(super) async fn audit(
    plan: &Plan,
    tracer: &Tracer,
    interrupted: &watch::Receiver<bool>,
    told: &mut (dyn FnMut(&str) + Send),
) -> Result<Audited, TortureError> {
    let mut runs = Runs {
        plan,
        tracer,
        interrupted,
        checks: Vec::new(),
        unseen: None,
        writes_at_the_end: None,
    };
    told("one transfer in flight: watching what is written and synced before each answer");
    let watched = runs.watch().await?;
    let coverage = one_at_a_time(&watched.recording, plan.directory.as_deref());
    runs.synced_before_answer(&watched, &coverage);
    let mut transfers_per_sync = None;
    if !*interrupted.borrow() {
        told("many in flight: counting how many transfers share a sync");
        transfers_per_sync = runs.shared(&watched.asked).await?;
    }
    if !*interrupted.borrow() {
        told("syncs are slowed: watching whether an answer comes sooner");
        runs.slowed(&watched).await?;
    }
    if !*interrupted.borrow() {
        told("a sync fails: watching whether what it should have covered is acknowledged");
        runs.failing(&watched, &coverage).await?;
    }
    let was_interrupted = *interrupted.borrow();
    let seen = Seen {
        coverage: &coverage,
        writes_at_the_end: runs.writes_at_the_end,
        unseen: runs.unseen.as_deref(),
        interrupted: was_interrupted,
    };
    let (verdict, because) = verdict::of_trace(plan, seen, &runs.checks);
    Ok(Audited {
        verdict,
        because,
        watched_with: WatchedWith::Strace,
        not_traced: None,
        durability: None,
        transfers_per_sync,
        per_acknowledgement: per_acknowledgement(&coverage),
        checks: runs.checks,
        files: coverage.files,
        interrupted: was_interrupted,
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn per_acknowledgement(coverage: &Coverage) -> Option<PerAcknowledgement> {
    let acknowledged = coverage.acknowledged;
    (acknowledged > 0).then(|| PerAcknowledgement {
        acknowledged,
        syncs: Some(coverage.syncs_in_all() as f64 / acknowledged as f64),
        bytes: Some(coverage.bytes as f64 / acknowledged as f64),
        by_call: coverage.syncs.clone(),
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl Runs<'_> {
    fn trace(&self, name: &str) -> PathBuf {
        self.plan.scratch.join(format!("{name}.strace"))
    }

    /// Words that record a run in full, with these expressions added.
    fn recorded(&self, name: &str, inject: &[String]) -> Vec<String> {
        let calls = format!("{SYNC_CALLS},{WRITE_CALLS},{OTHER_CALLS}");
        self.tracer
            .recording(&calls, STRING_MAX, inject, &self.trace(name))
    }

    /// Words that do something to every sync. Of a server whose writes sync, the calls on the
    /// files that it writes so are all that is traced.
    fn every_sync(&self, name: &str, action: &str, watched: &Recording) -> (Vec<String>, bool) {
        let files = watched.files_of_synced_writes();
        if files.is_empty() {
            let inject = format!("inject={SYNC_CALLS}:{action}");
            return (self.recorded(name, &[inject]), true);
        }
        let calls = format!("{SYNC_CALLS},{WRITE_CALLS}");
        let inject = format!("inject={calls}:{action}");
        let mut words = self
            .tracer
            .recording(&calls, STRING_MAX, &[inject], &self.trace(name));
        let files = files.iter().map(|file| file.display().to_string());
        words.extend(files.flat_map(|file| ["-P".to_owned(), file]));
        (words, false)
    }

    async fn start(&self, wrapper: &[String]) -> Result<ServerProcess, TortureError> {
        let plan = self.plan;
        let server = plan
            .command
            .start(wrapper, &plan.database, false, &mut ())
            .await?;
        if !plan.command.is_own() {
            seed_if_forgotten(plan, &server).await;
        }
        Ok(server)
    }

    async fn ask(&self, server: &ServerProcess, stream: u32, limits: Limits) -> Asked {
        let load = self.plan.load();
        ask(&load, stream, server.target(), limits, self.interrupted).await
    }

    /// What a trace shows; of one that cannot be read why not.
    async fn read(&self, trace: PathBuf, port: Option<u16>) -> Recording {
        let reading = tokio::task::spawn_blocking(move || {
            let file = File::open(&trace).map_err(|error| error.to_string())?;
            Recording::read(BufReader::new(file), port).map_err(|error| crate::with_causes(&error))
        });
        let read = match reading.await {
            Ok(read) => read,
            Err(error) => Err(error.to_string()),
        };
        read.unwrap_or_else(|why| Recording {
            misunderstood: Some(why),
            ..Recording::default()
        })
    }

    /// One in flight, and a kill at the end.
    async fn watch(&mut self) -> Result<Run, TortureError> {
        let words = self.recorded("watched", &[]);
        let server = self.start(&words).await?;
        let limits = Limits {
            transfers: self.plan.transfers,
            time: TIME,
            pause: Duration::ZERO,
            until_refused: false,
        };
        let asked = self.ask(&server, 0, limits).await;
        tokio::time::sleep(IDLE).await;
        let port = port_of(&server);
        halt(self.plan, server, None).await?;
        let recording = self.read(self.trace("watched"), port).await;
        Ok(Run { recording, asked })
    }

    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn synced_before_answer(&mut self, run: &Run, coverage: &Coverage) {
        let client = run.asked.acknowledged.len() as u64;
        let acknowledged = coverage.acknowledged;
        self.unseen = if run.recording.io_uring {
            Some("the server uses io_uring, and what goes through that is not seen".to_owned())
        } else if let Some(why) = &run.recording.misunderstood {
            Some(format!("its trace is not understood: {why}"))
        } else if client != acknowledged {
            Some(format!(
                "the client has {client} acknowledgements and the trace {acknowledged}"
            ))
        } else {
            None
        };
        let (outcome, message) = if acknowledged == 0 {
            let why = "nothing was acknowledged: look at what the server answers";
            (CheckOutcome::ShowsNothing, why.to_owned())
        } else {
            let mut said = format!(
                "{} of {acknowledged} transfers were synced when their answer left; per \
                 acknowledgement {:.2} syncs and {:.0} bytes",
                coverage.covered,
                coverage.syncs_in_all() as f64 / acknowledged as f64,
                coverage.bytes as f64 / acknowledged as f64,
            );
            said.push_str(&described(coverage));
            let outcome = if coverage.covered == acknowledged {
                CheckOutcome::Passed
            } else {
                CheckOutcome::Failed
            };
            (outcome, said)
        };
        let gap = |gap| coverage.gaps.get(&gap).copied().unwrap_or(0) as f64;
        let figures = [
            ("acknowledged", acknowledged as f64),
            ("synced", coverage.covered as f64),
            ("answered_before_sync", gap(Gap::Late)),
            ("never_synced", gap(Gap::Never)),
            ("range_only", gap(Gap::RangeOnly)),
            ("name_not_synced", gap(Gap::Name)),
            ("nothing_written", gap(Gap::NothingWritten)),
            ("syncs", coverage.syncs_in_all() as f64),
            ("bytes", coverage.bytes as f64),
        ];
        let check = Check::new(CheckKind::SyncedBeforeAnswer, outcome, message);
        self.checks.push(check.with(figures));
    }

    /// After a kill: is it there? Then many in flight.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    async fn shared(&mut self, before: &Asked) -> Result<Option<f64>, TortureError> {
        let words = self.recorded("shared", &[]);
        let server = self.start(&words).await?;
        self.checks
            .push(there_after_restart(self.plan, &server, before).await);
        let load = self.plan.load();
        let (tell, enough) = watch::channel(false);
        let mut interrupted = self.interrupted.clone();
        let over = async {
            let stopped = interrupted.wait_for(|stop| *stop);
            let _ = tokio::time::timeout(SHARED_TIME, stopped).await;
            tell.send_replace(true);
        };
        let clients = {
            let put = load::put(&load, server.target(), &enough);
            tokio::pin!(over);
            tokio::pin!(put);
            tokio::select! {
                clients = &mut put => clients,
                () = &mut over => put.await,
            }
        };
        tokio::time::sleep(IDLE).await;
        let port = port_of(&server);
        halt(self.plan, server, Some(Signal::SIGTERM)).await?;
        let recording = self.read(self.trace("shared"), port).await;
        let coverage = many_at_a_time(&recording, self.plan.directory.as_deref());
        self.writes_at_the_end = Some(coverage.bytes_in_all > 0 || coverage.mapped);
        let (acknowledged, syncs) = (coverage.acknowledged, coverage.syncs_in_all());
        let per_sync = (syncs > 0).then(|| acknowledged as f64 / syncs as f64);
        let in_flight = u64::from(CONNECTIONS * WINDOW);
        let (outcome, message) = if acknowledged == 0 || acknowledged != clients {
            let why = format!("{clients} acknowledged, {acknowledged} of them in the trace");
            (CheckOutcome::ShowsNothing, why)
        } else {
            let early = acknowledged - coverage.covered;
            let outcome = if early == 0 {
                CheckOutcome::Passed
            } else {
                CheckOutcome::Failed
            };
            let shared = per_sync.map_or_else(
                || "no sync".to_owned(),
                |per_sync| format!("{syncs} syncs, {per_sync:.1} transfers per sync"),
            );
            let said = format!(
                "{in_flight} in flight: {acknowledged} acknowledged, {shared}; {early} answered \
                 without a sync since their request"
            );
            (outcome, said)
        };
        let figures = [
            ("in_flight", in_flight as f64),
            ("acknowledged", acknowledged as f64),
            ("syncs", syncs as f64),
            (
                "answered_without_sync",
                (acknowledged - coverage.covered) as f64,
            ),
        ];
        let check = Check::new(CheckKind::SharedSyncs, outcome, message);
        self.checks.push(check.with(figures));
        Ok(per_sync)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    async fn slowed(&mut self, watched: &Run) -> Result<(), TortureError> {
        let kind = CheckKind::SlowedSync;
        let Some(soonest) = watched.asked.soonest() else {
            self.skip(kind, "nothing was acknowledged");
            return Ok(());
        };
        let delay = DELAY.max(soonest * 2);
        if delay > DELAY_MAX {
            self.skip(kind, "its answers take seconds without a delay");
            return Ok(());
        }
        let action = format!("delay_enter={}", delay.as_micros());
        let (words, _) = self.every_sync("slowed", &action, &watched.recording);
        let server = self.start(&words).await?;
        let limits = Limits {
            transfers: SLOWED_MAX,
            time: SLOWED_TIME,
            // A sync that comes after its answer does not hold up the next one.
            pause: delay * 3 / 2,
            until_refused: false,
        };
        let asked = self.ask(&server, 1, limits).await;
        halt(self.plan, server, Some(Signal::SIGTERM)).await?;
        let acknowledged = asked.acknowledged.len();
        let early = asked.acknowledged.iter().filter(|took| **took < delay);
        let early = early.count();
        let slowed = asked.soonest().map_or(0.0, milliseconds);
        let (outcome, message) = if early > 0 {
            (
                CheckOutcome::Failed,
                format!(
                    "each sync takes {} ms longer, and {early} of {acknowledged} answers came \
                     sooner, the first after {slowed:.1} ms",
                    delay.as_millis()
                ),
            )
        } else if acknowledged < SLOWED_MIN {
            (
                CheckOutcome::ShowsNothing,
                format!(
                    "each sync takes {} ms longer, and {acknowledged} transfers were acknowledged: \
                     too few",
                    delay.as_millis()
                ),
            )
        } else {
            (
                CheckOutcome::Passed,
                format!(
                    "each sync takes {} ms longer, and none of {acknowledged} answers came sooner: \
                     the first after {slowed:.1} ms, {:.1} ms without the delay",
                    delay.as_millis(),
                    milliseconds(soonest)
                ),
            )
        };
        let figures = [
            ("delay_ms", milliseconds(delay)),
            ("acknowledged", acknowledged as f64),
            ("sooner", early as f64),
            ("soonest_ms", slowed),
            ("soonest_without_delay_ms", milliseconds(soonest)),
        ];
        self.checks
            .push(Check::new(kind, outcome, message).with(figures));
        Ok(())
    }

    async fn failing(&mut self, watched: &Run, coverage: &Coverage) -> Result<(), TortureError> {
        let kind = CheckKind::FailedSync;
        if coverage.acknowledged == 0 {
            self.skip(kind, "nothing was acknowledged");
            return Ok(());
        }
        if coverage.syncs_in_all() == 0 {
            self.skip(kind, "there is no sync that could fail");
            return Ok(());
        }
        let mut which = watched.recording.syncs_at_start + SYNCS_BEFORE_FAILURE;
        for last in [false, true] {
            let action = format!("error=EIO:when={which}");
            let (words, said) = self.every_sync("failing", &action, &watched.recording);
            let server = match self.start(&words).await {
                Ok(server) => server,
                // It failed before the server was ready.
                Err(_) if !last => {
                    which *= FAILING_TRIES;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let limits = Limits {
                transfers: FAILING_MAX,
                time: TIME,
                pause: Duration::ZERO,
                until_refused: true,
            };
            let asked = self.ask(&server, 2, limits).await;
            tokio::time::sleep(IDLE).await;
            let port = port_of(&server);
            halt(self.plan, server, Some(Signal::SIGTERM)).await?;
            let trace = self.trace("failing");
            let check = if said {
                let recording = self.read(trace, port).await;
                let failing = one_at_a_time(&recording, self.plan.directory.as_deref());
                of_failed_syncs(failing.failed_syncs, failing.acknowledged_after_failure)
            } else {
                let failed = failed_in(&trace);
                let acknowledged = if asked.others == 0 { failed } else { 0 };
                of_failed_syncs(failed, acknowledged)
            };
            self.checks.push(check);
            return Ok(());
        }
        Ok(())
    }

    fn skip(&mut self, kind: CheckKind, why: &str) {
        self.checks
            .push(Check::new(kind, CheckOutcome::Skipped, why));
    }
}

/// Writes that were made to fail, by the log alone.
fn failed_in(trace: &Path) -> u64 {
    let log = std::fs::read(trace).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    log.lines()
        .filter(|line| line.ends_with("(INJECTED)"))
        .count() as u64
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn of_failed_syncs(failed: u64, acknowledged: u64) -> Check {
    let (outcome, message) = if failed == 0 {
        let why = "no sync failed while a transfer was in flight: its moment never came";
        (CheckOutcome::ShowsNothing, why.to_owned())
    } else if acknowledged == 0 {
        let said = format!(
            "syncs failed with EIO during {failed} transfer{}, and none of them was acknowledged",
            if failed == 1 { "" } else { "s" }
        );
        (CheckOutcome::Passed, said)
    } else {
        let said = format!(
            "syncs failed with EIO during {failed} transfer{}, of which {acknowledged} \
             acknowledged all the same",
            if failed == 1 { "" } else { "s" }
        );
        (CheckOutcome::Failed, said)
    };
    let figures = [
        ("failed", failed as f64),
        ("acknowledged", acknowledged as f64),
    ];
    Check::new(CheckKind::FailedSync, outcome, message).with(figures)
}

/// The gaps, each after a semicolon.
fn described(coverage: &Coverage) -> String {
    let mut said = String::new();
    for (gap, count) in &coverage.gaps {
        let _ = write!(said, "; {count} {}", gap.in_words());
    }
    if !coverage.gap_files.is_empty() {
        let names: Vec<&str> = coverage.gap_files.keys().map(String::as_str).collect();
        let _ = write!(said, " ({})", names.join(", "));
    }
    said
}

fn port_of(server: &ServerProcess) -> Option<u16> {
    let (_, port) = server.target().authority.rsplit_once(':')?;
    port.parse().ok()
}
