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
mod access_args;
mod allocator;
mod answers;
pub mod cli;
mod connection;
mod cors;
mod counters;
mod descriptors;
mod guarded;
mod http;
mod input_memory;
mod limit_args;
pub mod limits;
mod listener;
mod mailbox;
mod metrics;
mod null_args;
pub mod origin;
mod phases;
pub mod server;
mod shared;
mod signals;
pub mod stream;
mod ticks;
mod timings;
pub mod tls;
pub mod token;
mod watch;
mod ws;

pub use access::Access;
pub use access_args::exposed;
pub use cli::{HttpArgs, WsArgs};
pub use limits::Limits;
pub use server::{NULL_DURABILITY, ServeError, Server, Settings, Stopped, Transport};
pub use signals::SAME_WISH;
