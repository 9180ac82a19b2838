//! `bench-client reproduce`: a published table on this machine.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::cmp::Ordering;
use std::collections::HashMap;
use std::io::{IsTerminal as _, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bench_client::article::{self, ArticleRow, Table};
use bench_client::config::heading::LOAD;
use bench_client::config::target_file::Choices;
use bench_client::config::{RunConfig, parse_seconds, parse_warmup};
use bench_client::disk::{Ceiling, Ceilings};
use bench_client::host::environment::Environment;
use bench_client::output::{self, Existing, is_stream};
use bench_client::program;
use bench_client::record::{Edition, Record, Reproduction, Row, SkippedPeer};
use bench_client::render::records::{article as shown, closing, row, summary};
use bench_client::render::write::{markdown, text};
use busload_frontend::cli::{DEFAULT_DATA_DIR, ServerConfig};
use busload_sqlite::Durability;
use busload_sqlite::probe::{SyncsPerCommit, syncs_per_commit};
use clap::Args;

use super::fail_on::{Ending, FailOnArgs};
use super::load_flags::{built_in, check_descriptors, choose};
use super::output::OutputArgs;
use super::progress;
use super::run::{measure_all, runtime};
use super::title::show_title;
use super::verbosity::VerbosityArgs;
use super::{INTERRUPTED, print, show, usage};

/// Commits over which the syncs of a journal mode are counted.
const PROBE_COMMITS: u32 = 20;

/// Above the flags of a reproduction, in the help text.
const HEADING: &str = "Table";

const OUTPUT_HELP: &str = "File of the record [default: new in results/runs]\n\nThe table goes beside it, with the ending .md.";

#[derive(Debug, Args)]
#[command(mut_arg("output", |arg| arg.long_help(OUTPUT_HELP)))]
pub(crate) struct ReproduceArgs {
    /// Which table: 2026-03 or 2026-08
    ///
    /// 2026-03 is the article's, 2026-08 the original benchmark as it stood then.
    #[arg(long, help_heading = HEADING, hide_possible_values = true, value_enum, default_value = "2026-03")]
    edition: Edition,
    /// Measure each row on Node.js and SQLite, too
    ///
    /// Its own technology: the targets node-sqlite-http and node-sqlite-ws. One that is not installed is left out, and
    /// named.
    #[arg(long, help_heading = HEADING)]
    peers: bool,
    /// How long to measure each row [default: 5s]
    ///
    /// [default: 270s of 2026-08]
    #[arg(short, long, alias = "seconds", help_heading = LOAD, value_name = "TIME", value_parser = parse_seconds)]
    duration: Option<Duration>,
    /// Length of each row's warm-up [default: 2s]
    ///
    /// [default: a tenth of the row of 2026-08]
    #[arg(long, help_heading = LOAD, value_name = "TIME", value_parser = parse_warmup)]
    warmup: Option<Duration>,
    /// Random seed
    #[arg(long, help_heading = LOAD, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Directory of the database
    ///
    /// Its disk is what is measured.
    #[arg(long, help_heading = HEADING, value_name = "DIR", default_value = DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
    #[command(flatten)]
    verbosity: VerbosityArgs,
    #[command(flatten)]
    fail_on: FailOnArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn run(args: &ReproduceArgs) -> anyhow::Result<ExitCode> {
    let table = Table::of(args.edition);
    let Planned { rows, skipped } = plan(args, table)?;
    let (of_article, plans): (Vec<&ArticleRow>, Vec<RunConfig>) = rows.into_iter().unzip();
    check_descriptors(&plans)?;
    for SkippedPeer { name, why } in &skipped {
        eprintln!("skipped: {name}: {why}");
    }
    let environment = Environment::capture(&args.data_dir).with_program(program("mimalloc"));
    let path = args.output.checked("reproduce", &environment)?;
    refuse_to_lose(&path)?;
    let mut counted = CountedSyncs {
        directory: &args.data_dir,
        counts: HashMap::new(),
    };
    let mut record = Record::new(environment);
    args.output.naming.put(&mut record.naming);
    let mut reproduction = article::reproduction(args.edition, record);
    reproduction.skipped = skipped;
    let environment = reproduction.record.environment.clone();
    let VerbosityArgs { verbose, quiet } = args.verbosity;
    if verbose {
        show_title(&reproduction.record.naming);
    }
    let measured = runtime()?.block_on(measure_all(&plans, &environment, quiet, |row| {
        let of_article = of_article[reproduction.record.rows.len()];
        let ceiling = counted.ceiling(of_article, &row)?;
        if verbose {
            show(&row::document(&row));
            print("");
        } else if !quiet {
            let place = (reproduction.record.rows.len() + 1, plans.len());
            progress::say(&summary::row_line(&row, Some(place), of_article.name));
        }
        article::push(&mut reproduction, of_article, row, ceiling);
        path.write_so_far(&reproduction)?;
        write_table(&reproduction, &path)
    }));
    if reproduction.record.rows.is_empty() {
        return measured.map(|()| ExitCode::from(INTERRUPTED));
    }
    let written = path.finish(&reproduction);
    if args.output.json {
        print(&serde_json::to_string_pretty(&reproduction)?);
    } else if quiet {
        let kept = path.exists().then_some(&*path);
        show(&closing::in_lines(&reproduction.record, kept));
    } else {
        // In a file it is the table alone, as it stands beside the record.
        if stdout().is_terminal() {
            show(&shown::on_screen(&reproduction));
        } else {
            print(markdown::write(&shown::document(&reproduction)).trim_end());
        }
        if path.exists() {
            progress::say(&text::record_line(&path));
        }
    }
    measured?;
    written?;
    if reproduction.record.rows.len() < plans.len() {
        eprintln!(
            "interrupted: {} of {} rows were measured",
            reproduction.record.rows.len(),
            plans.len()
        );
    }
    let ending = Ending {
        found: !article::is_as_expected(&reproduction),
        interrupted: article::is_unfinished(&reproduction, plans.len()),
        failed: args.fail_on.names(article::verdicts(&reproduction)),
    };
    Ok(ending.code())
}

/// Beside a record that is there stands its table; beside none, somebody else's file.
fn refuse_to_lose(record: &Path) -> anyhow::Result<()> {
    let table = record.with_extension("md");
    if record.exists() || !table.exists() {
        return Ok(());
    }
    Err(usage(&format!(
        "{} is there, and the table would be written to it: name another record with --output, or \
         remove it",
        table.display()
    )))
}

/// Writes the table beside the record, where that is a file.
fn write_table(reproduction: &Reproduction, path: &Path) -> anyhow::Result<()> {
    if is_stream(path) {
        return Ok(());
    }
    let markdown = path.with_extension("md");
    let table = markdown::write(&shown::document(reproduction));
    output::write(&markdown, table.as_bytes(), Existing::Replaced)
        .with_context(|| format!("cannot write the table {}", markdown.display()))
}

/// What is to be measured.
struct Planned {
    /// From top to bottom; a peer's row follows the one that it repeats, so that whatever drifts
    /// meanwhile hits both alike.
    rows: Vec<(&'static ArticleRow, RunConfig)>,
    /// Peers that are not there.
    skipped: Vec<SkippedPeer>,
}

fn plan(args: &ReproduceArgs, table: &'static Table) -> anyhow::Result<Planned> {
    let (mut rows, mut skipped) = (Vec::new(), Vec::<SkippedPeer>::new());
    for row in table.rows {
        rows.push((row, own(args, table, row)?));
        let Some(peer) = row.peer().filter(|_| args.peers) else {
            continue;
        };
        if skipped.iter().any(|skipped| skipped.name == peer.target) {
            continue;
        }
        let choices = Choices {
            arguments: peer.arguments,
            durability: peer.durability,
            data_dir: args.data_dir.clone(),
            ..Choices::default()
        };
        let chosen = choose(peer.target)?;
        match chosen.target(choices) {
            Ok(Some(target)) => {
                let name = Some(format!("{}, {}", row.name, peer.target));
                let config = load(args, table, row);
                let config = RunConfig {
                    name,
                    target,
                    ..config
                };
                rows.push((row, config));
            }
            Ok(None) => {}
            Err(why) => skipped.push(SkippedPeer {
                name: peer.target.to_owned(),
                why: why.to_string(),
            }),
        }
    }
    Ok(Planned { rows, skipped })
}

/// What is put on whatever server a row has.
fn load(args: &ReproduceArgs, table: &Table, row: &ArticleRow) -> RunConfig {
    let window = args.duration.unwrap_or(table.window);
    let mut config = RunConfig {
        name: Some(row.name.to_owned()),
        connector: row.connector,
        ..RunConfig::default()
    };
    config.workload.alpha = row.alpha;
    config.workload.initial_balance = table.initial_balance;
    config.workload.seed = args.seed;
    config.load.concurrency = table.workers;
    config.load.max_inflight_per_worker = row.max_inflight;
    config.load.warmup = args.warmup.unwrap_or_else(|| table.warmup_of(window));
    config.load.window = Some(window);
    config
}

/// The row on this program's own server.
fn own(args: &ReproduceArgs, table: &Table, row: &ArticleRow) -> anyhow::Result<RunConfig> {
    let server = ServerConfig {
        durability: row.durability.into(),
        batch_size: Some(row.batch_size),
        batch_timeout: Some(row.batch_timeout),
        ..ServerConfig::default()
    };
    Ok(RunConfig {
        target: built_in(server, row.connector, &args.data_dir, None, false)?,
        ..load(args, table, row)
    })
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
        let all_inflight = row.config.load.concurrency as usize * article.max_inflight;
        let per_commit = u32::try_from(article.batch_size.min(all_inflight))?;
        let baselines = [&row.sync_baseline.before, &row.sync_baseline.after];
        let ceilings = baselines.into_iter().flatten().filter_map(Ceilings::new);
        Ok(ceilings
            .map(|ceilings| ceilings.ceiling(mode, &syncs, per_commit))
            .max_by(|a, b| a.tps.partial_cmp(&b.tps).unwrap_or(Ordering::Equal)))
    }
}
