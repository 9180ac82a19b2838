//! Messages of the transfer protocol and their codecs, without any I/O.
//!
//! Both sides of the wire use this crate: the front ends to decode requests and
//! encode answers, the load generator for the reverse. `docs/protocol.md` is the
//! prose form of what is written here.
//!
//! **Architecture invariant:** nothing here knows a socket, a runtime or a database.

pub mod binary;
pub mod control;
pub mod error_code;
pub mod histogram;
pub mod json;
pub mod message;

pub use error_code::{ErrorCode, OutcomeClass};
pub use message::{Answer, Call, Request, RequestId, Transfer, TransferId};
