//! What a form of a report is.

use std::error::Error;

use super::document::Document;
use super::records::report;
use crate::record::load_record::Report;
use crate::record::sides::Which;

/// Why a report has no such form.
pub type FormError = Box<dyn Error + Send + Sync>;

/// What may be said about a form besides its name, by the names of flags.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// `series`: intervals instead of rows.
    pub series: bool,
    /// `row`: which one, from 1.
    pub row: Option<usize>,
    /// `direction`: which of two files.
    pub direction: Option<Direction>,
    /// `side` of a comparison.
    pub side: Option<Which>,
    /// `width` of the terminal, in columns.
    pub width: Option<usize>,
}

/// Two files: their names, and what is in them.
pub type Pair = Result<[(&'static str, String); 2], FormError>;

/// A form of a report.
#[derive(Debug)]
pub struct Form {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, for help.
    pub help: &'static str,
    /// The options that it takes.
    pub options: &'static [&'static str],
    /// Puts a report into it.
    pub write: Write,
    /// Both files of a form that has two, with their names.
    pub pair: Option<fn(&Report) -> Pair>,
}

/// How a form is made.
#[derive(Debug, Clone, Copy)]
pub enum Write {
    /// For people: of a document, whatever kind of record it is of.
    Document(fn(&Document, &Options) -> Result<String, FormError>),
    /// For programs: of the figures.
    Figures(fn(&Report, &Options) -> Result<String, FormError>),
}

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Throughput.
    Bigger,
    /// Latency.
    Smaller,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Bigger, Self::Smaller];

    /// What its file is called by default.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Bigger => "bigger-is-better.json",
            Self::Smaller => "smaller-is-better.json",
        }
    }
}

impl Form {
    /// A form for people.
    pub(in crate::render) const fn of_document(
        name: &'static str,
        help: &'static str,
        options: &'static [&'static str],
        write: fn(&Document, &Options) -> Result<String, FormError>,
    ) -> Self {
        Self {
            name,
            help,
            options,
            write: Write::Document(write),
            pair: None,
        }
    }

    /// Puts a report into it.
    ///
    /// # Errors
    /// The report has no such form, or its histograms cannot be decoded.
    pub fn written(&self, report: &Report, options: &Options) -> Result<String, FormError> {
        match self.write {
            Write::Document(write) => write(&report::document(report)?, options),
            Write::Figures(write) => write(report, options),
        }
    }

    /// A form of one file that takes no option.
    pub(in crate::render) const fn plain(
        name: &'static str,
        help: &'static str,
        write: fn(&Report, &Options) -> Result<String, FormError>,
    ) -> Self {
        Self {
            name,
            help,
            options: &[],
            write: Write::Figures(write),
            pair: None,
        }
    }
}
