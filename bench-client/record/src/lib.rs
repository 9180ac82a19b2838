//! What a row is, what was seen of it, and every record: plain data, how it is read, and what the
//! machine and the disk say of themselves in it.

pub mod config;
pub mod disk;
pub mod figures;
pub mod host;
pub mod observation;
pub mod output;
pub mod record;
pub mod statistics;

/// An error and its causes in one line, as records keep it.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
