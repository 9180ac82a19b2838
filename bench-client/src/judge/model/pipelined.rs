//! A writer thread beside transport and client threads: what the disk does overlaps with
//! reading and answering. This project's own servers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Expected, ModelInputs, highest_rate, limit};
use crate::record::{Bottleneck, Limit};

/// Predicted ÷ measured p50 − 1 on the ten durable rows of each of the two recordings,
/// `results/2026-11-21-vm-2core` and `-2` (`docs/model.md`, held by a test).
pub(super) const P50_ERROR: (f64, f64) = (-0.10, 0.17);

/// Closest that a rate is taken to a thread's limit: beyond it, queues have no end.
const NEARLY_ALL: f64 = 1.0 - 1e-6;

/// What one thread that moves messages costs, in microseconds of its CPU.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WireCosts {
    /// Per transfer, the share of its message included.
    pub per_transfer_us: f64,
    /// For each time it goes to sleep and is woken by a batch. A busy thread never sleeps.
    pub per_wake_us: f64,
    /// How many such threads share the work, from 1.
    pub threads: u32,
}

/// What the threads of client and server do, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PipelinedCosts {
    /// All syncs of one commit together, apart from what its pages add; 0 without syncs.
    pub sync_us: f64,
    /// What each page of the commit adds to that.
    pub sync_us_per_page: f64,
    /// The writer's time per batch: BEGIN, COMMIT, waking those who wait.
    pub writer_us_per_batch: f64,
    /// The writer's time per page of the commit, without the sync.
    pub writer_us_per_page: f64,
    /// The writer's time per transfer.
    pub writer_us_per_transfer: f64,
    /// The server's reading and answering.
    pub transport: WireCosts,
    /// The load generator.
    pub client: WireCosts,
    /// The ledger is another process's, which the writer waits for. What of its time is sync, work
    /// and round trip is not told: what grows with the transfers is the writer's, all else the
    /// sync's, and the two are one limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_database_elsewhere: bool,
    /// What a round trip takes besides CPU: threads that are woken, the kernel between them.
    pub hops_us: f64,
    /// Cores that client and server share; absent when each thread has its own.
    pub cores: Option<u32>,
}

/// Distinct database pages that a batch writes. Fitted to the bytes that the batched rows of
/// `results/2026-11-21-vm-2core/reproduce.json` wrote per commit, 1 to 3,178 transfers each:
/// alpha 1.5 and 100,000 accounts. A uniform load writes more.
fn pages(batch: f64) -> f64 {
    0.9 + 0.25 * batch.powf(0.68)
}

impl PipelinedCosts {
    /// The syncs of a commit of so many transfers.
    pub(super) fn sync(&self, batch: f64) -> f64 {
        self.sync_us + self.sync_us_per_page * pages(batch)
    }

    /// The writer's own work for a batch, without the sync.
    pub(super) fn work(&self, batch: f64) -> f64 {
        self.writer_us_per_batch
            + self.writer_us_per_page * pages(batch)
            + self.writer_us_per_transfer * batch
    }

    /// What one batch takes the writer.
    pub(super) fn service(&self, batch: f64) -> f64 {
        self.sync(batch) + self.work(batch)
    }

    /// CPU per transfer of all threads. Only the writer's per-transfer part depends on the
    /// batch, and `batch` is the largest there can be, so that no batch goes over this.
    fn cpu(&self, batch: f64) -> f64 {
        self.work(batch) / batch + self.transport.per_transfer_us + self.client.per_transfer_us
    }

    /// Time of a batch outside of the writer at a rate (per microsecond): answering, reading
    /// and sending again, behind whatever is on its way in front of it. `others` is the share
    /// of the batches in flight that can be in front of this one, 0 to 1.
    fn outside(&self, rate: f64, batch: f64, others: f64) -> f64 {
        let busy = |wire: &WireCosts| rate * wire.per_transfer_us;
        let writing = rate * self.writer_us_per_transfer;
        self.wire(
            &self.transport,
            rate,
            batch,
            others,
            writing + busy(&self.client),
        ) + self.wire(
            &self.client,
            rate,
            batch,
            others,
            writing + busy(&self.transport),
        ) + self.hops_us
    }

    /// One of the two, stretched by 1 ÷ (1 − others × utilization), as in approximate mean
    /// value analysis (Schweitzer 1979), and by the cores that `neighbours` keep busy.
    fn wire(&self, wire: &WireCosts, rate: f64, batch: f64, others: f64, neighbours: f64) -> f64 {
        let threads = f64::from(wire.threads.max(1));
        let slowed = self.cores.map_or(1.0, |cores| {
            let cores = f64::from(cores.max(1));
            1.0 + (neighbours / cores).min(1.0).powf(cores) / cores
        });
        let each = wire.per_transfer_us * slowed / threads;
        // It is woken only as often as it had gone to sleep: solve for the time awake.
        let waking = rate * wire.per_wake_us / batch;
        let utilization = ((rate * each + waking) / (1.0 + waking)).min(NEARLY_ALL);
        let own = batch * each + wire.per_wake_us * (1.0 - utilization);
        own / (1.0 - others * utilization)
    }

