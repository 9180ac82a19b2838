//! What a row says about itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a verdict is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictCode {
    /// Balances do not sum up to what they did before, or one is negative. Invalidates.
    MoneyNotConserved,
    /// Transfers were acknowledged and no balance differs. Invalidates.
    NothingChanged,
    /// Acknowledged and applied transfers do not agree. Invalidates.
    LedgerMismatch,
    /// The answers cannot have been durable as declared. Invalidates.
    Fake,
    /// Nothing was committed inside the window. Invalidates.
    NoCommittedTransfer,
    /// The server ended in mid-run. Invalidates.
    ServerDied,
    /// The declared durability does not survive a power cut.
    NotDurable,
    /// The server does not say how durable it is.
    DurabilityUnknown,
    /// Something could not be checked.
    Unverified,
    /// Checking was switched off.
    NotVerified,
    /// The server's own verification fails, and all that this client checked is right.
    OwnVerifyFailed,
    /// Transfers have no known outcome.
    UnknownOutcomes,
    /// Answers said that their transfer was committed and that it was not.
    ContradictoryAnswers,
    /// The server's counters contradict each other, or what this client saw.
    CountersContradict,
    /// A part of the answered transfers was rejected or failed.
    NotCommitted,
    /// Stopped from outside.
    Interrupted,
    /// The disk was not the same before and after.
    Unstable,
    /// Syncs were faster than this disk can be.
    SyncTooFast,
    /// Syncs were faster than any medium is, or reach the kernel and not the disk.
    SyncDoesNothing,
    /// Two ways to make the same write durable are ten times apart.
    SyncMethodsApart,
    /// The disk flushed its cache less often than the server claims to have synced.
    FlushesMissing,
    /// A library that may replace syncs is loaded before the C library.
    Preloaded,
    /// A CPU quota kept client or server from running.
    Throttled,
    /// A processor computed slower before or after the row than it can.
    ProcessorSlowed,
    /// The null server answered: nothing was stored.
    NullServer,
    /// The load generator, not the server, may have been the limit.
    GeneratorBound,
    /// Less was committed than was offered.
    OfferedNotAchieved,
    /// Throughput, latency and what was in flight do not agree.
    LittlesLaw,
    /// The warm-up had not ended when the window opened.
    NotSteady,
    /// Answers of transfers that began before the window make a notable share of it.
    HeldBack,
    /// The window was too short for what is in it.
    ShortWindow,
    /// A transfer took longer than the warm-up or the window lasted.
    ShortForLatency,
    /// Nothing was committed for a notable time, although transfers were in flight.
    StandStill,
    /// The database was in memory.
    Tmpfs,
    /// The database was on an overlay.
    Overlay,
    /// Anything else about the machine that moves numbers.
    Environment,
    /// Repetitions differ too much to conclude from.
    WideSpread,
}

impl VerdictCode {
    /// In words.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::MoneyNotConserved => "money not conserved",
            Self::NothingChanged => "no balance changed",
            Self::LedgerMismatch => "ledger mismatch",
            Self::Fake => "fake",
            Self::NoCommittedTransfer => "nothing committed",
            Self::ServerDied => "server died",
            Self::NotDurable => "not durable",
            Self::DurabilityUnknown => "durability not told",
            Self::Unverified => "not all verified",
            Self::NotVerified => "nothing verified",
            Self::OwnVerifyFailed => "the server's own verification failed",
            Self::UnknownOutcomes => "unknown outcomes",
            Self::ContradictoryAnswers => "contradictory answers",
            Self::CountersContradict => "contradictory counters",
            Self::NotCommitted => "transfers not committed",
            Self::Interrupted => "interrupted",
            Self::Unstable => "unstable disk",
            Self::SyncTooFast => "syncs faster than the disk",
            Self::SyncDoesNothing => "syncs that do nothing",
            Self::SyncMethodsApart => "sync methods far apart",
            Self::FlushesMissing => "missing flushes",
            Self::Preloaded => "preloaded library",
            Self::Throttled => "CPU quota",
            Self::ProcessorSlowed => "slowed processor",
            Self::NullServer => "null server",
            Self::GeneratorBound => "generator-bound",
            Self::OfferedNotAchieved => "offered rate not achieved",
            Self::LittlesLaw => "Little's law does not hold",
            Self::NotSteady => "warm-up not over",
            Self::HeldBack => "answers held back",
            Self::ShortWindow => "short window",
            Self::ShortForLatency => "warm-up or window shorter than the latency",
            Self::StandStill => "standstill",
            Self::Tmpfs => "database in memory",
            Self::Overlay => "overlay file system",
            Self::Environment => "the machine",
            Self::WideSpread => "wide spread",
        }
    }
}

/// One verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// What it is about.
    pub code: VerdictCode,
    /// Whether it makes the row invalid.
    pub invalidates: bool,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}
