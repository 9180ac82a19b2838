//! An audit of a liar, and all that is known of it: the audit's record and journals, and the
//! liar's ledger and tally.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bench_client::connector::Outcome;
use bench_client::torture::journal::{self, Record};
use serde_json::{Value, json};

use super::bank::{FIRST, Lie};
use super::server;
use super::tally::{self, Moved, Tally};
use crate::common::{Directory, Ended, bench_client, count, directory, free_port, run};

/// Audits a liar with these flags and with cycles as long as that. The tally is left in
/// `directory`.
pub(crate) fn audit(directory: &Path, lie: Lie, flags: &[&str], seconds: u32) -> Ended {
    let port = free_port();
    let command = server::command(lie, port, &directory.join("tally"));
    audit_of(directory, lie, (&command, port), flags, seconds)
}

/// The same of the liar that this command starts, which listens at this port.
pub(crate) fn audit_of(
    directory: &Path,
    lie: Lie,
    (command, port): (&str, u16),
    flags: &[&str],
    seconds: u32,
) -> Ended {
    // A busy machine answers late, and that is no lie.
    let timeout = match lie {
        Lie::DropsAnswers => "1s",
        _ => "60s",
    };
    let mut audit = bench_client(directory);
    audit.args([
        "torture",
        "--json",
        "--reseed",
        "--kills=3",
        &format!("--cycle-time={seconds}"),
        "--concurrency=3",
        "--inflight=4",
        &format!("--timeout={timeout}"),
        &format!("--server-command={command}"),
        &format!("--url=ws://127.0.0.1:{port}"),
    ]);
    run(audit.args(flags))
}

/// Whether the liar had its chance in these cycles: far more was answered than comes before the
/// first lie and can be under way.
pub(crate) fn had_its_chance(record: &Value) -> BTreeSet<u64> {
    let cycles = record["cycles"].as_array().expect("a list");
    let chances = cycles
        .iter()
        .filter(|cycle| count(&cycle["acknowledged"]) > 10 * FIRST);
    chances.map(|cycle| count(&cycle["number"])).collect()
}

/// What the client knows of a transfer.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) cycle: u64,
    pub(crate) worker: u64,
    pub(crate) number: u64,
    pub(crate) answer: Option<Outcome>,
}

/// A finished audit.
pub(crate) struct Audited {
    directory: Directory,
    lie: Lie,
    pub(crate) ended: Ended,
    /// Empty where there is none.
    pub(crate) record: Value,
    pub(crate) tally: Tally,
}

impl Audited {
    /// Audits with longer cycles until it is `enough`: on a busy machine little happens in short
    /// ones.
    pub(crate) fn until(lie: Lie, flags: &[&str], enough: impl Fn(&Self) -> bool) -> Self {
        let mut seconds = if lie == Lie::DropsAnswers { 4 } else { 1 };
        loop {
            let directory = directory();
            let ended = audit(directory.path(), lie, flags, seconds);
            let audited = Self {
                lie,
                record: serde_json::from_str(&ended.stdout).unwrap_or_default(),
                tally: Tally::read(&directory.path().join("tally")),
                ended,
                directory,
            };
            let judged = matches!(audited.ended.code(), Some(0 | 4));
            if !judged || enough(&audited) || seconds > 30 {
                return audited;
            }
            seconds *= 4;
        }
    }

    /// Of a liar that is caught: exit code 4, and no kind of finding but these; the evidence is
    /// kept.
    #[track_caller]
    pub(crate) fn caught(self, kinds: &[&str]) -> Self {
        self.ended.expect_code(4);
        let record = &self.record;
        assert_eq!(record["valid"], false);
        assert_eq!(record["interrupted"], false);
        let found = self.kinds();
        let known = |kind: &String| kinds.contains(&kind.as_str());
        assert!(found.iter().all(known), "{:?}: {record:#}", self.lie);
        let first = count(&record["findings"][0]["cycle"]);
        let contents = journal::read(&self.kept(&format!("journal.{first}")));
        assert!(contents.expect("it can be read").records.len() > 10);
        self
    }

    /// What was kept of it.
    fn kept(&self, name: &str) -> PathBuf {
        let kept = self.record["kept"][0].as_str();
        let kept = kept.expect("the evidence is kept");
        self.directory.path().join(kept).join(name)
    }

