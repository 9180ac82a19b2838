//! The record of an audit: how often a server was interrupted, and what became of every transfer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::crash_states::CrashStates;
pub use super::findings::{FaultKind, Finding, FindingKind, Found, SuspectTransfer};
use super::naming::Naming;
use crate::figures::{counted, grouped};
use crate::host::environment::Environment;

/// When a server is interrupted, counted from the start of the load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "at", rename_all = "snake_case")]
pub enum Moment {
    /// After this time.
    Time {
        /// In milliseconds.
        after_ms: u64,
    },
    /// At a system call of the server, which the wrapper counts.
    Call {
        /// Which calls are counted, as `strace` names them.
        calls: String,
        /// The first one that is hit, from 1, in the thread that makes it.
        first: u64,
        /// The last one that is hit; absent when all that follow are.
        last: Option<u64>,
    },
}

/// The version of this form.
pub const TORTURE_VERSION: u32 = 2;
/// Most findings that a record lists one by one; the counts have all of them.
pub const FINDINGS_MAX: usize = 200;

/// What `torture` writes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TortureRecord {
    /// The version of this form.
    pub torture_version: u32,
    /// What a person calls it.
    #[serde(flatten)]
    pub naming: Naming,
    /// Where and by what it was done.
    pub environment: Environment,
    /// What was audited.
    pub server: Audited,
    /// The load.
    pub load: Load,
    /// The random seed: the same seed and flags replay faults, moments and amounts.
    pub seed: u64,
    /// Interruptions of a server, power cuts aside.
    pub kills: u64,
    /// Power cuts, made by stopping a file system.
    pub cuts: u64,
    /// The file system of the power cuts: `ext4` or `xfs`; absent when there were none.
    pub file_system: Option<String>,
    /// What became of all transfers.
    #[serde(flatten)]
    pub counts: Counts,
    /// Syncs beside the transfers that were answered meanwhile, over the cycles in which they were
    /// seen: under `strace`, else in the server's counters. Absent where neither tells.
    #[serde(default)]
    pub syncs: Option<SyncCount>,
    /// Balances read as a whole while transfers ran, each held against the bank's rules.
    pub snapshots: u64,
    /// Whether the journal of every cycle, read back from its file and judged once more, gives
    /// the balances and counts found; absent when that could not be said of any.
    pub replay_matches: Option<bool>,
    /// What power cuts could have left behind; absent when that was not asked for, or could not
    /// be found out here.
    pub crash_states: Option<CrashStates>,
    /// What became of transfers of unknown outcome that were sent again with their ids; absent
    /// without `--exactly-once`.
    pub exactly_once: Option<Resolved>,
    /// One entry per fault that was made.
    pub faults: Vec<FaultRow>,
    /// Faults that were asked for and could not be made here.
    pub skipped: Vec<Skipped>,
    /// Faults that were asked for and had no cycle: there were fewer cycles than faults, or the
    /// audit ended before their turn.
    #[serde(default)]
    pub not_injected: Vec<FaultKind>,
    /// What is wrong, the first few hundred one by one.
    pub findings: Vec<Finding>,
    /// Findings that are not listed.
    pub findings_not_listed: u64,
    /// How many findings of cycles there are of each kind, listed or not.
    #[serde(default)]
    pub found: Vec<Found>,
    /// What the audit could not show, and should have.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Every interruption, in order.
    pub cycles: Vec<CycleRow>,
    /// The journals and databases that were kept, because something is wrong or `--keep` was
    /// given.
    pub kept: Vec<String>,
    /// It was stopped from outside: not all cycles were done.
    pub interrupted: bool,
    /// Nothing was found that a server must not do.
    pub valid: bool,
}

/// The server that was audited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Audited {
    /// It is this program's own; else the command that starts it is in the command line.
    pub own: bool,
    /// `http` or `ws`.
    pub transport: String,
    /// `json` or `binary`.
    pub encoding: String,
    /// The durability mode that was asked for, when this program's own server was started.
    pub durability_requested: Option<String>,
    /// The durability mode as the server says it; absent for a server that does not tell.
    pub durability: Option<String>,
    /// How it applies a batch; absent for a server that does not tell.
    #[serde(default)]
    pub apply: Option<String>,
}

/// The load of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    /// Workers as given.
    pub workers: u32,
    /// Transfers in flight per worker as given.
    pub inflight: u32,
    /// Connections, each with a pair of accounts and a ledger of its own: over HTTP one per
    /// transfer in flight, else one per worker.
    pub connections: u32,
    /// Longest time from the start of the load to the interruption, in milliseconds.
    pub cycle_ms: u64,
}

/// Syncs of a server, and what it answered meanwhile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncCount {
    /// Calls of fsync and fdatasync.
    pub syncs: u64,
    /// Transfers answered as committed.
    pub transfers: u64,
}

