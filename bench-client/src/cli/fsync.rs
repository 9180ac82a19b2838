//! `bench-client fsync`: what a durable write costs in a directory, and the ceilings that follow.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bench_client::disk::{
    self, Baseline, BaselineConfig, BlockSize, Ceiling, Ceilings, SyncMeasurement,
};
use bench_client::figures::{known, rate};
use bench_client::host::environment::{Environment, EnvironmentWarningCode};
use bench_client::judge::doubtful_baseline;
use bench_client::record::Verdict;
use bench_client::render::document::{Document, Table};
use busload_sqlite::Durability;
use busload_sqlite::probe::{SyncsPerCommit, syncs_per_commit};
use serde::Serialize;

use super::interrupt::watch_signals;
use super::run::runtime;
use super::{INTERRUPTED, VALID, print, show};

/// Where the server keeps its database too, unless told otherwise.
const DEFAULT_DIR: &str = ".data";
const DEFAULT_COUNT: u64 = 1_000;

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
    /// Directory to measure in [default: .data, created if missing]
    #[arg(long, value_name = "DIR", visible_alias = "data-dir")]
    dir: Option<PathBuf>,

    /// Writes for each method and pattern [default: 1000, or as many as fit in 10 s]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    count: Option<u64>,

    /// Size of each write: a power of two from 512 to 16M
    #[arg(long, value_name = "SIZE", default_value_t = BlockSize::PAGE)]
    block: BlockSize,

    /// Print JSON on standard output, and nothing else there
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct FsyncReport {
    #[serde(flatten)]
    baseline: Baseline,
    ceilings: Ceilings,
    /// Why these are not the times of syncs, where they are not.
    warnings: Vec<Verdict>,
}

/// Measures and prints.
pub(crate) fn run(args: FsyncArgs) -> anyhow::Result<ExitCode> {
    let config = BaselineConfig {
        dir: directory(args.dir)?,
        count: args.count.unwrap_or(DEFAULT_COUNT),
        block: args.block,
        time_limit: if args.count.is_some() {
            TIME_LIMIT_WITH_COUNT
        } else {
            TIME_LIMIT
        },
    };
    let environment = Environment::capture(&config.dir);
    warn_of_environment(&environment);
    let Some((baseline, ceilings)) = measured_unless_interrupted(&config)? else {
        eprintln!("interrupted before the measurement ended: no file is left behind");
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let warnings = doubts(&baseline, &environment);
    warn(&warnings);
    let report = FsyncReport {
        baseline,
        ceilings,
        warnings,
    };
    if args.json {
        print(&serde_json::to_string_pretty(&report)?);
    } else {
        show(&document(&report));
    }
    Ok(ExitCode::from(VALID))
}

/// The signals are watched so that the files are removed before the program ends.
fn measured_unless_interrupted(
    config: &BaselineConfig,
) -> anyhow::Result<Option<(Baseline, Ceilings)>> {
    let config = config.clone();
    runtime()?.block_on(async {
        let interrupted = watch_signals()?;
        let stop = interrupted.clone();
        let measuring = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
            let baseline = disk::measure_while(&config, &|| !*stop.borrow())?;
            let ceilings = ceilings(&config.dir, &baseline)?;
            Ok((baseline, ceilings))
        });
        let measured = measuring.await.context("the measurement panicked")?;
        if *interrupted.borrow() {
            return Ok(None);
        }
        measured.map(Some)
    })
}

/// A directory that was named must be there, since a slip in its name would otherwise measure
/// another disk; the default one is made.
fn directory(named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(dir) = named {
        return Ok(dir);
    }
    let dir = PathBuf::from(DEFAULT_DIR);
    std::fs::create_dir_all(&dir)
        .with_context(|| format!("cannot create the directory {}", dir.display()))?;
    Ok(dir)
}

