//! `bench-client torture`: is anything lost, on your own disk?

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bench_client::connector::{Encoding, parse_url};
use bench_client::report::environment::{Environment, EnvironmentWarningCode};
use bench_client::report::record::write_json;
use bench_client::report::torture::{Audited, CycleRow, Finding, Load, Skipped, TortureRecord};
use bench_client::report::{table, torture_text};
use bench_client::target::TargetError;
use bench_client::torture::audit::{Progress, TortureError, run_stage};
use bench_client::torture::fault::{Fault, FaultError, FaultKind};
use bench_client::torture::plan::{Plan, Stage, connections};
use bench_client::torture::recipe::{DATABASE_WORD, Recipe, Transport};
use bench_client::torture::signals::SignalFault;
use bench_client::torture::traced::{TracedFault, Tracer};
use busload_frontend::cli::{DEFAULT_DATA_DIR, Mode, parse_durability, parse_duration};
use clap::{Args, ValueEnum};
use tokio::sync::watch;

use super::interrupt::watch_signals;
use super::load_args::EncodingArg;
use super::run::{RUNS, record_path, runtime};
use super::{BAD_ARGUMENTS, INTERRUPTED, INVALID, NO_SERVER, UsageError, VALID, print};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TransportArg {
    /// WebSocket
    Ws,
    /// HTTP
    Http,
}

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own on the command line"
)]
pub(crate) struct TortureArgs {
    /// What is done to the server, in turn: kill (kill -9), sync-kill (at the Nth sync),
    /// answer-kill (after the commit, before the answer), eio (a sync fails), enospc (the disk
    /// is full for a while), slow-sync, term (SIGTERM), power-cut. Those that need strace or
    /// root are skipped by name where these are missing
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "kill,sync-kill,answer-kill,eio,enospc,slow-sync,term"
    )]
    faults: Vec<FaultKind>,
    /// Interruptions in all, dealt over the faults other than power-cut
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    kills: u32,
    /// Power cuts
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    cuts: u32,
    /// Longest time from the start of the load to the interruption
    #[arg(long, default_value = "2", value_parser = parse_cycle)]
    seconds_per_cycle: Duration,
    /// Workers. Each has two accounts that nobody else touches
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=4096))]
    workers: u32,
    /// Transfers in flight per worker. Over HTTP each has a connection and accounts of its own
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=4096))]
    inflight: u32,
    /// How requests travel [default: ws, or as --url says]
    #[arg(long, value_enum)]
    transport: Option<TransportArg>,
    /// How transfers are written
    #[arg(long, value_enum, default_value = "json")]
    encoding: EncodingArg,
    /// What the server is to promise: delete-extra, wal-full, delete-full, wal-normal, memory
    #[arg(long, default_value = "wal-full", value_parser = parse_durability)]
    durability: Mode,
    /// Checkpoint when the write-ahead log has grown by this many pages: often, so that
    /// checkpoints are interrupted too
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    checkpoint_pages: u32,
    /// The random seed: it replays faults, moments and amounts
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A request without an answer for this long, on a connection that stays open, is a finding
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    answer_timeout: Duration,
    /// Directory of the database and of the journal, below which the audit makes its own: the
    /// disk that is judged
    #[arg(long, default_value = DEFAULT_DATA_DIR, value_name = "DIR")]
    data_dir: PathBuf,
    /// Database file [default: a new one]
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// Audit the server that this command starts, and not one's own. No shell reads it; the word
    /// {database} in it stands for the database file. Must be started on the same ledger again
    /// and again, without wiping it
    #[arg(long, value_name = "COMMAND", requires_all = ["url", "reseed"],
          conflicts_with_all = ["durability", "checkpoint_pages", "transport"])]
    server_command: Option<String>,
    /// Where the server of --server-command listens
    #[arg(long, requires = "server_command")]
    url: Option<String>,
    /// The ledger may be wiped: that of --server-command always is, and so is --database when
    /// the file exists
    #[arg(long)]
    reseed: bool,
    /// The server of --server-command may apply transfers of one connection in any order: holes
    /// are no finding then
    #[arg(long, requires = "server_command")]
    unordered: bool,
    /// Keep journal and database also when nothing is wrong
    #[arg(long)]
    keep: bool,
    /// Print the record as JSON, and nothing else, on standard output
    #[arg(long)]
    json: bool,
    /// File of the record [default: a new one in results/runs]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Seconds, as a number.
