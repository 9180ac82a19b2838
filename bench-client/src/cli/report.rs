//! `bench-client report`: what was recorded, in other forms.

mod index;
mod without_rows;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use bench_client::figures::counted;
use bench_client::output::{self, Existing, is_stream};
use bench_client::record::Reproduction;
use bench_client::record::load_record::{AnyRecord, ReadError, Report};
use bench_client::record::sides::Which;
use bench_client::render::document::Document;
use bench_client::render::forms::github_benchmark::Direction;
use bench_client::render::forms::{FORMS, Form, Options, Write, junit};
use bench_client::render::records::{article, closing, fsync, report, row, sweep};
use bench_client::render::write::html;
use bench_client::render::write::text::{self, Layout};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _};
use clap::{Args, ValueEnum};

use super::output::RUNS;
use super::title::title;
use super::verbosity::VerbosityArgs;
use super::{UsageError, VALID, compare, print, verbosity, width};
use without_rows::WithoutRows;

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
    /// What the page is called, or the index of a directory
    ///
    /// In text, Markdown and html, up to 80 characters. It goes before a record's own title.
    #[arg(long, value_name = "TEXT", value_parser = title)]
    title: Option<String>,
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
    columns.ok_or_else(|| format!("write a number from {WIDTH_MIN} to 10,000"))
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
            ("title", self.title.is_some()),
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

    /// A document by the title that was given.
    fn named(&self, mut document: Document) -> Document {
        if let Some(title) = &self.title {
            document.name(title);
        }
        document
    }

    /// Where what is written will be, for the addresses in it; what is printed is to be pasted
    /// elsewhere, but for a page.
    fn directory(&self, form: &Form) -> Option<&Path> {
        let here = Path::new(".");
        let Some(output) = self.output.as_deref() else {
            return (form.name == html::FORM.name).then_some(here);
        };
        let named = output.parent().filter(|path| !path.as_os_str().is_empty());
        Some(named.unwrap_or(here))
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
        documents
            .extend(Some(closing::about(&record.naming)).filter(|about| !about.blocks.is_empty()));
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
        let place = match pages {
            Some(directory) => index::Place::Pages(directory),
            None => index::Place::Alone(args.directory(form)),
        };
        let document = args.named(index::document(paths, to_text, &options, &place)?);
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
    if let Write::Document(write) = form.write {
        // What is printed is to be the same wherever it is put.
        let directory = args.output.as_ref().and_then(|_| args.directory(form));
        let document = args.named(together(paths, directory)?);
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
    let text = form.written(&report, &options).map_err(unfit)?;
    finish(args, &text)
}

/// What the records say, in this directory: those with rows as one report, then each of the others.
fn together(paths: &[PathBuf], directory: Option<&Path>) -> anyhow::Result<Document> {
    let (mut with_rows, mut others) = (Vec::new(), Vec::new());
    for path in paths {
        match AnyRecord::read(path) {
            Err(ReadError::NoRows { verb, .. }) => {
                others.push((path, WithoutRows::read(path, verb)?.document()));
            }
            read => with_rows.push(read?),
        }
    }
    let mut document = match (with_rows.is_empty(), others.as_mut_slice()) {
        (true, [(_, only)]) => std::mem::take(only),
        (true, others) => Document::new(&counted(others.len() as u64, "record")),
        (false, _) => report::document(&Report::new(with_rows))?,
    };
    if let [only] = paths {
        let link = directory.and_then(|directory| index::record_from(directory, only));
        document.links.extend(link);
        return Ok(document);
    }
    for (path, other) in others {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        document.heading(format!("{}: {name}", other.title));
        document.append(other);
    }
    Ok(document)
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

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    output::write(path, text.as_bytes(), Existing::Replaced)
        .with_context(|| format!("cannot write {}", path.display()))
}
