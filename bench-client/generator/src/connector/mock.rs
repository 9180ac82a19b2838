//! A server in memory: tests of the run loop need no network.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use busload_wire::{RequestId, Transfer};
use tokio::time::Instant;

use super::{
    ConnectError, Connector, Forgotten, Outcome, Reply, Session, TransportError, WorkerId,
};

/// What the mock does with the transfer of this number (counted over all sessions).
pub type MockScript = Arc<dyn Fn(u64, &Transfer) -> MockAnswer + Send + Sync>;

/// The mock's behaviour for one transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MockAnswer {
    /// Answer so after this long.
    After(Duration, Outcome),
    /// Never answer.
    Silence,
    /// Drop the connection.
    Disconnect,
}

/// Opens sessions with a script instead of a server.
#[derive(Clone)]
pub struct MockConnector {
    script: MockScript,
    seen: Arc<AtomicU64>,
}

impl MockConnector {
    /// Sessions that follow the script.
    #[must_use]
    pub fn new(script: MockScript) -> Self {
        Self {
            script,
            seen: Arc::default(),
        }
    }

    /// Transfers submitted so far.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }
}

impl Connector for MockConnector {
    type Session = MockSession;
    const TRANSPORT: &'static str = "mock";

    async fn connect(&self, _worker: WorkerId) -> Result<MockSession, ConnectError> {
        Ok(MockSession {
            script: Arc::clone(&self.script),
            seen: Arc::clone(&self.seen),
            due: VecDeque::new(),
            disconnected: false,
            forgotten: Forgotten::default(),
        })
    }
}

/// A scripted session.
pub struct MockSession {
    script: MockScript,
    seen: Arc<AtomicU64>,
    /// In order of their times.
    due: VecDeque<(Instant, Reply)>,
    disconnected: bool,
    forgotten: Forgotten,
}

impl Session for MockSession {
    fn submit(&mut self, id: RequestId, transfer: Transfer) -> Result<(), TransportError> {
        let number = self.seen.fetch_add(1, Ordering::Relaxed);
        match (self.script)(number, &transfer) {
            MockAnswer::After(delay, outcome) => {
                let at = Instant::now() + delay;
                let place = self.due.partition_point(|(due, _)| *due <= at);
                self.due.insert(place, (at, Reply { id, outcome }));
            }
            MockAnswer::Silence => {}
            MockAnswer::Disconnect => self.disconnected = true,
        }
        Ok(())
    }

    fn forget(&mut self, id: RequestId) {
        self.forgotten.forget(id);
    }

    fn late_answers(&self) -> u64 {
        self.forgotten.late
    }

    async fn replies(&mut self, out: &mut Vec<Reply>) -> Result<(), TransportError> {
        loop {
            if self.disconnected {
                return Err(TransportError::Closed);
            }
            let Some((first, _)) = self.due.front() else {
                return std::future::pending().await;
            };
            tokio::time::sleep_until(*first).await;
            let now = Instant::now();
            let before = out.len();
            while self.due.front().is_some_and(|(due, _)| *due <= now) {
                if let Some((_, reply)) = self.due.pop_front()
                    && !self.forgotten.is_late(reply.id)
                {
                    out.push(reply);
                }
            }
            if out.len() > before {
                return Ok(());
            }
        }
    }
}
