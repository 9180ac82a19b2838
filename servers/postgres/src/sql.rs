//! The statements that move money.

/// In the order of the ids, so that no two transactions wait for each other.
pub(crate) const LOCK: &str =
    "SELECT id, balance FROM busload.accounts WHERE id = ANY($1::int8[]) ORDER BY id FOR UPDATE";
/// The rows are locked.
pub(crate) const WRITE: &str = "UPDATE busload.accounts AS a SET balance = u.balance
    FROM unnest($1::int8[], $2::int8[]) AS u(id, balance) WHERE a.id = u.id";
/// One transfer: both rows are locked in the order of their ids, read as they are then, and
/// changed if the rules allow it. The balances that it says are those before.
pub(crate) const MOVE: &str = "
    WITH locked AS MATERIALIZED (
        SELECT id, balance FROM busload.accounts WHERE id IN ($1::int8, $2::int8)
        ORDER BY id FOR UPDATE),
    read AS MATERIALIZED (
        SELECT (SELECT balance FROM locked WHERE id = $1) AS payer,
               (SELECT balance FROM locked WHERE id = $2) AS receiver),
    moved AS (
        UPDATE busload.accounts AS a
        SET balance = a.balance + CASE WHEN a.id = $1 THEN -$3::int8 ELSE $3::int8 END
        FROM read WHERE a.id IN ($1, $2) AND read.payer >= $3
            AND read.receiver <= 9223372036854775807 - $3
        RETURNING 1)
    SELECT payer, receiver, (SELECT count(*) FROM moved) FROM read";
