//! What can be said of a cycle after which the ledger cannot be read.

use std::path::Path;

use super::super::findings::Findings;
use super::super::ledger::Standing;
use super::super::worker::Seen;
use crate::record::torture::{Counts, FindingKind};

/// Whether the database, or a log or journal beside it, has anything in it. A directory that a
/// server keeps its files in counts like a file.
pub(super) fn holds_data(database: &Path) -> bool {
    let Some(name) = database.file_name().map(|name| name.to_string_lossy()) else {
        return false;
    };
    let entries = database.parent().and_then(|at| std::fs::read_dir(at).ok());
    let entries = entries.into_iter().flatten().flatten();
    let mut files = entries.filter(|one| one.file_name().to_string_lossy().starts_with(&*name));
    files.any(|file| {
        let is_full = |about: std::fs::Metadata| {
            if about.is_dir() {
                std::fs::read_dir(file.path()).is_ok_and(|mut inside| inside.next().is_some())
            } else {
                about.len() > 0
            }
        };
        file.metadata().is_ok_and(is_full)
    })
}

/// What became of the transfers of a cycle, and of those of earlier ones that `stood` at its
/// beginning: lost with the whole ledger, or nobody knows.
pub(super) fn counts(seen: &[Seen], stood: u64, is_gone: bool, findings: &mut Findings) -> Counts {
    let mut counts = sent(seen);
    let all = stood + counts.acknowledged;
    if is_gone && all > 0 {
        counts.lost = all;
        let message = format!(
            "the ledger is gone: nothing is left of its database, so all {all} transfers that \
             were acknowledged are lost"
        );
        findings.add(FindingKind::Lost, message, true);
    } else {
        counts.unverified = all;
    }
    counts
}

/// What was sent, and what was answered.
fn sent(seen: &[Seen]) -> Counts {
    let mut counts = Counts::default();
    for entry in seen.iter().flat_map(|one| &one.sequence.entries) {
        counts.sent += 1;
        match entry.standing() {
            Standing::Acknowledged => counts.acknowledged += 1,
            Standing::Open => counts.unknown += 1,
            Standing::Refused => counts.refused += 1,
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Outcome;
    use crate::ledger::{Entry, Sequence};
    use crate::record::torture::FaultKind;

    #[test]
    fn a_ledger_is_there_as_long_as_anything_of_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let database = at("ledger.sqlite");
        assert!(!holds_data(&database));
        std::fs::write(&database, "").unwrap();
        std::fs::write(at("another"), "x").unwrap();
        assert!(!holds_data(&database), "empty is as good as missing");
        std::fs::write(at("ledger.sqlite-wal"), "x").unwrap();
        assert!(holds_data(&database), "its log may hold all of it");
        std::fs::create_dir(at("data")).unwrap();
        assert!(!holds_data(&at("data")));
        std::fs::write(at("data/file"), "").unwrap();
        assert!(holds_data(&at("data")));
    }

    /// N answered, and "0 lost", would be taken for a sound ledger.
    #[test]
    fn what_cannot_be_read_is_lost_or_unverified_and_never_neither() {
        let transfer = busload_wire::Transfer {
            from: 0,
            to: 1,
            amount: 1,
            transfer_id: None,
        };
        let entry = |number, answer| Entry {
            number,
            transfer,
            answer,
        };
        let seen = [Seen {
            sequence: Sequence {
                entries: vec![entry(1, Some(Outcome::Committed)), entry(2, None)],
            },
            ..Seen::default()
        }];
        for (is_gone, lost, unverified, found) in [(true, 6, 0, 1), (false, 0, 6, 0)] {
            let mut findings = Findings::new(1, FaultKind::PowerCut);
            let counts = counts(&seen, 5, is_gone, &mut findings);
            assert_eq!((counts.acknowledged, counts.unknown), (1, 1));
            assert_eq!((counts.lost, counts.unverified), (lost, unverified));
            assert_eq!(findings.list.len(), found);
        }
    }
}