fn parse_cycle(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| ());
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).map_err(|_| ()))
        .ok()
        .filter(|cycle| (Duration::from_millis(50)..=Duration::from_hours(1)).contains(cycle))
        .ok_or_else(|| format!("'{text}' is no number of seconds from 0.05 to 3600"))
}

pub(crate) fn exit_code(error: &TortureError) -> u8 {
    match error {
        TortureError::Target(TargetError::NotReady {
            bad_arguments: true,
            ..
        })
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

/// Audits, prints and records.
pub(crate) fn run(args: &TortureArgs) -> anyhow::Result<ExitCode> {
    let plan = args.plan()?;
    let mut environment = Environment::capture(args.judged_directory()).with_allocator("mimalloc");
    if !plan.recipe.own {
        environment.forget_storage();
    }
    warn_of_storage(&environment);
    let path = args
        .output
        .clone()
        .unwrap_or_else(|| record_path(RUNS, "torture", &environment));
    let place = Place::make(args, &environment)?;
    let mut record = args.record(environment, &plan);
    let mut stages = args.stages(&plan, &place, &mut record)?;
    let ended = runtime()?.block_on(async {
        let interrupted = watch_signals()?;
        run_stages(&plan, &mut stages, &interrupted, &mut record).await
    });
    drop(stages);
    if record.cycles.is_empty() {
        place.clear_up(false, &mut record);
        ended?;
        return Ok(ExitCode::from(INTERRUPTED));
    }
    place.clear_up(args.keep || !record.valid || ended.is_err(), &mut record);
    write_json(&path, &record)
        .with_context(|| format!("cannot write the record {}", path.display()))?;
    if args.json {
        print(&serde_json::to_string_pretty(&record)?);
    } else {
        print(&torture_text::describe(&record));
        print(&table::record_line(&path));
    }
    // What was found before an error is worse than the error.
    if !record.valid {
        if let Err(error) = ended {
            eprintln!("error: {error:#}");
        }
        return Ok(ExitCode::from(INVALID));
    }
    ended?;
    Ok(ExitCode::from(VALID))
}

async fn run_stages(
    plan: &Plan,
    stages: &mut [Stage],
    interrupted: &watch::Receiver<bool>,
    record: &mut TortureRecord,
) -> anyhow::Result<()> {
    for stage in stages {
        run_stage(plan, stage, interrupted, record, &mut Lines).await?;
    }
    Ok(())
}

/// A line per cycle on standard error.
struct Lines;

impl Progress for Lines {
    fn cycle(&mut self, row: &CycleRow, of: u32, findings: &[Finding]) {
        eprintln!("{}", torture_text::progress(row, of, findings));
    }
}

fn warn_of_storage(environment: &Environment) {
    for warning in &environment.warnings {
        // Nothing is lost faster or slower in a debug build.
        if warning.code != EnvironmentWarningCode::DebugBuild {
            eprintln!("warning: {}: {}", warning.message, warning.remedy);
        }
    }
}

/// The directory of one audit: journal, tracer's log, and the database unless it was named.
struct Place {
    directory: PathBuf,
}

impl Place {
    fn make(args: &TortureArgs, environment: &Environment) -> anyhow::Result<Self> {
        let name = record_path("", "torture", environment).with_extension("");
        let directory = args.data_dir.join(name);
        std::fs::create_dir_all(&directory).map_err(|error| {
            usage(format!(
                "cannot create the directory {}: {error}; choose another with --data-dir",
                directory.display()
            ))
        })?;
        Ok(Self { directory })
    }

    /// Removes what was made, or says where it is.
    fn clear_up(&self, keep: bool, record: &mut TortureRecord) {
        if keep {
            record.kept.push(self.directory.display().to_string());
        } else if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            eprintln!(
                "warning: cannot remove {}: {error}",
                self.directory.display()
            );
        }
    }
}

impl TortureArgs {
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

    fn plan(&self) -> anyhow::Result<Plan> {
        let recipe = match &self.server_command {
            Some(command) => self.foreign(command)?,
            None => self.own()?,
        };
        let (connections, window) = connections(recipe.transport, self.workers, self.inflight);
        raise_descriptors(connections)?;
        Ok(Plan {
            recipe,
            connections,
            window,
            seed: self.seed,
            cycle: self.seconds_per_cycle,
            answer_timeout: self.answer_timeout,
            ordered: !self.unordered,
            transfer_ids: false,
            wipe: self.reseed,
            keep: self.keep,
        })
    }

    fn encoding(&self) -> Encoding {
        match self.encoding {
            EncodingArg::Json => Encoding::Json,
            EncodingArg::Binary => Encoding::Binary,
        }
    }

    fn transport(&self, http: bool) -> anyhow::Result<Transport> {
        match (http, self.encoding()) {
            (false, encoding) => Ok(Transport::Ws(encoding)),
            (true, Encoding::Json) => Ok(Transport::Http),
            (true, Encoding::Binary) => Err(usage("binary is an encoding of ws only")),
        }
    }

    /// This same program, told to serve.
    fn own(&self) -> anyhow::Result<Recipe> {
        if let Some(file) = self.database.as_ref().filter(|file| file.exists())
            && !self.reseed
        {
            return Err(usage(format!(
                "{} exists: name another file, or allow with --reseed that its ledger is wiped",
                file.display()
            )));
        }
        let transport = self.transport(self.transport == Some(TransportArg::Http))?;
        let (connections, window) = connections(transport, self.workers, self.inflight);
        let means = bench_client::torture::desk::Means::share_out(connections, window)
            .ok_or_else(|| usage("lower --workers or --inflight: amounts must differ"))?;
        let args = [
            "serve".to_owned(),
            transport.as_str().to_owned(),
            "--port=0".to_owned(),
            format!("--database={DATABASE_WORD}"),
            format!("--durability={}", self.durability.durability),
            format!("--checkpoint-pages={}", self.checkpoint_pages),
            format!("--seed-accounts={}", means.accounts),
            format!("--initial-balance={}", means.initial_balance),
            "--until-stdin-ends".to_owned(),
        ];
        Ok(Recipe {
            program: std::env::current_exe().context("cannot find this program's own file")?,
            args: args.into(),
            wiping_args: vec!["--fresh".to_owned()],
            place: None,
            transport,
            own: true,
        })
    }

    fn foreign(&self, command: &str) -> anyhow::Result<Recipe> {
        let mut words = shlex::split(command)
            .ok_or_else(|| usage("--server-command has a quotation mark without its other half"))?
            .into_iter();
        let program = words
            .next()
            .ok_or_else(|| usage("--server-command is empty"))?;
        let url = self.url.as_deref().unwrap_or_default();
        let place = parse_url(url).map_err(usage)?;
        Ok(Recipe {
            program: PathBuf::from(program),
            args: words.collect(),
            wiping_args: Vec::new(),
            place: Some(place),
            transport: self.transport(url.starts_with("http"))?,
            own: false,
        })
    }

    fn record(&self, environment: Environment, plan: &Plan) -> TortureRecord {
        let own = plan.recipe.own;
        let server = Audited {
            own,
            transport: plan.recipe.transport.as_str().to_owned(),
            encoding: plan.recipe.transport.encoding().as_str().to_owned(),
            durability_requested: own.then(|| self.durability.durability.to_string()),
            durability: None,
        };
        let load = Load {
            workers: self.workers,
            inflight: self.inflight,
            connections: plan.connections,
            cycle_ms: u64::try_from(plan.cycle.as_millis()).unwrap_or(u64::MAX),
        };
        TortureRecord::new(environment, server, load, self.seed)
    }

    /// One stage for all faults that any directory will do for; those that need a file system of
    /// their own have a stage of their own.
    fn stages(
        &self,
        plan: &Plan,
        place: &Place,
        record: &mut TortureRecord,
    ) -> anyhow::Result<Vec<Stage>> {
        let mut stages: Vec<Stage> = Vec::new();
        let mut kinds = self.faults.clone();
        kinds.sort_unstable();
        kinds.dedup();
        let mut faults: Vec<Box<dyn Fault>> = Vec::new();
        let mut tracer = None;
        for kind in kinds {
            let fault: Result<Box<dyn Fault>, String> = match kind {
                FaultKind::Kill => Ok(Box::new(SignalFault::kill())),
                FaultKind::Term => Ok(Box::new(SignalFault::term())),
                FaultKind::PowerCut => match self.power_cut(place) {
                    Ok(stage) => {
                        stages.push(stage);
                        continue;
                    }
                    Err(why) => Err(why),
                },
                _ => tracer
                    .get_or_insert_with(|| Tracer::find(&place.directory))
                    .clone()
                    .and_then(|tracer| {
                        let fault = TracedFault::new(kind, tracer, plan.recipe.own);
                        fault.ok_or_else(|| "it is not made by strace".to_owned())
                    })
                    .map(|fault| Box::new(fault) as Box<dyn Fault>),
            };
            match fault {
                Ok(fault) => faults.push(fault),
                Err(why) => {
                    eprintln!("skipped {kind}: {why}");
                    record.skipped.push(Skipped { fault: kind, why });
                }
            }
        }
        if !faults.is_empty() {
            let named = self.database.clone();
            let database = named.unwrap_or_else(|| place.directory.join("ledger.sqlite"));
            let stage = Stage {
                number: 0,
                faults,
                cycles: self.kills,
                database: std::path::absolute(database).context("there is no current directory")?,
                journal: place.directory.join("journal"),
            };
            stages.insert(0, stage);
        }
        if stages.is_empty() {
            place.clear_up(false, record);
            return Err(usage(
                "none of the faults that were asked for can be made here",
            ));
        }
        Ok(stages)
    }
}

impl TortureArgs {
    /// Power cuts have a disk of their own below the data directory, and so a stage.
    #[cfg(target_os = "linux")]
    fn power_cut(&self, place: &Place) -> Result<Stage, String> {
        use bench_client::torture::power_cut::{FileSystem, PowerCut};
        let fault = PowerCut::new(&place.directory, FileSystem::Ext4);
        let fault = fault.map_err(|error| match error {
            FaultError::Unavailable { why, .. } | FaultError::Failed { why, .. } => why,
        })?;
        let disk = fault.directory().unwrap_or(&place.directory);
        Ok(Stage {
            number: 1,
            database: disk.join("ledger.sqlite"),
            faults: vec![Box::new(fault)],
            cycles: self.cuts,
            journal: place.directory.join("journal-of-power-cuts"),
        })
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "as on Linux")]
    fn power_cut(&self, _place: &Place) -> Result<Stage, String> {
        Err("power cuts are made on Linux".to_owned())
    }
}

/// Every connection needs a descriptor here.
fn raise_descriptors(connections: u32) -> anyhow::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    /// Besides those of the load: journal, control plane, standard streams.
    const OTHER_DESCRIPTORS: u64 = 64;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read ulimit -n")?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise ulimit -n")?;
    }
    let needed = u64::from(connections) + OTHER_DESCRIPTORS;
    if needed > hard {
        return Err(usage(format!(
            "the load needs {needed} descriptors and the limit is {hard}: lower --workers or \
             --inflight, or raise ulimit -n"
        )));
    }
    Ok(())
}
