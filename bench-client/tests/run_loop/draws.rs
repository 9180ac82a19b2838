//! Which accounts are drawn, and how often one is in flight twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bench_client::config::Measure;
use bench_client::connector::{ConnectError, Connector, Reply, Session, TransportError, WorkerId};
use bench_client::load::LoadPlan;
use bench_client::workload::Zipf;
use busload_wire::{RequestId, Transfer};

use crate::common::load;
use crate::waves::{WaveSession, Waves};
use crate::{MS, commits, plan};

#[test]
fn collisions_are_exact_with_one_thread() {
    // Two accounts: with several in flight every transfer but the first collides.
    let zipf = Arc::new(Zipf::new(2, 0.0).expect("a distribution"));
    let measure = Measure::Transfers(500);
    let alone = LoadPlan {
        workers: 1,
        max_inflight: 1,
        zipf,
        measure,
        ..plan()
    };
    let result = load(commits(MS), alone.clone());
    assert_eq!(
        (result.submitted, result.collisions),
        (500, 0),
        "alone, nothing collides"
    );
    let result = load(
        Waves,
        LoadPlan {
            max_inflight: 5,
            ..alone
        },
    );
    assert_eq!(
        (result.submitted, result.collisions),
        (500, 400),
        "all but the first of each wave"
    );
}

#[test]
fn the_seed_fixes_the_transfers_of_each_worker() {
    let drawn = |seed: u64, threads: usize| {
        let connector = Recording::default();
        let plan = LoadPlan {
            seed,
            threads,
            workers: 3,
            max_inflight: 1,
            measure: Measure::Transfers(300),
            ..plan()
        };
        load(connector.clone(), plan);
        let drawn = connector.drawn.lock().expect("nobody panicked").clone();
        assert_eq!(drawn.len(), 3);
        drawn
    };
    let first = drawn(5, 1);
    assert_eq!(drawn(5, 1), first);
    assert_eq!(drawn(5, 3), first, "threads do not matter");
    assert_ne!(drawn(6, 1), first);
    let mut streams = first.values();
    assert_ne!(
        streams.next(),
        streams.next(),
        "workers have streams of their own"
    );
}

/// The pairs of accounts that each worker drew.
type Drawn = BTreeMap<u32, Vec<(i64, i64)>>;

/// Notes what each worker submits; answers at once.
#[derive(Clone, Default)]
struct Recording {
    drawn: Arc<Mutex<Drawn>>,
}

struct RecordingSession {
    connector: Recording,
    worker: u32,
    waves: WaveSession,
}

impl Connector for Recording {
    type Session = RecordingSession;
    const TRANSPORT: &'static str = "recording";

    async fn connect(&self, worker: WorkerId) -> Result<RecordingSession, ConnectError> {
        let (connector, waves) = (self.clone(), WaveSession::default());
        Ok(RecordingSession {
            connector,
            worker: worker.0,
            waves,
        })
    }
}

impl Session for RecordingSession {
    fn submit(&mut self, id: RequestId, transfer: Transfer) -> Result<(), TransportError> {
        let mut drawn = self.connector.drawn.lock().expect("nobody panicked");
        drawn
            .entry(self.worker)
            .or_default()
            .push((transfer.from, transfer.to));
        self.waves.submit(id, transfer)
    }

    fn forget(&mut self, _id: RequestId) {}

    fn late_answers(&self) -> u64 {
        0
    }

    async fn replies(&mut self, out: &mut Vec<Reply>) -> Result<(), TransportError> {
        self.waves.replies(out).await
    }
}
