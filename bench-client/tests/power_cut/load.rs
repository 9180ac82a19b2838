//! A server of this program's own, and money that is moved on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bench_client::config::Encoding;
use bench_client::connector::{
    Connector, Endpoint, HttpConnector, Outcome, Reply, Session, WorkerId, WsConnector,
};
use bench_client::target::{ServerProcess, ServerSpec};
use bench_client::torture::fault::Onset;
use busload_wire::{RequestId, Transfer};

pub(crate) const WORKERS: u32 = 6;
/// Several pages, so that the two accounts of a pair are on different ones.
pub(crate) const ACCOUNTS: u32 = 1_000;
/// In flight per worker.
pub(crate) const WINDOW: usize = 8;
/// Largest amount. Amounts differ, so that their sums tell which transfers are there.
pub(crate) const LARGEST: u64 = 997;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Http,
    Json,
    Binary,
}

impl Wire {
    pub(crate) fn transport(self) -> &'static str {
        if self == Self::Http { "http" } else { "ws" }
    }
}

/// How a ledger is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) durability: &'static str,
    /// Bytes of a page; below 4096 they share a block of the disk with others.
    pub(crate) page_size: u32,
}

/// With the pages that so few accounts have by default.
pub(crate) const fn kept(durability: &'static str) -> Kept {
    Kept {
        durability,
        page_size: 4096,
    }
}

pub(crate) fn server(database: &Path, wire: Wire, kept: Kept) -> ServerSpec {
    let args = [
        "serve",
        wire.transport(),
        "--until-stdin-ends",
        "--port=0",
        &format!("--database={}", database.display()),
        &format!("--accounts={ACCOUNTS}"),
        "--initial-balance=1000000000",
        &format!("--durability={}", kept.durability),
        &format!("--page-size={}", kept.page_size),
        // So that checkpoints are cut too.
        "--checkpoint-kib=80",
    ];
    ServerSpec {
        program: PathBuf::from(env!("CARGO_BIN_EXE_bench-client")),
        args: args.map(str::to_owned).into(),
        ..ServerSpec::default()
    }
}

/// What one worker sent, in order, and whether it was acknowledged.
pub(crate) type Sent = Vec<(Transfer, bool)>;

/// Moves money between two accounts until the server is gone or `time` is over; then waits
/// for what is in flight. An answer that is read after the onset does not count.
pub(crate) async fn work<C: Connector>(
    connector: C,
    worker: u32,
    time: Duration,
    onset: &Onset,
) -> Sent {
    let mut sent = Sent::new();
    let Ok(mut session) = connector.connect(WorkerId(worker)).await else {
        return sent;
    };
    // Over HTTP a worker's transfers keep their order only one at a time.
    let window = if C::TRANSPORT == "http" { 1 } else { WINDOW };
    let ends = tokio::time::Instant::now() + time;
    let (mut inflight, mut gone) = (0, false);
    let mut out = Vec::new();
    loop {
        while inflight < window && !gone && tokio::time::Instant::now() < ends {
            let number = sent.len() as u64 + 1;
            let amount = 1 + number * 131 * u64::from(worker + 7) % LARGEST;
            let transfer = Transfer {
                from: i64::from(worker),
                to: i64::from(ACCOUNTS - 1 - worker),
                amount: amount.cast_signed(),
                transfer_id: None,
            };
            let id = RequestId::new(number).expect("it is small");
            gone = session.submit(id, transfer).is_err();
            sent.push((transfer, false));
            inflight += 1;
        }
        if inflight == 0 || gone {
            return sent;
        }
        gone |= session.replies(&mut out).await.is_err();
        let counts = !onset.has_come();
        for Reply { id, outcome } in out.drain(..) {
            inflight -= 1;
            let at = usize::try_from(id.get()).expect("it is small") - 1;
            match outcome {
                Outcome::Committed => sent[at].1 = counts,
                // The last words of a server that sees its disk go.
                Outcome::Unknown | Outcome::Failed(_) => gone = true,
                other @ Outcome::Rejected(_) => {
                    panic!("a transfer that can be made was answered {other:?}")
                }
            }
        }
    }
}

/// All workers for this long.
pub(crate) async fn load(
    target: &Endpoint,
    wire: Wire,
    time: Duration,
    onset: &Onset,
) -> Vec<Sent> {
    let workers = (0..WORKERS).map(|worker| async move {
        let target = target.clone();
        match wire {
            Wire::Http => work(HttpConnector::new(target), worker, time, onset).await,
            Wire::Json => {
                let connector = WsConnector::new(target, Encoding::Json);
                work(connector, worker, time, onset).await
            }
            Wire::Binary => {
                let connector = WsConnector::new(target, Encoding::Binary);
                work(connector, worker, time, onset).await
            }
        }
    });
    futures_util::future::join_all(workers).await
}

pub(crate) fn acknowledged(sent: &[Sent]) -> u64 {
    sent.iter()
        .flatten()
        .filter(|(_, acknowledged)| *acknowledged)
        .count() as u64
}

/// Creates the ledger, so that a run begins with one that is durable.
pub(crate) async fn seed(database: &Path, wire: Wire, kept: Kept) {
    let server = ServerProcess::start(&server(database, wire, kept)).await;
    server.expect("it starts").stop().await.expect("it stops");
}
