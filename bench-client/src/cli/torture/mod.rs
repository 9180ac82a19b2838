//! `bench-client torture`: is anything lost, on your own disk?

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

mod line;
mod place;
mod power;
mod server;
mod work;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bench_client::config::heading::{LOAD, OUTPUT, SERVER, TARGET};
use bench_client::config::{ConnectorKind, Encoding, parse_op_timeout};
use bench_client::host::environment::{Environment, EnvironmentWarningCode};
use bench_client::program;
use bench_client::record::torture::FaultKind;
use bench_client::record::torture::{Audited, Load, Skipped, TortureRecord};
use bench_client::render::document::{Document, Facts};
use bench_client::render::records::{torture, torture_summary};
use bench_client::target::TargetError;
use bench_client::torture::audit::{TortureError, run_stage};
use bench_client::torture::fault::FaultError;
use bench_client::torture::plan::{Plan, Stage};
use busload_frontend::cli::{DEFAULT_DATA_DIR, ServerConfig, count, parse_time_within};
use clap::Args;
use clap::builder::Resettable;
use tokio::sync::watch;

use self::line::TortureLine;
use self::place::Place;
use self::power::FileSystemArg;
use self::work::Work;
use super::fail_on::Ending;
use super::interrupt::watch_signals;
use super::output::OutputArgs;
use super::run::runtime;
use super::target_args::TargetArgs;
use super::verbosity::VerbosityArgs;
use super::{BAD_ARGUMENTS, CANNOT_TELL, INTERRUPTED, INVALID, NO_SERVER, UsageError, print, show};
use crate::cli::verbosity;

const CHECKPOINT_HELP: &str =
    "Checkpoint when the write-ahead log has grown by this many KiB [1 … 16777216] [default: 800]";

/// Interruptions, unless --kills says otherwise.
const KILLS: u32 = 20;

/// Above the flags about faults, in the help text.
const FAULTS: &str = "Faults";

#[derive(Debug, Args)]
// The server that is audited is the one that the flags name, and checkpoints often.
#[command(
    mut_arg("server_command", |arg| arg.requires("reseed")),
    mut_arg("durability", |arg| arg.env(Resettable::Reset)),
    mut_arg("checkpoint_kib", |arg| arg.help(CHECKPOINT_HELP).long_help(Resettable::Reset))
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own on the command line"
)]
pub(crate) struct TortureArgs {
    /// Faults in turn [default: all but power-cut]
    ///
    /// What is done to the server, as a list: kill (kill -9), sync-kill (at the Nth sync), answer-kill (after the commit, before the
    /// answer), eio (a sync fails), enospc (the disk is full for a while), slow-sync, term
    /// (SIGTERM), power-cut (see --cuts and --states). Those that need strace or root are skipped by
    /// name where these are missing.
    #[arg(
        long, help_heading = FAULTS, value_name = "FAULT,…", value_delimiter = ',',
        hide_possible_values = true, hide_default_value = true,
        default_value = "kill,sync-kill,answer-kill,eio,enospc,slow-sync,term"
    )]
    faults: Vec<FaultKind>,
    /// Interruptions, shared out among the faults [1 … 1000000] [default: 20]
    ///
    /// Over those other than power-cut.
    #[arg(long, help_heading = FAULTS, value_name = "N", value_parser = count::<u32>(1..=1_000_000))]
    kills: Option<u32>,
    /// With power-cut: cuts of a real file system, 0 for none [0 … 1000000] [default: 10]
    ///
    /// It is on a loop device, which needs root and mkfs.
    #[arg(long, help_heading = FAULTS, value_name = "N", value_parser = count::<u32>(0..=1_000_000))]
    cuts: Option<u32>,
    /// With power-cut: the file system that is cut, ext4 or xfs [default: ext4]
    #[arg(long, help_heading = FAULTS, value_enum, hide_possible_values = true, value_name = "FILE_SYSTEM")]
    file_system: Option<FileSystemArg>,
    /// With power-cut: crash states to replay, 0 for none [0 … 10000000] [default: 2000]
    ///
    /// What a cut at any moment could have left behind is built, opened and judged, from traces of
    /// runs of this program's own server. That needs strace.
    #[arg(long, help_heading = FAULTS, value_name = "N", value_parser = count::<u64>(0..=10_000_000))]
    states: Option<u64>,
    /// Longest load before an interruption [50ms … 1h]
    #[arg(long, alias = "seconds-per-cycle", help_heading = FAULTS, value_name = "TIME", default_value = "2s", value_parser = parse_cycle)]
    cycle_time: Duration,
    /// Random seed
    ///
    /// It replays faults, moments and amounts, and draws the same crash states of the same trace. A
    /// run is recorded anew each time, and no two are alike.
    #[arg(long, help_heading = FAULTS, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    target: TargetArgs,
    /// Allow the ledger to be wiped
    ///
    /// Needed with --server-command, whose ledger always is, and for a --database that exists.
    #[arg(long, help_heading = TARGET)]
    reseed: bool,
    /// The server may apply the transfers of one connection in any order
    ///
    /// Gaps are then not findings. For --target and --server-command.
    #[arg(long, help_heading = TARGET)]
    unordered: bool,
    /// How transfers are written: json or binary
    #[arg(long, help_heading = TARGET, value_enum, hide_possible_values = true, value_name = "ENCODING", default_value = "json")]
    encoding: Encoding,
    /// Workers, with two accounts each [1 … 4096]
    ///
    /// No other worker touches them.
    #[arg(short, long, alias = "workers", help_heading = LOAD, value_name = "N", default_value_t = 16, value_parser = count::<u32>(1..=4096))]
    concurrency: u32,
    /// Transfers in flight per worker [1 … 4096]
    ///
    /// Over HTTP each has a connection and accounts of its own.
    #[arg(long, alias = "max-inflight-per-worker", help_heading = LOAD, value_name = "N", default_value_t = 8, value_parser = count::<u32>(1..=4096))]
    inflight: u32,
    /// Give transfers ids, and send again what is unknown
    ///
    /// What is of unknown outcome after a restart is sent again with the same id: it must be
    /// answered ok, and be there once. For servers that remember ids, as this program's own do.
    #[arg(long, help_heading = LOAD)]
    exactly_once: bool,
    /// How long to wait for an answer [1ms … 1h]
    ///
    /// A longer wait is a finding, on a connection that stays open.
    #[arg(long, alias = "answer-timeout", help_heading = LOAD, value_name = "TIME", default_value = "10s", value_parser = parse_op_timeout)]
    timeout: Duration,
    #[command(flatten, next_help_heading = SERVER)]
    server: ServerConfig,
    /// Directory of database and journal
    ///
    /// Its disk is what is judged. The audit makes a directory of its own below it.
    #[arg(long, help_heading = SERVER, default_value = DEFAULT_DATA_DIR, value_name = "DIR")]
    data_dir: PathBuf,
    /// Database file [default: a new one]
    #[arg(long, help_heading = SERVER, value_name = "FILE")]
    database: Option<PathBuf>,
    /// Keep journal and database even when nothing is wrong
    #[arg(long, help_heading = OUTPUT)]
    keep: bool,
    #[command(flatten)]
    verbosity: VerbosityArgs,
    #[command(flatten)]
    output: OutputArgs,
}

