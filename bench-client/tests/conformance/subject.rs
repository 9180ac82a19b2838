//! The suite, and what it is run on.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use bench_client::config::{ConnectorKind, Encoding};
use bench_client::conformance;
pub(crate) use bench_client::conformance::{id, of_every_kind, small};
use bench_client::connector::{
    Connector, Endpoint, HttpConnector, Outcome, Reply, Session, SpacetimeDbConnector,
    TransportError, WorkerId, WsConnector,
};
use bench_client::control::ControlClient;
use busload_frontend::{Settings, Transport};
use busload_wire::{RequestId, Transfer};
use futures_util::FutureExt as _;

use crate::common::{InProcess, directory, settings, within};
use crate::server::{Habits, Server};

/// Whose server a connector is tried on.
#[derive(Debug, Clone, Copy)]
enum Whose {
    /// This project's.
    Ours(Transport),
    /// A small one of the tests, of SpacetimeDB's protocol.
    SpacetimeDb,
}

/// What the suite must know about a connector besides how to make it.
pub(crate) struct Subject<C> {
    whose: Whose,
    /// Transfers in flight that are many for it: over HTTP each one is a connection.
    many: u64,
    make: fn(Endpoint) -> C,
}

pub(crate) const HTTP: Subject<HttpConnector> = Subject {
    whose: Whose::Ours(Transport::Http),
    many: 256,
    make: HttpConnector::new,
};
pub(crate) const WS_JSON: Subject<WsConnector> = Subject {
    whose: Whose::Ours(Transport::Ws),
    many: 16_384,
    make: |target| WsConnector::new(target, Encoding::Json),
};
pub(crate) const WS_BINARY: Subject<WsConnector> = Subject {
    whose: Whose::Ours(Transport::Ws),
    many: 16_384,
    make: |target| WsConnector::new(target, Encoding::Binary),
};

pub(crate) const SPACETIMEDB_V3: Subject<SpacetimeDbConnector> = Subject {
    whose: Whose::SpacetimeDb,
    many: 16_384,
    make: |target| SpacetimeDbConnector::new(target, Encoding::BsatnV3.into()),
};
pub(crate) const SPACETIMEDB_V2: Subject<SpacetimeDbConnector> = Subject {
    whose: Whose::SpacetimeDb,
    many: 16_384,
    make: |target| SpacetimeDbConnector::new(target, Encoding::BsatnV2.into()),
};

/// How a server of a test is other than usual.
#[derive(Debug, Clone, Copy)]
enum Change {
    Nothing,
    /// It takes few transfers at a time.
    Narrow,
    /// Nothing is committed before the oldest has waited this long.
    Slow(Duration),
}

/// A server of a test.
enum Live {
    Ours(InProcess, ControlClient),
    SpacetimeDb(Server),
}

impl Live {
    fn target(&self) -> &Endpoint {
        match self {
            Self::Ours(server, _) => &server.target,
            Self::SpacetimeDb(server) => &server.target,
        }
    }

    /// Transfers that are in the ledger, and the sum of all balances.
    async fn applied(&mut self) -> (u64, i64) {
        match self {
            Self::Ours(_, control) => {
                let stats = control.stats(true).await;
                let stats = stats.expect("an answer").expect("stats");
                assert_eq!(stats.applied, stats.committed);
                let total = stats.balances.expect("asked for").total;
                (stats.applied, total.parse().expect("a number"))
            }
            Self::SpacetimeDb(server) => {
                let ledger = server.ledger();
                (ledger.committed, ledger.balances.iter().sum())
            }
        }
    }

    fn die(self) {
        match self {
            Self::Ours(server, _) => server.die(),
            Self::SpacetimeDb(server) => server.die(),
        }
    }

    fn stop(self) {
        match self {
            Self::Ours(server, _) => server.stop(),
            Self::SpacetimeDb(server) => server.stop(),
        }
    }
}

/// Changes the settings of a server of this project.
fn change_settings(settings: &mut Settings, change: Change) {
    match change {
        Change::Nothing => {}
        Change::Narrow => {
            settings.limits.inflight_per_connection = 64;
            settings.engine.batch_size = 100;
        }
        Change::Slow(wait) => settings.engine.batch_timeout = wait,
    }
}

