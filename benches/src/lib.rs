//! The hot paths of client and servers, each as something that can be done again and again: what
//! the benchmark `hot_path` times, and what the program `instructions` counts.
//!
//! All that a path does in a turn is fixed: seeds, messages, accounts, their order. Whatever is
//! around the path under test (the other end of a connection) costs the same few calls in every
//! turn, however many transfers there are in it.

mod client;
mod codec;
mod engine;
mod frames;
mod generator;
mod messages;
mod server;

use std::path::PathBuf;
use std::time::Duration;

/// Accounts of every path that has any.
const ACCOUNTS: u32 = 100_000;
/// The run's seed.
const SEED: u64 = 42;

/// Does a turn.
type Turn = Box<dyn FnMut()>;

/// What paths are set up with.
pub struct Setup {
    /// Where their files go.
    pub directory: PathBuf,
    /// How long a server without a ledger sleeps for each batch. If that is longer than it takes
    /// the server's other thread to go to sleep as well, threads take turns, and which of them
    /// comes first does not change what they do.
    pub null_sync: Duration,
}

/// One hot path, not set up yet.
pub struct HotPath {
    /// What it is, and how many transfers there are in a turn.
    pub name: String,
    /// Transfers of one turn.
    pub transfers: usize,
    open: Box<dyn FnOnce(&Setup) -> Turn>,
}

impl HotPath {
    fn new<T: FnMut() + 'static>(
        name: String,
        transfers: usize,
        open: impl FnOnce(&Setup) -> T + 'static,
    ) -> Self {
        Self {
            name,
            transfers,
            open: Box::new(|setup| Box::new(open(setup))),
        }
    }

    /// Sets it up: what then does one turn each time. Its threads end when it is dropped, so that none of them runs while another path is looked at.
    pub fn open(self, setup: &Setup) -> impl FnMut() + use<> {
        (self.open)(setup)
    }
}

/// All of them.
#[must_use]
pub fn all() -> Vec<HotPath> {
    [
        generator::paths(),
        client::paths(),
        codec::paths(),
        frames::paths(),
        server::paths(),
        engine::paths(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
