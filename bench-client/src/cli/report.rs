//! `bench-client report`: what was recorded, in other forms.

mod index;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use bench_client::host::environment::Environment;
use bench_client::output::{self, Existing};
use bench_client::record::durability::{AUDIT_VERSION, AuditRecord};
use bench_client::record::fsync::FsyncRecord;
use bench_client::record::load_record::{AnyRecord, ReadError, Report};
use bench_client::record::sides::Which;
use bench_client::record::torture::{TORTURE_VERSION, TortureRecord};
use bench_client::render::document::Document;
use bench_client::render::forms::github_benchmark::Direction;
use bench_client::render::forms::{FORMS, Form, Options, Write};
use bench_client::render::records::{audit, fsync, torture};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _};
use clap::{Args, ValueEnum};

use super::{UsageError, VALID, print, width};

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Records of run, sweep, reproduce or compare: several make one report. Or one of torture,
    /// audit or fsync, as text, Markdown or a page. Or a directory: an index of every record in it
    #[arg(value_name = "RECORD", required = true)]
    records: Vec<PathBuf>,
    /// Form of the report
    #[arg(long, value_parser = form())]
    format: &'static Form,
    /// File to write, whole or not at all [default: standard output]. With --format html also a
    /// directory, as --output-dir
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// With --format github-benchmark and gobench: directory for the two files, by direction or
    /// by side. With html: directory for index.html and a page for each record
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
    /// With --format text: columns that a line may have [default: those of the terminal, without
    /// one as many as it takes]
    #[arg(long, value_name = "COLUMNS", value_parser = columns)]
    width: Option<usize>,
}

/// Narrower than this no table can be shown.
const WIDTH_MIN: usize = 20;

fn columns(text: &str) -> Result<usize, String> {
    let columns = text
        .parse()
        .ok()
        .filter(|columns| (WIDTH_MIN..=10_000).contains(columns));
    columns.ok_or_else(|| format!("expected a number from {WIDTH_MIN} to 10000"))
}

/// A form by its name.
fn form() -> impl clap::builder::TypedValueParser<Value = &'static Form> {
    let names = FORMS
        .iter()
        .map(|form| PossibleValue::new(form.name).help(form.help));
    PossibleValuesParser::new(names)
        .try_map(|name| Form::named(&name).ok_or("there is no such form"))
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
    let flags = [
        ("series", args.series),
        ("row", args.row.is_some()),
        ("direction", args.direction.is_some()),
        ("side", args.side.is_some()),
        ("width", args.width.is_some()),
        ("output-dir", args.output_dir.is_some()),
    ];
    for (flag, given) in flags {
        if given && !args.format.options.contains(&flag) {
            let takers = FORMS.iter().filter(|form| form.options.contains(&flag));
            let names: Vec<&str> = takers.map(|form| form.name).collect();
            return Err(UsageError(format!(
                "--{flag} goes with --format {} only",
                names.join(" or ")
            )));
        }
    }
    Ok(())
}

pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    check(args)?;
    let unfit = |error| anyhow::Error::from_boxed(error);
    let options = Options {
        series: args.series,
        row: args.row,
        direction: args.direction.map(Direction::from),
        side: args.side.map(Which::from),
        width: args
            .width
            .or_else(|| args.output.is_none().then(width).flatten()),
    };
    let is_index = args.records.iter().any(|path| path.is_dir());
    let pages = pages(args);
    if let Write::Document(to_text) = args.format.write
        && (is_index || pages.is_some())
    {
        let document = index::document(&args.records, to_text, &options, pages)?;
        let text = to_text(&document, &options).map_err(unfit)?;
        if let Some(directory) = pages {
            write(&directory.join("index.html"), &text)?;
            return Ok(ExitCode::from(VALID));
        }
        return finish(args, &text);
    }
    if let [path] = args.records.as_slice()
        && let Write::Document(write) = args.format.write
        && let Err(ReadError::NoRows { verb, .. }) = AnyRecord::read(path)
    {
        let (document, _) = without_rows(path, verb)?;
        return finish(args, &write(&document, &options).map_err(unfit)?);
    }
    let records: Result<Vec<_>, _> = args
        .records
        .iter()
        .map(|one| AnyRecord::read(one))
        .collect();
    let report = Report::new(records?);
    if let (Some(directory), Some(pair)) = (&args.output_dir, args.format.pair) {
        for (name, text) in pair(&report).map_err(unfit)? {
            write(&directory.join(name), &text)?;
        }
        return Ok(ExitCode::from(VALID));
    }
    let text = args.format.written(&report, &options).map_err(unfit)?;
    finish(args, &text)
}

/// Where pages go, each record's beside an index of all.
fn pages(args: &ReportArgs) -> Option<&Path> {
    let output = args.output.as_deref().filter(|path| {
        let is_directory = path.is_dir() || path.to_string_lossy().ends_with('/');
        is_directory && args.format.options.contains(&"output-dir")
    });
    args.output_dir.as_deref().or(output)
}

fn finish(args: &ReportArgs, text: &str) -> anyhow::Result<ExitCode> {
    match &args.output {
        Some(path) => write(path, text)?,
        None => print(text.trim_end_matches('\n')),
    }
    Ok(ExitCode::from(VALID))
}

/// A record of `torture`, `audit` or `fsync`, and where it was made.
fn without_rows(path: &Path, verb: &str) -> anyhow::Result<(Document, Environment)> {
    if verb == "fsync"
        && let Some(record) = FsyncRecord::read(path)?
    {
        return Ok((fsync::document(&record), record.environment));
    }
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    if verb == "audit"
        && let Ok(record) = serde_json::from_str::<AuditRecord>(&text)
    {
        return Ok((audit::document(&record), record.environment));
    }
    let record: TortureRecord = serde_json::from_str(&text).with_context(|| {
        format!(
            "{shown} is no record of `torture` (torture_version {TORTURE_VERSION}) or `audit` \
             (audit_version {AUDIT_VERSION}) that this program reads: use the program that wrote it"
        )
    })?;
    Ok((torture::document(&record), record.environment))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    output::write(path, text.as_bytes(), Existing::Replaced)
        .with_context(|| format!("cannot write {}", path.display()))
}
