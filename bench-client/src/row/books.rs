//! The books before and after the load, and what the row is judged by.

use busload_sqlite::Durability;
use busload_wire::control::{Info, Stats, Verification as OwnVerification};

use super::balances::seeded;
use super::locate::Location;
use crate::config::{ConfirmedReads, RunConfig};
use crate::control::{ControlClient, ControlError};
use crate::host::device::DeviceCounters;
use crate::host::process::ProcessUsage;
use crate::judge::{
    CheckedBalances, Evidence, OwnVerified, Seeding, ServerCounters, SyncEvidence,
    UNCONFIRMED_READS,
};
use crate::load::LoadResult;
use crate::record::AppliedBy;

/// What is known when the load is over.
pub(super) struct Closing {
    pub(super) books: Books,
    pub(super) checked: CheckedBalances,
}

/// What the ledger looked like at one moment.
pub(super) struct Books {
    stats: Option<Stats>,
    pub(super) usage: ProcessUsage,
    device: Option<DeviceCounters>,
}

impl Books {
    /// Reads them. Without verification the balances are left alone.
    pub(super) async fn read(
        config: &RunConfig,
        control: &mut ControlClient,
        location: &Location,
    ) -> Result<Self, ControlError> {
        let stats = control.stats(config.verification().is_some()).await?;
        let usage = location
            .pid
            .map_or_else(ProcessUsage::default, ProcessUsage::of_process);
        Ok(Self {
            stats,
            usage,
            device: location
                .directory
                .as_deref()
                .and_then(DeviceCounters::of_path),
        })
    }

    /// What the block device did between the two.
    pub(super) fn device_since(&self, opening: &Self) -> Option<DeviceCounters> {
        let (before, after) = opening.device.as_ref().zip(self.device.as_ref())?;
        Some(after.since(before))
    }
}

/// A server that is not ours verifies itself; ours has told its balances already.
pub(super) async fn own_verification(
    config: &RunConfig,
    control: &mut ControlClient,
    info: Option<&Info>,
    died: bool,
) -> Option<Result<OwnVerified, String>> {
    if config.verification().is_none() || info.is_some() || died {
        return None;
    }
    match control.verify().await {
        Ok(OwnVerification::Verified {
            accounts, changed, ..
        }) => Some(Ok(OwnVerified {
            accounts: accounts.parse().ok(),
            changed: changed.parse().unwrap_or(0),
        })),
        Ok(OwnVerification::Skipped { .. }) => None,
        Err(error) => Some(Err(error.to_string())),
    }
}

/// Gathers what the row is judged by.
pub(super) fn weigh(
    config: &RunConfig,
    result: &LoadResult,
    opening: &Books,
    closing: Option<&Closing>,
    info: Option<&Info>,
) -> Evidence {
    let (whole, counts) = (result.whole_run(), &result.window.counts);
    let mut evidence = Evidence {
        acknowledged: whole.committed,
        committed_in_window: counts.committed,
        not_committed_in_window: counts
            .rejected()
            .into_iter()
            .chain(counts.failed())
            .collect(),
        unknown: whole.unknown,
        unexpected_answers: result.unexpected_answers,
        contradictory_answers: result.contradictory_answers,
        must_differ: result.accounts.must_differ(),
        seeded: seeded(config).then(|| Seeding {
            accounts: u64::from(config.workload.accounts),
            balance: config.workload.initial_balance,
        }),
        durability: match config.confirmed_reads {
            Some(ConfirmedReads::Off) => Some(UNCONFIRMED_READS.to_owned()),
            Some(ConfirmedReads::On) | None => info.map(|info| info.durability.clone()),
        },
        not_verified: config.verification().is_none(),
        ..Evidence::default()
    };
    let Some(closing) = closing else {
        return evidence;
    };
    evidence.checked.clone_from(&closing.checked);
    let closing = &closing.books;
    if let (Some(before), Some(after)) = (&opening.stats, &closing.stats)
        && config.verification().is_some()
    {
        evidence.applied = Some(after.applied.saturating_sub(before.applied));
        if let (Some(before), Some(after)) = (&before.balances, &after.balances) {
            evidence.accounts = Some((before.accounts, after.accounts));
            evidence.totals = before.total.parse().ok().zip(after.total.parse().ok());
            evidence.lowest_balance = after.lowest.parse().ok();
            evidence.digests = Some((before.digest.clone(), after.digest.clone()));
        }
        let applied_by = AppliedBy::of(info.and_then(|info| info.apply.as_deref()));
        evidence.applied_by = Some(applied_by);
        evidence.counters = Some(Box::new(ServerCounters {
            before: before.clone(),
            after: after.clone(),
            batch_size: info.map(|info| info.batch_size),
            applied_by,
        }));
        evidence.syncs = Some(sync_evidence(before, after, opening, closing, info));
    }
    evidence
}

fn sync_evidence(
    before: &Stats,
    after: &Stats,
    opening: &Books,
    closing: &Books,
    info: Option<&Info>,
) -> SyncEvidence {
    let declared = info.and_then(|info| info.durability.parse::<Durability>().ok());
    let promises_sync = declared.is_some_and(Durability::syncs_at_commit);
    let device = closing.device_since(opening);
    let storage = |books: &Books| books.usage.written.map(|written| written.to_storage);
    SyncEvidence {
        syncs_promised_per_batch: u64::from(promises_sync),
        batches_that_wrote: after
            .batches_that_wrote
            .saturating_sub(before.batches_that_wrote),
        commit_syncs: after.commit_syncs.saturating_sub(before.commit_syncs),
        bytes_written: after
            .bytes_written
            .total()
            .saturating_sub(before.bytes_written.total()),
        storage_bytes: storage(closing)
            .zip(storage(opening))
            .map(|(a, b)| a.saturating_sub(b)),
        device_flushes: device.as_ref().and_then(|device| device.flushes),
        device_bytes: device.map(|device| device.bytes_written),
        page_bytes: info.and_then(Info::page_bytes).map_or(4096, u64::from),
        sync_p50_us: None,
    }
}
