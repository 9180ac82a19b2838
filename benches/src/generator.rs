//! The load generator without a transport: what a worker does for each transfer, and the draw of
//! its accounts.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bench_client::config::{Measure, Pace, Shard};
use bench_client::connector::{
    ConnectError, Connector, Outcome, Reply, Session, TransportError, WorkerId,
};
use bench_client::load::{Load, LoadPlan};
use bench_client::workload::{TransferSource, Zipf};
use busload_wire::{RequestId, Transfer};

use super::{ACCOUNTS, HotPath, SEED};

const ALPHA: f64 = 1.5;
const INFLIGHT: usize = 16;
/// So many that starting and ending a load is little beside them.
const WORKER_TRANSFERS: usize = 32 * 1024;
const DRAWS: usize = 1_000;

pub(super) fn paths() -> Vec<HotPath> {
    let name = format!("generator/worker/{INFLIGHT}");
    vec![
        HotPath::new("generator/draw".to_owned(), DRAWS, |_| draw()),
        HotPath::new(name, WORKER_TRANSFERS, |_| worker()),
    ]
}

fn zipf() -> Arc<Zipf> {
    Arc::new(Zipf::new(ACCOUNTS, ALPHA).expect("in range"))
}

fn draw() -> impl FnMut() {
    let mut source = TransferSource::new(zipf(), SEED, 0);
    move || {
        for _ in 0..DRAWS {
            black_box(source.next_pair());
        }
    }
}

/// A whole load of one worker, whose transfers are answered the moment it waits for them.
fn worker() -> impl FnMut() {
    let plan = LoadPlan {
        workers: 1,
        shard: Shard::WHOLE,
        max_inflight: INFLIGHT,
        threads: 1,
        pace: Pace::Closed,
        zipf: zipf(),
        amount: 1,
        seed: SEED,
        warmup: Duration::ZERO,
        measure: Measure::Transfers(WORKER_TRANSFERS as u64),
        op_timeout: Duration::from_mins(1),
        exactly_once: None,
        interval: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    move || {
        let result = runtime.block_on(async {
            let load = Load::connect(Immediate, plan.clone()).await;
            let load = load.expect("sessions cannot fail");
            let _ = load.start();
            load.finish().await.expect("no thread panics")
        });
        let committed = result.window.counts.committed;
        assert_eq!(committed, WORKER_TRANSFERS as u64, "each was answered");
    }
}

/// Opens sessions that commit everything at once.
struct Immediate;

struct ImmediateSession(Vec<Reply>);

impl Connector for Immediate {
    type Session = ImmediateSession;
    const TRANSPORT: &'static str = "mock";

    async fn connect(&self, _: WorkerId) -> Result<ImmediateSession, ConnectError> {
        Ok(ImmediateSession(Vec::new()))
    }
}

impl Session for ImmediateSession {
    fn submit(&mut self, id: RequestId, transfer: Transfer) -> Result<(), TransportError> {
        black_box(transfer);
        let outcome = Outcome::Committed;
        self.0.push(Reply { id, outcome });
        Ok(())
    }

    fn forget(&mut self, _: RequestId) {}

    fn late_answers(&self) -> u64 {
        0
    }

    async fn replies(&mut self, out: &mut Vec<Reply>) -> Result<(), TransportError> {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        out.append(&mut self.0);
        Ok(())
    }
}
