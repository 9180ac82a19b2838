//! A batch as one transaction, in as few waits for the database as its answers allow.
//!
//! Statements are sent without waiting for each other's answers wherever one does not depend on
//! the other; a COMMIT goes out with the last of them. Should one fail, the database makes a
//! ROLLBACK of it.

use std::pin::pin;
use std::time::Duration;

use busload_engine::{Apply, Batch, Changes, Outcome, Rejection, is_invalid};
use busload_wire::Transfer;
use futures_util::StreamExt as _;
use futures_util::future::{join3, join4};
use futures_util::stream::FuturesOrdered;

use crate::decide::{Account, decide, verdict};
use crate::error::Fault;
use crate::ids::{IdChanges, Ids, forget};
use crate::session::{Session, answered};

/// How a batch is applied.
pub(crate) struct How {
    pub(crate) apply: Apply,
    pub(crate) begin: &'static str,
    /// Other writers lock rows as well, each in an order of its own where statements follow each
    /// other in a transaction: all rows are locked first.
    pub(crate) has_others: bool,
    /// Some expired ids are to be forgotten with it.
    pub(crate) forgets: Option<Duration>,
}

/// What was committed.
pub(crate) struct Applied {
    pub(crate) changes: Changes,
    pub(crate) ids: IdChanges,
}

/// One try. The outcomes in the batch are those of a commit; with an error none of it was applied,
/// unless it is [`Fault::InDoubt`].
pub(crate) async fn transact(
    session: &Session,
    how: &How,
    batch: &mut Batch,
) -> Result<Applied, Fault> {
    let transfers: Vec<Transfer> = batch
        .work
        .iter()
        .flatten()
        .map(|one| one.transfer)
        .collect();
    let mut ids = Ids::of(&transfers);
    let tried = if how.apply == Apply::PerTransfer && ids.is_empty() {
        at_once(session, how, batch, &transfers).await
    } else {
        in_steps(session, how, batch, &transfers, &mut ids).await
    };
    if let Err(fault) = &tried
        && !fault.ends_the_session()
    {
        // Where the database did so already it says that there is none.
        let rollback = async {
            let rollback = session.client.batch_execute("ROLLBACK").await;
            rollback.map_err(|error| Fault::before_commit(&error))
        };
        answered(rollback, Fault::Lost).await?;
    }
    let changes = tried?;
    let ids = ids.changes;
    Ok(Applied { changes, ids })
}

/// Everything in one go: the database decides each transfer, and nothing waits for an answer.
async fn at_once(
    session: &Session,
    how: &How,
    batch: &mut Batch,
    transfers: &[Transfer],
) -> Result<Changes, Fault> {
    let warnings = session.warnings();
    let client = &session.client;
    let mut outcomes = Vec::new();
    let flight = async {
        let first = async {
            client.batch_execute(how.begin).await?;
            Ok(())
        };
        let each = async {
            let every = |_: usize, _: &Transfer| true;
            let decided = move_each(session, how, transfers, every).await?;
            batch.applied();
            outcomes = decided;
            Ok(())
        };
        let commit = client.batch_execute("COMMIT");
        let (begun, moved, committed) = join3(first, each, commit).await;
        let begun: Result<(), tokio_postgres::Error> = begun;
        let moved: Result<(), Fault> = moved;
        // Without a transaction each statement was one of its own.
        begun.map_err(|error| Fault::without_begin(&error))?;
        moved?;
        committed.map_err(|error| Fault::at_commit(&error))
    };
    answered(flight, Fault::InDoubt).await?;
    confirmed(session, warnings)?;
    let applied = outcomes
        .iter()
        .filter(|outcome| **outcome == Outcome::Committed)
        .count() as u64;
    set(batch, &outcomes);
    Ok(Changes {
        applied,
        rows: 2 * applied,
        ..Changes::default()
    })
}

