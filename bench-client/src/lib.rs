//! The load generator: how many durable transfers fit on one fsync?
//!
//! A run goes from [`workload`] over [`load`] and a [`connector`] to a server and back;
//! [`judge`] turns what was counted into verdicts, [`report`] into a record.
//! `docs/ARCHITECTURE.md` has the map.

pub mod compare;
pub mod config;
pub mod connector;
pub mod control;
pub mod disk;
pub mod figures;
pub mod host;
pub mod judge;
pub mod load;
pub mod output;
pub mod record;
pub mod report;
pub mod row;
pub mod statistics;
pub mod sweep;
pub mod target;
pub mod torture;
pub mod workload;

/// An error and its causes in one line, as records keep it.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
