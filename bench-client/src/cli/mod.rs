//! The command line: one file per verb.

pub(crate) mod audit;
pub(crate) mod ceiling;
pub(crate) mod compare;
#[cfg(test)]
mod documented;
mod fail_on;
pub(crate) mod fsync;
mod gates;
pub(crate) mod generate;
mod interrupt;
mod load_flags;
pub(crate) mod merge;
mod output;
mod pages;
pub(crate) mod predict;
mod progress;
pub(crate) mod report;
pub(crate) mod reproduce;
pub(crate) mod run;
mod runs;
mod screen;
pub(crate) mod serve;
pub(crate) mod shard;
mod shard_args;
pub(crate) mod sweep;
mod target_args;
pub(crate) mod targets;
mod title;
pub(crate) mod torture;
mod verbosity;
mod view;
pub(crate) mod watch_args;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::OnceLock;

use bench_client::config::heading::OUTPUT;
use bench_client::measure::RowError;
use bench_client::observation::ShardsError;
use bench_client::render::document::Document;
use bench_client::render::write::text::{self, Layout};
use bench_client::target::TargetError;
use bench_client::torture::audit::TortureError;
use busload_frontend::cli::parse_arguments;
use clap::{Parser, Subcommand};
use ratatui::crossterm::terminal;

/// How many durable transfers fit on one fsync?
#[derive(Debug, Parser)]
#[command(after_help = EXIT_CODES)]
#[allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]
pub(crate) struct Cli {
    /// When to colour what is printed: auto, always or never
    ///
    /// auto colours on a terminal, unless NO_COLOR is set.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        hide_possible_values = true,
        hide_short_help = true,
        help_heading = OUTPUT,
        default_value = "auto"
    )]
    color: verbosity::Colour,
    #[command(subcommand)]
    command: Command,
}

impl Cli {
    /// The command line as it was written.
    pub(crate) fn parse() -> Self {
        parse_arguments(pages::command())
    }

    /// Lets hold what is for all verbs, and gives the one that was asked for.
    pub(crate) fn command(self) -> Command {
        self.color.choose();
        self.command
    }
}

const EXIT_CODES: &str = "Exit codes: 0 valid, 2 bad arguments or environment (also a file or port that \
another server has), 3 a gate failed, or a warning by --fail-on or --strict, 4 a row is invalid or an audit found something, 5 could not \
connect or start, 6 an audit cannot tell, 130 interrupted: what was measured until then is recorded";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure transfers per second, verify them, and record the result
    Run(Box<run::RunArgs>),
    /// Judge what the machines of run --shard measured, as one row
    Merge(Box<merge::MergeArgs>),
    /// Vary one or two knobs, or search the highest rate that holds
    Sweep(Box<sweep::SweepArgs>),
    /// Measure a base and a candidate in turn, and say which is faster
    Compare(Box<compare::CompareArgs>),
    /// Measure the rows of the article's table on this machine
    Reproduce(reproduce::ReproduceArgs),
    /// Measure the load generator and the wire, without a database
    Ceiling(Box<ceiling::CeilingArgs>),
    /// Measure how fast this disk syncs, and what TPS that allows
    Fsync(fsync::FsyncArgs),
    /// Show a record again, or as Markdown, a page, CSV or histograms
    Report(report::ReportArgs),
    /// Predict TPS and p50 from disk and knobs, and the limit that binds
    Predict(Box<predict::PredictArgs>),
    /// Kill a server again and again, and account for every transfer
    Torture(Box<torture::TortureArgs>),
    /// Watch from outside whether a server syncs before it answers
    Audit(Box<audit::AuditArgs>),
    /// List, show, install and check servers that others wrote
    Targets(Box<targets::TargetsArgs>),
    /// Run a transfer server
    Serve(Box<serve::ServeArgs>),
    /// Print the completions for a shell, to be sourced by it
    Completions(generate::CompletionsArgs),
    /// Write the man pages of all verbs to a directory
    Man(generate::ManArgs),
}

