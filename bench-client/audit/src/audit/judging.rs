//! What an audit does when the server is back: it judges, sends again, and reads its journal back.

use super::super::again::{self, Open};
use super::super::bank::Reading;
use super::super::cycle::Happened;
use super::super::fault::Fault;
use super::super::findings::Findings;
use super::super::ignored_sync_errors;
use super::super::journal::{self, Journal, JournalError, Record};
use super::super::judge::{Circumstances, History, judge};
use super::super::ledger::{Balances, Sequence};
use super::super::plan::Plan;
use super::super::replay::replay;
use super::super::worker::Seen;
use super::Audit;
use crate::record::torture::{Counts, FindingKind, TortureRecord};

impl Audit<'_> {
    /// What was found until the server was gone.
    pub(super) fn found_under_load(
        &mut self,
        number: u32,
        fault: &dyn Fault,
        happened: &mut Happened,
    ) -> Findings {
        let mut findings = Findings::new(number, fault.kind());
        findings.of_workers(&happened.seen, self.plan.command.is_own());
        findings.of_bank(std::mem::take(&mut happened.snapshots.breaches));
        // A ledger that the server was told is in another process is not found there.
        let told = self.plan.command.target.server();
        if told.is_none_or(|server| server.engine.is_file()) {
            findings.of_outsiders(&happened.outsiders, &mut self.outsiders);
        }
        if let Some(message) = happened.end.judge(fault, &happened.seen) {
            let fails = self.plan.command.is_own();
            findings.add(FindingKind::UnexpectedEnd, message, fails);
        }
        for (message, fails) in ignored_sync_errors::judge(
            &happened.end.ignored_sync_errors,
            self.plan.command.is_own(),
        ) {
            findings.add(FindingKind::UnexpectedEnd, message, fails);
        }
        findings
    }

    /// Judges all workers; by worker also what is of unknown outcome.
    pub(super) fn judge(
        &mut self,
        seen: &[Seen],
        after: &Balances,
        findings: &mut Findings,
    ) -> (Counts, Vec<Vec<Open>>) {
        let nothing = Sequence::default();
        let all: Vec<_> = seen.iter().map(|one| &one.sequence).collect();
        // A refusal that came too late to count leaves what looks like a gap.
        let ordered = self.plan.ordered && seen.iter().all(|one| one.late_refusals == 0);
        let circumstances = Circumstances::of(&all, ordered);
        let mut counts = Counts::default();
        let mut open = Vec::new();
        for (worker, generator) in self.generators.iter().enumerate() {
            let sequence = all.get(worker).copied().unwrap_or(&nothing);
            let history = &mut self.histories[worker];
            let pair = generator.pair();
            let judgement = judge(
                pair,
                sequence,
                &self.balances,
                after,
                history,
                circumstances,
            );
            counts.add(&judgement.counts);
            open.push(again::open(sequence, &judgement.applied));
            findings.of_pair(pair.0, judgement.suspicions);
        }
        (counts, open)
    }

    /// Sends what is of unknown outcome again, with its ids, to the server that was started
    /// again. The balances after that; the text says why they cannot be read.
    pub(super) async fn send_again(
        &mut self,
        open: &[Vec<Open>],
        before: &Balances,
        record: &mut TortureRecord,
        findings: &mut Findings,
    ) -> Result<Balances, String> {
        let Plan {
            command,
            window,
            answer_timeout,
            ..
        } = self.plan;
        let (wire, window) = (command.wire, *window as usize);
        let target = self.server.target();
        let answers = again::send(wire, target, open, window, *answer_timeout).await;
        let mut control = wire.control(target);
        let reading = Reading::take(&mut control, self.bank.accounts)
            .await
            .map_err(|error| crate::with_causes(&error))?;
        findings.of_bank(self.bank.check(&reading));
        let after = reading.balances;
        let sum = record.exactly_once.get_or_insert_default();
        for (generator, (open, answers)) in self.generators.iter().zip(open.iter().zip(&answers)) {
            let pair = generator.pair();
            let history = &mut self.histories[pair.0 as usize];
            let (resolved, wrong) = again::check(pair, open, answers, (before, &after), history);
            sum.add(&resolved);
            findings.of_pair(pair.0, wrong);
        }
        Ok(after)
    }

    /// Closes the journal of a cycle, reads it back from its file and judges it once more, from
    /// nothing but what is in it: whether that gives the same. Removes it when nothing is wrong.
    pub(super) async fn read_back(
        &self,
        journal: Journal,
        number: u32,
        after: &Balances,
        counts: &Counts,
        earlier: &[History],
        findings: &Findings,
    ) -> Result<bool, JournalError> {
        let mut handle = journal.handle();
        let position = handle.append(&Record::Balances {
            cycle: number + 1,
            balances: after.clone(),
        });
        handle.durable(position).await?;
        let path = journal.path().to_owned();
        drop((journal, handle));
        let contents = journal::read(&path)?;
        let replayed = replay(&contents.records, self.plan.ordered, earlier);
        let matches = contents.torn_bytes == 0
            && replayed.unsettled == 0
            && replayed.counts == *counts
            && replayed.last == *after
            && replayed.matches();
        if matches && findings.list.is_empty() && !self.plan.keep {
            let _ = std::fs::remove_file(&path);
        }
        Ok(matches)
    }
}
