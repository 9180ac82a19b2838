//! The ledger in SQLite: opening, durability, transactions, checkpoints, full disks, exactly once,
//! and syncs counted where SQLite makes them.
//!
//! [`SqliteLedger::open`] gives what [`busload_engine::Engine::start`] takes.
//!
//! **Architecture invariants**
//! - One connection writes, on the engine's writer thread. A second one only checkpoints.
//! - Pragmas are read back after they are set; nothing runs on others than were asked for.
//! - After an error that leaves a COMMIT's outcome open nothing is tried again.
//! - Nothing here names a transport.

mod applier;
mod changes;
mod checkpoint;
mod coalesced;
mod commit;
mod config;
mod disk_full;
mod durability;
mod error;
mod inspect;
mod layout;
mod ledger;
mod ledger_files;
mod lock_file;
mod preflight;
pub mod probe;
mod store;
mod transfer_ids;
pub mod vfs;

pub use busload_engine::{Apply, UnknownApply};
pub use config::{CheckpointMode, Config, UnknownCheckpointMode};
pub use durability::{Durability, UnknownDurability};
pub use inspect::{Inspection, inspect};
pub use layout::{DEFAULT_CACHE_KIB, PAGE_BYTES, default_page_bytes};
pub use ledger::SqliteLedger;

/// The version of the SQLite that is linked in.
#[must_use]
pub fn version() -> &'static str {
    rusqlite::version()
}
