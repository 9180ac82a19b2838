//! The tables of a ledger: made, seeded, read, compared. All in the schema `busload`, so that
//! nothing that is somebody else's is wiped.

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use busload_engine::{BalanceSum, EngineError};
use busload_wire::control::Verification;
use futures_util::TryStreamExt as _;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use crate::error::Fault;
use crate::session::within;

/// Longest time that a seeding or a look at all accounts takes.
const LONG_CALL_TIMEOUT: Duration = Duration::from_mins(10);

/// `ledger` has one row. The index over the times is what ids are forgotten by.
const CREATE: &str = "
    CREATE SCHEMA IF NOT EXISTS busload;
    CREATE TABLE busload.accounts(id int8 PRIMARY KEY, balance int8 NOT NULL);
    CREATE TABLE busload.transfer_ids(id uuid PRIMARY KEY, payer int8 NOT NULL,
        receiver int8 NOT NULL, amount int8 NOT NULL, outcome int2 NOT NULL DEFAULT 0,
        at timestamptz NOT NULL DEFAULT now());
    CREATE INDEX transfer_ids_at ON busload.transfer_ids(at);
    CREATE TABLE busload.ledger(only_row int2 PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
        form int2 NOT NULL, initial_balance int8 NOT NULL);";
/// What this version makes and reads.
const FORM: i16 = 1;

/// What is there before a ledger is opened.
enum Found {
    Nothing,
    Ledger,
    SomethingElse(&'static str),
}

fn failed(error: tokio_postgres::Error) -> Fault {
    // Taken by value, as map_err gives it.
    let error = error;
    Fault::before_commit(&error)
}

async fn find(client: &Client) -> Result<Found, Fault> {
    let tables = client
        .query(
            "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'busload'",
            &[],
        )
        .await
        .map_err(failed)?;
    let names: Vec<String> = tables.iter().map(|row| row.get(0)).collect();
    if names.is_empty() {
        return Ok(Found::Nothing);
    }
    if ["accounts", "ledger", "transfer_ids"]
        .iter()
        .any(|name| !names.iter().any(|n| n == name))
    {
        return Ok(Found::SomethingElse(
            "its schema busload has other tables than a ledger",
        ));
    }
    let form = client
        .query_opt("SELECT form FROM busload.ledger", &[])
        .await;
    let form = form.map_err(failed)?.map(|row| row.get::<_, i16>(0));
    Ok(match form {
        Some(FORM) => Found::Ledger,
        _ => Found::SomethingElse("its schema busload was made by another version"),
    })
}

/// Finds the ledger, or makes one. Says whether it was made here.
pub(crate) async fn open(
    client: &Client,
    database: &str,
    fresh: bool,
    accounts: i64,
    balance: i64,
) -> Result<bool, EngineError> {
    match find(client).await? {
        Found::Ledger if fresh => seed(client, accounts, balance).await?,
        Found::Ledger => {
            wait_for_others(client).await?;
            return Ok(false);
        }
        Found::Nothing => {
            let made = async {
                client.batch_execute("BEGIN").await?;
                client.batch_execute(CREATE).await?;
                client
                    .execute(
                        "INSERT INTO busload.ledger(form, initial_balance) VALUES ($1, 0)",
                        &[&FORM],
                    )
                    .await?;
                client.batch_execute("COMMIT").await
            };
            made.await.map_err(failed)?;
            seed(client, accounts, balance).await?;
        }
        Found::SomethingElse(why) => {
            return Err(EngineError::NotALedger {
                database: PathBuf::from(database),
                why: why.to_owned(),
            });
        }
    }
    Ok(true)
}

/// What an earlier server began may still be at its COMMIT: what is read from here on has it, or
/// it is not to come. A database that knows no such lock goes on without.
async fn wait_for_others(client: &Client) -> Result<(), Fault> {
    const LOCK: &str = "BEGIN; LOCK TABLE busload.accounts IN SHARE ROW EXCLUSIVE MODE; COMMIT";
    let Err(error) = client.batch_execute(LOCK).await else {
        return Ok(());
    };
    client.batch_execute("ROLLBACK").await.map_err(failed)?;
    if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) {
        return Err(failed(error));
    }
    Ok(())
}

