//! What the verdicts rest on: a view of configuration, observation and figures, made once.

use std::borrow::Cow;
use std::collections::BTreeMap;

use busload_frontend::promise;
use busload_wire::control::{Info, Stats};

use super::counters::ServerCounters;
use super::edges::TimeOfTransfer;
use super::fake::SyncEvidence;
use super::figures::{Figures, bytes_written, growth, latency_of};
use super::generator::GeneratorEvidence;
use super::own_verify::Seeding;
use crate::config::{About, ConfirmedReads, RunConfig};
use crate::disk::Baseline;
use crate::host::environment::{EnvironmentWarning, Storage};
use crate::host::preload;
use crate::observation::{
    CheckedBalances, LoadMachine, LoadObservation, Observation, OwnVerified, SystemObservation,
};
use crate::record::{
    AppliedBy, Generator, LittlesLaw, ProcessorSpeed, StandStill, Throttled, WindowEdges,
};
use crate::statistics::SteadyState;

/// The durability of transfers that the client wants answered before they are durable.
pub(super) const UNCONFIRMED_READS: &str = "unconfirmed-reads";

/// All that a row is judged by.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence<'a> {
    /// Transfers acknowledged, over the whole run.
    pub(super) acknowledged: u64,
    /// Transfers acknowledged inside the window.
    pub(super) committed_in_window: u64,
    /// Answered inside the window as rejected or failed, by reason.
    pub(super) not_committed_in_window: BTreeMap<String, u64>,
    /// Transfers of unknown outcome, over the whole run.
    pub(super) unknown: u64,
    /// Answers to requests that were not in flight.
    pub(super) unexpected_answers: u64,
    /// Answers that contradicted themselves.
    pub(super) contradictory_answers: u64,
    /// Transfers applied by the server's account.
    pub(super) applied: Option<u64>,
    /// What that account rests on.
    pub(super) applied_by: Option<AppliedBy>,
    /// Its counters.
    pub(super) counters: Option<ServerCounters<'a>>,
    /// Sum of all balances before and after.
    pub(super) totals: Option<(i128, i128)>,
    /// The lowest balance after the run.
    pub(super) lowest_balance: Option<i128>,
    /// Digests of all balances before and after.
    pub(super) digests: Option<(&'a str, &'a str)>,
    /// How many accounts there were before and after, by the server's account.
    pub(super) accounts: Option<(u64, u64)>,
    /// What a foreign server's own `verify` said, or its error.
    pub(super) own_verify: Option<Result<OwnVerified, String>>,
    /// What this program seeded; `None` where it did not.
    pub(super) seeded: Option<Seeding>,
    /// By the transfers that were acknowledged some balance must differ from before.
    pub(super) must_differ: bool,
    /// Balances that were read after the run.
    pub(super) checked: Cow<'a, CheckedBalances>,
    /// Syncs and bytes, from inside and outside of the server.
    pub(super) syncs: Option<SyncEvidence>,
    /// The durability that the server declares; `None` if it does not tell.
    pub(super) durability: Option<&'a str>,
    /// The target that was measured, where it has a file.
    pub(super) about: Option<&'a About>,
    /// How the server ended, if it was not told to.
    pub(super) server_died: Option<Cow<'a, str>>,
    /// The run was stopped from outside.
    pub(super) interrupted: bool,
    /// Verification was switched off.
    pub(super) not_verified: bool,
    /// Libraries preloaded into the server that may replace its syncs, and are not in this
    /// program as well.
    pub(super) preloaded: Vec<&'a str>,
    /// What CPU quotas did to the client and to the server in the window.
    pub(super) throttled: [Option<Throttled>; 2],
    /// How fast a processor computed before and after.
    pub(super) processor_speed: Option<ProcessorSpeed>,
    /// Of the machine and the file system.
    pub(super) environment: Vec<EnvironmentWarning>,
    /// Sync baselines before and after.
    pub(super) baselines: Option<(&'a Baseline, &'a Baseline)>,
    /// How the load generator did.
    pub(super) generator: Option<GeneratorEvidence>,
    /// Throughput, latency and what was in flight.
    pub(super) littles_law: Option<LittlesLaw>,
    /// Whether the warm-up had ended when the window opened.
    pub(super) steady_state: Option<SteadyState>,
    /// What crossed the ends of the window.
    pub(super) edges: Option<WindowEdges>,
    /// The longest time in which nothing was committed.
    pub(super) stand_still: Option<StandStill>,
    /// How long a transfer took, against how long was measured.
    pub(super) time_of_transfer: Option<TimeOfTransfer>,
}