    /// The rate that no batch and no number in flight can exceed, per microsecond.
    fn ceiling(&self, largest_batch: f64) -> f64 {
        let per_thread = |wire: &WireCosts| wire.per_transfer_us / f64::from(wire.threads.max(1));
        let of_cores = self.cores.map_or(0.0, |cores| {
            self.cpu(largest_batch) / f64::from(cores.max(1))
        });
        let slowest = per_thread(&self.transport)
            .max(per_thread(&self.client))
            .max(of_cores)
            .max(self.service(largest_batch) / largest_batch);
        NEARLY_ALL / slowest.max(f64::MIN_POSITIVE)
    }
}

/// A rate (per microsecond), the batch at it, and whether the writer waits for passengers.
#[derive(Clone, Copy)]
struct Flow {
    rate: f64,
    batch: f64,
    at_the_stop: bool,
}

pub(super) fn expect(inputs: &ModelInputs, costs: &PipelinedCosts) -> Expected {
    let in_flight = inputs.in_flight();
    let closed = closed_loop(inputs, costs);
    let offered = inputs.offered_tps.map(|tps| tps / super::SECOND_US);
    if let Some(offered) = offered.filter(|offered| *offered < closed.rate) {
        let (batch, latency_us) = open_loop(inputs, costs, offered);
        let flow = Flow {
            rate: offered,
            batch,
            at_the_stop: false,
        };
        return Expected {
            per_us: offered,
            capacity_per_us: closed.rate,
            mean_batch: batch,
            latency_us: latency_us.min(in_flight / offered),
            bottleneck: Bottleneck::OfferedRate,
            limits: limits(inputs, costs, flow),
        };
    }
    Expected {
        per_us: closed.rate,
        capacity_per_us: closed.rate,
        mean_batch: closed.batch,
        // Little's law.
        latency_us: in_flight / closed.rate,
        bottleneck: bottleneck(inputs, costs, closed),
        limits: limits(inputs, costs, closed),
    }
}

fn closed_loop(inputs: &ModelInputs, costs: &PipelinedCosts) -> Flow {
    let natural = natural(inputs, costs);
    let timeout = inputs.batch_timeout_us;
    if timeout <= 0.0 {
        return natural;
    }
    let (in_flight, seats) = (inputs.in_flight(), inputs.seats());
    if in_flight < seats {
        return empty_stop(inputs, costs, natural);
    }
    if timeout <= costs.service(seats) {
        // Who waits has waited for the timeout already when the writer comes back.
        return natural;
    }
    let full = full_bus(inputs, costs);
    if seats / full.rate > timeout + costs.service(seats) + costs.hops_us {
        // The timeout comes before the bus is full.
        return natural;
    }
    full
}

/// The writer takes whatever waits, up to the batch size.
fn natural(inputs: &ModelInputs, costs: &PipelinedCosts) -> Flow {
    let (in_flight, seats) = (inputs.in_flight(), inputs.seats());
    let half = in_flight / 2.0;
    let largest = seats.min(half).max(1.0);
    // Between what keeps the writer busy (rate × service) and one half of everything, which is
    // where batches end that catch up with each other: their geometric mean.
    let batch_at = |rate: f64| {
        let mut batch = 1.0;
        for _ in 0..200 {
            let next = (rate * costs.service(batch) * half)
                .sqrt()
                .clamp(1.0, largest);
            if (next - batch).abs() <= 1e-9 * batch {
                break;
            }
            batch = next;
        }
        batch
    };
    let needed = |rate: f64| {
        let batch = batch_at(rate);
        let service = costs.service(batch);
        let others = 1.0 - batch / in_flight;
        let in_writer = (rate * service / batch).min(1.0);
        // A batch under way has half of its time to go on average.
        let wait = service * in_writer * 0.5 * (2.0 * others).min(1.0);
        let round = service + wait + costs.outside(rate, batch, others);
        let two_groups = if in_flight >= 2.0 { 2.0 * service } else { 0.0 };
        let capped = batch >= seats;
        rate * if capped { round } else { round.max(two_groups) }
    };
    let ceiling = costs
        .ceiling(seats.min(in_flight))
        .min(largest / costs.service(largest));
    let rate = highest_rate(in_flight, ceiling, needed);
    Flow {
        rate,
        batch: batch_at(rate),
        at_the_stop: false,
    }
}

