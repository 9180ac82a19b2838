//! Power cuts: of a real file system, and those that might have been.

use anyhow::Context as _;
use bench_client::record::crash_states::CrashStates;
use bench_client::record::torture::FaultKind;
use bench_client::record::torture::TortureRecord;
use bench_client::torture::audit::TortureError;
use bench_client::torture::crash_states::load::Load;
use bench_client::torture::crash_states::runs::{
    self, CONNECTIONS_MAX, CrashStatesError, LOAD_MAX, Run, TRANSFERS_MAX,
};
use bench_client::torture::crash_states::strace_works;
use bench_client::torture::plan::{Plan, Stage};
use clap::ValueEnum;
use tokio::sync::watch;

use super::line::TortureLine;
use super::place::Place;
use super::server::serve;
use super::{TortureArgs, skip, usage};
use bench_client::config::target_file::DATABASE;
use busload_frontend::cli::ServerConfig;

/// A run is recorded with checkpoints as often as this, too: in KiB of the log.
const OFTEN_KIB: u32 = 80;
/// Pages that share a block of the disk with others: a run is recorded with them, too, where they
/// can be a default.
const SMALL_PAGES: u32 = 512;

/// Cuts, unless --cuts says otherwise.
const CUTS: u32 = 10;
/// Crash states, unless --states says otherwise.
const STATES: u64 = 2000;

/// File systems that can be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FileSystemArg {
    /// Needs mkfs.ext4
    Ext4,
    /// Needs mkfs.xfs
    Xfs,
}

/// Crash states to be replayed.
pub(super) struct States {
    plan: runs::Plan,
    runs: Vec<Run>,
}

impl TortureArgs {
    /// Power cuts in both ways, as far as they are asked for and can be made.
    pub(super) fn power(
        &self,
        plan: &Plan,
        place: &Place,
        record: &mut TortureRecord,
    ) -> anyhow::Result<(Option<Stage>, Option<States>)> {
        let mut cuts = None;
        if self.cuts() > 0 {
            match self.power_cuts(place, record) {
                Ok(stage) => cuts = Some(stage),
                Err(why) => {
                    let why = format!("no cuts of a file system: {why}");
                    skip(FaultKind::PowerCut, why, record);
                }
            }
        }
        let mut states = None;
        if self.crash_states() > 0 {
            match can_replay(plan) {
                Ok(()) => states = Some(self.states(plan, place)?),
                Err(why) => {
                    let why = format!("no crash states: {why}");
                    skip(FaultKind::PowerCut, why, record);
                }
            }
        }
        Ok((cuts, states))
    }

