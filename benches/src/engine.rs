//! A batch on its way through queue, apply and COMMIT, in a ledger with the servers' defaults.
//!
//! There is no checkpoint: when one begins depends on the clock. The batches are drawn before,
//! and used again in turn.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use bench_client::workload::{TransferSource, Zipf};
use busload_engine::{
    ControlReply, Engine, EngineError, Notice, Outcome, Reply, ReplyPort, Work, WriterThread,
};
use busload_frontend::{LedgerConfig, WsArgs};
use busload_sqlite::SqliteLedger;
use busload_wire::{RequestId, Transfer};
use clap::Parser;

use super::{ACCOUNTS, HotPath, SEED};

const ALPHAS: [f64; 2] = [1.5, 0.0];
const BATCHES: [usize; 3] = [1, 100, 1_000];
/// Transfers drawn of each alpha and batch, at least.
const DRAWN: usize = 16_000;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    args: WsArgs,
}

/// The outcomes of a batch on their way back. Whoever waits for them sleeps: a channel would look
/// again a few times first, and how often depends on the disk.
#[derive(Default)]
struct Answer {
    work: Mutex<Option<Vec<Work>>>,
    arrived: Condvar,
}

impl Answer {
    fn put(&self, work: Vec<Work>) {
        *self.work.lock().expect("no panic under it") = Some(work);
        self.arrived.notify_one();
    }

    fn take(&self) -> Vec<Work> {
        let work = self.work.lock().expect("no panic under it");
        let arrived = self.arrived.wait_while(work, |work| work.is_none());
        arrived.expect("no panic under it").take().expect("arrived")
    }
}

struct Port(Arc<Answer>);

impl ReplyPort for Port {
    type Address = ();

    fn transfers(&mut self, batch: &mut Vec<Reply<()>>) {
        for reply in batch.drain(..) {
            self.0.put(reply.work);
        }
    }

    fn control(&mut self, (): (), _: Option<RequestId>, _: Result<ControlReply, EngineError>) {}

    fn notice(&mut self, _: Notice) {}

    fn stopped(&mut self) {}
}

struct Ledger {
    engine: Option<Engine<()>>,
    writer: Option<WriterThread>,
    answer: Arc<Answer>,
}

impl Ledger {
    fn open(directory: &Path) -> Self {
        let database = directory.join("hot-paths.sqlite");
        let accounts = ACCOUNTS.to_string();
        let database = database.to_str().expect("a path of ours");
        let flags = [
            "server",
            "--reseed",
            "--database",
            database,
            "--durability",
            "wal-full",
            "--accounts",
            &accounts,
            "--checkpoint-kib",
            "10000000",
        ];
        let flags = Flags::try_parse_from(flags).expect("flags");
        let settings = flags.args.settings().expect("flags that agree");
        let answer = Arc::<Answer>::default();
        let LedgerConfig::Sqlite(ledger) = &settings.ledger else {
            unreachable!("no flag asks for another");
        };
        let ledger = SqliteLedger::open(ledger).expect("a ledger in a directory of ours");
        let port = Port(Arc::clone(&answer));
        let started = Engine::start(&settings.engine, Box::new(ledger), port);
        let (engine, writer) = started.expect("a writer thread");
        Self {
            engine: Some(engine),
            writer: Some(writer),
            answer,
        }
    }

    /// Submits a batch and waits until it is durable.
    fn commit(&self, work: Vec<Work>) -> Vec<Work> {
        let engine = self.engine.as_ref().expect("open");
        let refused = engine.submit((), work);
        assert!(refused.is_empty(), "the queue is long enough");
        self.answer.take()
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.engine = None;
        if let Some(writer) = self.writer.take() {
            writer.join().expect("the writer ends well");
        }
    }
}

pub(super) fn paths() -> Vec<HotPath> {
    let path = |alpha| BATCHES.map(|batch| path(alpha, batch));
    ALPHAS.into_iter().flat_map(path).collect()
}

fn path(alpha: f64, batch: usize) -> HotPath {
    let name = format!("engine/alpha {alpha}/{batch}");
    HotPath::new(name, batch, move |setup| {
        turn(&setup.directory, alpha, batch)
    })
}

fn turn(directory: &Path, alpha: f64, batch: usize) -> impl FnMut() + use<> {
    let ledger = Ledger::open(directory);
    let zipf = Arc::new(Zipf::new(ACCOUNTS, alpha).expect("in range"));
    let mut source = TransferSource::new(zipf, SEED, 0);
    let mut draw = || {
        let pair = source.next_pair();
        let transfer = Transfer {
            from: pair.from.into(),
            to: pair.to.into(),
            amount: 1,
            transfer_id: None,
        };
        Work::new(None, transfer)
    };
    let mut batches: VecDeque<Vec<Work>> = (0..DRAWN.div_ceil(batch))
        .map(|_| (0..batch).map(|_| draw()).collect())
        .collect();
    move || {
        let work = batches.pop_front().expect("each comes back");
        let work = ledger.commit(work);
        let last = work.last().map(|one| one.outcome);
        assert_eq!(last, Some(Outcome::Committed));
        batches.push_back(work);
    }
}
