//! A server that answers at once whatever is in flight.

use std::future::pending;

use bench_client::connector::{
    ConnectError, Connector, Outcome, Reply, Session, TransportError, WorkerId,
};
use busload_wire::{RequestId, Transfer};

/// Answers whatever is in flight, all at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waves;

#[derive(Default)]
pub(crate) struct WaveSession(Vec<RequestId>);

impl Connector for Waves {
    type Session = WaveSession;
    const TRANSPORT: &'static str = "waves";

    async fn connect(&self, _worker: WorkerId) -> Result<WaveSession, ConnectError> {
        Ok(WaveSession::default())
    }
}

impl Session for WaveSession {
    fn submit(&mut self, id: RequestId, _transfer: Transfer) -> Result<(), TransportError> {
        self.0.push(id);
        Ok(())
    }

    fn forget(&mut self, _id: RequestId) {}

    fn late_answers(&self) -> u64 {
        0
    }

    async fn replies(&mut self, out: &mut Vec<Reply>) -> Result<(), TransportError> {
        if self.0.is_empty() {
            return pending().await;
        }
        out.extend(self.0.drain(..).map(|id| Reply {
            id,
            outcome: Outcome::Committed,
        }));
        Ok(())
    }
}
