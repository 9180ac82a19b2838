//! What things cost: this project's servers as recorded, and any row as it was measured.

use busload_engine::Apply;

use super::pipelined::{PipelinedCosts, WireCosts};
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
            sync_us_per_page: Self::sync_us_per_page_at(sync_us),
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
            is_database_elsewhere: false,
            hops_us: 60.0,
            cores: None,
        }
    }

    /// The same on a ledger in PostgreSQL, fitted by hand to the time of its batches in
    /// `results/2026-11-30-vm-2core/postgres.json`: round trips, statements, sync and all. A batch
    /// that is applied coalesced costs by the rows that it touches, else by its transfers.
    #[must_use]
    fn on_postgres(transport: &str, is_coalesced: bool, per_message: f64) -> Self {
        let (shared, page, each) = if is_coalesced {
            (300.0, 60.0, 0.0)
        } else {
            (120.0, 0.0, 47.0)
        };
        Self {
            sync_us: shared,
            sync_us_per_page: page,
            writer_us_per_batch: 0.0,
            writer_us_per_page: 0.0,
            writer_us_per_transfer: each,
            is_database_elsewhere: true,
            ..Self::reference(transport, "", 0.0, per_message)
        }
    }

    /// Has the writer take so much longer or shorter, in the same proportions.
    fn scale_writer(&mut self, sync: f64, work: f64) {
        self.sync_us *= sync;
        self.sync_us_per_page *= sync;
        self.writer_us_per_batch *= work;
        self.writer_us_per_page *= work;
        self.writer_us_per_transfer *= work;
    }

    /// The same where a message carries `to` transfers and not `from`: its cost is shared by as many.
    #[must_use]
    pub fn with_messages(self, transport: &str, from: f64, to: f64) -> Self {
        let [from, to] = [from, to].map(|count| Self::reference(transport, "", 0.0, count));
        let shared = |own: WireCosts, from: WireCosts, to: WireCosts| WireCosts {
            per_transfer_us: own.per_transfer_us * to.per_transfer_us / from.per_transfer_us,
            ..own
        };
        Self {
            transport: shared(self.transport, from.transport, to.transport),
            client: shared(self.client, from.client, to.client),
            ..self
        }
    }

    /// What each page adds to the sync of a commit where the proportions were fitted; nothing
    /// without syncs.
    #[must_use]
    pub fn sync_us_per_page_at(sync_us: f64) -> f64 {
        if sync_us > 0.0 { 8.0 } else { 0.0 }
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
    /// Of a ledger in a database that is another process the two stages are one sum: what that
    /// syncs meanwhile is not told. The server's CPU is its transport's then.
    ///
    /// `None` for a row of a server that does not tell its stages, or whose CPU is not known, that
    /// has several writers, and for one of so few transfers that nothing is said of their speed.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn from_row(row: &Row, cores: Option<u32>) -> Option<Self> {
        let server = row.server.as_ref()?;
        let (apply, commit) = (server.apply_us?, server.commit_us?);
        let (client_s, server_s) = (row.cpu.client_s?, row.cpu.server_s?);
        let batch_size = row.batch_size?;
        let has_several = server.writers.is_some_and(|writers| writers > 1);
        let is_too_little = row.committed < SPEED_SAMPLES_MIN || server.commits == 0;
        if is_too_little || server.mean_batch < 1.0 || has_several {
            return None;
        }
        let batch = server.mean_batch;
        let committed = row.committed as f64;
        let mean = |spread: Option<Spread>| spread.map_or(0.0, |spread| spread.mean);
        let per_message = (row.config.load.max_inflight_per_worker as f64).min(batch_size as f64);
        let answer = mean(server.answer_us);
        let engine = server.engine.as_ref();
        let is_elsewhere = engine.is_some_and(|engine| engine.name == busload_postgres::NAME);
        let (mut costs, cpu) = if is_elsewhere {
            let is_coalesced = row.apply.as_deref() == Some(Apply::Coalesced.as_str());
            let mut costs = PipelinedCosts::on_postgres(&row.transport, is_coalesced, per_message);
            let scale = (apply.mean + commit.mean + answer) / costs.service(batch);
            costs.scale_writer(scale, scale);
            (costs, 0.0)
        } else {
            let mut costs = PipelinedCosts::reference(
                &row.transport,
                &row.durability,
                REFERENCE_SYNC_US,
                per_message,
            );
            let wrote = server.commits_that_wrote.max(1) as f64;
            let sync = mean(server.sync_us) * server.commit_syncs? as f64 / wrote;
            // Between batches the writer also moves the log into the database.
            let stalled_ms = server.checkpoint_stalled_ms.or(server.checkpoint_ms)?;
            let checkpoint = stalled_ms * 1e3 / server.commits as f64;
            let cpu = (apply.mean + commit.mean - sync).max(0.0);
            let work = cpu + answer + checkpoint;
            costs.scale_writer(sync / costs.sync(batch), work / costs.work(batch));
            (costs, cpu)
        };

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

#[cfg(test)]
mod tests {
    #![allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "small counts"
    )]

    use std::collections::BTreeMap;

    use super::*;
    use crate::judge::model::{held_against, predict};
    use crate::record::fixtures::row;
    use crate::record::{Bottleneck, Engine};

    /// What a server on PostgreSQL did in 3 s with 50 workers: transfers in flight per worker, TPS,
    /// mean batch, microseconds of a batch applied, committed and answered, seconds of client and
    /// server.
    type Seen = (usize, f64, f64, [f64; 3], [f64; 2]);

    fn on_postgres(apply: Apply, seen: Seen) -> Row {
        let (inflight, tps, batch, [applied, committed, answered], [client_s, server_s]) = seen;
        let mut row = row();
        (row.tps, row.seconds, row.committed) = (tps, 3.0, (tps * 3.0) as u64);
        row.apply = Some(apply.as_str().to_owned());
        (row.batch_size, row.batch_timeout_us) = (Some(4096), Some(0.0));
        row.config.load.max_inflight_per_worker = inflight;
        (row.cpu.client_s, row.cpu.server_s) = (Some(client_s), Some(server_s));
        row.budget = None;
        let server = row.server.as_mut().unwrap();
        let other = server.apply_us.unwrap();
        let spread = |mean| Some(Spread { mean, ..other });
        (server.apply_us, server.commit_us) = (spread(applied), spread(committed));
        (server.answer_us, server.sync_us) = (spread(answered), None);
        (server.mean_batch, server.commit_syncs) = (batch, None);
        (server.checkpoint_ms, server.checkpoint_stalled_ms) = (None, None);
        server.engine = Some(Engine {
            name: busload_postgres::NAME.to_owned(),
            version: "15".to_owned(),
            settings: BTreeMap::new(),
        });
        row
    }

    /// With the costs that were fitted, and nothing of the row.
    fn fitted(apply: Apply, inflight: usize) -> f64 {
        let per_message = inflight as f64;
        let is_coalesced = apply == Apply::Coalesced;
        let inputs = ModelInputs {
            concurrency: 50,
            max_inflight_per_worker: inflight,
            batch_size: 4096,
            batch_timeout_us: 0.0,
            offered_tps: None,
            costs: Costs::Pipelined(PipelinedCosts {
                cores: Some(2),
                ..PipelinedCosts::on_postgres("ws", is_coalesced, per_message)
            }),
        };
        predict(&inputs).tps
    }

    /// Rows of `results/2026-11-30-vm-2core/postgres.json`, which the costs were fitted to.
    #[test]
    fn a_ledger_that_is_waited_for_is_met_within_a_fifth() {
        use Apply::{Coalesced, PerTransfer};
        let rows: [(Apply, Seen); 6] = [
            (
                Coalesced,
                (1, 50_329.0, 25.0, [253.0, 219.0, 9.0], [0.93, 1.49]),
            ),
            (
                Coalesced,
                (8, 198_221.0, 204.0, [540.0, 466.0, 8.0], [0.64, 0.89]),
            ),
            (
                Coalesced,
                (
                    40,
                    449_226.0,
                    1_015.0,
                    [1_045.0, 1_114.0, 53.0],
                    [0.61, 0.73],
                ),
            ),
            (
                Coalesced,
                (
                    120,
                    808_560.0,
                    2_994.0,
                    [1_801.0, 1_877.0, 8.0],
                    [0.69, 1.04],
                ),
            ),
            (
                PerTransfer,
                (1, 19_310.0, 25.0, [1_153.0, 123.0, 10.0], [0.36, 1.02]),
            ),
            (
                PerTransfer,
                (8, 18_912.0, 203.0, [10_441.0, 274.0, 31.0], [0.10, 0.75]),
            ),
        ];
        for (apply, seen) in rows {
            let row = on_postgres(apply, seen);
            let predicted = predict(&ModelInputs::from_row(&row, Some(2)).unwrap());
            let error = predicted.tps / row.tps - 1.0;
            let of_fit = fitted(apply, seen.0) / row.tps - 1.0;
            eprintln!("{apply} 50×{}: {error:+.2}, as fitted {of_fit:+.2}", seen.0);
            assert!(
                error.abs() < 0.2 && of_fit.abs() < 0.3,
                "{apply} {seen:?}: {predicted:?}"
            );
            // Its sync, work and way are one: none is named alone.
            assert_eq!(predicted.bottleneck, Some(Bottleneck::Database), "{seen:?}");
            let others = [Bottleneck::DiskSync, Bottleneck::WriterCpu];
            let mut limits = predicted.limits.iter();
            assert!(!limits.any(|limit| others.contains(&limit.bottleneck)));
            let remedy = predicted.remedy.clone().unwrap();
            let is_each = remedy.contains("--apply coalesced");
            assert_eq!(is_each, apply == PerTransfer, "{remedy}");
            assert!(held_against(predicted, &row, Some(2)).refuted.is_empty());
        }
    }

    /// Several writers are no one writer.
    #[test]
    fn several_writers_have_no_prediction() {
        let seen = (1, 50_329.0, 25.0, [253.0, 219.0, 9.0], [0.93, 1.49]);
        let mut row = on_postgres(Apply::Coalesced, seen);
        row.server.as_mut().unwrap().writers = Some(16);
        assert_eq!(ModelInputs::from_row(&row, Some(2)), None);
    }
}
