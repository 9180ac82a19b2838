//! `bench-client report`: what was recorded, in other forms.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use bench_client::output::{self, Existing};
use bench_client::record::load_record::{AnyRecord, ReadError, Report, Shown};
use bench_client::record::sides::Which;
use bench_client::record::torture::{TORTURE_VERSION, TortureRecord};
use bench_client::report::github_benchmark::Direction;
use bench_client::report::tracked::{self, UnfitError};
use bench_client::report::{
    bmf, compare_csv, csv, github_benchmark, gobench, hgrm, hlog, html, junit, markdown,
    torture_text,
};
use clap::{Args, ValueEnum};

use super::{UsageError, VALID, print};

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Records of run, sweep, reproduce or compare: several make one report. Or one of torture, as
    /// Markdown
    #[arg(value_name = "RECORD", required = true)]
    records: Vec<PathBuf>,
    /// Form of the report
    #[arg(long, value_enum)]
    format: Format,
    /// File to write, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// With --format github-benchmark and gobench: directory for the two files, by direction or
    /// by side
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    output_dir: Option<PathBuf>,
    /// With --format github-benchmark: which of the two files
    #[arg(long, value_enum, conflicts_with = "output_dir")]
    direction: Option<Better>,
    /// With --format gobench of a comparison: which side [default: both, told apart by the key
    /// `side`]
    #[arg(long, value_enum, conflicts_with = "output_dir")]
    side: Option<SideArg>,
    /// With --format csv: one line per interval of the window instead of one per row
    #[arg(long)]
    series: bool,
    /// With --format hgrm: the row, from 1 [default: the only one]
    #[arg(long, value_name = "N")]
    row: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Markdown for a comment
    Md,
    /// One page with charts that needs nothing else
    Html,
    /// One line per row, or per metric of a comparison
    Csv,
    /// `HdrHistogram` interval log
    Hlog,
    /// Percentile distribution of one row, for the `HdrHistogram` plotter
    Hgrm,
    /// JSON for github-action-benchmark, two files by direction
    GithubBenchmark,
    /// Bencher Metric Format, the intervals as bounds
    Bmf,
    /// `JUnit` XML: gates, and what was verified of each run
    Junit,
    /// Go benchmark lines for benchstat, one per run
    Gobench,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Better {
    /// TPS
    Bigger,
    /// Latency
    Smaller,
}

