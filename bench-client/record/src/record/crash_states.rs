//! What replaying crash states came to: what a power cut could have left of recorded runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::findings::{FaultKind, Finding, FindingKind};

/// The crash states of an audit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CrashStates {
    /// How many were asked for.
    pub asked: u64,
    /// What became of all of them.
    #[serde(flatten)]
    pub counts: StateCounts,
    /// Different contents of the files among them; absent when there were more than are counted.
    pub distinct_images: Option<u64>,
    /// The runs that they are states of.
    pub runs: Vec<RecordedRun>,
}

/// What became of crash states. All but the counts of transfers are counts of states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateCounts {
    /// States that were opened and judged.
    pub states: u64,
    /// Transfers that were acknowledged in the runs.
    pub acknowledged: u64,
    /// States in which an acknowledged transfer is missing.
    pub lost: u64,
    /// The most acknowledged transfers that one state has lost.
    pub lost_transfers_max: u64,
    /// States in which something is applied twice, or was not asked for.
    pub twice: u64,
    /// States in which a transfer is applied and an earlier one of its connection is not.
    pub gaps: u64,
    /// States in which a transfer is torn: half of it is applied.
    pub torn: u64,
    /// States that SQLite cannot read, or finds unsound.
    pub integrity: u64,
    /// Transfers whose acknowledgement left before what is durable held them, by the model that
    /// finds most.
    pub early_answers: u64,
    /// Transfers with no sync between the request and the acknowledgement.
    pub unsynced_answers: u64,
}

impl StateCounts {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.lost
            + self.twice
            + self.gaps
            + self.torn
            + self.integrity
            + self.early_answers
            + self.unsynced_answers
            == 0
    }
}

/// A run of the server that was recorded under `strace`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordedRun {
    /// The durability mode as the server says it.
    pub durability: Option<String>,
    /// How it applies a batch, as it says.
    #[serde(default)]
    pub apply: Option<String>,
    /// KiB by which the write-ahead log grew between two checkpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_kib: Option<u32>,
    /// The same in pages of 4 KiB, in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_pages: Option<u32>,
    /// Bytes of a page of the database, as the server says it; absent in records of earlier
    /// versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_bytes: Option<u32>,
    /// Accounts of its ledger.
    pub accounts: u32,
    /// Connections of its load, each with two accounts of its own.
    pub connections: u32,
    /// Transfers in flight on each.
    pub window: u32,
    /// Transfers that were acknowledged.
    pub acknowledged: u64,
    /// Writes, syncs, requests and answers that were recorded.
    pub steps: u64,
    /// Length of the trace.
    pub trace_bytes: u64,
    /// Its replays, one per model of the disk.
    pub replays: Vec<Replayed>,
}

/// What the audit came to. All counts but that of `acknowledged` and `early_answers` are of
/// crash states.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayReport {
    /// States that were opened and judged.
    pub states: u64,
    /// What they were drawn from.
    pub seed: u64,
    /// Transfers that were acknowledged in the run.
    pub acknowledged: u64,
    /// States in which an acknowledged transfer is missing.
    pub lost: u64,
    /// The most acknowledged transfers that one state has lost.
    pub lost_transfers_max: u64,
    /// States in which something is applied twice, or was not asked for.
    pub twice: u64,
    /// States in which a transfer is applied and an earlier one of its connection is not.
    pub gaps: u64,
    /// States in which a transfer is torn: half of it is applied.
    pub torn: u64,
    /// States that SQLite cannot read, or finds unsound.
    pub integrity: u64,
    /// Acknowledgements that were on their way before what is durable held their transfer; 0
    /// where that was not asked.
    pub early_answers: u64,
    /// Acknowledgements with no sync between the request and them: it began after the request
    /// was read and returned before the answer was written.
    pub unsynced_answers: u64,
    /// The first faulty states, and the first of each class, in words.
    pub examples: Vec<String>,
}

impl ReplayReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let Self {
            lost,
            twice,
            gaps,
            torn,
            integrity,
            ..
        } = self;
        lost + twice + gaps + torn + integrity + self.early_answers + self.unsynced_answers == 0
    }
}

/// Crash states of one run, as one model of the disk has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replayed {
    /// A piece of this size, aligned, is written whole or not at all; in bytes.
    pub sector_bytes: u32,
    /// A file that was removed may come back until its directory is synced; else it is gone at
    /// once.
    pub removals_may_come_back: bool,
    /// What they came to.
    #[serde(flatten)]
    pub report: ReplayReport,
}

impl CrashStates {
    /// Nothing was replayed yet.
    #[must_use]
    pub fn asked(asked: u64) -> Self {
        Self {
            asked,
            ..Self::default()
        }
    }

    /// Counts anew what the replays came to.
    pub fn sum_up(&mut self) {
        let mut sum = StateCounts::default();
        for run in &self.runs {
            sum.acknowledged += run.acknowledged;
            let reports = || run.replays.iter().map(|replayed| &replayed.report);
            for one in reports() {
                sum.states += one.states;
                sum.lost += one.lost;
                sum.lost_transfers_max = sum.lost_transfers_max.max(one.lost_transfers_max);
                sum.twice += one.twice;
                sum.gaps += one.gaps;
                sum.torn += one.torn;
                sum.integrity += one.integrity;
            }
            // The same answers in every model.
            sum.early_answers += reports().map(|one| one.early_answers).max().unwrap_or(0);
            sum.unsynced_answers += reports().map(|one| one.unsynced_answers).max().unwrap_or(0);
        }
        self.counts = sum;
    }