    /// Power cuts have a disk of their own below the data directory, and so a stage.
    #[cfg(target_os = "linux")]
    fn power_cuts(&self, place: &Place, record: &mut TortureRecord) -> Result<Stage, String> {
        use bench_client::torture::fault::FaultError;
        use bench_client::torture::power_cut::{FileSystem, PowerCut};
        let kind = match self.file_system {
            None | Some(FileSystemArg::Ext4) => FileSystem::Ext4,
            Some(FileSystemArg::Xfs) => FileSystem::Xfs,
        };
        let fault = PowerCut::new(&place.directory, kind);
        let fault = fault.map_err(|error| match error {
            FaultError::Unavailable { why, .. } | FaultError::Failed { why, .. } => why,
        })?;
        record.file_system = Some(kind.as_str().to_owned());
        let disk = bench_client::torture::fault::Fault::directory(&fault);
        let disk = disk.unwrap_or(&place.directory);
        Ok(Stage {
            number: 1,
            database: disk.join("ledger.sqlite"),
            faults: vec![Box::new(fault)],
            cycles: self.cuts(),
            journal: place.directory.join("journal-of-power-cuts"),
        })
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "as on Linux")]
    fn power_cuts(&self, _: &Place, _: &mut TortureRecord) -> Result<Stage, String> {
        Err("power cuts are made on Linux".to_owned())
    }

    /// Runs with checkpoints as often as was asked for, and often; and with small pages.
    fn states(&self, plan: &Plan, place: &Place) -> anyhow::Result<States> {
        let load = Load {
            wire: plan.command.wire,
            connections: plan.connections.min(CONNECTIONS_MAX),
            window: plan.window,
            transfers: TRANSFERS_MAX,
            seed: plan.seed,
            ids: plan.transfer_ids.then_some(plan.seed),
            answer_timeout: plan.answer_timeout,
        };
        let as_asked = self.server();
        let often = ServerConfig {
            checkpoint_kib: Some(OFTEN_KIB),
            ..as_asked.clone()
        };
        let mut runs = vec![as_asked, often.clone()];
        if often.page_size.is_none() && often.durability.durability.has_wal() {
            runs.push(ServerConfig {
                page_size: Some(SMALL_PAGES),
                ..often
            });
        }
        runs.dedup();
        let run = |server: ServerConfig| {
            let accounts = load.accounts();
            let balance = i64::try_from(load.initial_balance()).unwrap_or(i64::MAX);
            Run {
                checkpoint_kib: server.checkpoint_kib.unwrap_or(OFTEN_KIB),
                command: serve(server, load.wire, accounts, balance),
            }
        };
        let directory = std::path::absolute(place.directory.join("crash-states"));
        Ok(States {
            plan: runs::Plan {
                states: self.crash_states(),
                seed: plan.seed,
                load,
                time: plan.cycle.min(LOAD_MAX),
                directory: directory.context("there is no current directory")?,
            },
            runs: runs.into_iter().map(run).collect(),
        })
    }

    fn cuts(&self) -> u32 {
        self.cuts.unwrap_or(CUTS)
    }

    fn crash_states(&self) -> u64 {
        self.states.unwrap_or(STATES)
    }

    /// What belongs to power cuts is for power cuts, both ways cannot be switched off, and the
    /// ledger must be on the disk that is cut.
    pub(super) fn check_power(&self) -> anyhow::Result<()> {
        let asked = self.faults.contains(&FaultKind::PowerCut);
        let given = [
            (self.cuts.is_some(), "--cuts"),
            (self.states.is_some(), "--states"),
            (self.file_system.is_some(), "--file-system"),
        ];
        let given: Vec<_> = given.iter().filter(|one| one.0).map(|one| one.1).collect();
        if !asked && !given.is_empty() {
            return Err(usage(format!(
                "{} without power-cut among --faults does nothing: add power-cut to --faults, or \
                 leave it out",
                given.join(" and ")
            )));
        }
        if asked && self.cuts() == 0 && self.file_system.is_some() {
            return Err(usage(
                "--file-system with --cuts 0 does nothing: no file system is cut",
            ));
        }
        let command = self.target.server_command();
        if asked && command.is_some_and(|command| !command.contains(DATABASE)) {
            return Err(usage(format!(
                "power-cut needs the word {DATABASE} in --server-command: it stands for the \
                 database file on the file system that is cut, and a ledger elsewhere would not \
                 be tested",
            )));
        }
        if asked && self.cuts() == 0 && self.crash_states() == 0 {
            return Err(usage(
                "power-cut with --cuts 0 and --states 0 does nothing: raise one of them, or leave \
                 power-cut out of --faults",
            ));
        }
        Ok(())
    }
}

/// Whether crash states can be had of this server, here.
fn can_replay(plan: &Plan) -> Result<(), String> {
    if !plan.command.is_own() {
        return Err(
            "only this program's own server is recorded: the files that a run begins with, and \
             how they are written, must be known"
                .to_owned(),
        );
    }
    strace_works()
}

impl States {
    /// Records and replays. What was found is in the record, also after an error.
    pub(super) async fn replay(
        &self,
        interrupted: &watch::Receiver<bool>,
        record: &mut TortureRecord,
        mut line: &TortureLine,
    ) -> anyhow::Result<()> {
        if *interrupted.borrow() {
            record.interrupted = true;
            return Ok(());
        }
        let mut states = CrashStates::asked(self.plan.states);
        let Self { plan, runs } = self;
        let ended = runs::replay(plan, runs, interrupted, &mut states, &mut line).await;
        record.interrupted |= *interrupted.borrow() && states.counts.states < states.asked;
        let said = states.runs.iter().find_map(|run| run.durability.clone());
        record.server.durability = record.server.durability.take().or(said);
        record.push_states(states);
        ended.map_err(|error| match error {
            CrashStatesError::Target(error) => TortureError::Target(error).into(),
            CrashStatesError::Control(error) => TortureError::Control(error).into(),
            error => error.into(),
        })
    }
}
