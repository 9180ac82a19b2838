//! Whether the peer of a WebSocket is still there, and still wants something.

use std::task::{Context, Poll};
use std::time::Duration;

use super::timer::Timer;
use crate::limits::Limits;

/// What is to be done about a peer that is quiet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Ask it for a sign of life.
    Ping,
    /// It was asked and gave none: it is gone.
    Gone,
    /// It has asked nothing for too long.
    Idle,
}

/// Watches one peer. Per message it costs two stores.
///
/// Only whole messages count: a peer that sends a message without an end is silent.
pub(crate) struct KeepAlive {
    timer: Timer,
    ping_interval: Duration,
    ping_timeout: Duration,
    idle_timeout: Duration,
    /// Since the last tick, as [`KeepAlive::heard`].
    heard: bool,
    /// Since the last tick, as [`KeepAlive::asked`].
    asked: bool,
    silent: Duration,
    idle: Duration,
    /// A ping is unanswered for so long.
    pinged: Option<Duration>,
}

impl KeepAlive {
    pub(crate) fn new(limits: &Limits) -> Self {
        let shortest = limits.ping_interval.min(limits.ping_timeout);
        Self {
            timer: Timer::new(shortest.min(limits.idle_timeout)),
            ping_interval: limits.ping_interval,
            ping_timeout: limits.ping_timeout,
            idle_timeout: limits.idle_timeout,
            heard: false,
            asked: false,
            silent: Duration::ZERO,
            idle: Duration::ZERO,
            pinged: None,
        }
    }

    /// A message has come, or the peer's silence means nothing: its messages are not being
    /// read, or answers wait that it does not take, which is the write timeout's.
    pub(crate) fn heard(&mut self) {
        self.heard = true;
    }

    /// A request has come, or is being answered.
    pub(crate) fn asked(&mut self) {
        self.asked = true;
    }

    /// What is due. Call after reading, so that nothing is held against a peer whose message
    /// is there already; poll until it is pending.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        while let Poll::Ready(tick) = self.timer.poll(cx) {
            if let Some(due) = self.after(tick) {
                return Poll::Ready(due);
            }
        }
        Poll::Pending
    }

    fn after(&mut self, tick: Duration) -> Option<Due> {
        if std::mem::take(&mut self.asked) {
            self.idle = Duration::ZERO;
        } else {
            self.idle += tick;
            if self.idle >= self.idle_timeout {
                return Some(Due::Idle);
            }
        }
        if std::mem::take(&mut self.heard) {
            self.silent = Duration::ZERO;
            self.pinged = None;
            return None;
        }
        if let Some(unanswered) = &mut self.pinged {
            *unanswered += tick;
            return (*unanswered >= self.ping_timeout).then_some(Due::Gone);
        }
        self.silent += tick;
        if self.silent < self.ping_interval {
            return None;
        }
        self.pinged = Some(Duration::ZERO);
        Some(Due::Ping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_secs(1);
    fn keep_alive() -> KeepAlive {
        KeepAlive::new(&Limits {
            ping_interval: 4 * TICK,
            ping_timeout: 8 * TICK,
            idle_timeout: 20 * TICK,
            ..Limits::standard()
        })
    }

    fn dues(keep_alive: &mut KeepAlive, ticks: usize) -> Vec<(usize, Due)> {
        let due = |tick| Some((tick, keep_alive.after(TICK)?));
        (1..=ticks).filter_map(due).collect()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_silent_peer_is_pinged_and_then_given_up() {
        assert_eq!(
            dues(&mut keep_alive(), 12),
            [(4, Due::Ping), (12, Due::Gone)]
        );
    }

    #[tokio::test(flavor = "current_thread")]
    async fn any_message_is_a_sign_of_life_and_only_requests_are_business() {
        let mut keep_alive = keep_alive();
        let mut pings = 0;
        for tick in 1..20 {
            match keep_alive.after(TICK) {
                None => {}
                Some(Due::Ping) => {
                    pings += 1;
                    keep_alive.heard();
                }
                Some(due) => panic!("{due:?} after {tick}"),
            }
        }
        assert_eq!(
            pings, 4,
            "every five ticks: four silent ones and the pong's"
        );
        assert_eq!(keep_alive.after(TICK), Some(Due::Idle));
        keep_alive.asked();
        assert_eq!(keep_alive.after(TICK), None);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_peer_that_waits_for_us_is_not_idle_but_has_to_be_there() {
        let mut keep_alive = keep_alive();
        let mut waits = |tick| {
            keep_alive.asked();
            Some((tick, keep_alive.after(TICK)?))
        };
        let dues: Vec<_> = (1..=12).filter_map(&mut waits).collect();
        assert_eq!(dues, [(4, Due::Ping), (12, Due::Gone)]);
    }
}
