//! What a server does with what it should never have been sent: every malformed request gets
//! its error code, the ledger stays as it was, memory stays flat, the others are served.
//!
//! Everything is written to bare sockets: a client library would refuse to be this wrong.

#![cfg(target_os = "linux")]

mod binary;
mod http;
mod large;
mod requests;
#[path = "../support/mod.rs"]
mod support;
mod websocket;
