//! How a ledger lies on the disk and in memory: its pages, its cache, and how long its log gets.
//!
//! All three are in bytes, so that none of them means something else when another changes. Why
//! the defaults are what they are is in `docs/adr/0025-page-cache-checkpoint.md`.

use std::ops::RangeInclusive;
use std::sync::Arc;

use busload_engine::EngineError;
use rusqlite::Connection;

use crate::config::Config;
use crate::durability::Durability;

/// What the pages of a database may be, in bytes; powers of two.
pub const PAGE_BYTES: RangeInclusive<u32> = 512..=65_536;

/// SQLite's page cache in KiB, unless the person says otherwise.
pub const DEFAULT_CACHE_KIB: u32 = 262_144;

/// By how many KiB the log grows between two checkpoints, unless the person says otherwise: of a
/// small database, and of one from [`LARGE_DATABASE_BYTES`] on. A checkpoint writes each page once
/// and syncs what it wrote, so a larger one wants fewer of them; a small one gains nothing, and
/// syncs are slower until a log has grown to its length.
const CHECKPOINT_KIB: u32 = 16_384;
const CHECKPOINT_KIB_OF_LARGE: u32 = 262_144;
const LARGE_DATABASE_BYTES: u64 = 3 << 20;
/// The log's limit leaves room for as many checkpoints as this.
const CHECKPOINTS_BELOW_LIMIT: u64 = 8;

/// Pages of a ledger small enough that a batch of spread-out transfers touches most of them.
const LARGE_PAGES: u32 = 4096;
/// Pages of a larger one: what a batch writes is the pages that it touches.
const SMALL_PAGES: u32 = 512;
/// From here on a ledger is larger.
const MANY_ACCOUNTS: i64 = 250_000;

/// The pages of a new ledger of so many accounts, in bytes, unless the person says otherwise.
///
/// Pages below 4 KiB share a block of the disk, and are right for a disk that leaves alone what
/// it is not told to write. Every log relies on that already, whose commits share blocks; a
/// rollback journal does not, and keeps pages of a block.
#[must_use]
pub const fn default_page_bytes(durability: Durability, accounts: i64) -> u32 {
    if durability.has_wal() && accounts >= MANY_ACCOUNTS {
        SMALL_PAGES
    } else {
        LARGE_PAGES
    }
}

/// Pages of another size than there are.
#[derive(Debug, thiserror::Error)]
#[error("a page cannot have {0} bytes: give a power of two from 512 to 65536")]
struct NoPageSize(u32);

pub(crate) fn check_page_size(config: &Config) -> Result<(), EngineError> {
    match config.page_bytes {
        Some(page_bytes) if !page_bytes.is_power_of_two() || !PAGE_BYTES.contains(&page_bytes) => {
            Err(EngineError::CannotServe(Arc::new(NoPageSize(page_bytes))))
        }
        _ => Ok(()),
    }
}

/// By how many bytes the log grows between two checkpoints of this database.
pub(crate) fn checkpoint_bytes(
    connection: &Connection,
    page_bytes: u32,
    config: &Config,
) -> Result<u64, rusqlite::Error> {
    let pages: u32 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
    let is_large = u64::from(pages) * u64::from(page_bytes) >= LARGE_DATABASE_BYTES;
    let chosen = if is_large {
        CHECKPOINT_KIB_OF_LARGE
    } else {
        CHECKPOINT_KIB
    };
    let chosen = (u64::from(chosen) * 1024).min(config.log_limit_bytes / CHECKPOINTS_BELOW_LIMIT);
    let asked = config.checkpoint_kib.map(|kib| u64::from(kib) * 1024);
    Ok(asked.unwrap_or(chosen))
}

/// What to say when a ledger has other pages than were asked for: it keeps those that it was made
/// with.
pub(crate) fn keeps_its_pages(kept: u32, asked: u32) -> String {
    format!(
        "the ledger keeps its pages of {kept} bytes: --page-size {asked} is for a new one; make \
         one with --reseed, which throws this one away, or name another file with --database"
    )
}

/// Sets the page size of a database that has no page yet, and reads back what it has.
pub(crate) fn set_page_size(
    connection: &Connection,
    config: &Config,
) -> Result<u32, rusqlite::Error> {
    let wanted = config
        .page_bytes
        .unwrap_or_else(|| default_page_bytes(config.durability, config.seed_accounts));
    // Without effect once there is a page.
    connection.pragma_update(None, "page_size", wanted)?;
    connection.pragma_query_value(None, "page_size", |row| row.get(0))
}
