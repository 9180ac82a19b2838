//! Time as this process lived through it.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// A timeout is counted in so many ticks.
const TICKS_PER_TIMEOUT: u32 = 4;

/// Shortest tick: the resolution of the runtime's timer.
const TICK_MIN: Duration = Duration::from_millis(1);

/// A timer that wakes its task at even intervals, for timeouts that cost nothing per message:
/// whoever waits sets a flag when something happens, and looks at it at the next tick.
///
/// A process that was frozen and thawed sees **one** tick, however long it was frozen. So a
/// timeout of several ticks leaves the time to read what came in meanwhile, and no peer is
/// condemned for the server's own absence.
pub(crate) struct Timer {
    timer: Pin<Box<Sleep>>,
    tick: Duration,
}

impl Timer {
    /// For timeouts of which `shortest` is the shortest: with a flag looked at once per tick,
    /// each is kept to within a quarter of that one. Call inside a runtime.
    pub(crate) fn new(shortest: Duration) -> Self {
        let tick = (shortest / TICKS_PER_TIMEOUT).max(TICK_MIN);
        Self {
            timer: Box::pin(sleep(tick)),
            tick,
        }
    }

    /// Whether a tick is over; how long it was. Poll until it is pending.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        ready!(self.timer.as_mut().poll(cx));
        self.timer.as_mut().reset(Instant::now() + self.tick);
        Poll::Ready(self.tick)
    }

    /// Waits for the end of the tick; how long it was.
    pub(crate) async fn next(&mut self) -> Duration {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_frozen_process_sees_one_tick() {
        let mut ticks = Timer::new(Duration::from_millis(40));
        assert_eq!(ticks.next().await, Duration::from_millis(10));
        // As good as a SIGSTOP: the runtime does not run.
        std::thread::sleep(Duration::from_millis(200));
        ticks.next().await;
        let second = tokio::time::timeout(Duration::ZERO, ticks.next()).await;
        assert!(second.is_err(), "the time of the freeze is not made up for");
    }
}
