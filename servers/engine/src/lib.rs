//! The transfer ledger: rules, SQLite, group commit, durability, stage timings.
//!
//! A front end submits vectors of transfers to [`Engine`]; one writer thread gathers them
//! into batches, applies each batch in one transaction and hands the outcomes back through
//! the front end's [`ReplyPort`] after the COMMIT has returned.
//!
//! **Architecture invariants**
//! - One OS thread owns the connection that writes.
//! - No outcome leaves before its COMMIT has returned. (The null writer, which is for
//!   measuring the load generator, has no COMMIT and says so.)
//! - The queue is bounded, counted in transfers; the writer never waits for a reply to be read.
//! - Nothing here names a transport.

mod apply;
mod batch;
mod checkpoint;
mod coalesced;
pub mod durability;
mod engine;
mod failpoint;
mod histogram;
mod inspect;
mod ledger;
mod ledger_files;
mod lock_file;
mod null;
mod place;
pub mod probe;
mod queue;
mod room;
mod stats;
mod store;
mod transfer_ids;
mod trouble;
pub mod vfs;
mod writer;

pub use apply::{Apply, UnknownApply};
pub use checkpoint::{CheckpointMode, UnknownCheckpointMode};
pub use durability::{Durability, Pragmas};
pub use engine::{About, Config, ControlCall, ControlReply, Engine, EngineError, WriterThread};
pub use histogram::{Recorded, decode as decode_histogram};
pub use inspect::{Inspection, inspect};
pub use ledger::{Failure, Outcome, Rejection};
pub use lock_file::LockError;
pub use null::NullPace;
pub use queue::{Reply, ReplyPort, Work};
pub use stats::Snapshot;
pub use store::{MAX_ACCOUNTS, MIN_ACCOUNTS};
pub use trouble::{Notice, Trouble};
