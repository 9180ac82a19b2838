//! Loads on the null server, which answers without a database: what the generator and the wire
//! can do at best, and what the wire takes of a transfer.

use std::time::{Duration, Instant};

use busload_frontend::cli::ServerConfig;
use busload_wire::control::Stats;

use super::collect;
use super::counters::WindowSamples;
use super::drive::{self, Watched};
use super::{Progress, RowError, Surroundings, TpsSoFar, connect, or_interrupt, zipf};
use crate::config::{Measure, RunConfig, Shard};
use crate::control::ControlClient;
use crate::observation::PacedNullServer;
use crate::target::{Pauses, ServerProcess, ServerSpec};

/// Load before a measurement on the null server, which has nothing to warm up but sockets.
const WARMUP: Duration = Duration::from_millis(300);
/// Longest measurement on the null server.
const WINDOW_MAX: Duration = Duration::from_secs(1);
/// Shortest, for rows that are short themselves.
const WINDOW_MIN: Duration = Duration::from_millis(200);
/// Transfers in flight per worker that are enough to find the ceiling of an open loop.
const CEILING_INFLIGHT: usize = 128;

/// What the server's writer took for a transfer and for a batch in the window.
pub(super) fn pauses(samples: &WindowSamples) -> Option<Pauses> {
    let (before, after) = samples.stats()?;
    let sum = |of: fn(&Stats) -> u64| of(after).saturating_sub(of(before));
    let transfers = sum(|stats| stats.stages.batch_size.sum);
    let batches = sum(|stats| stats.stages.batch_size.count);
    let sync = sum(|stats| stats.stages.sync_ns.sum);
    let commit_write = sum(|stats| stats.stages.commit_ns.sum).saturating_sub(sync);
    let apply = sum(|stats| stats.stages.apply_ns.sum);
    (transfers > 0 && batches > 0).then(|| Pauses {
        // Writing pages keeps a processor busy like applying does.
        apply: Duration::from_nanos((apply + commit_write) / transfers),
        sync: Duration::from_nanos(sync / batches),
    })
}

/// Nothing of a load on the null server is worth a line.
struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &str) {}
    fn load(&self, _: &str, _: Duration, _: TpsSoFar) {}
}

/// TPS of this machine's part of the load, as a closed loop, on a server without a database. `None` when it could
/// not be measured.
pub(super) async fn ceiling(
    config: &RunConfig,
    shard: Shard,
    around: &Surroundings<'_>,
) -> Option<f64> {
    // The batch knobs are the server's: one that waits for passengers is not the generator's
    // limit. Without them it takes whatever waits.
    let server = ServerConfig {
        io_threads: config.null_server()?.io_threads,
        ..ServerConfig::default()
    };
    around
        .progress
        .stage("finding the ceiling of the generator");
    let mut closed = short(config);
    if closed.load.rate.take().is_some() {
        (closed.load.arrival, closed.load.latency_limit) = (None, None);
        let inflight = &mut closed.load.max_inflight_per_worker;
        *inflight = CEILING_INFLIGHT.min(*inflight);
    }
    let pauses = Pauses::default();
    let watched = Box::pin(on_null_server(&closed, shard, &server, around, pauses))
        .await
        .ok()??;
    let tps = collect::load(watched).tps();
    (tps > 0.0).then_some(tps)
}

/// The same load on a null server that takes as long as the real one did: what that server does
/// not account for is the wire.
pub(super) async fn paced(
    config: &RunConfig,
    around: &Surroundings<'_>,
    pauses: Pauses,
) -> Option<PacedNullServer> {
    let server = config.null_server()?;
    around.progress.stage("finding what the wire takes");
    let (short, whole) = (short(config), Shard::WHOLE);
    let watched = Box::pin(on_null_server(&short, whole, &server, around, pauses))
        .await
        .ok()??;
    let counters = watched.samples.as_ref()?.counters();
    let (mean_us, queue_us) = collect::load(watched).mean_and_queue_us();
    Some(PacedNullServer {
        mean_us,
        queue_us,
        before: counters.before?,
        after: counters.after?,
    })
}

/// The same load for a shorter time, without a time series.
fn short(config: &RunConfig) -> RunConfig {
    let mut short = config.clone();
    let load = &mut short.load;
    load.window = Some(match load.measure() {
        Measure::For(window) => (window / 5).clamp(WINDOW_MIN, WINDOW_MAX),
        Measure::Transfers(_) => WINDOW_MAX,
    });
    load.transfers = None;
    load.warmup = load.warmup.min(WARMUP);
    load.no_intervals = true;
    short
}

async fn on_null_server(
    config: &RunConfig,
    shard: Shard,
    server: &ServerConfig,
    around: &Surroundings<'_>,
    pauses: Pauses,
) -> Result<Option<Watched>, RowError> {
    let spec = ServerSpec::null(config, server, pauses)?;
    let starting = ServerProcess::start(&spec);
    let server = or_interrupt(&around.interrupted, starting)
        .await
        .ok_or(RowError::Interrupted)??;
    let endpoint = server.target().clone();
    let pid = Some(server.pid());
    let mut server = Some(server);
    let watched = async {
        let connecting = connect(config, shard, zipf(config)?, endpoint.clone());
        let load = or_interrupt(&around.interrupted, connecting)
            .await
            .ok_or(RowError::Interrupted)??;
        let silent = Surroundings {
            interrupted: around.interrupted.clone(),
            progress: &Silent,
            environment: around.environment,
        };
        let mut control = ControlClient::new(config.connector, endpoint);
        drive::drive(
            &silent,
            load,
            Instant::now(),
            &mut control,
            &mut server,
            pid,
        )
        .await
    }
    .await;
    if let Some(server) = server {
        // Nothing of it is worth keeping, whatever it ended with.
        let _ = server.stop().await;
    }
    watched.map(Some)
}
