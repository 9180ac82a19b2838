//! The sync baseline: how long one durable write takes in a directory, and what follows from it.
//!
//! Nothing that commits durably can be faster than its disk can sync, so every figure this
//! program prints is held against the figures measured here.
//!
//! **Architecture Invariant**: nothing here opens a database or talks to a server. The syncs that a
//! commit makes come in as numbers, counted by the engine's probe.

mod baseline;
mod block_size;
mod ceilings;
mod doubt;
mod error;
mod kernel;
mod method;
mod report;
mod rounds;
mod sampler;

pub use baseline::{BaselineConfig, measure, measure_short, measure_while};
pub use block_size::{BlockSize, BlockSizeError};
pub use ceilings::{Ceiling, Ceilings};
pub use doubt::{Doubt, SYNC_MIN_US};
pub use error::DiskError;
pub use method::{Method, Pattern};
pub use report::{Baseline, LatencyUs, SyncMeasurement};
pub use rounds::{Rounds, RoundsConfig, STREAMS_MAX, SyncRound, SyncSeries, measure_rounds};
