//! `bench-client report`: what was recorded, in other forms.

mod index;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use bench_client::host::environment::Environment;
use bench_client::output::{self, Existing, is_stream};
use bench_client::record::Reproduction;
use bench_client::record::durability::{AUDIT_VERSION, AuditRecord};
use bench_client::record::fsync::FsyncRecord;
use bench_client::record::load_record::{AnyRecord, ReadError, Report};
use bench_client::record::sides::Which;
use bench_client::record::torture::{TORTURE_VERSION, TortureRecord};
use bench_client::render::document::Document;
use bench_client::render::forms::github_benchmark::Direction;
use bench_client::render::forms::{FORMS, Form, Options, Write, junit};
use bench_client::render::records::{article, audit, closing, fsync, report, row, sweep, torture};
use bench_client::render::write::text::{self, Layout};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _};
use clap::{Args, ValueEnum};

use super::output::RUNS;
use super::verbosity::VerbosityArgs;
use super::{UsageError, VALID, compare, print, verbosity, width};

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Records, by their files [default: the newest in results/runs]
    ///
    /// Records of run, sweep, reproduce or compare: several make one report. Or one of torture,
    /// audit or fsync, as text, Markdown or a page. Or a directory: an index of every record in it.
    #[arg(value_name = "RECORD")]
    records: Vec<PathBuf>,
    /// Form of the report [default: the screen's]
    ///
    /// The screen's is what was shown when it was measured. With --output, the form that the file's
    /// ending names, if it is one: .md, .html, .csv; of a directory, html.
    #[arg(long, value_parser = form(), value_name = "FORM")]
    format: Option<&'static Form>,
    /// File to write [default: standard output]
    ///
    /// It is written whole or not at all. In html also a directory, as --output-dir.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Without --format: print everything about each row
    #[arg(short, long, conflicts_with_all = ["format", "quiet"])]
    verbose: bool,
    /// Without --format: print one line for each row
    #[arg(short, long, conflicts_with = "format")]
    quiet: bool,
    /// Directory for the two files of github-benchmark or gobench, or for pages in html
    ///
    /// By direction or by side; of pages, which are made without --format, index.html and one for
    /// each record.
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    output_dir: Option<PathBuf>,
    /// Which of the two files of github-benchmark
    #[arg(long, value_enum, conflicts_with = "output_dir")]
    direction: Option<Better>,
    /// Which side of a comparison gobench shows [default: both, told apart by the key side]
    #[arg(long, value_enum, conflicts_with = "output_dir")]
    side: Option<SideArg>,
    /// In csv, one line per interval of the window instead of one per row
    #[arg(long)]
    series: bool,
    /// Which row hgrm shows, from 1 [default: the only one]
    #[arg(long, value_name = "N")]
    row: Option<usize>,
    /// Columns that a line of text may have [default: those of the terminal]
    ///
    /// Without a terminal as many as it takes.
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
    columns.ok_or_else(|| format!("write a number from {WIDTH_MIN} to 10000"))
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

impl ReportArgs {
    /// The form that is asked for, by name or by the ending of the file; `None` for the screen's.
    fn form(&self) -> Option<&'static Form> {
        if self.format.is_some() || self.verbose || self.quiet {
            return self.format;
        }
        if self.output_dir.is_some() {
            return Form::named("html");
        }
        let output = self.output.as_ref()?;
        if names_directory(output) {
            return Form::named("html");
        }
        let ending = output.extension().unwrap_or_default();
        FORMS.iter().find(|form| ending == form.name)
    }

    /// A flag that is of no use with this form is a mistake.
    fn check(&self, form: Option<&Form>) -> Result<(), UsageError> {
        let flags = [
            ("series", self.series),
            ("row", self.row.is_some()),
            ("direction", self.direction.is_some()),
            ("side", self.side.is_some()),
            ("width", self.width.is_some()),
            ("output-dir", self.output_dir.is_some()),
        ];
        // The screen's is text, too.
        let options = form.map_or(&["width"][..], |form| form.options);
        for (flag, given) in flags {
            if given && !options.contains(&flag) {
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

    /// A file whose ending says another form than is written into it.
    fn check_ending(&self, form: Option<&Form>) -> Result<(), UsageError> {
        let named = self.output.as_deref();
        let Some(output) = named.filter(|path| !names_directory(path) && !is_stream(path)) else {
            return Ok(());
        };
        let Some(ending) = output.extension().and_then(|ending| ending.to_str()) else {
            return Ok(());
        };
        let form = form.unwrap_or(&text::FORM);
        let owners: Vec<&str> = FORMS
            .iter()
            .filter(|form| form.ending() == ending)
            .map(|form| form.name)
            .collect();
        let shown = output.display();
        if form.ending() == ending || owners.is_empty() && self.format.is_some() {
            Ok(())
        } else if owners.is_empty() {
            Err(UsageError(format!(
                "{shown}: .{ending} is no form of a report: write .md, .html or .csv, or name the \
                 form with --format"
            )))
        } else {
            Err(UsageError(format!(
                "{shown}: .{ending} is the ending of --format {}, and this would be {}: write {}, \
                 or choose that form",
                owners.join(" or "),
                form.name,
                output.with_extension(form.ending()).display()
            )))
        }
    }

    fn verbosity(&self) -> VerbosityArgs {
        VerbosityArgs {
            verbose: self.verbose,
            quiet: self.quiet,
        }
    }

    /// Columns of a line of text.
    fn columns(&self) -> Option<usize> {
        let terminal = || self.output.is_none().then(width).flatten();
        self.width.or_else(terminal)
    }
}

/// Whether no file or directory that was seen is the same; what is not there is not.
fn is_new(path: &Path, seen: &mut BTreeSet<PathBuf>) -> bool {
    seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_owned()))
}

