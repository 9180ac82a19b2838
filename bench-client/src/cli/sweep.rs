//! `bench-client sweep`: rows over the values of one or two knobs, or the search for the knee.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

mod knee;

use std::process::ExitCode;

use bench_client::config::RunConfig;
use bench_client::config::heading::OUTPUT;
use bench_client::figures::counted;
use bench_client::host::environment::Environment;
use bench_client::judge::summarise;
use bench_client::measure::RowError;
use bench_client::record::{Axis, Knob, Record, Repetition, Row, Sweep};
use bench_client::render::records::summary::row_line;
use bench_client::render::records::{closing, row as row_shown, sweep as shown};
use bench_client::render::write::text;
use bench_client::sweep::{self, Recorded};
use clap::Args;

use super::fail_on::{Ending, FailOnArgs};
use super::load_flags::{LoadFlags, environment, warn_of_servers};
use super::output::{OutputArgs, RecordFile};
use super::progress;
use super::run::{measure_watched, runtime};
use super::runs::{self, RunsArgs};
use super::title::show_title;
use super::verbosity::{VerbosityArgs, notice};
use super::watch_args::WatchArgs;
use super::{VALID, print, show, usage};
use knee::KneeArgs;

/// Above the flags of a sweep, in the help text.
const HEADING: &str = "Sweep";
/// What is swept when nothing else is said: how many transfers may share a sync.
const DEFAULT_OVER: &str = "batch-size=1,4,16,64,256,1024,4096";

const OUTPUT_HELP: &str = "File of the record [default: new in results/runs]\n\nIf it is there, the sweep goes on. Rows that are in it are skipped.";

#[derive(Debug, Args)]
#[command(mut_arg("output", |arg| arg.long_help(OUTPUT_HELP)))]
pub(crate) struct SweepArgs {
    /// A knob and its values, such as batch-size=1,64,4k
    ///
    /// Once or twice. KNOB is one of alpha, concurrency, inflight, batch-size, batch-timeout and rate. SPEC is a
    /// list 1,2,4; a range FROM..TO/STEP; linear:FROM:TO:COUNT; or geometric:FROM:TO:COUNT. Batch
    /// timeouts carry a unit: 0ms,500us,2ms. [default: batch-size=1,4,16,64,256,1024,4096]
    #[arg(long, help_heading = HEADING, value_name = "KNOB=SPEC")]
    over: Vec<Axis>,
    #[command(flatten)]
    knee: KneeArgs,
    #[command(flatten)]
    load: LoadFlags,
    #[command(flatten)]
    runs: RunsArgs,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    verbosity: VerbosityArgs,
    #[command(flatten)]
    fail_on: FailOnArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Go on although machine, storage, program or settings are not those of the record
    #[arg(long, help_heading = OUTPUT, requires = "output")]
    resume_anyway: bool,
}

impl SweepArgs {
    /// What is swept.
    fn over(&self) -> anyhow::Result<Vec<Axis>> {
        if self.over.is_empty() && !self.knee.is_asked_for() {
            return Ok(vec![DEFAULT_OVER.parse()?]);
        }
        Ok(self.over.clone())
    }
}

pub(crate) fn run(args: &SweepArgs) -> anyhow::Result<ExitCode> {
    let over = args.over()?;
    check_knobs(args, &over)?;
    let mut plans = if args.knee.is_asked_for() {
        knee::rows(&args.load, args.knee.first_rate())?.to_vec()
    } else {
        swept(&args.load, &over)?
    };
    // Before anything compares them with what was recorded: the interval is a setting.
    args.watch.set_intervals(&mut plans)?;
    warn_of_servers(&plans);
    let environment = environment(&plans);
    let path = args.output.to_go_on_with("sweep", &environment)?;
    let described = Sweep {
        settings: plans
            .first()
            .map(|plan| sweep::settings(plan, &over))
            .unwrap_or_default(),
        over,
        resumed_despite: Vec::new(),
    };
    let mut record = sweep::open(&path, &environment, described, args.resume_anyway)
        .map_err(|error| usage(&error.to_string()))?;
    args.output.naming.put(&mut record.naming);
    if args.verbosity.verbose {
        show_title(&record.naming);
    }
    let mut sweeping = Sweeping {
        record,
        environment,
        path,
        json: args.output.json,
        verbosity: args.verbosity,
        fail_on: args.fail_on.clone(),
    };
    match plans.as_slice() {
        [closed, open] if args.knee.is_asked_for() => {
            knee::run(&args.knee, [closed, open], sweeping)
        }
        plans => sweeping.rows(&args.runs, &args.watch, plans),
    }
}

