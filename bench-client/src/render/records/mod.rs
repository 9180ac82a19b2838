//! The builders: what is said of each kind of record. Each sentence stands here once, whatever the
//! form in which it is read.

pub mod article;
pub mod audit;
pub mod audit_summary;
pub mod closing;
pub mod comparison;
pub mod comparison_headline;
pub mod comparison_summary;
mod environment;
pub mod fsync;
pub(in crate::render) mod gates;
mod headline;
pub mod index;
pub mod repetitions;
pub mod report;
pub mod row;
mod row_table;
pub mod summary;
pub mod sweep;
pub(super) mod sync_figures;
pub mod torture;
pub mod torture_summary;
pub(super) mod unlike_loads;
mod warnings;
pub mod words;
