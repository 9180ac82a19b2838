//! `bench-client reproduce`: the article's table on this machine.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bench_client::connector::Encoding;
use bench_client::disk::{Ceiling, Ceilings};
use bench_client::host::environment::Environment;
use bench_client::load::{DEFAULT_INTERVAL, Measure, Pace};
use bench_client::output::{self, Existing, is_stream};
use bench_client::record::{Record, Reproduction, Row};
use bench_client::report::article::{ARTICLE_ALPHA, ARTICLE_WORKERS, ArticleRow, ROWS};
use bench_client::report::table;
use bench_client::row::RowPlan;
use bench_client::workload::Zipf;
use busload_frontend::cli::{DEFAULT_DATA_DIR, DEFAULT_INITIAL_BALANCE};
use busload_sqlite::Durability;
use busload_sqlite::probe::{SyncsPerCommit, syncs_per_commit};
use clap::Args;

use super::fail_on::{Ending, FailOnArgs};
use super::load_args::verify::STANDARD_VERIFICATION;
use super::load_args::{
    NullServer, OwnServer, check_descriptors, null_server, parse_seconds, parse_warmup,
};
use super::output::RecordFile;
use super::run::{measure_all, runtime};
use super::{INTERRUPTED, print};

/// Accounts in every row.
const ACCOUNTS: u32 = 100_000;
/// Commits over which the syncs of a journal mode are counted.
const PROBE_COMMITS: u32 = 20;

#[derive(Debug, Args)]
pub(crate) struct ReproduceArgs {
    /// Length of each row's measured window, in seconds
    #[arg(long, default_value = "5", value_parser = parse_seconds)]
    seconds: f64,
    /// Length of each row's warm-up, in seconds
    #[arg(long, default_value = "2", value_parser = parse_warmup)]
    warmup: f64,
    /// The random seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Directory of the database: its file system is what is measured
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
    #[command(flatten)]
    fail_on: FailOnArgs,
    /// Print the record as JSON, and nothing else, on standard output
    #[arg(long)]
    json: bool,
    /// File of the record; the table goes beside it, with the ending .md
    /// [default: a new one in results/runs]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &ReproduceArgs) -> anyhow::Result<ExitCode> {
    let plans = plans(args)?;
    check_descriptors(&plans)?;
    let environment = Environment::capture(&args.data_dir).with_allocator("mimalloc");
    let path = RecordFile::checked(args.output.as_deref(), "reproduce", &environment)?;
    let mut counted = CountedSyncs {
        directory: &args.data_dir,
        counts: HashMap::new(),
    };
    let mut reproduction = Reproduction::new(Record::new(environment));
    let environment = reproduction.record.environment.clone();
    let measured = runtime()?.block_on(measure_all(&plans, &environment, |row| {
        let article = &ROWS[reproduction.record.rows.len()];
        let ceiling = counted.ceiling(article, &row)?;
        if !args.json {
            print(&format!("{}\n", table::describe(&row)));
        }
        reproduction.push(article, row, ceiling);
        path.write_so_far(&reproduction)?;
        write_table(&reproduction, &path)
    }));
    if reproduction.record.rows.is_empty() {
        return measured.map(|()| ExitCode::from(INTERRUPTED));
    }
    let written = path.finish(&reproduction);
    if args.json {
        print(&serde_json::to_string_pretty(&reproduction)?);
    } else {
        print(&reproduction.to_markdown());
        if path.exists() {
            print(&table::record_line(&path));
        }
    }
    measured?;
    written?;
    if reproduction.record.rows.len() < ROWS.len() {
        eprintln!(
            "interrupted: {} of {} rows were measured",
            reproduction.record.rows.len(),
            ROWS.len()
        );
    }
    let ending = Ending {
        found: !reproduction.is_as_expected(),
        interrupted: reproduction.is_unfinished(),
        failed: args.fail_on.names(reproduction.verdicts()),
    };
    Ok(ending.code())
}

/// Writes the table beside the record, where that is a file.
fn write_table(reproduction: &Reproduction, path: &Path) -> anyhow::Result<()> {
    if is_stream(path) {
        return Ok(());
    }
    let markdown = path.with_extension("md");
    let table = reproduction.to_markdown();
    output::write(&markdown, table.as_bytes(), Existing::Replaced)
        .with_context(|| format!("cannot write the table {}", markdown.display()))
}

fn plans(args: &ReproduceArgs) -> anyhow::Result<Vec<RowPlan>> {
    let zipf = std::sync::Arc::new(Zipf::new(ACCOUNTS, ARTICLE_ALPHA)?);
    ROWS.iter()
        .map(|row| {
            let server = OwnServer {
                connector: row.connector,
                data_dir: &args.data_dir,
                database: None,
                durability: row.durability,
                batch_size: row.batch_size,
                batch_timeout: row.batch_timeout,
                accounts: i64::from(ACCOUNTS),
                initial_balance: DEFAULT_INITIAL_BALANCE,
                connections: ARTICLE_WORKERS as usize * row.max_inflight,
                further: Vec::new(),
                keep_db: false,
            };
            Ok(RowPlan {
                name: Some(row.name.to_owned()),
                connector: row.connector,
                encoding: Encoding::Json,
                server: server.choice()?,
                concurrency: ARTICLE_WORKERS,
                max_inflight: row.max_inflight,
                threads: 1,
                pace: Pace::Closed,
                zipf: std::sync::Arc::clone(&zipf),
                initial_balance: DEFAULT_INITIAL_BALANCE,
                amount: 1,
                seed: args.seed,
                warmup: Duration::from_secs_f64(args.warmup),
                measure: Measure::For(Duration::from_secs_f64(args.seconds)),
                op_timeout: Duration::from_secs(15),
                exactly_once: None,
                interval: Some(DEFAULT_INTERVAL),
                verify: Some(STANDARD_VERIFICATION),
                null_server: Some(null_server(&NullServer {
                    connector: row.connector,
                    batch_size: row.batch_size,
                    batch_timeout: row.batch_timeout,
                    accounts: i64::from(ACCOUNTS),
                    connections: ARTICLE_WORKERS as usize * row.max_inflight,
                    io_threads: None,
                })?),
            })
        })
        .collect()
}

/// Syncs per commit, counted once per durability mode in the directory that is measured.
struct CountedSyncs<'a> {
    directory: &'a Path,
    counts: HashMap<Durability, SyncsPerCommit>,
}

impl CountedSyncs<'_> {
    /// What the disk allows the row, at the faster of the baselines before and after it.
    fn ceiling(&mut self, article: &ArticleRow, row: &Row) -> anyhow::Result<Option<Ceiling>> {
        // The fake row claims what the true default does.
        let mode = if article.fake {
            Durability::DeleteFull
        } else {
            article.durability
        };
        let syncs = if let Some(syncs) = self.counts.get(&mode) {
            *syncs
        } else {
            let syncs = syncs_per_commit(self.directory, mode, PROBE_COMMITS)?;
            self.counts.insert(mode, syncs);
            syncs
        };
        let all_inflight = ARTICLE_WORKERS as usize * article.max_inflight;
        let per_commit = u32::try_from(article.batch_size.min(all_inflight))?;
        let baselines = [&row.sync_baseline.before, &row.sync_baseline.after];
        let ceilings = baselines.into_iter().flatten().filter_map(Ceilings::new);
        Ok(ceilings
            .map(|ceilings| ceilings.ceiling(mode, &syncs, per_commit))
            .max_by(|a, b| a.tps.partial_cmp(&b.tps).unwrap_or(Ordering::Equal)))
    }
}