impl<C: Connector> Subject<C> {
    /// Runs `test` on a session with a server that is changed so.
    fn with<F: AsyncFnOnce(C::Session, Live)>(&self, change: Change, test: F) {
        let directory = directory();
        let server = match self.whose {
            Whose::Ours(transport) => {
                let mut settings = settings(directory.path(), transport);
                change_settings(&mut settings, change);
                let server = InProcess::start(settings);
                let kind = match transport {
                    Transport::Http => ConnectorKind::SqliteRpc,
                    Transport::Ws => ConnectorKind::SqliteWsRpc,
                };
                let control = ControlClient::new(kind, server.target.clone());
                Live::Ours(server, control)
            }
            Whose::SpacetimeDb => {
                let answers_after = match change {
                    Change::Nothing | Change::Narrow => Duration::ZERO,
                    Change::Slow(wait) => wait,
                };
                let habits = Habits {
                    answers_after,
                    ..Habits::default()
                };
                Live::SpacetimeDb(Server::start(1000, habits))
            }
        };
        let connector = (self.make)(server.target().clone());
        within(async {
            test(open(&connector).await, server).await;
        });
    }

    /// The suite that `targets check` holds a server of somebody else against.
    pub(crate) fn the_suite_of_targets_passes(&self, connector: ConnectorKind, encoding: Encoding) {
        let Whose::Ours(transport) = self.whose else {
            unreachable!("the suite is of the transfer protocol");
        };
        let directory = directory();
        let server = InProcess::start(settings(directory.path(), transport));
        let subject = conformance::Subject {
            connector,
            encoding,
            endpoint: server.target.clone(),
            may_wipe: true,
        };
        let lines = within(conformance::check(&subject, &mut |_| {}));
        for line in &lines {
            assert_eq!(line.verdict, conformance::Verdict::Passed, "{line}");
        }
        assert!(lines.len() >= 12 && conformance::conforms(&lines));
    }

    /// Transfers of every kind that the connector can write.
    fn of_every_kind(&self, number: u64) -> (Transfer, Outcome) {
        let (mut transfer, outcome) = of_every_kind(number);
        if matches!(self.whose, Whose::SpacetimeDb) && transfer.from < 0 {
            transfer.from = 5000;
        }
        (transfer, outcome)
    }

    /// Every kind of answer finds its request, once, and says what the ledger did.
    pub(crate) fn every_answer_is_matched(&self) {
        self.with(Change::Nothing, async |mut session, mut server| {
            let mut expected = BTreeMap::new();
            let mut out = Vec::new();
            for number in 1..=2_000_u64 {
                let (transfer, outcome) = self.of_every_kind(number);
                session.submit(id(number), transfer).expect("it is taken");
                expected.insert(id(number), outcome);
                if number % self.many.min(500) == 0 {
                    collect(&mut session, &mut out, expected.len()).await;
                }
            }
            collect(&mut session, &mut out, expected.len()).await;
            each_once(&out, &expected);
            let committed = expected
                .values()
                .filter(|o| **o == Outcome::Committed)
                .count() as u64;
            assert_eq!(server.applied().await, (committed, 1_000_000_000));
            assert_eq!(session.late_answers(), 0);
        });
    }

    /// A pacer's timer may drop the future at any moment; no answer may go with it.
    pub(crate) fn no_answer_is_lost_to_a_dropped_future(&self) {
        self.with(Change::Nothing, async |mut session, _server| {
            let mut expected = BTreeMap::new();
            let (mut out, mut drops) = (Vec::new(), 0);
            let mut number = 0;
            while number < 3_000 || out.len() < expected.len() {
                while number < 3_000 && ((expected.len() - out.len()) as u64) < self.many.min(64) {
                    number += 1;
                    session
                        .submit(id(number), small(number))
                        .expect("it is taken");
                    expected.insert(id(number), Outcome::Committed);
                }
                // Not polled at all; polled once; cut off by a timer.
                drop(session.replies(&mut out));
                match session.replies(&mut out).now_or_never() {
                    Some(ended) => ended.expect("the server lives"),
                    None => drops += 1,
                }
                let patience = Duration::from_micros(37 * (number % 11));
                match tokio::time::timeout(patience, session.replies(&mut out)).await {
                    Ok(ended) => ended.expect("the server lives"),
                    Err(_) => drops += 1,
                }
            }
            assert!(drops > 0, "no wait was cut off: this tested nothing");
            each_once(&out, &expected);
        });
    }

