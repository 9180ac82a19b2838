//! The fake check: could the answers have been durable as declared?

use crate::figures::grouped;

/// Syncs and bytes over the whole run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SyncEvidence {
    /// Syncs that the declared durability needs per batch that wrote, at least: 1 when its
    /// COMMIT syncs, whether or not that is enough for a power cut, else 0.
    pub(super) syncs_promised_per_batch: u64,
    /// Batches in which SQLite reported a changed row.
    pub batches_that_wrote: u64,
    /// Syncs counted inside COMMITs; `None` of a server that cannot count them.
    pub(super) commit_syncs: Option<u64>,
    /// Bytes that SQLite wrote; `None` of a server that cannot count them.
    pub(super) bytes_written: Option<u64>,
    /// Bytes that the process caused to be written to storage, from outside; `None` where
    /// the operating system does not tell or the file system has no storage below it.
    pub(super) storage_bytes: Option<u64>,
    /// Bytes that the block device below the database wrote meanwhile, for everybody; `None`
    /// where there is no such device to ask.
    pub(super) device_bytes: Option<u64>,
    /// Flushes that the disks below the database completed meanwhile, for everybody; `None` where
    /// a sync need not flush or nothing counts them.
    pub(super) device_flushes: Option<u64>,
    /// Size of a database page: the least that a batch that wrote must write.
    pub(super) page_bytes: u64,
    /// Median sync at COMMIT, in microseconds.
    pub(super) sync_p50_us: Option<f64>,
}

/// Every reason why the answers cannot have been durable as declared; empty is good.
#[must_use]
pub(super) fn fake_reasons(
    acknowledged: u64,
    applied: Option<u64>,
    syncs: &SyncEvidence,
) -> Vec<String> {
    let mut reasons = Vec::new();
    if acknowledged == 0 {
        return reasons;
    }
    if applied == Some(0) {
        reasons.push(format!(
            "{} transfers acknowledged and not one row changed",
            grouped(acknowledged)
        ));
    }
    if syncs.batches_that_wrote == 0 {
        reasons.push("transfers acknowledged and no batch wrote anything".to_owned());
    }
    let promised = syncs.batches_that_wrote.max(1) * syncs.syncs_promised_per_batch;
    if let Some(commit_syncs) = syncs.commit_syncs
        && commit_syncs < promised
    {
        reasons.push(format!(
            "{} syncs at commit, the declared durability needs at least {}",
            grouped(commit_syncs),
            grouped(promised)
        ));
    }
    if syncs.bytes_written == Some(0) {
        reasons.push("transfers acknowledged and not one byte written to the database".to_owned());
    }
    // Half, so that the kernel's rounding of its accounting cannot accuse an honest server.
    let least = syncs.batches_that_wrote * syncs.page_bytes / 2;
    if syncs.syncs_promised_per_batch > 0
        && let Some(storage) = syncs.storage_bytes
        && storage < least
    {
        reasons.push(format!(
            "the process wrote {} bytes to storage, its batches need at least {}",
            grouped(storage),
            grouped(least)
        ));
    }
    // Others may write to the device as well, so that too little proves something and enough
    // proves nothing.
    if syncs.syncs_promised_per_batch > 0
        && let Some(device) = syncs.device_bytes
        && device < least
    {
        reasons.push(format!(
            "the block device wrote {} bytes in all, the batches need at least {}",
            grouped(device),
            grouped(least)
        ));
    }
    reasons
}
