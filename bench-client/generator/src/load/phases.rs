//! Warm-up, window, drain: which one an answer belongs to.

use std::time::{Duration, Instant};

use super::Measure;

/// The part of a run in which an answer arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before the window; recorded apart.
    Warmup,
    /// Measured.
    Window,
    /// After the window: submitted before its end, answered later.
    Drain,
}

/// When the window opens and closes, the same for all workers.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// When the load begins.
    pub start: Instant,
    /// Opening of the window.
    pub window_start: Instant,
    /// Its end; `None` when a number of transfers is measured and not a time.
    pub window_end: Option<Instant>,
}

impl Schedule {
    /// A schedule whose warm-up begins then.
    #[must_use]
    pub fn from(start: Instant, warmup: Duration, measure: Measure) -> Self {
        let window_start = start + warmup;
        let window_end = match measure {
            Measure::For(length) => Some(window_start + length),
            Measure::Transfers(_) => None,
        };
        Self {
            start,
            window_start,
            window_end,
        }
    }

    /// The phase of an answer that arrives now.
    #[must_use]
    pub fn phase(&self, now: Instant) -> Phase {
        if now < self.window_start {
            Phase::Warmup
        } else if self.window_end.is_none_or(|end| now < end) {
            Phase::Window
        } else {
            Phase::Drain
        }
    }

    /// The length of the window as it was: to its planned end, or until it was stopped,
    /// or to its last answer when a number of transfers was measured.
    pub(super) fn window_length(
        &self,
        last_answer: Option<Instant>,
        stopped_at: Option<Instant>,
    ) -> Duration {
        let end = match self.window_end {
            Some(end) => stopped_at.map_or(end, |stopped| end.min(stopped)),
            None => last_answer.unwrap_or(self.window_start),
        };
        end.saturating_duration_since(self.window_start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_belongs_to_the_phase_in_which_it_arrives() {
        let second = Duration::from_secs(1);
        let schedule = Schedule::from(Instant::now(), second, Measure::For(second));
        let start = schedule.window_start;
        assert_eq!(
            schedule.phase(start.checked_sub(second / 2).unwrap()),
            Phase::Warmup
        );
        assert_eq!(schedule.phase(start), Phase::Window);
        assert_eq!(schedule.phase(start + second / 2), Phase::Window);
        assert_eq!(schedule.phase(start + second), Phase::Drain);
    }

    #[test]
    fn a_stopped_window_is_as_long_as_it_was() {
        let second = Duration::from_secs(1);
        let schedule = Schedule::from(Instant::now(), second, Measure::For(second));
        let stopped = Some(schedule.window_start + second / 4);
        assert_eq!(schedule.window_length(None, stopped), second / 4);
        assert_eq!(schedule.window_length(None, None), second);
        let before = Some(schedule.window_start.checked_sub(second / 2).unwrap());
        assert_eq!(schedule.window_length(None, before), Duration::ZERO);
    }
}
