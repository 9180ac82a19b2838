//! Group commit, and nothing else: a bounded queue, the thread that writes, what it counts and
//! times, and the seam behind which transfers are stored.
//!
//! A front end submits vectors of transfers to [`Engine`]; one writer thread gathers them
//! into batches, has a [`Ledger`] commit each one and hands the outcomes back through
//! the front end's [`ReplyPort`] after the COMMIT has returned.
//!
//! **Architecture invariants**
//! - One OS thread owns a ledger. A database that allows several writers is several ledgers on one
//!   queue, and the order of a connection is not kept then.
//! - No outcome leaves before its COMMIT has returned. (The null ledger, which is for
//!   measuring the load generator, has no COMMIT and says so.)
//! - The queue is bounded, counted in transfers; the writer never waits for a reply to be read.
//! - Nothing here names a transport or a database.

mod balances;
mod batch;
mod call;
mod config;
mod engine;
mod error;
mod failpoint;
mod health;
mod ledger;
mod monitor;
mod named;
mod null;
mod outcome;
mod port;
mod queue;
mod stats;
mod writer;

pub use balances::BalanceSum;
pub use batch::{Batch, Changes, Ended};
pub use call::{ACCOUNTS_MAX, ACCOUNTS_MIN, ControlCall, ControlReply, check_seeding};
pub use config::{Apply, Config, UnknownApply};
pub use engine::{Engine, WriterThread};
pub use error::{EngineError, Source};
pub use health::{Degradation, Notice};

pub use ledger::{About, IoReader, Ledger, Storage};
pub use monitor::Monitor;
pub use null::{NULL, NullLedger, NullPace};
pub use outcome::{Failure, Outcome, Rejection, Work, is_invalid};
pub use port::{Reply, ReplyPort};
pub use stats::{CheckpointRecord, Io, Snapshot};
