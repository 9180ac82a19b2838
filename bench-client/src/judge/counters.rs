//! The server's counters, held against each other and against what this client saw. They are
//! only the server's word: where they contradict themselves, nothing that rests on them stands.

use crate::record::AppliedBy;
use busload_wire::control::Stats;

/// A server's counters before and after a load.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerCounters<'a> {
    /// Before it.
    pub(super) before: &'a Stats,
    /// After it.
    pub(super) after: &'a Stats,
    /// Most transfers in one of its transactions; `None` if it does not tell.
    pub(super) batch_size: Option<u64>,
    /// What its count of applied transfers rests on.
    pub(super) applied_by: AppliedBy,
}

/// What cannot be true, in words; nothing of a server whose counters agree.
pub(super) fn contradictions(counters: &ServerCounters<'_>, acknowledged: u64) -> Vec<String> {
    let ServerCounters { before, after, .. } = counters;
    let mut found = Vec::new();
    let mut counted = |name: &str, of: fn(&Stats) -> u64| {
        let (before, after) = (of(before), of(after));
        if after < before {
            found.push(format!("{name} fell from {before} to {after}"));
        }
        after.saturating_sub(before)
    };
    let committed = counted("committed", |stats| stats.committed);
    let applied = counted("applied", |stats| stats.applied);
    let row_changes = counted("row_changes", |stats| stats.row_changes);
    let refunds = counted("refunds", |stats| stats.refunds);
    let batches = counted("batches", |stats| stats.batches);
    let wrote = counted("batches_that_wrote", |stats| stats.batches_that_wrote);
    let commit_syncs = counted("commit_syncs", |stats| stats.commit_syncs.unwrap_or(0));
    let syncs = counted("syncs", |stats| stats.syncs.total());
    if !found.is_empty() {
        // Differences of such counters mean nothing.
        return found;
    }
    if committed < acknowledged {
        found.push(format!(
            "committed grew by {committed}, and {acknowledged} transfers were acknowledged"
        ));
    }
    if applied > committed {
        found.push(format!(
            "applied grew by {applied}, committed by {committed}"
        ));
    }
    let coalesces = counters.applied_by == AppliedBy::OwnCount;
    if coalesces && u128::from(row_changes) > 2 * u128::from(applied) {
        found.push(format!(
            "row_changes grew by {row_changes}, which is more than twice {applied} applied"
        ));
    }
    if coalesces && refunds > 0 {
        found.push(format!("{refunds} refunds, which coalescing never needs"));
    }
    if !coalesces && u128::from(row_changes) != 2 * (u128::from(applied) + u128::from(refunds)) {
        found.push(format!(
            "row_changes grew by {row_changes}, which is not twice {applied} applied and {refunds} \
             refunds"
        ));
    }
    if wrote > batches {
        found.push(format!("{wrote} of {batches} batches wrote"));
    }
    // A coalesced batch that takes back what it gave writes nothing.
    let applying = if coalesces { batches } else { wrote };
    if let Some(most) = counters.batch_size
        && u128::from(applied) > u128::from(applying) * u128::from(most)
    {
        found.push(format!(
            "{applied} transfers were applied in {applying} batches of at most {most}"
        ));
    }
    if commit_syncs > syncs {
        found.push(format!("{commit_syncs} of {syncs} syncs were at COMMIT"));
    }
    found
}

#[cfg(test)]
mod tests {
    use busload_wire::control::SyncsByFile;

    use super::*;

    /// What is found in counters that agree but for this change.
    fn found(applied_by: AppliedBy, change: impl FnOnce(&mut Stats)) -> String {
        let before = Stats {
            committed: 5,
            applied: 5,
            row_changes: 10,
            ..Stats::default()
        };
        let mut after = Stats {
            committed: 107,
            applied: 105,
            row_changes: 214,
            refunds: 2,
            batches: 12,
            batches_that_wrote: 10,
            commit_syncs: Some(10),
            syncs: SyncsByFile {
                wal: 11,
                ..SyncsByFile::default()
            },
            ..before.clone()
        };
        change(&mut after);
        let counters = ServerCounters {
            before: &before,
            after: &after,
            batch_size: Some(10),
            applied_by,
        };
        contradictions(&counters, 100).join("; ")
    }

    #[test]
    fn counters_that_agree_contradict_nothing() {
        assert_eq!(found(AppliedBy::RowChanges, |_| {}), "");
    }

    /// Rows that are written once for all their transfers contradict nothing.
    #[test]
    fn a_server_that_coalesces_changes_fewer_rows() {
        type Change = fn(&mut Stats);
        let coalesced = |change: Change| {
            found(AppliedBy::OwnCount, |stats| {
                (stats.row_changes, stats.refunds) = (40, 0);
                // Three batches took back what they gave.
                (stats.batches_that_wrote, stats.commit_syncs) = (7, Some(7));
                change(stats);
            })
        };
        assert_eq!(coalesced(|_| {}), "");
        let changes: [(Change, &str); 3] = [
            (|stats| stats.row_changes = 211, "more than twice 100"),
            (|stats| stats.refunds = 1, "1 refunds"),
            (|stats| stats.batches = 9, "in 9 batches of at most 10"),
        ];
        for (change, says) in changes {
            let found = coalesced(change);
            assert!(found.contains(says), "no '{says}' in '{found}'");
        }
    }

    #[test]
    fn each_contradiction_is_found() {
        type Change = fn(&mut Stats);
        let changes: [(Change, &str); 8] = [
            (|stats| stats.row_changes = 10, "row_changes grew by 0"),
            (|stats| stats.committed = 5, "committed grew by 0, and 100"),
            (
                |stats| stats.committed = 104,
                "applied grew by 100, committed by 99",
            ),
            (|stats| stats.committed = 4, "committed fell from 5 to 4"),
            (|stats| stats.batches = 9, "10 of 9 batches wrote"),
            (
                |stats| stats.batches_that_wrote = 9,
                "in 9 batches of at most 10",
            ),
            (|stats| stats.syncs.wal = 9, "10 of 9 syncs"),
            (|stats| stats.refunds = 3, "3 refunds"),
        ];
        for (change, says) in changes {
            let found = found(AppliedBy::RowChanges, change);
            assert!(found.contains(says), "no '{says}' in '{found}'");
        }
    }
}
