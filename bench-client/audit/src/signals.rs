//! Faults that need nothing but a signal.

use std::time::Duration;

use futures_util::future::BoxFuture;
use nix::sys::signal::Signal;

use super::draw::Draw;
use super::fault::{ExpectedExit, Fault, FaultError, Schedule};
use crate::record::torture::FaultKind;
use crate::target::ServerProcess;

/// The earliest moment of an interruption is this part of the longest.
const EARLIEST: u64 = 20;

/// A signal at a random moment.
#[derive(Debug)]
pub struct SignalFault {
    kind: FaultKind,
    signal: Signal,
}

impl SignalFault {
    /// `kill -9`.
    #[must_use]
    pub fn kill() -> Self {
        Self {
            kind: FaultKind::Kill,
            signal: Signal::SIGKILL,
        }
    }

    /// SIGTERM, after which everything that the server took is answered.
    #[must_use]
    pub fn term() -> Self {
        Self {
            kind: FaultKind::Term,
            signal: Signal::SIGTERM,
        }
    }
}

/// A moment between a small part of a cycle and all of it.
pub(super) fn some_time(draw: &mut Draw, cycle: Duration) -> Duration {
    let longest = u64::try_from(cycle.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(draw.within(longest / EARLIEST, longest))
}

/// Sends a signal to all of a server.
pub(super) fn send(
    kind: FaultKind,
    server: &ServerProcess,
    signal: Signal,
) -> Result<(), FaultError> {
    server.signal(signal).map_err(|error| FaultError::Failed {
        fault: kind,
        why: format!("cannot send {signal}: {error}"),
    })
}

impl Fault for SignalFault {
    fn kind(&self) -> FaultKind {
        self.kind
    }

    fn schedule(&mut self, draw: &mut Draw, cycle: Duration) -> Schedule {
        Schedule::after(some_time(draw, cycle))
    }

    fn expected_exit(&self) -> ExpectedExit {
        match self.kind {
            FaultKind::Term => ExpectedExit::Graceful,
            _ => ExpectedExit::Any,
        }
    }

    fn inject<'a>(
        &'a mut self,
        server: &'a mut ServerProcess,
    ) -> BoxFuture<'a, Result<(), FaultError>> {
        Box::pin(std::future::ready(send(self.kind, server, self.signal)))
    }

    /// A server that ended before the signal came did so for a reason of its own.
    fn was_injected(&self, by_itself: bool) -> bool {
        !by_itself
    }
}
