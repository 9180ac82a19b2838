//! The load generator: how many durable transfers fit on one fsync?
//!
//! A run goes from [`workload`] over [`load`] and a [`connector`] to a server and back;
//! [`judge`] turns what was counted into verdicts, [`report`] into a record.
//! `docs/ARCHITECTURE.md` has the map.

pub mod connector;
pub mod control;
pub mod disk;
pub mod judge;
pub mod load;
pub mod report;
pub mod row;
pub mod target;
pub mod workload;