/// The records that are asked for; without any, the newest.
fn records(args: &ReportArgs) -> Result<Vec<PathBuf>, UsageError> {
    if !args.records.is_empty() {
        let mut seen = BTreeSet::new();
        let named = args.records.iter().filter(|path| is_new(path, &mut seen));
        return Ok(named.cloned().collect());
    }
    let entries = std::fs::read_dir(RUNS).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    // Names begin with the time.
    let newest = paths
        .filter(|path| path.extension().is_some_and(|it| it == "json"))
        .max();
    newest.map(|path| vec![path]).ok_or_else(|| {
        UsageError(format!(
            "there is no record in {RUNS}: name one, or measure one with run"
        ))
    })
}

pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let form = args.form();
    args.check(form)?;
    args.check_ending(form)?;
    let records = records(args)?;
    match (form, records.as_slice()) {
        (None, [path]) if !path.is_dir() => screen(args, path),
        (None, _) if args.verbose || args.quiet => Err(UsageError(
            "--verbose and --quiet show one record: several make a table".to_owned(),
        )
        .into()),
        (None, _) => in_form(args, &text::FORM, &records),
        (Some(form), _) => in_form(args, form, &records),
    }
}

/// What was on the screen when it was measured.
fn screen(args: &ReportArgs, path: &Path) -> anyhow::Result<ExitCode> {
    let layout = Layout {
        width: args.columns(),
        verbose: false,
        colour: args.output.is_none() && verbosity::is_coloured(),
    };
    let documents: Vec<Document> = match AnyRecord::read(path) {
        Err(ReadError::NoRows { verb, .. }) => {
            let verbosity = args.verbosity();
            vec![match WithoutRows::read(path, verb)? {
                WithoutRows::Audit(record) => super::audit::end(&record, Some(path), verbosity),
                WithoutRows::Torture(record) => super::torture::end(&record, Some(path), verbosity),
                WithoutRows::Fsync(record) if args.quiet => fsync::headline(&record),
                WithoutRows::Fsync(record) => fsync::document(&record),
            }]
        }
        read => of_rows(args, path, &read?)?,
    };
    let texts = documents
        .iter()
        .map(|document| text::write(document, layout));
    finish(args, &(texts.collect::<Vec<_>>().join("\n\n") + "\n"))
}

/// The documents of a record with rows.
fn of_rows(args: &ReportArgs, path: &Path, read: &AnyRecord) -> anyhow::Result<Vec<Document>> {
    let record = &read.record;
    if let Some(comparison) = &read.comparison {
        return Ok(vec![compare::end(comparison, path, args.verbosity())]);
    }
    if args.quiet {
        return Ok(vec![closing::in_lines(record, Some(path))]);
    }
    let mut documents = Vec::new();
    if args.verbose {
        documents.extend(Some(closing::about(record)).filter(|about| !about.blocks.is_empty()));
        documents.extend(record.rows.iter().map(row::document));
    }
    documents.push(if !read.article.is_empty() {
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        let reproduction: Reproduction = serde_json::from_str(&text)
            .with_context(|| format!("{shown} is not a record of reproduce"))?;
        article::on_screen(&reproduction)
    } else if record.sweep.is_some() {
        sweep::document(record)
    } else {
        closing::rows(record, Some(path))
    });
    Ok(documents)
}