/// Each of the transfers that are to be applied, in their order; what is not one, or is not to be,
/// is answered as invalid.
async fn move_each(
    session: &Session,
    how: &How,
    transfers: &[Transfer],
    is_anew: impl Fn(usize, &Transfer) -> bool,
) -> Result<Vec<Outcome>, Fault> {
    let client = &session.client;
    let accounts = accounts_of(transfers);
    let lock = async {
        if how.has_others && transfers.len() > 1 {
            client.query(&session.statements.lock, &[&accounts]).await?;
        }
        Ok::<_, tokio_postgres::Error>(())
    };
    // Polled in the order in which they come, once before anything has an answer: so they are
    // sent in this order.
    let statements: FuturesOrdered<_> = transfers
        .iter()
        .enumerate()
        .map(|(place, transfer)| {
            let is_asked = !is_invalid(transfer) && is_anew(place, transfer);
            async move {
                if !is_asked {
                    return Ok(None);
                }
                let Transfer {
                    from, to, amount, ..
                } = transfer;
                let row = client
                    .query_one(&session.statements.transfer, &[from, to, amount])
                    .await?;
                Ok::<_, tokio_postgres::Error>(Some((*amount, row)))
            }
        })
        .collect();
    let (locked, moved) =
        futures_util::future::join(lock, statements.collect::<Vec<Result<_, _>>>()).await;
    locked.map_err(|error| Fault::with_commit_sent(&error))?;
    moved
        .into_iter()
        .map(|moved| {
            let moved = moved.map_err(|error| Fault::with_commit_sent(&error))?;
            let Some((amount, row)) = moved else {
                return Ok(Outcome::Rejected(Rejection::InvalidTransfer));
            };
            let outcome = verdict(amount, row.get(0), row.get(1));
            let rows: i64 = row.get(2);
            if rows != if outcome == Outcome::Committed { 2 } else { 0 } {
                return Err(Fault::InDoubt(format!(
                    "a transfer has changed {rows} rows"
                )));
            }
            Ok(outcome)
        })
        .collect()
}

/// First what has to be known, then what follows from it, with the COMMIT.
async fn in_steps(
    session: &Session,
    how: &How,
    batch: &mut Batch,
    transfers: &[Transfer],
    ids: &mut Ids,
) -> Result<Changes, Fault> {
    let client = &session.client;
    let is_coalesced = how.apply == Apply::Coalesced;
    let known = begin(session, how, transfers, ids);
    let (new, mut accounts) = answered(known, Fault::Lost).await?;
    let found = ids.inserted(&new, client, &session.statements.ids);
    answered(found, Fault::Lost).await?;
    let mut outcomes = if is_coalesced {
        Vec::new()
    } else {
        let is_anew = |place: usize, transfer: &Transfer| ids.is_anew(place, transfer);
        let moves = move_each(session, how, transfers, is_anew);
        // COMMIT has not been sent: what is lost is not committed.
        answered(moves, Fault::Lost).await.map_err(not_committed)?
    };
    let mut applied = 0;
    for (place, transfer) in transfers.iter().enumerate() {
        let mut is_applied = false;
        let outcome = ids.once(transfer, || {
            let outcome = if is_coalesced {
                decide(transfer, &mut accounts)
            } else {
                outcomes[place]
            };
            is_applied = outcome == Outcome::Committed;
            outcome
        });
        applied += u64::from(is_applied);
        if is_coalesced {
            outcomes.push(outcome);
        } else {
            outcomes[place] = outcome;
        }
    }
    debug_assert_eq!(
        accounts
            .iter()
            .map(|one| i128::from(one.now) - i128::from(one.before))
            .sum::<i128>(),
        0,
        "a batch makes no money"
    );
    accounts.retain(|account| account.now != account.before);
    let is_noop = accounts.is_empty() && ids.changes.added == 0 && (is_coalesced || applied == 0);
    batch.applied();
    if is_noop {
        // The locks alone would be synced by a COMMIT.
        let rollback = async {
            let rollback = client.batch_execute("ROLLBACK").await;
            rollback.map_err(|error| Fault::before_commit(&error))
        };
        answered(rollback, Fault::Lost).await?;
    } else {
        finish(session, how, &accounts, ids).await?;
    }
    set(batch, &outcomes);
    Ok(Changes {
        applied,
        rows: if is_coalesced {
            accounts.len() as u64
        } else {
            2 * applied
        },
        ids: ids.changes.added + ids.changes.forgotten > 0,
        ..Changes::default()
    })
}

