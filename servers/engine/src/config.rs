//! What group commit can be told.

use std::time::Duration;

/// How transfers are gathered into batches, whatever stores them. No `Default`: the defaults a
/// person reads are those of the command line.
#[derive(Debug, Clone)]
pub struct Config {
    /// Most transfers in one transaction, at least 1.
    pub batch_size: usize,
    /// How long the oldest waiting transfer may wait for its batch to fill; zero commits
    /// whatever waits the moment the writer is free.
    pub batch_timeout: Duration,
    /// Most transfers waiting in the queue, at least 1.
    pub queue_transfers: usize,
    /// Whether the stages are timed; without, their distributions stay empty.
    pub stage_timings: bool,
}
