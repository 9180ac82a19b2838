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

pub use super::form::{Form, FormError, Options, Pair, Write};
use super::write::{html, markdown, text};

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
    /// The form of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        FORMS.iter().find(|form| form.name == name)
    }

    /// The ending of its files.
    #[must_use]
    pub fn ending(&self) -> &'static str {
        match self.name {
            "text" | "gobench" => "txt",
            "github-benchmark" | "bmf" => "json",
            "junit" => "xml",
            name => name,
        }
    }
}
