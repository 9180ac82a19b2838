//! The ledger in PostgreSQL, and in what speaks its protocol: a batch as one transaction, or a
//! transaction per request over several connections; exactly once; settings read back.
//!
//! [`open`] gives what [`busload_engine::Engine::start_several`] takes.
//!
//! **Architecture invariants**
//! - A writer has one connection, on its own thread. What writers share is in the database.
//! - Rows of accounts are locked in the order of their ids, after ids of transfers in theirs.
//! - A transfer with an id is applied only by the transaction that inserted its id. Nothing is
//!   concluded from an id that is not found.
//! - After an error at COMMIT that leaves its outcome open, or a warning with it, the batch is in
//!   doubt. It is not applied again.
//! - The password is in no message, and not in what [`Config`] shows.
//! - Nothing here names a transport.

mod address;
mod apply;
mod config;
mod decide;
mod durability;
mod error;
mod ids;
mod ledger;
mod passfile;
mod session;
mod sql;
mod store;
mod wal;

pub use address::check_url;
pub use config::{Config, Isolation, UnknownIsolation, WRITERS_MAX};
pub use durability::{Durability, UnknownDurability};
pub use error::AddressError;
pub use ledger::{NAME, open};
