//! Where an HTTP connection is between two requests, and for how long it may be there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::timer::Timer;

/// Nothing was asked since the last answer.
const IDLE: u64 = 0;
/// A request has begun and its headers are not complete.
const HEADERS: u64 = 1;
/// A request is being answered. Its body has a time limit of its own.
const ANSWERING: u64 = 2;
const PHASE: u64 = 3;
/// Added at every change, so that two looks tell whether there was one between them.
const STEP: u64 = PHASE + 1;

/// The phase of one connection. Only the connection's own task changes it, so that a change is
/// a load and a store.
#[derive(Debug)]
pub(crate) struct ConnectionState(AtomicU64);

impl ConnectionState {
    /// [`HEADERS`] where the handshake is timed from the accepting, else [`IDLE`].
    pub(crate) fn new(handshake: bool) -> Self {
        Self(AtomicU64::new(if handshake { HEADERS } else { IDLE }))
    }

    fn stamp(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn enter(&self, phase: u64) {
        let stamp = (self.stamp() & !PHASE).wrapping_add(STEP) | phase;
        self.0.store(stamp, Ordering::Relaxed);
    }

    /// Bytes have come in.
    pub(crate) fn heard(&self) {
        if self.stamp() & PHASE == IDLE {
            self.enter(HEADERS);
        }
    }

    /// Bytes have gone out. An answer that is still being written is not idleness.
    pub(crate) fn wrote(&self) {
        if self.stamp() & PHASE == IDLE {
            self.enter(IDLE);
        }
    }

    /// The headers of a request are complete.
    pub(crate) fn asked(&self) {
        self.enter(ANSWERING);
    }

    /// Its answer is handed to the HTTP library.
    pub(crate) fn answered(&self) {
        self.enter(IDLE);
    }

    /// Until the connection has been in one phase for longer than it may: `headers`, or `idle`.
    pub(crate) async fn overstayed(&self, headers: Duration, idle: Duration) {
        let mut timer = Timer::new(headers.min(idle));
        let mut seen = self.stamp();
        let mut stayed = Duration::ZERO;
        loop {
            let tick = timer.next().await;
            let now = self.stamp();
            if now != seen {
                seen = now;
                stayed = Duration::ZERO;
                continue;
            }
            stayed += tick;
            match now & PHASE {
                HEADERS if stayed >= headers => return,
                IDLE if stayed >= idle => return,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(state: &ConnectionState) -> u64 {
        state.stamp() & PHASE
    }

    #[test]
    fn a_request_goes_through_its_state() {
        let state = ConnectionState::new(false);
        assert_eq!(at(&state), IDLE);
        state.heard();
        assert_eq!(at(&state), HEADERS);
        let began = state.stamp();
        state.heard();
        state.wrote();
        assert_eq!(state.stamp(), began, "more bytes do not prolong it");
        state.asked();
        state.heard();
        assert_eq!(at(&state), ANSWERING, "the body");
        state.answered();
        let answered = state.stamp();
        state.wrote();
        assert_eq!(at(&state), IDLE);
        assert_ne!(state.stamp(), answered, "writing prolongs it");
        assert_eq!(at(&ConnectionState::new(true)), HEADERS);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn only_headers_and_idleness_are_limited() {
        const SHORT: Duration = Duration::from_millis(20);
        const LONG: Duration = Duration::from_mins(1);
        let within = async |limit, state: &ConnectionState, headers, idle| {
            let overstayed = state.overstayed(headers, idle);
            tokio::time::timeout(limit, overstayed).await.is_ok()
        };
        // However late a busy machine is.
        let over = async |state, headers, idle| within(LONG, state, headers, idle).await;
        let a_while = 10 * SHORT;
        let state = ConnectionState::new(true);
        assert!(over(&state, SHORT, 2 * LONG).await);
        state.asked();
        assert!(!within(a_while, &state, SHORT, SHORT).await);
        state.answered();
        assert!(!within(a_while, &state, SHORT, LONG).await);
        assert!(over(&state, 2 * LONG, SHORT).await);
    }
}
