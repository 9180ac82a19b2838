//! A bank of the engine's tests on a ledger in PostgreSQL.

#![allow(dead_code, reason = "each test crate uses its own part")]

#[path = "../../../engine/tests/support/mod.rs"]
mod bank;
pub(crate) mod database;

use std::time::Duration;

use busload_engine::{Apply, EngineError};
use busload_postgres::Isolation;
use busload_wire::control::Stats;
use busload_wire::{Transfer, TransferId};

pub(crate) use bank::*;
pub(crate) use database::Database;

/// What the engine and its ledger are told, in one.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) postgres: busload_postgres::Config,
    pub(crate) batch_size: usize,
}

/// Ten accounts of 1000 each, batches as large as can be.
pub(crate) fn config(database: &Database) -> Config {
    Config {
        postgres: busload_postgres::Config {
            url: database.url(),
            fresh: false,
            apply: Apply::Coalesced,
            isolation: Isolation::ReadCommitted,
            writers: 1,
            seed_accounts: 10,
            seed_balance: 1000,
            id_horizon: Duration::from_hours(1),
        },
        batch_size: 4096,
    }
}

impl Bank {
    pub(crate) fn open(config: &Config) -> Result<Self, EngineError> {
        let engine = busload_engine::Config {
            batch_size: config.batch_size,
            batch_timeout: Duration::ZERO,
            queue_transfers: 1 << 20,
            stage_timings: true,
        };
        Self::on_several(&engine, busload_postgres::open(&config.postgres)?)
    }

    pub(crate) fn start(config: &Config) -> Self {
        Self::open(config).expect("the engine starts")
    }
}

/// A transfer with an id.
pub(crate) fn once(id: u128, from: i64, to: i64, amount: i64) -> Transfer {
    Transfer {
        transfer_id: Some(TransferId::from_u128(id)),
        ..transfer(from, to, amount)
    }
}

/// Balances as another program finds them.
pub(crate) fn balances_in(database: &Database) -> Vec<i64> {
    let all = database.ask("SELECT balance FROM busload.accounts ORDER BY id");
    all.lines()
        .map(|balance| balance.parse().expect("a balance"))
        .collect()
}

pub(crate) fn remembered(stats: &Stats) -> (u64, u64, u64) {
    let ids = stats.transfer_ids.expect("it remembers");
    (ids.remembered, ids.repeated, ids.conflicts)
}