impl SyncCount {
    /// Transfers per sync; `None` without a sync.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn transfers_each(self) -> Option<f64> {
        (self.syncs > 0).then(|| self.transfers as f64 / self.syncs as f64)
    }
}

/// What became of transfers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Requests sent.
    pub sent: u64,
    /// Answered as committed.
    pub acknowledged: u64,
    /// Of those, not there after the restart.
    pub lost: u64,
    /// Transfers applied more than once.
    pub applied_twice: u64,
    /// Transfers missing although a later one of the same connection is there.
    pub gaps: u64,
    /// Transfers without an answer, or answered as unknown.
    pub unknown: u64,
    /// Of those, there after the restart.
    pub unknown_present: u64,
    /// Of those, not there after the restart.
    pub unknown_absent: u64,
    /// Refused: known not to be applied.
    pub refused: u64,
    /// Of those, there all the same.
    pub refused_present: u64,
    /// Connections whose balances no set of whole transfers explains. At least one transfer of
    /// each was lost or applied twice; it cannot be said which.
    pub unexplained: u64,
    /// Answered as committed, and not to be found out: the server did not come back with its
    /// ledger. Those of earlier cycles are among them.
    #[serde(default)]
    pub unverified: u64,
}

impl Counts {
    /// Whether something was lost, damaged, or cannot be found out.
    #[must_use]
    pub const fn has_damage(&self) -> bool {
        self.lost
            + self.applied_twice
            + self.gaps
            + self.refused_present
            + self.unexplained
            + self.unverified
            > 0
    }

    /// Adds what became of others.
    pub fn add(&mut self, more: &Self) {
        let Self {
            sent,
            acknowledged,
            lost,
            applied_twice,
            gaps,
            unknown,
            unknown_present,
            unknown_absent,
            refused,
            refused_present,
            unexplained,
            unverified,
        } = more;
        self.sent += sent;
        self.acknowledged += acknowledged;
        self.lost += lost;
        self.applied_twice += applied_twice;
        self.gaps += gaps;
        self.unknown += unknown;
        self.unknown_present += unknown_present;
        self.unknown_absent += unknown_absent;
        self.refused += refused;
        self.refused_present += refused_present;
        self.unexplained += unexplained;
        self.unverified += unverified;
    }
}

/// Transfers of unknown outcome that were sent again after the restart, with the same id and
/// payload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resolved {
    /// Answered `ok`.
    pub resolved: u64,
    /// Of those, there before they were sent again.
    pub resolved_committed: u64,
    /// Of those, not there before.
    pub resolved_applied: u64,
    /// Not answered, or otherwise.
    pub unresolved: u64,
}

impl Resolved {
    /// Adds what became of others.
    pub fn add(&mut self, more: &Self) {
        let Self {
            resolved,
            resolved_committed,
            resolved_applied,
            unresolved,
        } = more;
        self.resolved += resolved;
        self.resolved_committed += resolved_committed;
        self.resolved_applied += resolved_applied;
        self.unresolved += unresolved;
    }
}

/// Everything that one kind of fault brought about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FaultRow {
    /// Which.
    pub fault: FaultKind,
    /// Interruptions.
    pub cycles: u64,
    /// Of those, at the moment that was meant. The others came when the time of the cycle was
    /// over before the moment had come.
    pub injected: u64,
    /// What became of the transfers.
    #[serde(flatten)]
    pub counts: Counts,
    /// Findings of all kinds.
    pub findings: u64,
}

/// A fault that was asked for and could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Skipped {
    /// Which.
    pub fault: FaultKind,
    /// What is missing.
    pub why: String,
}

/// One interruption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CycleRow {
    /// From 1.
    pub number: u32,
    /// How.
    pub fault: FaultKind,
    /// The moment that was meant.
    pub moment: Moment,
    /// Whether it was that moment.
    pub injected: bool,
    /// How the server ended.
    pub ended: String,
    /// Syncs, where they were seen.
    #[serde(default)]
    pub syncs: Option<SyncCount>,
    /// What became of the transfers.
    #[serde(flatten)]
    pub counts: Counts,
}

impl TortureRecord {
    /// A record of an audit in which nothing has happened yet.
    #[must_use]
    pub fn new(environment: Environment, server: Audited, load: Load, seed: u64) -> Self {
        Self {
            torture_version: TORTURE_VERSION,
            naming: Naming::default(),
            environment,
            server,
            load,
            seed,
            kills: 0,
            cuts: 0,
            file_system: None,
            counts: Counts::default(),
            syncs: None,
            snapshots: 0,
            replay_matches: None,
            crash_states: None,
            exactly_once: None,
            faults: Vec::new(),
            skipped: Vec::new(),
            not_injected: Vec::new(),
            findings: Vec::new(),
            findings_not_listed: 0,
            found: Vec::new(),
            warnings: Vec::new(),
            cycles: Vec::new(),
            kept: Vec::new(),
            interrupted: false,
            valid: true,
        }
    }

