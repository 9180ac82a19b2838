//! `bench-client report`: what was recorded, in other forms.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use bench_client::report::load_record::{AnyRecord, Report, Shown};
use bench_client::report::{csv, hgrm, hlog, html, markdown};
use clap::{Args, ValueEnum};

use super::{UsageError, VALID, print};

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Records of run, sweep or reproduce: several make one report
    #[arg(value_name = "RECORD", required = true)]
    records: Vec<PathBuf>,
    /// Form of the report
    #[arg(long, value_enum)]
    format: Format,
    /// File to write, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
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
    /// One line per row
    Csv,
    /// `HdrHistogram` interval log
    Hlog,
    /// Percentile distribution of one row, for the `HdrHistogram` plotter
    Hgrm,
}

pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    if args.series && args.format != Format::Csv {
        return Err(UsageError("--series goes with --format csv only".to_owned()).into());
    }
    if args.row.is_some() && args.format != Format::Hgrm {
        return Err(UsageError("--row goes with --format hgrm only".to_owned()).into());
    }
    let records: Result<Vec<_>, _> = args
        .records
        .iter()
        .map(|one| AnyRecord::read(one))
        .collect();
    let report = Report::new(records?);
    let text = match args.format {
        Format::Md => markdown::to_markdown(&report),
        Format::Html => html::to_html(&report)?,
        Format::Csv if args.series => csv::series_to_csv(&report)?,
        Format::Csv => csv::to_csv(&report)?,
        Format::Hlog => hlog::to_hlog(&report)?,
        Format::Hgrm => {
            let rows = report.rows();
            let shown = choose(&rows, args.row)?;
            hgrm::to_hgrm(&report.histogram(shown, &shown.row.latency_histogram)?)
        }
    };
    match &args.output {
        Some(path) => write(path, &text)?,
        None => print(text.trim_end_matches('\n')),
    }
    Ok(ExitCode::from(VALID))
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

/// Writes a file that is complete at every moment.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let directory = match path.parent() {
        Some(directory) if directory != Path::new("") => directory,
        _ => Path::new("."),
    };
    let attempt = || -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(text.as_bytes())?;
        // A temporary file is for its owner only; a report is for everybody.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            file.as_file()
                .set_permissions(std::fs::Permissions::from_mode(0o644))?;
        }
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    attempt().with_context(|| format!("cannot write {}", path.display()))
}
