//! SpacetimeDB's connector, against recordings of the real one and against a small server of the
//! same protocol. The real one is not installed here.

#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;
mod recorded;
mod replay;
mod runs;
#[allow(dead_code, reason = "the conformance suite uses the rest of it")]
mod server;
