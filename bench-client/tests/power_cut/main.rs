//! Power cuts: the files of real runs as thousands of cuts could have left them, and file
//! systems that are stopped under a real server.
//!
//! The cases are those of `docs/reliability-evidence.md`. Where strace, root or a tool is missing,
//! a test says by name that it was skipped.

#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;

mod cuts;
mod load;
mod replayed;
mod torture;
