//! Does a server sync before it answers? Seen from outside, whoever's it is.
//!
//! The server runs under `strace`, is asked for transfers whose fate is known, and
//!
//! 1. with one transfer in flight, every write for it must be covered by a sync that has returned
//!    when its answer leaves (`coverage`), and so must the removal or renaming of a file, by a
//!    sync of its directory;
//! 2. after `kill -9` and a new start, what was acknowledged is there;
//! 3. with many in flight, each answer follows a sync of something that was written after its
//!    request, and it is counted how many share one;
//! 4. when every sync takes 100 ms longer, no answer comes sooner than that;
//! 5. when a sync fails, what it should have covered is not acknowledged.
//!
//! Each can show that a server is not durable; durable is one that has passed all of them
//! (`verdict`). Syncs are the calls of `recording::SYNC_CALLS` and writes to files that were
//! opened with `O_DSYNC` or `O_SYNC`. What goes through `io_uring` is not seen, so that nothing
//! can be told of a server that uses it.
//!
//! Where `strace` may not trace, `counters` are what is left. They can show that nothing is
//! written or flushed, and never that a server is durable.

mod asking;
mod conversations;
mod counters;
mod coverage;
#[cfg(test)]
mod coverage_tests;
mod recording;
mod restart;
mod traced_runs;
mod verdict;

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::watch;

use crate::audit::TortureError;
use crate::connector::Endpoint;
use crate::control::ControlError;
use crate::crash_states::load::Load;
use crate::record::durability::{
    Check, DurabilityVerdict, FileTally, PerAcknowledgement, Promise, WatchedWith,
};
use crate::server_command::ServerCommand;
use crate::target::{ServerProcess, TargetError};
use crate::traced::Tracer;

/// Transfers in flight on each connection, and connections, when many are in flight.
pub const WINDOW: u32 = 16;
/// Connections when many transfers are in flight.
pub const CONNECTIONS: u32 = 4;
/// Most transfers when many are in flight.
const SHARED_TRANSFERS: u32 = 2_000;
/// A connection on which no answer comes for this long is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a server that was told to stop may take before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// What is to be audited.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How the server is started, on the same ledger again and again.
    pub command: ServerCommand,
    /// The file of the ledger, as the kernel names it.
    pub database: PathBuf,
    /// The directory that only this server writes to, if it was given one.
    pub directory: Option<PathBuf>,
    /// Where traces are put.
    pub scratch: PathBuf,
    /// Transfers that are made one after another.
    pub transfers: u32,
    /// What amounts are drawn from.
    pub seed: u64,
    /// What the server promises.
    pub promise: Promise,
    /// The file system of the ledger, if it is memory.
    pub memory: Option<String>,
}

impl Plan {
    /// The load of all runs together; each connection has two accounts of its own.
    #[must_use]
    pub fn load(&self) -> Load {
        let (connections, window) =
            crate::plan::connections(self.command.wire, CONNECTIONS, WINDOW);
        Load {
            wire: self.command.wire,
            connections,
            window,
            transfers: SHARED_TRANSFERS,
            seed: self.seed,
            ids: None,
            answer_timeout: ANSWER_TIMEOUT,
        }
    }

    /// Accounts of the ledger, and what each of them starts with: enough for every run.
    #[must_use]
    pub fn ledger(&self) -> (u32, i64) {
        let load = self.load();
        let all = Load {
            transfers: self
                .transfers
                .saturating_mul(4)
                .saturating_add(SHARED_TRANSFERS),
            ..load
        };
        let balance = i64::try_from(all.initial_balance()).unwrap_or(i64::MAX);
        (load.accounts(), balance)
    }
}

/// What was found.
#[derive(Debug)]
pub struct Audited {
    /// What follows.
    pub verdict: DurabilityVerdict,
    /// Why.
    pub because: String,
    /// What the server was watched with.
    pub watched_with: WatchedWith,
    /// Why it could not be watched with `strace`.
    pub not_traced: Option<String>,
    /// The durability mode as the server says it.
    pub durability: Option<String>,
    /// Transfers that share a sync, many in flight.
    pub transfers_per_sync: Option<f64>,
    /// Figures of one in flight.
    pub per_acknowledgement: Option<PerAcknowledgement>,
    /// What was checked.
    pub checks: Vec<Check>,
    /// What was written.
    pub files: Vec<FileTally>,
    /// It was stopped from outside.
    pub interrupted: bool,
}

/// Audits a server; `told` hears what is being done.
///
/// # Errors
/// The server cannot be started, does not answer, or a trace cannot be read.
pub async fn audit(
    plan: &Plan,
    interrupted: &watch::Receiver<bool>,
    told: &mut (dyn FnMut(&str) + Send),
) -> Result<Audited, TortureError> {
    let durability = seed(plan, told).await?;
    let mut audited = match Tracer::find(&plan.scratch) {
        Ok(tracer) => traced_runs::audit(plan, &tracer, interrupted, told).await?,
        Err(why) => {
            told(&format!("{why}; counters are read instead"));
            Audited {
                not_traced: Some(why),
                ..counters::audit(plan, interrupted, told).await?
            }
        }
    };
    audited.durability = durability;
    Ok(audited)
}

/// Starts the server for the first time, gives it its accounts, and stops it. The durability mode
/// that it says it has.
async fn seed(
    plan: &Plan,
    told: &mut (dyn FnMut(&str) + Send),
) -> Result<Option<String>, TortureError> {
    told("starting the server");
    let server = plan
        .command
        .start_first(&plan.database, true, &mut ())
        .await?;
    let seeded = async {
        let mut control = plan.command.wire.control(server.target());
        if !plan.command.is_own() {
            let (accounts, balance) = plan.ledger();
            control.seed(i64::from(accounts), balance).await?;
        }
        let info = control.info().await?;
        control.close().await;
        Ok::<_, ControlError>(info.map(|info| info.durability))
    };
    let seeded = seeded.await;
    halt(plan, server, Some(Signal::SIGTERM)).await?;
    Ok(seeded?)
}

/// Ends a server: with a signal, after which it has a while, or at once. Nothing of it is left.
async fn halt(
    plan: &Plan,
    mut server: ServerProcess,
    signal: Option<Signal>,
) -> Result<(), TortureError> {
    if let Some(signal) = signal {
        // That it is gone already is no error.
        let _ = server.signal(signal);
        let _ = tokio::time::timeout(STOP_TIMEOUT, server.wait()).await;
    }
    server
        .end()
        .await
        .map_err(|left| TortureError::Unsuitable(left.to_string()))?;
    match plan.command.still_answering().await {
        None => Ok(()),
        Some(Endpoint { authority, .. }) => Err(TargetError::Occupied {
            authority: authority.clone(),
        }
        .into()),
    }
}