    /// As much in flight as can be, both pipes filling while nobody reads; more than once.
    pub(crate) fn full_pipelines_do_not_wait_for_each_other(&self) {
        for change in [Change::Nothing, Change::Narrow] {
            self.with(change, async |mut session, _server| {
                let mut expected = BTreeMap::new();
                let mut out = Vec::new();
                for round in 0..2 {
                    for place in 1..=self.many {
                        let number = round * self.many + place;
                        session
                            .submit(id(number), small(number))
                            .expect("it is taken");
                        expected.insert(id(number), Outcome::Committed);
                    }
                    if let Some(ended) = session.replies(&mut out).now_or_never() {
                        ended.expect("the server lives");
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    collect(&mut session, &mut out, expected.len()).await;
                }
                each_once(&out, &expected);
            });
        }
    }

    pub(crate) fn a_forgotten_request_is_answered_in_vain(&self) {
        let slow = Change::Slow(Duration::from_millis(200));
        self.with(slow, async |mut session, _server| {
            let mut out = Vec::new();
            submit(&mut session, 1..=10);
            assert!(session.replies(&mut out).now_or_never().is_none());
            for number in 1..=5 {
                session.forget(id(number));
            }
            collect(&mut session, &mut out, 5).await;
            // The slots are free: their successors have other ids.
            submit(&mut session, 11..=15);
            collect(&mut session, &mut out, 10).await;
            let expected = (6..=15)
                .map(|number| (id(number), Outcome::Committed))
                .collect();
            each_once(&out, &expected);
            assert_eq!(session.late_answers(), 5, "dropped, and counted");
        });
    }

    /// What was in flight is unknown, what comes later fails; nothing hangs.
    pub(crate) fn a_dead_server_is_noticed(&self) {
        let never = Change::Slow(Duration::from_secs(50));
        self.with(never, async |mut session, server| {
            let mut out = Vec::new();
            submit(&mut session, 1..=8);
            let early = tokio::time::timeout(Duration::from_millis(300), session.replies(&mut out));
            assert!(early.await.is_err(), "no answer before the COMMIT");
            let target = server.target().clone();
            tokio::task::spawn_blocking(|| server.die())
                .await
                .expect("it dies");
            let mut next = 9;
            // A session over several connections may find out one by one.
            let ended = loop {
                if let Err(error) = session.replies(&mut out).await {
                    break error;
                }
                if session.submit(id(next), small(next)).is_err() {
                    break TransportError::Closed;
                }
                next += 1;
                assert!(
                    next < 100,
                    "a dead server is a dead session in the end: {out:?}"
                );
            };
            assert!(!ended.to_string().is_empty());
            let mut seen = BTreeSet::new();
            for Reply {
                id: answered,
                outcome,
            } in &out
            {
                assert!(seen.insert(*answered), "twice: {answered:?}");
                let is_fair = match answered.get() {
                    1..=8 => *outcome == Outcome::Unknown,
                    _ => matches!(outcome, Outcome::Unknown | Outcome::Failed(_)),
                };
                assert!(
                    is_fair,
                    "{answered:?}: {outcome:?} of a server that is dead"
                );
            }
            let connector = (self.make)(target);
            assert!(
                connector.connect(WorkerId(1)).await.is_err(),
                "nobody is there"
            );
        });
    }

    /// A server that stops answers first what it has taken.
    pub(crate) fn a_graceful_stop_answers_what_was_taken(&self) {
        let slow = Change::Slow(Duration::from_millis(400));
        self.with(slow, async |mut session, server| {
            let mut out = Vec::new();
            submit(&mut session, 1..=20);
            let early = tokio::time::timeout(Duration::from_millis(100), session.replies(&mut out));
            assert!(early.await.is_err());
            let stopping = tokio::task::spawn_blocking(|| server.stop());
            // The end may come with the answers, but not before them.
            while out.len() < 20 && session.replies(&mut out).await.is_ok() {}
            let expected = (1..=20)
                .map(|number| (id(number), Outcome::Committed))
                .collect();
            each_once(&out, &expected);
            // Only then does it go; an idle session ends with it.
            stopping.await.expect("it stops");
        });
    }
}

/// A session with somebody who is there.
pub(crate) async fn open<C: Connector>(connector: &C) -> C::Session {
    let session = connector.connect(WorkerId(0)).await;
    session.expect("somebody is there")
}

/// Submits a transfer that can be made for each number.
pub(crate) fn submit(session: &mut impl Session, numbers: RangeInclusive<u64>) {
    for number in numbers {
        session
            .submit(id(number), small(number))
            .expect("it is taken");
    }
}

pub(crate) async fn collect<S: Session>(session: &mut S, out: &mut Vec<Reply>, count: usize) {
    while out.len() < count {
        let before = out.len();
        session.replies(out).await.expect("the server lives");
        assert!(out.len() > before, "it came back with nothing");
    }
}

#[track_caller]
pub(crate) fn each_once(out: &[Reply], expected: &BTreeMap<RequestId, Outcome>) {
    assert_eq!(out.len(), expected.len());
    let got: BTreeMap<_, _> = out.iter().map(|reply| (reply.id, reply.outcome)).collect();
    assert_eq!(got.len(), expected.len(), "an answer came twice");
    for (id, outcome) in expected {
        assert_eq!(got.get(id), Some(outcome), "{id:?}");
    }
}
