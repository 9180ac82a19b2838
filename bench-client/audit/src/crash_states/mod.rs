//! Power cuts that might have been: a server's writes and syncs are recorded once, and
//! thousands of the states in which a power cut could have left its files are built, opened
//! and judged.
//!
//! The server runs under [`strace`]. Its trace, which [`record`] reads, shows every write and
//! sync of the database's files and every byte that was read from and written to connections.
//! [`event_history`] makes of that what happened in which order: what was asked, what was done to
//! the files, what was acknowledged. [`replay`] goes through it again with a [`state::Disk`]
//! that knows what is durable, and cuts the power at random steps.
//!
//! # The model of the disk
//!
//! - What a sync (`fsync`, `fdatasync`) covers is durable when it has returned: every change
//!   of the file that had returned before the sync began. Nothing else is.
//! - A change that no sync has covered may be on the disk or not, each by itself and in any
//!   order, until one does. A write may be torn: some of its sectors are there and others not.
//! - A sector is written whole. It holds what it held right after one of the writes that
//!   touched it since the last sync, or what it held at that sync: the page cache has one
//!   version of it, and writes that one back at some moment.
//! - A file's new length is a change like any other, and may be on the disk before the data
//!   that it is for: zeros are read there.
//! - That a file was created is durable after a sync of the file or of its directory. That it
//!   was removed is durable after a sync of the directory, or of a file that was created
//!   under the same name later. [`Model::removals_need_sync`] can take removals as durable at
//!   once.
//! - The index of the write-ahead log (`-shm`) and the lock file are never part of an image:
//!   recovery does not use them.
//! - An answer counts as given from the moment at which its last byte is about to be handed to
//!   the operating system. A call on a file takes effect when it returns.
//!
//! # Limits
//!
//! - A sync is believed. A disk that acknowledges a flush and loses it is not modelled, and
//!   nor are bits that rot or sectors that are written to the wrong place.
//! - A sector that is being written when the power goes keeps its old or its new content; it
//!   does not become unreadable.
//! - What a file system adds to POSIX (ext4 commits its log as a whole, and orders data before
//!   it) makes many of these states impossible on it. What is lost here can therefore be safe
//!   on one file system and one kernel; what is safe here is safe on all that keep to the
//!   model.
//! - States are drawn, not enumerated: finding nothing in n of them bounds the share of bad
//!   ones, it does not prove that there are none.
//! - Files written through a mapping, by `io_uring`, without an offset, with `O_SYNC`, or
//!   renamed are refused when the trace is read, not misjudged.
//!
//! The model is in the line of Pillai et al., *All File Systems Are Not Created Equal: On the
//! Complexity of Crafting Crash-Consistent Applications* (OSDI 2014), whose tool ALICE records
//! an application's system calls and builds the states that an abstract persistence model
//! allows, and of Zheng et al., *Torturing Databases for Fun and Profit* (OSDI 2014), who
//! record block writes under a database and cut the power between them. SQLite's own crash
//! tests (*How SQLite Is Tested*, section on crash testing) do the same inside the process: a
//! file system of their own damages or reorders the writes that were not synced.

pub mod arguments;
pub mod event_history;
pub mod expected_ledger;
#[cfg(test)]
mod expected_ledger_tests;
pub mod load;
pub(crate) mod protocol_decoder;
pub mod record;
#[cfg(test)]
mod record_tests;
pub mod replay;
mod replay_error;
pub mod runs;
mod scratch_directory;
pub mod state;
#[cfg(test)]
mod state_tests;
pub mod strace;
pub mod trace;

pub use event_history::{EventHistory, EventHistoryError};
pub use record::{Recording, Role};
pub use replay::{Plan, Watch, audit, audit_watched, read_image};
pub use replay_error::ReplayError;
pub use scratch_directory::write_image;
pub use state::{Image, Model};
pub use strace::{strace_works, traced};
pub use trace::TraceError;