    /// Adds a cycle and what was found in it.
    pub fn push(&mut self, cycle: CycleRow, findings: Vec<Finding>) {
        if cycle.fault == FaultKind::PowerCut {
            self.cuts += 1;
        } else {
            self.kills += 1;
        }
        self.counts.add(&cycle.counts);
        if let Some(SyncCount { syncs, transfers }) = cycle.syncs {
            let all = self.syncs.get_or_insert_default();
            all.syncs += syncs;
            all.transfers += transfers;
        }
        let place = self.faults.iter().position(|row| row.fault == cycle.fault);
        let place = place.unwrap_or_else(|| {
            self.faults.push(FaultRow {
                fault: cycle.fault,
                cycles: 0,
                injected: 0,
                counts: Counts::default(),
                findings: 0,
            });
            self.faults.len() - 1
        });
        let row = &mut self.faults[place];
        row.cycles += 1;
        row.injected += u64::from(cycle.injected);
        row.counts.add(&cycle.counts);
        row.findings += findings.len() as u64;
        self.cycles.push(cycle);
        for finding in findings {
            let kind = finding.kind;
            let place = self.found.iter().position(|found| found.kind == kind);
            let place = place.unwrap_or_else(|| {
                self.found.push(Found {
                    kind,
                    failing: 0,
                    warnings: 0,
                });
                self.found.len() - 1
            });
            let found = &mut self.found[place];
            if finding.fails {
                found.failing += 1;
            } else {
                found.warnings += 1;
            }
            self.find(finding);
        }
    }

    /// All was done of what was to be done with these faults: says what has shown nothing.
    pub fn conclude(&mut self, faults: &[FaultKind]) {
        let had_cycle = |kind: &FaultKind| self.faults.iter().any(|row| row.fault == *kind);
        let without = faults.iter().filter(|kind| !had_cycle(kind));
        self.not_injected = without.copied().collect();
        let idle = self.faults.iter().filter(|row| row.injected == 0);
        let warnings = idle.map(|FaultRow { fault, cycles, .. }| {
            format!(
                "{fault} was injected in none of its {}, so it has shown nothing: its moment never \
                 came",
                counted(*cycles, "cycle")
            )
        });
        self.warnings.extend(warnings);
        if self.shows_nothing() {
            let message = "nothing was acknowledged, so nothing could be lost: look at what the \
                           server answers";
            self.warnings.push(message.to_owned());
        }
        // What an audit was made for comes first.
        if let Some(loss) = self.untested_loss() {
            self.warnings.insert(0, loss);
        }
    }

    /// Whether the power was cut, or a cut replayed.
    #[must_use]
    pub fn has_cut_power(&self) -> bool {
        let cuts = |row: &FaultRow| row.fault == FaultKind::PowerCut && row.injected > 0;
        self.faults.iter().any(cuts) || self.has_states()
    }

    /// What a power cut would lose, by what the server says or does, where none was injected.
    #[must_use]
    pub fn untested_loss(&self) -> Option<String> {
        if self.has_cut_power() || self.counts.acknowledged == 0 {
            return None;
        }
        let unsynced = self.syncs.filter(|all| all.syncs == 0 && all.transfers > 0);
        let said = self.server.durability.as_deref();
        let promises = |mode: &&str| {
            let promise = busload_frontend::promise(mode);
            promise.is_none_or(|promise| promise.survives_power_cut != Some(false))
        };
        let why = match (unsynced, said.filter(|mode| !promises(mode))) {
            (Some(SyncCount { transfers, .. }), _) => format!(
                "the server synced 0 times (fsync, fdatasync) while it answered {} transfers: a \
                 power cut may lose them",
                grouped(transfers)
            ),
            (None, Some(mode)) => {
                format!("durability {mode}: a power cut may lose acknowledged transfers")
            }
            (None, None) => return None,
        };
        Some(format!(
            "{why}, and kills alone cannot show it: add power-cut to --faults"
        ))
    }

    /// Adds what crash states show.
    pub fn push_states(&mut self, states: CrashStates) {
        for finding in states.findings() {
            self.find(finding);
        }
        self.crash_states = Some(states);
    }

    /// Whether nothing was acknowledged that could have been lost.
    #[must_use]
    pub fn shows_nothing(&self) -> bool {
        self.counts.acknowledged == 0 && !self.has_states()
    }

    fn has_states(&self) -> bool {
        let states = self.crash_states.as_ref();
        states.is_some_and(|states| states.counts.states > 0)
    }

    /// Whether something was judged.
    #[must_use]
    pub fn has_judged(&self) -> bool {
        !self.cycles.is_empty() || self.has_states()
    }

    /// Adds what was found outside of a cycle.
    pub fn find(&mut self, finding: Finding) {
        self.valid &= !finding.fails;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.findings_not_listed += 1;
        }
    }
}
