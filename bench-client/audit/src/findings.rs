//! What was found in one cycle, by everybody who looked.

use std::collections::BTreeSet;

use super::audit::starting::FailedStart;
use super::bank::Breach;
use super::judge::Anomaly;
use super::worker::{Seen, Starved};
use crate::connector::Outcome;
use crate::ledger;
use crate::record::torture::FaultKind;
use crate::record::torture::{Finding, FindingKind, SuspectTransfer};

/// What was found in one cycle.
pub(super) struct Findings {
    cycle: u32,
    fault: FaultKind,
    /// In the order in which it was found.
    pub(super) list: Vec<Finding>,
}

impl Findings {
    /// Nothing yet.
    pub(super) fn new(cycle: u32, fault: FaultKind) -> Self {
        Self {
            cycle,
            fault,
            list: Vec::new(),
        }
    }

    fn push(
        &mut self,
        kind: FindingKind,
        worker: Option<u32>,
        transfer: Option<SuspectTransfer>,
        message: String,
        fails: bool,
    ) {
        self.list.push(Finding {
            kind,
            cycle: self.cycle,
            fault: Some(self.fault),
            worker,
            transfer,
            message,
            fails,
        });
    }

    pub(super) fn add(&mut self, kind: FindingKind, message: String, fails: bool) {
        self.push(kind, None, None, message, fails);
    }

    pub(super) fn of_bank(&mut self, breaches: Vec<Breach>) {
        for Breach { kind, message } in breaches {
            self.add(kind, message, true);
        }
    }

    /// Processes that the server was connected to and that are not killed with it, each told once.
    pub(super) fn of_outsiders(&mut self, seen: &BTreeSet<String>, told: &mut BTreeSet<String>) {
        for outsider in seen {
            if told.insert(outsider.clone()) {
                let message = format!(
                    "the server was connected to {outsider}, which it had not started and which no \
                     kill of it reaches: the ledger may be there, and the audit cannot vouch for \
                     it; --server-command must start all that the server needs"
                );
                self.add(FindingKind::ServedElsewhere, message, true);
            }
        }
    }

    pub(super) fn of_pair(&mut self, worker: u32, suspicions: Vec<Anomaly>) {
        for Anomaly {
            kind,
            transfer,
            message,
        } in suspicions
        {
            self.push(kind, Some(worker), transfer, message, true);
        }
    }

    /// Starts of which nothing came, before one that served. That it was too slow is not held
    /// against this program's `own` server, that it ended is.
    pub(super) fn of_starts(&mut self, failed: Vec<FailedStart>, own: bool) {
        for FailedStart { why, ended } in failed {
            let message = format!("it had to be started once more: {why}");
            self.add(FindingKind::FailedStart, message, own && ended);
        }
    }

    /// What workers noticed by themselves. Only of this program's `own` server it is known that
    /// it answers the transfers of a connection in their order.
    pub(super) fn of_workers(&mut self, seen: &[Seen], own: bool) {
        for (worker, one) in (0..).zip(seen) {
            for Starved { place, later } in &one.starved {
                let message = format!(
                    "no answer came, and {later} transfers that were sent later on the same \
                     connection were answered ok"
                );
                let transfer = ledger::suspect(&one.sequence.entries[*place], None);
                let kind = FindingKind::Starved;
                self.push(kind, Some(worker), Some(transfer), message, own);
            }
            for entry in &one.sequence.entries {
                let kind = match entry.answer {
                    Some(Outcome::Rejected(_)) => FindingKind::WrongRejection,
                    None if one.unanswered.contains(&entry.number) => FindingKind::Unanswered,
                    _ => continue,
                };
                let message = match kind {
                    FindingKind::WrongRejection => "rejected, though the payer had the money",
                    _ => "no answer came, and the connection stayed open",
                };
                let transfer = ledger::suspect(entry, None);
                self.push(kind, Some(worker), Some(transfer), message.to_owned(), true);
            }
            if one.surplus_answers > 0 {
                let message = format!("{} answers to no request", one.surplus_answers);
                self.push(
                    FindingKind::AnsweredTwice,
                    Some(worker),
                    None,
                    message,
                    true,
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Entry, Sequence};

    /// The kinds of what is found, and whether each fails.
    fn found(look: impl FnOnce(&mut Findings)) -> Vec<(FindingKind, bool)> {
        let mut findings = Findings::new(1, FaultKind::Kill);
        look(&mut findings);
        let list = findings.list.iter();
        list.map(|finding| (finding.kind, finding.fails)).collect()
    }

    #[test]
    fn only_an_own_server_that_ended_fails_by_a_start() {
        for (own, ended, fails) in [
            (true, true, true),
            (true, false, false),
            (false, true, false),
        ] {
            let start = FailedStart {
                why: "disk I/O error".to_owned(),
                ended,
            };
            let found = found(|findings| findings.of_starts(vec![start], own));
            assert_eq!(found, [(FindingKind::FailedStart, fails)]);
        }
    }

    #[test]
    fn only_an_own_server_must_answer_in_order() {
        let transfer = busload_wire::Transfer {
            from: 0,
            to: 1,
            amount: 1,
            transfer_id: None,
        };
        let entry = Entry {
            number: 1,
            transfer,
            answer: None,
        };
        let seen = [Seen {
            sequence: Sequence {
                entries: vec![entry],
            },
            starved: vec![Starved {
                place: 0,
                later: 100,
            }],
            ..Seen::default()
        }];
        for own in [true, false] {
            let found = found(|findings| findings.of_workers(&seen, own));
            assert_eq!(found, [(FindingKind::Starved, own)]);
        }
    }
}
