//! The programs as a user has them, each suite in a file of its own: in one binary, so that the
//! tests of all of them share the threads that there are. Most of their time is waiting.

#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;

mod access;
mod audit;
mod command_line;
mod compare;
mod compare_outputs;
mod docs;
mod end_to_end;
mod fake_sync;
mod honest_peers;
mod interop;
mod knowing_liars;
mod liars;
mod live;
mod load_record;
mod outputs;
mod postgres;
mod report;
mod reproduce;
mod shards;
mod sweep;
mod targets;
mod torture;
mod torture_interrupted;
mod torture_liars;
mod torture_refused;
