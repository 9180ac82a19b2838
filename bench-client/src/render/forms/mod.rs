//! The forms in which records leave this program: each is a file of this room with a constant
//! [`Form`], and a line of [`FORMS`].

pub mod bmf;
mod compare_csv;
pub mod csv;
pub mod github_benchmark;
pub mod gobench;
pub mod hgrm;
pub mod hlog;
pub mod junit;
pub mod step_summary;
pub mod tracked;

use std::error::Error;

use super::document::Document;
use super::records::report;
use super::write::{html, markdown, text};
use crate::record::load_record::Report;
use crate::record::sides::Which;
use github_benchmark::Direction;

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

/// Every form.
pub const FORMS: &[Form] = &[
    text::FORM,
    markdown::FORM,
    html::FORM,
    csv::FORM,
    hlog::FORM,
    hgrm::FORM,
    github_benchmark::FORM,
    bmf::FORM,
    junit::FORM,
    gobench::FORM,
];

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

    /// The form of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        FORMS.iter().find(|form| form.name == name)
    }
}
