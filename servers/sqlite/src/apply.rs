//! How a batch is applied.

use crate::named::named;

named! {
    /// How the transfers of a batch become changes of the ledger. The answers are the same.
    Apply, UnknownApply = "no way to apply a batch '{0}': use per-transfer or coalesced";
    /// Two statements for each transfer: SQLite checks it and changes both rows.
    PerTransfer = "per-transfer",
    /// The rules are applied in memory, in order: each account that the batch names is read once,
    /// and written once where it has another balance then.
    Coalesced = "coalesced",
}
