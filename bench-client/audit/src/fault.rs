//! The seam of the audit: what a fault is.
//!
//! A fault starts the server under a wrapper command if it needs one, on a directory of its own
//! if it needs one, interrupts it at a moment drawn from the run's seed, and makes the directory
//! ready for the restart. It knows neither workers nor ledgers: what was lost is for the judge.
//!
//! The life of a cycle, in the order of the calls:
//!
//! 1. [`schedule`](Fault::schedule): which moment it will be, and under which wrapper the server starts;
//! 2. the server is started with its database in [`directory`](Fault::directory), or where the
//!    run keeps it, and the load is put on;
//! 3. when the [`Moment`] is a time and it has come, [`inject`](Fault::inject); when it is a
//!    system call, the wrapper injects by itself and `inject` is called only if it has not done
//!    so before the time of the cycle is over;
//! 4. the server has ended (what is left of its process group is killed);
//! 5. [`restore`](Fault::restore): the directory is as a restart would find it;
//! 6. a server without a wrapper is started on it, balances are read, transfers are classed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::draw::Draw;
use super::failed_syncs::FailedSync;
use crate::record::torture::{FaultKind, Moment};
use crate::target::ServerProcess;

/// What a fault will do in one cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Words before the server's command; empty when it is started as it is.
    pub wrapper: Vec<String>,
    /// When.
    pub moment: Moment,
}

impl Schedule {
    /// Interrupts a server without a wrapper after a time.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self {
            wrapper: Vec::new(),
            moment: Moment::Time {
                after_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            },
        }
    }
}

/// A fault could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// This machine lacks what the fault needs: it is skipped by name.
    #[error("{fault} cannot be injected here: {why}")]
    Unavailable {
        /// Which.
        fault: FaultKind,
        /// What is missing and where to get it.
        why: String,
    },
    /// It went wrong in the middle.
    #[error("{fault} failed: {why}")]
    Failed {
        /// Which.
        fault: FaultKind,
        /// What went wrong.
        why: String,
    },
}

/// How a server must end when a fault has injected, if nothing may be left to chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedExit {
    /// Any way: it is killed.
    Any,
    /// It goes on, or ends by itself with an exit code other than 0, after it has answered the
    /// transfers whose outcome it does not know; none is after a checkpoint's sync. After
    /// [`Fault::failed_syncs`] it may not go on.
    Refuses,
    /// With exit code 0, after it has answered everything it took.
    Graceful,
}

/// The moment from which on an answer proves nothing: a fault that takes a while to take effect
/// says so before it begins, and whoever reads answers asks after each reading. A clone is the
/// same moment.
///
/// **Invariant**: an answer that was read before [`has_come`](Self::has_come) said no had left
/// the server before whatever came after [`come`](Self::come).
#[derive(Debug, Clone, Default)]
pub struct Onset(Arc<AtomicBool>);

impl Onset {
    /// It is now. To be called before the first act of the fault.
    pub fn come(&self) {
        self.0.store(true, Ordering::SeqCst);
        // With its counterpart: either the flag is seen, or what was read before the question
        // was read before anything that is done from here on.
        fence(Ordering::SeqCst);
    }

    /// Whether it has come. To be called after answers were read, and not before.
    #[must_use]
    pub fn has_come(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::SeqCst)
    }
}

/// Interrupts servers. One value lives as long as a run and is used for many cycles.
pub trait Fault: Send {
    /// Which.
    fn kind(&self) -> FaultKind;

    /// The directory for the database when it must be a special one, ready for use; `None`
    /// where any will do. The same for the whole run. Everything the fault made is undone when
    /// it is dropped.
    fn directory(&self) -> Option<&Path> {
        None
    }

    /// Chooses the moment of the next cycle, which lasts at most `cycle`. All randomness comes
    /// from `draw`, so that a seed replays it.
    fn schedule(&mut self, draw: &mut Draw, cycle: Duration) -> Schedule;

    /// The moment of the cycle that was aimed at last from which on answers prove nothing; for
    /// a fault after which they still do, one that never comes.
    fn onset(&self) -> Onset {
        Onset::default()
    }

    /// How a server must end after this fault.
    fn expected_exit(&self) -> ExpectedExit {
        ExpectedExit::Any
    }

    /// Interrupts the server now. When it returns, the server is dead or about to be; it is
    /// waited for, and killed when it does not go.
    ///
    /// # Errors
    /// The fault could not be made.
    fn inject<'a>(
        &'a mut self,
        server: &'a mut ServerProcess,
    ) -> BoxFuture<'a, Result<(), FaultError>>;

    /// Whether the moment that was meant has come: asked when the server has ended.
    /// `by_itself` is whether it ended before [`inject`](Self::inject).
    fn was_injected(&self, by_itself: bool) -> bool {
        by_itself
    }

    /// Syncs that the server has made in this cycle, where the fault sees them: asked when the
    /// server has ended.
    fn syncs(&self) -> Option<u64> {
        None
    }

    /// In words, that the interruption cannot have hit the server's ledger if what it has
    /// acknowledged is there: asked when the cycle was judged.
    fn missed(&self) -> Option<String> {
        None
    }

    /// The syncs that it has made fail so far, in the order in which they returned. The server
    /// must end because of them, unless they were a checkpoint's.
    fn failed_syncs(&self) -> Vec<FailedSync> {
        Vec::new()
    }

    /// The server is gone: makes the directory what a restart would find.
    ///
    /// # Errors
    /// It cannot be made ready: the run ends.
    fn restore(&mut self) -> BoxFuture<'_, Result<(), FaultError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for kind in FaultKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        let error = "power_cut".parse::<FaultKind>().unwrap_err();
        assert!(error.contains("power-cut"), "{error}");
    }
}