impl From<Better> for Direction {
    fn from(better: Better) -> Self {
        match better {
            Better::Bigger => Self::Bigger,
            Better::Smaller => Self::Smaller,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SideArg {
    /// A, what is compared with
    Base,
    /// B, what is judged
    Candidate,
}

impl From<SideArg> for Which {
    fn from(side: SideArg) -> Self {
        match side {
            SideArg::Base => Self::Base,
            SideArg::Candidate => Self::Candidate,
        }
    }
}

/// A flag that is of no use with this format is a mistake.
fn check(args: &ReportArgs) -> Result<(), UsageError> {
    use Format::{Csv, GithubBenchmark, Gobench, Hgrm};
    let flags: [(&str, bool, &[Format]); 5] = [
        ("--series", args.series, &[Csv]),
        ("--row", args.row.is_some(), &[Hgrm]),
        ("--direction", args.direction.is_some(), &[GithubBenchmark]),
        ("--side", args.side.is_some(), &[Gobench]),
        (
            "--output-dir",
            args.output_dir.is_some(),
            &[GithubBenchmark, Gobench],
        ),
    ];
    for (flag, given, formats) in flags {
        if given && !formats.contains(&args.format) {
            let names = formats.iter().filter_map(ValueEnum::to_possible_value);
            let names: Vec<String> = names.map(|name| name.get_name().to_owned()).collect();
            return Err(UsageError(format!(
                "{flag} goes with --format {} only",
                names.join(" or ")
            )));
        }
    }
    if args.format == GithubBenchmark && args.direction.is_none() && args.output_dir.is_none() {
        return Err(UsageError(
            "a file of github-action-benchmark has one direction: choose it with --direction, or \
             have both written with --output-dir"
                .to_owned(),
        ));
    }
    Ok(())
}

pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    check(args)?;
    if let ([path], Format::Md) = (args.records.as_slice(), args.format)
        && let Err(ReadError::Audit { .. }) = AnyRecord::read(path)
    {
        return finish(args, &audit(path)?);
    }
    let records: Result<Vec<_>, _> = args
        .records
        .iter()
        .map(|one| AnyRecord::read(one))
        .collect();
    let report = Report::new(records?);
    if let Some(directory) = &args.output_dir {
        for (name, text) in pair(&report, args.format)? {
            write(&directory.join(name), &text)?;
        }
        return Ok(ExitCode::from(VALID));
    }
    let text = match args.format {
        Format::Md => markdown::to_markdown(&report),
        Format::Html => html::to_html(&report)?,
        Format::Csv if args.series => csv::series_to_csv(&report)?,
        Format::Csv => rows_or_metrics(&report)?,
        Format::Hlog => hlog::to_hlog(&report)?,
        Format::Hgrm => {
            let rows = report.rows();
            let shown = choose(&rows, args.row)?;
            hgrm::to_hgrm(&report.histogram(shown, &shown.row.latency_histogram)?)
        }
        Format::GithubBenchmark => {
            let direction = args.direction.unwrap_or(Better::Bigger).into();
            github_benchmark::to_json(&tracked::of_report(&report)?, direction)?
        }
        Format::Bmf => bmf::to_json(&tracked::of_report(&report)?)?,
        Format::Junit => junit::to_xml(&report)?,
        Format::Gobench => gobench::of_report(&report, args.side.map(Which::from))?,
    };
    finish(args, &text)
}

fn finish(args: &ReportArgs, text: &str) -> anyhow::Result<ExitCode> {
    match &args.output {
        Some(path) => write(path, text)?,
        None => print(text.trim_end_matches('\n')),
    }
    Ok(ExitCode::from(VALID))
}

/// A record of `torture`: what it printed, as a block of code.
fn audit(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let record: TortureRecord = serde_json::from_str(&text).with_context(|| {
        format!(
            "{shown} is no record of `torture` that this program reads (torture_version \
             {TORTURE_VERSION}): use the program that wrote it"
        )
    })?;
    // Messages of servers are in it, and must not end the block.
    let text = torture_text::describe(&record).replace("```", "'''");
    Ok(format!("```text\n{text}\n```\n"))
}

/// CSV of rows, or of the metrics of comparisons.
fn rows_or_metrics(report: &Report) -> anyhow::Result<String> {
    let records = report.records.iter();
    let comparisons: Vec<_> = records
        .filter_map(|one| Some((one.file.as_str(), one.comparison.as_ref()?)))
        .collect();
    match comparisons.len() {
        0 => Ok(csv::to_csv(report)?),
        count if count == report.records.len() => Ok(compare_csv::to_csv(comparisons)?),
        _ => Err(UnfitError::MixedTable.into()),
    }
}

/// The two files of a format that has two.
fn pair(report: &Report, format: Format) -> anyhow::Result<Vec<(&'static str, String)>> {
    if format == Format::Gobench {
        let sides = [Which::Base, Which::Candidate];
        let files = sides.map(|side| {
            let text = gobench::of_report(report, Some(side))?;
            Ok((gobench::file_name(side), text))
        });
        return files.into_iter().collect();
    }
    let tracked = tracked::of_report(report)?;
    let files = Direction::ALL.map(|direction| {
        let text = github_benchmark::to_json(&tracked, direction)?;
        Ok((direction.file_name(), text))
    });
    files.into_iter().collect()
}

/// The row that was asked for, or the only one.
fn choose<'a, 'b>(
    rows: &'a [Shown<'b>],
    wanted: Option<usize>,
) -> Result<&'a Shown<'b>, UsageError> {
    let choice = || {
        let names: Vec<String> = rows
            .iter()
            .map(|shown| format!("{} = {}", shown.number, shown.label))
            .collect();
        names.join("; ")
    };
    match (rows, wanted) {
        ([], _) => Err(UsageError("the record has no rows".to_owned())),
        ([only], None) => Ok(only),
        (_, None) => Err(UsageError(format!(
            "an hgrm file holds one row: choose it with --row ({})",
            choice()
        ))),
        (rows, Some(number)) => number
            .checked_sub(1)
            .and_then(|place| rows.get(place))
            .ok_or_else(|| {
                UsageError(format!(
                    "there is no row {number}: choose from {}",
                    choice()
                ))
            }),
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    output::write(path, text.as_bytes(), Existing::Replaced)
        .with_context(|| format!("cannot write {}", path.display()))
}