    pub(crate) fn kinds(&self) -> BTreeSet<String> {
        kinds(&self.record)
    }

    pub(crate) fn findings(&self, kind: &str) -> Vec<&Value> {
        let record = &self.record;
        assert_eq!(record["findings_not_listed"], 0, "all of them are listed");
        let findings = record["findings"].as_array().expect("a list");
        findings.iter().filter(|one| one["kind"] == kind).collect()
    }

    /// The transfers that are named, each once.
    #[track_caller]
    pub(crate) fn named(&self, kind: &str) -> BTreeSet<Moved> {
        let findings = self.findings(kind);
        let all: BTreeSet<_> = findings
            .iter()
            .map(|one| Moved::of(&one["transfer"], ["from", "to", "amount"]))
            .collect();
        assert_eq!(all.len(), findings.len(), "{kind}: one is named twice");
        all
    }

    /// The connections, each of one cycle and worker, of which something is said once.
    #[track_caller]
    pub(crate) fn connections(&self, kind: &str) -> BTreeSet<(u64, u64)> {
        let findings = self.findings(kind);
        let all: BTreeSet<_> = findings
            .iter()
            .map(|one| (count(&one["cycle"]), count(&one["worker"])))
            .collect();
        assert_eq!(all.len(), findings.len(), "{kind}: one is named twice");
        all
    }

    /// Everything that was sent, as the journals have it; only with `--keep` are all there.
    pub(crate) fn sent(&self) -> BTreeMap<Moved, Sent> {
        let cycles = self.record["cycles"].as_array().expect("a list").len();
        let mut sent = BTreeMap::new();
        for cycle in 1..=cycles as u64 {
            let path = self.kept(&format!("journal.{cycle}"));
            let records = journal::read(&path).expect("it can be read").records;
            let mut answers = BTreeMap::new();
            for record in &records {
                if let Record::Answer {
                    worker,
                    number,
                    outcome,
                } = record
                {
                    answers.entry((*worker, *number)).or_insert(*outcome);
                }
            }
            for record in &records {
                let Record::Sent {
                    worker,
                    number,
                    transfer,
                } = record
                else {
                    continue;
                };
                let moved = Moved {
                    from: transfer.from,
                    to: transfer.to,
                    amount: transfer.amount,
                };
                let one = Sent {
                    cycle,
                    worker: u64::from(*worker),
                    number: *number,
                    answer: answers.get(&(*worker, *number)).copied(),
                };
                assert!(sent.insert(moved, one).is_none(), "{moved} was sent twice");
            }
        }
        sent
    }

    /// The transfers in its ledger at the end.
    pub(crate) fn ledger(&self) -> BTreeSet<Moved> {
        tally::ledger(&self.kept("ledger.sqlite"))
    }

    /// The transfers that it lied about.
    pub(crate) fn told(&self) -> BTreeSet<Moved> {
        self.tally.transfers("told")
    }

    /// Those of them whose answer reached the client: to it they are lies.
    pub(crate) fn heard(&self) -> BTreeSet<Moved> {
        let sent = self.sent();
        let told = self.told().into_iter();
        told.filter(|moved| sent[moved].answer.is_some()).collect()
    }

    /// Balances below 0 are found as often as the liar knows of them.
    #[track_caller]
    pub(crate) fn debts_are_told(&self) {
        let found = self.findings("negative_balance").len() as u64;
        assert_eq!(found, self.tally.count("in_debt"));
    }

    /// The record counts these, and counts nothing else as damage.
    #[track_caller]
    pub(crate) fn counts(&self, expected: &[(&str, usize)]) {
        for class in [
            "lost",
            "applied_twice",
            "gaps",
            "refused_present",
            "unexplained",
        ] {
            let wanted = expected.iter().find(|(name, _)| *name == class);
            let wanted = wanted.map_or(0, |(_, count)| *count);
            let lie = self.lie;
            assert_eq!(self.record[class], json!(wanted), "{lie:?}: {class}");
        }
    }
}

pub(crate) fn kinds(record: &Value) -> BTreeSet<String> {
    let findings = record["findings"].as_array().expect("a list");
    let kinds = findings
        .iter()
        .map(|one| one["kind"].as_str().expect("a name").to_owned());
    kinds.collect()
}