/// Wipes the ledger, ids with it, and makes accounts, in one transaction.
pub(crate) async fn seed(client: &Client, accounts: i64, balance: i64) -> Result<(), Fault> {
    let written = async {
        client
            .batch_execute("BEGIN; TRUNCATE busload.accounts, busload.transfer_ids")
            .await?;
        client
            .execute(
                "INSERT INTO busload.accounts(id, balance)
                 SELECT n, $2::int8 FROM generate_series(0, $1::int8 - 1) AS n",
                &[&accounts, &balance],
            )
            .await?;
        client
            .execute(
                "UPDATE busload.ledger SET initial_balance = $1",
                &[&balance],
            )
            .await?;
        Ok(())
    };
    let written = async { written.await.map_err(failed) };
    if let Err(fault) = within(LONG_CALL_TIMEOUT, written, Fault::Lost).await {
        // Without a connection there is nothing to roll back.
        let _ = client.batch_execute("ROLLBACK").await;
        return Err(fault);
    }
    let commit = client.batch_execute("COMMIT");
    let commit = async { commit.await.map_err(|error| Fault::at_commit(&error)) };
    within(LONG_CALL_TIMEOUT, commit, Fault::InDoubt).await?;
    // What the planner knows of an empty table is wrong now. Only plans depend on it.
    let _ = client.batch_execute("ANALYZE busload.accounts").await;
    Ok(())
}

async fn each_balance(client: &Client, mut see: impl FnMut(i64, i64)) -> Result<(), Fault> {
    let read = async {
        let none: [&(dyn ToSql + Sync); 0] = [];
        let rows = client
            .query_raw("SELECT id, balance FROM busload.accounts", none)
            .await?;
        let mut rows = pin!(rows);
        while let Some(row) = rows.try_next().await? {
            see(row.get(0), row.get(1));
        }
        Ok(())
    };
    let read = async { read.await.map_err(failed) };
    within(LONG_CALL_TIMEOUT, read, Fault::Lost).await
}

pub(crate) async fn balances(client: &Client) -> Result<BalanceSum, Fault> {
    let mut sum = BalanceSum::default();
    each_balance(client, |id, balance| sum.add(id, balance)).await?;
    Ok(sum)
}

pub(crate) async fn verify(client: &Client) -> Result<Verification, EngineError> {
    let initial = client
        .query_one("SELECT initial_balance FROM busload.ledger", &[])
        .await;
    let initial: i64 = initial.map_err(failed)?.get(0);
    let (mut sum, mut changed) = (BalanceSum::default(), 0);
    each_balance(client, |id, balance| {
        sum.add(id, balance);
        changed += u64::from(balance != initial);
    })
    .await?;
    sum.verify(initial, changed)
}

/// Whether it is as such a seeding leaves it: those accounts and balances, no id remembered.
pub(crate) async fn is_just_seeded(
    client: &Client,
    accounts: i64,
    balance: i64,
) -> Result<bool, Fault> {
    let row = client
        .query_one(
            "SELECT count(*) = $1::int8 AND min(id) = 0 AND max(id) = $1 - 1
                AND min(balance) = $2::int8 AND max(balance) = $2 AND NOT EXISTS (SELECT 1 FROM busload.transfer_ids)
             FROM busload.accounts",
            &[&accounts, &balance],
        )
        .await
        .map_err(failed)?;
    Ok(row.get::<_, Option<bool>>(0) == Some(true))
}

pub(crate) async fn balance(client: &Client, id: i64) -> Result<Option<i64>, Fault> {
    let row = client
        .query_opt("SELECT balance FROM busload.accounts WHERE id = $1", &[&id])
        .await;
    Ok(row.map_err(failed)?.map(|row| row.get(0)))
}