/// Every row may be quoted.
pub(crate) const VALID: u8 = 0;
/// What was asked for cannot be done.
const BAD_ARGUMENTS: u8 = 2;
/// A gate of a comparison failed.
pub(crate) const GATE_FAILED: u8 = 3;
/// A row is invalid.
pub(crate) const INVALID: u8 = 4;
/// No server, or none that speaks the protocol.
const NO_SERVER: u8 = 5;
/// An audit shows neither that a server is durable nor that it is not, or nothing was acknowledged
/// that torture could have seen lost.
pub(crate) const CANNOT_TELL: u8 = 6;
/// The shell's convention for SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;

/// What a person asked for cannot be done; the message says what to do instead.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// A [`UsageError`] with this message.
fn usage(what: &str) -> anyhow::Error {
    UsageError(what.to_owned()).into()
}

/// Prints one line and chooses the exit code.
fn report_error(error: &anyhow::Error) -> ExitCode {
    verbosity::error(&format!("{error:#}"));
    ExitCode::from(exit_code(error))
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(error) = error.downcast_ref::<TortureError>() {
        return torture::exit_code(error);
    }
    if let Some(error) = error.downcast_ref::<ShardsError>() {
        return if error.is_of_the_run() {
            INVALID
        } else {
            BAD_ARGUMENTS
        };
    }
    match error.downcast_ref::<RowError>() {
        Some(RowError::Interrupted) => INTERRUPTED,
        Some(error) if error.is_about_access() => BAD_ARGUMENTS,
        None
        | Some(
            RowError::Unsuitable(_)
            | RowError::Disk(_)
            | RowError::Endpoint(_)
            | RowError::Program(_)
            | RowError::Cpus(_)
            | RowError::Workload(_)
            | RowError::Target(
                TargetError::NotReady {
                    bad_arguments: true,
                    ..
                }
                | TargetError::Folder { .. }
                | TargetError::Occupied { .. }
                | TargetError::Endpoint(_),
            ),
        ) => BAD_ARGUMENTS,
        Some(RowError::Target(_) | RowError::Control(_) | RowError::Load(_)) => NO_SERVER,
    }
}

/// Prints to standard output, which belongs to reports. A reader that has gone away
/// (`| head -1`) is no reason to stop: the record is written all the same. While the terminal
/// shows a view, what is printed waits for its end. Any other failure is told by [`conclude`].
pub(crate) fn print(text: &str) {
    if screen::hold_back(text) {
        return;
    }
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush())
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        // The first says why.
        let _ = UNPRINTED.set(error);
    }
}

/// Prints a document, as wide as the terminal is; what is no terminal takes lines of any length.
pub(crate) fn show(document: &Document) {
    let layout = Layout {
        width: width(),
        verbose: false,
        colour: verbosity::is_coloured(),
    };
    print(&text::write(document, layout));
}

/// Columns of the terminal that standard output is.
pub(crate) fn width() -> Option<usize> {
    width_of(&io::stdout())
}

/// Columns of the terminal that this stream is.
fn width_of(stream: &impl io::IsTerminal) -> Option<usize> {
    let size = stream.is_terminal().then(terminal::size);
    let size = size.and_then(Result::ok);
    size.map(|(columns, _)| usize::from(columns))
        .filter(|columns| *columns > 0)
}

/// Why something could not be printed.
static UNPRINTED: OnceLock<io::Error> = OnceLock::new();

/// What a verb ends with: an error is said in one line, and so is that its report could not be
/// printed, which ends a verb with 2 that would have ended well. A finding, a failed gate and an
/// interruption go first.
pub(crate) fn conclude(ended: anyhow::Result<ExitCode>) -> ExitCode {
    let code = ended.unwrap_or_else(|error| report_error(&error));
    let Some(error) = UNPRINTED.get() else {
        return code;
    };
    verbosity::error(&format!("cannot print to standard output: {error}"));
    if code == ExitCode::SUCCESS {
        ExitCode::from(BAD_ARGUMENTS)
    } else {
        code
    }
}