fn in_form(args: &ReportArgs, form: &Form, paths: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let unfit = |error| anyhow::Error::from_boxed(error);
    let options = Options {
        series: args.series,
        row: args.row,
        direction: args.direction.map(Direction::from),
        side: args.side.map(Which::from),
        width: args.columns(),
    };
    let is_index = paths.iter().any(|path| path.is_dir());
    let pages = pages(args, form);
    if let Write::Document(to_text) = form.write
        && (is_index || pages.is_some())
    {
        let document = index::document(paths, to_text, &options, pages)?;
        let text = to_text(&document, &options).map_err(unfit)?;
        if let Some(directory) = pages {
            write(&directory.join("index.html"), &text)?;
            return Ok(ExitCode::from(VALID));
        }
        return finish(args, &text);
    }
    if let Some(directory) = paths.iter().find(|path| path.is_dir()) {
        return Err(UsageError(format!(
            "{} is a directory, which has text, md and html, and no {}: name a record in it",
            directory.display(),
            form.name
        ))
        .into());
    }
    if let [path] = paths
        && form.name == junit::FORM.name
        && let Err(ReadError::NoRows {
            verb: "torture", ..
        }) = AnyRecord::read(path)
        && let WithoutRows::Torture(record) = WithoutRows::read(path, "torture")?
    {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        return finish(args, &junit::of_torture(&file, &record)?);
    }
    if let [path] = paths
        && let Write::Document(write) = form.write
        && let Err(ReadError::NoRows { verb, .. }) = AnyRecord::read(path)
    {
        let mut document = WithoutRows::read(path, verb)?.document();
        document.links.extend(link_to_record(args, path));
        return finish(args, &write(&document, &options).map_err(unfit)?);
    }
    let records: Result<Vec<_>, _> = paths.iter().map(|one| AnyRecord::read(one)).collect();
    let report = Report::new(records?);
    if let (Some(directory), Some(pair)) = (&args.output_dir, form.pair) {
        for (name, text) in pair(&report).map_err(unfit)? {
            write(&directory.join(name), &text)?;
        }
        return Ok(ExitCode::from(VALID));
    }
    if let ([path], Write::Document(write)) = (paths, form.write) {
        let mut document = report::document(&report)?;
        document.links.extend(link_to_record(args, path));
        return finish(args, &write(&document, &options).map_err(unfit)?);
    }
    let text = form.written(&report, &options).map_err(unfit)?;
    finish(args, &text)
}

/// A page's way to the record that it is made of, where that lies beside it.
fn link_to_record(args: &ReportArgs, record: &Path) -> Option<(&'static str, String)> {
    let page = args.output.as_deref()?;
    let directory = page.parent().filter(|path| !path.as_os_str().is_empty());
    index::record_from(directory.unwrap_or(Path::new(".")), record)
}

/// Where pages go, each record's beside an index of all.
fn pages<'a>(args: &'a ReportArgs, form: &Form) -> Option<&'a Path> {
    let output = args.output.as_deref().filter(|path| names_directory(path));
    let named = args.output_dir.as_deref().or(output);
    named.filter(|_| form.pair.is_none() && form.options.contains(&"output-dir"))
}

fn names_directory(path: &Path) -> bool {
    path.is_dir() || path.to_string_lossy().ends_with('/')
}

fn finish(args: &ReportArgs, text: &str) -> anyhow::Result<ExitCode> {
    match &args.output {
        Some(path) => write(path, text)?,
        None => print(text.trim_end_matches('\n')),
    }
    Ok(ExitCode::from(VALID))
}

/// A record of another kind.
enum WithoutRows {
    Fsync(FsyncRecord),
    Audit(AuditRecord),
    Torture(Box<TortureRecord>),
}

impl WithoutRows {
    fn read(path: &Path, verb: &str) -> anyhow::Result<Self> {
        if verb == "fsync"
            && let Some(record) = FsyncRecord::read(path)?
        {
            return Ok(Self::Fsync(record));
        }
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        if verb == "audit"
            && let Ok(record) = serde_json::from_str(&text)
        {
            return Ok(Self::Audit(record));
        }
        let record = serde_json::from_str(&text).with_context(|| {
            format!(
                "{shown} is not a record of `torture` (torture_version {TORTURE_VERSION}) or \
                 `audit` (audit_version {AUDIT_VERSION}) that this program reads: use the program \
                 that wrote it"
            )
        })?;
        Ok(Self::Torture(Box::new(record)))
    }

    fn document(&self) -> Document {
        match self {
            Self::Fsync(record) => fsync::report(record),
            Self::Audit(record) => audit::document(record),
            Self::Torture(record) => torture::document(record),
        }
    }

    /// Where it was made.
    fn environment(self) -> Environment {
        match self {
            Self::Fsync(record) => record.environment,
            Self::Audit(record) => record.environment,
            Self::Torture(record) => record.environment,
        }
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    output::write(path, text.as_bytes(), Existing::Replaced)
        .with_context(|| format!("cannot write {}", path.display()))
}