/// Says them on standard error.
pub(super) fn warn(warnings: &[Verdict]) {
    for warning in warnings {
        eprintln!("warning: {}: {}", warning.message, warning.remedy);
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
    for warning in &environment.warnings {
        // How fast this program computes is not measured here.
        if warning.code != EnvironmentWarningCode::DebugBuild {
            eprintln!("warning: {}: {}", warning.message, warning.remedy);
        }
    }
}

fn ceilings(dir: &Path, baseline: &Baseline) -> anyhow::Result<Ceilings> {
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
    ceilings.rows = rows;
    Ok(ceilings)
}

fn document(report: &FsyncReport) -> Document {
    let Ceilings {
        method,
        append_us,
        overwrite_us,
        rows,
        withheld,
    } = &report.ceilings;
    let bytes = report.baseline.block_bytes;
    let mut document = Document::new(&format!("Durable writes of {bytes} bytes, latency in µs"));
    document.table(methods_table(&report.baseline.methods));
    if *withheld {
        document.say(format!(
            "TPS ceilings: withheld, since what {method} does here is no sync"
        ));
        return document;
    }
    document.say(format!(
        "TPS ceilings: syncs per commit counted in this directory; SQLite syncs by {method}, mean \
         {append_us:.1} µs when it appends (a new journal, or its removal) and \
         {overwrite_us:.1} µs when it overwrites (a reused log, the database)"
    ));
    document.table(ceilings_table(rows));
    document
}

fn methods_table(methods: &[SyncMeasurement]) -> Table {
    let micros = |value: f64| format!("{value:.1}");
    Table::of("Durable writes", methods)
        .words(0, "method", |entry| entry.method.to_string())
        .words(0, "pattern", |entry| entry.pattern.to_string())
        .number(2, "count", |entry| entry.count)
        .number(2, "min", move |entry| micros(entry.latency_us.min))
        .number(1, "mean", move |entry| micros(entry.latency_us.mean))
        .number(0, "p50", move |entry| known(entry.latency_us.p50, micros))
        .number(1, "p99", move |entry| known(entry.latency_us.p99, micros))
        .number(2, "max", move |entry| micros(entry.latency_us.max))
        .number(0, "syncs/s", |entry| rate(entry.syncs_per_second))
        .into()
}

fn ceilings_table(rows: &[Ceiling]) -> Table {
    Table::of("Ceilings", rows)
        .words(0, "durability", |row| row.durability.clone())
        .number(0, "transfers/commit", |row| row.transfers_per_commit)
        .number(1, "syncs/commit", |row| {
            format!("{:.2}", row.syncs_per_commit)
        })
        .number(2, "appending", |row| {
            format!("{:.2}", row.append_syncs_per_commit)
        })
        .number(1, "sync µs", |row| {
            format!("{:.1}", row.sync_us_per_commit)
        })
        .number(0, "TPS", |row| {
            row.tps.map_or_else(|| "no sync".to_owned(), rate)
        })
        .into()
}

#[cfg(test)]
mod tests {
    use bench_client::render::write::text;
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

    fn report() -> FsyncReport {
        // Not a temporary directory, which may be in memory.
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let baseline = disk::measure_short(dir.path()).unwrap();
        let ceilings = ceilings(dir.path(), &baseline).unwrap();
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
        FsyncReport {
            warnings: doubtful_baseline(&baseline),
            baseline,
            ceilings,
        }
    }

    #[test]
    fn defaults() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.block.bytes(), 4096);
        assert!(args.dir.is_none() && args.count.is_none() && !args.json);
    }

    #[test]
    fn bad_values_are_refused_with_what_is_expected() {
        for (args, expected) in [
            (["--block", "3k"], "expected a power of two from 512 to 16M"),
            (
                ["--block", "4kB"],
                "expected a number of bytes with an optional unit",
            ),
            (["--count", "0"], "1..=1000000"),
            (["--count", "many"], "invalid digit"),
        ] {
            let error = parse(&args).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_directory_that_was_named_is_not_made() {
        let parent = tempfile::tempdir().unwrap();
        let missing = parent.path().join("missing");
        let error = run(parse(&["--dir", missing.to_str().unwrap()]).unwrap()).unwrap_err();
        assert!(
            error.to_string().starts_with("no such directory"),
            "{error}"
        );
        assert!(!missing.exists());
    }

    #[test]
    fn json_has_the_published_shape() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["methods"].as_array().unwrap().len(), 6);
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
    }

    #[test]
    fn people_read_aligned_columns() {
        let text = text::write(&document(&report()), text::Layout::default());
        let lines = text.lines().skip_while(|line| !line.contains("syncs/s"));
        let table: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
        let is_rule = |line: &&str| line.starts_with('─');
        let (rules, table): (Vec<&str>, Vec<&str>) = table.into_iter().partition(is_rule);
        assert_eq!((rules.len(), table.len()), (1, 7), "{text}");
        let width = table[0].chars().count();
        assert!(
            table.iter().all(|line| line.chars().count() == width),
            "{text}"
        );
    }
}
