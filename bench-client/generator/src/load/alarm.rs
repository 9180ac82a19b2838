//! A timer that is precise to microseconds. The runtime's own ticks in milliseconds, which is
//! a hundred transfers at the rates that are offered here.

use std::io;
use std::time::Instant;

/// Wakes one task at a time of its choosing.
#[cfg(target_os = "linux")]
pub(super) struct Alarm {
    timer: tokio::io::unix::AsyncFd<Timer>,
    armed: Option<Instant>,
}

#[cfg(target_os = "linux")]
struct Timer(nix::sys::timerfd::TimerFd);

#[cfg(target_os = "linux")]
impl std::os::fd::AsRawFd for Timer {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        use std::os::fd::AsFd as _;
        self.0.as_fd().as_raw_fd()
    }
}

#[cfg(target_os = "linux")]
impl Alarm {
    /// Call inside a runtime.
    #[expect(
        unsafe_code,
        reason = "tokio asks for a promise that the descriptor stays open and the same"
    )]
    pub(super) fn new() -> io::Result<Self> {
        use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        // SAFETY: `Timer` owns the descriptor of a live timer, always gives the same one, and
        // nothing takes it out of the `AsyncFd`.
        let timer = unsafe { tokio::io::unix::AsyncFd::register(Timer(timer)) }?;
        Ok(Self { timer, armed: None })
    }

    /// Completes at this time. May be dropped and asked again, with the same or another time.
    pub(super) async fn at(&mut self, due: Instant) {
        use nix::sys::time::TimeSpec;
        use nix::sys::timerfd::{Expiration, TimerSetTimeFlags};
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            if self.armed != Some(due) {
                let after = Expiration::OneShot(TimeSpec::from_duration(left));
                // Setting it takes back an expiry that nobody has seen.
                let set = self
                    .timer
                    .get_ref()
                    .0
                    .set(after, TimerSetTimeFlags::empty());
                if set.is_err() {
                    tokio::time::sleep_until(due.into()).await;
                    return;
                }
                self.armed = Some(due);
            }
            match self.timer.readable().await {
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => tokio::time::sleep_until(due.into()).await,
            }
            // Seen, so the same time would not come a second time.
            self.armed = None;
        }
    }
}

/// Wakes one task at a time of its choosing, to the millisecond.
#[cfg(not(target_os = "linux"))]
pub(super) struct Alarm;

#[cfg(not(target_os = "linux"))]
impl Alarm {
    /// Call inside a runtime.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    /// Completes at this time.
    pub(super) async fn at(&mut self, due: Instant) {
        tokio::time::sleep_until(due.into()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn never_early_and_again_after_being_dropped() {
        let mut alarm = Alarm::new().unwrap();
        let far = Instant::now() + Duration::from_mins(1);
        let dropped = tokio::time::timeout(Duration::from_millis(2), alarm.at(far)).await;
        assert!(dropped.is_err());
        for _ in 0..3 {
            let due = Instant::now() + Duration::from_millis(3);
            alarm.at(due).await;
            assert!(Instant::now() >= due);
        }
        let past = Instant::now();
        alarm.at(past).await;
    }
}
