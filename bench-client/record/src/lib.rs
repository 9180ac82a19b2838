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

/// The name by which this program was started: that of the installed program, or the one that
/// records have.
#[must_use]
pub fn called() -> &'static str {
    let first = std::env::args_os().next();
    let name = first
        .as_deref()
        .map(std::path::Path::new)
        .and_then(std::path::Path::file_stem);
    if name.is_some_and(|name| name == INSTALLED) {
        INSTALLED
    } else {
        NAME_OF_RECORD
    }
}

/// What the installed program is called.
const INSTALLED: &str = "busload";
/// The same program in the repository, and in records.
const NAME_OF_RECORD: &str = "bench-client";