/// Fewer in flight than seats: the writer waits until the oldest has waited for the timeout.
fn empty_stop(inputs: &ModelInputs, costs: &PipelinedCosts, natural: Flow) -> Flow {
    let in_flight = inputs.in_flight();
    let pause = inputs.batch_timeout_us + costs.hops_us;
    if pause <= costs.service(natural.batch) {
        return natural;
    }
    let cycle = costs.service(in_flight) + pause;
    let needed = |rate: f64| {
        let round = costs.service(in_flight) + costs.outside(rate, in_flight, 0.0);
        rate * cycle.max(round)
    };
    let rate = highest_rate(in_flight, costs.ceiling(in_flight), needed);
    Flow {
        rate,
        batch: (rate * cycle).min(in_flight),
        at_the_stop: true,
    }
}

/// Every bus leaves full; `in flight ÷ batch size` of them are under way.
fn full_bus(inputs: &ModelInputs, costs: &PipelinedCosts) -> Flow {
    let (in_flight, seats) = (inputs.in_flight(), inputs.seats());
    let buses = in_flight / seats;
    let service = costs.service(seats);
    let others = 1.0 - 1.0 / buses;
    let needed =
        |rate: f64| rate * (buses * service).max(service + costs.outside(rate, seats, others));
    Flow {
        rate: highest_rate(in_flight, costs.ceiling(seats), needed),
        batch: seats,
        at_the_stop: false,
    }
}

/// The batch and the mean latency at a rate that the server can keep up with.
fn open_loop(inputs: &ModelInputs, costs: &PipelinedCosts, rate: f64) -> (f64, f64) {
    let seats = inputs.seats();
    let timeout = inputs.batch_timeout_us;
    let mut batch = 1.0;
    for _ in 0..200 {
        let interval = costs.service(batch).max(timeout);
        batch = (rate * interval).clamp(1.0, seats);
    }
    let service = costs.service(batch);
    let busy = (rate * service / batch).min(1.0);
    // The last to come into a bus that waits does not wait; the first waits for all.
    let filling = timeout.min((batch - 1.0) / rate).max(0.0) / 2.0;
    let behind = service * busy / 2.0;
    (
        batch,
        service + filling.max(behind) + costs.outside(rate, batch, 1.0),
    )
}

fn limits(inputs: &ModelInputs, costs: &PipelinedCosts, flow: Flow) -> Vec<Limit> {
    let batch = flow.batch;
    let wire = |wire: &WireCosts| wire.per_transfer_us / f64::from(wire.threads.max(1));
    let seats = inputs.seats().min(inputs.in_flight());
    let cores = costs.cores.map(f64::from);
    let stop = flow
        .at_the_stop
        .then(|| inputs.batch_timeout_us / inputs.in_flight());
    let writer = if costs.is_database_elsewhere {
        [
            limit(Bottleneck::Database, costs.service(batch) / batch),
            None,
        ]
    } else {
        [
            limit(Bottleneck::DiskSync, costs.sync(batch) / batch),
            limit(Bottleneck::WriterCpu, costs.work(batch) / batch),
        ]
    };
    let others = [
        limit(Bottleneck::TransportCpu, wire(&costs.transport)),
        limit(Bottleneck::Generator, wire(&costs.client)),
        limit(
            Bottleneck::Cores,
            cores.map_or(0.0, |cores| costs.cpu(seats) / cores),
        ),
        limit(Bottleneck::EmptyBusStop, stop.unwrap_or(0.0)),
    ];
    writer.into_iter().chain(others).flatten().collect()
}

/// The busiest thread; of the writer's two halves the longer one.
fn bottleneck(inputs: &ModelInputs, costs: &PipelinedCosts, flow: Flow) -> Bottleneck {
    let (rate, batch) = (flow.rate, flow.batch);
    let (sync, work) = (costs.sync(batch), costs.work(batch));
    if flow.at_the_stop && inputs.batch_timeout_us > sync.max(work) {
        return Bottleneck::EmptyBusStop;
    }
    let writer = if costs.is_database_elsewhere {
        Bottleneck::Database
    } else if sync >= work {
        Bottleneck::DiskSync
    } else {
        Bottleneck::WriterCpu
    };
    let wire = |wire: &WireCosts| rate * wire.per_transfer_us / f64::from(wire.threads.max(1));
    let cores = costs.cores.map_or(0.0, |cores| {
        rate * costs.cpu(batch) / f64::from(cores.max(1))
    });
    let busy = [
        (writer, rate * (sync + work) / batch),
        (Bottleneck::TransportCpu, wire(&costs.transport)),
        (Bottleneck::Generator, wire(&costs.client)),
        (Bottleneck::Cores, cores),
    ];
    let busiest = busy.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    busiest.map_or(writer, |(what, _)| what)
}
