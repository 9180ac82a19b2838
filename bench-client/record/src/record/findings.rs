//! What an audit finds: of which kind, after which fault, and of which transfer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a server is interrupted.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// `kill -9` at a random moment.
    Kill,
    /// Killed as it enters its Nth sync.
    SyncKill,
    /// A sync at commit fails with an I/O error.
    Eio,
    /// Writes to the database's files fail for want of space, for a while.
    Enospc,
    /// Every sync takes long.
    SlowSync,
    /// SIGTERM at a random moment: everything queued is answered, and the exit code is 0.
    Term,
    /// Killed as it writes an answer: after the commit, before the client knows.
    AnswerKill,
    /// The file system stops as in a power cut: what was not synced is gone.
    PowerCut,
}

impl FaultKind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::Kill,
        Self::SyncKill,
        Self::AnswerKill,
        Self::Eio,
        Self::Enospc,
        Self::SlowSync,
        Self::Term,
        Self::PowerCut,
    ];

    /// The name on the command line and in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::SyncKill => "sync-kill",
            Self::Eio => "eio",
            Self::Enospc => "enospc",
            Self::SlowSync => "slow-sync",
            Self::Term => "term",
            Self::AnswerKill => "answer-kill",
            Self::PowerCut => "power-cut",
        }
    }
}

impl std::fmt::Display for FaultKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for FaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::as_str);
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| format!("'{text}' is not a fault: choose from {}", names.join(", ")))
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Of which kind.
    pub kind: FindingKind,
    /// In which cycle, from 1; 0 before the first, and for what crash states show.
    pub cycle: u32,
    /// Which fault that was; absent before the first cycle.
    pub fault: Option<FaultKind>,
    /// Whose transfer, if it is one's.
    pub worker: Option<u32>,
    /// Which, if it is known.
    pub transfer: Option<SuspectTransfer>,
    /// In words.
    pub message: String,
    /// Whether it makes the audit fail. What does not is a warning.
    pub fails: bool,
}

/// How often something of one kind was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Found {
    /// Which kind.
    pub kind: FindingKind,
    /// Findings that make the audit fail.
    pub failing: u64,
    /// Those that do not.
    pub warnings: u64,
}

/// A transfer that something is wrong with, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SuspectTransfer {
    /// Its number among the worker's transfers, from 1: its request id, and its line in the
    /// journal.
    pub number: u64,
    /// The account that pays.
    pub from: i64,
    /// The account that receives.
    pub to: i64,
    /// How much.
    pub amount: i64,
    /// `ok`, `unknown`, `rejected:…`, `failed:…`, or absent when there was none.
    pub answer: Option<String>,
    /// How often it was applied, as the balances say; absent where that was not asked.
    pub applied: Option<u8>,
}

/// Kinds of findings.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Acknowledged and not there after the restart, or there after one restart and gone after
    /// a later one.
    Lost,
    /// Applied more than once.
    AppliedTwice,
    /// Not there, and a later transfer of the same connection is.
    Gap,
    /// Answered as not applied, and there.
    RefusedPresent,
    /// No set of whole transfers explains the balances.
    Unexplained,
    /// One account of a pair did not gain what the other lost.
    PairNotConserved,
    /// The balances do not add up to what was seeded.
    WrongTotal,
    /// An account is gone.
    MissingAccount,
    /// There are accounts that were never made.
    UnexpectedAccount,
    /// A balance is below 0.
    NegativeBalance,
    /// A transfer that the payer had the money for was rejected.
    WrongRejection,
    /// No answer came on a connection that stayed open.
    Unanswered,
    /// No answer came, though many transfers sent later on the same connection were answered.
    Starved,
    /// An answer to a request that was not sent, or was answered before.
    AnsweredTwice,
    /// The server did not end as it must after this fault.
    UnexpectedEnd,
    /// Somebody accepts connections where the server listened, after its end: what was
    /// interrupted is not what answers.
    StillAnswers,
    /// Processes that the server had started could not be killed.
    StillRuns,
    /// The server was connected to a process that it had not started, and that no interruption of
    /// it reaches.
    ServedElsewhere,
    /// What was interrupted is not where the server keeps its ledger: nothing was tested.
    LedgerElsewhere,
    /// The server did not start again.
    DidNotComeBack,
    /// The server came back, and only when it was started once more.
    FailedStart,
    /// The journal, read back from its file, does not give the balances and counts found.
    ReplayDiffers,
    /// SQLite cannot read the database, or finds it corrupt.
    Unsound,
    /// An acknowledgement left before what it acknowledges was durable.
    AnsweredEarly,
    /// Sent again with its id, a transfer of unknown outcome was not answered `ok`.
    NotResolved,
}

impl FindingKind {
    /// Whether what was interrupted is not all of the server: an audit ends with it.
    #[must_use]
    pub const fn ends_the_audit(self) -> bool {
        matches!(self, Self::StillAnswers | Self::StillRuns)
    }

    /// As records have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::AppliedTwice => "applied_twice",
            Self::Gap => "gap",
            Self::RefusedPresent => "refused_present",
            Self::Unexplained => "unexplained",
            Self::PairNotConserved => "pair_not_conserved",
            Self::WrongTotal => "wrong_total",
            Self::MissingAccount => "missing_account",
            Self::UnexpectedAccount => "unexpected_account",
            Self::NegativeBalance => "negative_balance",
            Self::WrongRejection => "wrong_rejection",
            Self::Unanswered => "unanswered",
            Self::Starved => "starved",
            Self::AnsweredTwice => "answered_twice",
            Self::UnexpectedEnd => "unexpected_end",
            Self::StillAnswers => "still_answers",
            Self::StillRuns => "still_runs",
            Self::ServedElsewhere => "served_elsewhere",
            Self::LedgerElsewhere => "ledger_elsewhere",
            Self::DidNotComeBack => "did_not_come_back",
            Self::FailedStart => "failed_start",
            Self::ReplayDiffers => "replay_differs",
            Self::Unsound => "unsound",
            Self::AnsweredEarly => "answered_early",
            Self::NotResolved => "not_resolved",
        }
    }
}
