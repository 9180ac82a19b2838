//! `bench-client audit`: does a server sync before it answers?

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bench_client::config::heading;
use bench_client::config::target_file::Choices;
use bench_client::config::{ConnectorKind, Encoding, Private, Target};
use bench_client::host::environment::Environment;
use bench_client::program;
use bench_client::record::AuditKey;
use bench_client::record::durability::{
    AUDIT_VERSION, AuditRecord, AuditedTarget, DurabilityVerdict, Promise,
};
use bench_client::render::document::{Document, Facts};
use bench_client::render::records::{audit, audit_summary};
use bench_client::target::{choose_port, endpoint};
use bench_client::torture::durability::{self, Audited, Plan};
use bench_client::torture::server_command::{ServerCommand, Wire};
use busload_frontend::cli::{DEFAULT_DATA_DIR, ServerConfig, count};
use clap::Args;
use clap::builder::Resettable;

use super::interrupt::watch_signals;
use super::load_flags::{Chosen, choose};
use super::output::{OutputArgs, new_name};
use super::run::runtime;
use super::target_args::TargetArgs;
use super::verbosity::VerbosityArgs;
use super::{CANNOT_TELL, INTERRUPTED, INVALID, VALID, print, show, usage};

const OUTPUT_HELP: &str =
    "File of the record [default: new in results/runs]\n\nThat is where run finds it.";

#[derive(Debug, Args)]
// The server that is audited is the one that the flags name.
#[command(
    mut_arg("durability", |arg| arg.env(Resettable::Reset)),
    mut_arg("output", |arg| arg.long_help(OUTPUT_HELP))
)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Allow the ledger of --server-command to be wiped
    ///
    /// Needed where {database} is not in the command.
    #[arg(long, help_heading = heading::TARGET, requires = "server_command")]
    reseed: bool,
    /// How transfers are written: json or binary
    #[arg(long, help_heading = heading::TARGET, value_enum, hide_possible_values = true, value_name = "ENCODING", default_value = "json")]
    encoding: Encoding,
    /// Transfers one after another, each of which is looked at [20 … 10000]
    #[arg(short = 'n', long, help_heading = heading::LOAD, value_name = "N", default_value_t = 200, value_parser = count::<u32>(20..=10_000))]
    transfers: u32,
    /// Random seed, from which amounts are drawn
    #[arg(long, help_heading = heading::LOAD, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[command(flatten, next_help_heading = heading::SERVER)]
    server: ServerConfig,
    /// Directory of the database and of the traces
    ///
    /// The audit makes a directory of its own below it.
    #[arg(long, help_heading = heading::SERVER, default_value = DEFAULT_DATA_DIR, value_name = "DIR")]
    data_dir: PathBuf,
    /// Keep traces and database
    #[arg(long, help_heading = heading::OUTPUT)]
    keep: bool,
    #[command(flatten)]
    verbosity: VerbosityArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// A server to be audited.
struct Subject {
    command: ServerCommand,
    promise: Promise,
    /// It is given a directory of its own, so that what it writes elsewhere is no ledger.
    has_directory: bool,
}

/// The end of an audit: all that was found, or what follows from it, as was asked for.
pub(super) fn end(record: &AuditRecord, path: Option<&Path>, verbosity: VerbosityArgs) -> Document {
    let mut document = Document::default();
    if verbosity.verbose {
        let mut kept = Facts::default();
        kept.add_known("record", path.map(|path| path.display().to_string()));
        document = audit::document(record);
        document.called(&record.naming);
        document.facts(kept);
    } else if verbosity.quiet {
        document.say(audit_summary::in_a_line(record));
    } else {
        document = audit_summary::closing(record, path);
    }
    document
}

/// Audits, prints and records.
pub(crate) fn run(args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let subject = args.subject()?;
    let mut environment = Environment::capture(&args.data_dir).with_program(program("mimalloc"));
    if !subject.has_directory {
        environment.forget_storage();
    }
    let path = args.output.checked("audit", &environment)?;
    let place = args.place(&environment)?;
    let plan = args.plan(subject, &place, &environment);
    let audited = runtime()?.block_on(async {
        let interrupted = watch_signals()?;
        let mut told = |what: &str| {
            if !args.verbosity.quiet {
                eprintln!("{what}");
            }
        };
        anyhow::Ok(durability::audit(&plan, &interrupted, &mut told).await?)
    });
    let kept = args.keep.then(|| place.display().to_string());
    if kept.is_none()
        && let Err(error) = std::fs::remove_dir_all(&place)
    {
        eprintln!("warning: cannot remove {}: {error}", place.display());
    }
    let audited = audited?;
    let was_interrupted = audited.interrupted;
    let record = args.record(environment, &plan, audited, kept);
    let written = path.write(&record);
    if args.output.json {
        print(&serde_json::to_string_pretty(&record)?);
    } else {
        let kept = written.is_ok().then_some(&*path);
        show(&end(&record, kept, args.verbosity));
    }
    written?;
    Ok(ExitCode::from(match record.verdict {
        DurabilityVerdict::NotDurable | DurabilityVerdict::Fake => INVALID,
        _ if was_interrupted => INTERRUPTED,
        DurabilityVerdict::Durable => VALID,
        DurabilityVerdict::CannotTell => CANNOT_TELL,
    }))
}

