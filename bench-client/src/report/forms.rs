//! The forms in which records leave this program: each is a file of this room with a constant
//! [`Form`], and a line of [`FORMS`].

use std::error::Error;

use super::{bmf, csv, github_benchmark, gobench, hgrm, hlog, html, junit, markdown};
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
    pub write: fn(&Report, &Options) -> Result<String, FormError>,
    /// Both files of a form that has two, with their names.
    pub pair: Option<fn(&Report) -> Pair>,
}

/// Every form.
pub const FORMS: &[Form] = &[
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
    /// A form of one file that takes no option.
    pub(super) const fn plain(
        name: &'static str,
        help: &'static str,
        write: fn(&Report, &Options) -> Result<String, FormError>,
    ) -> Self {
        Self {
            name,
            help,
            options: &[],
            write,
            pair: None,
        }
    }

    /// The form of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        FORMS.iter().find(|form| form.name == name)
    }
}