fn parse_cycle(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(50)..=Duration::from_hours(1);
    parse_time_within(text, bounds, "write a time from 50ms to 1h")
}

pub(crate) fn exit_code(error: &TortureError) -> u8 {
    match error {
        TortureError::Target(
            TargetError::NotReady {
                bad_arguments: true,
                ..
            }
            | TargetError::Occupied { .. },
        )
        | TortureError::Unsuitable(_)
        | TortureError::Journal(_)
        | TortureError::Fault(FaultError::Unavailable { .. }) => BAD_ARGUMENTS,
        TortureError::Target(_)
        | TortureError::Control(_)
        | TortureError::Fault(FaultError::Failed { .. }) => NO_SERVER,
    }
}

fn usage(text: impl Into<String>) -> anyhow::Error {
    UsageError(text.into()).into()
}

/// The end of an audit: all that was found, or what follows from it, as was asked for.
pub(super) fn end(
    record: &TortureRecord,
    path: Option<&Path>,
    verbosity: VerbosityArgs,
) -> Document {
    let mut document = Document::default();
    if verbosity.verbose {
        let mut kept = Facts::default();
        kept.add_known("record", path.map(|path| path.display().to_string()));
        document = torture::document(record);
        document.called(&record.naming);
        document.facts(kept);
    } else if verbosity.quiet {
        document.say(torture_summary::in_a_line(record, path));
    } else {
        document = torture_summary::closing(record, path);
    }
    document
}