/// BEGIN, the ids, then, where the batch is decided in memory, the accounts.
async fn begin(
    session: &Session,
    how: &How,
    transfers: &[Transfer],
    ids: &Ids,
) -> Result<(Vec<uuid::Uuid>, Vec<Account>), Fault> {
    let client = &session.client;
    let named = accounts_of(transfers);
    let locked = async {
        if how.apply != Apply::Coalesced || named.is_empty() {
            return Ok(Vec::new());
        }
        client.query(&session.statements.lock, &[&named]).await
    };
    let failed = |error: tokio_postgres::Error| Fault::before_commit(&error);
    let mut begun = pin!(client.batch_execute(how.begin));
    // Without a transaction an insert would be one of its own, and an id stay without its
    // transfer: then it is waited for.
    if !ids.is_empty() {
        begun.as_mut().await.map_err(failed)?;
    }
    let begun = async { if ids.is_empty() { begun.await } else { Ok(()) } };
    let inserted = ids.insert(client, &session.statements.ids);
    let (begun, inserted, locked) = join3(begun, inserted, locked).await;
    begun.map_err(failed)?;
    let new = inserted.map_err(failed)?;
    let accounts = locked.map_err(failed)?.into_iter().map(|row| {
        let (id, now) = (row.get(0), row.get(1));
        Account {
            id,
            before: now,
            now,
        }
    });
    Ok((new, accounts.collect()))
}

/// What the batch comes to, and COMMIT.
async fn finish(
    session: &Session,
    how: &How,
    accounts: &[Account],
    ids: &mut Ids,
) -> Result<(), Fault> {
    let (client, statements) = (&session.client, &session.statements);
    let warnings = session.warnings();
    let numbers: Vec<i64> = accounts.iter().map(|account| account.id).collect();
    let balances: Vec<i64> = accounts.iter().map(|account| account.now).collect();
    let flight = async {
        let write = async {
            if numbers.is_empty() {
                return Ok(0);
            }
            client
                .execute(&statements.write, &[&numbers, &balances])
                .await
        };
        let forgotten = async {
            match how.forgets {
                Some(horizon) => forget(client, &statements.ids, horizon).await,
                None => Ok(0),
            }
        };
        let amended = ids.amend(client, &statements.ids);
        let commit = client.batch_execute("COMMIT");
        let (written, amended, forgotten, committed) =
            join4(write, amended, forgotten, commit).await;
        let failed = |error: tokio_postgres::Error| Fault::with_commit_sent(&error);
        let written = written.map_err(failed)?;
        amended.map_err(failed)?;
        let forgotten = forgotten.map_err(failed)?;
        committed.map_err(|error| Fault::at_commit(&error))?;
        if written != accounts.len() as u64 {
            return Err(Fault::InDoubt(format!(
                "{written} rows were written, not {}",
                accounts.len()
            )));
        }
        Ok(forgotten)
    };
    let forgotten = answered(flight, Fault::InDoubt).await?;
    ids.changes.forgotten = forgotten;
    confirmed(session, warnings)
}

/// A COMMIT that returned with a warning did not wait for all that it was to wait for: PostgreSQL
/// says so when the wait for a standby is cancelled.
fn confirmed(session: &Session, warnings_before: u64) -> Result<(), Fault> {
    if session.warnings() == warnings_before {
        return Ok(());
    }
    Err(Fault::InDoubt(
        "COMMIT returned with a warning: replication may not have been waited for".to_owned(),
    ))
}

/// Of an error before COMMIT was sent.
fn not_committed(fault: Fault) -> Fault {
    match fault {
        Fault::InDoubt(what) => Fault::Lost(what),
        other => other,
    }
}

/// Every account that a transfer names which can be made, once, in the order of the ids.
fn accounts_of(transfers: &[Transfer]) -> Vec<i64> {
    let valid = transfers.iter().filter(|transfer| !is_invalid(transfer));
    let mut named: Vec<i64> = valid.flat_map(|one| [one.from, one.to]).collect();
    named.sort_unstable();
    named.dedup();
    named
}

fn set(batch: &mut Batch, outcomes: &[Outcome]) {
    let work = batch.work.iter_mut().flatten();
    for (one, outcome) in work.zip(outcomes) {
        one.outcome = *outcome;
    }
}