    /// What is wrong, one finding per kind.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let StateCounts {
            lost,
            lost_transfers_max: most,
            twice,
            gaps,
            torn,
            integrity,
            early_answers: early,
            unsynced_answers: unsynced,
            acknowledged,
            ..
        } = self.counts;
        let mut findings = Vec::new();
        let mut find = |kind, message| {
            findings.push(Finding {
                kind,
                cycle: 0,
                fault: Some(FaultKind::PowerCut),
                worker: None,
                transfer: None,
                message,
                fails: true,
            });
        };
        let mut of_states = |kind, count: fn(&ReplayReport) -> u64, what: &str| {
            let spread = self.spread(count);
            find(kind, format!("{what}; {spread}"));
        };
        if lost > 0 {
            let what = format!("acknowledged transfers are missing, up to {most} in one state");
            of_states(FindingKind::Lost, |one| one.lost, &what);
        }
        if twice > 0 {
            let what = "more has moved than was asked for";
            of_states(FindingKind::AppliedTwice, |one| one.twice, what);
        }
        if gaps > 0 {
            let what = "a transfer is there and an earlier one of its connection is not";
            of_states(FindingKind::Gap, |one| one.gaps, what);
        }
        if torn > 0 {
            let what = "a torn transfer is there";
            of_states(FindingKind::PairNotConserved, |one| one.torn, what);
        }
        if integrity > 0 {
            let what = "SQLite cannot read the database, or finds it corrupt";
            of_states(FindingKind::Unsound, |one| one.integrity, what);
        }
        if early + unsynced > 0 {
            find(
                FindingKind::AnsweredEarly,
                format!(
                    "of {acknowledged} acknowledgements {early} left before what was durable held \
                     their transfer, {unsynced} without a sync since its request"
                ),
            );
        }
        findings
    }

    /// In how many states, by what decides whether the removal of a file lasts.
    fn spread(&self, of: fn(&ReplayReport) -> u64) -> String {
        let replays = || self.runs.iter().flat_map(|run| &run.replays);
        let among = |comes_back: bool| {
            let mut bad = (0, 0);
            for one in replays().filter(|one| one.removals_may_come_back == comes_back) {
                bad = (bad.0 + of(&one.report), bad.1 + one.report.states);
            }
            bad
        };
        let ((back, backs), (gone, gones)) = (among(true), among(false));
        format!(
            "in {back} of {backs} states if a removed file may come back until its directory is \
             synced, in {gone} of {gones} if it is gone at once"
        )
    }

    /// The first state with something wrong, in words.
    #[must_use]
    pub fn example(&self) -> Option<&str> {
        let replays = self.runs.iter().flat_map(|run| &run.replays);
        let mut examples = replays.flat_map(|one| &one.report.examples);
        examples.next().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replayed(comes_back: bool, lost: u64, early_answers: u64) -> Replayed {
        let report = ReplayReport {
            states: 100,
            lost,
            lost_transfers_max: 2 * lost,
            early_answers,
            examples: (lost > 0)
                .then(|| "a cut before line 7: gone".to_owned())
                .into_iter()
                .collect(),
            ..ReplayReport::default()
        };
        Replayed {
            sector_bytes: 512,
            removals_may_come_back: comes_back,
            report,
        }
    }

    fn states(replays: Vec<Replayed>) -> CrashStates {
        let mut states = CrashStates::asked(200);
        states.runs.push(RecordedRun {
            acknowledged: 50,
            replays,
            ..RecordedRun::default()
        });
        states.sum_up();
        states
    }

    #[test]
    fn states_are_added_and_answers_are_not() {
        let states = states(vec![replayed(true, 3, 9), replayed(false, 1, 4)]);
        let counts = states.counts;
        assert_eq!(
            (counts.states, counts.acknowledged, counts.lost),
            (200, 50, 4)
        );
        assert_eq!((counts.lost_transfers_max, counts.early_answers), (6, 9));
        assert_eq!(states.example(), Some("a cut before line 7: gone"));
    }

    #[test]
    fn a_finding_says_under_which_model() {
        assert_eq!(states(vec![replayed(true, 0, 0)]).findings(), []);
        let findings = states(vec![replayed(true, 3, 9), replayed(false, 0, 0)]).findings();
        let kinds: Vec<_> = findings.iter().map(|one| one.kind).collect();
        assert_eq!(kinds, [FindingKind::Lost, FindingKind::AnsweredEarly]);
        assert!(findings.iter().all(|one| one.fails));
        let message = &findings[0].message;
        for part in ["up to 6 in one", "in 3 of 100", "in 0 of 100"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn whatever_is_counted_makes_a_finding() {
        let set: [fn(&mut ReplayReport); 7] = [
            |one| one.lost = 1,
            |one| one.twice = 1,
            |one| one.gaps = 1,
            |one| one.torn = 1,
            |one| one.integrity = 1,
            |one| one.early_answers = 1,
            |one| one.unsynced_answers = 1,
        ];
        for set in set {
            let mut replayed = replayed(true, 0, 0);
            set(&mut replayed.report);
            assert!(!replayed.report.is_clean());
            let states = states(vec![replayed]);
            assert!(!states.counts.is_clean());
            assert_eq!(states.findings().len(), 1, "{states:?}");
        }
    }
}