/// One row per combination of swept values and connector, the first knob outermost.
fn swept(load: &LoadFlags, over: &[Axis]) -> anyhow::Result<Vec<RunConfig>> {
    refuse_lists(load)?;
    let lists = over.iter().map(|axis| {
        let values: Vec<String> = axis.values.iter().map(|it| axis.knob.show(*it)).collect();
        (axis.knob.name().to_owned(), Some(values.join(",")))
    });
    let outermost: Vec<&str> = over.iter().map(|axis| axis.knob.name()).collect();
    load.with(lists).rows_by(&outermost)
}

fn refuse_lists(load: &LoadFlags) -> anyhow::Result<()> {
    let Some(flag) = load.list() else {
        return Ok(());
    };
    let remedy = if Knob::ALL.iter().any(|knob| knob.name() == flag) {
        format!("give the list as --over {flag}=V,V")
    } else {
        "give each value a sweep of its own".to_owned()
    };
    Err(usage(&format!(
        "a sweep has one fixed value of --{flag}: {remedy}"
    )))
}

fn check_knobs(args: &SweepArgs, over: &[Axis]) -> anyhow::Result<()> {
    if over.len() > 2 {
        return Err(usage(
            "a sweep is over one knob or two: give --over once or twice",
        ));
    }
    if let [one, other] = over
        && one.knob == other.knob
    {
        let name = one.knob.name();
        return Err(usage(&format!(
            "--over {name} is given twice: put its values into one"
        )));
    }
    let mut fixed = over.iter().map(|axis| axis.knob.name());
    if let Some(name) = fixed.find(|name| args.load.has(name)) {
        return Err(usage(&format!(
            "--{name} is fixed and swept: leave out one of --{name} and --over {name}"
        )));
    }
    if let Some(flag) = args.knee.without_search() {
        return Err(usage(&format!("{flag} goes with --find-knee")));
    }
    if args.knee.is_asked_for() {
        if args.load.has("rate") {
            return Err(usage(
                "--rate is what --find-knee searches: use --from and --to",
            ));
        }
        if args.watch.is_asked_for() {
            return Err(usage(
                "-P and --tui follow rows: leave them out with --find-knee, which prints each \
                 rate as it is tried",
            ));
        }
        if args.runs.are_several() {
            return Err(usage(
                "--find-knee repeats rates by itself where it must: leave out --runs",
            ));
        }
    }
    Ok(())
}

/// A record that grows.
struct Sweeping {
    record: Record,
    /// Of now; the record's is that of its first row.
    environment: Environment,
    path: RecordFile,
    json: bool,
    verbosity: VerbosityArgs,
    fail_on: FailOnArgs,
}

