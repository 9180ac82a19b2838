//! What things cost: this project's servers as recorded, and any row as it was measured.

use super::pipelined::{PipelinedCosts, WireCosts, pages};
use super::{Costs, ModelInputs};
use crate::record::{Row, Spread};
use crate::statistics::SPEED_SAMPLES_MIN;

/// Syncs of a commit that changes something, by durability mode: counted by `bench-client
/// fsync`, four with a rollback journal on Linux (journal twice, directory, database), one of
/// them at the cost of an append.
const DELETE_FULL_SYNCS: f64 = 4.0;
const DELETE_FULL_APPENDS: f64 = 1.0;

/// The directory is synced once more, after the journal was removed: likewise an append.
const DELETE_EXTRA_SYNCS: f64 = 5.0;
const DELETE_EXTRA_APPENDS: f64 = 2.0;

/// What one message over a transport costs each side, in microseconds of CPU.
struct MessageCosts {
    server_us: f64,
    client_us: f64,
}

impl MessageCosts {
    fn of(transport: &str) -> Self {
        let (server_us, client_us) = if transport == "http" {
            // A request of its own per transfer: docs/methodology-evidence.md, "What limits HTTP".
            (11.0, 11.0)
        } else {
            (9.3, 7.3)
        };
        Self {
            server_us,
            client_us,
        }
    }
}

impl PipelinedCosts {
    /// What this project's servers cost on the machine of
    /// `results/2026-11-21-vm-2core/reproduce.json`: fitted by hand to the stages and the CPU
    /// of its rows, two virtual cores of an AMD EPYC, JSON. `sync_us` is all syncs of a
    /// commit; 0 for a server that makes none, which then pays nothing for pages there.
    /// `per_message` is how many transfers one message carries; over HTTP it is always one.
    #[must_use]
    pub fn reference(transport: &str, durability: &str, sync_us: f64, per_message: f64) -> Self {
        let message = MessageCosts::of(transport);
        let per_message = if transport == "http" {
            1.0
        } else {
            per_message.max(1.0)
        };
        Self {
            sync_us,
            sync_us_per_page: if sync_us > 0.0 { 8.0 } else { 0.0 },
            // A rollback journal is made, written and removed for each commit.
            writer_us_per_batch: if matches!(durability, "delete-full" | "delete-extra") {
                210.0
            } else {
                16.5
            },
            writer_us_per_page: 3.5,
            writer_us_per_transfer: 0.61,
            transport: WireCosts {
                per_transfer_us: 0.42 + message.server_us / per_message,
                per_wake_us: 60.0,
                threads: 1,
            },
            client: WireCosts {
                per_transfer_us: 0.45 + message.client_us / per_message,
                per_wake_us: 8.0,
                threads: 1,
            },
            hops_us: 60.0,
            cores: None,
        }
    }

    /// Syncs that one commit makes under a durability mode.
    #[must_use]
    pub fn syncs_per_commit(durability: &str) -> f64 {
        match durability {
            "delete-full" => DELETE_FULL_SYNCS,
            "delete-extra" => DELETE_EXTRA_SYNCS,
            "wal-full" => 1.0,
            _ => 0.0,
        }
    }

    /// Those of [`syncs_per_commit`](Self::syncs_per_commit) that cost as much as appending to
    /// a file; the others cost as much as overwriting.
    #[must_use]
    pub fn appending_syncs_per_commit(durability: &str) -> f64 {
        match durability {
            "delete-full" => DELETE_FULL_APPENDS,
            "delete-extra" => DELETE_EXTRA_APPENDS,
            _ => 0.0,
        }
    }
}

impl ModelInputs {
    /// The costs of a recorded row, with its knobs; `cores` are those that client and server
    /// shared, `None` when they ran on machines of their own.
    ///
    /// A row gives one figure per stage, the sum of what depends on the batch and what does
    /// not. It is split in the proportions of [`PipelinedCosts::reference`] at the batches
    /// that it was measured at: the proportions are assumed, the sum is the row's.
    ///
    /// `None` for a row of a server that does not tell its stages, or whose CPU is not known, and
    /// for one of so few transfers that nothing is said of their speed.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn from_row(row: &Row, cores: Option<u32>) -> Option<Self> {
        let server = row.server.as_ref()?;
        let (apply, commit) = (server.apply_us?, server.commit_us?);
        let (client_s, server_s) = (row.cpu.client_s?, row.cpu.server_s?);
        let batch_size = row.batch_size?;
        if row.committed < SPEED_SAMPLES_MIN || server.commits == 0 || server.mean_batch < 1.0 {
            return None;
        }
        let batch = server.mean_batch;
        let committed = row.committed as f64;
        let mean = |spread: Option<Spread>| spread.map_or(0.0, |spread| spread.mean);
        let wrote = server.commits_that_wrote.max(1) as f64;
        let sync = mean(server.sync_us) * server.commit_syncs? as f64 / wrote;
        let per_message = (row.config.load.max_inflight_per_worker as f64).min(batch_size as f64);
        let mut costs = PipelinedCosts::reference(
            &row.transport,
            &row.durability,
            REFERENCE_SYNC_US,
            per_message,
        );
        let pages = pages(batch);

        let scale = sync / (costs.sync_us + costs.sync_us_per_page * pages);
        costs.sync_us *= scale;
        costs.sync_us_per_page *= scale;

        // Between batches the writer also moves the log into the database.
        let stalled_ms = server.checkpoint_stalled_ms.or(server.checkpoint_ms)?;
        let checkpoint = stalled_ms * 1e3 / server.commits as f64;
        let cpu = (apply.mean + commit.mean - sync).max(0.0);
        let assumed = costs.writer_us_per_batch
            + costs.writer_us_per_page * pages
            + costs.writer_us_per_transfer * batch;
        let scale = (cpu + mean(server.answer_us) + checkpoint) / assumed;
        costs.writer_us_per_batch *= scale;
        costs.writer_us_per_page *= scale;
        costs.writer_us_per_transfer *= scale;

        let transport_us = (server_s * 1e6 / committed - cpu / batch).max(0.0);
        costs.transport = scaled(costs.transport, transport_us, batch);
        costs.client = scaled(costs.client, client_s * 1e6 / committed, batch);
        costs.client.threads = u32::try_from(row.config.load.threads).unwrap_or(u32::MAX);
        costs.cores = cores;
        Some(Self {
            concurrency: row.config.load.concurrency,
            max_inflight_per_worker: row.config.load.max_inflight_per_worker,
            batch_size,
            batch_timeout_us: row.batch_timeout_us.unwrap_or(0.0),
            offered_tps: row.open_loop.as_ref().map(|open| open.offered_tps),
            costs: Costs::Pipelined(costs),
        })
    }
}

/// The sync of a small commit where the proportions were fitted.
const REFERENCE_SYNC_US: f64 = 80.0;

fn scaled(wire: WireCosts, measured_us: f64, batch: f64) -> WireCosts {
    let scale = measured_us / (wire.per_transfer_us + wire.per_wake_us / batch);
    WireCosts {
        per_transfer_us: wire.per_transfer_us * scale,
        per_wake_us: wire.per_wake_us * scale,
        ..wire
    }
}
