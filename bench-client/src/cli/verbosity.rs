//! How much is printed, and whether in colour.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are help texts, where backticks are noise"
)]

use std::io::stdout;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use bench_client::config::heading::OUTPUT;
use bench_client::render::write::text;
use clap::{Args, ValueEnum};

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Also into files and pipes
    Always,
    /// Not at all
    Never,
}

impl Colour {
    /// Holds for all that is printed from here on.
    pub(crate) fn choose(self) {
        let choice = match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// Whether what is printed on standard output is coloured.
pub(crate) fn is_coloured() -> bool {
    is_coloured_on(&stdout())
}

/// Whether what is written to this is coloured.
pub(crate) fn is_coloured_on(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Says on standard error what keeps the program from what was asked for.
pub(crate) fn error(what: &str) {
    said(&format!("{ERROR}error{ERROR:#}: {what}"));
}

/// Says on standard error what is to be read with care.
pub(crate) fn warning(what: &str) {
    said(&format!("{WARNING}warning{WARNING:#}: {what}"));
}

/// Says on standard error what goes on.
pub(crate) fn notice(what: &str) {
    said(what);
}

/// A terminal breaks words at its edge, so that it gets lines of its width.
fn said(line: &str) {
    let width = super::width_of(&std::io::stderr());
    anstream::eprintln!("{}", text::sentence(line, "  ", width));
}

#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct VerbosityArgs {
    /// Print everything that was found, not the end alone
    ///
    /// Of a row: knobs, disk, latency, server, time budget, generator, model, verification, and
    /// every verdict with its remedy.
    #[arg(short, long, help_heading = OUTPUT, conflicts_with = "json")]
    pub(crate) verbose: bool,
    /// Print one line for each row or verdict, and no progress
    #[arg(short, long, help_heading = OUTPUT, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}