/// What was found out about the window before the verdicts.
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) generator: Generator,
    pub(super) littles_law: Option<LittlesLaw>,
    pub(super) steady_state: Option<SteadyState>,
    pub(super) window_edges: Option<WindowEdges>,
    pub(super) stand_still: Option<StandStill>,
}

impl<'a> Evidence<'a> {
    pub(super) fn of(
        config: &'a RunConfig,
        observation: &'a Observation,
        figures: &Figures,
        findings: &Findings,
    ) -> Self {
        let Observation { load, machines, .. } = observation;
        let (whole, counts) = (load.whole_run(), &load.window.counts);
        let of_the_load = Self {
            acknowledged: whole.committed,
            committed_in_window: counts.committed,
            not_committed_in_window: counts
                .rejected
                .iter()
                .chain(&counts.failed)
                .map(|(reason, count)| (reason.clone(), *count))
                .collect(),
            unknown: whole.unknown,
            unexpected_answers: load.unexpected_answers,
            contradictory_answers: load.contradictory_answers,
            server_died: observation.server_died(),
            interrupted: load.interrupted,
            not_verified: config.verification().is_none(),
            throttled: [figures.cpu.client_throttled, figures.cpu.server_throttled],
            processor_speed: figures.processor_speed,
            environment: environment_warnings(machines, None),
            generator: Some(GeneratorEvidence::of(load, figures, &findings.generator)),
            littles_law: findings.littles_law,
            steady_state: findings.steady_state,
            edges: findings.window_edges,
            stand_still: findings.stand_still,
            time_of_transfer: time_of_transfer(config, load, figures.seconds),
            ..Self::default()
        };
        match &observation.system {
            Some(system) => of_the_load.with_system(config, system, machines, figures),
            None => of_the_load,
        }
    }

    fn with_system(
        self,
        config: &'a RunConfig,
        system: &'a SystemObservation,
        machines: &'a [LoadMachine],
        figures: &Figures,
    ) -> Self {
        let (info, ledger) = (system.info.as_ref(), &system.ledger);
        let baseline = &system.sync_baseline;
        let of_the_system = Self {
            own_verify: ledger.own_verify.clone(),
            seeded: ledger.seeded.then(|| Seeding {
                accounts: u64::from(config.workload.accounts),
                balance: config.workload.initial_balance,
            }),
            must_differ: ledger.must_differ,
            checked: Cow::Borrowed(&ledger.checked),
            durability: match config.confirmed_reads {
                Some(ConfirmedReads::Off) => Some(UNCONFIRMED_READS),
                Some(ConfirmedReads::On) | None => info.map(|info| info.durability.as_str()),
            },
            about: config.target.about(),
            preloaded: preloaded(system, machines),
            environment: environment_warnings(machines, system.storage.as_ref()),
            baselines: baseline.before.as_ref().zip(baseline.after.as_ref()),
            ..self
        };
        let run = &system.run;
        match run.before.as_ref().zip(run.after.as_ref()) {
            Some(stats) if config.verification().is_some() => {
                of_the_system.with_stats(stats, system, machines, figures)
            }
            _ => of_the_system,
        }
    }

    /// With what the server's counters say: of another process than at the beginning only the
    /// balances, which are the ledger's.
    fn with_stats(
        self,
        (before, after): (&'a Stats, &'a Stats),
        system: &'a SystemObservation,
        machines: &[LoadMachine],
        figures: &Figures,
    ) -> Self {
        let info = system.info.as_ref();
        let applied_by = AppliedBy::of(info.and_then(|info| info.apply.as_deref()));
        let balances = before.balances.as_ref().zip(after.balances.as_ref());
        let counted = system.run_stats();
        Self {
            totals: balances.and_then(|(before, after)| {
                before.total.parse().ok().zip(after.total.parse().ok())
            }),
            lowest_balance: balances.and_then(|(_, after)| after.lowest.parse().ok()),
            digests: balances.map(|(before, after)| (&*before.digest, &*after.digest)),
            accounts: balances.map(|(before, after)| (before.accounts, after.accounts)),
            applied: counted.map(|(before, after)| after.applied.saturating_sub(before.applied)),
            applied_by: Some(applied_by),
            counters: counted.map(|(before, after)| ServerCounters {
                before,
                after,
                batch_size: info.map(|info| info.batch_size),
                applied_by,
            }),
            syncs: counted.map(|stats| sync_evidence(stats, system, machines, figures)),
            ..self
        }
    }

    /// The server coalesces: what it applied is its own count.
    pub(super) fn counts_itself(&self) -> bool {
        self.applied_by == Some(AppliedBy::OwnCount)
    }

    /// It coalesces, says that it wrote nothing, and by the acknowledged transfers every balance
    /// may be what it was: those of each batch may have taken back what others of it gave.
    pub(super) fn may_have_nothing_to_write(&self, syncs: &SyncEvidence) -> bool {
        self.counts_itself() && !self.must_differ && syncs.batches_that_wrote == 0
    }
}

