//! The audit: a server is interrupted again and again under load, and nothing it acknowledged
//! may be missing, nothing applied twice.
//!
//! Every [`worker`] moves money between two accounts that nobody else touches, and keeps a
//! [`ledger`] of what it sent and what was answered, durable in the [`journal`] before it goes
//! on. After each interruption the server is started again, and the balances of each pair tell
//! which transfers are there ([`reconstruct`], [`judge`]). All balances together obey the rules of a
//! [`bank`].
//!
//! [`fault`] is the seam: what interrupts a server. Everything else does not know how it is done.
//! A [`Stage`](plan::Stage) is one database and the faults that it is put through.
//!
//! [`durability`] asks something else of a server: does it sync before it answers?

pub mod again;
pub mod audit;
pub mod bank;
pub mod crash_states;
pub mod cycle;
pub mod draw;
pub mod durability;
pub mod failed_syncs;
pub mod fault;
mod findings;
mod ignored_sync_errors;
pub mod journal;
pub mod judge;
pub mod ledger;
pub mod plan;
#[cfg(target_os = "linux")]
pub mod power_cut;
pub mod reconstruct;
pub mod replay;
pub mod server_command;
pub mod signals;
pub mod traced;
pub mod transfer_generator;
pub mod worker;

use busload_generator::{connector, control, load, target, workload};
use busload_record::{config, host, record, with_causes};
