//! HTTP and WebSocket front ends of the transfer ledger.
//!
//! One listener, one accept path: hyper reads every request; a WebSocket server upgrades
//! `GET /rpc` (or `/`) and hands the bare socket to the module `ws`. Requests become vectors of
//! [`busload_engine::Work`]; outcomes come back through one `mailbox::Mailbox` per
//! connection.
//!
//! **Architecture invariants**
//! - Nothing here names SQL.
//! - `answers` is the only place that turns engine outcomes into wire codes.
//! - The writer thread wakes the runtime once per batch, not once per connection.

pub mod access;
mod answers;
pub mod cli;
mod completion;
mod counters;
mod http;
mod input_memory;
mod ledgers;
pub mod limits;
mod listener;
mod mailbox;
mod metrics;
mod process;
pub mod server;
mod settings;
mod shared;
mod timeouts;
mod timings;
mod ws;

pub use access::Access;
pub use cli::{HttpArgs, WsArgs};
pub use ledgers::{LedgerConfig, NullConfig, Promise, promise};
pub use limits::Limits;
pub use process::signals::SAME_WISH;
pub use server::{ServeError, Server, Stopped};
pub use settings::{Settings, Transport};

/// What `--version` says after the name of a program: its version, the revision of its sources, and
/// the SQLite in it.
#[must_use]
pub fn version(git_revision: &str) -> String {
    // As long as git itself abbreviates in large repositories.
    let (commit, mark) = match git_revision.split_once('-') {
        Some((commit, mark)) => (commit, format!("-{mark}")),
        None => (git_revision, String::new()),
    };
    format!(
        "{} (revision {commit:.12}{mark}, SQLite {})",
        env!("CARGO_PKG_VERSION"),
        busload_sqlite::version(),
    )
}