fn time_of_transfer(
    config: &RunConfig,
    load: &LoadObservation,
    window: f64,
) -> Option<TimeOfTransfer> {
    let offered = load.offered.as_ref();
    let times = offered.map_or_else(|| load.latency(), |offered| &offered.service);
    let latency = latency_of(times);
    (times.count() > 0).then(|| TimeOfTransfer {
        typical: latency.p50.unwrap_or(latency.mean) / 1e3,
        warmup: config.load.warmup.as_secs_f64(),
        window,
    })
}

/// What the machines, and the storage of a server that is elsewhere, say about the row: each once,
/// however many machines say so.
fn environment_warnings(
    machines: &[LoadMachine],
    storage: Option<&Storage>,
) -> Vec<EnvironmentWarning> {
    let mut found: Vec<EnvironmentWarning> = Vec::new();
    let of_machines = machines.iter().map(|machine| &machine.environment.warnings);
    for warning in of_machines.flatten() {
        if !found.contains(warning) {
            found.push(warning.clone());
        }
    }
    found.extend(storage.into_iter().flat_map(Storage::environment_warnings));
    found
}

/// What the server has inherited has been said already.
fn preloaded<'a>(system: &'a SystemObservation, machines: &[LoadMachine]) -> Vec<&'a str> {
    let libraries = system.process.preload.as_deref().unwrap_or_default();
    let inherited = machines.first().map(|machine| &machine.environment.preload);
    let is_its_own =
        |name: &&str| inherited.is_none_or(|inherited| inherited.iter().all(|one| one != name));
    let suspects = preload::suspects(libraries).into_iter();
    suspects.filter(is_its_own).collect()
}

/// File systems whose writes the kernel accounts to the process that made them; on others
/// (tmpfs first of all) a count of zero proves nothing.
const ACCOUNTED: [&str; 6] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs"];

/// Of a server whose ledger is another process's, which writes and syncs in its stead. What that
/// counts are its syncs of the log, of all who write to it; none by which it opens the log instead.
/// Several writers share one.
fn syncs_of_database(
    (before, after): (&Stats, &Stats),
    promises_sync: bool,
    info: Option<&Info>,
    settings: &BTreeMap<String, String>,
) -> SyncEvidence {
    let method = settings.get("wal_sync_method").map(String::as_str);
    let is_counted = matches!(method, Some("fdatasync" | "fsync" | "fsync_writethrough"));
    let is_alone = info.and_then(|info| info.writers) == Some(1);
    SyncEvidence {
        syncs_promised_per_batch: u64::from(promises_sync && is_counted && is_alone),
        batches_that_wrote: after
            .batches_that_wrote
            .saturating_sub(before.batches_that_wrote),
        commit_syncs: growth(before, after, |stats| {
            stats.commit_syncs.map(|_| stats.syncs.total())
        }),
        bytes_written: growth(before, after, bytes_written),
        ..SyncEvidence::default()
    }
}

fn sync_evidence(
    (before, after): (&Stats, &Stats),
    system: &SystemObservation,
    machines: &[LoadMachine],
    figures: &Figures,
) -> SyncEvidence {
    let info = system.info.as_ref();
    let declared = info.and_then(|info| promise(&info.durability));
    let promises_sync = declared.is_some_and(|promise| promise.syncs_at_commit);
    if let Some(engine) = info.and_then(|info| info.engine.as_ref())
        && engine.name == busload_postgres::NAME
    {
        return syncs_of_database((before, after), promises_sync, info, &engine.settings);
    }
    let of_machine = machines.first().map(|machine| &machine.environment.storage);
    let storage = system.storage.as_ref().or(of_machine);
    let file_system = storage.and_then(|storage| storage.file_system.as_deref());
    let is_accounted = file_system.is_some_and(|name| ACCOUNTED.contains(&name));
    SyncEvidence {
        syncs_promised_per_batch: u64::from(promises_sync),
        batches_that_wrote: after
            .batches_that_wrote
            .saturating_sub(before.batches_that_wrote),
        commit_syncs: growth(before, after, |stats| stats.commit_syncs),
        bytes_written: growth(before, after, bytes_written),
        storage_bytes: system.process.storage_bytes.filter(|_| is_accounted),
        device_flushes: system.device.as_ref().and_then(|device| device.flushes),
        device_bytes: system.device.as_ref().map(|device| device.bytes_written),
        page_bytes: info.and_then(Info::page_bytes).map_or(4096, u64::from),
        sync_p50_us: figures
            .server
            .as_ref()
            .and_then(|server| server.sync_us?.p50),
    }
}
