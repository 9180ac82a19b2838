//! The books before and after the load, and what the row is judged by.

use busload_engine::Durability;
use busload_wire::control::{Info, Stats, Verification as OwnVerification};

use super::RowPlan;
use super::locate::Location;
use crate::control::{ControlClient, ControlError};
use crate::judge::{Evidence, Sample, SyncEvidence};
use crate::load::LoadResult;
use crate::report::device::DeviceCounters;
use crate::report::process::ProcessUsage;

/// What the ledger looked like at one moment.
pub(super) struct Books {
    stats: Option<Stats>,
    samples: Vec<i64>,
    pub(super) usage: ProcessUsage,
    device: Option<DeviceCounters>,
}

impl Books {
    /// Reads them. Without verification the balances are left alone.
    pub(super) async fn read(
        plan: &RowPlan,
        control: &mut ControlClient,
        accounts: &[u32],
        location: &Location,
    ) -> Result<Self, ControlError> {
        let stats = control.stats(plan.verify).await?;
        let mut samples = Vec::new();
        if plan.verify {
            samples.reserve(accounts.len());
            for account in accounts {
                samples.push(control.balance(i64::from(*account)).await?.unwrap_or(0));
            }
        }
        let usage = location
            .pid
            .map_or_else(ProcessUsage::default, ProcessUsage::of_process);
        Ok(Self {
            stats,
            samples,
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
    plan: &RowPlan,
    control: &mut ControlClient,
    info: Option<&Info>,
    died: bool,
) -> Option<Result<u64, String>> {
    if !plan.verify || info.is_some() || died {
        return None;
    }
    match control.verify().await {
        Ok(OwnVerification::Verified { changed, .. }) => Some(Ok(changed.parse().unwrap_or(0))),
        Ok(OwnVerification::Skipped { .. }) => None,
        Err(error) => Some(Err(error.to_string())),
    }
}

/// Gathers what the row is judged by.
pub(super) fn weigh(
    plan: &RowPlan,
    result: &LoadResult,
    accounts: &[u32],
    opening: &Books,
    closing: Option<&Books>,
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
        amount: plan.amount.unsigned_abs(),
        unexpected_answers: result.unexpected_answers,
        durability: info.map(|info| info.durability.clone()),
        not_verified: !plan.verify,
        ..Evidence::default()
    };
    let Some(closing) = closing else {
        return evidence;
    };
    let samples = opening
        .samples
        .iter()
        .zip(&closing.samples)
        .zip(&result.deltas);
    evidence.samples = accounts
        .iter()
        .zip(samples)
        .map(
            |(&account, ((&before, &after), &(_, acknowledged_delta)))| Sample {
                account,
                before,
                after,
                acknowledged_delta,
            },
        )
        .collect();
    if let (Some(before), Some(after)) = (&opening.stats, &closing.stats)
        && plan.verify
    {
        evidence.applied = Some(after.applied.saturating_sub(before.applied));
        if let (Some(before), Some(after)) = (&before.balances, &after.balances) {
            evidence.totals = before.total.parse().ok().zip(after.total.parse().ok());
            evidence.lowest_balance = after.lowest.parse().ok();
            evidence.digests = Some((before.digest.clone(), after.digest.clone()));
        }
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
    let page_size = info.and_then(|info| info.pragmas.get("page_size"));
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
        page_bytes: page_size.and_then(|size| size.parse().ok()).unwrap_or(4096),
        sync_p50_us: None,
    }
}
