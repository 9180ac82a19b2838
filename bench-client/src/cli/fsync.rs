//! `bench-client fsync`: what a durable write costs in a directory, and the ceilings that follow.

use std::io::{IsTerminal as _, stderr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bench_client::config::heading::OUTPUT;
use bench_client::disk::{
    self, Baseline, BaselineConfig, BlockSize, Ceilings, DiskError, Method, Pattern, Rounds,
    RoundsConfig, STREAMS_MAX, SyncSeries,
};
use bench_client::figures;
use bench_client::host::environment::{Environment, EnvironmentWarning, EnvironmentWarningCode};
use bench_client::judge::{busy_disk, doubtful_baseline, of_environment_warning};
use bench_client::program;
use bench_client::record::Verdict;
use bench_client::record::fsync::{FSYNC_VERSION, FsyncRecord, baseline_of, times_of_rounds};
use bench_client::render::records::fsync as shown;
use bench_client::render::write::text;
use bench_client::statistics::RUNS_MIN;
use busload_frontend::cli::{DEFAULT_DATA_DIR, count};
use busload_sqlite::Durability;
use busload_sqlite::probe::{SyncsPerCommit, syncs_per_commit};

use super::fail_on::{Ending, FailOnArgs};
use super::interrupt::watch_signals;
use super::load_flags::make_data_dir;
use super::output::OutputArgs;
use super::progress::{self, Detail, StatusLine};
use super::run::runtime;
use super::{INTERRUPTED, print, show};
use crate::cli::verbosity;

/// Above the flags of a measurement of the disk, in the help text.
const HEADING: &str = "Disk";
const DEFAULT_COUNT: u64 = 1_000;
/// Rounds, unless told otherwise.
const ROUNDS: u32 = RUNS_MIN;

/// Without `--count` a slow disk gives fewer samples, and not a long wait.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// With it the user decides; Ctrl-C ends it at any time.
const TIME_LIMIT_WITH_COUNT: Duration = Duration::from_hours(1);

/// Commits whose syncs are counted for each durability mode.
const PROBE_COMMITS: u32 = 20;

/// Transfers that share one sync, in the ceilings.
const TRANSFERS_PER_COMMIT: [u32; 3] = [10, 100, 1_000];

/// Measure what a durable write costs in a directory, and the transfers per second that it allows
#[derive(Debug, clap::Args)]
pub(crate) struct FsyncArgs {
    /// Directory to measure in, created if missing
    #[arg(long, alias = "dir", help_heading = HEADING, value_name = "DIR", default_value = DEFAULT_DATA_DIR)]
    data_dir: PathBuf,

    /// Writes for each method and pattern [default: 1000 in 10 s]
    ///
    /// Of each stream: 1000, or as many as fit in 10 s. With this flag there is no limit of time.
    #[arg(short = 'n', long, help_heading = HEADING, value_name = "N", value_parser = count::<u64>(1..=1_000_000))]
    count: Option<u64>,

    /// Size of each write: a power of two from 512 to 16M
    #[arg(long, help_heading = HEADING, value_name = "SIZE", default_value_t = BlockSize::PAGE)]
    block: BlockSize,

    /// Rounds among which the writes are divided [1 … 1000]
    ///
    /// They give each figure an interval; 6 are the fewest for an interval of 95 %.
    #[arg(long, help_heading = HEADING, value_name = "N", default_value_t = ROUNDS)]
    #[arg(value_parser = count::<u32>(1..=1_000))]
    rounds: u32,

    /// How many streams sync at once, as a list: 1,4,16
    ///
    /// Each has a file of its own. One alone is always measured.
    #[arg(short, long, help_heading = HEADING, value_name = "N,…", value_delimiter = ',', default_value = "1")]
    #[arg(value_parser = count::<u32>(1..=u64::from(STREAMS_MAX)))]
    concurrency: Vec<u32>,

    #[command(flatten)]
    output: OutputArgs,

    /// Print one line, and no progress
    #[arg(short, long, help_heading = OUTPUT, conflicts_with = "json")]
    quiet: bool,
    #[command(flatten)]
    fail_on: FailOnArgs,
}

/// Measures and prints.
pub(crate) fn run(args: &FsyncArgs) -> anyhow::Result<ExitCode> {
    let config = BaselineConfig {
        dir: args.data_dir.clone(),
        count: args.count.unwrap_or(DEFAULT_COUNT),
        block: args.block,
        time_limit: if args.count.is_some() {
            TIME_LIMIT_WITH_COUNT
        } else {
            TIME_LIMIT
        },
    };
    make_data_dir(&config.dir)?;
    let environment = Environment::capture(&config.dir).with_program(program("mimalloc"));
    warn_of_environment(&environment);
    let path = args.output.checked("fsync", &environment)?;
    let mut concurrency = args.concurrency.clone();
    concurrency.push(1);
    concurrency.sort_unstable();
    concurrency.dedup();
    let rounds = args
        .rounds
        .min(u32::try_from(config.count).unwrap_or(u32::MAX));
    let config = RoundsConfig {
        all: config,
        rounds,
        concurrency,
    };
    let Some(measured) = measured_so_far(&config, args.quiet)? else {
        say_interrupted("before a round was whole: nothing is recorded");
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let Rounds {
        whole,
        methods,
        by_c_library,
    } = measured;
    let interrupted = whole < rounds;
    if interrupted {
        say_interrupted(&format!("this is what {whole} of {rounds} rounds gave"));
    }
    let block_bytes = config.all.block.bytes();
    let baseline = baseline_of(block_bytes, &methods, &by_c_library);
    let mut warnings = doubts(&baseline, &environment);
    warnings.extend(busy_disk(&methods));
    let record = FsyncRecord {
        fsync_version: FSYNC_VERSION,
        naming: args.output.naming.naming(),
        environment,
        directory: config.all.dir.display().to_string(),
        block_bytes,
        rounds: whole,
        ceilings: ceilings(&config.all.dir, &baseline, &methods)?,
        methods,
        by_c_library,
        warnings,
    };
    path.write(&record)?;
    if args.output.json {
        warn(&record.warnings);
        print(&serde_json::to_string_pretty(&record)?);
    } else if args.quiet {
        warn(&record.warnings);
        show(&shown::headline(&record));
    } else {
        show(&shown::document(&record));
        if path.exists() {
            print(&text::record_line(&path));
        }
    }
    let of_environment = record.environment.warnings.iter().filter(|it| matters(it));
    let warnings: Vec<Verdict> = of_environment.map(of_environment_warning).collect();
    let ending = Ending {
        interrupted,
        failed: args.fail_on.names(warnings.iter().chain(&record.warnings)),
        ..Ending::default()
    };
    Ok(ending.code())
}

/// Says it on a line of its own: a terminal shows the key on the one where the cursor was.
fn say_interrupted(what: &str) {
    let key = if stderr().is_terminal() { "\n" } else { "" };
    eprintln!("{key}interrupted: {what}");
}

/// What was measured until the end or an interruption, as far as a round is whole. The signals are
/// watched so that the files are removed before the program ends.
fn measured_so_far(config: &RoundsConfig, quiet: bool) -> anyhow::Result<Option<Rounds>> {
    let writes = config.all.count * u64::from(config.concurrency.iter().sum::<u32>());
    let writes = writes * (Method::ALL.len() * Pattern::ALL.len()) as u64;
    let config = config.clone();
    let (began, asked) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let of_measurement = Arc::clone(&asked);
    runtime()?.block_on(async {
        let interrupted = watch_signals()?;
        let stop = interrupted.clone();
        let measuring = tokio::task::spawn_blocking(move || {
            // It is asked before each write, which is what is timed.
            let keep_going = || {
                of_measurement.fetch_add(1, Ordering::Relaxed);
                !*stop.borrow()
            };
            disk::measure_rounds(&config, &keep_going)
        });
        let text = || {
            let done = asked.load(Ordering::Relaxed).min(writes);
            let left = progress::remaining(done, writes, began.elapsed());
            format!(
                "measuring syncs: {} of {} writes{}",
                figures::grouped(done),
                figures::grouped(writes),
                left.map(progress::left).unwrap_or_default()
            )
        };
        let status = StatusLine::new(if quiet { Detail::Nothing } else { Detail::Line });
        let measured = status.while_doing(text, measuring).await;
        drop(status);
        match measured.context("the measurement panicked")? {
            Err(DiskError::Interrupted) => Ok(None),
            measured => Ok(Some(measured?)),
        }
    })
}

/// Says them on standard error.
pub(super) fn warn(warnings: &[Verdict]) {
    for warning in warnings {
        verbosity::warning(&format!("{}: {}", warning.message, warning.remedy));
    }
}

/// In memory syncs do nothing by right, and the environment's warning has said so.
pub(super) fn doubts(baseline: &Baseline, environment: &Environment) -> Vec<Verdict> {
    let mut warnings = environment.warnings.iter();
    if warnings.any(|warning| warning.code == EnvironmentWarningCode::Tmpfs) {
        return Vec::new();
    }
    doubtful_baseline(baseline)
}

fn warn_of_environment(environment: &Environment) {
    for warning in environment.warnings.iter().filter(|it| matters(it)) {
        verbosity::warning(&format!("{}: {}", warning.message, warning.remedy));
    }
}

/// How fast this program computes is not measured here.
fn matters(warning: &EnvironmentWarning) -> bool {
    warning.code != EnvironmentWarningCode::DebugBuild
}

/// Each with its interval over rounds.
fn ceilings(dir: &Path, baseline: &Baseline, methods: &[SyncSeries]) -> anyhow::Result<Ceilings> {
    let count = |durability| -> anyhow::Result<SyncsPerCommit> {
        syncs_per_commit(dir, durability, PROBE_COMMITS)
            .with_context(|| format!("cannot count the syncs of {durability}"))
    };
    let mut ceilings =
        Ceilings::new(baseline).context("the method by which SQLite syncs was not measured")?;
    let delete_full = count(Durability::DeleteFull)?;
    let delete_extra = count(Durability::DeleteExtra)?;
    let wal_full = count(Durability::WalFull)?;
    let mut rows = vec![
        ceilings.ceiling(Durability::DeleteFull, &delete_full, 1),
        ceilings.ceiling(Durability::DeleteExtra, &delete_extra, 1),
        ceilings.ceiling(Durability::WalFull, &wal_full, 1),
    ];
    rows.extend(
        TRANSFERS_PER_COMMIT
            .map(|transfers| ceilings.ceiling(Durability::WalFull, &wal_full, transfers)),
    );
    let rounds = times_of_rounds(methods, ceilings.method);
    let rows = rows.into_iter().map(|row| row.over_rounds(&rounds));
    ceilings.rows = rows.collect();
    Ok(ceilings)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Verb {
        #[command(flatten)]
        args: FsyncArgs,
    }

    fn parse(args: &[&str]) -> Result<FsyncArgs, clap::Error> {
        Verb::try_parse_from([&["fsync"], args].concat()).map(|verb| verb.args)
    }

    fn record() -> FsyncRecord {
        // Not a temporary directory, which may be in memory.
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let output = dir.path().join("record.json");
        let args = ["--rounds=3", "--count=60", "--concurrency=2", "--output"];
        let named = ["--data-dir", dir.path().to_str().unwrap()];
        let args = [&args[..], &[output.to_str().unwrap()], &named].concat();
        run(&parse(&args).unwrap()).unwrap();
        let record = FsyncRecord::read(&output).unwrap().unwrap();
        std::fs::remove_file(&output).unwrap();
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
        record
    }

    #[test]
    fn defaults() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.block.bytes(), 4096);
        assert!(
            args.data_dir == Path::new(DEFAULT_DATA_DIR)
                && args.count.is_none()
                && !args.output.json
        );
    }

    #[test]
    fn bad_values_are_refused_with_what_is_expected() {
        for (args, expected) in [
            (["--block", "3k"], "expected a power of two from 512 to 16M"),
            (
                ["--block", "4kB"],
                "expected a number of bytes with an optional unit",
            ),
            (["--count", "0"], "from 1 to 1,000,000"),
            (["--count", "many"], "such as 100, 5k or 1M"),
        ] {
            let error = parse(&args).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let below = file.path().join("missing");
        let error = run(&parse(&["--dir", below.to_str().unwrap()]).unwrap()).unwrap_err();
        assert!(error.to_string().contains("--data-dir"), "{error}");
    }

    #[test]
    fn json_has_the_published_shape() {
        let json = serde_json::to_value(record()).unwrap();
        assert_eq!(json["methods"].as_array().unwrap().len(), 12);
        assert_eq!(json["methods"][0]["concurrency"], 1);
        let ceilings = &json["ceilings"];
        assert_eq!(ceilings["method"], "fdatasync");
        let rows = ceilings["rows"].as_array().unwrap();
        let names: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row["durability"].as_str().unwrap(),
                    &row["transfers_per_commit"],
                )
            })
            .map(|(durability, transfers)| format!("{durability} {transfers}"))
            .collect();
        assert_eq!(
            names,
            [
                "delete-full 1",
                "delete-extra 1",
                "wal-full 1",
                "wal-full 10",
                "wal-full 100",
                "wal-full 1000"
            ]
        );
        assert!(rows.iter().all(|row| row["tps"].as_f64().unwrap() > 0.0));
        // The conclusion and the table are of the same syncs per second.
        let methods = json["methods"].as_array().unwrap().iter();
        let mut own = methods.filter(|it| it["method"] == "fdatasync" && it["concurrency"] == 1);
        let own = own.find(|it| it["pattern"] == "overwrite").unwrap();
        let of_table = own["syncs_per_second_interval"]["median"].as_f64().unwrap();
        let off = rows[2]["tps"].as_f64().unwrap() / of_table - 1.0;
        assert!(off.abs() < 1e-9, "{off}");
    }
}