/// Audits, prints and records.
pub(crate) fn run(args: &TortureArgs) -> anyhow::Result<ExitCode> {
    args.check_kills()?;
    args.check_power()?;
    let mut plan = args.plan()?;
    let mut environment =
        Environment::capture(args.judged_directory()).with_program(program("mimalloc"));
    if !plan.command.is_own() {
        environment.forget_storage();
    }
    warn_of_storage(&environment);
    let path = args.output.checked("torture", &environment)?;
    let place = Place::make(args, &environment)?;
    if !plan.command.is_own() {
        plan.command.output = Some(place.directory.join("server.log"));
    }
    let mut record = args.record(environment, &plan);
    let Work { mut stages, states } = args.work(&plan, &place, &mut record)?;
    // Cycles are numbered through.
    let of = stages.iter().map(|stage| stage.cycles).sum();
    let faults = stages.iter().flat_map(|stage| &stage.faults);
    let faults: Vec<FaultKind> = faults.map(|fault| fault.kind()).collect();
    let line = TortureLine::new(of, plan.cycle, args.verbosity);
    let ended = runtime()?.block_on(async {
        let interrupted = watch_signals()?;
        let all = async {
            run_stages(&plan, &mut stages, &interrupted, &mut record, &line).await?;
            match &states {
                Some(states) => states.replay(&interrupted, &mut record, &line).await,
                None => Ok(()),
            }
        };
        line.while_doing(Box::pin(all)).await
    });
    drop(line);
    drop(stages);
    if !record.has_judged() {
        // What a server has said that did not start is worth reading.
        let output = plan.command.output.as_deref();
        let said = output.is_some_and(|file| std::fs::metadata(file).is_ok_and(|it| it.len() > 0));
        place.clear_up(ended.is_err() && said, &mut record);
        ended?;
        return Ok(ExitCode::from(INTERRUPTED));
    }
    record.conclude(&faults);
    place.clear_up(args.keep || !record.valid || ended.is_err(), &mut record);
    let written = path.write(&record);
    if args.output.json {
        print(&serde_json::to_string_pretty(&record)?);
    } else {
        let kept = written.is_ok().then_some(&*path);
        show(&end(&record, kept, args.verbosity));
    }
    // What was found before an error is worse than the error.
    if !record.valid {
        for error in [ended.err(), written.err()].into_iter().flatten() {
            verbosity::error(&format!("{error:#}"));
        }
        return Ok(ExitCode::from(INVALID));
    }
    ended?;
    written?;
    if record.shows_nothing() && !record.interrupted {
        return Ok(ExitCode::from(CANNOT_TELL));
    }
    let ending = Ending {
        interrupted: record.interrupted,
        ..Ending::default()
    };
    Ok(ending.code())
}

async fn run_stages(
    plan: &Plan,
    stages: &mut [Stage],
    interrupted: &watch::Receiver<bool>,
    record: &mut TortureRecord,
    mut line: &TortureLine,
) -> anyhow::Result<()> {
    for stage in stages {
        run_stage(plan, stage, interrupted, record, &mut line).await?;
        let found = record.findings.last();
        if found.is_some_and(|last| last.kind.ends_the_audit()) {
            break;
        }
    }
    Ok(())
}

fn warn_of_storage(environment: &Environment) {
    for warning in &environment.warnings {
        // Nothing is lost faster or slower in a debug build.
        if warning.code != EnvironmentWarningCode::DebugBuild {
            verbosity::warning(&format!("{}: {}", warning.message, warning.remedy));
        }
    }
}

impl TortureArgs {
    /// What is not asked for cannot be counted.
    fn check_kills(&self) -> anyhow::Result<()> {
        let others = self.faults.iter().any(|kind| *kind != FaultKind::PowerCut);
        if self.kills.is_some() && !others {
            return Err(usage(
                "--kills is for the faults other than power-cut, and none is in --faults: leave \
                 it out, or say with --cuts how often the power is cut",
            ));
        }
        Ok(())
    }

    fn kills(&self) -> u32 {
        self.kills.unwrap_or(KILLS)
    }

    /// The directory on the disk that is judged.
    fn judged_directory(&self) -> &Path {
        let named = self.database.as_deref().and_then(Path::parent);
        named
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(if self.database.is_some() {
                Path::new(".")
            } else {
                &self.data_dir
            })
    }

    fn record(&self, environment: Environment, plan: &Plan) -> TortureRecord {
        let own = plan.command.is_own();
        let server = Audited {
            own,
            transport: plan.command.wire.connector.transport().to_owned(),
            encoding: plan.command.wire.encoding.as_str().to_owned(),
            durability_requested: own.then(|| self.server.durability.durability.to_string()),
            durability: None,
            apply: None,
        };
        let load = Load {
            workers: self.concurrency,
            inflight: self.inflight,
            connections: plan.connections,
            cycle_ms: u64::try_from(plan.cycle.as_millis()).unwrap_or(u64::MAX),
        };
        let mut record = TortureRecord::new(environment, server, load, self.seed);
        record.naming = self.output.naming.naming();
        record.warnings.extend(self.silence_warning(plan));
        record
    }

    /// Over HTTP nothing can overtake a transfer, and within a second little does.
    fn silence_warning(&self, plan: &Plan) -> Option<String> {
        const SHORT: Duration = Duration::from_secs(1);
        let within_a_cycle = plan.answer_timeout < plan.cycle;
        let can_be_overtaken =
            plan.command.wire.connector != ConnectorKind::SqliteRpc && plan.cycle > SHORT;
        (!self
            .faults
            .iter()
            .all(|fault| *fault == FaultKind::PowerCut)
            && !within_a_cycle
            && !can_be_overtaken)
            .then(|| {
                format!(
                    "unanswered requests are not found: --timeout {:?} ≥ --cycle-time {:?}",
                    plan.answer_timeout, plan.cycle
                )
            })
    }
}

/// Says that something cannot be done here.
fn skip(fault: FaultKind, why: String, record: &mut TortureRecord) {
    eprintln!("skipped {fault}: {why}");
    record.skipped.push(Skipped { fault, why });
}