impl AuditArgs {
    fn subject(&self) -> anyhow::Result<Subject> {
        match (self.target.command()?, self.target.name()) {
            (Some(target), _) => self.command(target),
            (None, Some(name)) => self.named(name),
            (None, None) => self.named(self.target.connector()?.as_str()),
        }
    }

    /// A target by its name or file.
    fn named(&self, name: &str) -> anyhow::Result<Subject> {
        let chosen = choose(name)?;
        let connector = chosen.connector();
        if matches!(chosen, Chosen::File(_)) {
            self.refuse_knobs("a target")?;
            let choices = Choices {
                data_dir: self.data_dir.clone(),
                ..Choices::default()
            };
            let Some(mut target @ Target::Command { .. }) = chosen.target(choices)? else {
                return Err(usage(
                    "audit starts its server again and again: give a target with [start]",
                ));
            };
            choose_port(&mut target)?;
            return self.foreign(target, connector, true);
        }
        if !connector.speaks_transfer_protocol() {
            return Err(usage(&format!(
                "{connector} is not a server of this program, which audit would start: give a target \
                 with [start]"
            )));
        }
        self.server
            .check()
            .map_err(|error| usage(&error.to_string()))?;
        let target = Target::BuiltIn {
            server: self.server.clone().with_batches(),
            program: Private::default(),
            database: Private::default(),
            keep_db: true,
        };
        Ok(Subject {
            command: self.started(target, connector)?,
            promise: Promise::NotTold,
            has_directory: true,
        })
    }

    fn command(&self, target: Target) -> anyhow::Result<Subject> {
        self.refuse_knobs("--server-command")?;
        let has_directory = matches!(
            &target, Target::Command { start, .. } if start.0.names_run_folder()
        );
        if !has_directory && !self.reseed {
            return Err(usage(
                "--server-command does not name {database}, so its ledger is somewhere else: \
                 --reseed allows it to be wiped",
            ));
        }
        self.foreign(target, self.target.connector()?, has_directory)
    }

    /// A server of somebody else has its own way of being started.
    fn refuse_knobs(&self, what: &str) -> anyhow::Result<()> {
        if self.server == ServerConfig::default() {
            return Ok(());
        }
        Err(usage(&format!(
            "{what} says itself how its server is started: leave out the flags of this program's \
             own"
        )))
    }

    fn foreign(
        &self,
        target: Target,
        connector: ConnectorKind,
        has_directory: bool,
    ) -> anyhow::Result<Subject> {
        let promise = target.about().map(|about| about.durability);
        Ok(Subject {
            command: self.started(target, connector)?,
            promise: promise.unwrap_or_default(),
            has_directory,
        })
    }

    fn started(&self, target: Target, connector: ConnectorKind) -> anyhow::Result<ServerCommand> {
        if self.encoding == Encoding::Binary && connector == ConnectorKind::SqliteRpc {
            return Err(usage("binary is an encoding of ws only"));
        }
        let place = endpoint(&target).map_err(|error| usage(&error.to_string()))?;
        Ok(ServerCommand {
            target,
            place,
            output: None,
            wire: Wire {
                connector,
                encoding: self.encoding,
            },
            accounts: 0,
            initial_balance: 0,
        })
    }

    /// A directory of this audit alone, by the name that the kernel has for it.
    fn place(&self, environment: &Environment) -> anyhow::Result<PathBuf> {
        let place = self.data_dir.join(new_name("audit", environment));
        let made = std::fs::create_dir_all(place.join("data"));
        let made = made.and_then(|()| place.canonicalize());
        made.map_err(|error| {
            usage(&format!(
                "cannot create the directory {}: {error}; choose another with --data-dir",
                place.display()
            ))
        })
    }

    fn plan(&self, subject: Subject, place: &Path, environment: &Environment) -> Plan {
        let directory = place.join("data");
        let file_system = environment.storage.file_system.clone();
        let is_memory = |kind: &String| matches!(kind.as_str(), "tmpfs" | "ramfs");
        let mut plan = Plan {
            command: subject.command,
            database: directory.join("ledger.sqlite"),
            directory: subject.has_directory.then_some(directory),
            scratch: place.to_owned(),
            transfers: self.transfers,
            seed: self.seed,
            promise: subject.promise,
            memory: file_system.filter(is_memory),
        };
        let (accounts, balance) = plan.ledger();
        plan.command.accounts = accounts;
        plan.command.initial_balance = balance;
        plan
    }

    fn record(
        &self,
        environment: Environment,
        plan: &Plan,
        audited: Audited,
        kept: Option<String>,
    ) -> AuditRecord {
        let ServerCommand { target, wire, .. } = &plan.command;
        let key = AuditKey::of(target, wire.connector, &environment.program);
        let key = key.unwrap_or_default();
        AuditRecord {
            audit_version: AUDIT_VERSION,
            naming: self.output.naming.naming(),
            target: AuditedTarget {
                name: key.name,
                version: key.version,
                settings: key.settings,
                connector: wire.connector,
                encoding: wire.encoding,
                durability: audited.durability,
                promise: plan.promise,
            },
            environment,
            verdict: audited.verdict,
            because: audited.because,
            watched_with: audited.watched_with,
            not_traced: audited.not_traced,
            transfers_per_sync: audited.transfers_per_sync,
            per_acknowledgement: audited.per_acknowledgement,
            checks: audited.checks,
            files: audited.files,
            seed: self.seed,
            kept,
            interrupted: audited.interrupted,
        }
    }
}
