//! The program: how many durable transfers fit on one fsync?
//!
//! [`measure`] sees what there is to see of one row, [`judge`] says what is to be thought of it,
//! [`sweep`] and [`compare`] make experiments of rows, [`render`] shows records. What a row is, what
//! was seen of it and the record come from `busload-record`, the load from `busload-generator`,
//! `torture` from `busload-audit`.
//! `docs/ARCHITECTURE.md` has the map.

pub mod article;
pub mod compare;
pub mod conformance;
pub mod judge;
pub mod measure;
pub mod render;
pub mod sweep;
pub mod targets;

pub use busload_audit as torture;
pub use busload_generator::{connector, control, load, target, workload};
pub use busload_record::{config, disk, figures, host, observation, output, record, statistics};

pub use busload_record::{called, with_causes};
use host::environment::Program;

/// This program as it was built, with the memory allocator that its binary has chosen.
#[must_use]
pub fn program(allocator: &str) -> Program {
    Program {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git_revision: env!("BUSLOAD_GIT_REVISION").to_owned(),
        profile: concat!(
            env!("BUSLOAD_PROFILE"),
            ", opt-level ",
            env!("BUSLOAD_OPT_LEVEL")
        )
        .to_owned(),
        target: env!("BUSLOAD_TARGET").to_owned(),
        rustc: env!("BUSLOAD_RUSTC_VERSION").to_owned(),
        allocator: allocator.to_owned(),
    }
}
