//! What the disk allows: the most transfers per second that could be made durable if everything
//! but the syncs were free.

use busload_sqlite::Durability;
use busload_sqlite::probe::SyncsPerCommit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Baseline, Method, Pattern};
use crate::statistics::Estimate;

/// How this program's servers sync (`servers/sqlite/src/vfs/data_sync.rs`).
const SQLITE_METHOD: Method = Method::Fdatasync;

/// The ceilings of one directory, with the sync times they are built on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ceilings {
    /// The method whose latencies are used: the one by which SQLite syncs.
    pub method: Method,
    /// Mean latency of a sync of newly allocated space (pattern `append`), in microseconds.
    pub append_us: f64,
    /// Mean latency of a sync of space in use (pattern `overwrite`), in microseconds.
    pub overwrite_us: f64,
    /// The method's times are not those of syncs, so that no ceiling follows from them.
    #[serde(default)]
    pub withheld: bool,
    /// One entry for each durability mode and number of transfers per commit.
    pub rows: Vec<Ceiling>,
}

/// The most that one durability mode can do on this disk, with so many transfers per commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ceiling {
    /// The durability mode, as on the command line.
    pub durability: String,
    /// How many transfers share a commit.
    pub transfers_per_commit: u32,
    /// Syncs that one commit makes, as counted.
    pub syncs_per_commit: f64,
    /// Those of them that cost as much as appending: a journal newly created, or its removal.
    pub append_syncs_per_commit: f64,
    /// What these syncs take together, in microseconds: of the median round, where there are rounds.
    pub sync_us_per_commit: f64,
    /// Transfers per second, or nothing when the mode makes no syncs at a commit, or when
    /// ceilings are withheld.
    pub tps: Option<f64>,
    /// The interval of the ceiling's median over rounds; absent where syncs were measured in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tps_interval: Option<Estimate>,
}

impl Ceilings {
    /// The sync times that ceilings are built on, and no ceilings yet; nothing when the baseline
    /// lacks the method by which SQLite syncs.
    #[must_use]
    pub fn new(baseline: &Baseline) -> Option<Self> {
        let mean_us = |pattern| {
            baseline
                .find(SQLITE_METHOD, pattern)
                .map(|entry| entry.latency_us.mean)
        };
        Some(Self {
            method: SQLITE_METHOD,
            append_us: mean_us(Pattern::Append)?,
            overwrite_us: mean_us(Pattern::Overwrite)?,
            withheld: baseline.is_doubtful(SQLITE_METHOD),
            rows: Vec::new(),
        })
    }

    /// The ceiling of one durability mode, whose syncs were counted, with so many transfers per
    /// commit. Does not add it to the rows.
    #[must_use]
    pub fn ceiling(
        &self,
        durability: Durability,
        syncs: &SyncsPerCommit,
        transfers_per_commit: u32,
    ) -> Ceiling {
        let (total, appending) = (syncs.total(), syncs.appending());
        let sync_us = appending * self.append_us + (total - appending) * self.overwrite_us;
        Ceiling {
            durability: durability.to_string(),
            transfers_per_commit,
            syncs_per_commit: total,
            append_syncs_per_commit: appending,
            sync_us_per_commit: sync_us,
            tps: (sync_us > 0.0 && !self.withheld)
                .then(|| f64::from(transfers_per_commit) * 1e6 / sync_us),
            tps_interval: None,
        }
    }
}

impl Ceiling {
    /// The same with its interval over rounds: of each what a sync that appends takes and one
    /// that overwrites, in microseconds. The ceiling is then the median.
    #[must_use]
    pub fn over_rounds(mut self, rounds: &[(f64, f64)]) -> Self {
        let appending = self.append_syncs_per_commit;
        let overwriting = self.syncs_per_commit - appending;
        let transfers = f64::from(self.transfers_per_commit);
        let tps = |(append, overwrite): &(f64, f64)| {
            transfers * 1e6 / (appending * append + overwriting * overwrite)
        };
        let each: Vec<f64> = rounds.iter().map(tps).collect();
        if self.tps.is_some() {
            self.tps_interval = Estimate::of(&each);
            self.tps = self.tps_interval.map(|found| found.median);
            // What makes these TPS.
            self.sync_us_per_commit = self.tps.map_or(0.0, |tps| transfers * 1e6 / tps);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LatencyUs, SyncMeasurement};
    use super::*;

    fn baseline() -> Baseline {
        let entry = |pattern, mean| SyncMeasurement {
            method: Method::Fdatasync,
            pattern,
            count: 1,
            latency_us: LatencyUs {
                min: mean,
                mean,
                p50: Some(mean),
                p99: Some(mean),
                max: mean,
            },
            syncs_per_second: 1e6 / mean,
            round_p50_us: Vec::new(),
        };
        Baseline {
            block_bytes: 4096,
            methods: vec![
                entry(Pattern::Append, 500.0),
                entry(Pattern::Overwrite, 250.0),
            ],
            by_c_library: None,
        }
    }

    const DELETE: SyncsPerCommit = SyncsPerCommit {
        commits: 2,
        database: 2,
        wal: 0,
        journal: 4,
        directory: 2,
        other: 0,
    };
    const WAL: SyncsPerCommit = SyncsPerCommit {
        commits: 2,
        database: 0,
        wal: 2,
        journal: 0,
        directory: 0,
        other: 0,
    };
    const NONE: SyncsPerCommit = SyncsPerCommit {
        commits: 2,
        database: 0,
        wal: 0,
        journal: 0,
        directory: 0,
        other: 0,
    };

    fn tps(durability: Durability, syncs: &SyncsPerCommit, transfers: u32) -> Option<f64> {
        Ceilings::new(&baseline())
            .unwrap()
            .ceiling(durability, syncs, transfers)
            .tps
    }

    #[test]
    fn a_rollback_journal_appends_once_and_overwrites_three_times() {
        // 500 + 3 × 250 us.
        assert_eq!(tps(Durability::DeleteFull, &DELETE, 1), Some(800.0));
    }

    #[test]
    fn the_synced_removal_of_a_rollback_journal_appends_once_more() {
        let extra = SyncsPerCommit {
            directory: 4,
            ..DELETE
        };
        // 2 × 500 + 3 × 250 us.
        assert_eq!(tps(Durability::DeleteExtra, &extra, 7), Some(4_000.0));
    }

    #[test]
    fn a_write_ahead_log_overwrites_once_for_the_whole_batch() {
        assert_eq!(tps(Durability::WalFull, &WAL, 1), Some(4_000.0));
        assert_eq!(tps(Durability::WalFull, &WAL, 1_000), Some(4_000_000.0));
    }

    #[test]
    fn no_sync_no_ceiling() {
        assert_eq!(tps(Durability::WalNormal, &NONE, 1), None);
    }

    #[test]
    fn no_ceiling_follows_from_what_is_no_sync() {
        let mut instant = baseline();
        for entry in &mut instant.methods {
            entry.count = 200;
            entry.latency_us.p50 = Some(0.6);
        }
        let ceilings = Ceilings::new(&instant).unwrap();
        assert!(ceilings.withheld);
        assert_eq!(ceilings.ceiling(Durability::WalFull, &WAL, 1000).tps, None);
    }

    #[test]
    fn a_baseline_without_the_method_of_sqlite_gives_no_ceilings() {
        assert_eq!(
            Ceilings::new(&Baseline {
                block_bytes: 4096,
                methods: vec![],
                by_c_library: None,
            }),
            None
        );
    }
}
