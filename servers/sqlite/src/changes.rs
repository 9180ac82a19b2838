//! Rows that a batch has changed.

/// Row changes as SQLite reports them, since they were last taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RowChanges {
    pub(crate) rows: u64,
    pub(crate) refunds: u64,
    /// Transfers that were decided in memory: the rows do not tell how many they were.
    pub(crate) coalesced: Option<u64>,
}

impl RowChanges {
    /// Transfers that these changes amount to: each one changes two rows, and a debit
    /// that was taken back changed two rows for nothing. Of a coalesced batch it is the count of
    /// who decided it.
    pub(crate) fn applied(self) -> u64 {
        self.coalesced.unwrap_or_else(|| {
            debug_assert!(
                self.rows.is_multiple_of(2),
                "a transfer, or a refund, changes two rows"
            );
            (self.rows - 2 * self.refunds) / 2
        })
    }
}
