//! The audit: a server is interrupted again and again under load, and nothing it acknowledged
//! may be missing, nothing applied twice.
//!
//! Every worker moves money between two accounts that nobody else touches, and keeps a ledger of
//! what it sent and what was answered, durable before it goes on. After each interruption the
//! server is started again, and the balances of each pair tell which transfers are there.
//!
//! [`fault`] is the seam: what interrupts a server. Everything else does not know how it is done.

pub mod draw;
pub mod fault;
pub mod images;
#[cfg(target_os = "linux")]
pub mod power_cut;