impl Sweeping {
    fn rows(
        &mut self,
        runs: &RunsArgs,
        watch: &WatchArgs,
        plans: &[RunConfig],
    ) -> anyhow::Result<ExitCode> {
        let repetitions = runs.repeat(plans);
        let labels = runs::labels(plans);
        let (mut missing, mut about) = (Vec::new(), Vec::new());
        let mut recorded = Recorded::default();
        for (place, plan) in repetitions.plans.iter().enumerate() {
            let repetition = repetitions.number(place);
            let number = repetition.map_or(1, |repetition| repetition.number);
            match recorded.take(&self.record.rows, plan, Some(number)) {
                // More runs may be asked for than when it was measured.
                Some(row) if repetition.is_some() => self.record.rows[row].repetition = repetition,
                Some(_) => {}
                None => {
                    missing.push(plan.clone());
                    about.push((repetition, &labels[place % labels.len()]));
                }
            }
        }
        self.say_skipped(
            repetitions.plans.len() - missing.len(),
            repetitions.plans.len(),
        );
        let environment = self.environment.clone();
        let quiet = self.verbosity.quiet;
        let (mut about, of) = (about.into_iter(), missing.len());
        let mut begun = 0;
        let mut ended = runtime()?.block_on(measure_watched(
            &missing,
            &environment,
            (watch, quiet),
            |row| {
                let number = of - about.len() + 1;
                let (repetition, label) = about.next().unzip();
                let label = label.map_or("", String::as_str);
                begun += usize::from(row.interrupted);
                self.push(row, repetition.flatten(), (Some((number, of)), label))
                    .map(drop)
            },
        ));
        if self.record.rows.is_empty() {
            return ended.map(|()| ExitCode::from(VALID));
        }
        // Of a sweep that is gone on with, the rows are those that were there before.
        if let Err(error) = &ended
            && matches!(error.downcast_ref(), Some(RowError::Interrupted))
        {
            ended = Ok(());
        }
        self.record.summaries = summarise(&self.record.rows);
        let written = self.path.write(&self.record);
        self.show()?;
        ended?;
        written?;
        // A row that was begun is measured again.
        let left = about.len() + begun;
        if left > 0 {
            notice(&format!(
                "interrupted: {} left; go on with --output {}",
                counted(left as u64, "row"),
                self.path.display()
            ));
        }
        Ok(self.ending(left > 0).code())
    }

    fn say_skipped(&self, skipped: usize, all: usize) {
        if skipped == 0 {
            return;
        }
        let anew = if skipped == all {
            "; another --output measures them anew"
        } else {
            ""
        };
        notice(&format!(
            "skipped {skipped} of {}, already in {}{anew}",
            counted(all as u64, "row"),
            self.path.display()
        ));
    }

    /// Adds a row in place of the one that was interrupted, if it was, and gives its place.
    /// `of`: which row it is, of how many, and what it is called.
    fn push(
        &mut self,
        mut row: Row,
        repetition: Option<Repetition>,
        (of, label): (Option<(usize, usize)>, &str),
    ) -> anyhow::Result<usize> {
        row.repetition = repetition;
        if self.verbosity.verbose {
            show(&row_shown::document(&row));
            print("");
        } else {
            self.say(&row_line(&row, of, label));
        }
        let number = |row: &Row| row.repetition.map_or(1, |repetition| repetition.number);
        let mut begun = self.record.rows.iter().zip(0..);
        let begun = begun.find(|(other, _)| {
            other.interrupted && other.config == row.config && number(other) == number(&row)
        });
        let place = begun.map_or(self.record.rows.len(), |(_, place)| place);
        self.record.push(row);
        if place + 1 < self.record.rows.len() {
            self.record.rows.swap_remove(place);
        }
        self.record.summaries = summarise(&self.record.rows);
        self.path.write_so_far(&self.record)?;
        Ok(place)
    }

    /// How far it is, on standard error.
    fn say(&self, line: &str) {
        if !self.verbosity.quiet {
            progress::say(line);
        }
    }

    fn show(&self) -> anyhow::Result<()> {
        if self.json {
            print(&serde_json::to_string_pretty(&self.record)?);
            return Ok(());
        }
        if self.verbosity.quiet {
            let kept = self.path.exists().then_some(&*self.path);
            show(&closing::in_lines(&self.record, kept));
            return Ok(());
        }
        show(&shown::document(&self.record));
        if self.path.exists() {
            print(&text::record_line(&self.path));
        }
        Ok(())
    }

    /// `unfinished`: not all was measured that was asked for. A row that was measured again counts
    /// as it was then.
    fn ending(&self, unfinished: bool) -> Ending {
        let mut latest: Vec<&Row> = Vec::new();
        for row in &self.record.rows {
            let is_same =
                |it: &&mut &Row| it.config == row.config && it.repetition == row.repetition;
            match latest.iter_mut().find(is_same) {
                Some(other) => *other = row,
                None => latest.push(row),
            }
        }
        let rows = || latest.iter().copied();
        let of_rows = rows().flat_map(|row| &row.verdicts);
        let of_all = self.record.summaries.iter();
        let of_all = of_all.filter_map(|all| all.warning.as_ref());
        Ending {
            found: rows().any(|row| !row.valid),
            interrupted: unfinished || rows().any(|row| row.interrupted),
            failed: self.fail_on.names(of_rows.chain(of_all)),
        }
    }
}
